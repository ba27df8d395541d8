"""Volume: voxels in the order of the file, and the affine that places them in the patient.

Two frames are used:

    voxel index  (i, j, k), zero-based, at the voxel's centre; the array order of nibabel and Slicer
    world        RAS, millimetres:  world = affine_ras @ (i, j, k, 1)

A volume keeps the shape, affine and voxel order of its file. Files that do not fit this model (time
series, shear, missing slices) are refused with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segsam.errors import VolumeError
from segsam.imaging.formats.seg_nrrd import Segment
from segsam.imaging.geometry import (
    SHEAR_TOLERANCE,
    nearest_axes,
    parse_axis_codes,
    regular_subsample,
    reordered,
    spacing_of,
    validated_affine,
)
from segsam.imaging.name_text import readable
from segsam.imaging.plausible_size import check_plausible_size
from segsam.imaging.readers import read_image
from segsam.imaging.voxels import check_finite, shape_text, to_volume_voxels
from segsam.imaging.writers import write_image
from segsam.types import Affine, Voxels

__all__ = ["SHEAR_TOLERANCE", "Segment", "Volume"]

_CT_SAMPLE = 500_000


@dataclass(frozen=True, eq=False)
class Volume:
    """Image with its geometry: voxels (i, j, k) or (i, j, k, 3) colour, and affine; read-only."""

    voxels: Voxels
    affine_ras: Affine
    modality: str | None = None
    name: str = "image"
    notes: tuple[str, ...] = ()
    """Messages for the user about how the file was read, e.g. which orientation was used."""
    is_shown_inverted: bool = False
    """True if low values are shown bright (a MONOCHROME1 X-ray); the voxels are not inverted."""
    slice_axis: int | None = None
    """Voxel axis across the planes in which the scanner took the image; None if unknown."""

    def __post_init__(self) -> None:
        voxels = to_volume_voxels(self.voxels, self.name)
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine_ras", validated_affine(self.affine_ras, self.name))

    @classmethod
    def load(cls, path: str | Path, *, frame: int | None = None) -> Volume:
        """Read NIfTI, NRRD, MetaImage, a DICOM series (folder, or one of its files) or a picture.

        `frame` (from 1) is the frame of a DICOM file to read, such as one of a cine.

        A picture (PNG, JPEG, TIFF, BMP) becomes one slice with i to the right and j down. The
        header is checked before any voxel is read, and a small file that would fill the memory is
        refused (`plausible_size`). Raises VolumeNotFoundError, VolumeTooLargeError
        or VolumeError.
        """
        check_plausible_size(Path(path))
        raw = read_image(Path(path), frame)
        volume = cls.from_array(
            raw.voxels, raw.affine_ras, modality=raw.modality, name=readable(Path(path).name)
        )
        return replace(
            volume,
            notes=raw.notes,
            is_shown_inverted=raw.is_shown_inverted,
            slice_axis=raw.slice_axis,
        )

    @classmethod
    def from_array(
        cls,
        voxels: ArrayLike,
        affine_ras: ArrayLike | None = None,
        *,
        modality: str | None = None,
        name: str = "image",
    ) -> Volume:
        """Build a volume from (i, j), (i, j, k) or (i, j, k, 3) uint8 voxels; checks as in `load`.

        Without an affine, voxels are 1 mm cubes along R, A, S. If the data type allows it, the
        array is not copied; do not change it afterwards. Without a modality, voxels that look like
        Hounsfield units make it "CT". Raises VolumeError.
        """
        affine = np.eye(4) if affine_ras is None else np.asarray(affine_ras, dtype=np.float64)
        volume = cls(np.asarray(voxels), affine, modality, name)
        check_finite(volume.voxels, name)
        if modality is None and _is_hounsfield_like(volume):
            return replace(volume, modality="CT")
        return volume

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Number of voxels along i, j and k."""
        i, j, k = self.voxels.shape[:3]
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in mm between voxel centres along i, j and k."""
        return spacing_of(self.affine_ras)

    @property
    def is_colour(self) -> bool:
        """True if the voxels are (i, j, k, 3) red, green, blue."""
        return self.voxels.ndim == 4

    @property
    def is_flat(self) -> bool:
        """True if the volume has one slice only along some axis."""
        return 1 in self.shape_ijk

    def to_ras(self, points_ijk: ArrayLike) -> NDArray[np.float64]:
        """Return world points (n, 3) in RAS mm of voxel indices (n, 3); fractions are allowed."""
        points = np.atleast_2d(np.asarray(points_ijk, dtype=np.float64))
        return np.asarray(points @ self.affine_ras[:3, :3].T + self.affine_ras[:3, 3])

    def to_ijk(self, points_ras: ArrayLike) -> NDArray[np.float64]:
        """Return voxel indices (n, 3), with fractions, of world points (n, 3) in RAS mm."""
        points = np.atleast_2d(np.asarray(points_ras, dtype=np.float64))
        offsets = (points - self.affine_ras[:3, 3]).T
        return np.asarray(np.linalg.solve(self.affine_ras[:3, :3], offsets).T)

    def reoriented(self, codes: str = "RAS") -> Volume:
        """Return the same image with its axes permuted and flipped to run nearest to `codes`.

        Voxels are not resampled and not copied, and every voxel keeps its world point.
        """
        axes, signs = nearest_axes(self.affine_ras)
        parsed = parse_axis_codes(codes)
        order = [axes[world] for world, _ in parsed]
        steps = [sign * signs[world] for world, sign in parsed]
        voxels, affine = reordered(self.voxels, self.affine_ras, order, steps)
        slice_axis = None if self.slice_axis is None else order.index(self.slice_axis)
        return replace(self, voxels=voxels, affine_ras=affine, slice_axis=slice_axis)

    def like(self, voxels: ArrayLike) -> Volume:
        """Return a volume of other voxels (i, j, k), e.g. labels, on the same grid.

        Raises VolumeError if their shape is not that of this volume.
        """
        array = np.asarray(voxels)
        if array.shape[:3] != self.shape_ijk:
            raise VolumeError(
                f"{self.name}: voxels of the shape {array.shape} do not fit this volume of "
                f"{shape_text(self.shape_ijk)} voxels."
            )
        return Volume(array, self.affine_ras, None, self.name, slice_axis=self.slice_axis)

    def geometry_equals(self, other: Volume, *, tolerance_mm: float = 1e-3) -> bool:
        """Return True if shapes are equal and no grid corner differs by more than `tolerance_mm`.

        One step along each voxel axis may not differ by more either.
        """
        if self.shape_ijk != other.shape_ijk:
            return False
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(self.shape_ijk) - 1)
        distances = self.to_ras(corners) - other.to_ras(corners)
        steps = self.affine_ras[:3, :3] - other.affine_ras[:3, :3]
        return bool(max(np.abs(distances).max(), np.abs(steps).max()) <= tolerance_mm)

    def save(
        self,
        path: str | Path,
        *,
        segments: Mapping[int, Segment] | None = None,
        compress: bool = True,
    ) -> None:
        """Write .nii, .nii.gz, .nrrd, .seg.nrrd, .mha, or .png for one slice.

        The file appears complete or not at all. `segments` names the label values of a .seg.nrrd
        (default: every value present); `compress=False` writes the voxels of a .nrrd raw. Raises
        OutputError.
        """
        write_image(Path(path), self.voxels, self.affine_ras, segments=segments, compress=compress)


def _is_hounsfield_like(volume: Volume) -> bool:
    """Return True for the value range of a CT: air below -500 HU, soft tissue around 0.

    The lower bound accepts the usual padding values (-1024, -2048, -3024) and excludes phase images
    (-4096 ... 4095).
    """
    if volume.is_colour or volume.voxels.dtype.kind == "u":
        return False
    if not -4000 <= float(volume.voxels.min()) <= -500:
        return False
    sample: NDArray[Any] = regular_subsample(volume.voxels, volume.affine_ras, _CT_SAMPLE)
    air = float(np.mean((sample >= -1100) & (sample <= -600)))
    tissue = float(np.mean((sample >= -200) & (sample <= 300)))
    return min(air, tissue) >= 0.01 and float(volume.voxels.max()) <= 40_000
