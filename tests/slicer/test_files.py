"""Labels between the scene and files, by Slicer's own readers and writers."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Values.Geometry import VolumeGrid
from SEGSAMLib.Values.ImageFiles import is_left_handed, nrrd_file
from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.Replies import Sample
from volumes import ORDERS, put, segment_voxels, stored, volume

SHAPE = (12, 10, 8)


@pytest.fixture
def logic(scene: Any) -> Logic:
    """Two segments that have a voxel in common, and an empty one."""
    found = Logic(scene)
    found.nodes.select(volume(scene, stored(ORDERS[11]), np.zeros(SHAPE, np.int16)))
    for name, low in (("liver", (1, 1, 1)), ("liver", (3, 3, 3)), ("empty", None)):
        segment = found.nodes.add_segment(name)
        if low is not None:
            put(found, segment, Region(low, np.ones((3, 3, 3), dtype=bool)))
    return found


def nothing() -> None:
    """Never stop."""


def label_file(logic: Logic, folder: Path) -> str:
    payload = logic.files.label_builder()()
    path = folder / "label.nrrd"
    with nrrd_file(payload.array_kji, payload.grid, nothing, small=True) as file:
        path.write_bytes(file.read())
    return str(path)


def test_all_segments_in_one_label(logic: Logic) -> None:
    label = logic.files.label_builder()()
    assert label.names == {1: "liver", 2: "liver 2"}  # the empty one takes no value
    assert label.overlaps == 1
    assert label.image_id == ""
    assert label.version is None
    values, counts = np.unique(label.array_kji, return_counts=True)
    assert values.tolist() == [0, 1, 2]
    assert counts.tolist()[1:] == [26, 27]


def test_nothing_to_save(scene: Any) -> None:
    logic = Logic(scene)
    logic.nodes.select(volume(scene, stored(ORDERS[0]), np.zeros(SHAPE, np.int16)))
    logic.nodes.add_segment()
    with pytest.raises(NodeError, match="nothing to save"):
        logic.files.label_builder()()


def test_a_label_comes_back_as_segments(logic: Logic, tmp_path: Path) -> None:
    own, path = logic.nodes.segmentation, label_file(logic, tmp_path)
    node = logic.files.import_label(path, {1: "liver", 2: "spleen"}, "theirs")
    assert not Path(path).exists()
    assert logic.nodes.segmentation is own
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(2)]
    assert names == ["liver", "spleen"]
    found = segment_voxels(node, segmentation.GetNthSegmentID(1), logic.nodes.volume)
    assert np.argwhere(found).min(axis=0).tolist() == [3, 3, 3]
    assert found.sum() == 27


def test_a_label_of_another_size(logic: Logic, tmp_path: Path) -> None:
    path = label_file(logic, tmp_path)
    other = volume(logic.nodes.scene, stored(ORDERS[11]), np.zeros((5, 5, 5), np.int16))
    logic.nodes.select(other)
    with pytest.raises(
        NodeError, match=r"label of \(5, 5, 5\) voxels like the volume, got \(12, 10, 8\)"
    ):
        logic.files.import_label(path, {}, "theirs")
    assert not Path(path).exists()


def test_what_is_no_image(logic: Logic, tmp_path: Path) -> None:
    path = tmp_path / "image.nrrd"
    path.write_text("hello")
    with pytest.raises(NodeError, match="cannot be read"):
        logic.files.load_sample(Sample("one", str(path), ""))
    assert not path.exists()


def test_a_sample_is_known_to_be_the_servers(logic: Logic, tmp_path: Path) -> None:
    path = tmp_path / "image.nrrd"
    array = np.arange(960, dtype=np.int16).reshape(8, 10, 12)
    assert logic.nodes.grid is not None
    with nrrd_file(array, logic.nodes.grid, nothing, small=False) as file:
        path.write_bytes(file.read())
    loaded = logic.files.load_sample(Sample("one", str(path), "", version=4))
    payload = logic.files.image_payload()
    assert logic.nodes.volume is loaded.node
    place = np.array([5.0, 4.0, 3.0])  # Slicer turns left-handed files around; the place stays
    (there,) = payload.grid.ijk((stored(ORDERS[11]) @ (*place, 1.0))[:3])
    i, j, k = np.round(there).astype(int)
    assert payload.array_kji[k, j, i] == array[3, 4, 5]
    assert payload.image_id == logic.files.image_id == "one"
    loaded.node.GetImageData().Modified()  # its voxels are others than the server's now
    assert logic.files.image_payload().image_id == ""
    assert logic.files.image_id == "one"


def test_nifti_by_slicers_exporter(logic: Logic, tmp_path: Path) -> None:
    target = tmp_path / "out.nii.gz"
    assert logic.files.export_nifti(str(target)) == str(target)
    data = gzip.decompress(target.read_bytes())
    assert struct.unpack("<8h", data[40:56])[1:4] == SHAPE
    (kind,) = struct.unpack("<h", data[70:72])
    dtype = {2: np.uint8, 4: np.int16, 256: np.int8, 512: np.uint16}[kind]
    voxels = np.frombuffer(data[352:], dtype)[: np.prod(SHAPE)]
    assert (voxels > 0).sum() == 53
    assert list(tmp_path.iterdir()) == [target]


def test_dicom_seg_needs_slicers_plug_in(logic: Logic, tmp_path: Path) -> None:
    logic.nodes.volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    with pytest.raises(NodeError, match="QuantitativeReporting"):
        logic.files.export_dicom_seg(str(tmp_path))


@pytest.mark.parametrize("order", [ORDERS[number] for number in (0, 1, 11, 30)], ids=str)
def test_a_label_goes_back_onto_the_voxels_of_the_servers_file(
    scene: Any, tmp_path: Path, order: Any
) -> None:
    """Also if Slicer reversed the last axis of the image."""
    matrix = stored(order)
    grid = VolumeGrid.of(SHAPE, matrix)
    array = np.random.default_rng(1).integers(0, 1000, SHAPE[::-1]).astype(np.int16)
    path = tmp_path / "image.nrrd"
    with nrrd_file(array, grid, nothing, small=True) as file:
        path.write_bytes(file.read())
    assert is_left_handed(str(path)) is bool(np.linalg.det(matrix[:3, :3]) < 0)
    logic = Logic(scene)
    logic.files.load_sample(Sample("one", str(path), ""))
    assert logic.nodes.grid is not None
    segment = logic.nodes.add_segment("liver")
    voxel = (2, 7, 1)
    (there,) = logic.nodes.grid.ijk(grid.ras(voxel))
    i, j, k = (int(value) for value in np.round(there))
    put(logic, segment, Region((i, j, k), np.ones((1, 1, 1), dtype=bool)))
    label = logic.files.label_builder()()
    assert np.allclose(label.grid.matrix, matrix, atol=1e-5)
    assert np.argwhere(label.array_kji).tolist() == [list(voxel[::-1])]
