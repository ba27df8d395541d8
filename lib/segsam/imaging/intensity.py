"""Intensity mapping from voxel values to the model's input range 0 to 255.

CT uses a Hounsfield window, because Hounsfield units mean the same on every scanner. Other
modalities have no such scale. They are stretched between two percentiles of their own values, as
in LiteMedSAM's preprocessing (0.5 and 99.5 % of the voxels that are not 0). Colour is unchanged.

    255 |          ________        low  = centre - width / 2
        |         /                high = centre + width / 2
      0 |________/
               low  high
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segsam.errors import VolumeError
from segsam.imaging.geometry import regular_subsample
from segsam.imaging.volume import Volume

CT_WINDOWS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "soft-tissue": (40.0, 400.0),
        "lung": (-600.0, 1500.0),
        "bone": (400.0, 1800.0),
        "brain": (40.0, 80.0),
        "liver": (60.0, 160.0),
        "mediastinum": (50.0, 350.0),
        "angio": (300.0, 600.0),
        "stroke": (35.0, 40.0),
        "spine": (50.0, 250.0),
    }
)
"""Window name -> (centre, width) in Hounsfield units: usual presets of radiology workstations."""

DEFAULT_CT_WINDOW = "soft-tissue"
PERCENTILES = (0.5, 99.5)
_SAMPLE_LIMIT = 4_000_000
_AT_ONCE = 2**22
"""Voxels that are mapped in one step."""


_EXPORTED = ("soft-tissue", "mediastinum", "liver", "lung", "bone", "spine")
"""Presets that pictures of CT are exported in."""
_CENTRE_MOVES_HU = 30.0
_WIDTH_FACTORS = (0.7, 1.5)


def random_ct_window(seed: int) -> tuple[float, float]:
    """Draw a window (low, high) in Hounsfield units near one of the presets, as other people's
    exports have. The same seed gives the same window.
    """
    rng = np.random.default_rng(seed)
    centre, width = CT_WINDOWS[str(rng.choice(_EXPORTED))]
    centre += rng.normal(0, _CENTRE_MOVES_HU)
    width *= rng.uniform(*_WIDTH_FACTORS)
    return float(centre - width / 2), float(centre + width / 2)


@dataclass(frozen=True)
class Intensity:
    """Intensity mapping of one volume: values up to `low` become 0, from `high` on 255.

    If `is_inverted`, they become 255 and 0: an X-ray of which low values are shown bright.
    """

    kind: Literal["window", "percentile", "colour"]
    low: float
    high: float
    is_inverted: bool = False

    @classmethod
    def for_volume(
        cls, volume: Volume, window: str | tuple[float, float] | None = None
    ) -> Intensity:
        """Return the default mapping of a volume, or the mapping of the requested window.

        `window` is the name of a CT preset or (low, high) in the volume's own values. Above four
        million voxels, percentiles are computed from a regular subsample. The mapping does not
        depend on the storage order of the voxels. Raises VolumeError for an invalid window.
        """
        if window is None and volume.is_colour:
            return cls("colour", 0.0, 255.0)
        if window is not None:
            mapping = cls._from_window(volume, window)
        elif volume.modality == "CT":
            mapping = cls._from_preset(DEFAULT_CT_WINDOW)
        else:
            mapping = cls("percentile", *_percentiles(volume))
        return replace(mapping, is_inverted=volume.is_shown_inverted)

    @classmethod
    def _from_window(cls, volume: Volume, window: str | tuple[float, float]) -> Intensity:
        if volume.is_colour:
            raise VolumeError(
                f"{volume.name}: a window applies to grey values; this image has colours."
            )
        if isinstance(window, str):
            return cls._from_preset(window)
        low, high = (float(value) for value in window)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise VolumeError(
                f"Expected a finite window (low, high) with low below high, got ({low}, {high})."
            )
        return cls("window", low, high)

    @classmethod
    def _from_preset(cls, name: str) -> Intensity:
        if name not in CT_WINDOWS:
            raise VolumeError(
                f"There is no CT window called {name!r}; the presets are {', '.join(CT_WINDOWS)}."
            )
        centre, width = CT_WINDOWS[name]
        return cls("window", centre - width / 2, centre + width / 2)

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Map values of any real type and shape to uint8 of the same shape.

        Fractions are truncated, not rounded, because LiteMedSAM was trained on such images.
        """
        if self.kind == "colour":
            return np.asarray(values, dtype=np.uint8)
        # Halved, because high - low overflows if the range is as wide as float64 itself.
        low, high = self.low / 2, self.high / 2
        if not low < high:
            return np.zeros(values.shape, dtype=np.uint8)
        if len(values) > 1 and values.size > _AT_ONCE:  # in parts: the steps take 8 bytes a voxel
            rows = max(1, _AT_ONCE * len(values) // values.size)
            parts = range(0, len(values), rows)
            return np.concatenate([self.apply(values[part : part + rows]) for part in parts])
        halves = np.clip(values.astype(np.float64) / 2, low, high)
        shown = np.asarray((halves - low) / (high - low) * 255, dtype=np.uint8)
        return np.invert(shown) if self.is_inverted else shown

    @property
    def key(self) -> str:
        """Text for cache keys: equal for equal mappings, different otherwise."""
        inverted = ":inverted" if self.is_inverted else ""
        return f"{self.kind}:{self.low!r}:{self.high!r}{inverted}"


def _percentiles(volume: Volume) -> tuple[float, float]:
    """Return (low, high) of the voxels that are not 0, or of all if those have a single value."""
    sample = regular_subsample(volume.voxels, volume.affine_ras, _SAMPLE_LIMIT)
    low, high = _span(sample[sample != 0])
    if low < high:
        return low, high
    return float(sample.min()), float(sample.max())


def _span(values: NDArray[np.generic]) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 0.0
    # Interpolation between huge values would overflow; dividing by a power of two is exact.
    scale = 4.0 if float(np.abs(values.astype(np.float64)).max()) > 1e300 else 1.0
    low, high = np.percentile(values.astype(np.float64) / scale, PERCENTILES) * scale
    return float(low), float(high)
