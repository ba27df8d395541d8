"""Runner that does what is missing of a study; stopped at any time, it repeats nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import SegSamError, StudyError
from segsam.research.machine import machine_facts
from segsam.research.study.collect import collect_result, is_complete
from segsam.research.study.plan import Entry, Study
from segsam.research.study.results import Result, load_results
from segsam.research.study.steps import FACTS, Step, StudyFolders, steps_of, write_config
from segsam.system.atomic import write_json

_LOG = "log.txt"
_TAIL_LINES = 3


@dataclass(frozen=True)
class Outcome:
    """Outcome of one run; `error` is empty if all of it is done."""

    id: str
    error: str = ""


def run_study(
    study: Study,
    folders: StudyFolders,
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    report: Callable[[str], None],
) -> list[Outcome]:
    """Train and measure what is missing, and store the results.

    If a run fails, the others are still done.

    Args:
        study: the runs.
        folders: the folders on this machine.
        only: names of runs, or of single entries (with their seed); empty for all.
        jobs: number of runs at the same time; with two or more, each has one thread.
        report: called with a line of text when something begins or ends.

    Raises:
        StudyError: an unknown name in `only`.
    """
    entries = [one for one in study.entries if not only or {one.id, one.run} & set(only)]
    unknown = set(only) - {name for one in entries for name in (one.id, one.run)}
    if unknown:
        known = ", ".join(dict.fromkeys(one.run for one in study.entries))
        raise StudyError(f"Expected runs of {known}, got {', '.join(sorted(unknown))}.")
    processes = ChildProcesses(threads=1 if jobs > 1 else 0)
    runner = _Runner(study, folders, load_results(folders.results), processes, report)
    with ThreadPoolExecutor(max_workers=jobs) as pool, processes.ended_at_exit():
        return list(pool.map(runner.outcome, entries))


class ChildProcesses:
    """Running processes of the study."""

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        """Threads of each process; 0 for as many as the machine has cores."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path) -> int:
        """Run a command, append its output to `log`, and return its exit code.

        Raises:
            StudyError: if the study was stopped.
        """
        environment = dict(os.environ)
        if self.threads:
            environment |= {"OMP_NUM_THREADS": str(self.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with log.open("ab") as file:
            with self._lock:
                if self._stopped:
                    raise StudyError("The study was stopped.")
                process = subprocess.Popen(
                    command,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # only this process gets Ctrl-C, and ends the others
                )
                self._running.add(process)
            try:
                code = process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)
        if self.is_stopped:
            raise StudyError("The study was stopped.")
        return code

    @property
    def is_stopped(self) -> bool:
        """True after the study was stopped, so that commands end for no fault of their own."""
        with self._lock:
            return self._stopped

    @contextlib.contextmanager
    def ended_at_exit(self) -> Iterator[None]:
        """Terminate all processes when the block is left, as by Ctrl-C or a signal."""
        try:
            yield
        finally:
            with self._lock:
                self._stopped = True
                for process in self._running:
                    process.terminate()


@dataclass(frozen=True)
class _Runner:
    study: Study
    folders: StudyFolders
    stored: Mapping[str, Result]
    processes: ChildProcesses
    report: Callable[[str], None]

    def outcome(self, entry: Entry) -> Outcome:
        try:
            self._complete(entry)
        except SegSamError as error:
            self.report(
                f"{entry.id}: {'stopped' if self.processes.is_stopped else f'failed. {error}'}"
            )
            return Outcome(entry.id, str(error))
        return Outcome(entry.id)

    def _complete(self, entry: Entry) -> None:
        stored = self.stored.get(entry.id)
        if not self.folders.of(entry).exists() and stored and is_complete(stored, entry):
            self.report(f"{entry.id}: its result is stored")
            return
        write_config(entry, self.study, self.folders)
        self._write_facts(entry)
        for step in steps_of(entry, self.study, self.folders):
            if not step.is_done:
                self._run(entry, step)
                collect_result(entry, self.folders).save(self.folders.results)
        result = collect_result(entry, self.folders).save(self.folders.results)
        self.report(f"{entry.id}: done, {result.name}")

    def _run(self, entry: Entry, step: Step) -> None:
        self.report(f"{entry.id}: {step.title}")
        log = self.folders.of(entry) / _LOG
        code = self.processes.run(step.command, log)
        if code or not step.is_done:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = " ".join(lines[-_TAIL_LINES:]) or "without output"
            raise StudyError(f"It could not {step.title} (exit code {code}): {last}")

    def _write_facts(self, entry: Entry) -> None:
        """Write the facts about machine and code when the run starts."""
        path = self.folders.of(entry) / FACTS
        if path.is_file():
            return
        split = Path(self.study.split)
        digest = hashlib.sha256(split.read_bytes()).hexdigest() if split.is_file() else ""
        threads = self.processes.threads or int(entry.config.get("threads", 0))
        write_json(path, machine_facts(threads) | {"split_sha256": digest[:16]})
