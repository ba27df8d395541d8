"""Label store in any order of operations (matrix Z5): index, files and versions agree with what was
acknowledged.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from segsam_app.errors import ConflictError, NotFoundError
from segsam_app.storage.store import Store

FULL = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
RUNS, STEPS = (5000, 30) if FULL else (8, 12)
SHAPE, IMAGES = (4, 4, 3), ("a", "b")
images = st.sampled_from(IMAGES)


class StoreMachine(RuleBasedStateMachine):
    """Two processes' views of one folder; `voxels` and `current` are what was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.studies = self.base / "studies"
        self.studies.mkdir()
        for name in IMAGES:
            self.write(self.studies / f"{name}.nii.gz", 5)
        self.voxels: dict[str, list[int]] = {name: [] for name in IMAGES}
        self.current = dict.fromkeys(IMAGES, 0)
        self.stores = [self.open(), self.open()]

    def teardown(self) -> None:
        shutil.rmtree(self.base)

    def open(self) -> Store:
        return Store(str(self.studies), on_image=lambda _: None)

    @staticmethod
    def write(path: Path, value: int) -> Path:
        nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, value, np.uint8), np.eye(4)), path)
        return path

    def value(self, path: Path | str) -> int:
        return int(np.asarray(nibabel.load(path).dataobj).max())

    @rule(
        image=images, value=st.integers(1, 200), process=st.integers(0, 1), began=st.integers(-1, 3)
    )
    def save(self, image: str, value: int, process: int, began: int) -> None:
        file = self.write(self.base / "drawn.nii.gz", value)
        info = {} if began < 0 else {"expected_version": began}
        agrees = began in (-1, self.current[image])
        try:
            version = self.stores[process].save(image, file, "final", info)
        except ConflictError:
            assert not agrees
        else:
            assert agrees
            assert version.number == len(self.voxels[image]) + 1
            self.current[image] = version.number
        self.voxels[image].append(value)

    @rule(image=images, number=st.integers(1, 6), process=st.integers(0, 1))
    def restore(self, image: str, number: int, process: int) -> None:
        held = self.voxels[image][number - 1 : number]
        try:
            version = self.stores[process].restore(image, "final", number)
        except NotFoundError:
            assert not held or held == [0]
            return
        self.voxels[image].append(held[0])
        self.current[image] = version.number

    @rule(image=images, process=st.integers(0, 1))
    def remove(self, image: str, process: int) -> None:
        try:
            self.stores[process].remove_label(image, "final")
        except NotFoundError:
            assert not self.current[image]
            return
        self.voxels[image].append(0)
        self.current[image] = 0

    @rule(process=st.integers(0, 1))
    def reopen(self, process: int) -> None:
        self.stores[process] = self.open()

    @rule()
    def damage(self) -> None:
        (self.studies / "datastore_v2.json").write_bytes(b"torn")
        (self.studies / "datastore_v2.journal").write_bytes(b"torn\n")

    @invariant()
    def all_agree(self) -> None:
        for store in self.stores:
            labelled = [image for image in IMAGES if self.current[image]]
            assert sorted(store.get_labeled_images()) == labelled
            for image in IMAGES:
                history = store.history(image, "final")
                versions = history.all()
                assert [version.number for version in versions] == list(
                    range(1, len(self.voxels[image]) + 1)
                )
                for version, value in zip(versions, self.voxels[image], strict=True):
                    assert version.kind == "removed" or self.value(history.file(version)) == value
                if number := self.current[image]:
                    assert store.get_label_info(image, "final")["version"] == number
                    uri = store.get_label_uri(image, "final")
                    assert self.value(uri) == self.voxels[image][number - 1]


class TestStates(StoreMachine.TestCase):
    settings = settings(max_examples=RUNS, stateful_step_count=STEPS, deadline=None)
