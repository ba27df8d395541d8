"""Where slices come from, whichever of the two layouts a folder has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segsam.datasets.cutting import LabelledSlice, slices_of
from segsam.datasets.folder import Dataset, open_dataset
from segsam.datasets.med2d import Med2dSet, is_med2d, open_med2d


def open_sources(folder: str | Path) -> tuple[Dataset, ...]:
    """The data sets of a folder: one where it holds dataset.json, many where SAMed2D_v1.json.

    Raises:
        TrainingError: neither, or not as described.
    """
    return open_med2d(folder) if is_med2d(folder) else (open_dataset(folder),)


def source_slices(
    source: Dataset, case: str, *, input_size: int, limit: int = 0
) -> Iterator[LabelledSlice]:
    """The slices of a case that hold an object to prompt; see `cutting.slices_of`.

    Raises:
        TrainingError: data that do not fit.
        VolumeError: an image that cannot be read.
    """
    if isinstance(source, Med2dSet):
        return source.slices(case, input_size=input_size, limit=limit)
    return slices_of(source, case, input_size=input_size, limit=limit)
