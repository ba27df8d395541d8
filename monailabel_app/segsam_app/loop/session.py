"""The session: annotate four of eight volumes, train, look at the other four, roll back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console

from segsam.demo.prompting import ours
from segsam.remote.client import decode_mask
from segsam.remote.server import ServerError
from segsam_app.loop.talk import LoopClient
from segsam_app.loop.volumes import KINDS, Kind, Reference

ANNOTATED = 4
_LOOK_SECONDS = 2.0
_UNFINISHED = ("SUBMITTED", "RUNNING")

Dice = dict[Kind, dict[str, float]]
"""By kind of prompt, of each volume, in percent: all its objects on the slices asked about, taken
together.
"""


@dataclass
class Findings:
    """What the session came to."""

    annotated: list[str] = field(default_factory=list)
    before: Dice = field(default_factory=dict)
    after: Dice = field(default_factory=dict)
    rolled_back: Dice = field(default_factory=dict)
    version: dict[str, Any] = field(default_factory=dict)
    current: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def mean(self, dice: Dice, kind: Kind | None = None) -> float:
        """Over the volumes, by one kind of prompt or all."""
        kinds = KINDS if kind is None else (kind,)
        return float(np.mean([value for one in kinds for value in dice[one].values()]))

    def told(self, dice: Dice) -> str:
        """The means in words."""
        return ", ".join(f"{self.mean(dice, kind):.1f} % by {kind}" for kind in KINDS)

    @property
    def failures(self) -> list[str]:
        """What did not come out as promised, in sentences."""
        found = []
        if not self.version.get("promoted"):
            found.append(f"the version was not promoted: {self.version.get('why')}")
        if self.mean(self.after) <= self.mean(self.before):
            found.append("the mean Dice of the other four did not rise")
        if self.rolled_back != self.before:
            found.append("after the roll-back the figures are not the old ones")
        return found


class Session:
    """One annotator at one server."""

    def __init__(
        self, client: LoopClient, references: Sequence[Reference], console: Console
    ) -> None:
        self._client = client
        self._references = {one.name: one for one in references}
        self._console = console
        self.findings = Findings()

    def all(
        self, strategy: str, settings: Mapping[str, Any], save: Callable[[str, int], Any]
    ) -> Findings:
        """Every step; `save` writes the annotator's label of a volume, in the given order of its
        segments, and gives file and names.
        """
        for number in range(ANNOTATED):
            self._annotate(strategy, number, save)
        others = [
            one for name, one in self._references.items() if name not in self.findings.annotated
        ]
        found = self.findings
        found.before = self._timed("measuring before", lambda: self._dice(others))
        self._console.print(f"The other four before: {found.told(found.before)}")
        found.version = self._timed("training", lambda: self._train(settings))
        found.current = str(self._client.versions()["current"])
        found.after = self._timed("measuring after", lambda: self._dice(others))
        self._console.print(f"The other four after: {found.told(found.after)}")
        self._client.use("0000")
        found.rolled_back = self._timed("measuring the roll-back", lambda: self._dice(others))
        return found

    def _annotate(self, strategy: str, number: int, save: Callable[[str, int], Any]) -> None:
        """Next sample, prompts, correction, save."""
        sample = self._client.next_sample(strategy)
        name = str(sample["id"])
        reference = self._references[name]
        dice = self._timed(f"prompts in {name}", lambda: self._dice([reference]))
        file, names = save(name, number)
        saved = self._client.save_label(name, file, names)
        self.findings.annotated.append(name)
        why, told = sample.get("why", strategy), self.findings.told(dice)
        self._console.print(
            f"{name} ({why}): {told}; corrected, saved as version {saved.get('version')}: "
            f"{', '.join(names)}",
            soft_wrap=True,
        )

    def _train(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        self._client.train(settings)
        with self._console.status("training") as line:
            while (told := self._client.training())["status"] in _UNFINISHED:
                line.update(f"training: {told.get('progress', {}).get('what', 'starting')}")
                time.sleep(_LOOK_SECONDS)
        if told["status"] != "DONE":
            last = told.get("why") or " / ".join(list(told.get("details", ()))[-3:])
            raise ServerError(f"The training ended with {told['status']}: {last}")
        self._console.print(f"Training: {told['why']}", soft_wrap=True)
        versions = self._client.versions()["versions"]
        return dict(next(one for one in versions if one["id"] == told["version"]))

    def _dice(self, references: Sequence[Reference]) -> Dice:
        """Of the model that is current."""
        each = {one.name: self._dice_of(one) for one in references}
        return {kind: {name: dice[kind] for name, dice in each.items()} for kind in KINDS}

    def _dice_of(self, reference: Reference) -> dict[Kind, float]:
        both, either = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
        for one in reference.questions():
            request = {**ours(one.prompts, "slice"), "axis": "ijk"[reference.axis]}
            reply = self._client.segment(reference.name, request)
            mask = decode_mask(reply["mask"], reference.labels.shape)
            found = reference.on_slice(mask, one.index)
            wanted = reference.plane(one.value, one.index)
            both[one.kind] += int((found & wanted).sum())
            either[one.kind] += int(found.sum() + wanted.sum())
        return {kind: round(200 * both[kind] / max(either[kind], 1), 2) for kind in KINDS}

    def _timed(self, what: str, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        result = work()
        self.findings.seconds[what] = round(time.monotonic() - start, 1)
        return result
