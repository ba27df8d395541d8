"""What a training run is made of: configuration, order of slices, prompts, rates, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segsam.categories import Categories
from segsam.datasets.folder import Dataset
from segsam.errors import CheckpointError, TrainingError
from segsam.model import BoxKind, Host, SegSam
from segsam.model.hosts import Sam2, SamUnet, VitSizes
from segsam.model.sam2 import HieraSizes
from segsam.prediction.propagation import MARGIN_PX
from segsam.prediction.simulated_boxes import loosened, neighbours_box
from segsam.training.config import TrainConfig
from segsam.training.embedding_store import EmbeddingStore
from segsam.training.logs import CsvLog
from segsam.training.optimiser import WeightAverage, build_optimiser
from segsam.training.prompt_simulation import (
    box_prompts,
    corrective_prompts,
    error_points,
    inner_points,
    point_prompts,
)
from segsam.training.samples import Sample, absent_classes
from segsam.training.sampling import SliceOrder, correction_rounds_of, draw_prompts
from segsam.training.schedule import set_learning_rates
from segsam.training.targets import AnnotatedImage, annotate
from segsam.training.validation import (
    ValidationScore,
    card_metrics,
    mean_scores,
    selection_score,
    spread_evenly,
)


def config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({"datasets": ["a"], "out": "b"} | changes)


def jittered_box(
    mask: NDArray[np.bool_], rng: np.random.Generator, jitter_px: float
) -> NDArray[np.float32]:
    found = box_prompts([mask], rng, jitter_px, (mask.shape[0], mask.shape[1])).boxes_px
    assert found is not None
    return np.asarray(found[0].numpy())


def one_square() -> AnnotatedImage:
    """An image of 64 x 64 with one object, from 20 to 39 both ways."""
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 20:40, 20:40] = True
    return AnnotatedImage(masks, torch.tensor([1]), torch.ones(5).bool())


class TestConfig:
    def test_unknown_keys(self, tmp_path: Path) -> None:
        path = tmp_path / "run.yaml"
        path.write_text("datasets: [a]\nout: b\n")
        assert TrainConfig.load(path, ["variant=so_co", "loss.alignment=1e-1"]).variant == "so_co"
        assert TrainConfig.load(path, ["slices_per_volume_of.heart=3"]).slices_per_volume_of == {
            "heart": 3
        }
        assert TrainConfig.load(path, ["split="]).split == ""
        sharded = TrainConfig.load(path, ["datasets=[]", "shards=s"])
        assert (sharded.shards, sharded.datasets) == ("s", ())
        with pytest.raises(TrainingError, match="or shards in its place"):
            TrainConfig.load(path, ["shards=s"])
        with pytest.raises(
            TrainingError, match=r"Expected one of the keys out, .*learning_rate.*, got rate"
        ):
            TrainConfig.load(path, ["rate=1"])
        with pytest.raises(
            TrainingError,
            match=r"keys loss\.focal, .*, got loss\.focus. The nearest is loss\.focal",
        ):
            TrainConfig.load(path, ["loss.focus=1"])
        with pytest.raises(TrainingError, match="Expected steps to be a whole number, got 'many'"):
            TrainConfig.load(path, ["steps=many"])
        with pytest.raises(TrainingError, match="Expected key=value"):
            TrainConfig.load(path, ["steps"])
        with pytest.raises(CheckpointError, match="Expected one of baseline"):
            TrainConfig.load(path, ["variant=none"])
        with pytest.raises(
            TrainingError, match="Expected point_share to be less than or equal to 1, got 2"
        ):
            TrainConfig.load(path, ["point_share=2"])
        with pytest.raises(TrainingError, match=r"modalities of .*CT.* in volumes_of, got 'ct'"):
            TrainConfig.load(path, ["volumes_of=ct"])
        assert TrainConfig.load(path, ["volumes_of=CT"]).volumes_of == ("CT",)
        with pytest.raises(TrainingError, match=r"1 together at most, got 0\.6 and 0\.5"):
            TrainConfig.load(path, ["loose_share=0.6", "neighbour_share=0.5"])
        with pytest.raises(TrainingError, match="leave patients for training, below 1 together"):
            TrainConfig.load(path, ["validation_share=0.6", "test_share=0.6"])
        with pytest.raises(
            TrainingError, match=r"Expected loss\.dice to be greater than or equal to 0, got -1"
        ):
            TrainConfig.load(path, ["loss.dice=-1"])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"head": "round"}, "Expected head to be 'dense' or 'maskcls', got 'round'"),
            ({"categories": "some"}, "Expected categories to be 'data', 'all' or 'grown'"),
            ({"precision": "int8"}, "Expected precision to be 'fp32' or 'bf16'"),
            ({"halve_at": [2]}, r"Expected halve_at\.0 to be less than or equal to 1, got 2"),
            (
                {"points_per_round": [0]},
                r"points_per_round\.0 to be greater than or equal to 1, got 0",
            ),
            (
                {"slices_per_volume_of": {"a": -1}},
                r"slices_per_volume_of\.a to be greater than or equal to 0",
            ),
            (
                {"slices_per_volume_of": 3},
                "Expected slices_per_volume_of to hold values by name, got 3",
            ),
            (
                {"augmented_copies_of": {"a": 0.5}},
                r"Expected augmented_copies_of\.a to be a whole number, got 0\.5",
            ),
            (
                {"model": {"depth": [2]}},
                r"Expected model\.depth to be text or a whole number or .*, got \[2\]",
            ),
            ({"datasets": []}, "at least one folder in datasets"),
            ({"weight_average": 1}, "weight_average to be less than or equal to 0.999999, got 1"),
            ({"shares": {"a": -0.5}}, r"shares\.a to be greater than or equal to 0, got -0\.5"),
            ({"minutes": -1}, "minutes to be greater than or equal to 0, got -1"),
        ],
    )
    def test_refusals(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            config(**changes)

    def test_choices_of_the_model(self) -> None:
        chosen = config(grid=16, head="maskcls", model={"presence_target": "all_present"})
        assert chosen.model_choices() == {
            "grid": 16,
            "head": "maskcls",
            "presence_target": "all_present",
        }
        assert "grid" not in config().model_choices()
        with pytest.raises(CheckpointError, match="choose another variant"):
            config(model={"decoder": "shared"})
        with pytest.raises(CheckpointError, match="got 'colour'"):
            config(model={"colour": "red"})


class TestOrder:
    names = ("a",) * 12 + ("b",) * 3

    def test_as_they_come_each_once_an_epoch(self) -> None:
        order = SliceOrder(self.names, seed=0, balance=1)
        first, second = order.indices(0, 15), order.indices(15, 15)
        assert sorted(first) == sorted(second) == list(range(15))
        assert first != second
        assert order.indices(7, 3) == first[7:10]
        assert SliceOrder(self.names, seed=1, balance=1).indices(0, 15) != first

    @pytest.mark.parametrize(("balance", "share"), [(0.0, 0.5), (0.5, 1 / 3)])
    def test_small_data_sets_come_more_often(self, balance: float, share: float) -> None:
        places = SliceOrder(self.names, seed=0, balance=balance).indices(0, 6000)
        counts = Counter(places)
        assert sum(counts[place] for place in (12, 13, 14)) / 6000 == pytest.approx(share, abs=0.03)
        small = [place for place in places if place >= 12]
        for turn in range(0, 300, 3):
            assert sorted(small[turn : turn + 3]) == [12, 13, 14], "each once before any again"
        fresh = SliceOrder(self.names, seed=0, balance=balance)
        assert fresh.indices(5000, 4) == places[5000:5004], "wherever it goes on"

    def test_shares_by_name(self) -> None:
        order = SliceOrder(self.names, seed=0, balance=1, shares={"a": 0.2, "b": 0.8, "c": 9})
        places = order.indices(0, 2000)
        assert sum(place >= 12 for place in places) / 2000 == pytest.approx(0.8, abs=0.03)
        assert all(
            p < 12
            for p in SliceOrder(self.names, seed=0, balance=1, shares={"a": 1}).indices(0, 50)
        )
        with pytest.raises(TrainingError, match="leaves no data set to learn from"):
            SliceOrder(self.names, seed=0, balance=1, shares={"c": 1})

    def test_a_share_of_the_steps_is_corrected(self) -> None:
        some = config(correction_rounds=2, correction_share=0.25)
        found = [correction_rounds_of(step, some) for step in range(400)]
        assert set(found) == {0, 2}
        assert found.count(2) == pytest.approx(100, abs=30)
        assert correction_rounds_of(0, config()) == 0
        assert correction_rounds_of(0, config(correction_rounds=1)) == 1


class TestPrompts:
    def test_they_are_seeded_and_inside(self) -> None:
        mask = np.zeros((32, 32), dtype=np.bool_)
        mask[4:20, 6:12] = True
        tight = jittered_box(mask, np.random.default_rng(0), 0)
        assert tight.tolist() == [6, 4, 11, 19]
        for seed in range(20):
            box = jittered_box(mask, np.random.default_rng(seed), 5)
            assert np.abs(box - tight).max() <= 5
            assert box[0] <= box[2]
            assert np.array_equal(box, jittered_box(mask, np.random.default_rng(seed), 5))
            points = inner_points(mask, np.random.default_rng(seed), 3).astype(int)
            assert mask[points[:, 1], points[:, 0]].all()
            assert points[:, 0].min() >= 7, "off the edge"

    def test_clicks_go_where_it_is_wrong(self) -> None:
        wanted = np.zeros((16, 16), dtype=np.bool_)
        found = wanted.copy()
        wanted[2:10, 2:10] = True
        found[2:10, 5:13] = True
        points, labels = error_points(found, wanted, np.random.default_rng(0), 50)
        columns = points[:, 0]
        assert set(labels.tolist()) == {0, 1}
        assert ((columns < 5) == (labels == 1)).all()
        assert ((columns >= 10) == (labels == 0)).all()
        points, labels = error_points(wanted, wanted, np.random.default_rng(0), 5)
        assert labels.tolist() == [1] * 5
        assert wanted[points[:, 1].astype(int), points[:, 0].astype(int)].all()

    def test_earlier_clicks_stay_and_padding_gets_none(self) -> None:
        wanted = np.zeros((16, 16), dtype=np.bool_)
        wanted[2:6, 2:6] = True
        rng = np.random.default_rng(0)
        before = point_prompts([wanted, wanted], rng, 1)
        everywhere = np.ones_like(wanted)
        after = corrective_prompts(
            before, [everywhere, everywhere], [wanted, wanted], rng, count=30, size_px=(8, 16)
        )
        assert after.points_px is not None
        assert before.points_px is not None
        assert after.point_labels is not None
        assert after.points_px.shape == (2, 31, 2)
        assert torch.equal(after.points_px[:, :1], before.points_px)
        assert float(after.points_px[..., 1].max()) < 8
        assert not after.point_labels[:, 1:].any()

    def test_a_loose_box_holds_the_box_and_stays_in_the_picture(self) -> None:
        box = np.array([10, 12, 30, 20], dtype=np.float32)
        for seed in range(20):
            loose = loosened(box, np.random.default_rng(seed), 0.5, (40, 34))
            assert (loose[:2] <= box[:2]).all()
            assert (loose[2:] >= box[2:]).all()
            assert loose[0] >= 0
            assert loose[2] <= 33
            assert loose[3] <= 24
        assert np.array_equal(loosened(box, np.random.default_rng(0), 0.0, (40, 34)), box)

    def test_a_neighbours_box_is_off_to_either_side_and_stays_in_the_picture(self) -> None:
        box = np.array([60, 60, 160, 100], dtype=np.float32)
        drawn = [
            neighbours_box(box, np.random.default_rng(seed), 0.1, (200, 180)) for seed in range(400)
        ]
        outwards = (np.stack(drawn) - box) * np.array([-1, -1, 1, 1])
        assert (outwards < 0).mean() > 0.2
        sides = np.tile(box[2:] - box[:2], 2)
        off = np.abs(outwards - MARGIN_PX)[:, [1, 3]] / sides[[1, 3]]
        assert off.mean() == pytest.approx(0.1, abs=0.02)
        assert all((one[:2] >= 0).all() and (one[:2] < one[2:]).all() for one in drawn)
        assert all(one[2] <= 179 and one[3] <= 199 for one in drawn)

    def test_boxes_of_volumes_are_drawn_in_volumes_and_say_so(self) -> None:
        image = one_square()
        some = config(point_share=0.0, loose_share=0.3, neighbour_share=0.4)

        def kinds(*, in_volume: bool) -> Counter[int]:
            found: Counter[int] = Counter()
            for seed in range(200):
                rng = np.random.default_rng(seed)
                drawn = draw_prompts(image, [0], some, rng, size_px=(64, 64), in_volume=in_volume)
                assert drawn.box_kinds is not None
                found[int(drawn.box_kinds[0])] += 1
            return found

        assert kinds(in_volume=False) == {BoxKind.DRAWN: 200}
        found = kinds(in_volume=True)
        assert 40 < found[BoxKind.SECTION] < 80
        assert 60 < found[BoxKind.NEIGHBOUR] < 100

    def test_so_many_images_get_loose_boxes(self) -> None:
        image = one_square()
        some = config(point_share=0.0, jitter_px=0.0, loose_share=0.5)
        found = [
            draw_prompts(image, [0], some, np.random.default_rng(seed), size_px=(64, 64)).boxes_px
            for seed in range(60)
        ]
        tight = sum(box is not None and box.tolist() == [[20, 20, 39, 39]] for box in found)
        assert 15 < tight < 45


class TestSamples:
    labels = np.zeros((64, 48), dtype=np.uint8)
    labels[:20, :20] = 1
    labels[40, 40:46] = 2

    def test_small_objects_are_present_but_not_prompted(self, tiny_model: SegSam) -> None:
        classes = {1: 3, 2: 1, 4: 5}
        image, values = annotate(self.labels, classes, side=64, categories=5)
        assert values == [1, 2]
        assert image.classes.tolist() == [3, 1]
        assert image.annotated.tolist() == [True, False, True, False, True]

    def test_what_is_absent_is_as_known_as_what_is_labelled(self) -> None:
        labels = np.full((8, 8), 1, dtype=np.uint8)
        image, _ = annotate(labels, {1: 2, 2: 0}, side=8, categories=5, absent=(4,))
        assert image.annotated.tolist() == [False, True, False, True, False]

    def test_categories_of_other_modalities_alone_are_absent(
        self, five_categories: Categories
    ) -> None:
        names = five_categories.names

        def labelled(name: str, modality: str, *places: int) -> Dataset:
            labels = {value: names[place] for value, place in enumerate(places, start=1)}
            return Dataset(Path(name), name, modality, "", labels, ("a",))

        ct, pet = labelled("ct", "CT", 0, 1), labelled("pet", "PET", 1, 2)
        more_ct = labelled("more_ct", "CT", 3)
        everything = (ct, pet, more_ct)
        assert absent_classes(ct, everything, five_categories) == (3,)
        assert absent_classes(pet, everything, five_categories) == (1, 4)

    def test_instances_have_masks_of_their_own(self, tiny_model: SegSam) -> None:
        labels = np.zeros((32, 24), dtype=np.uint8)
        labels[:20, :20] = 1
        labels[31, 20:22] = 2
        masks = [np.zeros_like(labels, dtype=np.bool_) for _ in range(2)]
        masks[0][:12, :20], masks[1][8:20, :20] = True, True
        sample = Sample(
            "a/b/0",
            "a",
            "CT",
            "key",
            labels,
            (1,),
            {1: 3, 2: 1},
            tuple((1, np.packbits(mask)) for mask in masks),
        )
        image, large = sample.annotated(tiny_model)
        assert large == [0, 1]
        assert image.classes.tolist() == [3, 3, 1]
        assert image.masks.shape == (3, 32, 32)
        assert np.array_equal(image.masks[1].numpy()[:32, :24], masks[1])
        assert int(image.masks[2].sum()) == 2


class TestOptimising:
    def test_two_rates_warm_up_and_halve(self, tiny_model: SegSam) -> None:
        some = config(
            learning_rate=1e-3, host_learning_rate=1e-4, warmup_steps=4, halve_at=[0.5, 0.75]
        )
        optimiser = build_optimiser(tiny_model, some)
        assert isinstance(optimiser, torch.optim.Adam)
        rates = [
            set_learning_rates(optimiser, some, step=step, total=100)["learning_rate"]
            for step in (0, 3, 49, 50, 75)
        ]
        assert rates == pytest.approx([2.5e-4, 1e-3, 1e-3, 5e-4, 2.5e-4])
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([2.5e-5])
        decaying = build_optimiser(tiny_model, config(weight_decay=0.1))
        assert isinstance(decaying, torch.optim.AdamW)

    def test_an_average_follows_and_is_put_back(self) -> None:
        layer = nn.Linear(1, 1, bias=False)
        average = WeightAverage(layer, 0.5)
        begun = layer.weight.item()
        with torch.no_grad():
            layer.weight += 1
        average.update()
        with average.applied():
            assert layer.weight.item() == pytest.approx(begun + 0.9), "the start is soon forgotten"
        assert layer.weight.item() == pytest.approx(begun + 1)
        other = WeightAverage(layer, 0.5)
        other.restore(average.state())
        with other.applied():
            assert layer.weight.item() == pytest.approx(begun + 0.9)
        with pytest.raises(TypeError, match="no state of an average"):
            other.restore({"average": 1, "steps": 1})
        plain = WeightAverage(layer, 0)
        plain.update()
        with plain.applied():
            assert layer.weight.item() == pytest.approx(begun + 1)


class TestScores:
    scores = (
        ValidationScore("a", 1, 0.5, 0.0, 0.0),
        ValidationScore("a", 1, 0.5, 0.0, 0.0),
        ValidationScore("a", 2, 0.8, 0.6, 1.0),
        ValidationScore("b", 1, 1.0, 1.0, 1.0),
        ValidationScore("c", 1, 0.2, 0.2, 0.0),
    )
    modalities: Mapping[str, str] = {"a": "CT", "b": "CT", "c": "MR"}

    def test_objects_data_sets_modalities_average(self) -> None:
        found = mean_scores(self.scores, self.modalities, "box")
        assert found["dsc_box/a"] == pytest.approx(0.6)
        assert found["mdsc_box/a"] == pytest.approx(0.3), "over categories"
        assert found["dsc_box/CT"] == pytest.approx(0.8)
        assert found["dsc_box"] == pytest.approx(0.5)
        assert found["accuracy_box"] == pytest.approx(1 / 3)
        assert card_metrics({"dsc_box": 50.123, "dsc_box/CT": 1}) == {"validation_dsc_box": 50.12}

    def test_without_semantics(self) -> None:
        found = mean_scores([ValidationScore("c", 1, 0.2)], self.modalities, "point")
        assert found == {"dsc_point": 0.2, "dsc_point/MR": 0.2, "dsc_point/c": 0.2}

    def test_better_means_all_three(self) -> None:
        metrics = {"dsc_box": 80.0, "dsc_point": 60.0, "mdsc_box": 70.0, "accuracy_box": 0.0}
        assert selection_score(metrics) == 70
        del metrics["mdsc_box"]
        assert selection_score(metrics) == 70

    def test_small_data_sets_are_measured_in_full(self) -> None:
        def sample(dataset: str, number: int) -> Sample:
            labels = np.zeros((2, 2), dtype=np.uint8)
            return Sample(f"{dataset}/{number}", dataset, "CT", "", labels, (), {})

        samples = [sample("large", number) for number in range(50)]
        samples += [sample("small", number) for number in range(3)]
        samples += [sample("middle", number) for number in range(9)]
        chosen = Counter(one.dataset for one in spread_evenly(samples, 20))
        assert chosen == {"small": 3, "middle": 8, "large": 9}
        assert len(spread_evenly(samples, 1000)) == 62
        assert spread_evenly([], 5) == []


def test_a_table_forgets_what_came_after(tmp_path: Path) -> None:
    table = CsvLog(tmp_path / "a.csv", 0)
    table.add(1, {"loss": 2.0})
    table.add(2, {"loss": 1.0, "corrected": 0.5})
    table.flush()
    again = CsvLog(tmp_path / "a.csv", 1)
    again.add(2, {"loss": 3.0})
    again.flush()
    assert (tmp_path / "a.csv").read_text() == "step,loss,corrected\n1,2,\n2,3,\n"


@pytest.fixture
def tiny_model(tiny_host: Host, five_categories: Any) -> SegSam:
    return SegSam(tiny_host, five_categories)


class TestEmbeddingStore:
    """What an embedding depends on decides its name; what trains is not stored."""

    def test_a_branch_beside_the_frozen_encoder_is_trained(
        self, five_categories: Categories, tmp_path: Path
    ) -> None:
        sizes = VitSizes(
            64, dim=16, depth=4, heads=2, window=3, global_blocks=(0, 1, 2, 3), embed_dim=32
        )
        model = SegSam(SamUnet(sizes, residual_blocks=(1, 1, 1, 1)), five_categories)
        store = EmbeddingStore(tmp_path, model)
        assert store.is_live
        features = store.features(store.add(np.zeros((64, 64, 3), dtype=np.uint8)))
        assert features.detail is not None
        assert features.detail.requires_grad

    def test_the_projections_of_sam_2s_finer_maps_are_in_the_name(
        self, five_categories: Categories, tmp_path: Path
    ) -> None:
        torch.manual_seed(0)
        sizes = HieraSizes(
            128, 16, stages=(1, 1, 2, 1), global_blocks=(3,), embed_dim=32, memory_dim=16
        )
        model = SegSam(Sam2(sizes), five_categories).eval()
        picture = np.zeros((128, 128, 3), dtype=np.uint8)
        store = EmbeddingStore(tmp_path, model)
        key = store.add(picture)
        assert not store.is_live
        assert store.features(key).detail is not None
        torch.nn.init.ones_(model.host.mask_decoder.conv_s0.weight)
        assert EmbeddingStore(tmp_path, model).add(picture) != key
