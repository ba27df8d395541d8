"""Values of DICOM files: equal to pydicom's own arithmetic, whatever differs between headers.

Each kind is a series that this test writes. The expected values come from pydicom alone, file by
file: pixel_array and apply_modality_lut, in float64.
"""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers import apply_modality_lut, convert_color_space
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from segsam.errors import VolumeError
from segsam.imaging.intensity import Intensity
from segsam.imaging.volume import Volume

from .kinds_dicom import compressed

CT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
US = "1.2.840.10008.5.1.4.1.1.6.1"
COUNT, ROWS, COLUMNS = 5, 6, 4
LIBRARY_WORDS = (
    "force=True", "attribute '", "Exception", "ITK", "gdcm", "pydicom", "handler", "dataset",
    "NoneType", "expected length", "truncated",
)  # fmt: skip


TWELVE_BITS = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    "AQEBAQEBAQEBAQEBAQEBAQH/wQALDAAEAAYBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAADf/EAB4QAAAEBwAAAAAAAAAAAAAA"
    "AAAHDUgFCQwaK1Zp/9oACAEBAAA/AGFKmhELqTjm3njuGqaqXrkJXmzF/wARh//Z"
)
"""A JPEG (extended, 12 bits) of 4 x 6 pixels 0, 170, ... 3910, by DCMTK's dcmcjpeg."""


def stored(number: int, low: int, high: int) -> NDArray[np.int64]:
    """Random stored values of a slice, with both ends among them."""
    values = np.random.default_rng(number).integers(low, high + 1, (ROWS, COLUMNS))
    values.flat[:2] = low, high
    return values


def image(
    pixels: NDArray[Any], *, bits: int = 16, syntax: str = ExplicitVRLittleEndian, **facts: Any
) -> FileDataset:
    """A CT slice of these pixels (rows, columns[, 3]); a fact of None leaves an attribute out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = facts.get("SOPClassUID") or CT
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian = syntax != ExplicitVRBigEndian
    made.is_implicit_VR = syntax == ImplicitVRLittleEndian
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    usual = {
        "SOPClassUID": CT,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": 8 * pixels.dtype.itemsize,
        "BitsStored": min(bits, 8 * pixels.dtype.itemsize),
        "HighBit": min(bits, 8 * pixels.dtype.itemsize) - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PlanarConfiguration": 0 if colour else None,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.75, 0.5],
        "SliceThickness": 2.5,
    }
    for key, value in {**usual, **facts}.items():
        if value is not None:
            setattr(made, key, value)
    if "PixelData" not in facts:
        order = "<" if made.is_little_endian else ">"
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    made["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return made


def written(made: FileDataset, path: Path) -> Path:
    made.save_as(path, write_like_original=False)
    return path


def item(**facts: Any) -> Dataset:
    made = Dataset()
    for key, value in facts.items():
        setattr(made, key, value)
    return made


def lut(first: int, values: list[int]) -> list[Dataset]:
    made = item(LUTDescriptor=[len(values), first, 16], LUTData=values)
    made["LUTDescriptor"].VR, made["LUTData"].VR = "US", "US"
    return [made]


def arithmetic_of_pydicom(folder: Path) -> NDArray[np.float64]:
    """(i, j, k) values of a folder, slice by slice in the order of their positions."""
    planes = []
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        values = apply_modality_lut(header.pixel_array, header).astype(np.float64)
        planes.append((float(header.ImagePositionPatient[2]), values))
    return np.stack([values for _, values in sorted(planes, key=lambda pair: pair[0])]).T


def arithmetic_of_pydicom_file(path: Path) -> NDArray[np.generic]:
    """(i, j, 1) stored values of a file."""
    return pydicom.dcmread(path).pixel_array.T[..., None]


def of(low: int, high: int, kind: type, bits: int, **facts: Any) -> Callable[[int], FileDataset]:
    return lambda n: image(stored(n, low, high).astype(kind), bits=bits, **facts)


PLAIN = of(0, 4095, np.uint16, 12, RescaleSlope=1, RescaleIntercept=-1024)
NO_RESCALE = of(0, 65535, np.uint16, 16)
KINDS: dict[str, tuple[Callable[[int], FileDataset], Callable[[int], FileDataset], type]] = {
    # name: (first slice, other slices, type of the result)
    "one header": (PLAIN, PLAIN, np.int16),
    "intercept": (
        of(0, 65535, np.uint16, 16, RescaleSlope=1, RescaleIntercept=0), PLAIN, np.int32
    ),
    "rescale in some": (NO_RESCALE, PLAIN, np.int32),
    "whole slopes": (
        lambda n: image(
            stored(n, 0, 32767).astype(np.int16), RescaleSlope=n + 2, RescaleIntercept=0
        ),
        lambda n: image(
            stored(n, 0, 32767).astype(np.int16), RescaleSlope=7 * n + 2, RescaleIntercept=0
        ),
        np.int32,
    ),
    "slopes beyond 32 bits": (
        of(0, 65535, np.uint16, 16, RescaleSlope=70001, RescaleIntercept=-3), PLAIN, np.float64
    ),
    "a fraction": (
        of(-2000, 2000, np.int16, 16, RescaleSlope=0.3125, RescaleIntercept=-0.5), PLAIN, np.float32
    ),
    "signedness": (of(-1024, 3071, np.int16, 16), NO_RESCALE, np.int32),
    "signed bits": (of(-512, 511, np.int16, 10), of(0, 1023, np.uint16, 10), np.int16),
    "bits allocated": (of(0, 255, np.uint8, 8), of(-1000, 3000, np.int16, 16), np.int16),
    "bits stored": (of(0, 1023, np.uint16, 10), NO_RESCALE, np.uint16),
    "8 bits": (of(0, 255, np.uint8, 8), of(0, 255, np.uint8, 8), np.uint8),
    "signed 8 bits": (of(-128, 127, np.int8, 8), of(0, 255, np.uint8, 8), np.int16),
    "32 bits": (of(-(2**31), 2**31 - 1, np.int32, 32), PLAIN, np.int32),
    "unsigned 32 bits": (of(0, 2**32 - 1, np.uint32, 32), NO_RESCALE, np.uint32),
    "padding": (
        of(-2000, 3071, np.int16, 16, PixelPaddingValue=-2000, RescaleSlope=1, RescaleIntercept=0),
        of(0, 65535, np.uint16, 16, PixelPaddingValue=65535, RescaleSlope=1, RescaleIntercept=-9),
        np.int32,
    ),
    "padding beyond the stored bits": (
        of(0, 63536, np.uint16, 12, RescaleSlope=1, RescaleIntercept=-1024), PLAIN, np.int32
    ),
    "photometric interpretation": (
        of(0, 4095, np.uint16, 12, PhotometricInterpretation="MONOCHROME1"), PLAIN, np.int16
    ),
    "modality LUT": (
        of(0, 9, np.uint16, 12, ModalityLUTSequence=lut(2, [5, 400, 9, 60000])), PLAIN, np.int32
    ),
}  # fmt: skip


class TestSeries:
    @pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_equal_to_pydicom(self, kind: str, is_first: bool, tmp_path: Path) -> None:
        odd, usual, expected_type = KINDS[kind]
        for number in range(COUNT):
            is_odd = number == (0 if is_first else COUNT - 1)
            made = (odd if is_odd else usual)(number)
            made.ImagePositionPatient = [-10, 20, 2.5 * number]
            written(made, tmp_path / f"{(number * 2) % COUNT}.dcm")
        volume = Volume.load(tmp_path)
        expected = arithmetic_of_pydicom(tmp_path)
        assert volume.voxels.dtype == expected_type
        assert np.array_equal(volume.voxels, expected.astype(volume.voxels.dtype))
        if expected_type is not np.float32:  # fractions are rounded once
            assert np.array_equal(volume.voxels.astype(np.float64), expected)

    @pytest.mark.parametrize(
        "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
    )
    def test_native_syntaxes(self, syntax: str, tmp_path: Path) -> None:
        for number in range(COUNT):
            pixels = stored(number, -1024, 3071).astype(np.int16)
            made = image(pixels, syntax=syntax, RescaleSlope=1, RescaleIntercept=-7 * number)
            made.ImagePositionPatient = [0, 0, number]
            written(made, tmp_path / f"{number}.dcm")
        assert np.array_equal(Volume.load(tmp_path).voxels, arithmetic_of_pydicom(tmp_path))

    @pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
    @pytest.mark.parametrize("codec", ["RLE", "JPEG 2000"])
    def test_compressed_slices(self, codec: str, interpretation: str, tmp_path: Path) -> None:
        folder = tmp_path / "series"
        folder.mkdir()
        for number in range(COUNT):
            made = image(
                stored(number, 0, 4095).astype(np.uint16),
                bits=12,
                RescaleSlope=number + 1,
                RescaleIntercept=-1000 * number,
                ImagePositionPatient=[0, 0, number],
                PhotometricInterpretation=interpretation,
            )
            if codec == "RLE":
                made.compress(RLELossless)
            else:
                made.file_meta.TransferSyntaxUID = JPEG2000Lossless
                made.BitsStored, made.HighBit = 16, 15
                stream = io.BytesIO()
                Image.fromarray(stored(number, 0, 4095).astype(np.uint16)).save(
                    stream, "JPEG2000", no_jp2=True, irreversible=False, num_resolutions=1
                )
                made.PixelData = encapsulate([stream.getvalue()])
                made["PixelData"].is_undefined_length = True
            written(made, folder / f"{number}.dcm")
        volume = Volume.load(folder)
        expected = np.stack(
            [stored(n, 0, 4095) * (n + 1) - 1000 * n for n in range(COUNT)]
        ).transpose(2, 1, 0)
        assert np.array_equal(volume.voxels, expected)
        assert np.array_equal(volume.voxels, arithmetic_of_pydicom(folder))

    @pytest.mark.parametrize("slope", [0, "nan", "inf"])
    def test_an_impossible_slope(self, slope: Any, tmp_path: Path) -> None:
        made = PLAIN(0)
        made.add_new("RescaleSlope", "FD", float(slope))
        with pytest.raises(VolumeError, match="expected a finite rescale slope other than 0"):
            Volume.load(written(made, tmp_path / "x.dcm"))

    def test_the_scaling_of_a_dose(self, tmp_path: Path) -> None:
        """An RT dose calls its slope otherwise; pydicom leaves it to the caller."""
        made = image(stored(0, 0, 65535).astype(np.uint16), Modality="RTDOSE")
        made.DoseGridScaling = "0.0001"
        volume = Volume.load(written(made, tmp_path / "x.dcm"))
        np.testing.assert_allclose(volume.voxels[..., 0].T, stored(0, 0, 65535) * 1e-4, rtol=1e-6)

    def test_floating_point_pixels(self, tmp_path: Path) -> None:
        for kind, keyword in ((np.float32, "FloatPixelData"), (np.float64, "DoubleFloatPixelData")):
            values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(kind)
            made = image(values)
            del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
            setattr(made, keyword, values.tobytes())
            volume = Volume.load(written(made, tmp_path / f"{keyword}.dcm"))
            assert volume.voxels.dtype == kind
            assert np.array_equal(volume.voxels[..., 0].T, values)


class TestStoredBits:
    """Bits outside of the stored ones (PS3.5, section 8.1.1)."""

    VALUES = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 80 + 3

    def voxels(self, tmp_path: Path, pixels: NDArray[Any], **facts: Any) -> NDArray[Any]:
        return Volume.load(written(image(pixels, **facts), tmp_path / "x.dcm")).voxels[..., 0].T

    def test_a_high_bit_above(self, tmp_path: Path) -> None:
        pixels = (self.VALUES << 4).astype(np.uint16)
        assert np.array_equal(self.voxels(tmp_path, pixels, bits=12, HighBit=15), self.VALUES)

    def test_a_wrong_high_bit_loses_no_bits(self, tmp_path: Path) -> None:
        pixels = self.VALUES.astype(np.uint16)
        assert np.array_equal(self.voxels(tmp_path, pixels, bits=12, HighBit=15), self.VALUES)

    def test_signed_values_without_copies_of_the_sign(self, tmp_path: Path) -> None:
        values = self.VALUES - 1000
        pixels = (values & 0xFFF).astype(np.int16)
        assert np.array_equal(self.voxels(tmp_path, pixels, bits=12), values)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_an_overlay_in_the_upper_bits(self, tmp_path: Path, syntax: str) -> None:
        pixels = (self.VALUES | 1 << 12).astype(np.uint16)
        made = image(pixels, bits=12, syntax=syntax)
        made.add_new(0x60000102, "US", 12)
        volume = Volume.load(written(made, tmp_path / "x.dcm"))
        assert np.array_equal(volume.voxels[..., 0].T, self.VALUES)
        assert len(volume.notes) == 1  # it has no position


LEFT_OUT, READ = "no part of the values and were left out", "all of their bits were read"
CODECS = ("explicit", "big-endian", "deflated", "RLE", "JPEG 2000")


class TestUnusedBits:
    """Bits that no overlay group declares; the expected value is `stored & mask`, by its sign."""

    VALUES = stored(0, 277, 3795)

    def load(self, tmp_path: Path, pixels: NDArray[Any], codec: str = "", **facts: Any) -> Volume:
        syntax = {"big-endian": ExplicitVRBigEndian, "deflated": DeflatedExplicitVRLittleEndian}
        facts = {"bits": 12, "ImagePositionPatient": [0, 0, 0], **facts}
        made = image(pixels, syntax=syntax.get(codec, ExplicitVRLittleEndian), **facts)
        if codec == "RLE":
            made.compress(RLELossless)
        if codec == "JPEG 2000":
            stream = io.BytesIO()
            Image.fromarray(pixels.view(np.uint16)).save(
                stream, "JPEG2000", no_jp2=True, irreversible=False, num_resolutions=1
            )
            made.file_meta.TransferSyntaxUID = JPEG2000Lossless
            made.PixelData = encapsulate([stream.getvalue()])
            made["PixelData"].is_undefined_length = True
        return Volume.load(written(made, tmp_path / "x.dcm"))

    def check(self, volume: Volume, expected: NDArray[Any], note: str) -> None:
        assert np.array_equal(volume.voxels[..., 0].T, expected)
        assert len(volume.notes) == int(bool(note))
        assert all(note in each for each in volume.notes)

    @pytest.mark.parametrize("codec", CODECS)
    def test_without_a_sign(self, tmp_path: Path, codec: str) -> None:
        pixels = (self.VALUES | 0x3000).astype(np.uint16)
        self.check(self.load(tmp_path, pixels, codec), self.VALUES, LEFT_OUT)

    @pytest.mark.parametrize("codec", CODECS[:-1])
    def test_with_a_sign(self, tmp_path: Path, codec: str) -> None:
        values = self.VALUES - 2048
        pixels = (values & 0xFFF | 0x3000).astype(np.int16)
        self.check(self.load(tmp_path, pixels, codec), values, LEFT_OUT)

    def test_copies_of_the_sign(self, tmp_path: Path) -> None:
        pixels = (self.VALUES - 2048).astype(np.int16)
        self.check(self.load(tmp_path, pixels), pixels, "")

    @pytest.mark.parametrize("codec", CODECS[:-1])
    def test_another_high_bit(self, tmp_path: Path, codec: str) -> None:
        pixels = (self.VALUES << 2 | 0x8001).astype(np.uint16)
        volume = self.load(tmp_path, pixels, codec, HighBit=13)
        self.check(volume, self.VALUES, LEFT_OUT)

    def test_another_high_bit_with_a_sign(self, tmp_path: Path) -> None:
        values = self.VALUES - 2048
        self.check(self.load(tmp_path, (values << 2).astype(np.int16), HighBit=13), values, "")

    def test_a_line_that_no_group_declares(self, tmp_path: Path) -> None:
        pixels = self.VALUES.astype(np.uint16)
        pixels[2] |= 0x8000
        self.check(self.load(tmp_path, pixels), self.VALUES, LEFT_OUT)

    def test_noise_above_smooth_values(self, tmp_path: Path) -> None:
        values = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + 700
        pixels = (values | stored(3, 0, 15) << 12).astype(np.uint16)
        self.check(self.load(tmp_path, pixels), values, LEFT_OUT)

    def test_of_32_and_8_bits(self, tmp_path: Path) -> None:
        pixels = (self.VALUES | 0x50000).astype(np.uint32)
        self.check(self.load(tmp_path, pixels), self.VALUES, LEFT_OUT)
        small = self.VALUES % 64
        self.check(self.load(tmp_path, (small | 0x80).astype(np.uint8), bits=6), small, LEFT_OUT)

    def test_padding_that_the_header_declares(self, tmp_path: Path) -> None:
        pixels = self.VALUES.astype(np.uint16)
        pixels[0, :3] = 63536
        self.check(self.load(tmp_path, pixels, PixelPaddingValue=63536), pixels, "")

    def test_padding_that_it_does_not_declare(self, tmp_path: Path) -> None:
        pixels = self.VALUES.astype(np.uint16)
        pixels[0, :3] = 63536
        self.check(self.load(tmp_path, pixels), pixels, READ)

    def test_numbers_that_need_more_bits(self, tmp_path: Path) -> None:
        """Bits Stored is too small in one slice, and in all of the series the bits are read."""
        for number in range(3):
            pixels = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * (900 if number == 1 else 1)
            made = image(pixels.astype(np.int16), bits=12, ImagePositionPatient=[0, 0, number])
            made.PixelData = (pixels + 2048 * (number != 1)).astype(np.int16).tobytes()
            written(made, tmp_path / f"{number}.dcm")
        volume = Volume.load(tmp_path)
        assert np.array_equal(volume.voxels, arithmetic_of_pydicom(tmp_path))
        assert len(volume.notes) == 1
        assert READ in volume.notes[0]


class TestMonochrome1:
    def load(self, tmp_path: Path, modality: str, number: int = 0) -> Volume:
        made = of(
            0, 4095, np.uint16, 12, PhotometricInterpretation="MONOCHROME1", Modality=modality
        )(number)
        return Volume.load(written(made, tmp_path / f"{modality}.dcm"))

    @pytest.mark.parametrize("modality", ["CT", "PT", "NM", "MR"])
    def test_quantities_are_shown_as_ever(self, modality: str, tmp_path: Path) -> None:
        volume = self.load(tmp_path, modality)
        assert np.array_equal(volume.voxels[..., 0].T, stored(0, 0, 4095))
        assert not volume.is_shown_inverted
        assert not Intensity.for_volume(volume).is_inverted
        assert "concerns its display only, and its values are not changed" in volume.notes[-1]

    @pytest.mark.parametrize("window", [None, (0.0, 4095.0)])
    @pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA"])
    def test_x_rays_are_inverted_for_the_picture_only(
        self, modality: str, window: tuple[float, float] | None, tmp_path: Path
    ) -> None:
        volume = self.load(tmp_path, modality)
        assert np.array_equal(volume.voxels[..., 0].T, stored(0, 0, 4095))
        assert "inverted for display, and its values are not changed" in volume.notes[-1]
        shown = Intensity.for_volume(volume, window)
        usual = Intensity(shown.kind, shown.low, shown.high)
        assert np.array_equal(
            shown.apply(volume.voxels), 255 - usual.apply(volume.voxels).astype(int)
        )
        assert shown.key != usual.key
        assert volume.reoriented("LPS").is_shown_inverted


class TestEnhanced:
    def write(self, path: Path, numbers: list[int], **facts: Any) -> Path:
        """Frames with slopes and positions of their own."""
        pixels = np.stack([stored(n, 0, 4095) for n in numbers]).astype(np.uint16)
        made = image(pixels, bits=12, SOPClassUID=ENHANCED_CT, **facts)
        del made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness
        made.NumberOfFrames = len(numbers)
        made.SharedFunctionalGroupsSequence = [
            item(
                PixelMeasuresSequence=[item(PixelSpacing=[3, 3], SliceThickness=3)],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            )
        ]
        made.PerFrameFunctionalGroupsSequence = [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=[-150, -120, 3 * n - 85])],
                PixelValueTransformationSequence=[
                    item(RescaleSlope=n + 1, RescaleIntercept=-1024 * n, RescaleType="HU")
                ],
            )
            for n in numbers
        ]
        return written(made, path)

    def expected(self, numbers: list[int]) -> NDArray[Any]:
        planes = [stored(n, 0, 4095) * (n + 1) - 1024 * n for n in sorted(numbers)]
        return np.stack(planes).transpose(2, 1, 0)

    def check(self, volume: Volume, numbers: list[int]) -> None:
        assert np.array_equal(volume.voxels, self.expected(numbers))
        assert volume.spacing_mm == (3, 3, 3)
        assert volume.to_ras([[0, 0, 0]])[0].tolist() == [150, 120, 3 * min(numbers) - 85]
        assert volume.notes == ()

    def test_slopes_of_frames(self, tmp_path: Path) -> None:
        self.check(Volume.load(self.write(tmp_path / "e.dcm", [3, 1, 0, 2])), [0, 1, 2, 3])

    def test_one_frame(self, tmp_path: Path) -> None:
        self.check(Volume.load(self.write(tmp_path / "e.dcm", [0])), [0])

    def test_a_series_of_objects_with_one_frame(self, tmp_path: Path) -> None:
        for number in (2, 0, 1):
            path = self.write(tmp_path / f"{number}.dcm", [number])
        self.check(Volume.load(tmp_path), [0, 1, 2])
        self.check(Volume.load(path), [0, 1, 2])

    def test_one_frame_by_number(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "e.dcm", [3, 1, 0])
        self.check(Volume.load(path, frame=2), [1])
        with pytest.raises(VolumeError, match=r"a frame from 1 to 3 of e\.dcm, got 4"):
            Volume.load(path, frame=4)


class TestColour:
    COLOURS = np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)

    def load(self, tmp_path: Path, **facts: Any) -> NDArray[Any]:
        path = written(image(self.COLOURS, **{"Modality": "US", **facts}), tmp_path / "x.dcm")
        return Volume.load(path).voxels[:, :, 0].transpose(1, 0, 2)

    def test_rgb(self, tmp_path: Path) -> None:
        assert np.array_equal(self.load(tmp_path), self.COLOURS)

    def test_planes(self, tmp_path: Path) -> None:
        planes = self.COLOURS.transpose(2, 0, 1).tobytes()
        assert np.array_equal(
            self.load(tmp_path, PlanarConfiguration=1, PixelData=planes), self.COLOURS
        )

    @pytest.mark.parametrize("interpretation", ["YBR_FULL", "YBR_FULL_422"])
    def test_ybr_of_full_resolution(self, interpretation: str, tmp_path: Path) -> None:
        """Some writers declare 422 and store every pixel's colour."""
        expected = convert_color_space(self.COLOURS, "YBR_FULL", "RGB")
        assert np.array_equal(
            self.load(tmp_path, PhotometricInterpretation=interpretation), expected
        )

    def test_ybr_422(self, tmp_path: Path) -> None:
        pairs = self.COLOURS.reshape(-1, 2, 3)
        shared = np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1)
        full = pairs.copy()
        full[:, 1, 1:] = full[:, 0, 1:]
        found = self.load(
            tmp_path, PhotometricInterpretation="YBR_FULL_422", PixelData=shared.tobytes()
        )
        expected = convert_color_space(full.reshape(self.COLOURS.shape), "YBR_FULL", "RGB")
        assert np.array_equal(found, expected)

    @pytest.mark.parametrize("scale", [1, 257], ids=["8 bits", "16 bits"])
    @pytest.mark.parametrize("is_compressed", [False, True])
    def test_palette(self, scale: int, is_compressed: bool, tmp_path: Path) -> None:
        tables = np.random.default_rng(1).permuted(np.tile(np.arange(256), (3, 1)), axis=1)
        indices = stored(0, 0, 255).astype(np.uint8)
        made = image(indices, PhotometricInterpretation="PALETTE COLOR", Modality="US")
        kind = np.uint8 if scale == 1 else np.dtype("<u2")
        for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
            made.add_new(
                f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 8 if scale == 1 else 16]
            )
            made.add_new(
                f"{name}PaletteColorLookupTableData", "OW", (table * scale).astype(kind).tobytes()
            )
        if is_compressed:
            made.compress(RLELossless)
        volume = Volume.load(written(made, tmp_path / "x.dcm"))
        assert np.array_equal(volume.voxels[:, :, 0].transpose(1, 0, 2), tables.T[indices])

    def test_grey_among_colours(self, tmp_path: Path) -> None:
        for number in range(2):
            made = image(self.COLOURS if number else self.COLOURS[..., 0])
            made.ImagePositionPatient = [0, 0, number]
            written(made, tmp_path / f"{number}.dcm")
        with pytest.raises(VolumeError, match="all slices grey or all in colour, got both"):
            Volume.load(tmp_path)


class TestFiles:
    """Unusual files that are valid, or usual enough."""

    @pytest.mark.parametrize("with_meta", [True, False])
    @pytest.mark.parametrize(
        "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
    )
    @pytest.mark.parametrize("ending", [".dcm", ""])
    def test_no_preamble(self, syntax: str, with_meta: bool, ending: str, tmp_path: Path) -> None:
        made = image(
            stored(0, 0, 4095).astype(np.uint16), syntax=syntax, ImagePositionPatient=[0, 0, 7]
        )
        path = written(made, tmp_path / f"IM1{ending}")
        content = path.read_bytes()
        begin = 132 if with_meta else 144 + struct.unpack("<I", content[140:144])[0]
        path.write_bytes(content[begin:])
        for source in (path, tmp_path):
            volume = Volume.load(source)
            assert np.array_equal(volume.voxels[..., 0].T, stored(0, 0, 4095))
            assert volume.to_ras([[0, 0, 0]])[0].tolist() == [0, 0, 7]

    @pytest.mark.parametrize(
        ("uid", "words"),
        [
            (None, "x.dcm gives no SOP class; it was read as CT"),
            ("1.3.12.2.1107.5.9.1", "gives the SOP class 1.3.12.2.1107.5.9.1, which the standard"),
        ],
    )
    def test_a_private_or_missing_sop_class(
        self, uid: str | None, words: str, tmp_path: Path
    ) -> None:
        made = image(stored(0, 0, 9).astype(np.uint16), ImagePositionPatient=[0, 0, 7])
        del made.SOPClassUID
        if uid:
            made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = uid
        path = written(made, tmp_path / "x.dcm") if uid else tmp_path / "x.dcm"
        if not uid:
            made.save_as(path, write_like_original=True)
        volume = Volume.load(path)
        assert np.array_equal(volume.voxels[..., 0].T, stored(0, 0, 9))
        assert volume.modality == "CT"
        assert words in " ".join(volume.notes)

    def test_the_modality_follows_from_the_sop_class(self, tmp_path: Path) -> None:
        made = image(stored(0, 0, 9).astype(np.uint16), Modality=None, SOPClassUID=US)
        volume = Volume.load(written(made, tmp_path / "x.dcm"))
        assert volume.modality == "US"
        assert "US follows from its SOP class" in volume.notes[-1]

    def test_hidden_files_are_no_slices(self, tmp_path: Path) -> None:
        made = image(stored(0, 0, 9).astype(np.uint16), ImagePositionPatient=[0, 0, 7])
        path = written(made, tmp_path / "x.dcm")
        (tmp_path / "._x.dcm").write_bytes(path.read_bytes())
        assert Volume.load(tmp_path).shape_ijk == (COLUMNS, ROWS, 1)

    def test_deflated_data_are_inflated_no_further_than_declared(self, tmp_path: Path) -> None:
        made = image(
            stored(0, 0, 9).astype(np.uint16),
            syntax=DeflatedExplicitVRLittleEndian,
            PixelData=bytes(2**28),
        )
        path = written(made, tmp_path / "x.dcm")
        del made
        tracemalloc.start()
        assert not Volume.load(path).voxels.any()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**26


class TestStills:
    """Images of one series that form no volume."""

    def write(self, path: Path, number: int, **facts: Any) -> Path:
        usual = {
            "Modality": "US",
            "SOPClassUID": US,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
        }
        pixels = stored(number, 0, 255).astype(np.uint8)
        return written(image(pixels, **{**usual, **facts}), path)

    def test_a_named_still_is_what_is_meant(self, tmp_path: Path) -> None:
        for number in range(4):
            path = self.write(tmp_path / f"U{number}.dcm", number)
        volume = Volume.load(path)
        assert np.array_equal(volume.voxels[..., 0].T, stored(3, 0, 255))
        assert volume.notes[0].startswith("U3.dcm has no position or no orientation")
        with pytest.raises(VolumeError, match=r"got US .* \(4 files.* U0\.dcm, U1\.dcm.* is meant"):
            Volume.load(tmp_path)

    @pytest.mark.parametrize("named", [0, 1])
    def test_views_of_one_series(self, named: int, tmp_path: Path) -> None:
        """A localizer: three axial slices, one coronal."""
        for number in range(4):
            is_coronal = number == 3
            made = image(stored(number, 0, 9).astype(np.uint16))
            made.ImagePositionPatient = [0, 0, number]
            if is_coronal:
                made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
            written(made, tmp_path / f"{number}.dcm")
        axial = Volume.load(tmp_path / f"{named}.dcm")
        assert axial.shape_ijk == (COLUMNS, ROWS, 3)
        assert "the 3 slices of its view were read; 1 other file(s)" in axial.notes[0]
        coronal = Volume.load(tmp_path / "3.dcm")
        assert np.array_equal(coronal.voxels[..., 0].T, stored(3, 0, 9))

    def test_times_at_one_position(self, tmp_path: Path) -> None:
        for number in range(3):
            made = image(stored(number, 0, 9).astype(np.uint16), ImagePositionPatient=[0, 0, 7])
            written(made, tmp_path / f"{number}.dcm")
        volume = Volume.load(tmp_path / "1.dcm")
        assert np.array_equal(volume.voxels[..., 0].T, stored(1, 0, 9))
        assert volume.notes[0].startswith("1.dcm: it was read alone; 2 other file(s)")

    def region(self, spacing_cm: float, size: int = 4, unit: int = 3) -> Dataset:
        return item(
            RegionSpatialFormat=1,
            PhysicalUnitsXDirection=unit,
            PhysicalUnitsYDirection=unit,
            PhysicalDeltaX=spacing_cm,
            PhysicalDeltaY=-2 * spacing_cm,
            RegionLocationMinX0=0,
            RegionLocationMinY0=0,
            RegionLocationMaxX1=size,
            RegionLocationMaxY1=size,
        )

    def test_spacing_of_ultrasound_regions(self, tmp_path: Path) -> None:
        regions = [self.region(0.9, 2), self.region(0.03), self.region(0.5, 9, unit=4)]
        path = self.write(tmp_path / "u.dcm", 0, SequenceOfUltrasoundRegions=regions)
        volume = Volume.load(path)
        np.testing.assert_allclose(volume.spacing_mm[:2], (0.3, 0.6))
        assert not any("1 mm" in note or "differ" in note for note in volume.notes)

    def test_regions_beside_each_other_of_different_scale(self, tmp_path: Path) -> None:
        """The larger region's spacing holds for all, and a note says that it is not so."""
        left, right = self.region(0.02, 2), self.region(0.05)
        left.RegionLocationMinX0, left.RegionLocationMaxX1 = 5, 7
        for number, regions in enumerate(([left, right], [right, left])):
            path = self.write(tmp_path / f"{number}.dcm", 0, SequenceOfUltrasoundRegions=regions)
            volume = Volume.load(path)
            np.testing.assert_allclose(volume.spacing_mm[:2], (0.5, 1.0))
            (note,) = (one for one in volume.notes if "differ in size" in one)
            assert "0.5 x 1 mm was taken for all, so sizes are wrong where it is 0.2 x 0.4" in note
        left.PhysicalDeltaX, left.PhysicalDeltaY = 0.05, 0.1
        path = self.write(tmp_path / "x.dcm", 0, SequenceOfUltrasoundRegions=[left, right])
        assert not any("differ in size" in note for note in Volume.load(path).notes)

    def test_a_frame_of_a_cine(self, tmp_path: Path) -> None:
        frames = np.stack([stored(n, 0, 255) for n in range(3)])
        path = self.write(
            tmp_path / "c.dcm", 0, NumberOfFrames=3, PixelData=frames.astype(np.uint8).tobytes()
        )
        volume = Volume.load(path, frame=3)
        assert np.array_equal(volume.voxels[..., 0].T, frames[2])
        with pytest.raises(VolumeError, match=r"3 frames .* read alone \(--frame\)"):
            Volume.load(path)
        with pytest.raises(VolumeError, match="Expected a file to read frame 1 of"):
            Volume.load(tmp_path, frame=1)
        (tmp_path / "x.png").write_bytes(b"\0")
        with pytest.raises(VolumeError, match="Expected a DICOM file to read frame 1 of"):
            Volume.load(tmp_path / "x.png", frame=1)


class TestCompressedFrames:
    """Frames whose own header is wrong; GDCM ended the process for one with 202 bits."""

    def write(self, path: Path, change: Callable[[bytearray], None]) -> Path:
        stream = io.BytesIO()
        Image.fromarray(stored(0, 0, 255).astype(np.uint8)).save(stream, "JPEG")
        frame = bytearray(stream.getvalue())
        change(frame)
        made = image(stored(0, 0, 255).astype(np.uint8))
        return written(compressed(made, bytes(frame), JPEGBaseline8Bit), path)

    def written_as(self, path: Path, frame: bytes, syntax: str, **facts: Any) -> Path:
        made = image(np.zeros((ROWS, COLUMNS), np.uint16), RescaleIntercept=0, **facts)
        return written(compressed(made, frame, syntax), path)

    def test_twelve_bits(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Values as DCMTK decodes them, and nothing of libjpeg on standard error."""
        frame, sides = base64.b64decode(TWELVE_BITS), {"Rows": 4, "Columns": 6}
        path = self.written_as(tmp_path / "x.dcm", frame, JPEGExtended12Bit, bits=12, **sides)
        assert Volume.load(path).voxels[..., 0].T.ravel().tolist() == list(range(0, 4080, 170))
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("bits", [8, 12, 16])
    @pytest.mark.parametrize("representation", [0, 1])
    def test_eight_bits_in_larger_words(
        self, bits: int, representation: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A frame of 8 bits where Bits Allocated is 16; a sign is that of Bits Stored."""
        stream = io.BytesIO()
        Image.fromarray(stored(0, 0, 255).astype(np.uint8)).save(stream, "JPEG")
        stream.seek(0)
        decoded = np.array(Image.open(stream)).astype(np.int64)
        path = self.written_as(
            tmp_path / "x.dcm",
            stream.getvalue(),
            JPEGBaseline8Bit,
            bits=bits,
            PixelRepresentation=representation,
        )
        expected = decoded.astype(np.int8) if (bits, representation) == (8, 1) else decoded
        assert np.array_equal(Volume.load(path).voxels[..., 0].T, expected)
        assert capfd.readouterr().err == ""

    def test_a_right_one(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "x.dcm", lambda _: None)
        assert np.array_equal(Volume.load(path).voxels, arithmetic_of_pydicom_file(path))

    @pytest.mark.parametrize(
        ("offset", "value", "found"),
        [
            (4, 202, r"4x6 pixels of 1 component\(s\) with 202 bits"),
            (6, 200, r"4x200 pixels"),
            (8, 201, r"201x6 pixels"),
            (9, 3, r"of 3 component\(s\)"),
        ],
    )
    def test_another_header(self, offset: int, value: int, found: str, tmp_path: Path) -> None:
        def change(frame: bytearray) -> None:
            frame[frame.index(b"\xff\xc0") + offset] = value

        with pytest.raises(VolumeError, match=rf"expected frame 1 as 4x6 pixels .*got .*{found}"):
            Volume.load(self.write(tmp_path / "x.dcm", change))

    def test_a_codec_that_is_not_read(self, tmp_path: Path) -> None:
        """One that is newer than pydicom's list, and a private one: each is named."""
        path = self.written_as(tmp_path / "x.dcm", b"\xff\xd8" + bytes(60), JPEGLSLossless)
        newer = b"1.2.840.10008.1.2.8.1\0"
        for syntax in (newer, b"1.2.3.4.5.6.7.8.9.1.22"):
            content = path.read_bytes().replace(JPEGLSLossless.encode(), syntax)
            other = tmp_path / "y.dcm"
            other.write_bytes(content)
            with pytest.raises(VolumeError, match="it is declared as") as found:
                Volume.load(other)
            assert syntax.strip(b"\0").decode() in str(found.value)
            assert ("Deflated Image Frame" in str(found.value)) == (syntax is newer)

    def test_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match="got no header of a JPEG"):
            Volume.load(self.write(tmp_path / "x.dcm", lambda frame: frame.reverse()))


class TestSentences:
    """Damage is told in our words, with the file's name."""

    def damaged(self, path: Path, kind: str) -> Path:
        made = PLAIN(0)
        syntaxes = {
            "private syntax": "1.2.3.4.5",
            "video": "1.2.840.10008.1.2.4.102",
            "broken JPEG": "1.2.840.10008.1.2.4.70",
            "broken RLE": RLELossless,
        }
        if kind in syntaxes:
            made.file_meta.TransferSyntaxUID = syntaxes[kind]
            made.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
            made["PixelData"].is_undefined_length = kind != "private syntax"
        elif kind == "half of its pixels":
            made.PixelData = made.PixelData[:20]
        elif kind == "words as numbers":
            made.add_new("RescaleSlope", "LO", "one")
        elif kind == "odd bits":
            made.BitsAllocated = 13
        elif kind.startswith("no "):
            del made[{"no bits": "BitsAllocated", "no pixels": "PixelData"}[kind]]
        written(made, path)
        if kind == "not DICOM":
            path.write_bytes(b"hello " * 50)
        return path

    @pytest.mark.parametrize(
        "kind",
        [
            "not DICOM", "no bits", "half of its pixels", "no pixels", "private syntax", "video",
            "broken JPEG", "broken RLE", "words as numbers", "odd bits",
        ],
    )  # fmt: skip
    def test_no_words_of_libraries(self, kind: str, tmp_path: Path) -> None:
        path = self.damaged(tmp_path / "x.dcm", kind)
        with pytest.raises(VolumeError) as caught:
            Volume.load(path)
        sentence = str(caught.value)
        assert sentence.startswith(("x.dcm", "The pixels of x.dcm", "Expected a DICOM file"))
        assert not [word for word in LIBRARY_WORDS if word in sentence], sentence
