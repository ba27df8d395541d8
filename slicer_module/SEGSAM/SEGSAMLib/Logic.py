"""The scene: current volume and segmentation, prompts of the current segment, results. MRML only.

All positions that come in are of the scene's world (RAS, mm) or of a slice view; all that goes out
to the server are voxels of the current volume.
"""

from __future__ import annotations

from typing import Any

from .Images import ImageSource, LabelSource
from .Parameters import Parameters
from .Prompts import PromptSet
from .Replies import InferReply


class Logic:
    """For one scene; the widget holds one, and calls it in the GUI thread only."""

    def __init__(self, scene: Any = None) -> None: ...

    # -- what is worked on ------------------------------------------------------------------
    def set_nodes(self, volume: Any, segmentation: Any = None) -> None:
        """Work on a volume; without a segmentation node one is made when it is needed."""

    volume: Any
    segmentation: Any
    segment_id: str

    def select_segment(self, segment_id: str) -> None:
        """The segment that prompts and results belong to; its prompts are shown."""

    def add_segment(self, name: str = "", category: str = "") -> str:
        """A new, empty segment, selected; named and coded when `category` is given."""

    def remove_segment(self, segment_id: str) -> None: ...

    # -- prompts ----------------------------------------------------------------------------
    @property
    def prompts(self) -> PromptSet: ...

    def add_point(self, world_ras: Any, *, positive: bool = True) -> None:
        """Raises `PlaceError` outside the volume."""

    def add_box_on_slice(self, slice_node: Any, first_xy: Any, last_xy: Any) -> str:
        """A rectangle dragged in a slice view (pixels of it); returns a note, or nothing."""

    def add_box_from_roi(self, roi_node: Any) -> str:
        """A 3D box from a region of interest."""

    def add_scribble(self, path_world_ras: Any, *, positive: bool = True) -> None: ...

    def remove_prompt(self, item: Any) -> None: ...

    def clear_prompts(self) -> None: ...

    def read_markups(self) -> bool:
        """Take over what the user moved or deleted in the shown markups; True when something
        changed.
        """

    def undo(self) -> bool: ...

    def redo(self) -> bool: ...

    undo_text: str
    redo_text: str

    # -- the way to the server and back -----------------------------------------------------
    def image_source(self) -> ImageSource:
        """The current volume. Raises `NodeError` without one."""

    def request(self, parameters: Parameters) -> dict:
        """The JSON of a request. Raises `PromptError`, `NodeError`."""

    def apply(self, reply: InferReply, parameters: Parameters) -> Any:
        """Write a reply into its segment; only changed voxels, as the protection mode says."""

    def label_source(self) -> LabelSource:
        """All segments as one label map. Raises `NodeError` when all are empty."""

    # -- what is shown beside the slice -----------------------------------------------------
    def also_present(self, axis: int, index: int) -> tuple:
        """(category, probability) of what else the model sees on a slice."""

    def certainty_strip(self, axis: int) -> Any:
        """(n,) float of the slices of an axis, NaN where nothing is known."""

    def worst_slice(self, axis: int) -> int | None: ...

    def choose_category(self, category: str) -> None:
        """The user's own choice for the current segment: it wins from now on."""

    # -- export ------------------------------------------------------------------------------
    def export_nifti(self, path: str) -> str: ...

    def export_dicom_seg(self, folder: str) -> str:
        """Raises `NodeError` with the reason where this Slicer cannot."""
