"""DICOM segmentation of a series from a label (PS3.3 A.51), built by highdicom.

The label lies on the voxels of its image, (i, j, k): i is the column, j the row, and k the slice of
the series in the order in which the image was assembled. So frame k is `label[:, :, k]` transposed,
and nothing is resampled. Of segments that overlap, each has frames of its own.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import highdicom as hd
import numpy as np
import pydicom
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes as dicom_codes

from segsam.errors import VolumeError
from segsam.imaging.label_files import Labels
from segsam.types import Voxels
from segsam_app.dicomweb.codes import PRIVATE_SCHEME, long_string, private_scheme, segment_codes
from segsam_app.dicomweb.headers import SeriesSlices

_UID_SPACE = uuid.UUID("8b1f1d3e-7f0d-4a52-9f5e-5ec2a4c6a7d1")
_MAX_SEGMENTS = 65_535
_UTF_8 = "ISO_IR 192"
"""PS3.3 C.12.1.1.2; without a character set, writers put "?" for every letter outside of ASCII."""


@dataclass(frozen=True)
class SegmentationFacts:
    """Identity and description of one segmentation.

    `key` identifies one version of one label. Its UIDs are derived from it, so a version that is
    sent twice is stored once.
    """

    key: str
    version: int
    description: str


def build_segmentation(
    labels: Labels, names: Mapping[int, str], slices: SeriesSlices, facts: SegmentationFacts
) -> pydicom.Dataset:
    """Build the segmentation of labels on the voxels of the image; segments may overlap.

    `names` maps values to segment names; a value without a name is called "segment 3". Raises
    VolumeError for an empty label, which DICOM cannot hold, and for headers that lack something.
    """
    values = labels.values
    if not values:
        raise VolumeError("the label is empty, but a DICOM segmentation needs at least one segment")
    if len(values) > _MAX_SEGMENTS:
        raise VolumeError(
            f"the label has {len(values)} values; a DICOM segmentation holds at most "
            f"{_MAX_SEGMENTS}"
        )
    segments = [
        _segment(number, names.get(value) or f"segment {value}")
        for number, value in enumerate(values, start=1)
    ]
    frames = _frames(labels, slices)
    try:
        with warnings.catch_warnings():  # about values of the series, which we must not change
            warnings.simplefilter("ignore")
            made = _dataset(frames, segments, slices, facts)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise VolumeError(
            "the headers of the series are not sufficient for a segmentation; expected patient, "
            "study, frame of reference and place of each slice"
        ) from error
    # The series may be in any character set and names in any script; this one holds them all.
    made.SpecificCharacterSet = _UTF_8
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0] for segment in made.SegmentSequence]
    if any(kind.CodingSchemeDesignator == PRIVATE_SCHEME for kind in kinds):
        made.CodingSchemeIdentificationSequence = [private_scheme()]
    return made


def _frames(labels: Labels, slices: SeriesSlices) -> Voxels:
    """Segment numbers (frame, row, column); masks (frame, row, column, segment) if they overlap."""
    values = labels.values
    shape = labels.maps[0].shape[::-1]
    if len(labels.maps) == 1:
        frames = np.empty(shape, np.uint16)
        numbers = np.searchsorted([0, *values], labels.maps[0]).astype(np.uint16)
        frames[slices.frame_of_k] = numbers.transpose(2, 1, 0)
        return frames
    masks = np.empty((*shape, len(values)), np.uint8)
    for number, value in enumerate(values):
        mask = np.logical_or.reduce([each == value for each in labels.maps])
        masks[slices.frame_of_k, ..., number] = mask.transpose(2, 1, 0)
    return masks


def uids_of(key: str) -> tuple[str, str]:
    """Return the UIDs of series and instance for a key (PS3.5 B.2, from a UUID)."""
    series, instance = (uuid.uuid5(_UID_SPACE, f"{part} {key}") for part in ("series", "instance"))
    return f"2.25.{series.int}", f"2.25.{instance.int}"


def _dataset(
    frames: Voxels,
    segments: list[SegmentDescription],
    slices: SeriesSlices,
    facts: SegmentationFacts,
) -> pydicom.Dataset:
    series, instance = uids_of(facts.key)
    return hd.seg.Segmentation(
        source_images=slices.headers,
        pixel_array=frames,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=series,
        series_number=_series_number(slices, facts),
        sop_instance_uid=instance,
        instance_number=1,
        manufacturer="SEG-SAM",
        manufacturer_model_name="SEG-SAM",
        software_versions=_software_version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=long_string(facts.description),
        series_description=long_string(facts.description),
    )


def _series_number(slices: SeriesSlices, facts: SegmentationFacts) -> int:
    """Return a series number beside those of other versions, far from the scanner's own series."""
    own = int(slices.headers[0].get("SeriesNumber") or 0) % 100_000
    return 1_000_000 + own * 1000 + facts.version % 1000


def _segment(number: int, name: str) -> SegmentDescription:
    codes = segment_codes(name)
    return SegmentDescription(
        segment_number=number,
        segment_label=long_string(name) or f"segment {number}",
        segmented_property_category=codes.category,
        segmented_property_type=codes.type,
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="SEG-SAM",
            family=dicom_codes.DCM.ArtificialIntelligence,
            version=_software_version(),
        ),
        anatomic_regions=None if codes.region is None else [codes.region],
    )


def _software_version() -> str:
    try:
        return version("segsam")
    except PackageNotFoundError:
        return "0"
