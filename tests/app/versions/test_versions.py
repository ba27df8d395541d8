"""Versions: complete or not there, chosen by one small file; damaged ones are skipped.

Matrix F4, F5, F6 as far as weights are concerned.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import CheckpointError, OutputError
from segsam.model import load_pretrained
from segsam.model.checkpoint import default_name
from segsam.model.digests import encoder_id, weights_id
from segsam.system.checked_json import with_checksum
from segsam_app.config import AppConfig
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.inference.engine import Engine
from segsam_app.versions.folder import VersionFolder, version_folder_name
from segsam_app.versions.record import FIRST, VersionRecord

from ...lib.conftest import TinyHost
from ..tuning import tiny_checkpoint
from .publisher import publish

KILLS = int(os.environ.get("SEGSAM_TEST_KILLS", "2"))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    return tiny_checkpoint(tmp_path / "tiny.safetensors")


@pytest.fixture
def versions(tmp_path: Path, checkpoint: Path) -> VersionFolder:
    return VersionFolder.open(tmp_path / "versions", str(checkpoint))


def ids(versions: VersionFolder) -> list[str]:
    return [one.id for one in versions.history().versions]


def test_a_folder_begins_with_the_checkpoint(versions: VersionFolder, checkpoint: Path) -> None:
    history = versions.history()
    assert (history.current, ids(versions), history.damaged, history.notes) == (
        FIRST,
        [FIRST],
        {},
        (),
    )
    assert versions.checkpoint == str(checkpoint)
    first = history.find(FIRST)
    assert first.categories == ["liver", "spleen", "heart"]
    assert not versions.folder.exists(), "reading creates nothing"


def test_each_checkpoint_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert version_folder_name("segsam") == "segsam"
    assert version_folder_name(None) == version_folder_name(default_name())
    one, other = (version_folder_name(str(tmp_path / part / "a b.safetensors")) for part in "xy")
    assert one != other
    assert one.startswith("a_b-")
    assert version_folder_name("sam:/x/sam.pth").startswith("sam-")


def test_a_choice_that_was_changed_by_hand_is_noticed(
    versions: VersionFolder, checkpoint: Path
) -> None:
    """In place, with the same size, and with the time that the file had."""
    publish(versions, checkpoint, promoted=False)
    publish(versions, checkpoint, promoted=True)
    assert versions.current == "0002"
    file = versions.folder / "current.json"
    before = file.stat()
    changed = json.dumps(with_checksum({"version": "0001"}), indent=1)
    file.write_text(changed.ljust(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_ino, file.stat().st_size) == (before.st_ino, before.st_size)
    assert versions.current == "0001"


def test_published_promoted_chosen_and_rolled_back(
    versions: VersionFolder, checkpoint: Path
) -> None:
    assert publish(versions, checkpoint, promoted=True).id == "0001"
    assert publish(versions, checkpoint, promoted=False).id == "0002"
    assert (versions.current, ids(versions)) == ("0001", [FIRST, "0001", "0002"])
    assert versions.use("0002").current == versions.current == "0002"
    assert versions.checkpoint == str(versions.folder / "0002" / "model.safetensors")
    other = VersionFolder.open(versions.folder.parent, str(checkpoint))
    assert other.current == "0002", "another process sees the same"
    other.use(FIRST)
    assert (versions.current, versions.checkpoint) == (FIRST, str(checkpoint))
    with pytest.raises(NotFoundError, match="no version '0009'; there are 0000, 0001, 0002"):
        versions.use("0009")
    modes = {path.stat().st_mode & 0o222 for path in (versions.folder / "0001").iterdir()}
    assert modes == {0}, "nobody writes into a version"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut at 1 %": lambda content: content[: len(content) // 100],
    "cut at 50 %": lambda content: content[: len(content) // 2],
    "cut at 99 %": lambda content: content[: len(content) * 99 // 100],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "empty": lambda content: b"",
    "a program": lambda content: b"cos\nsystem\n(S'touch MARK'\ntR.",
}


def test_a_version_that_was_moved_away_gives_its_number_to_no_other(
    versions: VersionFolder, checkpoint: Path, tmp_path: Path
) -> None:
    """The choice that names it would make another version current that was not promoted."""
    publish(versions, checkpoint, promoted=True)
    publish(versions, checkpoint, promoted=True)
    (versions.folder / "0002").rename(tmp_path / "0002")
    assert publish(versions, checkpoint, promoted=False).id == "0003"
    assert versions.history().current == "0001"
    (tmp_path / "0002").rename(versions.folder / "0002")
    assert versions.history().current == "0002"


@pytest.mark.parametrize("how", DAMAGE, ids=str)
@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "version.json"])
def test_f6_damaged_versions_are_skipped_and_reported(
    versions: VersionFolder, checkpoint: Path, how: str, file: str, tmp_path: Path
) -> None:
    publish(versions, checkpoint, promoted=True)
    publish(versions, checkpoint, promoted=True)
    target = versions.folder / "0002" / file
    target.chmod(0o644)
    content = DAMAGE[how](target.read_bytes()).replace(b"MARK", str(tmp_path / "mark").encode())
    target.write_bytes(content)
    history = versions.history()
    assert (history.current, versions.current, ids(versions)) == ("0001", "0001", [FIRST, "0001"])
    assert set(history.damaged) == {"0002"}
    assert history.notes == (
        "version 0002, which is current, cannot be used; 0001 is used instead",
    )
    with pytest.raises(CheckpointError, match="version 0002 cannot be used"):
        versions.use("0002")
    assert load_pretrained(versions.checkpoint)
    assert not (tmp_path / "mark").exists()
    assert publish(versions, checkpoint, promoted=False).id == "0003", "no number is given twice"


def test_missing_weights_and_a_record_of_another_version(
    versions: VersionFolder, checkpoint: Path
) -> None:
    publish(versions, checkpoint, promoted=True)
    (versions.folder / "0001" / "model.safetensors").unlink()
    shutil.copytree(versions.folder / "0001", versions.folder / "0007")
    assert versions.history().damaged == {
        "0001": "its weights (model.safetensors) or their card (model.json) are missing",
        "0007": "version.json in 0007 is that of version 0001",
    }
    assert versions.current == FIRST


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 7}', '{"version": "0044"}'])
def test_a_damaged_choice_of_the_current_version(
    versions: VersionFolder, checkpoint: Path, content: str
) -> None:
    publish(versions, checkpoint, promoted=True)
    publish(versions, checkpoint, promoted=False)
    (versions.folder / "current.json").write_text(content)
    history = versions.history()
    assert history.current == "0001", "the newest that was promoted"
    assert len(history.notes) == 1
    assert "0001 is used instead" in history.notes[0]
    assert versions.use(FIRST).notes == ()


def test_f4_a_full_disk_adds_no_version(
    versions: VersionFolder, checkpoint: Path, full_after: Any
) -> None:
    publish(versions, checkpoint, promoted=True)
    with full_after(10_000), pytest.raises(OutputError):
        publish(versions, checkpoint, promoted=True)
    assert (ids(versions), versions.current) == ([FIRST, "0001"], "0001")
    names = ["0001", "current.json", "current.last.json"]
    assert sorted(path.name for path in versions.folder.iterdir()) == names
    assert publish(versions, checkpoint, promoted=True).id == "0002"


def test_f5_killed_while_it_publishes(versions: VersionFolder, checkpoint: Path) -> None:
    """The newest or the one before is there and whole, whenever the kill comes."""
    rng = random.Random(5)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.app.versions.publisher",
                str(versions.folder.parent),
                str(checkpoint),
            ],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        process.wait()
        process.stdout.close()
        history = versions.history()
        assert history.damaged == {}
        assert history.notes == ()
        assert load_pretrained(versions.checkpoint)
    with versions.training_lock():
        # A file might be the choice that somebody makes just now: such ones go after an hour.
        left = [path for path in versions.folder.glob(".*.partial") if path.is_dir()]
        assert not left, "and versions that were half written are swept"


def test_two_trainings_never_collide(versions: VersionFolder, checkpoint: Path) -> None:
    other = VersionFolder.open(versions.folder.parent, str(checkpoint))
    refused = pytest.raises(ConflictError, match="in another process; wait until")
    with versions.training_lock(), refused, other.training_lock(timeout=0):
        raise AssertionError
    with other.training_lock(timeout=0):
        """It is free again."""


def test_the_next_click_is_answered_by_the_current_version(
    versions: VersionFolder, checkpoint: Path
) -> None:
    engine = Engine(
        AppConfig(checkpoint=str(checkpoint), device="cpu"), lambda: versions.checkpoint
    )
    first = engine.model
    publish(versions, checkpoint, promoted=True)
    second = engine.model
    assert second is not first
    assert encoder_id(second.host) == encoder_id(first.host), "so cached embeddings serve both"
    assert weights_id(second) != weights_id(first)
    assert engine.model is second, "loaded once"
    versions.use(FIRST)
    assert engine.model is first, "it had not been forgotten"
    assert engine.model_of(versions.weights("0001")) is not second, "but the version had"


def test_records_hold_finite_numbers_only() -> None:
    with pytest.raises(CheckpointError, match="finite"):
        VersionRecord.model_validate(
            {"id": "0001", "why": "x", "metrics": {"after": {"d": float("nan")}}}
        )


def test_what_clients_see(versions: VersionFolder, checkpoint: Path) -> None:
    record = publish(versions, checkpoint, promoted=True)
    fields = record.public_fields
    assert {"id", "created", "parent", "promoted", "why", "cases", "metrics", "categories"} <= set(
        fields
    )
    assert "learnt" not in fields
    assert json.loads(json.dumps(fields))
    assert torch.isfinite(next(iter(load_pretrained(versions.checkpoint).parameters()))).all()
