"""Progress of an inference while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segsam.categories import Categories, Category
from segsam.model import SegSam
from segsam.model.runtimes import EncoderRunner
from segsam_app.config import AppConfig
from segsam_app.errors import NotFoundError
from segsam_app.inference.dialects import OurRequest
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer
from segsam_app.inference.progress import ProgressTracker

from ...lib.conftest import TinyHost

CONFIG = AppConfig(device="cpu", checkpoint="litemedsam")


def test_progress_exists_while_the_inference_runs() -> None:
    tracker = ProgressTracker()
    with tracker.track("mine") as progress:
        progress(2, 9, "segmented slice k 4")
        assert tracker.get("mine") == {"done": 2, "planned": 9, "what": "segmented slice k 4"}
    with pytest.raises(NotFoundError, match="'mine' runs"):
        tracker.get("mine")


def test_without_an_id_nothing_is_stored() -> None:
    tracker = ProgressTracker()
    with tracker.track(None) as progress:
        progress(1, 2, "one")
        with pytest.raises(NotFoundError):
            tracker.get("")


def test_an_interactive_inference_reports_each_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liver = Category("liver", (1, 2, 3), texture="Grey.", shape="Round.", position="Inside.")
    made_up = Categories((liver,), np.zeros((1, 12), np.float32), "made up for a test")
    encoder = EncoderRunner(SegSam(TinyHost(), made_up).eval())
    engine, tracker = Engine(CONFIG), ProgressTracker()
    monkeypatch.setattr(engine, "encoder_of", lambda checkpoint: encoder)
    voxels = np.random.default_rng(0).integers(0, 200, (24, 24, 5)).astype(np.int16)
    path = tmp_path / "image.nii"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    seen: list[Any] = []

    def not_cancelled() -> bool:
        """Record the progress before each slice, where the server checks its client."""
        try:
            seen.append(tracker.get("mine")["done"])
        except NotFoundError:
            seen.append(0)
        return False

    box = {"min_ijk": [2, 2, 1], "max_ijk": [20, 20, 3]}
    request = OurRequest(
        prompts={"boxes": [box]}, axis="k", propagate=False, result="region", request_id="mine"
    )
    SegSamInfer(engine, CONFIG, progress=tracker).segment(path, request, cancel=not_cancelled)
    assert seen == [0, 1, 2]
