"""Session of the loop: annotate four of eight volumes, train, measure the others, roll back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from segsam.remote.client import Client, ServerError, prompt_params
from segsam.remote.masks import decode_mask
from segsam.types import AxisName
from segsam_app.loop.references import KINDS, Kind, Reference

ANNOTATED = 4
_POLL_SECONDS = 2.0
_UNFINISHED = ("SUBMITTED", "RUNNING")
_FIRST_VERSION = "0000"
_AXES: tuple[AxisName, ...] = ("i", "j", "k")

Dice = dict[Kind, dict[str, float]]
"""Kind of prompt -> volume -> Dice in percent, over all objects and prompted slices together."""

SaveLabels = Callable[[str, int], tuple[Path, dict[str, int]]]
"""Writes the annotator's label of a volume, with its segments in the given order; returns the file
and name -> value.
"""


@dataclass
class Findings:
    """Results of a session."""

    annotated: list[str] = field(default_factory=list)
    before: Dice = field(default_factory=dict)
    after: Dice = field(default_factory=dict)
    rolled_back: Dice = field(default_factory=dict)
    version: dict[str, Any] = field(default_factory=dict)
    current: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def mean(self, dice: Dice, kind: Kind | None = None) -> float:
        """Return the mean over the volumes, for one kind of prompt or for all."""
        kinds = KINDS if kind is None else (kind,)
        return float(np.mean([value for one in kinds for value in dice[one].values()]))

    def means_text(self, dice: Dice) -> str:
        """Return the mean of each kind of prompt as text."""
        return ", ".join(f"{self.mean(dice, kind):.1f} % by {kind}" for kind in KINDS)

    @property
    def failures(self) -> list[str]:
        """Sentences about what did not turn out as it should; empty if all is well."""
        found = []
        if not self.version.get("promoted"):
            found.append(f"the version was not promoted: {self.version.get('why')}")
        if self.mean(self.after) <= self.mean(self.before):
            found.append("the mean Dice of the other four did not rise")
        if self.rolled_back != self.before:
            found.append("after the roll-back the Dice values are not those from before")
        return found


class Session:
    """One simulated annotator who works with one server."""

    def __init__(self, client: Client, references: Sequence[Reference], console: Console) -> None:
        self._client = client
        self._references = {one.name: one for one in references}
        self._console = console
        self.findings = Findings()

    def run(self, strategy: str, settings: Mapping[str, Any], save: SaveLabels) -> Findings:
        """Run all steps of the loop.

        Args:
            strategy: chooses the next volume to annotate.
            settings: of the training.
            save: writes the annotator's label of a volume.

        Raises:
            ServerError: a request failed, or the training did not end well.
        """
        found = self.findings
        for number in range(ANNOTATED):
            self._annotate(strategy, number, save)
        others = [one for name, one in self._references.items() if name not in found.annotated]
        found.before = self._timed("measuring before", lambda: self._dice(others))
        self._console.print(f"The other four before: {found.means_text(found.before)}")
        found.version = self._timed("training", lambda: self._train(settings))
        found.current = str(self._client.versions()["current"])
        found.after = self._timed("measuring after", lambda: self._dice(others))
        self._console.print(f"The other four after: {found.means_text(found.after)}")
        self._client.use_version(_FIRST_VERSION)
        found.rolled_back = self._timed("measuring the roll-back", lambda: self._dice(others))
        return found

    def _annotate(self, strategy: str, number: int, save: SaveLabels) -> None:
        """Get the next sample, prompt its objects, and send the corrected label."""
        sample = self._client.next_sample(strategy)
        name = str(sample["id"])
        reference = self._references[name]
        dice = self._timed(f"prompts in {name}", lambda: self._dice([reference]))
        file, names = save(name, number)
        saved = self._client.save_label(name, file, names)
        self.findings.annotated.append(name)
        reason, means = sample.get("why", strategy), self.findings.means_text(dice)
        self._console.print(
            f"{name} ({reason}): {means}; corrected, saved as version {saved.get('version')}: "
            f"{', '.join(names)}",
            soft_wrap=True,
        )

    def _train(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return wait_for_training(self._client, settings, self._console)

    def _dice(self, references: Sequence[Reference]) -> Dice:
        return dice_by_prompt(self._client, references)

    def _timed(self, step: str, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        result = work()
        self.findings.seconds[step] = round(time.monotonic() - start, 1)
        return result


def wait_for_training(
    client: Client, settings: Mapping[str, Any], console: Console
) -> dict[str, Any]:
    """Train and return the record of the new version. Raises ServerError if it does not end
    well.
    """
    client.train(settings)
    with console.status("training") as line:
        while (training := client.training())["status"] in _UNFINISHED:
            line.update(f"training: {training.get('progress', {}).get('what', 'starting')}")
            time.sleep(_POLL_SECONDS)
    if training["status"] != "DONE":
        last = training.get("why") or " / ".join(list(training.get("details", ()))[-3:])
        raise ServerError(f"The training ended with status {training['status']}: {last}")
    console.print(f"Training: {training['why']}", soft_wrap=True)
    versions = client.versions()["versions"]
    return dict(next(one for one in versions if one["id"] == training["version"]))


def dice_by_prompt(client: Client, references: Sequence[Reference]) -> Dice:
    """Measure the current version of the model on some volumes."""
    each = {one.name: _dice_of(client, one) for one in references}
    return {kind: {name: dice[kind] for name, dice in each.items()} for kind in KINDS}


def _dice_of(client: Client, reference: Reference) -> dict[Kind, float]:
    shared, total = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for one in reference.slice_prompts():
        params = prompt_params(one.prompts, "slice", axis=_AXES[reference.axis])
        reply = client.infer_image(reference.name, params)
        mask = decode_mask(reply.params["mask"], reference.labels.shape)
        found = reference.on_slice(mask, one.index)
        expected = reference.object_on(one.value, one.index)
        shared[one.kind] += int((found & expected).sum())
        total[one.kind] += int(found.sum() + expected.sum())
    return {kind: round(200 * shared[kind] / max(total[kind], 1), 2) for kind in KINDS}
