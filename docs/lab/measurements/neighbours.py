"""How far the box of an object moves from one slice to the next: the figures of docs/training.md.

Run in the project's environment:  python docs/lab/measurements/neighbours.py DATA/acdc_cardiac ...

Of labelled volumes, cut across their largest spacing: each side of the tight box of a label
on a slice against that on the next one, both ways round, as a share of the box; outwards is
positive.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

CASES = 30
PERCENT = (1, 5, 50, 95, 99)


def tight_boxes(mask: NDArray[np.bool_]) -> dict[int, NDArray[np.int64]]:
    """First and last index along both axes (4,) of what is found on each slice of the last axis."""
    found = {}
    for index in np.flatnonzero(mask.any(axis=(0, 1))):
        rows, columns = ndimage.find_objects(mask[..., index].astype(np.uint8))[0]
        found[int(index)] = np.array([rows.start, columns.start, rows.stop - 1, columns.stop - 1])
    return found


def moves(path: Path) -> list[float]:
    """Of all labels of one volume."""
    image = nibabel.load(path)
    across = int(np.argmax(image.header.get_zooms()[:3]))
    labels = np.moveaxis(np.asanyarray(image.dataobj), across, -1)
    shares: list[float] = []
    for value in np.unique(labels[labels > 0]):
        boxes = tight_boxes(labels == value)
        for index, box in boxes.items():
            for beside in (index - 1, index + 1):
                if beside in boxes:
                    outwards = (boxes[beside] - box) * np.array([-1, -1, 1, 1])
                    shares += (outwards / np.tile(box[2:] - box[:2] + 1, 2)).tolist()
    return shares


def main() -> None:
    table = Table("data set", "volumes", "mean size", *(f"{one} %" for one in PERCENT))
    for folder in map(Path, sys.argv[1:]):
        paths = sorted((folder / "labels").iterdir())[:CASES]
        shares = np.array([share for path in paths for share in moves(path)])
        figures = [np.abs(shares).mean(), *np.percentile(shares, PERCENT)]
        table.add_row(folder.name, str(len(paths)), *(f"{one:.2f}" for one in figures))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
