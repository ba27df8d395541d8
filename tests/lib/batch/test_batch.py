"""Batch on a whole archive: cases found, processed, recorded, skipped and retried."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from segsam.batch import segmenting
from segsam.batch.archive import Item, find_items, fingerprint
from segsam.batch.case_worker import CaseWorker, Workers
from segsam.batch.records import RecordStore
from segsam.batch.run import Outcome, run_batch
from segsam.batch.segmenting import SegmentTask, read_requests
from segsam.categories import Categories
from segsam.errors import BatchError, CancelledError, PromptError
from segsam.imaging.volume import Volume
from segsam.model import SegSam, build_variant
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.predictor import Predictor

from ...dicom_writing import write_series, write_stills
from ..conftest import TinyHost
from ..made_memory import with_distances

BOX = {"min_ijk": [3, 4, 1], "max_ijk": [15, 14, 3]}
PROMPTS = {"boxes": [BOX]}


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(seed).integers(0, 200, (20, 18, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


def write_prompts(path: Path, content: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(PROMPTS if content is None else content))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three images with prompts, one of them beyond the image, and one image that is none."""
    folder = tmp_path / "archive"
    for seed, case in enumerate(["a", "inner/b", "c"]):
        picture(folder / f"{case}.nii.gz", seed)
        write_prompts(folder / f"{case}.prompts.json")
    write_prompts(folder / "c.prompts.json", {"points": [{"ijk": [99, 0, 0], "positive": True}]})
    (folder / "d.nii.gz").write_bytes(b"no image")
    write_prompts(folder / "d.prompts.json")
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, five_categories: Categories) -> None:
    """Give every worker a model that takes milliseconds."""
    torch.manual_seed(0)
    model = SegSam(TinyHost(), five_categories).eval()
    monkeypatch.setattr(
        segmenting.Predictor,
        "from_pretrained",
        lambda *_, **__: Predictor(model, embeddings=EmbeddingCache()),
    )


def silent(done: int, total: int, what: str) -> None:
    """Report no progress."""


def batch(archive: Path, out: Path, task: SegmentTask | None = None, **how: Any) -> Outcome:
    return run_batch(
        task or SegmentTask(),
        find_items(archive).items,
        out,
        workers=Workers(),
        progress=how.pop("progress", silent),
        **how,
    )


class TestArchive:
    def test_images_are_found_in_all_folders_with_their_prompts(self, archive: Path) -> None:
        found = find_items(archive).items
        assert [item.case for item in found] == ["a", "c", "d", "inner/b"]
        assert found[3].path == str(archive / "inner" / "b.nii.gz")
        assert found[3].prompts == str(archive / "inner" / "b.prompts.json")

    def test_prompts_may_lie_in_a_folder_of_their_own(self, archive: Path, tmp_path: Path) -> None:
        file = write_prompts(tmp_path / "prompts" / "inner" / "b.json")
        prompts = {item.case: item.prompts for item in find_items(archive, file.parents[1]).items}
        assert prompts == {"a": "", "c": "", "d": "", "inner/b": str(file)}

    def test_prompts_of_no_image_are_named(self, archive: Path, tmp_path: Path) -> None:
        for name in ("a", "inner/b", "nobody"):
            write_prompts(tmp_path / "prompts" / f"{name}.json")
        found = find_items(archive, tmp_path / "prompts")
        assert [str(one) for one in found.left_out] == ["nobody.json: prompts of no image"]

    def test_a_folder_of_dicom_files_is_one_image(self, tmp_path: Path) -> None:
        for name in ("mr/1.nii.gz", "mr/1.seg.nrrd", "mr/.hidden.nrrd"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        write_series(tmp_path / "ct", 2)
        found = find_items(tmp_path)
        assert [item.case for item in found.items] == ["ct", "mr/1"]
        assert [str(one) for one in found.left_out] == ["mr/1.seg.nrrd: a label, not an image"]
        assert [item.case for item in find_items(tmp_path / "ct").items] == ["ct"]

    def test_a_stray_dicom_file_hides_no_other_image(self, tmp_path: Path) -> None:
        for case in ("a", "b", "sub/c"):
            picture(tmp_path / f"{case}.NII.GZ")
        stray = write_series(tmp_path, 1, names="scout.dcm")[0]
        found = find_items(tmp_path)
        assert [item.case for item in found.items] == ["a", "b", "scout", "sub/c"]
        assert found.items[2] == Item("scout", str(stray))
        assert found.left_out == ()
        assert Volume.load(found.items[2].path).shape_ijk == (16, 14, 1)

    def test_slices_beside_other_images_are_one_case(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.nii")
        write_series(tmp_path, 3)
        write_prompts(tmp_path / "IM000.prompts.json")
        item = find_items(tmp_path).items[0]
        assert (item.case, len(item.files)) == ("IM000", 3)
        assert item.prompts == str(tmp_path / "IM000.prompts.json")
        first = fingerprint(item)
        os.utime(tmp_path / "IM002.dcm", ns=(1, 1))
        assert fingerprint(item) != first

    def test_every_file_that_is_left_out_is_named(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.nii")
        write_stills(tmp_path / "us")
        write_prompts(tmp_path / "typo.prompts.json")
        for name in ("notes.txt", "scan.mnc", "._a.nii", "us/.DS_Store", "__MACOSX/b.nii"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = find_items(tmp_path)
        assert [item.case for item in found.items] == ["a"]
        assert {one.path: one.may_be_image for one in found.left_out} == {
            **{"notes.txt": False, "scan.mnc": True, "typo.prompts.json": False},
            **{f"us/US{number}.dcm": True for number in range(3)},
        }
        (tmp_path / "a.nii").unlink()
        with pytest.raises(BatchError, match=r"got none; .*Left out: notes\.txt: not an image; "):
            find_items(tmp_path)

    def test_names_that_are_no_text_are_left_out(self, tmp_path: Path) -> None:
        """As files of an old network share, whose names are in Latin-1."""
        image = picture(tmp_path / "good.nii")
        for name in (b"M\xfcller.nii", b"M\xfcller.prompts.json"):
            shutil.copy(image, tmp_path / os.fsdecode(name))
        (tmp_path / os.fsdecode(b"\xe9t\xe9")).mkdir()
        shutil.copy(image, tmp_path / os.fsdecode(b"\xe9t\xe9/in.nii"))
        found = find_items(tmp_path)
        assert [item.case for item in found.items] == ["good"]
        left = {one.path: one.reason for one in found.left_out}
        assert set(left) == {"M\ufffdller.nii", "M\ufffdller.prompts.json", "\ufffdt\ufffd"}
        assert all("no text in UTF-8" in reason for reason in left.values())
        volume = Volume.load(tmp_path / os.fsdecode(b"M\xfcller.nii"))
        assert volume.name == "M\ufffdller.nii"

    def test_a_folder_without_images_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BatchError, match=r"Expected at least one image in .*, got none"):
            find_items(tmp_path)
        with pytest.raises(BatchError, match="Expected a folder"):
            find_items(tmp_path / "nothing")

    def test_images_of_one_name_keep_their_endings(self, tmp_path: Path) -> None:
        for name in ("a.nii", "a.nii.gz", "a.nii.gz.nii", "b.nii", "c/a.nii", "c/d/a.nii"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            picture(tmp_path / name)
        write_prompts(tmp_path / "a.nii.gz.prompts.json")
        write_prompts(tmp_path / "a.prompts.json")
        found = find_items(tmp_path)
        named = [(item.case, item.path, Path(item.prompts).name) for item in found.items]
        assert named == [
            ("a.nii", str(tmp_path / "a.nii"), "a.prompts.json"),
            ("a.nii.gz", str(tmp_path / "a.nii.gz"), "a.nii.gz.prompts.json"),
            ("a.nii.gz.nii", str(tmp_path / "a.nii.gz.nii"), "a.nii.gz.prompts.json"),
            ("b", str(tmp_path / "b.nii"), ""),
            ("c/a", str(tmp_path / "c" / "a.nii"), ""),
            ("c/d/a", str(tmp_path / "c" / "d" / "a.nii"), ""),
        ]
        assert found.left_out == ()
        assert found.notes[0] == (
            "Several images are called a: the results of a.nii, a.nii.gz have the endings in their "
            "names."
        )

    def test_two_series_whose_folders_have_one_name_are_refused(self, tmp_path: Path) -> None:
        write_series(tmp_path / "ct")
        write_series(tmp_path / "ct" / "ct")
        with pytest.raises(BatchError, match="have the same case name ct: ct and ct; rename one"):
            find_items(tmp_path / "ct")

    def test_another_image_or_prompt_has_another_fingerprint(self, archive: Path) -> None:
        item = find_items(archive).items[0]
        first = fingerprint(item)
        os.utime(item.path, ns=(1, 1))
        second = fingerprint(item)
        write_prompts(Path(item.prompts), {"points": []})
        assert len({first, second, fingerprint(item), ""}) == 4
        assert fingerprint(Item("x", str(archive / "x"))) == ""


class TestPrompts:
    def test_one_object_or_several(self, tmp_path: Path) -> None:
        assert [one.prompts for one in read_requests(write_prompts(tmp_path / "one.json"))] == [
            PROMPTS
        ]
        marked = tmp_path / "marked.json"  # with a byte order mark, as editors of Windows write it
        marked.write_text((tmp_path / "one.json").read_text(), encoding="utf-8-sig")
        assert read_requests(marked) == read_requests(tmp_path / "one.json")
        (followed,) = read_requests(
            write_prompts(
                tmp_path / "memory.json", {"objects": [{"prompts": PROMPTS, "propagate": "memory"}]}
            )
        )
        assert followed.propagate == "memory"
        several = {"objects": [{"prompts": PROMPTS, "name": "left", "axis": "k"}] * 2}
        found = read_requests(write_prompts(tmp_path / "two.json", several))
        assert [(one.name, one.axis) for one in found] == [("left", "k")] * 2

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("{", r"x\.json cannot be read"),
            ('{"objects": []}', "a list with at least one, got"),
            ('{"objects": [{}]}', "prompts: field required"),
            ('{"objects": [{"prompts": {}, "axes": "k"}]}', "axes: extra inputs"),
            ('{"objects": [{"prompts": {}, "axis": "z"}]}', "axis: input should be"),
            ('{"objects": [{"prompts": {}, "propagate": "z"}]}', "propagate: input should be"),
        ],
    )
    def test_another_form_is_refused(self, tmp_path: Path, text: str, sentence: str) -> None:
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(PromptError, match=sentence):
            read_requests(tmp_path / "x.json")

    def test_a_key_that_comes_twice_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text('{"objects": [{"prompts": 1}], "objects": []}')
        with pytest.raises(PromptError, match="the key 'objects' comes twice"):
            read_requests(tmp_path / "x.json")


@pytest.mark.usefixtures("tiny")
class TestRun:
    def test_a_case_that_fails_does_not_stop_the_others(
        self, archive: Path, tmp_path: Path
    ) -> None:
        seen: list[tuple[int, int, str]] = []
        outcome = batch(archive, tmp_path / "out", progress=lambda *what: seen.append(what))
        assert [record.status for record in outcome.records] == ["done", "failed", "failed", "done"]
        errors = {record.case: record.error for record in outcome.failed}
        assert errors["c"] is not None
        assert errors["c"]["code"] == "prompt"
        assert errors["d"] is not None
        assert (errors["d"]["code"], "trace" in errors["d"]) == ("volume", False)
        assert [what for _, _, what in seen] == ["", "a", "c", "d", "inner/b"]
        labels = Volume.load(tmp_path / "out" / "labels" / "inner" / "b.nii.gz")
        assert labels.voxels.shape == (20, 18, 5)
        assert not list((tmp_path / "out" / "started").rglob("*.json"))

    def test_several_objects_are_one_volume(self, archive: Path, tmp_path: Path) -> None:
        objects = [
            {"name": "left", "prompts": PROMPTS},
            {"prompts": {"boxes": [{"min_ijk": [1, 1, 0], "max_ijk": [6, 7, 4]}]}},
        ]
        write_prompts(archive / "a.prompts.json", {"objects": objects})
        record = batch(archive, tmp_path / "out", SegmentTask(ending=".seg.nrrd")).records[0]
        assert list(record.outputs) == ["labels/a.seg.nrrd"]
        named = [(one["value"], one["name"]) for one in record.result["objects"]]
        assert named == [(1, "left"), (2, "object")]
        assert [one["suggestions"] for one in record.result["objects"]] == [{}, {}]

    def test_an_object_without_a_name_has_suggestions_and_the_reason(
        self,
        archive: Path,
        tmp_path: Path,
        five_categories: Categories,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        torch.manual_seed(0)
        model = build_variant("segsam", TinyHost(), five_categories, head="maskcls").eval()
        model = model.with_card(replace(model.card, semantic_is_trained=True))
        predictor = Predictor(with_distances(model, {0: 0.6, 1: 0.7}))
        monkeypatch.setattr(segmenting.Predictor, "from_pretrained", lambda *_, **__: predictor)
        record = batch(archive, tmp_path / "out").records[0]
        (one,) = record.result["objects"]
        assert (one["category"], one["confidence"]) == (None, None)
        assert 0 < len(one["suggestions"]) <= 3
        assert sorted(one["suggestions"].values(), reverse=True) == list(
            one["suggestions"].values()
        )
        assert any(note.startswith("Not named: ") for note in one["notes"])

    def test_the_labels_are_those_of_the_predictor(self, archive: Path, tmp_path: Path) -> None:
        batch(archive, tmp_path / "out")
        predictor = segmenting.Predictor.from_pretrained()
        predictor.set_volume(Volume.load(archive / "a.nii.gz"))
        (one,) = read_requests(archive / "a.prompts.json")
        expected = predictor.predict(segmenting.Prompts.from_json(one.prompts)).labels
        assert np.array_equal(Volume.load(tmp_path / "out/labels/a.nii.gz").voxels, expected)

    def test_a_second_start_does_nothing_twice(self, archive: Path, tmp_path: Path) -> None:
        first = batch(archive, tmp_path / "out")
        second = batch(archive, tmp_path / "out")
        assert (second.done_before, len(second.failed)) == (2, 2)
        assert second.records == first.records

    def test_a_missing_changed_or_damaged_case_is_done_again(
        self, archive: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        batch(archive, out)
        (out / "labels" / "a.nii.gz").unlink()
        os.utime(archive / "inner" / "b.nii.gz", ns=(1, 1))
        (out / "records" / "d.json").write_text("{")
        picture(archive / "new.nii.gz")
        write_prompts(archive / "new.prompts.json")
        outcome = batch(archive, out)
        assert outcome.done_before == 0, "the one that is as it was had failed"
        assert [record.status for record in outcome.records].count("done") == 3

    def test_a_corrected_label_stays(self, archive: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        batch(archive, out)
        label = out / "labels" / "a.nii.gz"
        other = out / "labels" / "inner" / "b.nii.gz"
        label.write_bytes(b"corrected")
        written = other.read_bytes()
        outcome = batch(archive, out, retry_failed=True)
        assert outcome.changed == ("labels/a.nii.gz",)
        assert outcome.kept == {}
        assert (label.read_bytes(), other.read_bytes()) == (b"corrected", written)

    def test_where_its_case_is_done_again_it_is_kept_beside(
        self, archive: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        batch(archive, out)
        label, record = out / "labels" / "a.nii.gz", out / "records" / "a.json"
        of_segsam = label.read_bytes()
        for text in ("first", "second"):
            label.write_text(text)
            os.utime(archive / "a.nii.gz", ns=(len(text), 1))
            archive.joinpath("a.prompts.json").write_text(json.dumps(PROMPTS) + " " * len(text))
            assert list(batch(archive, out).kept) == ["labels/a.nii.gz"]
        assert label.read_bytes() == of_segsam
        assert (out / "labels" / "a.kept-1.nii.gz").read_text() == "first"
        assert (out / "labels" / "a.kept-2.nii.gz").read_text() == "second"
        # Records before 0.2 have sizes.
        before = json.loads(record.read_text())
        before["outputs"] = {"labels/a.nii.gz": len(of_segsam)}
        record.write_text(json.dumps(before))
        assert batch(archive, out).changed == ()

    def test_a_folder_with_other_files_is_refused(self, archive: Path, tmp_path: Path) -> None:
        """A data set's own labels would lie where the batch writes."""
        picture(tmp_path / "ds" / "labels" / "a.nii.gz")
        with pytest.raises(BatchError, match=r"new or empty folder.*got .*ds with labels"):
            batch(archive, tmp_path / "ds")
        assert [one.name for one in (tmp_path / "ds").iterdir()] == ["labels"]
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / ".DS_Store").touch()
        assert batch(archive, tmp_path / "new").done_before == 0

    def test_a_failed_case_is_retried_only_on_request(self, archive: Path, tmp_path: Path) -> None:
        broken = (archive / "d.nii.gz").stat()
        batch(archive, tmp_path / "out")
        content = picture(tmp_path / "good.nii.gz").read_bytes()
        (archive / "d.nii.gz").write_bytes(content[: broken.st_size])  # of the same size and time
        os.utime(archive / "d.nii.gz", ns=(broken.st_atime_ns, broken.st_mtime_ns))
        record = tmp_path / "out" / "records" / "d.json"
        before = record.stat().st_mtime_ns
        assert batch(archive, tmp_path / "out").done_before == 2
        assert record.stat().st_mtime_ns == before
        assert batch(archive, tmp_path / "out", retry_failed=True).done_before == 2
        assert record.stat().st_mtime_ns > before

    def test_a_folder_of_another_batch_is_refused(self, archive: Path, tmp_path: Path) -> None:
        batch(archive, tmp_path / "out")
        with pytest.raises(BatchError, match=r"a batch with other settings \(axis, decoder\)"):
            batch(archive, tmp_path / "out", SegmentTask(axis="k", decoder="semantic"))
        (tmp_path / "out" / "order.json").write_text("{")
        with pytest.raises(BatchError, match="which cannot be read"):
            batch(archive, tmp_path / "out")
        (tmp_path / "file").touch()
        with pytest.raises(BatchError, match="cannot be used"):
            batch(archive, tmp_path / "file")

    def test_a_case_that_ends_its_process_is_given_up(self, archive: Path, tmp_path: Path) -> None:
        store = RecordStore(tmp_path / "out")
        store.open(SegmentTask().to_json())
        for _ in range(3):
            store.start_attempt("a")  # and then the process was killed
        record = batch(archive, tmp_path / "out").records[0]
        assert record.error is not None
        assert "ended its process 3 times" in record.error["detail"]
        assert batch(archive, tmp_path / "out", retry_failed=True).records[0].status == "done"

    def test_auto_searches_images_without_prompts(self, archive: Path, tmp_path: Path) -> None:
        (archive / "a.prompts.json").unlink()
        record = batch(archive, tmp_path / "out", SegmentTask(auto=True)).records[0]
        assert record.error is not None, "this checkpoint's semantics are not trained"
        assert record.error["code"] in ("prompt", "checkpoint")


class FailingTask:
    """Task whose cases run `do`."""

    def __init__(self, do: Callable[[Any], Any]) -> None:
        self.do = do

    def to_json(self) -> dict[str, Any]:
        return {"work": "fail"}

    def prepare(self, out: Path) -> Callable[..., Any]:
        return lambda item, cancel: self.do(cancel)


class TestFaults:
    def test_a_bug_is_recorded_with_its_traceback(self, tmp_path: Path) -> None:
        def fail(cancel: Any) -> Any:
            raise KeyError("a bug")

        picture(tmp_path / "a.nii")
        record = CaseWorker(FailingTask(fail), tmp_path)(Item("a", str(tmp_path / "a.nii")))
        assert record.error is not None
        assert record.error["code"] == "bug"
        assert "in fail" in record.error["trace"]

    def test_lack_of_memory_has_its_own_code(self, tmp_path: Path) -> None:
        def fail(cancel: Any) -> Any:
            raise MemoryError

        record = CaseWorker(FailingTask(fail), tmp_path)(Item("a", str(tmp_path)))
        assert record.error is not None
        assert record.error["code"] == "memory"

    def test_ctrl_c_cancels_the_case_and_does_not_count_as_an_attempt(self, tmp_path: Path) -> None:
        def slow(cancel: Any) -> Any:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            for _ in range(1000):
                if cancel():
                    raise CancelledError("at a slice")
                threading.Event().wait(0.01)
            raise AssertionError("the case was not cancelled")

        worker = CaseWorker(FailingTask(slow), tmp_path)
        # Several test processes ignore Ctrl-C, so that only the one in front acts on it.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                worker(Item("a", str(tmp_path)))
        finally:
            signal.signal(signal.SIGINT, before)
        assert RecordStore(tmp_path).attempts("a") == 0
        assert RecordStore(tmp_path).record("a") is None

    @pytest.mark.parametrize(
        ("how", "sentence"),
        [
            ({"count": -1}, "not negative, got -1 and 0"),
            ({"count": 1, "threads": -2}, "not negative, got 1 and -2"),
            ({"address": "host:6379"}, "needs workers; give their number with --workers"),
        ],
    )
    def test_invalid_numbers_of_workers(self, how: dict[str, Any], sentence: str) -> None:
        with pytest.raises(BatchError, match=sentence):
            Workers(**how)

    def test_without_ray_the_error_names_the_extra(
        self, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(BatchError, match=r"pip install 'segsam\[cluster\]'"):
            run_batch(
                SegmentTask(),
                find_items(archive).items,
                tmp_path / "out",
                workers=Workers(2),
                progress=silent,
            )
