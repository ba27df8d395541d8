"""Does a prompt cost more in a deep volume? The figures of docs/lab/performance.md.

Run in the project's environment:  python docs/lab/measurements/depth.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from segsam import Box, Predictor, Prompts, Volume
from segsam.system.process import tune_allocator

SIDE, DEPTHS, CLICKS = 512, (50, 1000), 15


def written(folder: Path, depth: int) -> Path:
    """A body of noise, the same slices again and again, as int16 NIfTI."""
    rng = np.random.default_rng(0)
    slices = rng.normal(0, 60, (SIDE, SIDE, 10)).astype(np.int16)
    y, x = np.mgrid[:SIDE, :SIDE]
    slices[(y - 256) ** 2 + (x - 256) ** 2 > 200**2] = -1000
    path = folder / f"deep{depth}.nii"
    Volume.from_array(np.tile(slices, (1, 1, depth // 10)), np.diag([0.8, 0.8, 1.5, 1])).save(path)
    return path


def measured(path: Path) -> None:
    """In a process of its own: seconds to load, of the first and of later prompts; peak memory."""
    tune_allocator()
    start = time.perf_counter()
    volume = Volume.load(path)
    predictor = Predictor.from_pretrained("litemedsam")
    predictor.set_volume(volume)
    ready = time.perf_counter() - start
    middle = volume.shape_ijk[2] // 2
    times = []
    for click in range(CLICKS):
        box = Box((150 + click, 150, middle), (250, 260, middle))
        start = time.perf_counter()
        predictor.predict(Prompts(boxes=[box]))
        times.append(time.perf_counter() - start)
    raw = volume.voxels.nbytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(
        f"{volume.shape_ijk[2]:5} slices, {raw / 2**20:4.0f} MiB: ready {ready:.2f} s, "
        f"first prompt {times[0]:.2f} s, later {1000 * statistics.median(times[1:]):.0f} ms "
        f"(min {1000 * min(times[1:]):.0f}), peak {peak / 2**20:.0f} MiB\n"
    )


def main() -> None:
    if len(sys.argv) == 2:
        measured(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for depth in DEPTHS:
            path = written(Path(folder), depth)
            subprocess.run([sys.executable, __file__, str(path)], check=True)


if __name__ == "__main__":
    main()
