"""Volumes and labels between the scene and files: from the server, to it, and for export. The
part of `Logic` above `Undoing`.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np
from slicer.util import arrayFromVolume

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene import Frames, SegmentTags
from SEGSAMLib.Scene.UndoHistory import Undoing
from SEGSAMLib.Values.Geometry import VolumeGrid, Voxel
from SEGSAMLib.Values.ImageFiles import ImagePayload, LabelPayload, is_left_handed
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import Region, bounds, resampled
from SEGSAMLib.Values.Replies import Sample
from SEGSAMLib.Values.Terminology import TISSUE, category
from SEGSAMLib.Values.UndoStack import Identity

IMAGE_ID = "SEGSAM.ImageId"
LABEL_VERSION = "SEGSAM.LabelVersion"
_KEY = "SEGSAM.ImageKey"
_TURNED = "SEGSAM.LastAxisTurned"
"""Slicer turned the last axis around when it read the image: its label is turned back."""
_MOST_SEGMENTS = 65_535


@dataclass(frozen=True)
class Loaded:
    """A sample that is in the scene now."""

    node: Any
    sample: Sample


class Files(Undoing):
    """What a volume is on the server is kept in its node's attributes, with the scene."""

    @property
    def image_id(self) -> str:
        """What the current volume is called on the server, nothing when it is not there."""
        return "" if self.volume is None else self.volume.GetAttribute(IMAGE_ID) or ""

    def image_source(self) -> ImagePayload:
        """The current volume. Raises `NodeError` without one."""
        grid, key = self._need_grid(), self._key()
        is_as_fetched = self.volume.GetAttribute(_KEY) == key
        array = arrayFromVolume(self.volume)
        return ImagePayload(array, grid, key, self.image_id if is_as_fetched else "")

    def label_source(self) -> LabelPayload:
        """All segments as one label map, in their order. Raises `NodeError` when all are empty."""
        return self.labelling()()

    def labelling(self) -> Callable[[], LabelPayload]:
        """What makes `label_source` of the segments as they are now, in whatever thread."""
        grid, layers = self._need_grid(), self._segments().look()
        called = {each: self._segment(each).GetName() or "segment" for each in layers.ids}
        text = self.volume.GetAttribute(LABEL_VERSION)
        version = int(text) if text else None
        is_turned = bool(self.volume.GetAttribute(_TURNED))
        image_id = self.image_id

        def make() -> LabelPayload:
            label, names, overlaps = label_map(layers, called, grid.shape_ijk)
            if not names:
                raise NodeError("There is nothing to save yet: all segments are empty.")
            if is_turned:
                return LabelPayload(label[::-1], _turned(grid), image_id, version, names, overlaps)
            return LabelPayload(label, grid, image_id, version, names, overlaps)

        return make

    def remember_saved(self, volume: Any, image_id: str, version: int) -> None:
        """The label of a volume is this version on the server now."""
        if not volume.GetAttribute(IMAGE_ID):
            volume.SetAttribute(IMAGE_ID, image_id)
        volume.SetAttribute(LABEL_VERSION, str(version))

    def load_sample(self, sample: Sample) -> Loaded:
        """The next image as a new volume, which is worked on from now; its file is deleted.
        Raises `NodeError`.
        """
        path = Path(sample.path)
        try:
            is_turned = is_left_handed(sample.path)
            node = self._read_volume(path, sample.image_id)
        finally:
            path.unlink()
        node.SetAttribute(IMAGE_ID, sample.image_id)
        node.SetAttribute(LABEL_VERSION, str(sample.version))
        node.SetAttribute(_TURNED, "1" if is_turned else None)
        self.set_nodes(node, None)
        node.SetAttribute(_KEY, self._key())
        return Loaded(node, sample)

    def import_label(self, path: str, names: Mapping[int, str], title: str) -> Any:
        """A label file as a new segmentation beside the current one; the file is deleted. Raises
        `NodeError` when it does not fit the volume.
        """
        file = Path(path)
        try:
            read = self._read(file, "vtkMRMLLabelMapVolumeNode", title)
        finally:
            file.unlink()
        labels = np.array(arrayFromVolume(read)).transpose(2, 1, 0)
        to_volume = np.linalg.inv(self._need_grid().matrix) @ Frames.grid_of(read).matrix
        self.scene.RemoveNode(read)
        shape = self._need_grid().shape_ijk
        if labels.shape != shape:
            raise NodeError(f"The label has {labels.shape} voxels, and the volume {shape}.")
        mine, selected = self.segmentation, self.segment_id
        node = self.make_segmentation()
        node.SetName(title)
        wanted: dict[str, Region] = {}
        for value in (int(value) for value in np.unique(labels) if value):
            name = names.get(value, f"label {value}")
            found = category(name)
            segment_id = str(node.GetSegmentation().AddEmptySegment())
            identity = Identity(name, found.colour, found.terminology or TISSUE, "user")
            SegmentTags.set_identity(node.GetSegmentation().GetSegment(segment_id), identity)
            box = bounds(labels == value)
            start = (box[0].start, box[1].start, box[2].start)
            wanted[segment_id] = resampled(Region(start, labels[box] == value), to_volume)
        layers = self._segments().look()
        for segment_id, region in wanted.items():
            layers.put(segment_id, region, None)
        self._segments().commit(layers)
        if mine is not None:
            self.segmentation = mine
            self.select_segment(selected)
        else:
            self.set_nodes(self.volume, node)
        return node

    def export_nifti(self, path: str) -> str:
        """All segments as one NIfTI label map, by Slicer's own exporter; the file. Raises
        `NodeError`.
        """
        self._segments()
        target = Path(path)
        export = slicer.vtkSlicerSegmentationsModuleLogic
        with tempfile.TemporaryDirectory(prefix="segsam-") as folder:
            is_done = export.ExportSegmentsBinaryLabelmapRepresentationToFiles(
                folder, self.segmentation, None, "nii.gz", True, self.volume
            )
            made = sorted(Path(folder).glob("*.nii.gz"))
            if not is_done or len(made) != 1:
                raise NodeError("Slicer could not export the segmentation: has it any voxels?")
            try:
                shutil.move(str(made[0]), str(target))
            except OSError as error:
                raise NodeError(f"{target} cannot be written: {error.strerror}.") from error
        return str(target)

    def export_dicom_seg(self, folder: str) -> tuple[str, ...]:
        """The segmentation as DICOM SEG with its coded categories, by Slicer's own exporter; the
        files. Raises `NodeError` with the reason where it cannot be.
        """
        self._segments()
        if not self.volume.GetAttribute("DICOM.instanceUIDs"):
            raise NodeError(
                "A DICOM segmentation needs a volume that was loaded from DICOM; this one was not."
            )
        try:
            plugin = importlib.import_module("DICOMSegmentationPlugin")
        except ImportError:
            raise NodeError(
                "Slicer exports DICOM segmentations with its extension QuantitativeReporting: "
                "install it in the Extensions Manager."
            ) from None
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        exporter = plugin.DICOMSegmentationPluginClass()
        exportables = exporter.examineForExport(hierarchy.GetItemByDataNode(self.segmentation))
        if not exportables:
            raise NodeError("The volume's images are not in Slicer's DICOM database any more.")
        before = set(Path(folder).iterdir())
        for each in exportables:
            each.directory = folder
        problem = exporter.export(exportables)
        if problem:
            raise NodeError(f"Slicer could not export the segmentation: {problem}")
        return tuple(sorted(str(path) for path in set(Path(folder).iterdir()) - before))

    def _key(self) -> str:
        """Of the current volume's voxels and geometry."""
        grid = self._need_grid()
        return f"{self.volume.GetID()}/{self.volume.GetImageData().GetMTime()}/{hash(grid)}"

    def _read_volume(self, path: Path, name: str) -> Any:
        try:
            return self._read(path, "vtkMRMLScalarVolumeNode", name)
        except NodeError:
            return self._read(path, "vtkMRMLVectorVolumeNode", name)  # a colour image

    def _read(self, path: Path, kind: str, name: str) -> Any:
        """Read with the storage node that Slicer itself uses, without its dialogs."""
        node = self.scene.AddNewNodeByClass(kind, name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.SetCenterImage(0)
        if not storage.ReadData(node):
            self.scene.RemoveNode(node)
            raise NodeError("The file that the server sent cannot be read.")
        node.CreateDefaultDisplayNodes()
        return node


def label_map(
    layers: Layers, called: Mapping[str, str], shape_ijk: Voxel
) -> tuple[np.ndarray, dict[int, str], int]:
    """(k, j, i) of all segments that are not empty, voxel value -> name, and how many voxels are in
    several: the last one has them. `called` are their names.
    """
    i, j, k = shape_ijk
    label = np.zeros((k, j, i), np.uint8 if len(called) < 256 else np.uint16)
    ijk = label.transpose(2, 1, 0)
    names: dict[int, str] = {}
    overlaps = 0
    for segment_id in list(called)[:_MOST_SEGMENTS]:
        region = layers.all_of(segment_id)
        inside = None if region is None else _inside(region, shape_ijk)
        if inside is None:
            continue
        there = ijk[inside.slices]
        overlaps += int(np.count_nonzero(there[inside.values]))
        value = len(names) + 1
        np.copyto(there, label.dtype.type(value), where=inside.values)
        names[value] = _unused(called[segment_id], names)
    return label, names, overlaps


def _turned(grid: VolumeGrid) -> VolumeGrid:
    """The same place with the last axis counted from its other end."""
    matrix = grid.matrix
    matrix[:3, 3] += matrix[:3, 2] * (grid.shape_ijk[2] - 1)
    matrix[:3, 2] *= -1
    return VolumeGrid.of(grid.shape_ijk, matrix)


def _inside(region: Region, shape_ijk: tuple[int, int, int]) -> Region | None:
    """The part of a region inside a volume."""
    part = region
    for axis, side in enumerate(shape_ijk):
        part = part.within(axis, 0, side - 1)
    return None if part.is_empty else part


def _unused(name: str, names: Mapping[int, str]) -> str:
    """Two segments of one name are two labels."""
    taken, number, wanted = set(names.values()), 2, name
    while wanted in taken:
        wanted, number = f"{name} {number}", number + 1
    return wanted
