"""DICOM of many kinds; values follow from what was stored by the standard's arithmetic."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

from .kinds import FLAT, Kinds, Made

DICOM = Kinds("DICOM")
CT, ENHANCED_CT, US = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "2.1", "6.1"))
COUNT, ROWS, COLUMNS = 5, 6, 4
PLACE = np.array([-10.0, 20.0, 30.0])
SERIES = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
"""Affine in RAS of the slices that `ct` makes."""
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
STORED = np.random.default_rng(0).integers(0, 4096, (COUNT, ROWS, COLUMNS)).astype(np.uint16)


def one(pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **facts: Any) -> FileDataset:
    """A slice of these pixels (rows, columns[, 3]); a fact of None leaves an attribute out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = facts.get("SOPClassUID") or CT
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = generate_uid(), syntax
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian = syntax != ExplicitVRBigEndian
    made.is_implicit_VR = syntax == ImplicitVRLittleEndian
    colour, bits = pixels.ndim == 3 and pixels.shape[-1] == 3, 8 * pixels.dtype.itemsize
    usual = {
        "SOPClassUID": CT, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "Modality": "CT",
        "SeriesDescription": "abdomen", "Rows": pixels.shape[-3 if colour else -2],
        "Columns": pixels.shape[-2 if colour else -1], "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PlanarConfiguration": 0 if colour else None, "BitsAllocated": bits, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "ImagePositionPatient": PLACE.tolist(), "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.75, 0.5], "SliceThickness": 2.5,
    }  # fmt: skip
    for key, value in {**usual, **facts}.items():
        if value is not None:
            setattr(made, key, value)
    if "PixelData" not in facts:
        order = "<" if made.is_little_endian else ">"
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if "PixelData" in made:
        made["PixelData"].VR = "OB" if bits == 8 else "OW"
    return made


def place(number: float) -> list[float]:
    """Position of slice `number` in LPS."""
    return [float(x) for x in PLACE + np.array([0, 0, 2.5 * number])]


def ct(number: int, pixels: NDArray[Any] | None = None, **facts: Any) -> FileDataset:
    """Slice `number` of the standard series: 12 bits, slope 1, intercept -1024."""
    usual = {
        "ImagePositionPatient": place(number),
        "RescaleSlope": 1, "RescaleIntercept": -1024,
    }  # fmt: skip
    if pixels is None:
        usual |= {"BitsStored": 12, "HighBit": 11}
    return one(STORED[number] if pixels is None else pixels, **{**usual, **facts})


def written(made: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, write_like_original=False)
    return path


def folder_of(slices: Iterable[Dataset], folder: Path) -> Path:
    """Slices in files whose names are not in the order of their positions."""
    for number, made in enumerate(slices):
        written(made, folder / f"{(number * 7) % 10}.dcm")
    return folder


def ijk(planes: Any) -> NDArray[Any]:
    """(i, j, k) of planes (k, rows, columns)."""
    return np.asarray(planes).transpose(2, 1, 0)


def series(
    folder: Path, change: Callable[[int], dict[str, Any]], values: Any, note: str = ""
) -> Made:
    path = folder_of((ct(n, **change(n)) for n in range(COUNT)), folder / "series")
    return Made(path, ijk(values), SERIES, note)


HU = STORED.astype(np.int64) - 1024


@DICOM.read("CT or MR series, named by its folder or by one of its files")
def _(folder: Path) -> list[Made]:
    made = series(folder, lambda n: {}, HU)
    return [made, Made(made.path / "0.dcm", made.values, SERIES)]


@DICOM.read("slope and intercept that differ from slice to slice")
def _(folder: Path) -> Made:
    values = np.stack([STORED[n].astype(np.int64) * (n + 1) - 1000 * n for n in range(COUNT)])
    return series(folder, lambda n: {"RescaleSlope": n + 1, "RescaleIntercept": -1000 * n}, values)


@DICOM.read("sign, bits or type that differ from slice to slice")
def _(folder: Path) -> Made:
    kinds = (np.int16, np.uint16, np.uint8, np.int32, np.int8)
    planes = [(STORED[n] % 100).astype(kind) for n, kind in enumerate(kinds)]
    planes[0], planes[1] = planes[0] - 500, planes[1] + np.uint16(65000)
    slices = (ct(n, plane, RescaleIntercept=0) for n, plane in enumerate(planes))
    path = folder_of(slices, folder / "series")
    return Made(path, ijk(np.stack([plane.astype(np.int64) for plane in planes])), SERIES)


@DICOM.read("modality LUT")
def _(folder: Path) -> Made:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4, 2, 16], [5, 400, 9, 60000]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    stored = (STORED[0] % 9).astype(np.uint16)
    table = np.array([5, 5, 5, 400, 9, 60000, 60000, 60000, 60000])
    path = written(ct(0, stored, ModalityLUTSequence=[item]), folder / "x.dcm")
    return Made(path, ijk(table[stored][None]), SERIES)


@DICOM.read("MONOCHROME1: values are not inverted (with a note)")
def _(folder: Path) -> Made:
    change = {"PhotometricInterpretation": "MONOCHROME1"}
    return series(folder, lambda n: change, HU, "its values are not changed")


@DICOM.read("an old overlay in the upper bits; a high bit above the usual one")
def _(folder: Path) -> list[Made]:
    overlay = ct(0, STORED[0] | np.uint16(0x8000), BitsStored=12, HighBit=11)
    overlay.add_new(0x60000102, "US", 15)
    high = ct(0, STORED[0] << np.uint16(4), BitsStored=12, HighBit=15)
    return [
        Made(written(made, folder / name / "x.dcm"), ijk(HU[:1]), SERIES)
        for name, made in (("overlay", overlay), ("high", high))
    ]


@DICOM.read("unused bits above the high bit that no overlay declares (left out, with a note)")
def _(folder: Path) -> list[Made]:
    signed = (STORED[0].astype(np.int16) - 2048) & 0xFFF | 0x3000
    pixels = {"unsigned": STORED[0] | np.uint16(0x3000), "signed": signed.astype(np.int16)}
    values = {"unsigned": HU[:1], "signed": HU[:1] - 2048}
    return [
        Made(
            written(ct(0, each, BitsStored=12, HighBit=11), folder / name / "x.dcm"),
            ijk(values[name]),
            SERIES,
            "are no part of the values and were left out",
        )
        for name, each in pixels.items()
    ]


@DICOM.read("floating-point pixels; the scaling of an RT dose")
def _(folder: Path) -> list[Made]:
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    floats = one(values, FloatPixelData=values.tobytes())
    del floats.PixelData, floats.BitsStored, floats.HighBit, floats.PixelRepresentation
    dose = one(STORED[0], Modality="RTDOSE", DoseGridScaling="0.0001")
    scaled = (STORED[0] * 1e-4).astype(np.float32)
    return [
        Made(written(floats, folder / "a" / "x.dcm"), ijk(values[None]), SERIES),
        Made(written(dose, folder / "b.dcm"), ijk(scaled[None]), SERIES),
    ]


@DICOM.read("implicit, explicit, big-endian and deflated transfer syntax; run-length encoded (RLE)")
def _(folder: Path) -> list[Made]:
    syntaxes = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    made = [ct(0, syntax=syntax) for syntax in syntaxes]
    made.append(ct(0))
    made[-1].compress(RLELossless)
    return [
        Made(written(each, folder / str(n) / "x.dcm"), ijk(HU[:1]), SERIES)
        for n, each in enumerate(made)
    ]


def jpeg(pixels: NDArray[Any], form: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **more)
    return stream.getvalue()


def compressed(made: FileDataset, frame: bytes, syntax: str) -> FileDataset:
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return made


@DICOM.read("JPEG 2000 and JPEG, as Pillow decodes them")
def _(folder: Path) -> list[Made]:
    more = {"no_jp2": True, "irreversible": False, "num_resolutions": 1}
    frame = jpeg(STORED[0], "JPEG2000", **more)
    lossless = compressed(ct(0, STORED[0]), frame, JPEG2000Lossless)
    small = (STORED[0] >> 4).astype(np.uint8)
    frame = jpeg(small, "JPEG")
    lossy = compressed(ct(0, small, RescaleIntercept=0), frame, JPEGBaseline8Bit)
    decoded = np.array(Image.open(io.BytesIO(frame)))
    return [
        Made(written(lossless, folder / "a" / "x.dcm"), ijk(HU[:1]), SERIES),
        Made(written(lossy, folder / "b.dcm"), ijk(decoded[None]), SERIES),
    ]


@DICOM.read("JPEG-LS and JPEG 2000 of a real MR slice, equal to the same slice without compression")
def _(folder: Path) -> list[Made]:
    plain = pydicom.dcmread(SAMPLES / "MR_small.dcm")
    row, column = np.reshape(plain.ImageOrientationPatient, (2, 3)).astype(float)
    affine = np.eye(4)
    affine[:3, 0] = row * float(plain.PixelSpacing[1])
    affine[:3, 1] = column * float(plain.PixelSpacing[0])
    between = plain.get("SpacingBetweenSlices") or plain.SliceThickness
    affine[:3, 2] = np.cross(row, column) * float(between)
    affine[:3, 3] = plain.ImagePositionPatient
    made = []
    for name in ("MR_small_jpeg_ls_lossless", "MR_small_jp2klossless"):
        path = folder / name / "x.dcm"
        path.parent.mkdir()
        path.write_bytes((SAMPLES / f"{name}.dcm").read_bytes())
        made.append(Made(path, ijk(plain.pixel_array[None]), FLAT @ affine))
    return made


@DICOM.read("colour: RGB by pixel or by plane, YBR_FULL, palette")
def _(folder: Path) -> list[Made]:
    rgb = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS, 3)).astype(np.uint8)
    planes = one(rgb, PlanarConfiguration=1, PixelData=np.moveaxis(rgb, 2, 0).tobytes())
    grey = np.full((ROWS, COLUMNS, 3), 128, np.uint8)  # Cb and Cr of 128: no colour
    grey[..., 0] = STORED[0] >> 4
    ybr = one(grey, PhotometricInterpretation="YBR_FULL")
    table = np.random.default_rng(1).integers(0, 255, (4, 3)).astype(np.uint8)
    stored = (STORED[0] % 4).astype(np.uint8)
    coloured = one(stored, PhotometricInterpretation="PALETTE COLOR")
    for number, colour in enumerate(("Red", "Green", "Blue")):
        setattr(coloured, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(coloured, f"{colour}PaletteColorLookupTableData", table[:, number].tobytes())
    expected = (rgb, rgb, np.repeat(grey[..., :1], 3, axis=2), table[stored])
    return [
        Made(written(made, folder / str(n) / "x.dcm"), pixels.swapaxes(0, 1)[:, :, None], SERIES)
        for n, (made, pixels) in enumerate(
            zip((one(rgb), planes, ybr, coloured), expected, strict=True)
        )
    ]


def item(**facts: Any) -> Dataset:
    made = Dataset()
    for key, value in facts.items():
        setattr(made, key, value)
    return made


def enhanced(numbers: list[int]) -> FileDataset:
    """Slices `numbers` as the frames of one object, each with a slope of its own."""
    made = one(
        np.stack([STORED[n] for n in numbers]), SOPClassUID=ENHANCED_CT,
        NumberOfFrames=len(numbers), ImagePositionPatient=None, ImageOrientationPatient=None,
        PixelSpacing=None, SliceThickness=None,
    )  # fmt: skip
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[0.75, 0.5], SliceThickness=2.5)],
    )
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=place(n))],
            PixelValueTransformationSequence=[
                item(RescaleSlope=n + 1, RescaleIntercept=-1024, RescaleType="HU")
            ],
        )
        for n in numbers
    ]
    return made


@DICOM.read("enhanced multi-frame objects, also with one frame; slopes by frame")
def _(folder: Path) -> list[Made]:
    values = np.stack([STORED[n].astype(np.int64) * (n + 1) - 1024 for n in range(COUNT)])
    whole = written(enhanced([3, 1, 4, 0, 2]), folder / "a.dcm")
    single = written(enhanced([0]), folder / "b" / "b.dcm")
    return [Made(whole, ijk(values), SERIES), Made(single, ijk(values[:1]), SERIES)]


@DICOM.read("an ultrasound volume with places in itself only (as LPS, with a note)")
def _(folder: Path) -> Made:
    made = enhanced(range(COUNT))
    shared = made.SharedFunctionalGroupsSequence[0]
    direction = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    shared.PlaneOrientationVolumeSequence = [item(ImageOrientationVolume=list(direction))]
    del shared.PlaneOrientationSequence
    for own in made.PerFrameFunctionalGroupsSequence:
        position = own.PlanePositionSequence[0].ImagePositionPatient
        own.PlanePositionVolumeSequence = [item(ImagePositionVolume=list(position))]
        del own.PlanePositionSequence
    values = np.stack([STORED[n].astype(np.int64) * (n + 1) - 1024 for n in range(COUNT)])
    note = "in its own volume and not in the patient"
    return Made(written(made, folder / "x.dcm"), ijk(values), SERIES, note)


@DICOM.read("a screenshot, rendering or curved section with a position (with a note)")
def _(folder: Path) -> list[Made]:
    made = []
    colour = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS, 3)).astype(np.uint8)
    shot = one(colour, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    picture = colour.transpose(1, 0, 2)[:, :, None]
    made.append(Made(written(shot, folder / "a.dcm"), picture, SERIES, "in colour"))
    facts = (
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a screenshot"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "VRT"]}, "a rendering"),
        ({"VolumetricProperties": "DISTORTED"}, "a curved or distorted section"),
    )
    for number, (fact, note) in enumerate(facts):
        path = written(ct(0, SeriesInstanceUID=f"1.2.{number}", **fact), folder / f"{number}.dcm")
        made.append(Made(path, ijk(HU[:1]), SERIES, note))
    return made


@DICOM.read("a frame of a cine (`--frame`); a still (with notes on what it lacks)")
def _(folder: Path) -> list[Made]:
    frames = (STORED >> 4).astype(np.uint8)
    facts = {
        "SOPClassUID": US, "Modality": "US", "ImagePositionPatient": None,
        "ImageOrientationPatient": None, "PixelSpacing": None, "SliceThickness": None,
        "SequenceOfUltrasoundRegions": [
            item(
                PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.02,
                PhysicalDeltaY=0.03, RegionLocationMinX0=0, RegionLocationMinY0=0,
                RegionLocationMaxX1=4, RegionLocationMaxY1=6, RegionSpatialFormat=1,
            )
        ],
    }  # fmt: skip
    cine = written(one(frames, NumberOfFrames=COUNT, **facts), folder / "a.dcm")
    still = written(one(frames[0], **facts), folder / "b" / "b.dcm")
    affine = np.diag([-0.2, -0.3, 1, 1])
    note = "no position or no orientation"
    return [
        Made(cine, ijk(frames[2:3]), affine, note, frame=3),
        Made(still, ijk(frames[:1]), affine, note),
    ]


@DICOM.read("no preamble; a private or missing SOP class (with a note)")
def _(folder: Path) -> list[Made]:
    made = ct(0)
    made.preamble = None
    bare = folder / "a" / "a.dcm"
    bare.parent.mkdir()
    del made.file_meta
    made.save_as(bare, write_like_original=True)
    private = written(ct(0, SOPClassUID="1.2.3.4.5.6"), folder / "b" / "b.dcm")
    return [
        Made(bare, ijk(HU[:1]), SERIES),
        Made(private, ijk(HU[:1]), SERIES, "which the standard does not have"),
    ]


@DICOM.refused(
    "several series in one folder",
    "Expected one DICOM series in the folder series, got 2: CT 'abdomen' (1 files, 0.dcm ...); CT "
    "'abdomen' (1 files, 7.dcm ...). Give one file of the series.",
)
def _(folder: Path) -> Path:
    return folder_of([ct(0), ct(1, SeriesInstanceUID="1.2.3.5")], folder / "series")


@DICOM.refused(
    "a series with missing slices",
    "series: 1 slice(s) are missing from the series: the gap between 32.50 and 37.50 mm is 5.00 "
    "mm, and the smallest is 2.50 mm.",
)
def _(folder: Path) -> Path:
    return folder_of([ct(n) for n in (0, 1, 3, 4)], folder / "series")


@DICOM.refused(
    "a tilted gantry",
    "series: the gantry was tilted: the slices shift sideways by 4.00 mm over 10.00 mm (21.80 "
    "degrees; at most 0.06 are accepted), so the volume is sheared. Resample it to a rectangular "
    "grid first.",
)
def _(folder: Path) -> Path:
    places = [(PLACE + np.array([0, n, 2.5 * n])).tolist() for n in range(COUNT)]
    slices = (ct(n, ImagePositionPatient=place) for n, place in enumerate(places))
    return folder_of(slices, folder / "series")


@DICOM.refused(
    "all slices of a volume as tiles of one picture (mosaic of Siemens)",
    "x.dcm: expected one slice, got a mosaic: 4 slices as tiles of one picture of 4x6, which its "
    "position in the patient does not describe. Convert its series to NIfTI, for example with "
    "dcm2niix.",
)
def _(folder: Path) -> Path:
    made = ct(0, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    block = made.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 4)
    return written(made, folder / "x.dcm")


@DICOM.refused(
    "all slices of a volume as tiles of one picture (grid of United Imaging)",
    "x.dcm: expected one slice, got a mosaic: 4 slices as tiles of one picture of 4x6, which its "
    "position in the patient does not describe. Convert its series to NIfTI, for example with "
    "dcm2niix.",
)
def _(folder: Path) -> Path:
    made = ct(0)
    made.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", "4")
    made.private_block(0x0065, "Image Private Header").add_new(0x51, "SQ", [item()])
    return written(made, folder / "x.dcm")


@DICOM.refused(
    "several points in time in one series",
    "series: two slices lie at the same position (30.00 mm along the normal); the series may hold "
    "several acquisitions or time points. Expected one.",
)
def _(folder: Path) -> Path:
    return folder_of([ct(0), ct(1), ct(0)], folder / "series")


@DICOM.refused(
    "a cine without the number of a frame",
    "x.dcm holds 5 frames but gives one position for all of them; its geometry is incomplete. "
    "One frame can be read alone (--frame).",
)
def _(folder: Path) -> Path:
    return written(one(STORED, NumberOfFrames=COUNT), folder / "x.dcm")


@DICOM.refused("an object without an image", "x.dcm is DICOM but holds no image.")
def _(folder: Path) -> Path:
    (folder / "x.dcm").write_bytes((SAMPLES / "rtstruct.dcm").read_bytes())
    return folder / "x.dcm"


@DICOM.refused(
    "a slope of 0 or NaN",
    "x.dcm: expected a finite rescale slope other than 0 and a finite intercept, got 0 and -1024.",
)
def _(folder: Path) -> Path:
    return written(ct(0, RescaleSlope=0), folder / "x.dcm")


@DICOM.refused(
    "video",
    "The pixels of x.dcm could not be read as DICOM: expected a complete image that is not "
    "compressed, or compressed as RLE, JPEG, JPEG-LS or JPEG 2000; it is declared as MPEG-4 "
    "AVC/H.264 High Profile / Level 4.1 (1.2.840.10008.1.2.4.102).",
)
def _(folder: Path) -> Path:
    made = compressed(ct(0), b"\0\0\0\x18ftypmp42", "1.2.840.10008.1.2.4.102")
    return written(made, folder / "x.dcm")


@DICOM.refused(
    "a compressed frame of another size than declared",
    "x.dcm: expected frame 1 as 4x6 pixels of 1 component(s) with up to 16 bits, got 7x5 pixels of "
    "1 component(s) with 8 bits.",
)
def _(folder: Path) -> Path:
    frame = jpeg(np.zeros((5, 7), np.uint8), "JPEG")
    made = compressed(ct(0, (STORED[0] >> 4).astype(np.uint8)), frame, JPEGBaseline8Bit)
    return written(made, folder / "x.dcm")


@DICOM.refused(
    "cut off",
    "The pixels of x.dcm could not be read as DICOM: expected 48 bytes of pixels that its header "
    "describes in full.",
)
def _(folder: Path) -> Path:
    return written(ct(0, PixelData=STORED[0].tobytes()[:40]), folder / "x.dcm")


@DICOM.refused(
    "another format under its name",
    "Expected a DICOM file, got x.dcm, which does not begin as one ('DICM' after 128 bytes, or a "
    "first element).",
)
def _(folder: Path) -> Path:
    (folder / "x.dcm").write_text("<html>not found</html>" * 30)
    return folder / "x.dcm"
