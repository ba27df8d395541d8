"""Taught names of a study folder: nothing is lost by a kill, a full disk or a damaged record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsam.errors import OutputError
from segsam.prediction.taught import files
from segsam.prediction.taught.examples import TaughtExample
from segsam_app.check_files import check_studies, set_aside
from segsam_app.errors import ConflictError, InfoTooLargeError, NotFoundError, RequestError
from segsam_app.storage import taught_names
from segsam_app.storage.store import Store
from segsam_app.storage.taught_names import Looks

from ..stored import make_studies


def example(case: str, index: int, *, from_label: bool = False) -> TaughtExample:
    description = np.full(8, index, np.float32)
    return TaughtExample(
        description, (0.5, 0.5), "encoder", case, "k", index, from_label=from_label
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(tmp_path)


def opened(folder: Path) -> Store:
    return Store(str(make_studies(folder / "studies", 1)), on_image=lambda _: None)


def listed(store: Store) -> dict[str, list[tuple[str, int]]]:
    names = store.taught.names()
    return {one.name: [(each.case, each.index) for each in one.examples] for one in names}


def test_a_name_grows_by_examples_and_another_store_sees_it(store: Store, tmp_path: Path) -> None:
    other = opened(tmp_path)
    store.taught.teach("left iliopsoas", [example("a", 1)], looks=Looks((9, 8, 7)), user="anna")
    assert other.taught.find("Left_Iliopsoas").colour_rgb == (9, 8, 7)
    other.taught.teach("LEFT ILIOPSOAS", [example("b", 2), example("a", 1)])
    assert listed(store) == {"left iliopsoas": [("b", 2), ("a", 1)]}


def test_a_newer_label_of_a_case_replaces_what_was_learnt_from_it(store: Store) -> None:
    learnt = {"x": [example("a", 1, from_label=True)], "y": [example("a", 2, from_label=True)]}
    store.taught.teach("x", [example("a", 9)])
    assert store.taught.learn_case("a", learnt) == ["x", "y"]
    again = {"x": [example("a", 5, from_label=True)]}
    assert store.taught.learn_case("a", again) == ["y", "x"]
    assert listed(store) == {"x": [("a", 9), ("a", 5)]}, "what was asked for stays"


def test_rename_and_remove(store: Store) -> None:
    store.taught.teach("x", [example("a", 1), example("b", 2)])
    store.taught.teach("y", [example("a", 3)])
    with pytest.raises(ConflictError, match="'y' already"):
        store.taught.change("x", rename="Y")
    changed = store.taught.change("x", rename="z", looks=Looks(snomed=("1", "Z")))
    assert (changed.name, changed.snomed) == ("z", ("1", "Z"))
    assert store.taught.remove("z", lambda one: one.case == "a") == 1
    with pytest.raises(NotFoundError, match="no such example"):
        store.taught.remove("z", lambda one: one.case == "a")
    assert store.taught.remove(changed.id) == 1
    assert listed(store) == {"y": [("a", 3)]}
    with pytest.raises(NotFoundError, match="no name 'z' was taught"):
        store.taught.find("z")


def test_what_no_name_may_be_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="shown in one line"):
        store.taught.teach("a\nb", [example("a", 1)])
    store.taught.teach("x", [example("a", 1)])
    with pytest.raises(RequestError, match="shown in one line"):
        store.taught.change("x", rename=" ")
    monkeypatch.setattr(taught_names, "MOST_NAMES", 1)
    with pytest.raises(InfoTooLargeError, match="at most 1 taught names"):
        store.taught.teach("y", [example("a", 1)])
    learnt = {"y": [example("a", 1, from_label=True)]}
    assert store.taught.learn_case("a", learnt) == []
    assert listed(store) == {"x": [("a", 1)]}


def test_a_full_disk_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.taught.teach("x", [example("a", 1)])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    with pytest.raises(OutputError, match="No space left on device; nothing was changed"):
        store.taught.teach("x", [example("a", 2)])
    assert listed(store) == {"x": [("a", 1)]}


def test_a_damaged_record_is_named_and_set_aside(store: Store, tmp_path: Path) -> None:
    taught = store.taught.teach("x", [example("a", 1)])
    store.taught.teach("x", [example("a", 2)])
    newest = tmp_path / "studies" / ".memory" / taught.id / "0002.json"
    newest.write_bytes(newest.read_bytes()[:-9])
    name = f".memory/{taught.id}/0002.json"
    assert list(check_studies(tmp_path / "studies").listed()) == [name]
    assert listed(opened(tmp_path)) == {"x": [("a", 1)]}
    later = opened(tmp_path)
    later.check_records()
    (aside,) = later.damage.listed()
    assert aside.startswith(f"{name}.damaged-")
    assert set_aside(tmp_path / "studies") == [aside]
    later.taught.teach("x", [example("a", 3)])
    assert listed(later) == {"x": [("a", 1), ("a", 3)]}
    assert (newest.parent / "0003.json").is_file()
