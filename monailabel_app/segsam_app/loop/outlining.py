"""Session of `make learn`: an annotator who outlines an object that the model does not know.

box on the middle slice, followed --> before
three confirmed slices --POST /infer/segsam--> completed --the proposed slice as well--> corrected
its name, taught on one slice --PUT /memory/{name}--> given on another one
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from segsam.demo.checking import dice
from segsam.errors import SegSamError
from segsam.prediction.labels import Region
from segsam.prompting.prompts import Box, Prompts
from segsam.remote.client import Client, prompt_params
from segsam.remote.masks import decode_mask, encode_mask
from segsam.types import AxisName

CONTOURS = "segsam.research.study.completion.contours"
"""Module that fills between slices as ITK does, in a process of its own."""
_MARGIN = 2
_TOLERANCE = 1.0
"""Points of Dice by which a correction may miss on slices that it is not about."""
_SHARES = (0.25, 0.5, 0.75)

Mask = NDArray[np.bool_]


@dataclass
class Findings:
    """Masks (i, j, k) by the name of their step, Dice in percent of the slices that were never
    confirmed, and seconds.
    """

    confirmed: list[int] = field(default_factory=list)
    masks: dict[str, Mask] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Sentences about what did not turn out as it should; empty if all is well."""
        before = {step: self.dice[step] for step in ("followed", "filled") if step in self.dice}
        found = [
            f"completing ({self.dice['completed']:.1f} %) did not gain on the object {step} "
            f"({value:.1f} %)"
            for step, value in before.items()
            if self.dice["completed"] <= value
        ]
        if self.dice["corrected"] < self.dice["completed"] - _TOLERANCE:
            found.append("one more confirmed slice made the others worse")
        return [*found, *self.notes]


class Outlining:
    """One annotator, one image in a session of the server, one object.

    Args:
        client: of the server.
        session: of the image.
        truth: the object (i, j, k).
        axis: across which slices are confirmed.
        console: for a line for each step.
        name: of the object.
    """

    def __init__(
        self, client: Client, session: str, truth: Mask, axis: int, *, console: Console, name: str
    ) -> None:
        self._client, self._session, self._console = client, session, console
        self._truth, self._axis, self._name = truth, axis, name
        self.findings = Findings()

    def run(self) -> Findings:
        """Follow the object by a box, complete it, correct it once, name it, and fill between its
        slices.

        Raises:
            SegSamError: a request failed.
        """
        found = self.findings
        filled = np.flatnonzero(self._truth.any(axis=self._others()))
        found.confirmed = [int(filled[round(share * (len(filled) - 1))]) for share in _SHARES]
        self._follow(found.confirmed[1])
        first = self._complete("completed", found.confirmed)
        proposed = first["next_slice"]
        three = list(found.confirmed)
        if proposed is not None:
            found.confirmed.append(int(proposed["index"]))
        self._complete("corrected", found.confirmed, previous=first["state"])
        self._check_confirmed()
        self._check_name(*three[1:])
        self._fill("filled", three)
        self._fill("filled with four", found.confirmed)
        rest = np.ones(self._truth.shape, np.bool_)
        rest[self._on(found.confirmed)] = False
        for step, mask in found.masks.items():
            found.dice[step] = round(100 * dice(mask & rest, self._truth & rest), 1)
        return found

    def _follow(self, index: int) -> None:
        self._ask("followed", self._boxed(index, propagate=True))

    def _boxed(self, index: int, *, propagate: bool) -> dict[str, Any]:
        return boxed(self._truth, self._axis, index, propagate=propagate)

    def _complete(
        self, step: str, indices: list[int], previous: str | None = None
    ) -> Mapping[str, Any]:
        planes = [confirmed(self._truth, self._axis, index) for index in indices]
        params = {"confirmed": planes, "previous": previous, "result": "region"}
        return self._ask(step, params)

    def _ask(self, step: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self._client.infer(self._session, params)
        found = self.findings
        found.masks[step] = decode_mask(reply.params["mask"], self._truth.shape)
        found.seconds[step] = round(reply.seconds, 1)
        encoded = reply.params["encoded_slices"]
        self._console.print(f"{step}: {reply.seconds:.1f} s, {encoded} slices encoded")
        return reply.params

    def _check_confirmed(self) -> None:
        place = self._on(self.findings.confirmed)
        if not np.array_equal(self.findings.masks["corrected"][place], self._truth[place]):
            self.findings.notes.append("a confirmed slice came back changed")

    def _check_name(self, taught: int, asked: int) -> None:
        """Name the object on one slice, and prompt it on another one."""
        request = self._boxed(taught, propagate=False)
        del request["result"]
        self._client.teach_name(self._name, {"session_id": self._session, **request})
        reply = self._client.infer(self._session, self._boxed(asked, propagate=False)).params
        named = reply["category"]
        self._console.print(f"taught as {self._name} on slice {taught}; on slice {asked}: {named}")
        if named != self._name:
            self.findings.notes.append(
                f"on slice {asked} the object is {named} and not {self._name}, as it was taught"
            )

    def _fill(self, step: str, indices: list[int]) -> None:
        """Fill between slices as 3D Slicer does; without the package for it, the step is left
        out.
        """
        planes = np.zeros(self._truth.shape, np.bool_)
        planes[self._on(indices)] = self._truth[self._on(indices)]
        given = io.BytesIO()
        np.save(given, planes)
        start = time.monotonic()
        command = [sys.executable, "-m", CONTOURS, str(self._axis)]
        done = subprocess.run(command, input=given.getvalue(), capture_output=True, check=False)
        if done.returncode:
            self._console.print(f"{step}: left out, the extra `research` is not installed")
            return
        self.findings.masks[step] = np.load(io.BytesIO(done.stdout))
        self.findings.seconds[step] = round(time.monotonic() - start, 1)

    def _others(self) -> tuple[int, ...]:
        return tuple(number for number in range(3) if number != self._axis)

    def _on(self, indices: list[int]) -> tuple[slice | list[int], ...]:
        return (slice(None),) * self._axis + (indices,)


def boxed(truth: Mask, axis: int, index: int, *, propagate: bool) -> dict[str, Any]:
    """Return the request with a box around an object (i, j, k) on a slice."""
    at = np.argwhere(truth.take([index], axis))
    low, high = at.min(axis=0) - _MARGIN, at.max(axis=0) + _MARGIN
    low, high = np.maximum(low, 0), np.minimum(high, np.array(truth.shape) - 1)
    low[axis] = high[axis] = index
    corners = [(int(i), int(j), int(k)) for i, j, k in (low, high)]
    name: AxisName = ("i", "j", "k")[axis]
    prompts = Prompts(boxes=(Box(*corners),))
    return prompt_params(prompts, "region", axis=name, propagate=propagate)


def confirmed(truth: Mask, axis: int, index: int) -> dict[str, Any]:
    """Return a slice of an object (i, j, k) as a request confirms it."""
    plane, place = np.zeros(truth.shape, np.bool_), (slice(None),) * axis + (index,)
    plane[place] = truth[place]
    mask = encode_mask(Region.of_mask(plane))
    return {"axis": "ijk"[axis], "index": index, "mask": mask}


def unknown(organ: str, client: Client) -> None:
    """Raise `SegSamError` if the server's model knows an organ by name, or does not complete."""
    model = client.info()["models"]["segsam"]
    if organ.replace("_", " ") in model["checkpoint"]["categories"]:
        raise SegSamError(f"Expected an organ that the model does not know, got {organ}.")
    if not model.get("completes"):
        raise SegSamError("Expected a server that completes from confirmed slices, got another.")
