"""The labelled cases of a data store, and what their voxel values are called.

MONAI Label hands a trainer image and label files without names, and 3D Slicer numbers the segments
of each image in the order in which they stand there: value 2 is the spleen in one case and the
liver in the next. The store knows the names that came with each label (`storage.names`); from here
on nothing goes by numbers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories.vocabulary import folded
from segsam.errors import SegSamError, TrainingError
from segsam.imaging.volume import Volume
from segsam_app.storage.durable import sha256_of
from segsam_app.storage.names import names_by_value
from segsam_app.storage.store import FINAL

logger = logging.getLogger(__name__)

_NAMELESS = re.compile(r"(object|segment|label|region|mask|roi|foreground|structure)?[ .]*\d*")
"""What a segment is called before anybody named it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One image with the label that an annotator saved as final."""

    image: str
    """Its id."""
    image_file: Path
    label_file: Path
    names: Mapping[int, str]
    """Every voxel value that its label holds -> the name of a category; "" where the annotator gave
    none, or the label cannot be read."""
    sha256: str
    """Of the label."""

    @classmethod
    def of(cls, datastore: Any, image: str) -> Case:
        """Of a data store with MONAI Label's interface."""
        info = datastore.get_label_info(image, FINAL)
        label = Path(datastore.get_label_uri(image, FINAL))
        sha256 = str(info.get("sha256") or sha256_of(label))
        return cls(image, Path(datastore.get_image_uri(image)), label, _names(info, label), sha256)

    def load(self) -> tuple[Volume, NDArray[np.int64]]:
        """The image, and the label's voxels (i, j, k).

        Raises:
            VolumeError: a file that cannot be read.
            TrainingError: a label of another shape.
        """
        volume = Volume.load(self.image_file)
        labels = Volume.load(self.label_file).voxels
        if labels.shape != volume.shape_ijk:
            raise TrainingError(
                f"The label of {self.image} has the shape {labels.shape}, its image "
                f"{volume.shape_ijk}."
            )
        return volume, labels.astype(np.int64)


def labelled_cases(datastore: Any) -> list[Case]:
    """All with a final label, by id."""
    return [Case.of(datastore, image) for image in sorted(datastore.get_labeled_images(FINAL))]


def category_name(segment: str) -> str:
    """A segment's name as a category's; "" for one like "Segment_1", which names nothing."""
    name = " ".join(segment.replace("_", " ").split())
    return "" if _NAMELESS.fullmatch(folded(name)) else name


def _names(info: Mapping[str, Any], label: Path) -> dict[int, str]:
    try:
        values = [int(value) for value in np.unique(Volume.load(label).voxels) if value]
        submitted = info.get("names") or names_by_value(info, values)
    except SegSamError as error:
        logger.warning("a label has no names that can be used: %s", error)
        return {}
    named = {int(value): str(name) for value, name in submitted.items()}
    return {value: category_name(named.get(value, "")) for value in values}
