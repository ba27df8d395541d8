"""Exchange of volumes and labels between scene and files: from and to the server, and export."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Mapping

import numpy as np
from slicer.util import arrayFromVolume

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Scene import Frames, SegmentTags
from SEGSAMLib.Scene.SceneNodes import SceneNodes
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Geometry import VolumeGrid, Voxel
from SEGSAMLib.Values.ImageFiles import ImagePayload, LabelPayload, is_left_handed
from SEGSAMLib.Values.Layers import Layers
from SEGSAMLib.Values.Masks import Region, resampled
from SEGSAMLib.Values.Replies import Sample, Saved

IMAGE_ID = "SEGSAM.ImageId"
LABEL_VERSION = "SEGSAM.LabelVersion"
_KEY = "SEGSAM.ImageKey"
_REVERSED = "SEGSAM.LastAxisTurned"
"""Set if Slicer reversed the last axis when it read the image; labels are reversed back."""
_MAX_SEGMENTS = 65_535


@dataclass(frozen=True)
class LoadedSample:
    """Sample with its volume node."""

    node: Any
    sample: Sample


class FileExchange:
    """Files of the current volume. Id and label version of a volume on the server are attributes of
    its node, so that they are saved with the scene.
    """

    def __init__(self, nodes: SceneNodes) -> None:
        self._nodes = nodes

    @property
    def image_id(self) -> str:
        """Id of the current volume on the server, empty if the server does not have it."""
        volume = self._nodes.volume
        return "" if volume is None else volume.GetAttribute(IMAGE_ID) or ""

    def image_payload(self) -> ImagePayload:
        """Return the current volume for an upload. Raises `NodeError` without a volume."""
        grid, key = self._nodes.need_grid(), self._key()
        is_unchanged = self._nodes.volume.GetAttribute(_KEY) == key
        array = arrayFromVolume(self._nodes.volume)
        return ImagePayload(array, grid, key, self.image_id if is_unchanged else "")

    def label_builder(self) -> Callable[[], LabelPayload]:
        """Return a function that any thread may call: it returns all segments, as they are now, as
        one label map in their order. It raises `NodeError` if all are empty.
        """
        grid, layers = self._nodes.need_grid(), self._nodes.segments().layers()
        names_by_id = {
            each: self._nodes.segment(each).GetName() or "segment" for each in layers.ids
        }
        text = self._nodes.volume.GetAttribute(LABEL_VERSION)
        version = int(text) if text else None
        is_reversed = bool(self._nodes.volume.GetAttribute(_REVERSED))
        image_id = self.image_id

        def build() -> LabelPayload:
            label, names, overlaps = label_map(layers, names_by_id, grid.shape_ijk)
            if not names:
                raise NodeError(_("There is nothing to save yet: all segments are empty."))
            place = (label[::-1], _reversed(grid)) if is_reversed else (label, grid)
            return LabelPayload(*place, image_id, version, names, overlaps)

        return build

    def remember_saved(self, volume: Any, saved: Saved) -> None:
        """Store id and label version of a volume after its label was saved on the server."""
        if not volume.GetAttribute(IMAGE_ID):
            volume.SetAttribute(IMAGE_ID, saved.image_id)
        volume.SetAttribute(LABEL_VERSION, str(saved.version))

    def load_sample(self, sample: Sample) -> LoadedSample:
        """Load the next image as a new volume, select it, and delete the file. Raises
        `NodeError`.
        """
        path = Path(sample.path)
        try:
            is_reversed = is_left_handed(sample.path)
            node = self._read_volume(path, sample.image_id)
        finally:
            path.unlink()
        node.SetAttribute(IMAGE_ID, sample.image_id)
        node.SetAttribute(LABEL_VERSION, str(sample.version))
        node.SetAttribute(_REVERSED, "1" if is_reversed else None)
        self._nodes.select(node, None)
        node.SetAttribute(_KEY, self._key())
        return LoadedSample(node, sample)

    def import_label(self, path: str, names: Mapping[int, str], title: str) -> Any:
        """Load a label file as a new segmentation beside the current one, and delete the file.
        Raises `NodeError` if the label does not fit the volume.
        """
        file = Path(path)
        try:
            read = self._read(file, "vtkMRMLLabelMapVolumeNode", title)
        finally:
            file.unlink()
        labels = np.array(arrayFromVolume(read)).transpose(2, 1, 0)
        to_volume = np.linalg.inv(self._nodes.need_grid().matrix) @ Frames.grid_of(read).matrix
        self._nodes.scene.RemoveNode(read)
        shape = self._nodes.need_grid().shape_ijk
        if labels.shape != shape:
            sentence = _("Expected a label of {expected} voxels like the volume, got {found}.")
            raise NodeError(sentence.format(expected=shape, found=labels.shape))
        own, selected = self._nodes.segmentation, self._nodes.segment_id
        node = self._nodes.make_segmentation()
        node.SetName(title)
        regions: dict[str, Region] = {}
        for value in (int(value) for value in np.unique(labels) if value):
            name = names.get(value, f"label {value}")
            segment_id = str(node.GetSegmentation().AddEmptySegment())
            identity = replace(SegmentTags.named(name, chosen_by="user"), name=name)
            SegmentTags.set_identity(node.GetSegmentation().GetSegment(segment_id), identity)
            found = Region((0, 0, 0), labels == value).trimmed()
            if found is not None:
                regions[segment_id] = resampled(found, to_volume)
        layers = self._nodes.segments().layers()
        for segment_id, region in regions.items():
            layers.write(segment_id, region, None)
        self._nodes.segments().commit(layers)
        if own is not None:
            self._nodes.segmentation = own
            self._nodes.select_segment(selected)
        else:
            self._nodes.select(self._nodes.volume, node)
        return node

    def export_nifti(self, path: str) -> str:
        """Export all segments as one NIfTI label map with Slicer's own exporter. Return the path.
        Raises `NodeError`.
        """
        self._nodes.segments()
        target = Path(path)
        export = slicer.vtkSlicerSegmentationsModuleLogic
        with tempfile.TemporaryDirectory(prefix="segsam-") as folder:
            is_done = export.ExportSegmentsBinaryLabelmapRepresentationToFiles(
                folder, self._nodes.segmentation, None, "nii.gz", True, self._nodes.volume
            )
            files = sorted(Path(folder).glob("*.nii.gz"))
            if not is_done or len(files) != 1:
                raise NodeError(_("Slicer could not export the segmentation. Is it empty?"))
            try:
                shutil.move(str(files[0]), str(target))
            except OSError as error:
                sentence = _("{path} cannot be written: {reason}.")
                raise NodeError(sentence.format(path=target, reason=error.strerror)) from error
        return str(target)

    def export_dicom_seg(self, folder: str) -> tuple[str, ...]:
        """Export the segmentation as DICOM SEG with its codes, with Slicer's own exporter. Return
        the paths. Raises `NodeError`.
        """
        self._nodes.segments()
        if not self._nodes.volume.GetAttribute("DICOM.instanceUIDs"):
            sentence = _(
                "A DICOM segmentation needs a volume that was loaded from DICOM; this one was not."
            )
            raise NodeError(sentence)
        try:
            plugin = importlib.import_module("DICOMSegmentationPlugin")
        except ImportError:
            sentence = _(
                "Slicer exports DICOM segmentations with its extension QuantitativeReporting: "
                "install it in the Extensions Manager."
            )
            raise NodeError(sentence) from None
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._nodes.scene)
        exporter = plugin.DICOMSegmentationPluginClass()
        exportables = exporter.examineForExport(
            hierarchy.GetItemByDataNode(self._nodes.segmentation)
        )
        if not exportables:
            sentence = _("The images of the volume are no longer in Slicer's DICOM database.")
            raise NodeError(sentence)
        before = set(Path(folder).iterdir())
        for each in exportables:
            each.directory = folder
        problem = exporter.export(exportables)
        if problem:
            sentence = _("Slicer could not export the segmentation: {problem}")
            raise NodeError(sentence.format(problem=problem))
        return tuple(sorted(str(path) for path in set(Path(folder).iterdir()) - before))

    def _key(self) -> str:
        """Return a key that changes with the voxels or the geometry of the current volume."""
        grid, volume = self._nodes.need_grid(), self._nodes.volume
        return f"{volume.GetID()}/{volume.GetImageData().GetMTime()}/{hash(grid)}"

    def _read_volume(self, path: Path, name: str) -> Any:
        try:
            return self._read(path, "vtkMRMLScalarVolumeNode", name)
        except NodeError:
            return self._read(path, "vtkMRMLVectorVolumeNode", name)  # a colour image

    def _read(self, path: Path, kind: str, name: str) -> Any:
        """Read a file with Slicer's own storage node, without its dialogs."""
        node = self._nodes.scene.AddNewNodeByClass(kind, name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        storage.SetCenterImage(0)
        if not storage.ReadData(node):
            self._nodes.scene.RemoveNode(node)
            raise NodeError(_("The file that the server sent cannot be read."))
        node.CreateDefaultDisplayNodes()
        return node


def label_map(
    layers: Layers, names_by_id: Mapping[str, str], shape_ijk: Voxel
) -> tuple[np.ndarray, dict[int, str], int]:
    """Return the label map (k, j, i) of all segments that are not empty, the names by voxel value,
    and the number of voxels that several segments have; the last segment gets them.
    """
    i, j, k = shape_ijk
    label = np.zeros((k, j, i), np.uint8 if len(names_by_id) < 256 else np.uint16)
    ijk = label.transpose(2, 1, 0)
    names: dict[int, str] = {}
    overlaps = 0
    for segment_id in list(names_by_id)[:_MAX_SEGMENTS]:
        region = layers.whole(segment_id)
        inside = None if region is None else region.inside(shape_ijk)
        if inside is None:
            continue
        there = ijk[inside.slices]
        overlaps += int(np.count_nonzero(there[inside.values]))
        value = len(names) + 1
        np.copyto(there, label.dtype.type(value), where=inside.values)
        names[value] = _unused(names_by_id[segment_id], names)
    return label, names, overlaps


def _reversed(grid: VolumeGrid) -> VolumeGrid:
    """Return the grid with the last axis counted from its other end."""
    matrix = grid.matrix
    matrix[:3, 3] += matrix[:3, 2] * (grid.shape_ijk[2] - 1)
    matrix[:3, 2] *= -1
    return VolumeGrid.of(grid.shape_ijk, matrix)


def _unused(name: str, names: Mapping[int, str]) -> str:
    """Return a name that no other label has."""
    taken, number, unused = set(names.values()), 2, name
    while unused in taken:
        unused, number = f"{name} {number}", number + 1
    return unused
