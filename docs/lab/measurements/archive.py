"""What a slice of an archive costs beside the model: the figures of docs/cluster.md.

Run in the project's environment:  python docs/lab/measurements/archive.py

Processor seconds of one thread. The slices are those of the sample CT, enlarged to 512 x 512, with
noise, which makes them no easier to compress than real ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import nibabel
import numpy as np
from rich.console import Console

from segsam import Volume
from segsam.batch.records import Record, RecordStore
from segsam.datasets.sample import fetch_sample
from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView

DEPTH = 60
CASES = 50


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    tell = Console(width=120, highlight=False).print
    voxels = np.asanyarray(nibabel.load(fetch_sample().image).dataobj).astype(np.float32)
    shown = [cv2.resize(voxels[..., k], (512, 512)) for k in range(DEPTH)]
    noise = np.random.default_rng(0).normal(0, 10, (512, 512, DEPTH))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, labels = folder / "image.nii.gz", folder / "labels.nii.gz"
        nibabel.save(
            nibabel.Nifti1Image((np.stack(shown, -1) + noise).astype(np.int16), np.eye(4)), image
        )
        tell(
            f"read .nii.gz      {seconds(lambda: Volume.load(image)) / DEPTH * 1000:6.1f} ms",
            end="",
        )
        tell(f" a slice of {image.stat().st_size / DEPTH / 1000:.0f} kB")
        volume = Volume.load(image)
        found = volume.like((volume.voxels > 150).astype(np.uint8))
        tell(
            f"write labels      {seconds(lambda: found.save(labels)) / DEPTH * 1000:6.1f} ms",
            end="",
        )
        tell(f" a slice of {labels.stat().st_size / DEPTH / 1000:.0f} kB")
        view, intensity = SliceView.of(volume, 2, 256), Intensity.for_volume(volume)
        pictures: list[np.ndarray] = []
        spent = seconds(
            lambda: pictures.extend(view.image(volume, intensity, k) for k in range(DEPTH))
        )
        tell(f"window and resize {spent / DEPTH * 1000:6.1f} ms a slice")
        sizes = [len(cv2.imencode(".png", one)[1]) for one in pictures]
        tell(f"picture in a shard {np.mean(sizes) / 1000:.0f} kB")
        store = RecordStore(folder / "out")
        store.open({})

        def settle() -> None:
            for number in range(CASES):
                store.start_attempt(str(number))
                store.finish(Record(str(number), "done", "", 1, "", 0.0, {}, {}))

        tell(f"records           {seconds(settle) / CASES * 1000:6.1f} ms a case")


if __name__ == "__main__":
    main()
