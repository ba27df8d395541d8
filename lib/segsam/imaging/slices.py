"""SliceView: one axis of a volume seen as a radiologist sees it, in pixels of the model; and back.

Three frames, each a step from the one before:

    voxel plane        plane (y, x)              model picture (px)
    two voxel axes     x right, y down           x right, y down, longest side = input_size
    in ascending       axial:    x -> left,      +----------+--+
    order              y -> posterior            | picture  |  |   the model pads right and
                       coronal:  x -> left,      |          |  |   below to a square
                       y -> inferior             +----------+  |
                       sagittal: x -> posterior, |             |
                       y -> inferior             +-------------+

Which voxel axis becomes x or y, and whether it is flipped, follows from the affine alone. So all 48
orders in which one anatomy can be stored give the model the same picture, bit for bit.

Pixels are made square: a slice of 1 x 1 x 5 mm voxels seen from the side is stretched fivefold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from segsam.errors import PromptError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.intensity import Intensity
from segsam.imaging.volume import Volume
from segsam.types import VoxelIndex

Scalar = TypeVar("Scalar", bound=np.generic)
BoxEdges = Literal["outer", "centres"]

_ISOTROPIC = 1e-3
_SPACING_TIE = 0.01


@dataclass(frozen=True)
class SliceView:
    """Slices across one voxel axis: which axes are x and y, which way they run, and the scale."""

    axis: int
    x_axis: int
    y_axis: int
    x_flipped: bool
    y_flipped: bool
    shape_ijk: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    input_size: int = 256

    @classmethod
    def of(cls, volume: Volume, axis: int, input_size: int = 256) -> SliceView:
        """The view across voxel axis 0, 1 or 2, in the nearest anatomical plane's orientation."""
        if axis not in (0, 1, 2):
            raise PromptError(f"A slice axis is 0, 1 or 2 (i, j, k); got {axis!r}.")
        axes, signs = nearest_axes(volume.affine_ras)
        # x and y both run against the first remaining world axes: R -> left, A -> posterior,
        # S -> inferior; x is the first of them, y the second.
        x_world, y_world = (world for world in range(3) if axes[world] != axis)
        return cls(
            axis=axis,
            x_axis=axes[x_world],
            y_axis=axes[y_world],
            x_flipped=signs[x_world] > 0,
            y_flipped=signs[y_world] > 0,
            shape_ijk=volume.shape_ijk,
            spacing_mm=volume.spacing_mm,
            input_size=input_size,
        )

    @property
    def depth(self) -> int:
        """Number of slices."""
        return self.shape_ijk[self.axis]

    @property
    def height(self) -> int:
        """Voxels from top to bottom of a slice."""
        return self.shape_ijk[self.y_axis]

    @property
    def width(self) -> int:
        """Voxels from left to right of a slice."""
        return self.shape_ijk[self.x_axis]

    @property
    def size_px(self) -> tuple[int, int]:
        """(height, width) of the model picture, of square pixels, the longer one `input_size`.

        For square voxels this is `get_preprocess_shape` of LiteMedSAM: int(side * scale + 0.5).
        """
        scale_y, scale_x = self._scale
        return max(1, int(self.height * scale_y + 0.5)), max(1, int(self.width * scale_x + 0.5))

    @property
    def _scale(self) -> tuple[float, float]:
        """Model pixels per voxel along y and x, before whole pixels are made of the sides."""
        aspect = self.spacing_mm[self.y_axis] / self.spacing_mm[self.x_axis]
        stretch = 1.0 if abs(aspect - 1) < _ISOTROPIC else aspect
        scale = self.input_size * 1.0 / max(self.height * stretch, self.width)
        return scale * stretch, scale

    def cut(self, voxels: NDArray[Scalar], index: int) -> NDArray[Scalar]:
        """Slice `index` of (i, j, k[, 3]) voxels as a plane (y, x[, 3]); a view, no copy."""
        plane = voxels[(slice(None),) * self.axis + (index,)]
        if self.y_axis > self.x_axis:
            plane = plane.swapaxes(0, 1)
        return plane[self._flips]

    def place(self, plane: NDArray[Scalar]) -> NDArray[Scalar]:
        """A plane (y, x) as the voxel plane, its two axes in ascending order: undoes `cut`."""
        unflipped = plane[self._flips]
        return unflipped.swapaxes(0, 1) if self.y_axis > self.x_axis else unflipped

    @property
    def _flips(self) -> tuple[slice, slice]:
        backwards, forwards = slice(None, None, -1), slice(None)
        return (
            backwards if self.y_flipped else forwards,
            backwards if self.x_flipped else forwards,
        )

    def image(self, volume: Volume, intensity: Intensity, index: int) -> NDArray[np.uint8]:
        """Slice `index` as the model picture (h_px, w_px, 3), 0 to 255, not yet padded.

        Resized by area as LiteMedSAM does; grey is repeated in the three channels.
        """
        plane = np.ascontiguousarray(intensity.apply(self.cut(volume.voxels, index)))
        height_px, width_px = self.size_px
        resized = cv2.resize(plane, (width_px, height_px), interpolation=cv2.INTER_AREA)
        picture = np.asarray(resized, dtype=np.uint8).reshape(height_px, width_px, -1)
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture

    def points_px(self, points_ijk: ArrayLike) -> NDArray[np.float32]:
        """Model pixels (n, 2) x, y of voxel indices (n, 3): index * new side / old side, as SAM."""
        points = np.asarray(points_ijk, dtype=np.float64).reshape(-1, 3)
        x = self._along(points[:, self.x_axis], self.width, flipped=self.x_flipped)
        y = self._along(points[:, self.y_axis], self.height, flipped=self.y_flipped)
        height_px, width_px = self.size_px
        scaled = np.stack([x * (width_px / self.width), y * (height_px / self.height)], axis=1)
        return np.asarray(scaled, dtype=np.float32)

    @staticmethod
    def _along(indices: NDArray[np.float64], side: int, *, flipped: bool) -> NDArray[np.float64]:
        return side - 1 - indices if flipped else indices

    def rectangle(self, min_ijk: ArrayLike, max_ijk: ArrayLike) -> tuple[int, int, int, int]:
        """The shown rectangle (left, top, right, bottom), inclusive, of inclusive voxel corners."""
        corners = np.array([min_ijk, max_ijk], dtype=np.float64).reshape(2, 3)
        x = self._along(corners[:, self.x_axis], self.width, flipped=self.x_flipped)
        y = self._along(corners[:, self.y_axis], self.height, flipped=self.y_flipped)
        return int(x.min()), int(y.min()), int(x.max()), int(y.max())

    def corners_ijk(
        self, rectangle: tuple[int, int, int, int], index: int
    ) -> tuple[VoxelIndex, VoxelIndex]:
        """Voxel corners (min, max) of a shown rectangle on slice `index`: undoes `rectangle`."""
        left, top, right, bottom = rectangle
        lows, highs = [index] * 3, [index] * 3
        x_ends = sorted(self.width - 1 - x if self.x_flipped else x for x in (left, right))
        y_ends = sorted(self.height - 1 - y if self.y_flipped else y for y in (top, bottom))
        lows[self.x_axis], highs[self.x_axis] = x_ends
        lows[self.y_axis], highs[self.y_axis] = y_ends
        return (lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2])

    def box_px(
        self, min_ijk: ArrayLike, max_ijk: ArrayLike, *, edges: BoxEdges = "outer"
    ) -> NDArray[np.float32]:
        """Model pixels (4,) x0, y0, x1, y1 of a box of inclusive voxel indices (3,) and (3,).

        `edges` says what the far side means: the outer edge of the last voxel, for a box drawn
        around the object on this slice; or, exactly as in LiteMedSAM's own evaluation, that voxel's
        index, for the section of a 3D box, which is loose on most slices.
        """
        left, top, right, bottom = self.rectangle(min_ijk, max_ijk)
        if edges == "centres":
            scale_y, scale_x = self._scale
            ends = [left * scale_x, top * scale_y, right * scale_x, bottom * scale_y]
            return np.array(ends, dtype=np.float32)
        height_px, width_px = self.size_px
        x0, x1 = _outer_span_px(left, right, width_px / self.width)
        y0, y1 = _outer_span_px(top, bottom, height_px / self.height)
        return np.array([x0, y0, x1, y1], dtype=np.float32)

    def logits_to_plane(self, logits: Tensor) -> Tensor:
        """Model logits (m, m) over the padded square as a plane (height, width), float32.

        Logits coarser or finer than `input_size` are brought to it first; then the padding is cut
        off and the rest resized, bilinear without aligned corners, as SAM's postprocessing does.
        """
        square = (self.input_size, self.input_size)
        height_px, width_px = self.size_px
        values = logits.detach().to(torch.float32)[None, None]
        if tuple(values.shape[-2:]) != square:
            values = interpolate(values, square, mode="bilinear", align_corners=False)
        values = values[..., :height_px, :width_px]
        plane_size = (self.height, self.width)
        return interpolate(values, plane_size, mode="bilinear", align_corners=False)[0, 0]

    def mask_to_logits_size(
        self, plane: NDArray[np.generic] | Tensor, *, side: int | None = None, outside: float = 0.0
    ) -> Tensor:
        """A plane (height, width) of mask or logits as (side, side) float32 over the padded square.

        `outside` fills the padding. `side` is the size of the model's low-resolution logits,
        `input_size` when not given. Inverse of `logits_to_plane` within a voxel.
        """
        tensor = plane if isinstance(plane, Tensor) else torch.from_numpy(np.array(plane))
        values = tensor.detach().to(torch.float32)[None, None]
        height_px, width_px = self.size_px
        values = interpolate(values, self.size_px, mode="bilinear", align_corners=False)
        right, below = self.input_size - width_px, self.input_size - height_px
        values = pad(values, (0, right, 0, below), value=outside)
        if side is not None and side != self.input_size:
            values = interpolate(values, (side, side), mode="bilinear", align_corners=False)
        return values[0, 0]


def _outer_span_px(low: int, high: int, scale: float) -> tuple[float, float]:
    return low * scale, max(low * scale, (high + 1) * scale - 1)


def choose_axis(
    volume: Volume,
    choice: Literal["auto", "i", "j", "k"],
    prompts_axis: int | None = None,
) -> int:
    """The voxel axis (0, 1, 2) across which to slice.

    A named axis is taken. "auto" takes, in this order: the only axis with one slice; the axis a
    flat box dictates; the axis of largest spacing. Spacings within 1 % count as equal, and among
    equals the axis nearest to superior-inferior wins (axial slices), then anterior-posterior.
    """
    if choice != "auto":
        if choice not in ("i", "j", "k"):
            raise PromptError(f"An axis is auto, i, j or k; got {choice!r}.")
        return "ijk".index(choice)
    axes, _ = nearest_axes(volume.affine_ras)
    from_superior = (axes[2], axes[1], axes[0])
    flat = [axis for axis in from_superior if volume.shape_ijk[axis] == 1]
    if prompts_axis is not None and (not flat or prompts_axis in flat):
        return prompts_axis
    if flat:
        return flat[0]
    largest = max(volume.spacing_mm)
    return next(
        axis for axis in from_superior if volume.spacing_mm[axis] >= largest * (1 - _SPACING_TIE)
    )
