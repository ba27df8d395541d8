"""ITK's morphological contour interpolation, which is *Fill between slices* in 3D Slicer.

It runs in a process of its own, because `itk` crashes beside other libraries that carry parts of
ITK. That process reads a mask from its standard input and writes the filled one to its output.
"""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segsam.errors import StudyError

PACKAGE = "itk-morphologicalcontourinterpolation"
_MISSING = 3
"""Exit status if the package is not installed."""


def filled_between(planes: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return a mask (i, j, k) with the slices between those that show the object filled in.

    Args:
        planes: True (i, j, k) on the confirmed slices, False everywhere else.
        axis: voxel axis across which slices are confirmed.

    Raises:
        StudyError: the package `itk-morphologicalcontourinterpolation` is not installed, or fails.
    """
    given = io.BytesIO()
    np.save(given, planes)
    command = [sys.executable, "-m", __spec__.name, str(axis)]
    done = subprocess.run(command, input=given.getvalue(), capture_output=True, check=False)
    if done.returncode == _MISSING:
        raise StudyError(
            f"Expected the package {PACKAGE} of the extra `research`, got an installation without "
            "it."
        )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StudyError(f"The contour interpolation failed: {''.join(reason) or 'it crashed'}.")
    filled: NDArray[np.bool_] = np.load(io.BytesIO(done.stdout))
    return filled


def _interpolated(planes: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return `filled_between`, in the process that may load ITK; raises ImportError without it."""
    itk = importlib.import_module("itk")
    if not hasattr(itk, "MorphologicalContourInterpolator"):
        raise ImportError(PACKAGE)
    filled = planes.copy()
    others = tuple(number for number in range(3) if number != axis)
    shown = np.flatnonzero(planes.any(axis=others))
    for first, last in pairwise(shown):
        # Two at a time: of three slices, the first two side by side, it fills nothing after them.
        gap = (slice(None),) * axis + (slice(int(first), int(last) + 1),)
        image = itk.image_from_array(np.ascontiguousarray(filled[gap], dtype=np.uint8))
        # ITK's images count axes from the last one of the array.
        between = itk.MorphologicalContourInterpolator(image, axis=planes.ndim - 1 - axis)
        filled[gap] = np.asarray(itk.array_from_image(between)) > 0
    return filled


def _main() -> None:
    planes: NDArray[np.bool_] = np.load(io.BytesIO(sys.stdin.buffer.read()))
    try:
        filled = _interpolated(planes, int(sys.argv[1]))
    except ImportError:
        sys.exit(_MISSING)
    np.save(sys.stdout.buffer, filled)


if __name__ == "__main__":
    _main()
