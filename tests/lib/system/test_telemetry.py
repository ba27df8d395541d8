"""Nothing leaves unasked: commands with a home that was empty before the first of them, and sockets
refused. They share it, as the commands of a user do: the first ones measure and convert the image
encoder into our cache, which takes half a minute. They also share a process, which imports only
once what several of them need.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segsam.system.telemetry import quiet_variables, switch_off_reports

from ...watching import files_of_others, wanted_outside, watched_environment


@dataclass(frozen=True)
class Watched:
    """Environment with an empty home, without CI, whose Pythons are watched."""

    base: Path
    variables: dict[str, str]

    @property
    def home(self) -> Path:
        return self.base / "home"

    def run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self.base, env=self.variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    def check(self) -> None:
        """Nothing was wanted outside, and nothing but our cache is in the home."""
        assert wanted_outside(self.base) == ""
        assert files_of_others(self.base) == []


COMMANDS = """
import json, os, sys

statuses = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in iter(sys.stdin.readline, ""):
    from segsam.cli.app import main
    sys.argv = ["segsam", *json.loads(line)]
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code or 0
    statuses.write(f"{status}\\n")
    statuses.flush()
"""
"""Program that runs one command `segsam` after the other, and writes the exit status of each."""


@dataclass(frozen=True)
class User(Watched):
    """A user who calls one command after the other, in a process that runs `COMMANDS`."""

    process: subprocess.Popen[str]

    def segsam(self, *arguments: str) -> None:
        """Run a command, which must succeed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        status = self.process.stdout.readline()
        assert status == "0\n", (self.base / "output").read_text()[-6000:]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path, watched_environment(tmp_path))


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    base = tmp_path_factory.mktemp("user")
    write_image(base / "ct.nii.gz")
    (base / "archive").mkdir()
    write_image(base / "archive" / "thin.nii.gz", slices=1)
    write_dataset(base / "data")
    (base / "run.yaml").write_text(json.dumps(RUN))
    variables = watched_environment(base)
    with (
        (base / "output").open("w") as output,
        subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            cwd=base,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        yield User(base, variables, process)
    assert process.returncode == 0
    Watched(base, variables).check()  # nor at the end of the process


def write_image(path: Path, slices: int = 8) -> None:
    voxels = np.random.default_rng(7).normal(100, 8, (64, 56, slices)).astype(np.int16)
    voxels[20:40, 20:40, slices // 4 : slices - slices // 4] += 120
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.5, -1.5, 4.0, 1.0])), path)


def write_dataset(folder: Path) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(4):
        label = np.zeros((64, 56, 2), dtype=np.uint8)
        label[20 + number : 40, 20:40] = 1
        for part, voxels in (("images", label.astype(np.int16) * 90), ("labels", label)):
            image = nibabel.Nifti1Image(voxels, np.diag([-1.5, -1.5, 4.0, 1.0]))
            nibabel.save(image, folder / part / f"{number}.nii.gz")
    record = {"name": "squares", "modality": "CT", "labels": {"1": "liver"}}
    (folder / "dataset.json").write_text(json.dumps(record))


RUN = {
    "datasets": ["data"],
    "out": "run",
    "steps": 1,
    "images_per_step": 1,
    "prompts_per_image": 1,
    "validate_every": 1,
    "device": "cpu",
}


@pytest.mark.slow
class TestNothingLeaves:
    def test_the_watch_sees_what_leaves(self, watched: Watched) -> None:
        code = "import socket, contextlib\nwith contextlib.suppress(OSError):\n  "
        watched.run("-c", code + "socket.create_connection(('example.org', 80))")
        assert "example.org" in wanted_outside(watched.base)

    def test_of_a_command_with_openvino_and_a_picture(self, user: User) -> None:
        prompt = ["--box", "20,20,4,40,40,4", "--runtime", "openvino"]
        files = ["-o", "out.nii.gz", "--picture", "out.png", "--json", "out.json"]
        user.segsam("segment", "ct.nii.gz", *prompt, *files)
        assert (user.home / ".cache" / "segsam" / "openvino").is_dir(), "it was not used"
        user.check()

    @pytest.mark.parametrize(
        "command",
        [
            "doctor --json doctor.json",
            "auto archive/thin.nii.gz -o organs.nii.gz",
            "categories list",
            "models list",
            "batch segment archive -o done --auto --workers 0",
        ],
    )
    def test_of_other_commands(self, user: User, command: str) -> None:
        user.segsam(*command.split())
        user.check()

    def test_of_training_and_measuring(self, user: User) -> None:
        for command in (
            "split data -o split.json",
            "convert data slices --to med2d",
            "evaluate data --prompt box --json scores.json",
            "train run.yaml",
        ):
            user.segsam(*command.split())
            user.check()

    def test_of_importing_everything(self, user: User) -> None:
        code = (
            "import importlib, pkgutil, segsam\n"
            "for found in pkgutil.walk_packages(segsam.__path__, 'segsam.'):\n"
            "    if not found.name.startswith(('segsam.research.bench', 'segsam.batch.ray')):\n"
            "        importlib.import_module(found.name)\n"
        )
        off = "from segsam.system.telemetry import switch_off_reports as off\noff()\n"
        user.run("-c", off + code)
        user.check()

    def test_of_a_predictor_in_a_program(self, user: User) -> None:
        """Without the command line: importing OpenVINO through us reports nothing."""
        user.run("-c", "from segsam.model.runtimes.exporting import openvino; openvino.Core()")
        user.check()


class TestChoices:
    def test_a_variable_of_the_user_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in quiet_variables():
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
        switch_off_reports()
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        for name in quiet_variables():
            monkeypatch.delenv(name, raising=False)

    def test_an_id_that_mlflow_had_before_is_kept(self, watched: Watched) -> None:
        code = (
            "import sys, types\n"
            "mlflow = types.ModuleType('mlflow.telemetry')\n"
            "mlflow.set_telemetry_client = lambda: print('stopped')\n"
            "sys.modules['mlflow.telemetry'] = mlflow\n"
            "from segsam.system.telemetry import switch_off_reports\n"
            "switch_off_reports()\n"
        )
        file = watched.home / ".config" / "mlflow" / "telemetry.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"installation_id": "old"}))
        os.utime(file, (1, 1))
        assert watched.run("-c", code) == "stopped\n"
        assert file.is_file()
        os.utime(file, (2**32, 2**32))
        watched.run("-c", code)
        assert not file.parent.exists()
