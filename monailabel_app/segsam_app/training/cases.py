"""Labelled cases of a data store, with the names of their voxel values.

MONAI Label hands a trainer image and label files without names, and 3D Slicer numbers the segments
of each image in their order there: value 2 may be the spleen in one case and the liver in the next.
The store has the names that came with each label, so training goes by names only. A segmentation
file that holds names is read by these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.categories.segment_names import category_name, names_in_file_first
from segsam.errors import SegSamError
from segsam.imaging.label_files import Labels, read_labels
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
from segsam_app.storage.disk import sha256_of
from segsam_app.storage.label_metadata import names_by_value
from segsam_app.storage.store import FINAL

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """One image with the label that an annotator saved as final.

    `image` is its id. `names` maps every voxel value of the label to the name of a category; it is
    "" if the annotator gave none, and `names` is empty if the label cannot be read. `sha256` is the
    hash of the label. `read_image` reads the image as its store does.
    """

    image: str
    image_file: Path
    label_file: Path
    names: Mapping[int, str]
    sha256: str
    read_image: Callable[[Path], Volume] = Volume.load

    @classmethod
    def find(cls, datastore: Any, image: str) -> LabelledCase:
        """Find a case in a data store with MONAI Label's interface."""
        info = datastore.get_label_info(image, FINAL)
        file = Path(datastore.get_image_uri(image))
        label = Path(datastore.get_label_uri(image, FINAL))
        sha256 = str(info.get("sha256") or sha256_of(label))
        names = _names(info, label, file)
        read_image = getattr(datastore, "read_image", Volume.load)  # only our stores have it
        return cls(image, file, label, names, sha256, read_image)

    def load(self) -> tuple[Volume, Labels]:
        """Load the image, and the label on the voxels of the image.

        Raises:
            VolumeError: a file that cannot be read.
            LabelError: a label that lies elsewhere than its image, or holds no whole numbers.
        """
        volume = self.read_image(self.image_file)
        return volume, read_labels(self.label_file, volume)


def labelled_cases(datastore: Any) -> list[LabelledCase]:
    """Return all cases with a final label, by id."""
    images = sorted(datastore.get_labeled_images(FINAL))
    return [LabelledCase.find(datastore, image) for image in images]


def _names(info: Mapping[str, Any], label: Path, image: Path) -> dict[int, str]:
    """Value -> category name; names in the label's file count, also over those in its record."""
    try:
        labels = read_labels(label, read_grid(image))
    except SegSamError as error:
        logger.warning("a label is left out: %s", error)
        return {}
    try:
        stated = info.get("names") or names_by_value(info, labels.values, labels.names)
    except SegSamError as error:
        logger.warning("a label is used without the names that were sent with it: %s", error)
        stated = {}
    recorded = {int(value): str(name) for value, name in stated.items()}
    names = names_in_file_first(labels.names, recorded)
    return {value: category_name(names.get(value, "")) for value in labels.values}
