"""Headers of the compressed frames of a DICOM file, checked before a codec sees them.

GDCM trusts a frame's own header: one that declares 202 bits ends the process. Expected are the size
and the number of components that the DICOM header declares, and bits that pixels can have.

    JPEG, JPEG-LS   FFD8 ... FFCx length precision rows columns components
    JPEG 2000       FF4F FF51 length capabilities Xsiz Ysiz XOsiz YOsiz tiles components bits
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pydicom
from pydicom.encaps import generate_pixel_data_frame

from segsam.errors import VolumeError

_JPEG_START, _JPEG2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_COSINE_TRANSFORMS = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Frame headers of JPEG's kinds that lose something: baseline, extended, progressive."""
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_END_OF_HEADERS = {0xD9, 0xDA}
_JP2_BOXES = 4096
"""Bytes before the codestream that some writers keep: the boxes of a .jp2 file."""


@dataclass(frozen=True)
class FrameHeader:
    """Size, number of components and bits per component of a compressed frame."""

    rows: int
    columns: int
    components: int
    bits: int
    is_cosine: bool = False
    """True for JPEG's kinds that lose something, by the discrete cosine transform."""

    def __str__(self) -> str:
        """Words for messages."""
        return (
            f"{self.columns}x{self.rows} pixels of {self.components} component(s) with "
            f"{self.bits} bits"
        )


def check_frames(dataset: pydicom.Dataset, name: str) -> FrameHeader:
    """Return the header of the last frame, after refusing frames whose own header does not fit the
    data set's. Raises VolumeError.
    """
    count = int(dataset.NumberOfFrames)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    most_bits = max(16, int(dataset.BitsAllocated))
    expected = f"{columns}x{rows} pixels of {dataset.SamplesPerPixel} component(s)"
    found, header = 0, None
    for frame in generate_pixel_data_frame(dataset.PixelData, count):
        found += 1
        header = frame_header(frame)
        if header is None:
            raise VolumeError(
                f"{name}: expected frame {found} as {expected}, got no header of a JPEG, JPEG-LS "
                "or JPEG 2000 image."
            )
        sides = (header.rows, header.columns, header.components)
        if (
            sides != (rows, columns, int(dataset.SamplesPerPixel))
            or not 0 < header.bits <= most_bits
        ):
            raise VolumeError(
                f"{name}: expected frame {found} as {expected} with up to {most_bits} bits, got "
                f"{header}."
            )
    if header is None or found != count:
        raise VolumeError(f"{name}: expected {count} compressed frames, got {found}.")
    return header


def frame_header(frame: bytes) -> FrameHeader | None:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 frame; None if there is none."""
    try:
        if frame.startswith(_JPEG_START):
            return _jpeg_header(frame)
        begin = frame.find(_JPEG2000_START, 0, _JP2_BOXES)
        return None if begin < 0 else _jpeg2000_header(frame[begin:])
    except (struct.error, IndexError):  # the frame ends within its header
        return None


def _jpeg_header(frame: bytes) -> FrameHeader | None:
    at = len(_JPEG_START)
    while frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_HEADERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return FrameHeader(rows, columns, components, bits, marker in _COSINE_TRANSFORMS)
        if marker in _END_OF_HEADERS:
            return None
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None


def _jpeg2000_header(frame: bytes) -> FrameHeader:
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    components, depth = struct.unpack_from(">HB", frame, 40)
    return FrameHeader(bottom - top, right - left, components, (depth & 0x7F) + 1)
