"""Doing what is missing of a study: restartable at any kill, nothing that is done is done again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from segsam.errors import SegSamError, StudyError
from segsam.research.study.collecting import collected, is_complete
from segsam.research.study.commands import FACTS, Places, Step, steps_of, write_config
from segsam.research.study.machine import machine_facts
from segsam.research.study.plan import Entry, Study
from segsam.research.study.results import load_results
from segsam.system.atomic import write_bytes

LOG = "log.txt"
_TAIL_LINES = 3
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How it went with one run; `error` is empty when all of it is done."""

    id: str
    error: str = ""


def run_study(
    study: Study,
    places: Places,
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    tell: Tell,
) -> list[Outcome]:
    """Train and measure what is not there yet, and store the results.

    A run that fails does not keep the others from being done. With two jobs or more, each has one
    thread.

    Args:
        study: the runs.
        places: the folders.
        only: names of runs, or of single entries (with their seed); empty for all.
        jobs: so many runs at a time.
        tell: called with a line for people whenever something begins or ends.

    Raises:
        StudyError: a name in `only` that is none.
    """
    entries = [one for one in study.entries if not only or {one.id, one.run} & set(only)]
    missing = set(only) - {name for one in entries for name in (one.id, one.run)}
    if missing:
        known = ", ".join(dict.fromkeys(one.run for one in study.entries))
        raise StudyError(f"There is no run {', '.join(sorted(missing))}; there are {known}.")
    threads = 1 if jobs > 1 else 0
    runner = _Runner(study, places, Children(threads), tell)
    with ThreadPoolExecutor(max_workers=jobs) as pool, runner.children.stopped_at_the_end():
        return list(pool.map(runner.outcome, entries))


class Children:
    """The processes that are at work."""

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        """Of each; 0 for as many as the machine has."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path) -> int:
        """Run a command to its end, its words added to `log`; its exit code.

        Raises:
            StudyError: when no more may begin.
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
                    start_new_session=True,  # Ctrl-C is ours to pass on, once
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    @contextlib.contextmanager
    def stopped_at_the_end(self) -> Iterator[None]:
        """When the block is left early, by Ctrl-C or a signal, whatever runs is told to end."""
        try:
            yield
        finally:
            with self._lock:
                self._stopped = True
                for process in self._running:
                    process.terminate()


class _Runner:
    def __init__(self, study: Study, places: Places, children: Children, tell: Tell) -> None:
        self.study = study
        self.places = places
        self.children = children
        self.tell = tell
        self.stored = load_results(places.results)

    def outcome(self, entry: Entry) -> Outcome:
        try:
            self._do(entry)
        except SegSamError as error:
            self.tell(f"{entry.id}: failed. {error}")
            return Outcome(entry.id, str(error))
        return Outcome(entry.id)

    def _do(self, entry: Entry) -> None:
        folder = self.places.of(entry)
        stored = self.stored.get(entry.id)
        if not folder.exists() and stored is not None and is_complete(stored, entry):
            self.tell(f"{entry.id}: its result is stored")
            return
        write_config(entry, self.study, self.places)
        self._keep_facts(entry)
        for step in steps_of(entry, self.study, self.places):
            if not step.is_done:
                self._step(entry, step)
                collected(entry, self.places).save(self.places.results)
        result = collected(entry, self.places).save(self.places.results)
        self.tell(f"{entry.id}: done, {result.name}")

    def _step(self, entry: Entry, step: Step) -> None:
        self.tell(f"{entry.id}: {step.what}")
        log = self.places.of(entry) / LOG
        code = self.children.run(step.command, log)
        if code or not step.is_done:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = " ".join(lines[-_TAIL_LINES:]) or "it said nothing"
            raise StudyError(f"It could not {step.what} (exit code {code}): {last}")

    def _keep_facts(self, entry: Entry) -> None:
        """Of the machine and the code, when the run begins."""
        path = self.places.of(entry) / FACTS
        if path.is_file():
            return
        split = Path(self.study.split)
        digest = hashlib.sha256(split.read_bytes()).hexdigest() if split.is_file() else ""
        threads = self.children.threads or int(entry.config.get("threads", 0))
        facts = machine_facts(threads) | {"split_sha256": digest[:16]}
        write_bytes(path, json.dumps(facts, indent=1).encode())
