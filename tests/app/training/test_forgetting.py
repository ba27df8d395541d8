"""What a model knew before is not lost when it learns something else, though the data that taught
it are gone: they are another site's.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsam.datasets.folder import Dataset, class_numbers
from segsam.datasets.labelled_slices import cut_volume
from segsam.demo.checking import read_labels
from segsam.imaging.volume import Volume
from segsam.model import load_pretrained
from segsam.model.packaged import shipped_path
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.samples import DatasetClasses, Sample
from segsam.training.validation import validate
from segsam_app.config import AppConfig
from segsam_app.storage.store import Store
from segsam_app.training.task import SegSamTrain
from segsam_app.versions.folder import VersionFolder

from ..stored import write

OLD = {1: "liver", 2: "spleen", 3: "right kidney"}
IN_SAMPLE = ("liver", "spleen", "kidney_right")
NEW = {1: "hip_left", 2: "hip_right", 3: "sacrum"}
FEW = {"slices": 8, "copies": 0, "max_epochs": 4, "minutes": 30, "tolerance": 100}


def numbered(labels: Any, organs: Any, names: Any) -> Any:
    """The organs of these names as 1, 2, ..."""
    found = np.zeros(labels.shape, np.uint8)
    for value, name in enumerate(names, start=1):
        found[labels == organs[name]] = value
    return found


def dice_of_old(checkpoint: str | None, volume: Volume, labels: Any, folder: Path) -> float:
    """Of boxes around what the shipped checkpoint was trained on, in percent."""
    model = load_pretrained(checkpoint)
    store = EmbeddingStore(folder, model)
    dataset = Dataset(folder, "old", "CT", "", OLD, ())
    classes = DatasetClasses(class_numbers(dataset, model.categories), ())
    cut = cut_volume(volume, labels, "old/ct", input_size=256, limit=3, axes="k")
    samples = [Sample.of(one, dataset, classes, key=store.add(one.picture)) for one in cut]
    config = TrainConfig(out="unused", datasets=("unused",))
    return validate(model, store, samples, config)["dsc_box"]


@pytest.mark.slow
@pytest.mark.skipif(shipped_path() is None, reason="the trained checkpoint is not in this checkout")
def test_old_categories_keep_their_dice(sample: Any, sample_ct: Volume, tmp_path: Path) -> None:
    """New bones are learnt from a CT whose organs nobody has labelled."""
    labels = read_labels(sample.labels)
    (tmp_path / "studies").mkdir()
    shutil.copy(sample.image, tmp_path / "studies" / "ct.nii.gz")
    store = Store(str(tmp_path / "studies"), on_image=lambda _: None)
    bones = numbered(labels, sample.organs, NEW.values())
    file = write(tmp_path / "bones.nii.gz", bones, sample_ct.affine_ras)
    store.save("ct", file, "final", {"label_names": {name: n for n, name in NEW.items()}})
    versions = VersionFolder.open(tmp_path / "versions", "segsam")
    SegSamTrain(versions, AppConfig(device="cpu"))(FEW, store)
    assert versions.current == "0001"
    old = numbered(labels, sample.organs, IN_SAMPLE)
    before, after = (
        dice_of_old(versions.weights(version), sample_ct, old, versions.folder / "embeddings")
        for version in ("0000", "0001")
    )
    assert before > 50, "there is something to lose"
    assert after > 0.9 * before
    assert {"left hip bone", "sacrum"} <= set(load_pretrained(versions.checkpoint).categories.names)
