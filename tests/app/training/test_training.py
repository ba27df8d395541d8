"""The trainer itself, in this process, on a tiny host: from saved labels to versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.errors import OutputError, TrainingError
from segsam.imaging.volume import Volume
from segsam.model import load_pretrained, read_card, save_checkpoint
from segsam.model.digests import encoder_id
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, SlicePrompts
from segsam.training import example_memory, loop
from segsam.training.example_memory import EXAMPLES
from segsam_app.config import AppConfig
from segsam_app.errors import ConflictError, NothingToLearnError, RequestError
from segsam_app.storage.store import Store
from segsam_app.strict_json import json_safe
from segsam_app.training import version_naming
from segsam_app.training.task import SegSamTrain
from segsam_app.versions.folder import VersionFolder
from segsam_app.versions.record import FIRST

from ...lib.conftest import TinyHost
from ...lib.made_memory import with_distances
from ..stored import write
from ..tuning import SHAPE, folder_of, make_store, save_label, tiny_checkpoint

QUICK = {"max_epochs": 1, "slices": 12, "copies": 0, "train_batch_size": 4, "minutes": 1}
BOTH = {1: "liver", 2: "spleen"}
LIVER_SPLEEN_HEART = {"label_names": {"liver": 1, "spleen": 2, "heart": 3}}


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VersionFolder:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
    checkpoint = tiny_checkpoint(tmp_path / "tiny.safetensors")
    return VersionFolder.open(tmp_path / "versions", str(checkpoint))


@pytest.fixture
def task(versions: VersionFolder) -> SegSamTrain:
    return SegSamTrain(versions, AppConfig(device="cpu"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "studies", 4)


def everything_promoted(**more: Any) -> dict[str, Any]:
    return {**QUICK, "tolerance": 100, **more}


def test_from_labels_to_a_version_that_is_used(
    task: SegSamTrain, versions: VersionFolder, store: Store
) -> None:
    for case in range(4):
        save_label(store, case, BOTH)
    progress = task(everything_promoted(name="first try"), store)
    history = versions.history()
    version = history.find("0001")
    assert (history.current, progress["version"], progress["promoted"]) == ("0001", "0001", True)
    assert (version.parent, version.cases, version.name) == (FIRST, 3, "first try")
    assert sum(one.held_out for one in version.learnt) == 1
    assert set(version.metrics.before) == set(version.metrics.after)
    assert {"score", "dsc_box", "dsc_point", "mdsc_box"} <= set(version.metrics.after)
    assert versions.checkpoint == str(versions.folder / "0001" / "model.safetensors")
    card = read_card(versions.checkpoint)
    assert (card.temperature, card.semantic_is_trained) == (0.7, True)
    assert card.parent == "version 0000"
    assert not (versions.folder / "run").exists()
    before, after = load_pretrained(versions.weights(FIRST)), load_pretrained(versions.checkpoint)
    assert encoder_id(before.host) == encoder_id(after.host), "cached embeddings stay valid"
    assert any(
        not torch.equal(value, after.state_dict()[name])
        for name, value in before.state_dict().items()
    )
    assert progress["total_time"]
    assert progress["best_metric"] == version.metrics.after["dsc_box"] / 100
    stats = task.stats()
    assert json.loads(json.dumps(stats, allow_nan=False)) == json_safe(stats)
    assert (stats["status"], stats["epoch"], stats["total_epochs"]) == ("done", 1, 1)


def test_values_go_by_name_whatever_their_order(
    versions: VersionFolder, tmp_path: Path, task: SegSamTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two studies of the same anatomy: every scene in one order, and every scene in another. As
    3D Slicer sends it, with `idx` that are not the voxel values.
    """
    seen: list[list[tuple[str, Any]]] = []
    train = loop.train

    def listening(config: Any, **more: Any) -> Any:
        found = loop.RunData.of(config).shards
        names = {one.name: one.labels for one in found.datasets}
        seen.append(
            [
                (one.slice.name.split("/", 1)[1], _named(one.slice.labels, names[one.dataset]))
                for one in found
            ]
        )
        return train(config, **more)

    monkeypatch.setattr(loop, "train", listening)
    slicers = {"label_info": [{"name": "spleen", "idx": 2}, {"name": "liver", "idx": 3}]}
    for folder, orders in (
        ("same", [(BOTH, None)] * 3),
        (
            "shuffled",
            [(BOTH, None), ({1: "spleen", 2: "liver"}, slicers), ({7: "liver", 3: "spleen"}, None)],
        ),
    ):
        store = make_store(tmp_path / folder / "studies", 3)
        for case, (names, info) in enumerate(orders):
            save_label(store, case, names, info)
        task({**QUICK, "pretrained": False}, store)
    assert len(seen) == 2
    for (name, one), (other_name, other) in zip(*map(sorted_by_name, seen), strict=True):
        assert name == other_name
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one), name


def sorted_by_name(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return sorted(found, key=lambda pair: pair[0])


def _named(labels: Any, names: Any) -> dict[str, Any]:
    return {name: labels == value for value, name in names.items() if (labels == value).any()}


def test_one_case_is_enough_and_noted(
    task: SegSamTrain, versions: VersionFolder, store: Store
) -> None:
    save_label(store, 0, BOTH)
    progress = task(everything_promoted(), store)
    version = versions.history().find(progress["version"])
    assert version.cases == 1
    assert version.metrics.after["dsc_box"] >= 0
    assert any("no case was held out, as there are fewer than 3" in note for note in version.notes)


def test_a_new_name_is_a_new_category_and_an_unnamed_segment_none(
    task: SegSamTrain, versions: VersionFolder, store: Store
) -> None:
    save_label(store, 0, {1: "liver", 2: "rib"})
    save_label(store, 1, {1: "rib", 2: "spleen"}, {"label_names": {"Rib": 1, "Segment_1": 2}})
    progress = task(everything_promoted(), store)
    model = load_pretrained(versions.checkpoint)
    assert model.categories.names == ("liver", "spleen", "heart", "rib")
    assert versions.history().find(progress["version"]).categories == [
        "liver",
        "spleen",
        "heart",
        "rib",
    ]
    again = task(everything_promoted(), store)
    assert load_pretrained(versions.checkpoint).categories.names == model.categories.names
    assert again["version"] == "0002"
    assert versions.history().find("0002").parent == "0001"


def test_earlier_cases_are_drawn_again(
    task: SegSamTrain, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[dict[str, float]] = []
    train = loop.train

    def listening(config: Any, **more: Any) -> Any:
        shares.append(dict(config.shares))
        return train(config, **more)

    monkeypatch.setattr(loop, "train", listening)
    save_label(store, 0, BOTH)
    task(everything_promoted(), store)
    save_label(store, 1, BOTH)
    task(everything_promoted(replay_share=0.4), store)
    assert list(shares[0]) == ["new 1"]
    assert shares[1] == pytest.approx({"earlier 1": 0.4, "new 2": 0.6})


def test_a_worse_version_is_saved_and_not_used(
    task: SegSamTrain, versions: VersionFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segsam_app.training import run

    scores = iter([{"dsc_box": 80.0, "dsc_box/new 1": 3.0}, {"dsc_box": 79.9}])
    monkeypatch.setattr(run, "summarise", lambda *given: next(scores))
    save_label(store, 0, BOTH)
    progress = task(QUICK, store)
    history = versions.history()
    assert (history.current, progress["promoted"]) == (FIRST, False)
    assert (
        history.find("0001").why
        == "the mean score is worse than that of 0000: 80.0 before, 79.9 after"
    )
    assert history.find("0001").metrics.before == {"score": 80.0, "dsc_box": 80.0}
    assert versions.use("0001").current == "0001", "the operator may decide otherwise"


def test_a_version_chosen_during_the_training_stays_current(
    task: SegSamTrain, versions: VersionFolder, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_label(store, 0, BOTH)
    task(everything_promoted(), store)
    train = loop.train

    def rolled_back(*given: Any, **more: Any) -> Any:
        versions.use(FIRST)
        return train(*given, **more)

    monkeypatch.setattr(loop, "train", rolled_back)
    progress = task(everything_promoted(), store)
    assert (progress["promoted"], versions.current) == (False, FIRST)
    assert "during the training from 0001, somebody chose version 0000" in progress["why"]


class TestNames:
    """A version keeps what the version before could name."""

    @pytest.fixture
    def versions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VersionFolder:
        """As above, with one example of the liver and one of the heart."""
        monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": TinyHost})
        model = load_pretrained(tiny_checkpoint(tmp_path / "tiny.safetensors"))
        model = with_distances(model, {0: 0.25, 2: 0.5})
        path = save_checkpoint(model, tmp_path / "remembers.safetensors", model.card)
        return VersionFolder.open(tmp_path / "versions", str(path))

    def test_examples_stay_and_new_names_get_some(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        before = load_pretrained(versions.checkpoint)
        for case in range(3):
            save_label(store, case, {1: "liver", 2: "rib"})
        progress = task(everything_promoted(slices=60), store)
        after = load_pretrained(versions.checkpoint)
        assert before.memory is not None
        assert after.memory is not None
        assert after.categories.names == ("liver", "spleen", "heart", "rib")
        count = len(before.memory.examples)
        assert torch.equal(after.memory.examples[:count], before.memory.examples)
        assert torch.equal(after.memory.categories[:count], before.memory.categories)
        livers, spleens, hearts, ribs = after.memory.counts().tolist()
        assert (spleens, hearts) == (0, 1)
        assert 1 < livers <= EXAMPLES
        assert 1 < ribs <= EXAMPLES
        assert after.memory.images_show[:, 3].any()
        assert after.naming_rule == before.naming_rule
        assert after.card.naming["objects"]["examples"] == livers + hearts + ribs
        notes = versions.history().find(progress["version"]).notes
        assert "the memory of names was kept, with new examples of liver, rib" in notes
        assert task(everything_promoted(slices=60), store)["version"] == "0002"
        again = load_pretrained(versions.checkpoint).memory
        assert again is not None
        assert torch.equal(again.examples[: len(after.memory.examples)], after.memory.examples)

    def test_a_new_name_is_given_afterwards(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        """The distance to its own examples is small where those of the others are large."""
        for case in range(3):
            save_label(store, case, {1: "rib"})
        task(everything_promoted(slices=60), store)
        model = load_pretrained(versions.checkpoint)
        predictor = Predictor(model)
        predictor.set_volume(Volume.load(Path(store.get_image_uri("case0"))))
        box = Box((6, 20, 3), (15, 28, 3))
        distances = [
            float(mask.distances[model.categories.index("rib")])
            for mask in [predictor.slices(2).decode(3, SlicePrompts(boxes=(box,)))]
            if mask.distances is not None
        ]
        assert distances == pytest.approx([0], abs=0.05)

    def test_with_another_encoder_they_are_dropped_and_the_user_told(
        self,
        task: SegSamTrain,
        versions: VersionFolder,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ids = iter(["before", "after"])
        monkeypatch.setattr(version_naming, "embedding_id", lambda _: next(ids))
        for case in range(3):
            save_label(store, case, BOTH)
        progress = task(everything_promoted(slices=60), store)
        model = load_pretrained(versions.checkpoint)
        assert model.memory is None
        reason = model.card.naming[WITHOUT_MEMORY]
        assert reason.endswith("also what it has never seen")
        assert "the labels hold no examples of heart, whose names would be lost" in reason
        assert reason in versions.history().find(progress["version"]).notes

    def test_labels_of_all_that_it_knows_make_a_new_one(
        self,
        task: SegSamTrain,
        versions: VersionFolder,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ids = iter(["before", "after"])
        monkeypatch.setattr(version_naming, "embedding_id", lambda _: next(ids))
        store = make_store(tmp_path / "more" / "studies", 8)
        for case in range(8):
            save_label(store, case, {1: "liver", 2: "spleen", 3: "rib"}, LIVER_SPLEEN_HEART)
        progress = task(everything_promoted(), store)
        notes = versions.history().find(progress["version"]).notes
        assert any("too few objects to make one" in note for note in notes)
        ids = iter(["before", "after"])
        monkeypatch.setattr(example_memory, "LEAST_OBJECTS", 4)
        task(everything_promoted(slices=120, val_split=0.5), store)
        model = load_pretrained(versions.checkpoint)
        assert model.memory is not None
        assert min(model.memory.counts().tolist()) > 0


class TestLeftOut:
    """A bad label leaves its case out, and nothing else."""

    def test_an_image_that_is_there_as_a_label(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        """As one that was saved before images were refused; its name comes first."""
        for case in (1, 2, 3):
            save_label(store, case, BOTH)
        voxels = np.random.default_rng(0).integers(0, 555, SHAPE).astype(np.uint16)
        path = folder_of(store) / "labels" / "final" / "case0.nii.gz"
        write(path, voxels)
        store.refresh()
        progress = task(everything_promoted(), store)
        version = versions.history().find(progress["version"])
        assert sorted(one.image for one in version.learnt) == ["case1", "case2", "case3"]
        assert sum(one.held_out for one in version.learnt) == 1
        ((image, reason),) = [tuple(one.values()) for one in progress["left_out"]]
        assert image == "case0"
        assert "got an image: its 554 values change from voxel to voxel" in reason
        assert version.model_dump()["left_out"] == progress["left_out"]
        assert f"case0 was left out: {reason}" in version.notes
        assert task.stats()["left_out"] == progress["left_out"]
        assert path.is_file(), "nothing that was saved is removed"

    def test_a_case_that_cannot_be_cut_is_not_the_one_held_out(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        """Its header and its label are good, and its voxels end early."""
        for case in range(4):
            save_label(store, case, BOTH)
        number = task(everything_promoted(), store)["version"]
        first = versions.history().find(number)
        (held_out,) = [one.image for one in first.learnt if one.held_out]
        image = Path(store.get_image_uri(held_out))
        image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
        progress = task(everything_promoted(), store)
        second = versions.history().find(progress["version"])
        assert [one["image"] for one in progress["left_out"]] == [held_out]
        assert [one.held_out for one in second.learnt].count(True) == 1
        assert held_out not in [one.image for one in second.learnt]
        assert second.evidence is not None
        assert second.evidence.cases == 1

    def test_how_sure_the_decision_is(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        for case in range(4):
            save_label(store, case, BOTH)
        progress = task(everything_promoted(), store)
        evidence = versions.history().find(progress["version"]).evidence
        assert evidence is not None
        assert progress["evidence"] == evidence.model_dump()
        assert (evidence.cases, evidence.objects >= evidence.slices > 1) == (1, True)
        assert evidence.margin > 1
        assert f"on {evidence.objects} objects in {evidence.slices} slices" in progress["why"]


class TestKilled:
    """What a killed training left is gone on from, or swept away."""

    @pytest.fixture
    def killed(
        self, task: SegSamTrain, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[], None]:
        def kill() -> None:
            with monkeypatch.context() as patch:
                patch.setattr(loop, "save_model", _die)
                with pytest.raises(_Killed):
                    task(QUICK, store)

        return kill

    def test_the_same_training_goes_on(
        self, task: SegSamTrain, versions: VersionFolder, store: Store, killed: Callable[[], None]
    ) -> None:
        save_label(store, 0, BOTH)
        killed()
        assert versions.history().current == FIRST
        assert [one.id for one in versions.history().versions] == [FIRST]
        progress = task(QUICK, store)
        assert progress["resumed"] is True
        assert versions.history().find(progress["version"])

    def test_another_one_begins_anew(
        self, task: SegSamTrain, store: Store, killed: Callable[[], None]
    ) -> None:
        save_label(store, 0, BOTH)
        killed()
        save_label(store, 1, BOTH)
        assert "resumed" not in task(QUICK, store)

    def test_a_damaged_checkpoint_starts_anew(
        self, task: SegSamTrain, versions: VersionFolder, store: Store, killed: Callable[[], None]
    ) -> None:
        save_label(store, 0, BOTH)
        killed()
        state = versions.folder / "run" / "learning" / "last.pt"
        state.write_bytes(state.read_bytes()[:1000])
        progress = task(QUICK, store)
        assert "damaged" in progress["restarted"]
        assert versions.history().find(progress["version"])

    def test_asked_to_stop(
        self,
        task: SegSamTrain,
        versions: VersionFolder,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def stopped(*given: Any, **more: Any) -> None:
            raise KeyboardInterrupt

        save_label(store, 0, BOTH)
        monkeypatch.setattr(loop, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            task(QUICK, store)
        assert task.stats()["status"] == "stopped"
        with versions.training_lock(timeout=0):
            """Nothing is locked any more."""


class _Killed(BaseException):
    pass


def _die(*given: Any, **more: Any) -> None:
    raise _Killed


def test_a_full_disk_leaves_the_version_before(
    task: SegSamTrain, versions: VersionFolder, store: Store, full_after: Any
) -> None:
    save_label(store, 0, BOTH)
    with full_after(40_000), pytest.raises(OutputError, match="could not be written"):
        task(QUICK, store)
    assert versions.history().current == FIRST
    assert task(everything_promoted(), store)["version"] == "0001"


class TestRefusals:
    def test_no_label(self, task: SegSamTrain, store: Store) -> None:
        with pytest.raises(NothingToLearnError, match="save at least one"):
            task.refuse({}, store)
        with pytest.raises(NothingToLearnError):
            task(QUICK, store)

    @pytest.mark.parametrize(
        "order",
        [
            {"replay_share": 2},
            {"minutes": 0},
            {"keep": "much"},
            {"tolerance": -1},
            {"slices": 1},
            {"copies": 99},
            {"unheard": 1},
        ],
    )
    def test_invalid_settings(self, task: SegSamTrain, store: Store, order: dict[str, Any]) -> None:
        with pytest.raises(RequestError, match=next(iter(order))):
            task.refuse(order, store)

    def test_another_training_runs(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        save_label(store, 0, BOTH)
        task.refuse({}, store)
        with versions.training_lock(), pytest.raises(ConflictError, match="already running"):
            task.refuse({}, store)

    def test_labels_too_small_to_learn_from(
        self, task: SegSamTrain, versions: VersionFolder, store: Store
    ) -> None:
        save_label(store, 0, {})
        with pytest.raises(TrainingError, match="case0: its label is empty"):
            task(QUICK, store)
        assert "case0: its label is empty" in task.stats()["why"]
        assert task.stats()["left_out"] == [{"image": "case0", "reason": "its label is empty"}]
        assert versions.history().current == FIRST

    def test_the_defaults_are_shown_and_accepted(self, task: SegSamTrain, store: Store) -> None:
        save_label(store, 0, BOTH)
        defaults = task.info()["config"]
        assert defaults["max_epochs"] == 20
        task.refuse(defaults, store)
