"""Several annotators at once, and how much of everything the tests do.

Tests do little by default. With SEGSAM_TEST_FULL=1 (`make reliability`) they do as much as the
matrix in docs/reliability.md says, and write down how long it took.
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
    """How many, by default or in full."""
    return full if FULL else short


def add_image(server: Server, name: str) -> None:
    """The ball in noise of its own, as an image of which no slice is kept yet."""
    noise = np.random.default_rng(sum(name.encode())).normal(100, 8, SHAPE)
    voxels = (noise + 120 * ball()).astype(np.int16)
    content = nibabel.Nifti1Image(voxels, LPS_MM).to_bytes()
    answer = server.ask(
        "PUT", "/datastore/image", params={"image": name}, files={"file": ("x.nii", content)}
    )
    assert answer.ok, answer.text


def boxes(count: int) -> list[dict[str, list[int]]]:
    """Different boxes around the ball, on one slice."""
    spread = np.random.default_rng(4).integers(-6, 7, (count, 4))
    corners = np.array([16, 15, 44, 37]) + spread
    return [
        {"min_ijk": [*map(int, four[:2]), 4], "max_ijk": [*map(int, four[2:]), 4]}
        for four in corners
    ]


def prompt(server: Server, image: str, box: dict[str, list[int]]) -> tuple[Any, float]:
    """The reply to a box, and the seconds that it took. Fails unless its status is 200."""
    params = {"prompts": {"boxes": [box]}, "result": "region", "request_id": f"{image}-{box}"}
    start = time.perf_counter()
    answer = server.infer({"image": image}, params=json.dumps(params))
    seconds = time.perf_counter() - start
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["request_id"] == params["request_id"], "an answer for somebody else"
    return told, seconds


@dataclass
class Heard:
    """What annotators got, in their threads."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def all(self) -> Heard:
        """Once all have had their prompts."""
        for thread in self.threads:
            thread.join()
        return self


@contextmanager
def annotating(server: Server, image: str, count: int, *, prompts: int) -> Iterator[Heard]:
    """`count` annotators with so many `prompts` each for `image`, who look at each mask for a
    second, while the block lasts. That they end at all leaves others the processor.
    """
    heard = Heard()

    def work(number: int) -> None:
        for box in boxes(count * prompts)[number::count]:
            if heard.done.wait(1.0):
                return
            try:
                heard.seconds.append(prompt(server, image, box)[1])
            except AssertionError as error:
                heard.wrong.append(str(error))

    heard.threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in heard.threads:
        thread.start()
    try:
        yield heard
    finally:
        heard.done.set()
        heard.all()


def p95_ms(seconds: Sequence[float]) -> float:
    """The 95th percentile in milliseconds."""
    return 1000 * float(np.percentile(seconds, 95))


@dataclass(frozen=True)
class Holdings:
    """What a server holds of its machine."""

    bytes: int
    files: int

    @classmethod
    def of(cls, server: Server) -> Holdings:
        """Of its process, which may be a child of the script that started it."""
        first = psutil.Process(server.pid)
        largest = max(
            [first, *first.children(recursive=True)], key=lambda one: one.memory_info().rss
        )
        return cls(largest.memory_info().rss, largest.num_fds())
