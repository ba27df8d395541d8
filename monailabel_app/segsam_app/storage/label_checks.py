"""Checks of a label file before it is saved: format, grid, voxel values, and that it is no image.

The header is checked first. A label that lies elsewhere than its image, or one whose header
declares more voxels than the server reads, is refused before any voxel is unpacked. The voxels are
read block by block.

A label is stored as it came if it lies in one file with its geometry. Pictures, DICOM segmentations
and pairs of files are converted first; a picture or segmentation then lies on the voxels of its
image.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from segsam.errors import LabelError, VolumeError
from segsam.imaging.formats.dicom_source import DicomSource, read_dicom_source
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.formats.seg_nrrd import Segment
from segsam.imaging.image_files import (
    LABEL_ENDINGS,
    LABEL_FILE_ENDINGS,
    LABEL_VOLUME_ENDINGS,
    ending_of,
    kind_of,
)
from segsam.imaging.label_files import (
    has_rounding,
    label_planes,
    read_label_values,
    read_labels,
    read_named_values,
)
from segsam.imaging.label_regions import FEW_VALUES, check_planes, check_regions
from segsam.imaging.readers import read_image
from segsam.imaging.writers import write_image
from segsam.types import LabelArray

STORED_ENDINGS = LABEL_VOLUME_ENDINGS
"""Formats in which a label is stored: one file with its geometry."""

FOUND_ENDINGS = LABEL_ENDINGS
"""Formats in which other programs put labels there; some have their voxels in a file beside it."""


_SEGMENTATION, _PLAIN, _MARK = ".seg.nrrd", ".nrrd", ".seg"


def twin_of_label(image_id: str, ending: str) -> str:
    """Return the other image id whose label may have the file name of this one, "" without one.

    `a.seg.nrrd` is a label of `a` and of `a.seg`.
    """
    if ending.lower() == _SEGMENTATION:
        return image_id + ending[: -len(_PLAIN)]
    if ending.lower() == _PLAIN and image_id.lower().endswith(_MARK):
        return image_id[: -len(_MARK)]
    return ""


@dataclass(frozen=True)
class CheckedLabel:
    """Label that may be saved: the ending of its format, and the values it holds except 0.

    `names` are those that the file itself gives its values; empty for most formats. `name_notes`
    say which of them could not be used as they are in the file. `source` is what a DICOM
    segmentation was made on.
    """

    ending: str
    values: tuple[int, ...]
    names: Mapping[int, str]
    name_notes: Mapping[int, str] = field(default_factory=dict)
    source: DicomSource | None = None
    has_rounding: bool = False
    """True for numbers such as 0.9999999, of which other programs make 0."""

    @property
    def is_stored_as_it_is(self) -> bool:
        """True for a format that needs no conversion, with whole numbers."""
        return self.ending in STORED_ENDINGS and not self.has_rounding


def check_label(
    path: Path, image: RawGrid, endings: Collection[str] = LABEL_FILE_ENDINGS
) -> CheckedLabel:
    """Check that a file holds whole numbers from 0 where `image` lies, in any order of voxels, and
    that these are structures.

    Raises VolumeError, and VolumeTooLargeError if the header declares too many voxels.
    """
    ending = ending_of(path.name, endings)
    if ending is None:
        raise VolumeError(
            f"a label must be a file that ends in {', '.join(endings)}; this name ends in "
            f"{path.suffix or 'nothing'!r:.20}"
        )
    values = read_label_values(path, image)
    if len(values) > FEW_VALUES:
        planes = label_planes(path)
        if planes is not None:
            check_planes(planes, values)
        else:
            check_regions(read_labels(path, image))
    named = read_named_values(path)
    names = {one.value: one.name for one in named}
    notes = {one.value: one.note for one in named if one.note}
    label = CheckedLabel(ending, values, names, notes, read_dicom_source(path), has_rounding(path))
    if not label.is_stored_as_it_is and not _is_pair(path):
        _one_map(path, image)
    return label


def _one_map(path: Path, image: RawGrid) -> LabelArray:
    """Read a label of one map, in which overlapping segments have no place. Raises VolumeError."""
    labels = read_labels(path, image)
    try:
        return labels.as_one_map()
    except LabelError as error:
        raise LabelError(f"{error}; a .seg.nrrd keeps them: send the label as one") from None


@contextmanager
def as_stored(path: Path, image: RawGrid, label: CheckedLabel) -> Iterator[tuple[Path, str]]:
    """Yield a file in a format that is stored, with the label in `path`, and its ending.

    Raises VolumeError, `OutputError`, OSError.
    """
    if label.is_stored_as_it_is:
        yield path, label.ending
        return
    with tempfile.TemporaryDirectory() as folder:
        if _is_pair(path):
            raw, file = read_image(path), Path(folder) / "label.mha"
            native = raw.voxels.astype(raw.voxels.dtype.newbyteorder("="))
            write_image(file, native, raw.affine_ras)
            yield file, ".mha"
            return
        voxels = _one_map(path, image)
        # Segments without a voxel have names too, which this format keeps.
        is_named = bool(label.names) and set(label.values) <= set(label.names)
        ending = ".seg.nrrd" if is_named else ".nii.gz"
        segments = {value: Segment(name) for value, name in label.names.items() if is_named}
        file = Path(folder) / f"label{ending}"
        write_image(file, voxels, image.affine_ras, segments=segments or None)
        yield file, ending


def _is_pair(path: Path) -> bool:
    """Return True for a header whose voxels may lie in a second file."""
    kind = kind_of(path.name)
    return kind is not None and not kind.is_one_file
