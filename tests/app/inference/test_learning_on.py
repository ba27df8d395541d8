"""Learning on after a case: a start for the next one, from labels of a real store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segsam.errors import CancelledError
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.completion import teaching
from segsam.prediction.completion.carried import CarriedState
from segsam.prediction.taught import carried_files
from segsam.prediction.taught.carried_files import FILE
from segsam.prediction.taught.examples import TaughtExample
from segsam_app.config import AppConfig
from segsam_app.inference import learning_on
from segsam_app.inference.adapted_states import Annotator
from segsam_app.inference.completing import FORGOTTEN_NOTE
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer
from segsam_app.inference.learning_on import StartLearner
from segsam_app.routes import memory as routes
from segsam_app.storage.store import Store

from ...lib.bright_objects import CONFIRMED, scene, threshold_model
from ..conftest import soon
from .test_completing import slices

CONFIG = AppConfig(device="cpu", checkpoint="litemedsam")
ENCODER = EncoderRunner(threshold_model().eval())
DIM = 40
"""Brightness of a tube that the model misses, and learns to see."""
NAME, NEXT = "left tube", 4


@pytest.fixture(autouse=True)
def short_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, steps in (("FOLD", 5), ("FINAL", 8), ("FURTHER", 4), ("SINGLE", 8)):
        monkeypatch.setattr(teaching, f"{name}_STEPS", steps)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three labelled cases, of two annotators, whose label has been described, and a fourth one."""
    studies = tmp_path / "studies"
    studies.mkdir()
    for seed in (1, 2, 3, NEXT):
        volume, _ = scene(seed, bright=DIM)
        image = nibabel.Nifti1Image(volume.voxels, volume.affine_ras)
        nibabel.save(image, studies / f"case{seed}.nii.gz")
    made = Store(str(studies), on_image=lambda _: None)
    for seed, user in ((1, "anna"), (2, "ben"), (3, "anna")):
        save(made, seed, user)
    return made


def save(store: Store, seed: int, user: str, name: str = NAME) -> None:
    volume, tube = scene(seed, bright=DIM)
    file = Path(store.get_image_uri(f"case{seed}")).parent.parent / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(tube.astype(np.uint8), volume.affine_ras), file)
    info = {"label_names": {name: 1}, "user": user}
    store.save(f"case{seed}", file, "final", info)
    described = [
        TaughtExample(
            *(np.ones(4, np.float32), (0.5, 0.5), ENCODER.embedding_id, f"case{seed}", "k", index),
            annotator=user,
            from_label=True,
        )
        for index in range(4, 16, 2)
    ]
    store.taught.learn_case(f"case{seed}", {name: described}, user=user)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(CONFIG)
    monkeypatch.setattr(made, "encoder_of", lambda checkpoint: ENCODER)
    return made


def nothing() -> None:
    """Go on learning."""


Complete = Callable[..., dict[str, Any]]


@pytest.fixture
def complete(engine: Engine, store: Store) -> Complete:
    task = SegSamInfer(engine, CONFIG, taught=lambda: store.taught)
    image = Path(store.get_image_uri(f"case{NEXT}"))
    tube = scene(NEXT, bright=DIM)[1]

    def ask(user: str = "anna", label: str = NAME, **params: Any) -> dict[str, Any]:
        confirmed = slices(tube, *CONFIRMED)
        request = task.read({"confirmed": confirmed, "result": "region", "label": label, **params})
        return task.segment(image, request, annotator=Annotator(user))[1]

    return ask


def learnt(store: Store) -> CarriedState:
    found = store.taught.learnt(store.taught.find(NAME), weights())
    assert found is not None
    return found


def weights() -> Any:
    return ENCODER.model.host.mask_decoder.state_dict()


def test_the_next_case_starts_from_what_was_learnt(
    engine: Engine, store: Store, complete: Complete, caplog: pytest.LogCaptureFixture
) -> None:
    assert complete()["start"] is None
    with caplog.at_level("INFO", learning_on.__name__):
        assert StartLearner(engine, store, nothing).learn([NAME]) == 1
    assert "learnt for the next case from 3 cases of a name: held-out Dice " in caplog.text
    facts = store.taught.learnt_facts(store.taught.find(NAME))
    assert facts is not None
    assert facts.cases == ("case1", "case2", "case3")
    assert facts.annotators == ("anna", "ben")
    assert facts.after > facts.before + 0.3
    reply = complete(label="LEFT  tube")
    assert reply["start"]["used"] is True
    assert reply["notes"][0] == (
        "Starts from what was learnt as 'left tube' in 3 cases, case3 the last."
    )
    assert complete(label="right tube")["start"] is None


def test_annotators_share_the_start_and_nothing_else(
    engine: Engine, store: Store, complete: Complete
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    before = (store.taught._folder / store.taught.find(NAME).id / FILE).read_bytes()
    anna, ben = complete("anna"), complete("ben")
    assert anna["start"] == ben["start"]
    assert anna["state"] != ben["state"]
    assert FORGOTTEN_NOTE in complete("ben", previous=anna["state"])["notes"]
    after = (store.taught._folder / store.taught.find(NAME).id / FILE).read_bytes()
    assert after == before, "a case that is being worked on teaches nothing to the next one"


def test_the_list_of_names_tells_what_it_gained(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    monkeypatch.setattr(routes, "_store", lambda: store.taught)
    listed = routes._to_json(store.taught.find(NAME), ENCODER)["learnt"]
    assert (listed["cases"], listed["usable"]) == (["case1", "case2", "case3"], True)
    assert listed["gain"]["after"] > listed["gain"]["before"]


def test_it_goes_and_moves_with_its_name(engine: Engine, store: Store, complete: Complete) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    store.taught.change(NAME, rename="tube")
    assert complete(label=NAME)["start"] is None
    assert complete(label="tube")["start"]["name"] == "tube"
    store.taught.remove("tube", lambda one: one.case == "case2")
    assert complete(label="tube")["start"] is None, "one of the cases that it learnt from has gone"
    StartLearner(engine, store, nothing).learn(["tube"])
    assert store.taught.learnt_facts(store.taught.find("tube")) is None, "no label has this name"


def test_that_of_another_version_is_not_used(
    engine: Engine, store: Store, complete: Complete
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    store.taught.keep_learnt(
        store.taught.find(NAME), replace(learnt(store), parent="before"), weights()
    )
    reply = complete()
    assert reply["start"] is None
    assert "is of another version of the model" in reply["notes"][0]
    assert StartLearner(engine, store, nothing).learn([NAME]) == 1, "it is learnt anew"
    assert complete()["start"]["used"] is True


def test_what_does_not_gain_is_not_kept(engine: Engine, store: Store) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    before = learnt(store).created
    volume, tube = scene(NEXT, bright=DIM)
    shuffled = np.random.default_rng(0).permutation(tube.ravel()).reshape(tube.shape)
    file = Path(store.get_image_uri("case1")).parent.parent / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(shuffled.astype(np.uint8), volume.affine_ras), file)
    store.save(f"case{NEXT}", file, "final", {"label_names": {NAME: 1}})
    example = replace(store.taught.find(NAME).examples[0], case=f"case{NEXT}")
    store.taught.learn_case(f"case{NEXT}", {NAME: [replace(example, index=i) for i in (5, 9)]})
    assert StartLearner(engine, store, nothing).learn([NAME]) == 0
    assert (learnt(store).created, learnt(store).cases[-1]) == (before, "case3")


def test_it_gives_way_to_a_click(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    adapted = learning_on.learn_on

    def counted(*arguments: Any, after_step: Callable[[], None], **options: Any) -> Any:
        def count() -> None:
            steps.append(1)
            after_step()

        return adapted(*arguments, after_step=count, **options)

    monkeypatch.setattr(learning_on, "learn_on", counted)
    thread = threading.Thread(target=StartLearner(engine, store, nothing).learn, args=([NAME],))
    with engine.interactive():
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert not steps, "nothing is computed while an annotator waits"
    assert soon(lambda: not thread.is_alive(), seconds=60)
    assert len(steps) == 60
    assert learnt(store).cases


@pytest.mark.parametrize("after", [2, 30], ids=["while it reads", "while it learns"])
def test_when_the_server_ends_what_was_learnt_before_stays(
    engine: Engine, store: Store, after: int
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    file = store.taught._folder / store.taught.find(NAME).id / FILE
    before, calls = file.read_bytes(), []

    def check() -> None:
        calls.append(1)
        if len(calls) > after:
            raise CancelledError("The server ends.")

    with pytest.raises(CancelledError):
        StartLearner(engine, store, check).learn([NAME])
    assert file.read_bytes() == before


def test_too_long_a_time_ends_it(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(learning_on, "MOST_SECONDS", 0.0)
    assert StartLearner(engine, store, nothing).learn([NAME]) == 0
    assert (
        "nothing was learnt for the next case: It took more than 0 s of processor time."
        in caplog.text
    )


def test_a_damaged_file_is_set_aside_and_learnt_anew(
    engine: Engine, store: Store, complete: Complete
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    file = store.taught._folder / store.taught.find(NAME).id / FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert complete()["start"] is None
    store.taught.check()
    assert not file.exists()
    assert len(list(file.parent.glob(f"{FILE}.*-*"))) == 1
    assert StartLearner(engine, store, nothing).learn([NAME]) == 1
    assert complete()["start"]["used"] is True


def test_the_folder_is_bounded(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    StartLearner(engine, store, nothing).learn([NAME])
    monkeypatch.setattr("segsam_app.storage.taught_names.MOST_CARRIED", 1)
    assert carried_files.MOST_CARRIED > 1
    save(store, 1, "ben", "right tube")
    save(store, 2, "ben", "right tube")
    assert StartLearner(engine, store, nothing).learn(["right tube"]) == 1
    found = [store.taught.learnt_facts(one) for one in store.taught.names()]
    assert sum(one is not None for one in found) == 1
