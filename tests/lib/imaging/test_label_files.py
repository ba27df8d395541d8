"""Label files: segments by name, value and layer; whole numbers; pictures."""

from __future__ import annotations

import pkgutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsam.errors import LabelError, VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.label_files import (
    has_rounding,
    read_label_names,
    read_label_values,
    read_labels,
    read_named_values,
)
from segsam.imaging.volume import Segment, Volume

SHAPE = (6, 5, 4)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
IMAGE = RawGrid(SHAPE, AFFINE)


BLANKS = '<LabelTable><Label Key="1">' + " " * 3_000_000
"""Blanks that a pattern must not divide in all ways: that took hours."""


def write_layers(path: Path, layers: NDArray[Any], fields: Mapping[str, str]) -> Path:
    """Write a segmentation as 3D Slicer does: layers (n, i, j, k), or one map (i, j, k)."""
    directions = np.diag([1.0, 1.0, 2.0])
    kinds = ["domain"] * 3
    if layers.ndim == 4:
        directions = np.vstack([np.full(3, np.nan), directions])
        kinds = ["list", *kinds]
    header = {
        "space": "left-posterior-superior",
        "space directions": directions,
        "space origin": np.zeros(3),
        "kinds": kinds,
        "encoding": "gzip",
        **fields,
    }
    nrrd.write(str(path), layers, header)
    return path


def segment(number: int, name: str, value: int, layer: int = 0) -> dict[str, str]:
    return {
        f"Segment{number}_ID": f"Segment_{number + 1}",
        f"Segment{number}_Name": name,
        f"Segment{number}_LabelValue": str(value),
        f"Segment{number}_Layer": str(layer),
    }


def two_blocks() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    liver, tumour = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    liver[:4], tumour[2:, 1:3] = True, True
    return liver, tumour


class TestSegmentations:
    def test_names_belong_to_values_not_to_positions(self, tmp_path: Path) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[0], labels[1] = 1, 2
        fields = segment(0, "posterior", 2) | segment(1, "anterior", 1)
        path = write_layers(tmp_path / "a.seg.nrrd", labels, fields)
        read = read_labels(path, IMAGE)
        assert read.names == read_label_names(path) == {2: "posterior", 1: "anterior"}
        np.testing.assert_array_equal(read.as_one_map(), labels)

    @pytest.mark.parametrize("count", [2, 3], ids=["two", "three, which is not colour"])
    def test_overlapping_segments_are_read_by_layer(self, tmp_path: Path, count: int) -> None:
        liver, tumour = two_blocks()
        layers = np.stack([liver, tumour, liver & tumour][:count]).astype(np.uint8)
        names = ["liver", "tumour", "rim"][:count]
        fields: dict[str, str] = {}
        for number, name in enumerate(names):
            fields |= segment(number, name, 1, number)
        path = write_layers(tmp_path / "a.seg.nrrd", layers, fields)
        read = read_labels(path, IMAGE)
        assert read.names == read_label_names(path) == dict(enumerate(names, start=1))
        assert len(read.maps) == count
        np.testing.assert_array_equal(read.maps[0] == 1, liver)
        np.testing.assert_array_equal(read.maps[1] == 2, tumour)
        with pytest.raises(LabelError, match=f"overlap in {np.sum(liver & tumour)} voxels"):
            read.as_one_map()
        with pytest.raises(VolumeError, match=f"in {count} layers"):
            Volume.load(path)

    def test_layers_that_do_not_overlap_are_one_map(self, tmp_path: Path) -> None:
        liver, tumour = two_blocks()
        layers = np.stack([liver & ~tumour, tumour * 4]).astype(np.uint8)
        fields = segment(0, "liver", 1, 0) | segment(1, "tumour", 4, 1)
        read = read_labels(write_layers(tmp_path / "a.seg.nrrd", layers, fields), IMAGE)
        expected = np.where(tumour, 4, liver)
        np.testing.assert_array_equal(read.as_one_map(), expected)
        assert read.names == {1: "liver", 4: "tumour"}

    def test_a_file_without_values_has_one_layer_per_segment(self, tmp_path: Path) -> None:
        liver, tumour = two_blocks()
        fields = {"Segment0_ID": "a", "Segment0_Name": "liver"}
        fields |= {"Segment1_ID": "b", "Segment1_Name": "tumour"}
        path = write_layers(tmp_path / "a.seg.nrrd", np.stack([liver, tumour]).astype("u1"), fields)
        read = read_labels(path, IMAGE)
        assert read.names == {1: "liver", 2: "tumour"}
        np.testing.assert_array_equal(read.maps[1] == 2, tumour)

    def test_scribbles_are_no_structures(self, tmp_path: Path) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[0], labels[1], labels[2] = 1, 2, 3
        fields = segment(0, "background_scribbles", 1) | segment(1, "liver", 2)
        fields |= segment(2, "foreground_scribbles", 3)
        read = read_labels(write_layers(tmp_path / "a.seg.nrrd", labels, fields), IMAGE)
        assert (read.values, read.names) == ((2,), {2: "liver"})

    def test_what_save_wrote_is_read(self, tmp_path: Path) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1, 2, 3] = 7
        segments = {7: Segment("left kidney"), 9: Segment("spleen")}
        Volume.from_array(labels, AFFINE).save(tmp_path / "a.seg.nrrd", segments=segments)
        read = read_labels(tmp_path / "a.seg.nrrd", IMAGE)
        assert read.names == {7: "left kidney", 9: "spleen"}
        np.testing.assert_array_equal(read.as_one_map(), labels)

    def test_names_of_any_script_are_kept(self, tmp_path: Path) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[0], labels[1], labels[2] = 1, 2, 3
        names = {1: "肝臓", 2: "Leberläsion", 3: "foie (côté droit)"}
        placeholders = {value: f"name {value}" for value in names}
        fields: dict[str, str] = {}
        for number, (value, name) in enumerate(placeholders.items()):
            fields |= segment(number, name, value)
        path = write_layers(tmp_path / "slicer.seg.nrrd", labels, fields)
        content = path.read_bytes()
        for value, name in names.items():  # as 3D Slicer writes them
            content = content.replace(placeholders[value].encode(), name.encode("utf-8"))
        path.write_bytes(content)
        read = read_labels(path, IMAGE)
        assert read.names == read_label_names(path) == names
        np.testing.assert_array_equal(read.as_one_map(), labels)
        path.write_bytes(content.replace("ä".encode(), "ä".encode("latin-1")))
        assert read_label_names(path) == names
        segments = {value: Segment(name) for value, name in names.items()}
        written = tmp_path / "written.seg.nrrd"
        Volume.from_array(labels, AFFINE).save(written, segments=segments)
        assert "Segment0_Name:=肝臓\n".encode() in written.read_bytes()
        read = read_labels(written, IMAGE)
        assert read.names == names
        np.testing.assert_array_equal(read.as_one_map(), labels)

    def test_it_may_be_cropped_and_stored_in_another_order(self, tmp_path: Path) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1:3, 2:4, 1:3] = np.arange(1, 9).reshape(2, 2, 2)
        part = Volume.from_array(labels[1:3, 2:4, 1:3], AFFINE @ translation(1, 2, 1))
        part.reoriented("SAR").save(tmp_path / "a.seg.nrrd")
        read = read_labels(tmp_path / "a.seg.nrrd", IMAGE)
        np.testing.assert_array_equal(read.as_one_map(), labels)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            (segment(0, "a", 1) | segment(1, "b", 1), "one segment for each value"),
            (segment(0, "a", 2), r"got the values \[1\] without one"),
            (segment(0, "a", 1, 3), "got layer 3 and value 1"),
            (segment(0, "a", 0), "got layer 0 and value 0"),
            (segment(0, "a", 1) | {"Segment0_LabelValue": "one"}, "got 'one'"),
            (segment(0, "a", 1) | {"Segment0_Layer": "9" * 5000}, "expected a whole number"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, fields: dict[str, str], words: str) -> None:
        path = write_layers(tmp_path / "a.seg.nrrd", np.ones(SHAPE, np.uint8), fields)
        with pytest.raises(VolumeError, match=words):
            read_labels(path, IMAGE)


def translation(*ijk: int) -> NDArray[np.float64]:
    moved = np.eye(4)
    moved[:3, 3] = ijk
    return moved


class TestWholeNumbers:
    def nifti(self, path: Path, voxels: NDArray[Any]) -> Path:
        nib.save(nib.Nifti1Image(voxels, AFFINE), path)
        return path

    @pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
    def test_of_any_type(self, tmp_path: Path, dtype: str) -> None:
        voxels = np.zeros(SHAPE, dtype)
        voxels[2, 3, 1] = 117
        read = read_labels(self.nifti(tmp_path / "a.nii.gz", voxels), IMAGE)
        assert read.as_one_map().dtype == np.uint8
        assert (read.values, read.names) == ((117,), {})
        np.testing.assert_array_equal(read.as_one_map(), voxels)

    def test_what_rounding_left_is_no_fraction(self, tmp_path: Path) -> None:
        voxels = np.zeros(SHAPE, np.float32)
        voxels[2, 3, 1], voxels[0, 0, :2] = 2 * 0.9999999, (1.0000001, -1e-8)
        path = self.nifti(tmp_path / "a.nii.gz", voxels)
        np.testing.assert_array_equal(read_labels(path, IMAGE).as_one_map(), np.rint(voxels))
        assert read_label_values(path, IMAGE) == (1, 2)
        assert has_rounding(path)
        assert not has_rounding(self.nifti(tmp_path / "b.nii.gz", np.rint(voxels)))

    @pytest.mark.parametrize(
        ("wrong", "words"), [(1.0002, "this one holds 1.0002$"), (1e-9, "up to 1e-09 only")]
    )
    def test_what_is_more_than_rounding_is_named(
        self, tmp_path: Path, wrong: float, words: str
    ) -> None:
        voxels = np.zeros(SHAPE, np.float32)
        voxels[1, 1, 1] = wrong
        path = self.nifti(tmp_path / "a.nii.gz", voxels)
        for read in (read_labels, read_label_values):
            with pytest.raises(VolumeError, match=words):
                read(path, IMAGE)

    @pytest.mark.parametrize("wrong", [-1.0, 0.5, 1e12, np.nan])
    def test_others_are_refused(self, tmp_path: Path, wrong: float) -> None:
        voxels = np.zeros(SHAPE, np.float32)
        voxels[0, 0, 0] = wrong
        with pytest.raises(VolumeError, match=r"whole numbers|NaN"):
            read_labels(self.nifti(tmp_path / "a.nii.gz", voxels), IMAGE)

    def test_a_picture_lies_on_its_image(self, tmp_path: Path) -> None:
        plane = np.zeros((5, 6), np.uint8)
        plane[1, 4] = 3
        Image.fromarray(plane).save(tmp_path / "a.png")
        read = read_labels(tmp_path / "a.png", RawGrid((6, 5, 1), np.diag([0.3, 0.3, 2, 1])))
        np.testing.assert_array_equal(read.as_one_map()[:, :, 0], plane.T)
        Image.fromarray(np.stack([plane, plane * 2, plane], -1)).save(tmp_path / "b.png")
        with pytest.raises(LabelError, match="this one is colour"):
            read_labels(tmp_path / "b.png", RawGrid((6, 5, 1), AFFINE))


PLANE = np.array([[0, 1, 2, 3, 0, 1]] * 4 + [[0] * 6], np.uint8)
FLAT = RawGrid((6, 5, 1), np.diag([-1.0, -1.0, 1.0, 1.0]))


class TestPictures:
    """The numbers that a picture stores are its labels, not their colours."""

    def read(self, path: Path) -> NDArray[Any]:
        return read_labels(path, FLAT).as_one_map()[:, :, 0].T

    def palette(self) -> Image.Image:
        picture = Image.fromarray(PLANE)
        picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
        return picture

    @pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
    def test_of_a_palette_the_indices(self, tmp_path: Path, ending: str) -> None:
        self.palette().save(tmp_path / f"a{ending}")
        np.testing.assert_array_equal(self.read(tmp_path / f"a{ending}"), PLANE)
        assert Volume.load(tmp_path / f"a{ending}").voxels[2, 0, 0].tolist() == [0, 200, 0]

    @pytest.mark.parametrize("more", [{"bits": 2}, {"bits": 4}, {"transparency": 0}])
    def test_of_a_small_or_transparent_palette(self, tmp_path: Path, more: dict[str, int]) -> None:
        self.palette().save(tmp_path / "a.png", **more)
        np.testing.assert_array_equal(self.read(tmp_path / "a.png"), PLANE)

    @pytest.mark.parametrize("bits", [1, 2, 4])
    def test_of_few_bits(self, tmp_path: Path, bits: int) -> None:
        """Grey values of few bits are spread over 0 to 255 when they are shown."""
        values = PLANE % 2**bits
        rows = [b"\0" + np.packbits(unpacked(row, bits)).tobytes() for row in values]
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 5, bits, 0, 0, 0, 0))
        png += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
        (tmp_path / "a.png").write_bytes(png)
        np.testing.assert_array_equal(self.read(tmp_path / "a.png"), values)

    def test_of_white_as_the_lowest_value(self, tmp_path: Path) -> None:
        for kind in (np.uint8, np.uint16):
            white_is_zero(tmp_path / "a.tif", PLANE.astype(kind))
            np.testing.assert_array_equal(self.read(tmp_path / "a.tif"), PLANE)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("how", [None, "tiff_lzw", "packbits"])
    def test_of_a_tiff_marked_as_rotated(
        self, tmp_path: Path, how: str | None, orientation: int
    ) -> None:
        """The pixels lie on those of the image as they are stored, as those of an image do."""
        grey = Image.fromarray(PLANE)
        for number, picture in enumerate((grey, grey.convert("I;16"), self.palette())):
            path = tmp_path / f"{number}.tif"
            picture.save(path, tiffinfo={274: orientation}, compression=how)
            np.testing.assert_array_equal(self.read(path), PLANE)


def unpacked(row: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    return np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def white_is_zero(path: Path, pixels: NDArray[Any], order: str = "<") -> Path:
    """A TIFF of one strip with PhotometricInterpretation 0."""
    rows, columns = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    bits = pixels.dtype.itemsize * 8
    tags = [(256, columns), (257, rows), (258, bits), (259, 1), (262, 0), (273, 200), (277, 1)]
    tags += [(278, rows), (279, len(data))]
    # A short number lies at the beginning of its field of four bytes.
    entries = b"".join(struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    path.write_bytes((start + entries + b"\0" * 4).ljust(200, b"\0") + data)
    return path


class TestNiftiNames:
    """Tables of names in extensions of the header."""

    def write(self, path: Path, text: str, code: int) -> Path:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1], labels[2] = 5, 2
        image = nib.Nifti1Image(labels, AFFINE)
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text.encode()))
        nib.save(image, path)
        return path

    @pytest.mark.parametrize("code", [0, 30], ids=["TotalSegmentator", "Workbench"])
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_names_by_value(self, tmp_path: Path, code: int, ending: str) -> None:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><CaretExtension><Date>2026</Date>'
            '<VolumeInformation Index="0"><LabelTable>'
            '<Label Key="0" Red="0" Green="0" Blue="0" Alpha="0">???</Label>'
            '<Label Key="5" Red="0.1" Green="0" Blue="1" Alpha="1"><![CDATA[liver & bile]]></Label>'
            '<Label Red="0.1" Green="0" Blue="1" Alpha="1" Key="2">left &amp; right</Label>'
            "</LabelTable></VolumeInformation></CaretExtension>"
        )
        path = self.write(tmp_path / f"a{ending}", text, code)
        read = read_labels(path, IMAGE)
        assert read.names == read_label_names(path) == {5: "liver & bile", 2: "left & right"}
        assert read.values == (2, 5)

    def test_names_with_hidden_characters_are_cleaned(self, tmp_path: Path) -> None:
        text = (
            '<LabelTable><Label Key="1">li\u202ever\u200b</Label><Label Key="2">\u200b</Label>'
            '<Label Key="3"> <![CDATA[left kidney]]> </Label></LabelTable>'
        )
        path = self.write(tmp_path / "a.nii", text, 0)
        assert read_label_names(path) == {1: "liver", 3: "left kidney"}
        notes = [segment.note for segment in read_named_values(path)]
        assert notes == [
            "the file's name of the value 1 has the character U+202E; it is called 'liver'",
            "",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "hello",
            "<LabelTable>",
            '<LabelTable><Label Key="x">a</Label>',
            "<Label " * 90_000,
            BLANKS,
        ],
    )
    def test_other_extensions_name_nothing(self, tmp_path: Path, text: str) -> None:
        assert read_label_names(self.write(tmp_path / "a.nii", text, 0)) == {}
        assert read_label_names(self.write(tmp_path / "b.nii", text, 6)) == {}


@pytest.mark.parametrize("ending", [".png", ".mha", ".nii.gz", ".nrrd"])
def test_voxels_are_read_once(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Volume.from_array(PLANE.T[..., None], FLAT.affine_ras)
    image.save(tmp_path / f"a{ending}")
    reads = []
    for module, name in (
        ("picture_file", "_samples"),
        ("stored_voxels", "StoredVoxels.unpacked"),
    ):
        whole = f"segsam.imaging.formats.{module}.{name}"
        original = pkgutil.resolve_name(whole.replace(f".{name}", f":{name}"))
        monkeypatch.setattr(
            whole, lambda *given, original=original: reads.append(1) or original(*given)
        )
    np.testing.assert_array_equal(
        read_labels(tmp_path / f"a{ending}", FLAT).as_one_map(), image.voxels
    )
    assert len(reads) == 1
