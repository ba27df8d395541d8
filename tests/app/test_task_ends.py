"""A task whose process was killed says so, in its status and in the progress of a training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from monailabel.utils.async_tasks import utils as async_tasks

from segsam.system.atomic import write_json
from segsam.system.checked_json import CHECKSUM, with_checksum
from segsam_app.config import AppConfig
from segsam_app.task_ends import Kind, note_ends, stop_task, unfinished_tasks, watch_ends
from segsam_app.task_record import TASKS, TaskRecord, damage_of_tasks
from segsam_app.training.progress import (
    ACCEPTED,
    DONE,
    ERROR,
    LEARNING,
    STOPPED,
    ProgressFile,
    damage_of_progress,
    last_checkpoint,
    note_accepted,
    note_end,
    read_progress,
    what_remains,
)
from segsam_app.training.task import ACCEPTED_KEY, SegSamTrain
from segsam_app.versions.folder import VersionFolder

from .conftest import soon
from .flipping import flipped, flips

KINDS: tuple[Kind, ...] = ("train", "batch_infer", "scoring")
NAMES = {"train": "training", "batch_infer": "batch inference", "scoring": "scoring"}
Ends = list[tuple[str, bool, str]]


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    return gone.pid


@pytest.fixture
def program() -> str:
    """What the process of a task runs."""
    return "input()"


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch, program: str) -> Iterator[int]:
    """Tasks of MONAI Label that wait for a line instead of their work, on its own code for the
    rest; the pipe for that line.
    """
    popen = subprocess.Popen
    read_end, write_end = os.pipe()
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(
        async_tasks.subprocess,
        "Popen",
        lambda command, **more: popen([sys.executable, "-c", program], stdin=read_end, **more),
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


def begun(kind: Kind, ends: Ends, **request: Any) -> tuple[dict[str, Any], Any]:
    """Start a task and return it with its process; `ends` collects what is told of its end."""
    watch_ends(kind, lambda task, pid, stopped, why: ends.append((task["id"], stopped, why)))
    task = async_tasks.run_background_task({"model": "segsam", **request}, kind)
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
        assert ends == [(task["id"], False, "")]

    @pytest.mark.parametrize("program", ["raise SystemExit(input())"])
    def test_with_an_error_of_its_own_it_may_have_said_why(self, sleeping: int) -> None:
        ends: Ends = []
        task, _ = begun("train", ends)
        os.write(sleeping, b"it is over\n")
        assert soon(lambda: task["status"] == "ERROR")
        assert "why" not in task
        words = "the training ended with status 1, see the log of the server; start it again"
        assert ends == [(task["id"], False, words)]

    @pytest.mark.parametrize("program", ["import subprocess as s; s.run(['sleep', '60'])"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_killed_it_has_ended_for_whoever_asks(self, kind: Kind) -> None:
        """MONAI Label's thread still reads, as a child of the process has the same output."""
        ends: Ends = []
        task, process = begun(kind, ends)
        (child,) = soon(lambda: psutil.Process(process.pid).children())
        assert [one["id"] for one in unfinished_tasks(kind)] == [task["id"]]
        process.kill()
        assert soon(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert task["status"] == "RUNNING"
        note_ends(kind)
        assert (task["status"], child.is_running()) == ("ERROR", True)
        assert "was ended by signal 9 (SIGKILL)" in task["why"]
        assert task["end_ts"] >= task["start_ts"]
        assert ends == [(task["id"], False, task["why"])]
        assert unfinished_tasks(kind) == []
        child.kill()


@pytest.fixture
def task(tmp_path: Path) -> SegSamTrain:
    versions = VersionFolder.open(tmp_path, "segsam-fast")
    versions.folder.mkdir(parents=True)
    return SegSamTrain(versions, AppConfig(device="cpu"))


class TestProgress:
    def written(self, folder: Path, pid: int) -> None:
        """Write the progress of a training under way in the process `pid`."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: pid)
            ProgressFile(folder).phase(LEARNING, "learning")

    def test_a_training_that_runs_is_left_alone(self, tmp_path: Path) -> None:
        self.written(tmp_path, os.getpid())
        assert read_progress(tmp_path)["status"] == LEARNING

    def test_without_its_process_it_has_ended(self, tmp_path: Path, dead: int) -> None:
        self.written(tmp_path, dead)
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
        self, task: SegSamTrain, sleeping: int
    ) -> None:
        """Not the one before is shown."""
        folder = task._versions.folder
        self.written(folder, os.getpid())
        assert task.stats()["status"] == LEARNING
        accepted = task.accept()
        assert task.stats()["status"] == LEARNING, "no process of this server has begun"
        note_end(folder, os.getpid(), STOPPED, "it was stopped")
        assert task.stats()["what"] == "starting", "MONAI Label makes its task in this moment"
        _, child = begun("train", [], **{ACCEPTED_KEY: accepted})
        found = task.stats()
        assert (found["status"], found["what"]) == ("preparing", "starting")
        assert (found["pid"], found["accepted"]) == (child.pid, accepted)
        ProgressFile(folder, accepted=accepted).phase(LEARNING, "learning")
        assert task.stats()["status"] == LEARNING
        os.write(sleeping, b"\n")


class TestAcceptedTrainings:
    """A server was killed: trainings that it had accepted are not forgotten."""

    NEVER_BEGAN = "this training was interrupted before its first step: start it again"

    def accepted(self, folder: Path, times: list[float], server: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: server)
            note_accepted(folder, times)

    def done(self, folder: Path, accepted: float | None = None) -> None:
        progress = ProgressFile(folder, accepted=accepted)
        progress.learning(1)
        progress.finish(DONE, "version 0001 was added")

    def test_one_that_never_began_is_shown_and_not_the_one_before(
        self, tmp_path: Path, dead: int
    ) -> None:
        self.done(tmp_path)
        later = time.time() + 5
        self.accepted(tmp_path, [later], dead)
        found = read_progress(tmp_path)
        assert (found["status"], found["why"]) == (ERROR, self.NEVER_BEGAN)
        assert (found["accepted"], found["started"]) == (later, later)
        assert "total_time" not in found

    def test_while_its_server_runs_it_may_begin(self, tmp_path: Path) -> None:
        self.done(tmp_path)
        later = time.time() + 5
        self.accepted(tmp_path, [later], os.getppid())
        assert read_progress(tmp_path)["status"] == DONE
        self.accepted(tmp_path, [later], os.getpid())
        assert read_progress(tmp_path, [later])["status"] == DONE

    def test_a_new_server_with_the_number_of_the_old_one(self, tmp_path: Path) -> None:
        """As in a container, where each server is process 1, and starts at once."""
        self.done(tmp_path)
        self.accepted(tmp_path, [time.time() + 5], os.getpid())
        assert read_progress(tmp_path)["why"] == self.NEVER_BEGAN

    def test_one_that_began_tells_of_itself(self, tmp_path: Path, dead: int) -> None:
        """Whatever the clock did in between."""
        accepted = time.time() + 9999
        self.accepted(tmp_path, [accepted], dead)
        self.done(tmp_path, accepted)
        assert read_progress(tmp_path)["why"] == "version 0001 was added"

    def test_a_later_one_of_the_command_line_is_shown(self, tmp_path: Path, dead: int) -> None:
        self.accepted(tmp_path, [time.time() - 5], dead)
        self.done(tmp_path)
        assert read_progress(tmp_path)["status"] == DONE

    def test_one_that_waited_is_named_by_the_one_before(self, tmp_path: Path, dead: int) -> None:
        first, second = time.time() - 5, time.time() - 4
        self.done(tmp_path, first)
        self.accepted(tmp_path, [first, second], dead)
        found = read_progress(tmp_path)
        assert found["status"] == DONE
        assert found["why"] == (
            "version 0001 was added; the training that waited for it was interrupted too: start it "
            "again"
        )

    def test_a_damaged_list_is_named_and_stops_nothing(self, tmp_path: Path, dead: int) -> None:
        self.done(tmp_path)
        self.accepted(tmp_path, [time.time() + 5], dead)
        assert damage_of_progress(tmp_path, ACCEPTED) == ""
        for bit in flips(tmp_path / ACCEPTED, 25):
            with flipped(tmp_path / ACCEPTED, bit):
                assert read_progress(tmp_path)["status"] == DONE
                assert damage_of_progress(tmp_path, ACCEPTED), bit

    def test_the_next_start_names_it_until_another_is_accepted(
        self, task: SegSamTrain, sleeping: int, dead: int
    ) -> None:
        folder = task._versions.folder
        self.done(folder)
        self.accepted(folder, [time.time()], dead)
        assert task.stats()["why"] == self.NEVER_BEGAN
        begun("train", [], **{ACCEPTED_KEY: task.accept()})
        assert task.stats()["what"] == "starting"
        assert "why" not in task.stats()


class TestWhatRemains:
    def test_before_its_plan_is_compared_nothing_is_said(self, tmp_path: Path) -> None:
        """A checkpoint that is there may be of another training."""
        last_checkpoint(tmp_path).parent.mkdir(parents=True)
        last_checkpoint(tmp_path).write_bytes(b"")
        assert what_remains(tmp_path, 1.0) == "it had made no step: start it again"
        ProgressFile(tmp_path, accepted=2.0).phase(LEARNING, "learning")
        assert what_remains(tmp_path, 1.0) == "it had made no step: start it again"
        ProgressFile(tmp_path, accepted=1.0).add(left_out=[])
        assert what_remains(tmp_path, 1.0) == "it had made no step: start it again"

    def test_it_continues_only_from_a_checkpoint(self, tmp_path: Path, dead: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "getpid", lambda: dead)
            ProgressFile(tmp_path, accepted=1.0).phase(LEARNING, "learning")
        anew = "it left no checkpoint, so the next training starts anew"
        assert what_remains(tmp_path, 1.0) == anew
        assert read_progress(tmp_path)["why"].endswith(f"perhaps memory ran out; {anew}")
        last_checkpoint(tmp_path).parent.mkdir(parents=True)
        last_checkpoint(tmp_path).write_bytes(b"")
        continues = "the next training on the same labels continues from its last checkpoint"
        assert what_remains(tmp_path, 1.0) == continues
        assert read_progress(tmp_path)["why"].endswith(f"perhaps memory ran out; {continues}")


class TestTaskRecord:
    """A batch inference and a scoring are known after a new start as long as they ended badly."""

    @pytest.fixture
    def record(self, tmp_path: Path) -> TaskRecord:
        return TaskRecord(tmp_path)

    def from_another(self, folder: Path, server: int) -> None:
        """Let the record be that of another server."""
        text = (folder / TASKS).read_text()
        found = {key: value for key, value in json.loads(text).items() if key != CHECKSUM}
        for task in found.values():
            task["server"] = server
        write_json(folder / TASKS, with_checksum(found))

    def test_what_ran_when_its_server_died(
        self, record: TaskRecord, tmp_path: Path, dead: int
    ) -> None:
        record.note_accepted("batch_infer", {"model": "segsam", "images": "all", "label_tag": "x"})
        assert record.interrupted("scoring") is None
        self.from_another(tmp_path, os.getppid())
        assert record.interrupted("batch_infer") is None, "another server may have it"
        self.from_another(tmp_path, dead)
        found = record.interrupted("batch_infer")
        assert found is not None
        assert (found["status"], found["request"]["images"]) == ("ERROR", "all")
        assert found["why"] == (
            "it was interrupted: its server ended, or was ended, before it did; the labels that it "
            "saved are kept"
        )

    @pytest.mark.parametrize("status", ["ERROR", "STOPPED"])
    def test_what_had_ended_badly_keeps_its_reason(
        self, record: TaskRecord, tmp_path: Path, dead: int, status: str
    ) -> None:
        record.note_accepted("scoring", {"method": "dice"})
        record.note_end("scoring", {"method": "another"}, status, "another one")
        record.note_end("scoring", {"method": "dice"}, status, "by signal 9")
        self.from_another(tmp_path, dead)
        found = record.interrupted("scoring")
        assert found is not None
        assert (found["status"], found["why"]) == (status, "by signal 9")

    def test_what_ended_well_is_forgotten(self, record: TaskRecord) -> None:
        record.note_accepted("scoring", {"method": "dice"})
        record.note_end("scoring", {"method": "dice"}, "ERROR", "")
        assert record.interrupted("scoring") is None

    def test_a_damaged_record_is_named_and_stops_nothing(
        self, record: TaskRecord, tmp_path: Path, dead: int
    ) -> None:
        record.note_accepted("scoring", {"method": "dice"})
        self.from_another(tmp_path, dead)
        assert damage_of_tasks(tmp_path) == ""
        for bit in flips(tmp_path / TASKS, 20):
            with flipped(tmp_path / TASKS, bit):
                assert damage_of_tasks(tmp_path)
                assert record.interrupted("scoring") is None
        record.note_accepted("batch_infer", {"model": "segsam"})
        assert damage_of_tasks(tmp_path) == ""
