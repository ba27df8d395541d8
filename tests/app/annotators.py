"""Several annotators at once, and the amount of work of the tests.

Tests do little by default. With SEGSAM_TEST_FULL=1 (`make reliability`) they do as much as the
matrix in docs/reliability.md requires, and record the times.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import nibabel
import numpy as np
import psutil

from .conftest import LPS_MM, SHAPE, Server, ball

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")


def amount(short: int, full: int) -> int:
    """Return a number of repetitions, by default or in full."""
    return full if FULL else short


def add_image(server: Server, name: str) -> None:
    """Add the ball in new noise, an image of which no slice is in the cache."""
    noise = np.random.default_rng(sum(name.encode())).normal(100, 8, SHAPE)
    voxels = (noise + 120 * ball()).astype(np.int16)
    content = nibabel.Nifti1Image(voxels, LPS_MM).to_bytes()
    answer = server.ask(
        "PUT", "/datastore/image", params={"image": name}, files={"file": ("x.nii", content)}
    )
    assert answer.ok, answer.text


def boxes(count: int) -> list[dict[str, list[int]]]:
    """Return different boxes around the ball, on one slice."""
    spread = np.random.default_rng(4).integers(-6, 7, (count, 4))
    corners = np.array([16, 15, 44, 37]) + spread
    return [
        {"min_ijk": [*map(int, four[:2]), 4], "max_ijk": [*map(int, four[2:]), 4]}
        for four in corners
    ]


def prompt(server: Server, image: str, box: dict[str, list[int]]) -> tuple[Any, float]:
    """Return the reply to a box, and its seconds. Fails unless the status is 200."""
    params = {"prompts": {"boxes": [box]}, "result": "region", "request_id": f"{image}-{box}"}
    start = time.perf_counter()
    answer = server.infer({"image": image}, params=json.dumps(params))
    seconds = time.perf_counter() - start
    assert answer.status_code == 200, answer.text
    reply = answer.json()
    assert reply["request_id"] == params["request_id"], "the reply to another request"
    return reply, seconds


@dataclass
class Outcome:
    """Replies that annotators got, in their threads."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def all(self) -> Outcome:
        """Wait until all annotators have their replies."""
        for thread in self.threads:
            thread.join()
        return self


@contextmanager
def annotating(server: Server, image: str, count: int, *, prompts: int) -> Iterator[Outcome]:
    """Let `count` annotators send `prompts` each for `image`, a second apart, within the
    block. Their number is bounded, so that other tests get the processor."""
    outcome = Outcome()

    def work(number: int) -> None:
        for box in boxes(count * prompts)[number::count]:
            if outcome.done.wait(1.0):
                return
            try:
                outcome.seconds.append(prompt(server, image, box)[1])
            except AssertionError as error:
                outcome.wrong.append(str(error))

    outcome.threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in outcome.threads:
        thread.start()
    try:
        yield outcome
    finally:
        outcome.done.set()
        outcome.all()


def p95_ms(seconds: Sequence[float]) -> float:
    """Return the 95th percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, 95))


@dataclass(frozen=True)
class Holdings:
    """Memory and open files of a server."""

    bytes: int
    files: int

    @classmethod
    def of(cls, server: Server) -> Holdings:
        """Return those of its process, which may be a child of the script that started it."""
        first = psutil.Process(server.pid)
        largest = max(
            [first, *first.children(recursive=True)], key=lambda one: one.memory_info().rss
        )
        return cls(largest.memory_info().rss, largest.num_fds())
