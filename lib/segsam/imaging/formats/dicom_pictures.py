"""DICOM pictures whose position is not that of their pixels: mosaics, screenshots, renderings.

    Siemens  MOSAIC in Image Type         (0019,xx0A) number of slices
    UIH      slices listed in (0065,xx51)  (0065,xx50) number of slices

A mosaic holds all slices of a volume as tiles of one picture. Its Image Position (Patient) is the
corner of a slice as large as the whole picture, where no slice lies; direction and distance of the
slices are in private elements that exports remove. So it is refused, and never read as one slice.
"""

from __future__ import annotations

from typing import Any

import pydicom

from segsam.imaging.formats.dicom_files import MOSAIC_CREATORS, PRIVATE_BLOCKS, DicomFile

_CAPTURES = frozenset({"SCREEN SAVE", "SCREEN_SAVE", "SCREENSHOT", "SCREEN SHOT", "SCREEN CAPTURE"})
_RENDERINGS = frozenset({"VRT", "VOLREN", "VOLUME_RENDER", "SURFACE_RENDER"})
_CURVED = frozenset({"CPR", "CURVED", "CURVED_MPR", "DISTORTED"})
_KINDS = (
    (_CAPTURES, "is a screenshot"),
    (_RENDERINGS, "is a rendering of a volume"),
    (_CURVED, "is a curved or distorted section"),
)
"""Words of Image Type and of what enhanced objects say beside it, and what they mean."""
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SIEMENS, _UIH = MOSAIC_CREATORS


def about_tiles(file: DicomFile) -> str:
    """Return the sentence on a mosaic, whose tiles are slices; "" for another picture."""
    grid, mosaic = _tiles(file.header, _UIH), _tiles(file.header, _SIEMENS)
    if grid < 2 and "MOSAIC" not in _words(file.header):
        return ""
    count = max(grid, mosaic)
    slices = f"{count} slices" if count > 1 else "the slices of a volume"
    return (
        f"expected one slice, got a mosaic: {slices} as tiles of one picture of "
        f"{file.header.Columns}x{file.header.Rows}, which its position in the patient does not "
        "describe. Convert its series to NIfTI, for example with dcm2niix."
    )


def about_place(file: DicomFile) -> str:
    """Return why the position in the patient may not be that of the pixels; "" for a slice."""
    header = file.header
    words = _words(header)
    what = next((what for known, what in _KINDS if known & words), "")
    if not what and file.sop_class == _CAPTURE and header.get("SamplesPerPixel") == 3:
        what = "is a capture in colour, often a screenshot"
    if not what and (count := _tiles(header, _SIEMENS)) > 1:
        what = f"was made from a mosaic of {count} slices, or still is one"
    return f"{what}; its position may not be where its pixels lie." if what else ""


def _words(header: pydicom.Dataset) -> set[str]:
    """Return what the header says about how the picture was made, in capitals."""
    keywords = ("ImageType", "VolumetricProperties", "VolumeBasedCalculationTechnique")
    given = [header.get(keyword) or [] for keyword in keywords]
    lists = [[each] if isinstance(each, str) else each for each in given]
    return {str(word).strip().upper() for words in lists for word in words}


def _tiles(header: pydicom.Dataset, creator: str) -> int:
    """Return the number of slices in private elements; 0 if one is missing, or no number."""
    group, ends = MOSAIC_CREATORS[creator]
    for block in PRIVATE_BLOCKS:
        owner, *tags = (group << 16 | low for low in (block, *(block << 8 | end for end in ends)))
        is_here = all(tag in header for tag in (owner, *tags))
        if is_here and str(header[owner].value).strip() == creator:
            return _number(header[tags[0]].value)
    return 0


def _number(value: Any) -> int:
    if isinstance(value, bytes):  # of unknown type in an implicit syntax
        return int.from_bytes(value[:2], "little")
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
