"""Writer of small DICOM series with values and places that tests know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
SHAPE_KJI = (6, 14, 16)
AFFINE_LPS = np.array([[0.5, 0, 0, -10], [0, 0.75, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])


def stored_values(seed: int = 0) -> NDArray[np.int16]:
    """Return what the series of this seed stores, (k, j, i)."""
    made = np.random.default_rng(seed).integers(0, 1000, SHAPE_KJI)
    return made.astype(np.int16)


def values(seed: int = 0, count: int = SHAPE_KJI[0]) -> NDArray[np.int16]:
    """Return the voxels of a series of `count` slices, (i, j, k), in HU."""
    return stored_values(seed)[:count].transpose(2, 1, 0) - 1024


def affine_ras() -> NDArray[np.float64]:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE_LPS


def write_file(path: Path, pixels: NDArray[Any], **elements: Any) -> Path:
    """Write one CT image; an element of None is left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID", CT)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian, made.is_implicit_VR = True, False
    facts: Mapping[str, Any] = {
        "SOPClassUID": CT, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "Modality": "CT",
        "Rows": pixels.shape[-2], "Columns": pixels.shape[-1],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
        "PixelSpacing": [0.75, 0.5], "SliceThickness": 2.5,
        "RescaleSlope": 1, "RescaleIntercept": -1024,
        "PixelData": np.ascontiguousarray(pixels).tobytes(), **elements,
    }  # fmt: skip
    for key, value in facts.items():
        if value is not None:
            setattr(made, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, write_like_original=False)
    return path


def write_series(
    folder: Path,
    count: int = SHAPE_KJI[0],
    *,
    seed: int = 0,
    names: str = "IM{:03d}.dcm",
    first: int = 0,
    **elements: Any,
) -> Sequence[Path]:
    """Write slices `first` to `count` - 1 of an axial series, in a shuffled order of names."""
    order = np.random.default_rng(9).permutation(count)
    pixels = stored_values(seed)
    return [
        write_file(
            folder / names.format(number),
            pixels[k],
            ImagePositionPatient=[-10, 20, 30 + 2.5 * int(k)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **elements,
        )
        for number, k in enumerate(order)
        if k >= first
    ]


def write_stills(folder: Path, count: int = 3, **elements: Any) -> Sequence[Path]:
    """Write pictures of one series without positions in the patient."""
    return [
        write_file(folder / f"US{number}.dcm", stored_values()[number], Modality="US", **elements)
        for number in range(count)
    ]


def write_concatenation(
    folder: Path, total: int | None = 2, seed: int = 0, uid: str = "1.2.7", name: str = "part{}.dcm"
) -> list[Path]:
    """Write one enhanced object in two files of three frames each."""
    files = []
    for number in (1, 2):
        frames = range(3 * number - 3, 3 * number)
        groups = [
            item(PlanePositionSequence=[item(ImagePositionPatient=[-10, 20, 30 + 2.5 * k])])
            for k in frames
        ]
        path = folder / name.format(number)
        files.append(write_file(
            path, stored_values(seed)[list(frames)],
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", NumberOfFrames=3, ConcatenationUID=uid,
            InConcatenationNumber=number, InConcatenationTotalNumber=total,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PerFrameFunctionalGroupsSequence=groups,
        ))  # fmt: skip
    return files


def item(**facts: Any) -> Dataset:
    """Return an item of a sequence."""
    made = Dataset()
    for key, value in facts.items():
        setattr(made, key, value)
    return made
