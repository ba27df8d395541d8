"""Labelled cases of a data store, with the names of their voxel values.

MONAI Label hands a trainer image and label files without names, and 3D Slicer numbers the segments
of each image in their order there: value 2 may be the spleen in one case and the liver in the next.
The store has the names that came with each label, so training goes by names only. A segmentation
file that holds names is read by these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.categories.segment_names import learnt_name, names_in_file_first
from segsam.categories.vocabulary import folded
from segsam.errors import SegSamError, VolumeError
from segsam.imaging.label_files import Labels, read_labels
from segsam.imaging.label_geometry import Grid
from segsam.imaging.label_regions import check_regions
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
from segsam_app.storage.disk import sha256_of
from segsam_app.storage.label_names import names_by_value
from segsam_app.storage.store import FINAL, Store
from segsam_app.versions.record import LeftOutCase

logger = logging.getLogger(__name__)

MAX_STRUCTURES = 255
"""Most different structures in all cases of one training; slices are stored in 8 bits."""


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """One image with the label that an annotator saved as final.

    `image` is its id. `names` maps every voxel value of the label to the name of a category; it is
    "" for a mask without a name (`learnt_name`). `image_file` is empty for a series that cannot be
    read. `sha256` is the hash of the label. `problem`
    states why the case cannot be trained on, and is empty if it can. `read_image` reads the image
    as its store does.
    """

    image: str
    image_file: Path
    label_file: Path
    names: Mapping[int, str]
    sha256: str
    problem: str = ""
    read_image: Callable[[Path], Volume] = Volume.load

    @classmethod
    def find(cls, datastore: Any, image: str) -> LabelledCase:
        """Find a case in a data store with MONAI Label's interface."""
        info = datastore.get_label_info(image, FINAL)
        label, file = Path(datastore.get_label_uri(image, FINAL)), Path()
        try:
            file = Path(datastore.get_image_uri(image))
            sha256 = str(info.get("sha256") or sha256_of(label))
            names, problem = _names(info, _read(label, read_grid(file))), ""
        except (SegSamError, OSError) as error:
            sha256, names, problem = "", {}, _reason(error)
        if not names:
            problem = problem or "its label is empty"
        read_image = getattr(datastore, "read_image", Volume.load)  # MONAI Label's own has none
        return cls(image, file, label, names, sha256, problem, read_image)

    def load(self) -> tuple[Volume, Labels]:
        """Load the image, and the label on the voxels of the image.

        Raises:
            VolumeError: a file that cannot be read.
            LabelError: a label that lies elsewhere than its image, or is an image itself.
        """
        volume = self.read_image(self.image_file)
        return volume, _read(self.label_file, volume)


def labelled_cases(datastore: Any) -> list[LabelledCase]:
    """Return all cases with a final label, by id, and those with a file there that is none."""
    if isinstance(datastore, Store):
        datastore.read_changed_images()
    cases = [LabelledCase.find(datastore, image) for image in datastore.get_labeled_images(FINAL)]
    if isinstance(datastore, Store):
        for image, (file, why) in datastore.refused_labels(FINAL).items():
            reason = why.rstrip(".")
            try:
                image_file = Path(datastore.get_image_uri(image))
            except VolumeError as error:
                image_file, reason = Path(), _reason(error)
            cases.append(
                LabelledCase(image, image_file, file, {}, "", reason, datastore.read_image)
            )
    return sorted(cases, key=lambda case: case.image)


def usable_cases(
    cases: Sequence[LabelledCase],
) -> tuple[list[LabelledCase], list[LeftOutCase]]:
    """Return the cases that can be trained on, and the others with the reasons.

    Together they may name `MAX_STRUCTURES` structures. Those with fewest structures are counted
    first, so that a single case with hundreds is left out and not all the others.
    """
    reasons = {case.image: case.problem for case in cases if case.problem}
    known: set[str] = set()
    for case in sorted(cases, key=lambda case: (len(case.names), case.image)):
        structures = {structure_key(value, name) for value, name in case.names.items()}
        if len(known | structures) <= MAX_STRUCTURES:
            known |= structures
        else:
            reasons[case.image] = (
                f"its label holds {len(structures)} structures, and a training has room for "
                f"{MAX_STRUCTURES}, of which the other cases take {len(known)}"
            )
    left_out = [LeftOutCase(image=image, reason=reasons[image]) for image in sorted(reasons)]
    return [case for case in cases if case.image not in reasons], left_out


def left_out_text(case: LeftOutCase) -> str:
    """Return the sentence about a case that was left out."""
    return f"{case.image} was left out: {case.reason}"


def structure_key(value: int, name: str) -> str:
    """Return what is the same for one structure in all cases: its name; without one, its value."""
    return folded(name) or f"\0{value}"


def _read(label: Path, image: Grid) -> Labels:
    labels = read_labels(label, image)
    check_regions(labels)  # an image may have been saved as a label before that was refused
    return labels


def _reason(error: SegSamError | OSError) -> str:
    return "its label cannot be read" if isinstance(error, OSError) else str(error).rstrip(".")


def _names(info: Mapping[str, Any], labels: Labels) -> dict[int, str]:
    """Value -> category name; names in the label's file count, also over those in its record."""
    try:
        stated = info.get("names") or names_by_value(info, labels.values, labels.names)
    except SegSamError as error:
        logger.warning("a label is used without the names that were sent with it: %s", error)
        stated = {}
    recorded = {int(value): str(name) for value, name in stated.items()}
    names = names_in_file_first(labels.names, recorded)
    return {value: learnt_name(names.get(value, "")) for value in labels.values}
