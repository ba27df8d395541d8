"""A task whose process was killed says so, in its status and in the progress of a training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monailabel.utils.async_tasks import utils as async_tasks

from segsam_app.config import AppConfig
from segsam_app.task_ends import Kind, stop_task, watch_ends
from segsam_app.training.progress import (
    ERROR,
    LEARNING,
    STOPPED,
    ProgressFile,
    note_end,
    read_progress,
)
from segsam_app.training.task import SegSamTrain
from segsam_app.versions.folder import VersionFolder

from .conftest import soon

KINDS: tuple[Kind, ...] = ("train", "batch_infer", "scoring")
NAMES = {"train": "training", "batch_infer": "batch inference", "scoring": "scoring"}
Ends = list[tuple[str, bool, str]]


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Tasks of MONAI Label that wait for a line instead of their work, on its own code for the
    rest; the pipe for that line.
    """
    popen = subprocess.Popen
    read_end, write_end = os.pipe()
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(
        async_tasks.subprocess,
        "Popen",
        lambda command, **more: popen([sys.executable, "-c", "input()"], stdin=read_end, **more),
    )
    for name in ("background_tasks", "background_processes", "background_executors"):
        monkeypatch.setattr(async_tasks, name, {})
    yield write_end
    os.close(read_end)
    os.close(write_end)
    for processes in async_tasks.background_processes.values():
        for process in list(processes.values()):
            process.kill()
    for executor in async_tasks.background_executors.values():
        executor.shutdown()


def begun(kind: Kind, ends: Ends) -> tuple[dict[str, Any], Any]:
    """Start a task and return it with its process; `ends` collects what is told of its end."""
    watch_ends(kind, lambda task, pid, stopped, why: ends.append((task["id"], stopped, why)))
    task = async_tasks.run_background_task({"model": "segsam"}, kind)
    return task, soon(lambda: async_tasks.processes(kind).get(task["id"]))


@pytest.mark.usefixtures("sleeping")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
class TestATask:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (signal.SIGKILL, "signal 9 (SIGKILL): perhaps memory ran out, or somebody ended it; "),
            (signal.SIGSEGV, "signal 11 (SIGSEGV); "),
        ],
    )
    def test_killed_it_says_by_which_signal(
        self, kind: Kind, number: signal.Signals, words: str
    ) -> None:
        ends: Ends = []
        task, process = begun(kind, ends)
        process.send_signal(number)
        assert soon(lambda: task["status"] == "ERROR")
        assert words in task["why"]
        assert f"the process of the {NAMES[kind]} was ended by" in task["why"]
        assert ends == [(task["id"], False, task["why"])]

    @pytest.mark.parametrize("kind", KINDS)
    def test_stopped_by_a_client_it_says_that(self, kind: Kind) -> None:
        ends: Ends = []
        task, process = begun(kind, ends)
        assert stop_task(kind) == task
        process.wait()
        assert task["status"] == "STOPPED"
        assert " was stopped; " in task["why"]
        assert ends == [(task["id"], True, task["why"])]
        assert stop_task(kind) is None

    def test_ended_by_itself_it_says_nothing_more(self, sleeping: int) -> None:
        ends: Ends = []
        task, _ = begun("train", ends)
        os.write(sleeping, b"\n")
        assert soon(lambda: task["status"] == "DONE")
        assert "why" not in task
        assert ends == []


class TestProgress:
    def written(self, folder: Path, pid: int) -> None:
        """Write the progress of a training under way in the process `pid`."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: pid)
            ProgressFile(folder).phase(LEARNING, "learning")

    def test_a_training_that_runs_is_left_alone(self, tmp_path: Path) -> None:
        self.written(tmp_path, os.getpid())
        assert read_progress(tmp_path)["status"] == LEARNING

    def test_without_its_process_it_has_ended(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as gone:
            gone.wait()
        self.written(tmp_path, gone.pid)
        found = read_progress(tmp_path)
        assert found["status"] == ERROR
        assert found["why"].startswith("the process of the training ended before the training did")

    def test_a_later_process_of_the_same_number_is_another_one(self, tmp_path: Path) -> None:
        self.written(tmp_path, os.getpid())
        os.utime(tmp_path / "training.json", (0, 0))
        assert read_progress(tmp_path)["status"] == ERROR

    def test_who_sees_the_end_writes_it(self, tmp_path: Path) -> None:
        self.written(tmp_path, os.getpid())
        note_end(tmp_path, os.getpid() + 1, ERROR, "of another one")
        assert read_progress(tmp_path)["status"] == LEARNING
        note_end(tmp_path, os.getpid(), STOPPED, "it was stopped")
        note_end(tmp_path, os.getpid(), ERROR, "too late")
        found = read_progress(tmp_path)
        assert (found["status"], found["why"]) == (STOPPED, "it was stopped")

    def test_one_that_ended_before_it_wrote_is_noted(self, tmp_path: Path) -> None:
        self.written(tmp_path, os.getpid())
        later = time.time() + 60
        note_end(tmp_path, os.getpid() + 1, STOPPED, "it was stopped", accepted=later)
        found = read_progress(tmp_path)
        assert (found["pid"], found["status"]) == (os.getpid() + 1, STOPPED)
        assert (found["why"], found["started"]) == ("it was stopped", later)

    def test_a_training_that_was_accepted_is_starting_until_it_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not the one before is shown."""
        versions = VersionFolder.open(tmp_path, "segsam-fast")
        task = SegSamTrain(versions, AppConfig(device="cpu"))
        versions.folder.mkdir(parents=True)
        self.written(versions.folder, os.getpid())
        assert task.stats()["status"] == LEARNING
        monkeypatch.setattr(task, "_accepted", time.time() + 1)
        assert task.stats()["status"] == LEARNING, "no process of this server has begun"
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            running = {"id": child}
            monkeypatch.setattr("segsam_app.training.task.processes", lambda kind: running)
            found = task.stats()
            assert (found["status"], found["what"]) == ("preparing", "starting")
            assert found["pid"] == child.pid
            child.kill()
