"""Next case of `make learn`: the same object in another part of the data.

the volume, and its mirror image with the organ of the other side --> first and next image
next: one slice is confirmed --> Dice of the others, before anything was learnt
first: its label is saved with the name --the server learns on--> what the next case starts from
next: a box gets the name; the same slice is confirmed, with the name --> Dice of the others
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from segsam.demo.checking import dice
from segsam.errors import SegSamError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.volume import Segment, Volume
from segsam.remote.client import Client
from segsam.remote.masks import decode_mask
from segsam_app.loop.outlining import Mask, boxed, confirmed

FIRST, NEXT = "first", "next"
_POLL_SECONDS = 1.0


@dataclass
class NextFindings:
    """Findings about the object in the next image, Dice in percent of its other slices."""

    category: str | None = None
    """Name that a box got."""
    start: dict[str, Any] = field(default_factory=dict)
    """What the completion started from."""
    alone: float = 0.0
    """Dice from one confirmed slice, before the first image was labelled."""
    carried: float = 0.0
    """The same afterwards, with the name."""

    def failures(self, name: str) -> list[str]:
        """Return sentences about what did not turn out as it should; empty if all is well."""
        found = []
        if self.category != name:
            found.append(f"in the next case the object is {self.category} and not {name}")
        if not self.start.get("used"):
            found.append("the next case did not start from what was learnt in the first")
        elif self.carried <= self.alone:
            found.append(
                f"the start of the next case ({self.carried:.1f} %) did not gain on none "
                f"({self.alone:.1f} %)"
            )
        return found


def write_cases(folder: Path, volume: Volume, truth: Mask, other_side: Mask) -> dict[str, Mask]:
    """Write a volume and its mirror image, in which the other side's organ looks like this one's,
    as images; return the object's mask in each.
    """
    axes, _ = nearest_axes(volume.affine_ras)
    mirrored = volume.like(np.flip(volume.voxels, axes[0]))
    volume.save(folder / f"{FIRST}.nii.gz")
    mirrored.save(folder / f"{NEXT}.nii.gz")
    return {FIRST: truth, NEXT: np.flip(other_side, axes[0])}


class NextCase:
    """One annotator with two images.

    Args:
        client: of the server, whose studies are those of `write_cases`.
        masks: the object in each image.
        axis: across which slices are confirmed.
        name: of the object.
        console: for a line for each step.
    """

    def __init__(
        self, client: Client, masks: Mapping[str, Mask], axis: int, *, name: str, console: Console
    ) -> None:
        self._client, self._masks, self._axis = client, masks, axis
        self._name, self._console = name, console

    def run(self, folder: Path, seconds: float) -> NextFindings:
        """Complete the object in the next image, save the label of the first, wait until it is
        learnt from, and complete it again.

        Args:
            folder: for the label file.
            seconds: longest wait for the learning.

        Raises:
            SegSamError: a request failed, or nothing was learnt in time.
        """
        alone, _ = self._completed({})
        image = Volume.load(folder / "studies" / f"{FIRST}.nii.gz")
        file = folder / "label.nii.gz"
        image.like(self._masks[FIRST].view(np.uint8)).save(file, segments={1: Segment(self._name)})
        self._client.save_label(FIRST, file, {self._name: 1})
        learnt = self._wait(seconds)
        before, after = (100 * learnt["gain"][key] for key in ("before", "after"))
        self._console.print(
            f"learnt from the first case: Dice of held-out slices {before:.0f} to {after:.0f}"
        )
        found = NextFindings(category=self._named())
        carried, found.start = self._completed({"label": self._name})
        found.alone, found.carried = self._dice(alone), self._dice(carried)
        self._console.print(
            f"the next case, one slice confirmed: named {found.category}; Dice of the others "
            f"{found.alone:.1f} before, {found.carried:.1f} from what was learnt"
        )
        return found

    def _wait(self, seconds: float) -> dict[str, Any]:
        """Return what was learnt about the name, as soon as it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            known = self._client.memory("GET")
            learnt = [one["learnt"] for one in known["names"] if one["name"] == self._name]
            if not known["learning"] and learnt and learnt[0] is not None:
                return dict(learnt[0])
            time.sleep(_POLL_SECONDS)
        raise SegSamError(f"Nothing was learnt from the first case within {seconds:g} s.")

    def _middle(self) -> int:
        others = tuple(number for number in range(3) if number != self._axis)
        filled = np.flatnonzero(self._masks[NEXT].any(axis=others))
        return int(filled[len(filled) // 2])

    def _plane(self) -> tuple[slice | list[int], ...]:
        return (slice(None),) * self._axis + ([self._middle()],)

    def _named(self) -> str | None:
        """Return the name of the object in a box on one slice of the next image."""
        params = boxed(self._masks[NEXT], self._axis, self._middle(), propagate=False)
        category: str | None = self._client.infer_image(NEXT, params).params["category"]
        return category

    def _completed(self, more: Mapping[str, Any]) -> tuple[Mask, dict[str, Any]]:
        """Return the mask from one confirmed slice, and what it started from."""
        planes = [confirmed(self._masks[NEXT], self._axis, self._middle())]
        params = {"confirmed": planes, "result": "region", **more}
        reply = self._client.infer_image(NEXT, params).params
        return decode_mask(reply["mask"], self._masks[NEXT].shape), dict(reply["start"] or {})

    def _dice(self, mask: Mask) -> float:
        """Return the Dice in percent of the slices that were not confirmed."""
        rest = np.ones(mask.shape, np.bool_)
        rest[self._plane()] = False
        return round(100 * dice(mask & rest, self._masks[NEXT] & rest), 1)
