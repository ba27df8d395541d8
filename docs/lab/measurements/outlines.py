"""Lassos, negative boxes and other segments as prompts: the figures of docs/lab/slicer.md.

Run in the project's environment:  python docs/lab/measurements/outlines.py DATA [CHECKPOINT]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from segsam import Box, Point, Predictor, Volume
from segsam.prediction.memory_propagation import model_mask
from segsam.prompting.prompts import SlicePrompts

Mask = NDArray[np.bool_]
Pixels = list[tuple[int, int]]

MODULE = Path(__file__).resolve().parents[3] / "slicer_module" / "SEGSAM"
CASES = {"btcv_ct": 8, "chaos_mr_t2": 6, "busi_ultrasound": 8, "kidney_mr": 5, "liver_us": 5}
SMALLEST = 0.00153
"""Share of the slice under which objects are left out, as in the paper."""
OBJECTS = 60
JITTER_PX = 5


def dice(first: Mask, second: Mask) -> float:
    total = first.sum() + second.sum()
    return float(2 * (first & second).sum() / total) if total else 1.0


def slices(data: Path) -> Iterator[tuple[Volume, NDArray[np.generic]]]:
    """The slice with the most objects of some cases of each data set, and its labels (i, j)."""
    for name, count in {**CASES, "prostate_mr": 4}.items():
        files = sorted((data / name / "images").iterdir())
        for file in files[:: max(1, len(files) // count)][:count]:
            volume = Volume.load(file)
            labels = Volume.load(
                next((data / name / "labels").glob(file.name.split(".")[0] + ".*"))
            )
            k = max(
                range(volume.shape_ijk[2]), key=lambda k: len(np.unique(labels.voxels[:, :, k]))
            )
            voxels = volume.voxels[:, :, k : k + 1]
            one = Volume.from_array(voxels, volume.affine_ras, modality=volume.modality)
            yield one, labels.voxels[:, :, k]


def deepest(mask: Mask, count: int) -> Pixels:
    """The deepest pixels, each outside the discs of those before it."""
    left, found = mask.copy(), []
    x, y = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for _ in range(count):
        depth = ndimage.distance_transform_edt(np.pad(left, 1))[1:-1, 1:-1]
        i, j = np.unravel_index(depth.argmax(), depth.shape)
        if depth.max() < 1:
            break
        found.append((int(i), int(j)))
        left &= (x - i) ** 2 + (y - j) ** 2 > depth.max() ** 2
    return found


def outline(mask: Mask, rng: np.random.Generator) -> Mask:
    """What a hand draws around an object: 4 % of its size too wide, uneven by 3 %."""
    size = np.sqrt(mask.sum())
    noise = ndimage.gaussian_filter(rng.standard_normal(mask.shape), size / 6)
    away = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    parts, _ = ndimage.label(away < size * (0.04 + 0.03 * noise / noise.std()))
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.binary_fill_holes(largest))


def box_of(mask: Mask, shifts: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Box:
    i, j = np.nonzero(mask)
    sides = np.add([i.min(), j.min(), i.max(), j.max()], shifts)
    low = np.clip(sides[:2], 0, np.subtract(mask.shape, 2))
    high = np.clip(sides[2:], low + 1, np.subtract(mask.shape, 1))
    return Box((int(low[0]), int(low[1]), 0), (int(high[0]), int(high[1]), 0))


def inside(box: Box, shape: tuple[int, ...], margin: int = 0) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    low, high = (
        np.add(corner[:2], sign * margin) for corner, sign in ((box.min_ijk, -1), (box.max_ijk, 1))
    )
    mask[max(low[0], 0) : high[0] + 1, max(low[1], 0) : high[1] + 1] = True
    return mask


class Measurement:
    """Dice of each way to prompt the objects of some slices."""

    def __init__(self, checkpoint: str) -> None:
        self.predictor = Predictor.from_pretrained(checkpoint)
        self.scores: dict[str, list[float]] = defaultdict(list)
        self.rng = np.random.default_rng(18)

    def found(
        self, box: Box, positive: Pixels = (), negative: Pixels = (), mask: Mask | None = None
    ) -> Mask:
        decoder = self.predictor.slices(2)
        points = [Point((i, j, 0)) for i, j in positive]
        points += [Point((i, j, 0), positive=False) for i, j in negative]
        prompts = SlicePrompts(tuple(points), (box,))
        logits = None
        if mask is not None:
            plane = np.ascontiguousarray(decoder.view.cut(mask[:, :, None], 0))
            drawn = model_mask(decoder.view, plane).float()[None, None]
            step = drawn.shape[-1] // decoder.decode(0, prompts).low_res_logits.shape[-1]
            logits = (drawn[..., ::step, ::step] * 2 - 1) * 8
        decoded = decoder.decode(0, prompts, mask_prompt=logits)
        return np.asarray(decoder.view.place(decoded.logits > 0))

    def lasso(self, truth: Mask) -> None:
        from SEGSAMLib.Values.Outlines import _deepest

        drawn = outline(truth, self.rng)
        box = box_of(drawn)
        near = ndimage.binary_dilation(drawn, iterations=max(2, int(0.06 * np.sqrt(truth.sum()))))
        outside = deepest(inside(box, truth.shape) & ~near, 4)
        ways = {
            "box": self.found(box),
            "deepest point": self.found(box, deepest(drawn, 1)),
            "five points": self.found(box, deepest(drawn, 5)),
            "five points of the module": self.found(box, _deepest(drawn, 5)),
            "point, four negative": self.found(box, deepest(drawn, 1), outside),
            "mask prompt": self.found(box, mask=drawn),
            "outline, filled": drawn,
        }
        for name, mask in ways.items():
            self.scores[f"lasso: {name}"].append(dice(mask, truth))
            self.scores[f"lasso: {name}, inside"].append(dice(mask & drawn, truth))

    def negative(self, truth: Mask, others: Mask, labels: NDArray[np.generic]) -> None:
        box = box_of(truth, tuple(self.rng.integers(-JITTER_PX, JITTER_PX + 1, 4)))
        mask = self.found(box)
        parts, count = ndimage.label(ndimage.binary_opening(mask & ~truth))
        sizes = np.bincount(parts.ravel())[1:]
        if count and sizes.max() >= 20:
            drawn = inside(box_of(parts == sizes.argmax() + 1), truth.shape)
            while (drawn & truth).sum() > 0.1 * drawn.sum() and drawn.sum() > 1:
                drawn = ndimage.binary_erosion(drawn)
            if drawn.any():
                pointed = self.found(box, negative=deepest(drawn, 1))
                self._add("negative box", truth, (mask, pointed), drawn)
        near = inside(box, truth.shape, 10) & others
        if near.sum() > 30:
            seen = [near & (labels == value) for value in np.unique(labels[near])]
            points = [place for each in seen if each.sum() > 30 for place in deepest(each, 1)]
            pointed = self.found(box, negative=points)
            self._add("others", truth, (mask, pointed), others)

    def _add(self, what: str, truth: Mask, masks: tuple[Mask, Mask], left_out: Mask) -> None:
        """Add the scores of masks without and with negative points."""
        mask, pointed = masks
        for name, way in (
            *(("without", mask), ("voxels left out", mask & ~left_out)),
            *(("points", pointed), ("points, voxels left out", pointed & ~left_out)),
        ):
            self.scores[f"{what}: {name}"].append(dice(way, truth))


def main() -> None:
    sys.path.insert(0, str(MODULE))
    data, checkpoint = Path(sys.argv[1]), (*sys.argv[2:], "segsam")[0]
    measurement, done = Measurement(checkpoint), 0
    for volume, labels in slices(data):
        measurement.predictor.set_volume(volume)
        for value in np.unique(labels[labels > 0]):
            truth = labels == value
            if truth.mean() < SMALLEST or done == OBJECTS:
                continue
            done += 1
            measurement.lasso(truth)
            measurement.negative(truth, (labels > 0) & ~truth, labels)
    table = Table("way", "mean Dice", "objects")
    for name, scores in measurement.scores.items():
        table.add_row(name, f"{np.mean(scores):.3f}", str(len(scores)))
    Console().print(table)


if __name__ == "__main__":
    main()
