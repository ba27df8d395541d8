"""A volume as a DICOM series of CT images, one file a slice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from segsam.imaging.volume import Volume

_HU_OF_ZERO = -1024
_LPS = np.array([-1.0, -1.0, 1.0])


def ct_series(volume: Volume, name: str) -> Iterator[Dataset]:
    """Yield the slices of a volume in HU along its axis k, i to the right and j downwards.

    `name` is the patient's id and the description. The same volume and name give the same UIDs, so
    that a server which has the series already gets no second one.
    """
    study, series, frame = (_uid(name, part) for part in ("study", "series", "frame"))
    affine = volume.affine_ras
    steps_mm = np.linalg.norm(affine[:3, :3], axis=0)
    directions_lps = affine[:3, :3] / steps_mm * _LPS[:, None]
    for k in range(volume.shape_ijk[2]):
        slice_ = _empty_slice(_uid(name, f"slice {k}"))
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = study, series
        slice_.FrameOfReferenceUID, slice_.PositionReferenceIndicator = frame, ""
        slice_.PatientID = slice_.SeriesDescription = slice_.StudyDescription = name
        slice_.PatientName = name
        slice_.InstanceNumber = k + 1
        origin_lps = (affine @ (0, 0, k, 1))[:3] * _LPS
        slice_.ImagePositionPatient = _decimal(origin_lps)
        slice_.ImageOrientationPatient = _decimal(directions_lps[:, :2].T.ravel())
        slice_.PixelSpacing = _decimal(steps_mm[1::-1])
        slice_.SliceThickness = _decimal(steps_mm[2:])[0]
        _set_pixels(slice_, volume.voxels[:, :, k].T)
        yield slice_


def _empty_slice(uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian, made.is_implicit_VR = True, False
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, uid
    made.Modality, made.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    made.StudyDate, made.StudyTime = f"{date(2026, 1, 2):%Y%m%d}", "120000"
    made.StudyID, made.SeriesNumber, made.AccessionNumber = "1", 1, ""
    made.PatientBirthDate = made.PatientSex = made.ReferringPhysicianName = ""
    made.Manufacturer = made.KVP = ""
    return made


def _set_pixels(slice_: Dataset, values_hu: NDArray[Any]) -> None:
    """Set the pixels, (rows, columns)."""
    stored = np.clip(np.rint(values_hu) - _HU_OF_ZERO, 0, 2**16 - 1).astype("<u2")
    slice_.Rows, slice_.Columns = stored.shape
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation = 15, 0
    slice_.RescaleSlope, slice_.RescaleIntercept, slice_.RescaleType = 1, _HU_OF_ZERO, "HU"
    slice_.WindowCenter, slice_.WindowWidth = 40, 400
    slice_.PixelData = stored.tobytes()


def _uid(*parts: str) -> str:
    return str(generate_uid(entropy_srcs=["segsam browser", *parts]))


def _decimal(values: NDArray[np.float64]) -> list[float]:
    """Return numbers as DICOM's decimal strings, of at most 16 characters, can hold them."""
    return [float(f"{value:.8g}") for value in values]
