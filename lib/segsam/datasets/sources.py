"""Data sets and their slices from either layout of a folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from segsam.datasets.folder import Dataset, open_dataset
from segsam.datasets.labelled_slices import Axes, LabelledSlice, slices_of
from segsam.datasets.med2d import Med2dDataset, is_med2d, open_med2d


def open_sources(folder: str | Path) -> tuple[Dataset, ...]:
    """Open the data sets of a folder: one with dataset.json, many with SAMed2D_v1.json.

    Raises:
        TrainingError: neither file, or a malformed one.
    """
    return open_med2d(folder) if is_med2d(folder) else (open_dataset(folder),)


def source_slices(
    source: Dataset,
    case: str,
    *,
    input_size: int,
    limit: int = 0,
    axes: Axes = "auto",
    ends: int = 0,
    window: tuple[float, float] | None = None,
    beside: Collection[int] = (),
) -> Iterator[LabelledSlice]:
    """Yield the slices of a case that hold an object to prompt; see `slices_of`. A data set of
    single slices has no other axes, no ends, no window and nothing beside a slice.

    Raises:
        TrainingError: data that do not fit.
        VolumeError: an image that cannot be read.
    """
    if isinstance(source, Med2dDataset):
        return source.slices(case, input_size=input_size, limit=limit)
    return slices_of(
        source,
        case,
        input_size=input_size,
        limit=limit,
        axes=axes,
        ends=ends,
        window=window,
        beside=beside,
    )
