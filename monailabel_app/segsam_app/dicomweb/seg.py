"""A label as a DICOM segmentation of its series (PS3.3 A.51), made by highdicom.

The label's array is the image's, (i, j, k): i runs along the columns, j along the rows, k along the
slices of the series in the order in which the image was put together. So frame k is
`label[:, :, k]` transposed, and nothing is resampled.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import highdicom as hd
import numpy as np
import pydicom
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes

from segsam.categories import Category
from segsam.errors import VolumeError
from segsam.types import Voxels
from segsam_app.dicomweb.codes import PRIVATE_SCHEME, long_string, private_scheme, terms_of
from segsam_app.dicomweb.headers import Slices

_UID_SPACE = uuid.UUID("8b1f1d3e-7f0d-4a52-9f5e-5ec2a4c6a7d1")
_MOST_SEGMENTS = 65_535


@dataclass(frozen=True)
class Words:
    """What a segmentation says of itself. `key` is different for every version of every label; the
    same one gives the same ids, so that storing it twice stores it once.
    """

    key: str
    number: int
    description: str


def segmentation(
    label: Voxels,
    names: Mapping[int, str],
    slices: Slices,
    words: Words,
    categories: Sequence[Category] = (),
) -> pydicom.Dataset:
    """The file for `label` (i, j, k), whole numbers, 0 for nothing; `names` are value -> name.

    Values without a name are called "segment 3". Raises VolumeError for an empty label, which
    DICOM cannot hold, and for a series whose headers are not enough.
    """
    values = [int(value) for value in np.unique(label) if value]
    if not values:
        raise VolumeError("the label is empty, and a DICOM segmentation holds at least one segment")
    if len(values) > _MOST_SEGMENTS:
        raise VolumeError(f"the label has {len(values)} values; at most {_MOST_SEGMENTS} fit")
    described = [
        _described(number, names.get(value) or f"segment {value}", categories)
        for number, value in enumerate(values, start=1)
    ]
    numbered = np.searchsorted([0, *values], label).astype(np.uint16)
    frames = np.empty(label.shape[::-1], np.uint16)
    frames[slices.frame_of_k] = numbered.transpose(2, 1, 0)
    try:
        with warnings.catch_warnings():  # of the series' own values, which are not ours to change
            warnings.simplefilter("ignore")
            made = _written(frames, described, slices, words)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise VolumeError(
            f"the headers of the series do not allow a segmentation: {str(error)[:200]}"
        ) from error
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in made.SegmentSequence]
    if any(kind.CodingSchemeDesignator == PRIVATE_SCHEME for kind in kinds):
        made.CodingSchemeIdentificationSequence = [private_scheme()]
    return made


def ids_of(key: str) -> tuple[str, str]:
    """The series' and the instance's id for a key (PS3.5 B.2, from a UUID)."""
    series, instance = (uuid.uuid5(_UID_SPACE, f"{part} {key}") for part in ("series", "instance"))
    return f"2.25.{series.int}", f"2.25.{instance.int}"


def _written(
    frames: Voxels, described: list[SegmentDescription], slices: Slices, words: Words
) -> pydicom.Dataset:
    series, instance = ids_of(words.key)
    return hd.seg.Segmentation(
        source_images=slices.headers,
        pixel_array=frames,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=series,
        series_number=_series_number(slices, words),
        sop_instance_uid=instance,
        instance_number=1,
        manufacturer="SEG-SAM",
        manufacturer_model_name="SEG-SAM",
        software_versions=_version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=long_string(words.description),
        series_description=long_string(words.description),
    )


def _series_number(slices: Slices, words: Words) -> int:
    """Beside the other versions, far from the series of the scanner."""
    own = int(slices.headers[0].get("SeriesNumber") or 0) % 100_000
    return 1_000_000 + own * 1000 + words.number % 1000


def _described(number: int, name: str, categories: Sequence[Category]) -> SegmentDescription:
    terms = terms_of(name, categories)
    return SegmentDescription(
        segment_number=number,
        segment_label=long_string(name) or f"segment {number}",
        segmented_property_category=terms.category,
        segmented_property_type=terms.type,
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="SEG-SAM", family=codes.DCM.ArtificialIntelligence, version=_version()
        ),
        anatomic_regions=None if terms.region is None else [terms.region],
    )


def _version() -> str:
    try:
        return version("segsam")
    except PackageNotFoundError:
        return "0"
