"""Labelled cases of a data store, with the names of their voxel values.

MONAI Label hands a trainer image and label files without names, and 3D Slicer numbers the segments
of each image in their order there: value 2 may be the spleen in one case and the liver in the next.
The store has the names that came with each label, so training goes by names only.
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
from segsam_app.storage.disk import sha256_of
from segsam_app.storage.label_metadata import names_by_value
from segsam_app.storage.store import FINAL

logger = logging.getLogger(__name__)

_UNNAMED = re.compile(r"(object|segment|label|region|mask|roi|foreground|structure)?[ .]*\d*")
"""Names that segments have before an annotator names them."""


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """One image with the label that an annotator saved as final.

    `image` is its id. `names` maps every voxel value of the label to the name of a category; it is
    "" if the annotator gave none, and `names` is empty if the label cannot be read. `sha256` is the
    hash of the label.
    """

    image: str
    image_file: Path
    label_file: Path
    names: Mapping[int, str]
    sha256: str

    @classmethod
    def find(cls, datastore: Any, image: str) -> LabelledCase:
        """Find a case in a data store with MONAI Label's interface."""
        info = datastore.get_label_info(image, FINAL)
        label = Path(datastore.get_label_uri(image, FINAL))
        sha256 = str(info.get("sha256") or sha256_of(label))
        return cls(image, Path(datastore.get_image_uri(image)), label, _names(info, label), sha256)

    def load(self) -> tuple[Volume, NDArray[np.int64]]:
        """Load the image, and the label's voxels (i, j, k).

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


def labelled_cases(datastore: Any) -> list[LabelledCase]:
    """Return all cases with a final label, by id."""
    images = sorted(datastore.get_labeled_images(FINAL))
    return [LabelledCase.find(datastore, image) for image in images]


def category_name(segment: str) -> str:
    """Return the category name of a segment; "" for one like "Segment_1", which names nothing."""
    name = " ".join(segment.replace("_", " ").split())
    return "" if _UNNAMED.fullmatch(folded(name)) else name


def _names(info: Mapping[str, Any], label: Path) -> dict[int, str]:
    try:
        values = [int(value) for value in np.unique(Volume.load(label).voxels) if value]
        submitted = info.get("names") or names_by_value(info, values)
    except SegSamError as error:
        logger.warning("a label is used without names: %s", error)
        return {}
    named = {int(value): str(name) for value, name in submitted.items()}
    return {value: category_name(named.get(value, "")) for value in values}
