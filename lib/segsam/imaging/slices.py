"""Slices of a volume in radiological orientation and in model pixels, and the way back.

A slice has three frames; `cut` and `image` lead from left to right, `place` back from the plane:

    voxels           ->  plane (y, x)            ->  model picture (y, x) in model pixels, "px"
    two voxel axes,      x to the right, y down      x to the right, y down
    ascending            as radiologists see it      square pixels, longest side = input_size

The model pads the picture to a square on the right and at the bottom. In the plane, x and y run to

               x                       y
    axial      the patient's left      posterior
    coronal    the patient's left      inferior
    sagittal   posterior               inferior

The affine alone determines which voxel axis becomes x or y, and if it is flipped. All 48 storage
orders of the same anatomy therefore give the same model picture, bit for bit. Square pixels stretch
anisotropic slices: a sagittal slice of 1 x 1 x 5 mm voxels is stretched fivefold along y.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from segsam.errors import PromptError
from segsam.imaging.geometry import nearest_axes
from segsam.imaging.intensity import Intensity
from segsam.imaging.volume import Volume
from segsam.types import VoxelIndex

Scalar = TypeVar("Scalar", bound=np.generic)
BoxEdges = Literal["outer", "centres"]

_ISOTROPIC = 1e-3
"""Difference of two spacings, as a ratio, below which a slice is not stretched."""
_SPACING_TIE = 0.01
"""Difference of two spacings, as a ratio, below which neither counts as the larger one."""
_BESIDE_MM = (2.475, 12.0)
"""Distances of a slice that still shows other anatomy than this one, but the same objects: with
1 mm slices the third, with 5 mm the next."""
_STANDS_OUT = 1.5
"""Factor from the second largest spacing to one that tells thick slices. In 419 real volumes (CT,
MR, PET; nine sources) it is 2.79 or more, or else 1.00."""


@dataclass(frozen=True)
class SliceView:
    """Slices across one voxel axis: the voxel axes of x and y, their flips, and the scale."""

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
        """Return the view across voxel axis 0, 1 or 2, oriented as the nearest anatomical plane.

        Raises PromptError for another axis.
        """
        if axis not in (0, 1, 2):
            raise PromptError(f"Expected a slice axis 0, 1 or 2 (i, j, k), got {axis!r}.")
        axes, signs = nearest_axes(volume.affine_ras)
        # Radiological display: x and y run against the two other world axes, i.e. to the patient's
        # left (against R), posterior (against A) or inferior (against S).
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
        """Number of voxels from top to bottom of a slice."""
        return self.shape_ijk[self.y_axis]

    @property
    def width(self) -> int:
        """Number of voxels from left to right of a slice."""
        return self.shape_ijk[self.x_axis]

    @property
    def size_px(self) -> tuple[int, int]:
        """Model picture (height, width) in square pixels; the longer side is `input_size`.

        For square voxels this equals `get_preprocess_shape` of LiteMedSAM: int(side * scale + 0.5).
        """
        scale_y, scale_x = self._scale
        return max(1, int(self.height * scale_y + 0.5)), max(1, int(self.width * scale_x + 0.5))

    @property
    def _scale(self) -> tuple[float, float]:
        """Model pixels per voxel along y and x, before the sides are rounded to whole pixels."""
        aspect = self.spacing_mm[self.y_axis] / self.spacing_mm[self.x_axis]
        stretch = 1.0 if abs(aspect - 1) < _ISOTROPIC else aspect
        scale = self.input_size * 1.0 / max(self.height * stretch, self.width)
        return scale * stretch, scale

    def cut(self, voxels: NDArray[Scalar], index: int) -> NDArray[Scalar]:
        """Return slice `index` of (i, j, k[, 3]) voxels as a plane (y, x[, 3]); a view."""
        return self.turned(voxels[(slice(None),) * self.axis + (index,)])

    def turned(self, plane: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return a plane, its two voxel axes in ascending order, as it is displayed (y, x[, 3]); a
        view.
        """
        if self.y_axis > self.x_axis:
            plane = plane.swapaxes(0, 1)
        return plane[self._flips]

    def place(self, plane: NDArray[Scalar]) -> NDArray[Scalar]:
        """Undo `turned`: return a plane (y, x) with ascending voxel axes; a view."""
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
        """Return slice `index` as model picture (h_px, w_px, 3), 0 to 255, not yet padded.

        It is resized by area as in LiteMedSAM; grey is repeated in the three channels.
        """
        plane = np.ascontiguousarray(intensity.apply(self.cut(volume.voxels, index)))
        height_px, width_px = self.size_px
        resized = cv2.resize(plane, (width_px, height_px), interpolation=cv2.INTER_AREA)
        picture = np.asarray(resized, dtype=np.uint8).reshape(height_px, width_px, -1)
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture

    def beside(self, index: int, indices: Iterable[int] | None = None) -> tuple[int, ...]:
        """Return the slice on each side of slice `index` that the dense head reads beside it: the
        nearest of `indices` (all by default) from 2.5 to 12 mm away; only those that there are.
        """
        candidates = range(self.depth) if indices is None else indices
        least, most = (mm / self.spacing_mm[self.axis] for mm in _BESIDE_MM)
        near = [one for one in candidates if least <= abs(one - index) <= most]
        before = max((one for one in near if one < index), default=None)
        behind = min((one for one in near if one > index), default=None)
        return tuple(one for one in (before, behind) if one is not None)

    def points_px(self, points_ijk: ArrayLike) -> NDArray[np.float32]:
        """Return model pixels x, y (n, 2) of voxel indices (n, 3), scaled as in SAM.

        SAM multiplies an index by new side / old side, without a shift by half a pixel.
        """
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
        """Return (left, top, right, bottom) in the plane, inclusive, of inclusive voxel corners."""
        corners = np.array([min_ijk, max_ijk], dtype=np.float64).reshape(2, 3)
        x = self._along(corners[:, self.x_axis], self.width, flipped=self.x_flipped)
        y = self._along(corners[:, self.y_axis], self.height, flipped=self.y_flipped)
        return int(x.min()), int(y.min()), int(x.max()), int(y.max())

    def corners_ijk(
        self, rectangle: tuple[int, int, int, int], index: int
    ) -> tuple[VoxelIndex, VoxelIndex]:
        """Return voxel corners (min, max) of a rectangle in slice `index`; undoes `rectangle`."""
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
        """Return model pixels x0, y0, x1, y1 (4,) of a box of inclusive voxel indices (3,), (3,).

        With "outer", the far side is the outer edge of the last voxel: for a box drawn around the
        object on this slice. With "centres", it is that voxel's index, as in LiteMedSAM's own
        evaluation: for the section of a 3D box, which is loose on most slices.
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
        """Return model logits (m, m) of the padded square as a plane (height, width), float32.

        As in SAM's postprocessing, logits are resized to `input_size`, the padding is removed and
        the rest resized to the plane (bilinear, corners not aligned).
        """
        square = (self.input_size, self.input_size)
        height_px, width_px = self.size_px
        values = logits.detach().to(torch.float32)[None, None]
        if tuple(values.shape[-2:]) != square:
            values = interpolate(values, square, mode="bilinear", align_corners=False)
        values = values[..., :height_px, :width_px]
        plane_size = (self.height, self.width)
        return interpolate(values, plane_size, mode="bilinear", align_corners=False)[0, 0]


def _outer_span_px(low: int, high: int, scale: float) -> tuple[float, float]:
    return low * scale, max(low * scale, (high + 1) * scale - 1)


def choose_axis(
    volume: Volume,
    choice: Literal["auto", "i", "j", "k"],
    prompts_axis: int | None = None,
) -> int:
    """Return the voxel axis (0, 1, 2) across which to slice.

    "auto" chooses, in this order: the only axis with one slice; `prompts_axis`, the axis of a flat
    box; the axis of thick slices, whose spacing is 1.5 times the others or more; the axis across
    the planes in which the scanner took the image, if the file tells them (DICOM); the axis across
    planes of square pixels (in-plane spacings within 1 %, the third different); superior-inferior
    (axial slices). Raises PromptError for an unknown choice.
    """
    if choice != "auto":
        if choice not in ("i", "j", "k"):
            raise PromptError(f"Expected an axis auto, i, j or k, got {choice!r}.")
        return "ijk".index(choice)
    from_superior, flat = _axes_from_superior(volume)
    if prompts_axis is not None and (not flat or prompts_axis in flat):
        return prompts_axis
    if flat:
        return flat[0]
    return _acquisition_axis(volume, from_superior)


def largest_spacing_axis(volume: Volume) -> int:
    """Return the voxel axis of the largest spacing, across which labelled volumes are cut.

    Training and evaluation keep this rule, although `choose_axis` may show a user other slices, so
    that scores of different versions can be compared (docs/evaluation.md). Spacings within 1 %
    count as equal; among equals, the axis nearest to superior-inferior is used, then
    anterior-posterior.
    """
    from_superior, flat = _axes_from_superior(volume)
    if flat:
        return flat[0]
    least = max(volume.spacing_mm) * (1 - _SPACING_TIE)
    return next(axis for axis in from_superior if volume.spacing_mm[axis] >= least)


def _axes_from_superior(volume: Volume) -> tuple[tuple[int, int, int], list[int]]:
    """Return the voxel axes, that nearest to superior-inferior first and that nearest to left-right
    last; and in this order those along which the volume has one slice.
    """
    axes, _ = nearest_axes(volume.affine_ras)
    from_superior = (axes[2], axes[1], axes[0])
    return from_superior, [axis for axis in from_superior if volume.shape_ijk[axis] == 1]


def _acquisition_axis(volume: Volume, from_superior: tuple[int, ...]) -> int:
    """Return the axis across which the image was acquired, or probably was.

    A modern CT is thinner in z than in its plane, so the largest spacing says little unless it
    stands out: planes of square pixels say more. `from_superior` are the axes, that nearest to
    superior first.
    """
    spacing_mm = volume.spacing_mm
    _, second, largest = sorted(spacing_mm)
    if largest >= second * _STANDS_OUT:
        return spacing_mm.index(largest)
    if volume.slice_axis is not None:
        return volume.slice_axis
    for axis in from_superior:  # all are within 1 % of each other: the first, superior-inferior
        in_plane = [spacing for other, spacing in enumerate(spacing_mm) if other != axis]
        if min(in_plane) >= max(in_plane) * (1 - _SPACING_TIE):
            return axis
    return from_superior[0]
