"""Two workers of Ray Data, one of which is killed: the same results as without Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray Data is not installed: make batch-test")

pytestmark = pytest.mark.slow

CASES = 3
# For a machine that is busy otherwise: Ray gives its workers 60 s to start, at the lowest priority.
PATIENT = {"RAY_worker_register_timeout_seconds": "600", "RAY_worker_niceness": "0"}
# Compiling for OpenVINO takes each process longer than these volumes do.
PLAIN = {"SEGSAM_RUNTIME": "torch"}
SECONDS = 900


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three volumes with a box each, and a file that is no image."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(CASES):
        rng = np.random.default_rng(number)
        voxels = rng.normal(100, 8, (32, 28, 3))
        voxels[8:20, 9:19] += 100
        image = nibabel.Nifti1Image(voxels.astype(np.int16), np.diag([1.0, 1.0, 3.0, 1.0]))
        nibabel.save(image, folder / f"case{number}.nii.gz")
        box = {"min_ijk": [7, 8, 1], "max_ijk": [20, 19, 2]}
        (folder / f"case{number}.prompts.json").write_text(json.dumps({"boxes": [box]}))
    (folder / "broken.nii.gz").write_bytes(b"no image")
    (folder / "broken.prompts.json").write_text(json.dumps({"boxes": [box]}))
    return folder


def command(archive: Path, out: Path, workers: int) -> list[str]:
    start = [sys.executable, "-c", "from segsam.cli.app import main; main()", "batch", "segment"]
    start += [str(archive), "-o", str(out)]
    more = ["--workers", str(workers), "--threads", "1", "--checkpoint", "litemedsam"]
    return [*start, *more, "--json", str(out) + ".json"]


def killed_while_working(process: subprocess.Popen[bytes], out: Path) -> str:
    """The case at which a worker was killed."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for path in (out / "started").glob("case*.json"):
            try:
                started = json.loads(path.read_text())
            except (OSError, ValueError):
                continue  # just finished
            os.kill(int(started["worker"].rpartition(":")[2]), signal.SIGKILL)
            return path.stem
        time.sleep(0.01)
    pytest.fail("no worker started a case")


def content(out: Path) -> dict[str, bytes]:
    return {
        path.name: np.asarray(nibabel.load(path).dataobj).tobytes()
        for path in sorted((out / "labels").iterdir())
    }


def rounded(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a case; their certainties may differ by float32's rounding."""
    return [
        {key: round(value, 3) if isinstance(value, float) else value for key, value in one.items()}
        for one in result.get("objects", [])
    ]


def records(out: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "records").iterdir()}


@pytest.mark.timeout(2 * SECONDS)
def test_a_killed_worker_changes_nothing(archive: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    ours = os.environ | PLAIN
    assert subprocess.run(command(archive, alone, 0), check=False, env=ours).returncode == 1
    process = subprocess.Popen(command(archive, together, 2), env=ours | PATIENT)
    try:
        case = killed_while_working(process, together)
        assert process.wait(SECONDS) == 1, "one case is no image"
    finally:
        process.kill()
    expected, found = records(alone), records(together)
    assert set(found) == set(expected) == {"broken", *(f"case{n}" for n in range(CASES))}
    assert found[case]["attempts"] == 2
    assert len({one["worker"] for one in found.values()}) >= 2
    assert content(together) == content(alone)
    for name, record in expected.items():
        one, other = (rounded(each["result"]) for each in (found[name], record))
        assert one == other
        assert (found[name]["status"], found[name]["error"]) == (record["status"], record["error"])
    assert not list((together / "started").glob("*.json"))
    summary = json.loads((tmp_path / "together.json").read_text())
    assert (summary["done"], list(summary["failed"])) == (CASES, ["broken"])
    again = subprocess.run(command(archive, together, 0), check=False, capture_output=True)
    assert again.returncode == 1
    assert json.loads((tmp_path / "together.json").read_text())["done_before"] == CASES
