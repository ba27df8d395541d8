"""Versions: whole or not there, chosen by one small file, and whatever is damaged is passed over.

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
from segsam_app.config import AppConfig
from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.inference.engine import Engine
from segsam_app.versions.line import line_name, open_line
from segsam_app.versions.record import FIRST, VersionRecord
from segsam_app.versions.shelf import Versions

from ...lib.conftest import TinyHost
from ..tuning import tiny_checkpoint
from .publisher import publish

KILLS = int(os.environ.get("SEGSAM_TEST_KILLS", "2"))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    return tiny_checkpoint(tmp_path / "tiny.safetensors")


@pytest.fixture
def line(tmp_path: Path, checkpoint: Path) -> Versions:
    return open_line(tmp_path / "versions", str(checkpoint))


def ids(line: Versions) -> list[str]:
    return [one.id for one in line.look().versions]


def test_a_line_begins_with_the_checkpoint(line: Versions, checkpoint: Path) -> None:
    shelf = line.look()
    assert (shelf.current, ids(line), shelf.damaged, shelf.notes) == (FIRST, [FIRST], {}, ())
    assert line.checkpoint == str(checkpoint)
    first = shelf.find(FIRST)
    assert first.categories == ["liver", "spleen", "heart"]
    assert not line.folder.exists(), "looking makes nothing"


def test_each_checkpoint_has_a_line_of_its_own(tmp_path: Path) -> None:
    assert line_name("segsam") == "segsam"
    assert line_name(None) == line_name(default_name())
    one, other = (line_name(str(tmp_path / part / "a b.safetensors")) for part in "xy")
    assert one != other
    assert one.startswith("a_b-")
    assert line_name("sam:/x/sam.pth").startswith("sam-")


def test_published_promoted_chosen_and_rolled_back(line: Versions, checkpoint: Path) -> None:
    assert publish(line, checkpoint, promoted=True).id == "0001"
    assert publish(line, checkpoint, promoted=False).id == "0002"
    assert (line.current, ids(line)) == ("0001", [FIRST, "0001", "0002"])
    assert line.use("0002").current == line.current == "0002"
    assert line.checkpoint == str(line.folder / "0002" / "model.safetensors")
    other = open_line(line.folder.parent, str(checkpoint))
    assert other.current == "0002", "another process sees the same"
    other.use(FIRST)
    assert (line.current, line.checkpoint) == (FIRST, str(checkpoint))
    with pytest.raises(NotFoundError, match="no version '0009'; there are 0000, 0001, 0002"):
        line.use("0009")
    modes = {path.stat().st_mode & 0o222 for path in (line.folder / "0001").iterdir()}
    assert modes == {0}, "nobody writes into a version"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut at 1 %": lambda content: content[: len(content) // 100],
    "cut at 50 %": lambda content: content[: len(content) // 2],
    "cut at 99 %": lambda content: content[: len(content) * 99 // 100],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "empty": lambda content: b"",
    "a program": lambda content: b"cos\nsystem\n(S'touch MARK'\ntR.",
}


@pytest.mark.parametrize("how", DAMAGE, ids=str)
@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "version.json"])
def test_f6_what_is_damaged_is_passed_over_and_said(
    line: Versions, checkpoint: Path, how: str, file: str, tmp_path: Path
) -> None:
    if file != "model.safetensors" and how == "one bit":
        pytest.skip("a letter of a text is no damage to tell")
    publish(line, checkpoint, promoted=True)
    publish(line, checkpoint, promoted=True)
    target = line.folder / "0002" / file
    target.chmod(0o644)
    content = DAMAGE[how](target.read_bytes()).replace(b"MARK", str(tmp_path / "mark").encode())
    target.write_bytes(content)
    shelf = line.look()
    assert (shelf.current, line.current, ids(line)) == ("0001", "0001", [FIRST, "0001"])
    assert set(shelf.damaged) == {"0002"}
    assert shelf.notes == ("version 0002, which is current, cannot be used; 0001 is used instead",)
    with pytest.raises(CheckpointError, match="version 0002 cannot be used"):
        line.use("0002")
    assert load_pretrained(line.checkpoint)
    assert not (tmp_path / "mark").exists()
    assert publish(line, checkpoint, promoted=False).id == "0003", "no number is given twice"


def test_weights_that_are_gone_and_a_name_that_is_none(line: Versions, checkpoint: Path) -> None:
    publish(line, checkpoint, promoted=True)
    (line.folder / "0001" / "model.safetensors").unlink()
    shutil.copytree(line.folder / "0001", line.folder / "0007")
    assert line.look().damaged == {
        "0001": "its weights (model.safetensors) or their card (model.json) are missing",
        "0007": "version.json in 0007 is that of version 0001",
    }
    assert line.current == FIRST


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 7}', '{"version": "0044"}'])
def test_what_names_the_current_version_is_damaged(
    line: Versions, checkpoint: Path, content: str
) -> None:
    publish(line, checkpoint, promoted=True)
    publish(line, checkpoint, promoted=False)
    (line.folder / "current.json").write_text(content)
    shelf = line.look()
    assert shelf.current == "0001", "the newest that was promoted"
    assert len(shelf.notes) == 1
    assert "0001 is used instead" in shelf.notes[0]
    assert line.use(FIRST).notes == ()


def test_f4_a_full_disk_adds_no_version(line: Versions, checkpoint: Path, full_after: Any) -> None:
    publish(line, checkpoint, promoted=True)
    with full_after(10_000), pytest.raises(OutputError):
        publish(line, checkpoint, promoted=True)
    assert (ids(line), line.current) == ([FIRST, "0001"], "0001")
    assert sorted(path.name for path in line.folder.iterdir()) == ["0001", "current.json"]
    assert publish(line, checkpoint, promoted=True).id == "0002"


def test_f5_killed_while_it_publishes(line: Versions, checkpoint: Path) -> None:
    """The newest or the one before is there and whole, whenever the kill comes."""
    rng = random.Random(5)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.app.publisher", str(line.folder.parent), str(checkpoint)],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        process.wait()
        process.stdout.close()
        shelf = line.look()
        assert shelf.damaged == {}
        assert shelf.notes == ()
        assert load_pretrained(line.checkpoint)
    with line.training():
        # A file might be the choice that somebody makes just now: such ones go after an hour.
        left = [path for path in line.folder.glob(".*.partial") if path.is_dir()]
        assert not left, "and versions that were half written are swept"


def test_two_trainings_never_collide(line: Versions, checkpoint: Path) -> None:
    other = open_line(line.folder.parent, str(checkpoint))
    refused = pytest.raises(ConflictError, match="in another process; wait for its end")
    with line.training(), refused, other.training(patience=0):
        raise AssertionError
    with other.training(patience=0):
        """It is free again."""


def test_the_next_click_is_answered_by_the_current_version(
    line: Versions, checkpoint: Path
) -> None:
    engine = Engine(AppConfig(checkpoint=str(checkpoint), device="cpu"), lambda: line.checkpoint)
    first = engine.model
    publish(line, checkpoint, promoted=True)
    second = engine.model
    assert second is not first
    assert encoder_id(second.host) == encoder_id(first.host), "so kept embeddings serve both"
    assert weights_id(second) != weights_id(first)
    assert engine.model is second, "loaded once"
    line.use(FIRST)
    assert engine.model is first, "it had not been forgotten"
    assert engine.model_of(line.weights("0001")) is not second, "but the version had"


def test_records_hold_finite_numbers_only() -> None:
    with pytest.raises(ValueError, match="finite"):
        VersionRecord.model_validate(
            {"id": "0001", "why": "x", "metrics": {"after": {"d": float("nan")}}}
        )


def test_what_clients_see(line: Versions, checkpoint: Path) -> None:
    record = publish(line, checkpoint, promoted=True)
    told = record.told
    assert {"id", "created", "parent", "promoted", "why", "cases", "metrics", "categories"} <= set(
        told
    )
    assert "learnt" not in told
    assert json.loads(json.dumps(told))
    assert torch.isfinite(next(iter(load_pretrained(line.checkpoint).parameters()))).all()
