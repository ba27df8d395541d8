"""Pictures of many kinds; values are those put in, or what Pillow makes of colours and JPEG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .kinds import FLAT, Kinds, Made

PICTURES = Kinds("Picture")
GREY = (np.arange(35, dtype=np.uint16).reshape(5, 7) * 1700).astype(np.uint16)
GREY8 = (GREY >> 8).astype(np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
COLOUR16 = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
INDICES = np.array([[0, 1, 2, 3, 1, 0, 2]] * 5, np.uint8)
TABLE = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
_BROKEN = (
    "{} could not be read as a picture: expected a complete PNG, JPEG, TIFF or BMP file of 8-bit "
    "colour or of grey values with up to 32 bits, got one that is incomplete, damaged or of "
    "another format."
)


def made(path: Path, pixels: NDArray[Any], note: str = "") -> Made:
    """A picture of these pixels (rows, columns[, 3])."""
    return Made(path, pixels.swapaxes(0, 1)[:, :, None], FLAT, note)


def png(path: Path, bits: int, kind: int, rows: list[bytes], sides: tuple[int, int]) -> Path:
    """A PNG of packed rows; `kind` is its colour type, `sides` are columns and rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *sides, bits, kind, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def wide(pixels: NDArray[np.uint16]) -> list[bytes]:
    return [row.astype(">u2").tobytes() for row in pixels]


def packed(pixels: NDArray[np.uint8], bits: int) -> list[bytes]:
    """Rows of so many bits per pixel."""
    return [
        np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes()
        for row in pixels
    ]


def tiff(
    path: Path,
    pixels: NDArray[Any],
    order: str = "<",
    *,
    white: bool = False,
    big: bool = False,
    orientation: int | None = None,
) -> Path:
    """A grey TIFF of one strip, with its number type; `white` makes white its lowest value."""
    rows, columns = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits, sample = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    tags = [(256, columns), (257, rows), (258, bits), (259, 1), (262, int(not white))]
    tags += [(273, 400), *([(274, orientation)] if orientation else []), (277, 1), (278, rows)]
    tags += [(279, len(data)), (339, sample)]
    mark = b"II" if order == "<" else b"MM"
    # A short number lies at the beginning of its field of four bytes, or of eight.
    if big:
        start = mark + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(tags))
        form = f"{order}HHQHHI"
        entries = b"".join(struct.pack(form, tag, 3, 1, value, 0, 0) for tag, value in tags)
    else:
        start = mark + struct.pack(f"{order}HIH", 42, 8, len(tags))
        form = f"{order}HHIHH"
        entries = b"".join(struct.pack(form, tag, 3, 1, value, 0) for tag, value in tags)
    path.write_bytes((start + entries).ljust(400, b"\0") + data)
    return path


def palette() -> Image.Image:
    picture = Image.fromarray(INDICES)
    picture.putpalette(TABLE.ravel().tolist())
    return picture


def saved(path: Path, picture: Image.Image, **more: Any) -> Path:
    picture.save(path, **more)
    return path


def decoded(path: Path) -> NDArray[Any]:
    """Pixels as Pillow decodes them, CMYK as RGB."""
    with Image.open(path) as picture:
        return np.array(picture if picture.mode != "CMYK" else picture.convert("RGB"))


@PICTURES.read("PNG, grey, 8 and 16 bits")
def _(folder: Path) -> list[Made]:
    eight = saved(folder / "a.png", Image.fromarray(GREY8))
    return [made(eight, GREY8), made(png(folder / "b.png", 16, 0, wide(GREY), (7, 5)), GREY)]


@PICTURES.read("PNG, grey, 1, 2 and 4 bits (spread over 0 to 255; the stored numbers as a label)")
def _(folder: Path) -> list[Made]:
    return [
        made(
            png(folder / f"{bits}.png", bits, 0, packed(INDICES % 2**bits, bits), (7, 5)),
            INDICES % 2**bits * np.uint8(255 // (2**bits - 1)),
        )
        for bits in (1, 2, 4)
    ]


@PICTURES.read(
    "PNG with a palette, also with a transparent entry (colours; the indices as a label)"
)
def _(folder: Path) -> list[Made]:
    return [
        made(saved(folder / "a.png", palette()), TABLE[INDICES]),
        made(saved(folder / "b.png", palette(), bits=2, transparency=0), TABLE[INDICES]),
    ]


@PICTURES.read("PNG, grey with transparency (dropped), 8 and 16 bits")
def _(folder: Path) -> list[Made]:
    eight = np.stack([GREY8, GREY8 // 2], axis=-1)
    sixteen = np.stack([GREY, GREY // 2], axis=-1)
    first = png(folder / "a.png", 8, 4, [row.tobytes() for row in eight], (7, 5))
    return [made(first, GREY8), made(png(folder / "b.png", 16, 4, wide(sixteen), (7, 5)), GREY)]


@PICTURES.read("PNG, colour, also with transparency (dropped)")
def _(folder: Path) -> list[Made]:
    alpha = np.dstack([COLOUR, GREY8])
    return [
        made(saved(folder / "a.png", Image.fromarray(COLOUR)), COLOUR),
        made(saved(folder / "b.png", Image.fromarray(alpha)), COLOUR),
    ]


@PICTURES.read("PNG, colour of 16 bits (the upper 8 bits, with a note)")
def _(folder: Path) -> Made:
    path = png(folder / "x.png", 16, 2, wide(COLOUR16.reshape(5, 21)), (7, 5))
    return made(path, (COLOUR16 >> 8).astype(np.uint8), "16 bits per colour")


@PICTURES.read("JPEG, grey, colour and CMYK, also with its ending in capitals (`.JPG`)")
def _(folder: Path) -> list[Made]:
    pictures = [Image.fromarray(GREY8), Image.fromarray(COLOUR)]
    pictures.append(Image.fromarray(COLOUR).convert("CMYK"))
    result = []
    for picture in pictures:
        path = saved(folder / f"{picture.mode}.jpg", picture, quality=95)
        path = path.rename(path.with_suffix(".JPG"))
        result.append(made(path, decoded(path)))
    return result


@PICTURES.read("photograph with a preview or a second view (MPO; the first, with a note)")
def _(folder: Path) -> Made:
    picture = Image.fromarray(COLOUR)
    path = folder / "x.jpg"
    picture.save(path, format="MPO", save_all=True, append_images=[picture.resize((3, 3))])
    return made(path, decoded(path), "holds 2 pictures; the first was read")


@PICTURES.read("photograph marked as rotated (EXIF; as it is stored, with a note)")
def _(folder: Path) -> Made:
    exif = Image.Exif()
    exif[274] = 6
    path = saved(folder / "x.jpg", Image.fromarray(COLOUR), exif=exif)
    return made(path, decoded(path), "EXIF orientation 6")


@PICTURES.read("TIFF, grey: 8, 16 and 32 bits with and without sign, 32 bits with fractions")
def _(folder: Path) -> list[Made]:
    result = []
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "f4"):
        dtype = np.dtype(kind)
        pixels = (np.arange(35) - 17 * (dtype.kind != "u")).reshape(5, 7).astype(dtype)
        pixels.flat[0] = np.iinfo(dtype).max if dtype.kind != "f" else 0.3
        result.append(made(tiff(folder / f"{kind}.tif", pixels), pixels))
    return result


@PICTURES.read("TIFF, grey, big-endian; BigTIFF; compressed")
def _(folder: Path) -> list[Made]:
    packed_path = saved(folder / "c.tif", Image.fromarray(GREY), compression="tiff_adobe_deflate")
    return [
        made(tiff(folder / "a.tif", GREY, ">"), GREY),
        made(tiff(folder / "b.tif", GREY, big=True), GREY),
        made(packed_path, GREY),
    ]


@PICTURES.read(
    "TIFF with white as its lowest value (MINISWHITE), 8, 16 bits (inverted, with a note)"
)
def _(folder: Path) -> list[Made]:
    result = []
    for order in "<>":
        for big in (False, True)[: 1 + (order == "<")]:
            for pixels in (GREY8, GREY):
                name = f"{pixels.itemsize}{'be' if order == '>' else 'le'}{big}.tiff"
                path = tiff(folder / name, pixels, order, white=True, big=big)
                highest = np.iinfo(pixels.dtype).max
                result.append(made(path, highest - pixels, "white as its lowest value"))
    return result


@PICTURES.read(
    "TIFF marked as rotated or mirrored: grey of 8 and 16 bits, colour, palette; plain, LZW, "
    "PackBits, deflate; big-endian, BigTIFF, MINISWHITE (as it is stored, with a note)"
)
def _(folder: Path) -> list[Made]:
    kinds: list[tuple[Image.Image, NDArray[Any]]] = [
        (Image.fromarray(GREY8), GREY8),
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(COLOUR), COLOUR),
        (palette(), TABLE[INDICES]),
    ]
    result = []
    for turn in range(2, 9):
        note = f"orientation {turn}); its pixels were read as they are stored"
        for number, (picture, pixels) in enumerate(kinds):
            for how in (None, "tiff_lzw", "packbits", "tiff_adobe_deflate"):
                path = folder / f"{turn}{number}{how}.tif"
                more = {"tiffinfo": {274: turn}, "compression": how}
                result.append(made(saved(path, picture, **more), pixels, note))
        for order, big in (("<", True), (">", False)):
            path = folder / f"{turn}{'be' if order == '>' else 'le'}{big}.tif"
            result.append(made(tiff(path, GREY, order, big=big, orientation=turn), GREY, note))
        path = tiff(folder / f"{turn}white.tif", GREY, white=True, orientation=turn)
        result.append(made(path, 65535 - GREY, note))
    return result


@PICTURES.read("TIFF whose XMP text alone marks it as rotated (as it is stored, with a note)")
def _(folder: Path) -> Made:
    said = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    path = saved(folder / "x.tif", Image.fromarray(GREY), tiffinfo={700: said})
    return made(path, GREY, "orientation 6); its pixels were read as they are stored")


@PICTURES.read("TIFF, 1 bit")
def _(folder: Path) -> Made:
    mask = (INDICES > 1).astype(np.uint8) * np.uint8(255)
    return made(saved(folder / "x.tif", Image.fromarray(mask).convert("1")), mask)


@PICTURES.read("TIFF, colour, palette and CMYK")
def _(folder: Path) -> list[Made]:
    cmyk = Image.fromarray(COLOUR).convert("CMYK")
    return [
        made(saved(folder / "a.tif", Image.fromarray(COLOUR)), COLOUR),
        made(saved(folder / "b.tif", palette()), TABLE[INDICES]),
        made(saved(folder / "c.tif", cmyk), np.array(cmyk.convert("RGB"))),
    ]


@PICTURES.read("TIFF, colour multiplied by its opacity (associated alpha; undone, with a note)")
def _(folder: Path) -> Made:
    alpha = np.full((5, 7, 1), 51, np.uint8)
    stored = np.dstack([COLOUR // 5, alpha])
    path = saved(folder / "x.tif", Image.fromarray(stored))
    tag = struct.pack("<HHI", 338, 3, 1)  # Pillow writes 2, which is not associated
    content = path.read_bytes().replace(tag + b"\2", tag + b"\1")
    path.write_bytes(content)
    return made(path, COLOUR // 5 * 5, "multiplied by their opacity")


@PICTURES.read("TIFF with a small copy of its page (the page, with a note)")
def _(folder: Path) -> list[Made]:
    small = Image.fromarray(GREY8).resize((3, 2))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    made_of = []
    for turn in (1, 6):
        path = folder / f"{turn}.tif"
        more = {"save_all": True, "append_images": [small], "tiffinfo": {274: turn}}
        made_of.append(made(saved(path, Image.fromarray(GREY8), **more), GREY8, "first was read"))
    return made_of


@PICTURES.read("BMP, colour and palette")
def _(folder: Path) -> list[Made]:
    return [
        made(saved(folder / "a.bmp", Image.fromarray(COLOUR)), COLOUR),
        made(saved(folder / "b.bmp", palette()), TABLE[INDICES]),
    ]


@PICTURES.read("BMP with 16 bits per pixel (5-6-5), spread over 0 to 255 (with a note)")
def _(folder: Path) -> Made:
    red, green, blue = (COLOUR[..., n].astype(np.uint16) for n in range(3))
    words = (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2")
    rows = b"".join(row.tobytes() + b"\0\0" for row in words[::-1])  # to multiples of 4 bytes
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    header = struct.pack("<IiiHHIIiiII", 40, 7, 5, 1, 16, 3, len(rows), 0, 0, 0, 0)
    start = struct.pack("<2sIHHI", b"BM", 66 + len(rows), 0, 0, 66)
    path = folder / "x.bmp"
    path.write_bytes(start + header + masks + rows)
    spread = [(red >> 3) * 255 // 31, (green >> 2) * 255 // 63, (blue >> 3) * 255 // 31]
    return made(path, np.stack(spread, axis=-1), "16 bits per pixel, 5 or 6 per colour")


@PICTURES.read("one picture format under the ending of another (by its content)")
def _(folder: Path) -> Made:
    path = saved(folder / "x.jpg", Image.fromarray(COLOUR), format="PNG")
    return made(path, COLOUR)


@PICTURES.refused(
    "TIFF of several pages",
    "x.tif: expected one picture, got a file with 3 pages or frames. Save the one that is meant as "
    "a file of its own.",
)
def _(folder: Path) -> Path:
    page = Image.fromarray(GREY8)
    return saved(folder / "x.tif", page, save_all=True, append_images=[page, page])


@PICTURES.refused(
    "animated PNG",
    "x.png: expected one picture, got a file with 2 pages or frames. Save the one that is meant as "
    "a file of its own.",
)
def _(folder: Path) -> Path:
    picture = Image.fromarray(COLOUR)
    return saved(folder / "x.png", picture, save_all=True, append_images=[picture.rotate(180)])


@PICTURES.refused("TIFF of 64-bit numbers", _BROKEN.format("x.tif"))
def _(folder: Path) -> Path:
    return tiff(folder / "x.tif", GREY.astype(np.float64))


@PICTURES.refused("JPEG that is cut off", _BROKEN.format("x.jpg"))
def _(folder: Path) -> Path:
    path = saved(folder / "x.jpg", Image.fromarray(COLOUR))
    path.write_bytes(path.read_bytes()[:-40])
    return path


@PICTURES.refused("PNG that is cut off", _BROKEN.format("x.png"))
def _(folder: Path) -> Path:
    path = saved(folder / "x.png", Image.fromarray(COLOUR))
    path.write_bytes(path.read_bytes()[:-40])
    return path


@PICTURES.refused(
    "a drawing (EPS, SVG) or a web page under the name of a picture", _BROKEN.format("x.png")
)
def _(folder: Path) -> Path:
    (folder / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" * 9)
    return folder / "x.png"
