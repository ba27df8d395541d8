"""Evaluation on generated images: prompts, cases, volumes, means and their spread."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from segsam.categories import Categories
from segsam.datasets.splits import Split
from segsam.errors import EvaluationError, TrainingError
from segsam.evaluation import calibration, prompting, summary
from segsam.evaluation.cases import open_case, select
from segsam.evaluation.features import FeatureSource, StoredEmbeddings
from segsam.evaluation.objects_file import ObjectTable, load_objects, save_objects
from segsam.evaluation.records import DatasetFacts, Evaluation, ObjectScore
from segsam.evaluation.run import Options, evaluate
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Host, SegSam, build_variant
from segsam.model.digests import weights_id
from segsam.prediction.embeddings import slice_key


def describe(folder: Path, labels: dict[str, str], modality: str = "CT") -> None:
    record = {"name": folder.name, "modality": modality, "licence": "CC0", "labels": labels}
    (folder / "dataset.json").write_text(json.dumps(record))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures of two patients with a square (liver) and a bar (spleen)."""
    folder = tmp_path / "pictures"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(4):
        label = np.zeros((48, 64), dtype=np.uint8)
        label[6 + number : 26, 8:28] = 1
        label[32:44, 12 + number : 52] = 2
        label[0, 0] = 2  # part of the bar, which is one object
        picture = np.array([20, 220, 120], dtype=np.uint8)[label]
        case = f"ABD_{number // 2}_{number}"
        cv2.imwrite(str(folder / "images" / f"{case}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{case}.png"), label)
    describe(folder, {"1": "liver", "2": "spleen"})
    return folder


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two volumes of 5 mm slices; the object is too small to prompt on one of them."""
    folder = tmp_path / "volumes"
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for case in ("one", "two"):
        label = np.zeros((40, 36, 7), dtype=np.uint8)
        label[10:26, 8:22, 1:5] = 1
        label[12:24, 24:34, 2:6] = 2
        label[14, 10, 5] = 1
        affine = np.diag([1.0, 1.2, 5.0, 1.0])
        image = (label * 90 + 10).astype(np.int16)
        Volume.from_array(image, affine, modality="MR").save(folder / "images" / f"{case}.nii.gz")
        Volume.from_array(label, affine, modality="MR").save(folder / "labels" / f"{case}.nii.gz")
    describe(folder, {"1": "heart", "2": "a thing without a name"}, "MR")
    return folder


@pytest.fixture
def model(tiny_host: Host, five_categories: Categories) -> SegSam:
    """A full model with weights drawn at random, called trained."""
    torch.manual_seed(1)
    built = build_variant("segsam", tiny_host, five_categories, head="maskcls").eval()
    return built.with_card(replace(built.card, semantic_is_trained=True))


def a_view(height: int = 48, width: int = 64, side: int = 256) -> SliceView:
    return SliceView.of(Volume.from_array(np.zeros((width, height, 1), np.uint8)), 2, side)


def a_mask(height: int, width: int, rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


class TestPrompts:
    @given(
        height=st.integers(3, 400),
        width=st.integers(3, 400),
        ends=st.tuples(*[st.floats(0, 0.999)] * 4),
        seed=st.integers(0, 2**32),
    )
    @settings(max_examples=60, deadline=None)
    def test_a_box_is_near_the_object_and_in_the_picture(
        self, height: int, width: int, ends: Any, seed: int
    ) -> None:
        rows = sorted(int(end * height) for end in ends[:2])
        columns = sorted(int(end * width) for end in ends[2:])
        mask = a_mask(height, width, slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1))
        view = a_view(height, width)
        size_px = view.size_px
        x0, y0, x1, y1 = prompting.simulated_box(mask, size_px, np.random.default_rng(seed))
        assert 0 <= x0 <= x1 <= size_px[1] - 1
        assert 0 <= y0 <= y1 <= size_px[0] - 1
        scale_y, scale_x = size_px[0] / height, size_px[1] / width
        tight = [columns[0] * scale_x, rows[0] * scale_y]
        tight += [(columns[1] + 1) * scale_x - 1, (rows[1] + 1) * scale_y - 1]
        assert np.abs(np.array([x0, y0, x1, y1]) - tight).max() <= prompting.JITTER_PX + 1
        x, y = prompting.simulated_point(mask, size_px, np.random.default_rng(seed))
        row, column = ((y + 0.5) / scale_y, (x + 0.5) / scale_x)
        near = 1e-6  # the middle of a pixel may lie between two voxels
        rows_near = slice(int(row - near), int(row) + 1)
        assert mask[rows_near, int(column - near) : int(column) + 1].any()
        whole = prompting.volume_prompt("box", mask, np.random.default_rng(seed), view, 0)
        assert 0 <= whole.min_ijk[0] <= whole.max_ijk[0] < width  # type: ignore[union-attr]
        assert 0 <= whole.min_ijk[1] <= whole.max_ijk[1] < height  # type: ignore[union-attr]

    def test_sides_move_evenly_up_to_five_pixels(self) -> None:
        mask = a_mask(256, 256, slice(100, 180), slice(60, 200))
        moves = np.stack(
            [
                prompting.simulated_box(mask, (256, 256), np.random.default_rng(seed))
                - [60, 100, 199, 179]
                for seed in range(600)
            ]
        )
        assert 4.9 < np.abs(moves).max() <= 5
        assert np.abs(moves.mean(axis=0)).max() < 0.5
        assert moves.std() == pytest.approx(10 / np.sqrt(12), rel=0.05)

    def test_a_point_keeps_off_the_edge(self) -> None:
        mask = a_mask(256, 256, slice(100, 103), slice(60, 200))
        for seed in range(20):
            _, y = prompting.simulated_point(mask, (256, 256), np.random.default_rng(seed))
            assert y == 101

    def test_a_thin_object_that_vanishes_in_resizing_is_prompted_still(self) -> None:
        mask = a_mask(2048, 2048, slice(1000, 1001), slice(0, 2048))
        _, y = prompting.simulated_point(mask, (256, 256), np.random.default_rng(0))
        assert y == pytest.approx(125)

    @pytest.mark.parametrize("kind", ["box", "point"])
    def test_a_larger_input_sees_the_same_prompt(self, kind: Any) -> None:
        mask = a_mask(48, 64, slice(10, 30), slice(20, 50))
        small, large = (
            prompting.prompt_tensors(kind, [mask], [np.random.default_rng(5)], a_view(side=side))
            for side in (256, 1024)
        )
        if kind == "box":
            assert small.boxes_px is not None
            assert large.boxes_px is not None
            np.testing.assert_allclose(
                large.boxes_px + torch.tensor([0, 0, 1, 1]),
                4 * (small.boxes_px + torch.tensor([0, 0, 1, 1])),
                rtol=1e-5,
            )
        else:
            assert small.points_px is not None
            assert large.points_px is not None
            np.testing.assert_allclose(large.points_px + 0.5, 4 * (small.points_px + 0.5))

    def test_every_object_has_random_numbers_of_its_own(self) -> None:
        draws = {
            prompting.object_rng(seed, name, label).integers(2**60)
            for seed in (0, 1)
            for name in ("a/b/0", "a/b/1", "a/c/0")
            for label in (1, 2)
        }
        assert len(draws) == 12
        first, again = (prompting.object_rng(0, "a/b/0", 1).integers(2**60) for _ in range(2))
        assert first == again

    def test_another_kind_of_prompt_is_refused(self) -> None:
        with pytest.raises(EvaluationError, match="Expected box or point as the prompt, got 'cup'"):
            prompting.prompt_kind("cup")


class TestCases:
    def test_a_part_of_a_split(self, pictures: Path, tmp_path: Path) -> None:
        file = tmp_path / "split.json"
        Split({"test": {"pictures": ("ABD_1_2",)}, "train": {}}).save(file)
        (found,) = select([pictures], split=f"{file}:test")
        assert found.cases == ("ABD_1_2",)
        with pytest.raises(
            EvaluationError, match="cases of pictures in the part 'train', got none"
        ):
            select([pictures], split=f"{file}:train")
        with pytest.raises(EvaluationError, match="one of test, train as a part of split"):
            select([pictures], split=f"{file}:held_out")
        with pytest.raises(EvaluationError, match="split as FILE:NAME"):
            select([pictures], split="split.json")
        with pytest.raises(TrainingError, match="Expected a split"):
            select([pictures], split=f"{tmp_path / 'none.json'}:test")
        Split({"test": {"pictures": ("ABD_9_9",)}}).save(file)
        with pytest.raises(
            EvaluationError,
            match=r"Expected 1 cases of the split in pictures, got 0: ABD_9_9 is missing",
        ):
            select([pictures], split=f"{file}:test")

    def test_limits_spread_evenly(self, pictures: Path) -> None:
        (found,) = select([pictures], limit=2)
        assert found.cases == ("ABD_0_0", "ABD_1_3")

    def test_a_file_beside_the_data_sets_is_left_out(self, pictures: Path, tmp_path: Path) -> None:
        readme = tmp_path / "README.md"
        readme.write_text("What these data sets are.\n")
        (found,) = select([readme, pictures])
        assert found.dataset.name == "pictures"
        with pytest.raises(EvaluationError, match=r"folder of a data set, got the file .*README"):
            select([readme])

    def test_what_cannot_be_selected(self, pictures: Path) -> None:
        with pytest.raises(EvaluationError, match="at least one folder"):
            select([])
        with pytest.raises(EvaluationError, match="'pictures' twice"):
            select([pictures, pictures])
        with pytest.raises(EvaluationError, match="of 0 or more, got -1"):
            select([pictures], limit=-1)

    def test_slices_with_large_enough_objects(
        self, volumes: Path, five_categories: Categories
    ) -> None:
        (found,) = select([volumes])
        opened = open_case(found.dataset, "one", input_size=32, categories=five_categories)
        assert opened.objects == ((1, (1,)), (2, (1, 2)), (3, (1, 2)), (4, (1, 2)), (5, (2,)))
        few = open_case(found.dataset, "one", input_size=32, categories=five_categories, limit=2)
        assert [index for index, _ in few.objects] == [1, 5]

    def test_an_unreadable_case_is_named(self, pictures: Path, five_categories: Categories) -> None:
        (pictures / "images" / "ABD_0_0.png").write_bytes(b"no picture")
        (found,) = select([pictures])
        with pytest.raises(Exception, match="The case pictures/ABD_0_0 cannot be measured"):
            open_case(found.dataset, "ABD_0_0", input_size=32, categories=five_categories)


def measured(model: SegSam, folder: Path, **changes: Any) -> tuple[Evaluation, dict[str, Any]]:
    found = evaluate(model, select([folder]), replace(Options("box"), **changes))
    return found, summary.report(found)


class TestRun:
    def test_dice_is_that_of_the_decoded_masks(self, model: SegSam, pictures: Path) -> None:
        """Against the model called by hand, one prompt at a time, Dice by counting."""
        found, report = measured(model, pictures)
        assert [one.name for one in found.objects] == ["liver", "spleen"] * 4
        by_hand = []
        for one in found.objects:
            picture = cv2.imread(str(pictures / "images" / f"{one.case}.png"))
            label = cv2.imread(str(pictures / "labels" / f"{one.case}.png"), cv2.IMREAD_GRAYSCALE)
            view = a_view(side=32)
            shown = ((picture - 20.0) / 200 * 255).astype(np.uint8)  # from 20 to 220 in the file
            small = cv2.resize(shown, (32, 24), interpolation=cv2.INTER_AREA)
            wanted = label == one.label
            rng = prompting.object_rng(0, f"pictures/{one.case}/0", one.label)
            prompts = prompting.prompt_tensors("box", [wanted], [rng], view)
            with torch.no_grad():
                decoded = model(model.host.prepare(small)[None], prompts)
            mask = view.logits_to_plane(decoded.binary_logits[0, 0]).numpy() > 0
            by_hand.append(200 * (mask & wanted).sum() / (mask.sum() + wanted.sum()))
            assert 100 * one.dsc == pytest.approx(by_hand[-1], abs=0.01)  # type: ignore[operator]
            named = int(decoded.class_logits[0, 1:].argmax()) + 1  # type: ignore[index]
            assert one.found == named
            right = named == {"liver": 1, "spleen": 2}[one.name]
            assert one.mdsc == (one.semantic_dsc if right else 0)
        assert report["average"]["dsc"] == pytest.approx(np.mean(by_hand), abs=0.01)

    def test_the_report_has_what_is_promised(
        self, model: SegSam, pictures: Path, volumes: Path
    ) -> None:
        found = evaluate(model, select([pictures, volumes]), Options("point"))
        report = summary.report(found)
        json.dumps(report, allow_nan=False)
        flat, deep = report["datasets"]["pictures"], report["datasets"]["volumes"]
        assert (flat["modality"], flat["prompt"], flat["cases"]) == ("CT", "point", 4)
        assert (flat["objects"], flat["patients"]) == (8, 2)
        assert "volume_dice" not in flat
        assert set(deep["per_class"]) == {"heart", "a thing without a name"}
        assert deep["per_class"]["a thing without a name"]["mdsc"] is None
        assert deep["unknown_labels"] == ["a thing without a name"]
        assert deep["objects"] == 16
        assert {"volume_dice", "volume_nsd_2mm"} <= set(deep)
        assert set(report["modalities"]) == {"CT", "MR"}
        for key in ("dsc", "mdsc", "category_accuracy_in_modality"):
            means = [report["modalities"][name][key] for name in ("CT", "MR")]
            assert report["average"][key] == pytest.approx(np.mean(means), abs=1e-3)

    def test_masks_without_a_name_are_measured_and_no_name_is_asked(
        self, model: SegSam, volumes: Path, tmp_path: Path
    ) -> None:
        describe(volumes, {"1": "heart", "2": "partly visible vertebra"}, "MR")
        found = evaluate(model, select([volumes]), Options("box"))
        report = summary.report(found)["datasets"]["volumes"]
        assert report["masks_without_name"] == ["partly visible vertebra"]
        assert report["unknown_labels"] == []
        masks = [one for one in found.objects if one.label == 2]
        assert len(masks) == 8
        assert all(one.dsc is not None and one.mdsc is None for one in masks)
        assert {(one.category, one.has_name) for one in masks} == {(0, False)}
        assert all(one.has_name and one.category for one in found.objects if one.label == 1)
        assert report["per_class"]["partly visible vertebra"]["dsc"] is not None
        assert report["per_class"]["partly visible vertebra"]["category_accuracy"] is None
        assert report["category_accuracy"] == report["per_class"]["heart"]["category_accuracy"]
        save_objects(tmp_path / "o.npz", found.objects, found.categories)
        table = load_objects(tmp_path / "o.npz")
        assert table.has_name.tolist() == (table.columns["label"] == 1).tolist()

    def test_prompts_do_not_depend_on_what_else_is_measured(
        self, model: SegSam, pictures: Path
    ) -> None:
        whole, _ = measured(model, pictures)
        some = evaluate(model, select([pictures], limit=2), Options("box"))
        wanted = {(one.case, one.label): one.dsc for one in whole.objects}
        assert all(one.dsc == wanted[one.case, one.label] for one in some.objects)
        other, _ = measured(model, pictures, seed=1)
        assert [one.dsc for one in other.objects] != [one.dsc for one in whole.objects]

    def test_kept_embeddings_are_used_and_added_to(
        self, model: SegSam, pictures: Path, tmp_path: Path
    ) -> None:
        first, again = (
            evaluate(model, select([pictures]), Options("box"), embeddings=tmp_path / "kept")
            for _ in range(2)
        )
        assert (first.encoded, again.encoded) == (4, 0)
        assert [one.dsc for one in first.objects] == [one.dsc for one in again.objects]
        assert len(list((tmp_path / "kept").iterdir())) == 4

    def test_volumes_are_put_back_together(self, model: SegSam, volumes: Path) -> None:
        found, report = measured(model, volumes)
        assert {(one.case, one.label) for one in found.volumes} == {
            (case, label) for case in ("one", "two") for label in (1, 2)
        }
        dices = [100 * one.dice for one in found.volumes]
        assert report["datasets"]["volumes"]["volume_dice"] == pytest.approx(np.mean(dices))
        some, report = measured(model, volumes, slices=2)
        assert not some.volumes
        assert "volume_dice" not in report["datasets"]["volumes"]
        assert len({one.slice for one in some.objects}) == 2

    def test_a_perfect_model_loses_only_what_is_too_small(
        self, model: SegSam, volumes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (selection,) = select([volumes])
        opened = open_case(selection.dataset, "one", input_size=32, categories=model.categories)
        planes = iter([opened.plane(i) == v for i, values in opened.objects for v in values] * 2)
        monkeypatch.setattr("segsam.evaluation.scores.mask_plane", lambda *_: next(planes))
        found, _ = measured(model, volumes, decoder="binary")
        assert all(one.dsc == 1 for one in found.objects)
        voxels = int((opened.labels == 1).sum())
        heart = next(one for one in found.volumes if one.label == 1)
        assert heart.dice == pytest.approx(2 * (voxels - 1) / (2 * voxels - 1))
        assert next(one.dice for one in found.volumes if one.label == 2) == 1

    @pytest.mark.parametrize("prompt", ["box", "point"])
    def test_objects_are_followed_without_encoding_again(
        self, model: SegSam, volumes: Path, tmp_path: Path, prompt: Any
    ) -> None:
        options = Options(prompt, propagated=True)
        found = evaluate(model, select([volumes]), options, embeddings=tmp_path / "kept")
        followed = [one for one in found.volumes if one.propagated]
        assert len(followed) == 4
        assert found.encoded <= 7  # both volumes are the same picture
        record = summary.report(found)["datasets"]["volumes"]
        assert record["propagated_dice"] == pytest.approx(
            100 * np.mean([one.dice for one in followed]), abs=1e-3
        )
        again = evaluate(model, select([volumes]), options, embeddings=tmp_path / "kept")
        assert again.encoded == 0
        assert again.volumes == found.volumes

    def test_following_needs_no_folder(self, model: SegSam, volumes: Path) -> None:
        found, _ = measured(model, volumes, propagated=True)
        kept = [one.dice for one in found.volumes if one.propagated]
        assert len(kept) == 4

    def test_without_semantics_nothing_is_named(self, model: SegSam, pictures: Path) -> None:
        model = model.with_card(replace(model.card, semantic_is_trained=False))
        found, report = measured(model, pictures)
        assert all(one.mdsc is None and one.class_logits is None for one in found.objects)
        assert report["average"]["mdsc"] is None
        assert report["datasets"]["pictures"]["mdsc"] is None
        with pytest.raises(EvaluationError, match="not trained"):
            measured(model, pictures, decoder="semantic")

    def test_only_the_decoder_asked_for(self, model: SegSam, pictures: Path, volumes: Path) -> None:
        both, _ = measured(model, pictures)
        binary, record = measured(model, pictures, decoder="binary")
        assert record["average"]["mdsc"] is None
        assert [one.dsc for one in binary.objects] == [one.dsc for one in both.objects]
        semantic, record = measured(model, pictures, decoder="semantic")
        assert record["average"]["dsc"] is None
        assert [one.mdsc for one in semantic.objects] == [one.mdsc for one in both.objects]
        assert not measured(model, volumes, decoder="semantic")[0].volumes

    def test_options_that_cannot_be_meant(self) -> None:
        with pytest.raises(EvaluationError, match="binary, semantic or both"):
            Options("box", decoder="all")  # type: ignore[arg-type]
        with pytest.raises(EvaluationError, match="slices of 0 or more"):
            Options("box", slices=-1)
        with pytest.raises(EvaluationError, match="through whole volumes"):
            Options("box", slices=2, propagated=True)

    def test_progress_counts_cases(self, model: SegSam, pictures: Path) -> None:
        told: list[tuple[int, int, str]] = []
        evaluate(
            model, select([pictures]), Options("box"), progress=lambda *what: told.append(what)
        )
        assert told == [(n, 4, "pictures") for n in range(4)] + [(4, 4, "done")]


def test_the_cache_reads_what_was_announced_only(model: SegSam, tmp_path: Path) -> None:
    source = FeatureSource(model, tmp_path / "kept")
    cache = StoredEmbeddings(source)
    picture = np.zeros((24, 32, 3), dtype=np.uint8)
    key = slice_key(picture, source.encoder.encoder_id)
    cache.set_slices([picture])

    def never(*_: Any) -> Any:
        raise AssertionError("encoded anew")

    features, now = cache.get_or_encode(key, never)
    assert now
    assert cache.get_or_derive(key, weights_id(model), features, never) is features
    assert not cache.get_or_encode(key, never)[1]
    cache.set_slices([])
    with pytest.raises(AssertionError, match="encoded anew"):
        cache.get_or_encode(key, never)


def scored(**changes: Any) -> ObjectScore:
    plain = ObjectScore("d", "CT", "box", "c", "p", 0, 1, "liver", 1, 0.1, 0.9, dsc=0.5)
    return replace(plain, **changes)


def evaluation_of(objects: list[ObjectScore], **facts: Any) -> Evaluation:
    datasets = (DatasetFacts("d", "CT", {1: "liver", 2: "spleen"}, {1: 1, 2: 2}, 4, 4),)
    return Evaluation(
        prompt="box",
        decoder="both",
        seed=0,
        semantics=True,
        datasets=facts.get("datasets", datasets),
        objects=tuple(objects),
        volumes=(),
        categories=("liver", "spleen", "heart"),
        encoded=0,
        seconds=1.0,
    )


class TestSummary:
    def test_categories_count_alike_in_mdsc_and_objects_in_dsc(self) -> None:
        objects = [scored(dsc=0.9, mdsc=0.8)] * 3
        objects += [scored(dsc=0.1, mdsc=0.2, label=2, name="spleen", category=2)]
        record = summary.report(evaluation_of(objects))["datasets"]["d"]
        assert record["dsc"] == pytest.approx(70)
        assert record["mdsc"] == pytest.approx(50)
        assert record["per_class"]["liver"] == {
            "dsc": 90.0,
            "mdsc": 80.0,
            "category_accuracy": None,
            "objects": 3,
        }

    def test_names_compete_in_all_or_in_the_modality(self) -> None:
        logits = np.array([0, 1, 0, 2], dtype=np.float32)  # heart, which the data set does not use
        objects = [scored(found=3, class_logits=logits, confidence=0.6)]
        record = summary.report(evaluation_of(objects))["datasets"]["d"]
        assert record["category_accuracy"] == 0
        assert record["category_accuracy_in_modality"] == 100

    def test_the_interval_is_over_patients(self) -> None:
        rng = np.random.default_rng(0)
        values = rng.uniform(size=60)
        objects = [scored(dsc=float(v), patient=f"p{n // 3}") for n, v in enumerate(values)]
        record = summary.report(evaluation_of(objects))["datasets"]["d"]
        by_patient = values.reshape(20, 3).mean(axis=1)
        half = 1.96 * by_patient.std(ddof=1) / np.sqrt(20) * 100
        low, high = record["dsc_95"]
        assert low == pytest.approx(record["dsc"] - half, abs=0.25 * half)
        assert high == pytest.approx(record["dsc"] + half, abs=0.25 * half)
        one = summary.report(evaluation_of([scored()]))
        assert one["datasets"]["d"]["dsc_95"] is None
        assert one["average"]["dsc_95"] is None

    def test_a_data_set_without_cases_is_no_zero(self) -> None:
        facts = evaluation_of([]).datasets[0]
        empty = replace(facts, name="empty", modality="PET", cases=0, slices=0)
        report = summary.report(evaluation_of([scored()], datasets=(facts, empty)))
        assert report["datasets"]["empty"]["dsc"] is None
        assert report["modalities"]["PET"]["dsc"] is None
        assert report["average"]["dsc"] == 50


class TestObjects:
    @pytest.mark.parametrize("suffix", [".npz", ".csv"])
    def test_rows_come_back(
        self, suffix: str, model: SegSam, pictures: Path, tmp_path: Path
    ) -> None:
        found, _ = measured(model, pictures)
        path = tmp_path / f"objects{suffix}"
        save_objects(path, found.objects, found.categories)
        table = load_objects(path)
        wanted = ObjectTable.of(found.objects, found.categories)
        assert table.categories == found.categories
        assert len(table) == 8
        for name, column in wanted.columns.items():
            np.testing.assert_array_equal(table.columns[name], column, err_msg=name)
        np.testing.assert_allclose(table.class_logits, wanted.class_logits, rtol=1e-6)

    @pytest.mark.parametrize("suffix", [".npz", ".csv"])
    def test_of_a_host_alone(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"objects{suffix}"
        save_objects(path, [scored()], ["liver"])
        table = load_objects(path)
        assert np.isnan(table.columns["mdsc"]).all()
        assert table.class_logits.shape == (1, 0)
        with pytest.raises(EvaluationError, match="trained semantic decoder has named, got none"):
            calibration.calibrate(table)

    def test_other_files_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EvaluationError, match="Expected a file of objects, got no file none"):
            load_objects(tmp_path / "none.npz")
        (tmp_path / "empty.npz").touch()
        (tmp_path / "short.csv").write_text("dataset,case\nonly one\n")
        for name in ("empty.npz", "short.csv"):
            with pytest.raises(EvaluationError, match=f"writes in {name}, but"):
                load_objects(tmp_path / name)
        for suffix in (".npz", ".csv"):
            path = tmp_path / f"other{suffix}"
            path.write_text("a,b\n1,2\n")
            with pytest.raises(EvaluationError, match="Expected the objects that segsam evaluate"):
                load_objects(path)

    def test_tables_of_two_checkpoints_do_not_join(self) -> None:
        logits = np.zeros(2, dtype=np.float32)
        tables = [ObjectTable.of([scored(class_logits=logits)], [name]) for name in ("a", "b")]
        with pytest.raises(EvaluationError, match="one checkpoint"):
            ObjectTable.joined(tables)
        assert len(ObjectTable.joined(tables[:1] * 2)) == 2


def overconfident(count: int = 4000, sharpness: float = 3.0) -> ObjectTable:
    """Classes drawn from the softmax of logits that are then made sharper."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 4)) * 1.5
    logits[:, 0] -= 30  # no object is none
    odds = np.exp(logits)
    shares = odds / odds.sum(axis=1, keepdims=True)
    classes = (rng.uniform(size=(count, 1)) < shares.cumsum(axis=1)).argmax(axis=1)
    objects = [
        scored(
            category=int(number),
            class_logits=(sharpness * row).astype(np.float32),
            agreement=float(row.max()),
            dsc=float(np.tanh(row.max())),
        )
        for number, row in zip(classes, logits, strict=True)
    ]
    return ObjectTable.of(objects, ["a", "b", "c"])


class TestCalibration:
    def test_the_temperature_undoes_overconfidence(self) -> None:
        found = calibration.calibrate(overconfident())
        assert found.temperature == pytest.approx(3, rel=0.1)
        assert found.after.ece < 0.03 < found.before.ece
        assert found.after.nll < found.before.nll
        assert found.after.accuracy == found.before.accuracy
        json.dumps(found.to_json(), allow_nan=False)

    def test_the_error_by_hand(self) -> None:
        table = calibration.objects_with_names(overconfident(500, 2.0))
        found = calibration.reliability(table, 1.0)
        logits = table.class_logits.astype(np.float64)
        odds = np.exp(logits)
        shares = odds / odds.sum(axis=1, keepdims=True)
        names = logits[:, 1:].argmax(axis=1) + 1
        confidence = shares[np.arange(len(names)), names]
        right = names == table.columns["category"]
        edges = np.linspace(0, 1, 16)
        total, objects = 0.0, 0
        for low, high in pairwise(edges):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                total += abs(confidence[inside].mean() - right[inside].mean()) * inside.sum()
                objects += inside.sum()
        assert objects == len(names) == sum(one.objects for one in found.bins)
        assert 100 * found.ece == pytest.approx(100 * total / objects, abs=0.01)
        assert found.confidence == pytest.approx(confidence.mean(), abs=1e-4)

    def test_a_temperature_chosen_elsewhere_is_kept(self) -> None:
        assert calibration.calibrate(overconfident(300), temperature=2.5).after.temperature == 2.5

    def test_agreement_is_compared_by_rank(self) -> None:
        found = calibration.calibrate(overconfident(200)).agreement
        assert set(found) == {"box"}
        assert found["box"].rho == pytest.approx(1)
        rng = np.random.default_rng(1)
        pairs = rng.uniform(size=(50, 2))
        objects = [scored(agreement=float(a), dsc=float(b), prompt="point") for a, b in pairs]
        one = calibration.rank_correlations(ObjectTable.of(objects, []), "agreement")["point"]
        assert one.rho == pytest.approx(stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
        constant = ObjectTable.of([scored(agreement=0.5)] * 5, [])
        assert calibration.rank_correlations(constant, "agreement")["box"].rho is None


def test_real_data_reads_as_measured(shared_data: Path, model: SegSam) -> None:
    """The reader, the view and the prompts on a real 3D case, with a model of no skill."""
    selections = select([shared_data / "hippocampus"], limit=1)
    found = evaluate(model, selections, Options("box", slices=2))
    assert len(found.objects) >= 2
    assert {one.name for one in found.objects} <= set(selections[0].dataset.labels.values())
