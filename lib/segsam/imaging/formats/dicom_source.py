"""Patient, frame of reference and series that a DICOM object says it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom_files import DicomFile, is_dicom, read_file
from segsam.imaging.formats.raw import reading

_SENTENCE = (
    "the DICOM segmentation says that it was made on {others} than this image; it lies on the same "
    "voxels, so check that it belongs here"
)


@dataclass(frozen=True)
class DicomSource:
    """Patient, frame of reference and series of an image, or of the images that were segmented;
    empty for what is not given.
    """

    patient: str
    frame_of_reference: str
    series: frozenset[str]

    def against(self, image: DicomSource) -> str:
        """Return the sentence on what else than `image` was segmented; "" for nothing."""
        others = []
        if self.patient and image.patient and self.patient != image.patient:
            others.append("another patient (Patient ID)")
        frames = self.frame_of_reference, image.frame_of_reference
        if all(frames) and frames[0] != frames[1]:
            others.append("another frame of reference")
        if self.series and image.series and not self.series & image.series:
            others.append("another series")
        return _SENTENCE.format(others=" and ".join(others)) if others else ""


def read_dicom_source(path: Path) -> DicomSource | None:
    """Read what an image is of, or what a segmentation was made on; None for a file that is no
    DICOM. Raises VolumeError for damaged DICOM.
    """
    if not path.is_file() or not is_dicom(path):
        return None
    file = read_file(path)
    sentence = f"{path.name} could not be read as DICOM: expected UIDs, got damaged attributes."
    with reading(path, "DICOM", sentence):
        return DicomSource(
            _text(file.header, "PatientID"),
            _text(file.header, "FrameOfReferenceUID"),
            _referenced(file) if file.is_segmentation else frozenset({file.series_uid} - {""}),
        )


def known_dicom_source(path: Path) -> DicomSource | None:
    """Read what an image is of; None if it cannot be read, which its readers report."""
    try:
        return read_dicom_source(path)
    except (VolumeError, OSError):
        return None


def _referenced(file: DicomFile) -> frozenset[str]:
    items = file.header.get("ReferencedSeriesSequence") or []
    return frozenset({_text(item, "SeriesInstanceUID") for item in items} - {""})


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()
