"""Rows F1, F2, F3, F7, F8 and L8 of the reliability matrix, with real processes and a real disk."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import numpy as np
import pytest
from monailabel.datastore.local import DataModel, ImageLabelModel

from segsam.errors import OutputError
from segsam_app.storage import disk, label_history
from segsam_app.storage.index import Index
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_record import read_version
from segsam_app.storage.store import Store

from ..stored import SHAPE, label, make_studies, voxels_of, write

SAVER = Path(__file__).with_name("saver.py")
KILLS = int(os.environ.get("SEGSAM_TEST_KILLS", "4"))
SAVES = int(os.environ.get("SEGSAM_TEST_SAVES", "10"))


def opened(folder: Path) -> Store:
    return Store(str(folder), on_image=lambda _: None)


def sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return make_studies(tmp_path / "studies", 6)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    folder.mkdir()
    for value in (1, 2, 3):
        write(folder / f"{value}.nii.gz", label(value))
    return folder


@pytest.fixture(scope="module")
def savers() -> Iterator[TextIO]:
    """Where to order processes that save."""
    command = [sys.executable, str(SAVER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
        yield starter.stdin


@dataclass(frozen=True)
class Saver:
    """A process that saves, and what it says of each save that was acknowledged."""

    pid: int
    report: TextIO

    def kill(self) -> list[tuple[str, int, str]]:
        """Image, version and SHA-256 of the saves that were acknowledged and not yet read."""
        os.kill(self.pid, signal.SIGKILL)
        lines = self.report.read().splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        return [(image, int(number), digest) for image, number, digest in whole]


@contextmanager
def saving(savers: TextIO, studies: Path, labels: Path, *images: str) -> Iterator[Saver]:
    """A process that saves labels of `images` for ever; it is killed in the end."""
    pipe = studies.with_name(f"{uuid4().hex}.pipe")
    os.mkfifo(pipe)
    savers.write(json.dumps([str(pipe), str(studies), str(labels), *images]) + "\n")
    savers.flush()
    with pipe.open() as report:
        saver = Saver(int(report.readline()), report)
        try:
            yield saver
        finally:
            with suppress(ProcessLookupError):
                os.kill(saver.pid, signal.SIGKILL)


@pytest.mark.slow
def test_f1_a_kill_at_any_moment_loses_nothing(savers: TextIO, studies: Path, labels: Path) -> None:
    images = ("case0", "case1", "case2")
    allowed = {sha256(file) for file in labels.iterdir()}
    acknowledged: dict[tuple[str, int], str] = {}
    rng = random.Random(5)
    for _ in range(KILLS):
        with saving(savers, studies, labels, *images) as saver:
            time.sleep(rng.uniform(0.05, 1.0))
            for image, number, digest in saver.kill():
                acknowledged[image, number] = digest
        json.loads((studies / "datastore_v2.json").read_text())
        store = opened(studies)
        assert store.status().get("set_aside") is None
        for image in images:
            history = store.history(image, "final")
            recorded = {version.number: version for version in history.all()}
            for version in recorded.values():
                assert sha256(history.file(version)) == version.sha256
            uri = store.get_label_uri(image, "final")
            if recorded:
                assert sha256(uri) == recorded[max(recorded)].sha256
                assert store.get_label_info(image, "final")["version"] == max(recorded)
            assert not uri or sha256(uri) in allowed
            mine = {number: sha for (name, number), sha in acknowledged.items() if name == image}
            assert mine.items() <= {n: v.sha256 for n, v in recorded.items()}.items()
    assert acknowledged


class Stopped(BaseException):
    """As if the process had ended here: nothing catches it, nothing cleans up."""


class TestStoppedAtEachStep:
    """The same, at every call that changes a disk, one after the other."""

    STEPS = ("replace", "fsync", "write", "unlink", "ftruncate")

    def save_until(
        self, store: Store, file: Path, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> bool:
        """Save, ending at the `step`-th change of the disk; True when it came to its end."""
        counter = itertools.count()
        with monkeypatch.context() as patch:
            for name in self.STEPS:
                real = getattr(os, name)

                def counted(*args: object, real: Callable[..., object] = real, **more: object):  # type: ignore[no-untyped-def]
                    if next(counter) >= step:
                        raise Stopped
                    return real(*args, **more)

                patch.setattr(os, name, counted)
            try:
                store.save("case0", file, "final", {})
            except Stopped:
                return False
        return True

    def test_either_the_old_or_the_new(
        self, studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(studies).save("case0", labels / "1.nii.gz", "final", {})
        old, new = sha256(labels / "1.nii.gz"), sha256(labels / "2.nii.gz")
        seen = set()
        for step in range(200):
            done = self.save_until(opened(studies), labels / "2.nii.gz", step, monkeypatch)
            store = opened(studies)
            digest = sha256(store.get_label_uri("case0", "final"))
            seen.add(digest)
            assert digest in (old, new)
            newest = store.history("case0", "final").newest()
            assert newest is not None
            assert newest.sha256 == digest
            assert store.get_label_info("case0", "final")["version"] == newest.number
            versions = store.history("case0", "final").all()
            assert [one.number for one in versions] == list(range(1, newest.number + 1))
            assert {one.kind for one in versions} == {"saved"}
            assert "damaged" not in store.status()
            assert list(studies.rglob("*pending*")) == []
            store.save("case0", labels / "1.nii.gz", "final", {})
            if done:
                break
        else:
            pytest.fail("the save never came to its end")
        assert seen == {old, new}


class TestAPowerCut:
    """What is not flushed may be lost then, so what is acknowledged rests on nothing else."""

    def test_files_before_their_names_and_folders_after(
        self, studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done: list[tuple[str, int]] = []
        flush, rename = os.fsync, os.replace

        def flushed(handle: int) -> None:
            flush(handle)
            done.append(("flush", os.fstat(handle).st_ino))

        def renamed(old: Path, new: Path) -> None:
            done.append(("rename", old.stat().st_ino))
            rename(old, new)

        monkeypatch.setattr(os, "fsync", flushed)
        monkeypatch.setattr(os, "replace", renamed)
        store = opened(studies)
        folder = studies / "labels/final/.versions/case0"
        for number, above in ((1, list(folder.parents)[:4]), (2, [])):
            done.clear()
            store.save("case0", labels / f"{number}.nii.gz", "final", {})
            files = [folder / f"{number:04d}{ending}" for ending in (".nii.gz", ".json")]
            files.append(studies / "labels/final/case0.nii.gz")
            for file in files:
                at = file.stat().st_ino
                assert done.index(("flush", at)) < done.index(("rename", at))
            named = done.index(("rename", files[1].stat().st_ino))
            flushed_after = {at for what, at in done[named:] if what == "flush"}
            assert {one.stat().st_ino for one in (folder, *above)} <= flushed_after

    def test_the_last_rename_and_the_index_are_not_needed(
        self, studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(studies)
        store.save("case0", labels / "1.nii.gz", "final", {})
        journal = (studies / "datastore_v2.journal").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(LabelHistory, "finish", lambda *_: None)
            store.save("case0", labels / "2.nii.gz", "final", {})
        (studies / "datastore_v2.journal").write_bytes(journal)
        again = opened(studies)
        uri = again.get_label_uri("case0", "final")
        assert sha256(uri) == sha256(labels / "2.nii.gz")
        assert again.get_label_info("case0", "final")["version"] == 2


class TestF2DamagedIndex:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\0" * 4096,
            b"[1, 2]",
            b'{"name": "x"}',
            b"\xff\xfe binary",
            b'{"name": "x", "description": "", "images_dir": "/etc", "objects": {}}',
            b'{"name": "x", "description": "", "objects": {"../x": {"image": {}}}}',
            b'{"name":"x","description":"","objects":{"a":{"image":{},"labels":{"../t":{}}}}}',
        ],
    )
    def test_it_is_made_anew_and_the_old_one_kept(
        self, studies: Path, labels: Path, content: bytes
    ) -> None:
        before = opened(studies)
        info = {"label_info": [{"name": "liver", "idx": 1}]}
        before.save("case0", labels / "1.nii.gz", "final", info)
        before.save("case1", labels / "1.nii.gz", "original", {})
        (studies / "datastore_v2.json").write_bytes(content)
        (studies / "datastore_v2.journal").unlink()
        store = opened(studies)
        (aside,) = store.status()["set_aside"]
        assert (studies / aside).read_bytes() == content
        assert len(store.list_images()) == 6
        assert store.get_labels_by_image_id("case1") == {"original": "case1"}
        known = store.get_label_info("case0", "final")
        assert (known["version"], known["names"]) == (1, {"1": "liver"})
        assert "set_aside" not in opened(studies).status()

    def test_while_it_runs(self, studies: Path, labels: Path) -> None:
        store = opened(studies)
        store.save("case0", labels / "1.nii.gz", "final", {})
        (studies / "datastore_v2.json").write_bytes(b"torn")
        store.save("case1", labels / "1.nii.gz", "final", {})
        assert sorted(store.get_labeled_images()) == ["case0", "case1"]
        assert len(store.status()["set_aside"]) == 1
        assert sorted(opened(studies).get_labeled_images()) == ["case0", "case1"]

    def test_a_line_that_was_never_finished(self, studies: Path, labels: Path) -> None:
        store = opened(studies)
        store.update_image_info("case0", {"score": 1})
        journal = studies / "datastore_v2.journal"
        journal.write_bytes(journal.read_bytes() + b'{"id": "case1", "obj')
        store.update_image_info("case2", {"score": 2})
        again = opened(studies)
        assert again.get_image_info("case0")["score"] == 1
        assert again.get_image_info("case2")["score"] == 2
        assert "set_aside" not in again.status()

    def test_a_damaged_line_costs_only_itself(self, studies: Path) -> None:
        store = opened(studies)
        store.update_image_info("case0", {"score": 1})
        journal = studies / "datastore_v2.journal"
        journal.write_bytes(b'{"id": "../x", "object": 3}\nrubbish\n' + journal.read_bytes())
        again = opened(studies)
        assert again.get_image_info("case0")["score"] == 1
        assert len(again.status()["set_aside"]) == 1

    @pytest.mark.parametrize("content", ["{}", '{"name": 3}', "[]"])
    def test_what_is_no_index_is_told_in_our_words(self, studies: Path, content: str) -> None:
        (studies / "datastore_v2.json").write_text(content)
        (told,) = opened(studies).status()["damaged"].values()
        assert (
            told
            == "datastore_v2.json was damaged (it is not an index); it is rebuilt from the files"
        )

    def test_a_version_without_a_readable_record(self, studies: Path, labels: Path) -> None:
        store = opened(studies)
        for value in (1, 2):
            store.save("case0", labels / f"{value}.nii.gz", "final", {})
        folder = studies / "labels/final/.versions/case0"
        (folder / "0002.json").write_bytes(b"torn")
        for index in studies.glob("datastore_v2.*"):
            index.unlink()
        again = opened(studies)
        assert [v.kind for v in again.history("case0", "final").all()] == ["saved", "found"]
        assert "labels/final/.versions/case0/0002.json" in again.status()["damaged"]
        assert again.save("case0", labels / "3.nii.gz", "final", {}).number == 4
        assert [v.kind for v in again.history("case0", "final").all()] == [
            "saved",
            "found",
            "saved",
        ]

    def test_the_newest_record_is_made_anew_from_the_index(
        self, studies: Path, labels: Path
    ) -> None:
        store = opened(studies)
        info = {"label_names": {"liver": 2}, "user": "anna", "more": [1, {"a": None}]}
        store.save("case0", labels / "1.nii.gz", "final", {})
        saved = store.save("case0", labels / "2.nii.gz", "final", info)
        record = studies / "labels/final/.versions/case0/0002.json"
        torn = record.read_bytes()[:-40]
        record.write_bytes(torn)
        again = opened(studies)
        assert again.history("case0", "final").all()[-1] == saved
        assert again.get_label_info("case0", "final")["names"] == {"2": "liver"}
        (aside,) = record.parent.glob("0002.json.damaged-*")
        assert aside.read_bytes() == torn
        assert "damaged" not in again.status()
        assert again.save("case0", labels / "3.nii.gz", "final", {}).number == 3

    def test_old_leftovers_are_swept(
        self, studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(studies).save("case0", labels / "1.nii.gz", "final", {})
        folder = studies / "labels/final/.versions/case0"
        names = (".a-b.partial", "0002.pending.nii.gz", "0001.pending.nii.gz")
        for name in names:
            (folder / name).write_bytes((folder / "0001.nii.gz").read_bytes())
        first = read_version((folder / "0001.json").read_bytes(), 1)
        (folder / "0002.pending.json").write_text(replace(first, number=2).to_json())
        (studies / ".c.partial").write_bytes(b"half an image")
        opened(studies)
        left = {path.name for path in folder.iterdir()}
        assert ".a-b.partial" in left  # it could be another process's, this moment
        assert "0002.pending.nii.gz" not in left
        monkeypatch.setattr(disk, "ABANDONED_SECONDS", -1.0)
        opened(studies)
        assert not (studies / ".c.partial").exists()
        assert {path.name for path in folder.iterdir()} == {"0001.nii.gz", "0001.json"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this computer lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root on Linux")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room that is left."""
    stuffing = folder / "stuffing"
    with stuffing.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    return stuffing


class TestF3DiskFull:
    def test_a_full_file_system(self, small_disk: Path, labels: Path) -> None:
        studies = make_studies(small_disk / "studies", 2)
        store = opened(studies)
        store.save("case0", labels / "1.nii.gz", "final", {})
        stuffing = fill(small_disk)
        with pytest.raises(OutputError, match="No space left on device; nothing was changed"):
            store.save("case0", labels / "2.nii.gz", "final", {})
        with pytest.raises(OutputError):
            store.add_image("new", str(labels / "2.nii.gz"), {})
        assert sha256(store.get_label_uri("case0", "final")) == sha256(labels / "1.nii.gz")
        again = opened(studies)  # also on a full disk
        assert again.get_labeled_images() == ["case0"]
        assert again.get_label_info("case0", "final")["version"] == 1
        stuffing.unlink()
        assert store.save("case0", labels / "2.nii.gz", "final", {}).number == 2
        assert sorted(opened(studies).list_images()) == ["case0", "case1"]
        assert not list(studies.rglob("*.partial*"))

    @pytest.mark.parametrize("limit", [0, 40, 100, 200, 400])
    def test_files_that_may_not_grow(self, studies: Path, labels: Path, limit: int) -> None:
        store = opened(studies)
        store.save("case0", labels / "1.nii.gz", "final", {})
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OutputError):
                store.save("case0", labels / "2.nii.gz", "final", {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert sha256(store.get_label_uri("case0", "final")) == sha256(labels / "1.nii.gz")
        again = opened(studies)
        assert again.get_label_info("case0", "final")["version"] == 1
        assert len(again.history("case0", "final").all()) == 1
        assert again.save("case0", labels / "2.nii.gz", "final", {}).parent == 1


def test_f7_a_place_that_cannot_be_written(studies: Path, labels: Path) -> None:
    store = opened(studies)
    (studies / "labels" / "blocked").write_bytes(b"a file where the folder of a tag would be")
    with pytest.raises(OutputError, match="Saving the label is not possible"):
        store.save("case0", labels / "1.nii.gz", "blocked", {})
    assert store.save("case0", labels / "1.nii.gz", "final", {}).number == 1


def refused_to_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who does not own the folder; the tests' own user may be root."""
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, *how, **more: path != folder and real(path, *how, **more)
    )


def test_a_folder_of_labels_that_may_not_be_written(
    studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(studies)
    store.save("case0", labels / "1.nii.gz", "final", {})
    before = sorted(studies.rglob("*"))
    with monkeypatch.context() as patch:
        refused_to_write(studies / "labels" / "final", patch)
        with pytest.raises(OutputError, match="folder labels/final may not be written to; nothing"):
            store.save("case0", labels / "2.nii.gz", "final", {})
        with pytest.raises(OutputError, match="folder labels/final may not be written to; nothing"):
            store.restore("case0", "final", 1)
    assert store.get_label_info("case0", "final")["version"] == 1
    assert sorted(studies.rglob("*")) == before
    assert store.save("case0", labels / "2.nii.gz", "final", {}).number == 2


def test_what_is_committed_is_acknowledged(
    studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step, an exchange of two names, may fail where nobody could know it before."""
    store = opened(studies)
    store.save("case0", labels / "1.nii.gz", "final", {})

    def fails(*_: object) -> bool:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(label_history, "put_in_place", fails)
        assert store.save("case0", labels / "2.nii.gz", "final", {}).number == 2
        (told,) = store.status()["damaged"].items()
    why = "it could not give way to version 2 yet: Operation not permitted"
    assert told == ("labels/final/case0.nii.gz", why)
    assert sha256(store.get_label_uri("case0", "final")) == sha256(labels / "2.nii.gz")
    assert opened(studies).save("case0", labels / "3.nii.gz", "final", {}).parent == 2
    assert "damaged" not in store.status()


@pytest.mark.slow
def test_f8_two_processes_save_at_once(savers: TextIO, studies: Path, labels: Path) -> None:
    watcher = opened(studies)
    first, second = ("case0", "case1", "shared"), ("case2", "case3", "shared")
    (studies / "shared.nii.gz").write_bytes((studies / "case0.nii.gz").read_bytes())
    acknowledged: list[tuple[str, int, str]] = []
    with (
        saving(savers, studies, labels, *first) as one,
        saving(savers, studies, labels, *second) as other,
    ):
        for saver in (one, other):
            for _ in range(SAVES):
                image, number, digest = saver.report.readline().split()
                acknowledged.append((image, int(number), digest))
        acknowledged += [*one.kill(), *other.kill()]
    numbered = [(image, number) for image, number, _ in acknowledged]
    assert len(set(numbered)) == len(numbered)
    for store in (watcher, opened(studies)):
        for image, number, digest in acknowledged:
            version = store.history(image, "final").get(number)
            assert version is not None
            assert version.sha256 == digest
        assert set(store.get_labeled_images()) == {*first, *second}


class TestL8FlatCost:
    """A save writes one line to the index, however many images there are."""

    def test_the_index_is_not_rewritten(self, tmp_path: Path) -> None:
        grown = []
        for cases in (10, 2000):
            folder = tmp_path / str(cases)
            folder.mkdir()
            index = Index(folder)
            index.put({f"case{n:05d}": entry() for n in range(cases)})
            index.compact()
            snapshot, size = index.path.stat().st_mtime_ns, index.journal.stat().st_size
            index.put({"case00001": entry()})
            assert index.path.stat().st_mtime_ns == snapshot
            grown.append(index.journal.stat().st_size - size)
        assert grown[0] == grown[1]

    def test_the_journal_does_not_grow_for_ever(self, tmp_path: Path) -> None:
        index = Index(tmp_path)
        for number in range(2100):
            index.put({f"case{number % 3}": entry(number)}, durable=False)
        assert index.journal.read_bytes().count(b"\n") <= 1001
        again = Index(tmp_path)
        again.catch_up()
        assert again.model.objects["case2"].image.info == {"n": 2099}

    def test_only_its_own_folder_is_read(
        self, studies: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = opened(studies)
        store.save("case0", labels / "1.nii.gz", "final", {})
        listed = []
        real = os.scandir

        def counted(path: str) -> object:
            listed.append(str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", counted)
        store.save("case0", labels / "2.nii.gz", "final", {})
        assert str(studies) not in listed
        assert str(studies / "labels" / "final") not in listed


def entry(number: int = 0) -> ImageLabelModel:
    return ImageLabelModel(image=DataModel(info={"n": number}, ext=".nii.gz"))


def test_a_version_is_what_was_sent(studies: Path, labels: Path) -> None:
    store = opened(studies)
    store.save("case0", labels / "3.nii.gz", "final", {})
    history = LabelHistory(studies / "labels" / "final", "case0")
    (version,) = history.all()
    assert history.file(version).read_bytes() == (labels / "3.nii.gz").read_bytes()
    assert voxels_of(history.file(version)).shape == SHAPE
    assert np.unique(voxels_of(history.file(version))).tolist() == [0, 3]
