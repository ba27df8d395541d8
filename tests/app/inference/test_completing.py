"""Completion from confirmed slices: what is read, refused and kept, and the same over HTTP."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import torch
from numpy.typing import NDArray

from segsam.errors import CancelledError, LabelError, PromptError
from segsam.imaging.volume import Volume
from segsam.model.runtimes import EncoderRunner
from segsam.prediction.completion import teaching
from segsam.prediction.labels import Region
from segsam.remote.masks import decode_mask, encode_mask
from segsam_app.config import AppConfig
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.adapted_states import AdaptedStates, Annotator, StateOwner
from segsam_app.inference.completing import FORGOTTEN_NOTE
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import SegSamInfer

from ...conftest import ALL_48, StorageOrder
from ...lib.bright_objects import CONFIRMED, SHAPE, scene, threshold_model
from ..conftest import Server, ball, soon

CONFIG = AppConfig(device="cpu", checkpoint="litemedsam")
ANN, BOB = Annotator("ann"), Annotator("bob")
ENCODER = EncoderRunner(threshold_model().eval())


def sent(mask: NDArray[Any], index: int, axis: str = "k") -> dict[str, Any]:
    """Return a slice of a mask (i, j, k) as a request holds it."""
    plane = np.zeros(mask.shape, np.bool_)
    place: list[Any] = [slice(None)] * 3
    place["ijk".index(axis)] = index
    plane[tuple(place)] = mask[tuple(place)] != 0
    return {"axis": axis, "index": index, "mask": encode_mask(Region.of_mask(plane))}


def slices(mask: NDArray[Any], *indices: int, axis: str = "k") -> list[dict[str, Any]]:
    return [sent(mask, index, axis) for index in indices]


def write(path: Path, volume: Volume) -> Path:
    nibabel.save(nibabel.Nifti1Image(volume.voxels, volume.affine_ras), path)
    return path


def labelled(path: Path, labels: NDArray[Any]) -> Path:
    return write(path, scene()[0].like(labels.astype(np.uint8)))


@pytest.fixture(autouse=True)
def short_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps are enough for two weights."""
    for name, steps in (("FOLD", 5), ("FINAL", 8), ("FURTHER", 4), ("SINGLE", 8)):
        monkeypatch.setattr(teaching, f"{name}_STEPS", steps)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(tmp_path / "image.nii", scene()[0])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(CONFIG)
    monkeypatch.setattr(made, "encoder_of", lambda checkpoint: ENCODER)
    return made


Complete = Callable[..., dict[str, Any]]


@pytest.fixture
def task(engine: Engine, tmp_path: Path) -> SegSamInfer:
    def find(label: str, tag: str) -> tuple[Path, list[str]]:
        if tag != "final":
            raise NotFoundError("no such label")
        return tmp_path / f"{label}.nii", ["about the label"]

    return SegSamInfer(engine, CONFIG, find_label=find)


@pytest.fixture
def complete(task: SegSamInfer, image: Path) -> Complete:
    """Return a function that completes from slices of the tube, or of what is given."""

    def ask(*indices: int, annotator: Annotator | None = ANN, **params: Any) -> dict[str, Any]:
        confirmed = params.pop("confirmed", slices(scene()[1], *indices))
        keys = ("image", "cancel", "temporary")
        options = {key: params.pop(key) for key in keys if key in params}
        request = task.read({"confirmed": confirmed, "result": "region", **params})
        path = options.pop("image", image)
        return task.segment(path, request, annotator=annotator, **options)[1]

    return ask


def without_times(reply: dict[str, Any]) -> dict[str, Any]:
    return {key: reply[key] for key in reply if key not in ("latencies", "state", "encoded_slices")}


class TestReply:
    def test_it_holds_the_confirmed_planes_and_the_next_slice(self, complete: Complete) -> None:
        tube = scene()[1].copy()
        tube[2:5, 20:24, 5] = True  # another part, which no model would draw
        reply = complete(confirmed=slices(tube, *CONFIRMED), request_id="mine", label="gut")
        found = decode_mask(reply["mask"], SHAPE)
        for index in CONFIRMED:
            assert np.array_equal(found[..., index], tube[..., index])
        assert reply["confirmed"] == [{"axis": "k", "index": index} for index in CONFIRMED]
        assert reply["next_slice"]["axis"] == "k"
        assert reply["next_slice"]["index"] not in CONFIRMED
        assert len(reply["certainty"]) == len(reply["slices"])
        assert reply["adapted"] is True
        assert reply["self_check"]["adapted"] > reply["self_check"]["unadapted"]
        assert (reply["request_id"], reply["label_names"]) == ("mine", {"gut": 1})

    def test_as_a_label_file(self, task: SegSamInfer, image: Path) -> None:
        tube = scene()[1]
        request = task.read({"confirmed": slices(tube, *CONFIRMED)})
        file, reply = task.segment(image, request)
        assert file is not None
        labels = Volume.load(file).voxels
        Path(file).unlink()
        assert all(np.array_equal(labels[..., k] > 0, tube[..., k]) for k in CONFIRMED)
        assert reply["state"] is None  # nobody to keep it for

    def test_empty_slices_points_and_others(self, complete: Complete) -> None:
        tube, others = scene()[1], np.zeros(SHAPE, np.bool_)
        others[14:] = True
        reply = complete(
            confirmed=[*slices(tube, *CONFIRMED), {"axis": "k", "index": 15, "mask": None}],
            prompts={"points": [{"ijk": [12, 12, 7]}, {"ijk": [2, 2, 8], "positive": False}]},
            others=encode_mask(Region.of_mask(others)),
        )
        found = decode_mask(reply["mask"], SHAPE)
        assert not found[..., 15:].any()
        assert not found[14:, :, 7].any()
        assert found[12, 12, 7]

    def test_a_label_of_the_store(self, complete: Complete, tmp_path: Path) -> None:
        tube, labels = scene()[1], np.zeros(SHAPE, np.uint8)
        labels[..., CONFIRMED] = 3 * tube[..., CONFIRMED]
        labels[14:, :, 7] = 2
        labelled(tmp_path / "case.nii", labels)
        reply = complete(confirmed={"label": "case", "value": 3, "axis": "k"})
        assert "about the label" in reply["notes"]
        found = decode_mask(reply["mask"], SHAPE)
        assert np.array_equal(found[..., 9], tube[..., 9])
        assert not found[14:, :, 7].any()
        with pytest.raises(PromptError, match=r"one object in case\.nii, which holds 2, 3"):
            complete(confirmed={"label": "case"})
        with pytest.raises(NotFoundError):
            complete(confirmed={"label": "case", "tag": "other"})

    @pytest.mark.parametrize("order", ALL_48[5::29], ids=str)
    def test_the_storage_order_changes_nothing(
        self, complete: Complete, tmp_path: Path, order: StorageOrder
    ) -> None:
        volume, tube = scene()
        mask = order.stored(volume.like(tube.astype(np.uint8))).voxels
        axis = order.axes.index(2)
        turned = [SHAPE[2] - 1 - k if order.flipped[axis] else k for k in CONFIRMED]
        reply = complete(
            confirmed=slices(mask, *turned, axis="ijk"[axis]),
            image=write(tmp_path / "turned.nii", order.stored(volume)),
        )
        found = decode_mask(reply["mask"], mask.shape)
        straight = decode_mask(complete(*CONFIRMED)["mask"], SHAPE)
        expected = order.stored(volume.like(straight.astype(np.uint8))).voxels
        assert np.array_equal(found, expected)


def bad(mask: dict[str, Any] | None, **more: Any) -> list[dict[str, Any]]:
    return [{"axis": "k", "index": 9, "mask": mask, **more}]


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


GOOD = sent(scene()[1], 9)["mask"]
BOMB = packed(bytes(10_000_000))


@pytest.mark.parametrize(
    ("confirmed", "sentence"),
    [
        ([], "list of 1 to 200 slices, or a label of the store, as confirmed, got 0 slices"),
        ("all", "list of 1 to 200 slices.* got 'all'"),
        (bad(GOOD) * 201, "got 201 slices"),
        (bad(GOOD, axis="x"), r"Expected confirmed.axis to be 'i', 'j' or 'k', got 'x'"),
        (bad(GOOD, index=True), "Expected numbers as index, got True"),
        (bad(GOOD, at=3), r"Expected one of the keys confirmed.axis, .* got confirmed.at"),
        ([{"axis": "k", "index": 9}], "Expected values for confirmed.mask, got none"),
        (bad(GOOD, index=20), "Expected confirmed slices 0 to 19 across k, got 20"),
        (bad(GOOD, index=8), "the mask of k = 8 on this slice alone, got one on k = 9 to 9"),
        (bad({**GOOD, "shape_ijk": [30, 28, 21]}), "30x28x20 voxels, got one on 30x28x21"),
        (bad({**GOOD, "max_ijk": [30, 20, 9]}), "inside the image's 30x28x20 voxels, got"),
        (bad({**GOOD, "min_ijk": [25, 20, 9], "max_ijk": [2, 2, 9]}), "inside the image's"),
        (bad({**GOOD, "encoding": "rle"}), "Expected mask.encoding to be 'packbits-zlib', got"),
        (bad({**GOOD, "data": "%"}), "the data of the mask of k = 9 as base64 of zlib"),
        (bad({**GOOD, "data": packed(b"")}), "for the box of the mask of k = 9, .* got 0 bytes"),
        (bad({**GOOD, "data": BOMB}), "voxels, got more bytes"),
        (bad({**GOOD, "data": GOOD["data"][:-8]}), "base64 of zlib|got "),
        (bad(None), "at least one confirmed slice that shows the object, got 1 without any pixel"),
        (bad(GOOD) + bad(None), "one mask for the confirmed slice k = 9, got two that differ"),
        (
            [*bad(GOOD), {"axis": "i", "index": 15, "mask": None}],
            r"agree where they cross, got .* which differ in \d+ voxels",
        ),
        ({"label": "../x"}, "label must be|Expected confirmed.label"),
        ({"label": "case", "valu": 1}, "got confirmed.valu. The nearest is confirmed.value"),
        ({"label": "case", "value": 0}, "Expected confirmed.value to be greater than or equal"),
    ],
)
def test_what_does_not_fit_is_refused(complete: Complete, confirmed: Any, sentence: str) -> None:
    with pytest.raises((RequestError, PromptError), match=sentence):
        complete(confirmed=confirmed)


def test_other_refusals(complete: Complete, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="got propagate"):
        complete(9, propagate=True)
    with pytest.raises(RequestError, match="got foreground"):
        complete(9, foreground=[[1, 2, 3]])
    with pytest.raises(RequestError, match="Expected result to be 'region' or 'volume'"):
        complete(9, result="slice")
    with pytest.raises(PromptError, match="points beside confirmed slices, got a box"):
        complete(9, prompts={"boxes": [{"min_ijk": [1, 1, 1], "max_ijk": [2, 2, 1]}]})
    with pytest.raises(PromptError, match="outside"):
        complete(9, prompts={"points": [{"ijk": [1, 1, 99]}]})
    picture = write(tmp_path / "one.nii", Volume.from_array(scene()[0].voxels[..., :1]))
    for confirmed in (bad(GOOD), {"label": "case"}):
        with pytest.raises(PromptError, match="got a picture"):
            complete(confirmed=confirmed, image=picture)
    labelled(tmp_path / "case.nii", np.zeros(SHAPE))
    with pytest.raises(PromptError, match="which holds none"):
        complete(confirmed={"label": "case"})
    moved = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), np.diag([1.0, 1.0, 1.0, 1.0]))
    nibabel.save(moved, tmp_path / "case.nii")
    with pytest.raises(LabelError):
        complete(confirmed={"label": "case"})


class TestStates:
    def test_a_correction_goes_on_and_undo_is_exact(self, complete: Complete) -> None:
        first = complete(*CONFIRMED)
        more = complete(*CONFIRMED, 16, previous=first["state"])
        assert more["state"] != first["state"]
        assert FORGOTTEN_NOTE not in more["notes"]
        again = complete(*CONFIRMED, previous=first["state"])
        assert again["state"] == first["state"]
        assert without_times(again) == without_times(first)
        once_more = complete(*CONFIRMED, 16, previous=first["state"])
        assert without_times(once_more) == without_times(more)

    def test_every_id_can_be_sent_back(
        self, complete: Complete, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An id of a request may not begin with a hyphen, as one of 64 random texts does."""
        monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "-RxoFwqKnPE_Z-0VxY-W4w")
        first = complete(*CONFIRMED)
        again = complete(*CONFIRMED, previous=first["state"])
        assert FORGOTTEN_NOTE not in again["notes"]

    def test_it_takes_fewer_steps(self, complete: Complete) -> None:
        first = complete(*CONFIRMED)
        steps: list[int] = []
        complete(*CONFIRMED, 16, previous=first["state"], cancel=lambda: bool(steps.append(1)))
        more, steps = steps, []
        complete(*CONFIRMED, 16, cancel=lambda: bool(steps.append(1)))
        assert len(more) < len(steps)

    def test_no_annotator_sees_the_adaptation_of_another(
        self, complete: Complete, engine: Engine
    ) -> None:
        first = complete(*CONFIRMED)
        alone = complete(*CONFIRMED, 16, annotator=BOB)
        stolen = complete(*CONFIRMED, 16, annotator=BOB, previous=first["state"])
        assert FORGOTTEN_NOTE in stolen["notes"]
        assert stolen["mask"] == alone["mask"]
        session = Annotator("ann", "s1")
        assert FORGOTTEN_NOTE in complete(9, annotator=session, previous=first["state"])["notes"]
        assert complete(*CONFIRMED, previous=first["state"])["state"] == first["state"]
        assert engine.states.count == 4

    def test_it_holds_for_its_image_and_window_alone(
        self, complete: Complete, tmp_path: Path
    ) -> None:
        first = complete(*CONFIRMED)
        other = write(tmp_path / "other.nii", scene(1)[0])
        for more in ({"image": other}, {"window": [0.0, 200.0]}):
            reply = complete(*CONFIRMED, previous=first["state"], **more)
            assert FORGOTTEN_NOTE in reply["notes"]

    def test_it_ends_with_its_session_and_when_memory_runs_out(
        self, complete: Complete, engine: Engine
    ) -> None:
        session = Annotator("ann", "s1")
        complete(9, annotator=session)
        complete(9)
        engine.states.forget_session("s1")
        assert engine.states.count == 1
        engine.drop_caches()
        assert engine.states.count == engine.states.bytes == 0

    def test_nothing_is_kept_of_an_upload(self, complete: Complete, engine: Engine) -> None:
        assert complete(9, temporary=True)["state"] is None
        assert engine.states.count == 0

    def test_they_are_bounded(self) -> None:
        weights = {"weight": torch.zeros(1 << 18)}  # 1 MB
        learnt = teaching.AdaptedState("p", weights, 1.0, 0.5, {}, teaching.SelfCheck())
        ann, bob = (StateOwner(one, "image", None) for one in (ANN, BOB))
        kept = AdaptedStates(most_bytes=3 << 20, most=4, most_of_one=2)
        first, second, third = (kept.add(ann, learnt) for _ in range(3))
        assert [kept.get(key, ann, "p") for key in (first, second, third)] == [None, learnt, learnt]
        assert kept.get(third, ann, "other weights") is None
        kept.get(second, ann, "p")  # used last
        kept.add(bob, learnt)
        kept.add(bob, learnt)
        assert (kept.count, kept.bytes) == (3, 3 << 20)
        assert kept.get(third, ann, "p") is None
        assert kept.get(second, ann, "p") is learnt
        for user in "abcdef":
            kept.add(StateOwner(Annotator(user), "image", None), replace(learnt, learnt=None))
        assert kept.count == 4

    @pytest.mark.parametrize("after", [4, 25])
    def test_one_that_was_broken_off_loses_nothing(self, complete: Complete, after: int) -> None:
        """The client holds the slices: the same request gives the same answer afterwards."""
        asked = iter(range(1000))
        with pytest.raises(CancelledError):
            complete(*CONFIRMED, cancel=lambda: next(asked) >= after)
        found = without_times(complete(*CONFIRMED))
        assert found == without_times(complete(*CONFIRMED, annotator=BOB))


def test_info_says_that_it_completes(task: SegSamInfer) -> None:
    assert task.info()["completes"] is True


def test_it_serves_waiting_prompts_in_between(task: SegSamInfer) -> None:
    assert task.read({"confirmed": bad(GOOD)}).is_preemptible
    assert not task.read({"prompts": {}}).is_preemptible
    assert not task.read({"roi": [1, 2, 3, 4, 5, 6]}).is_preemptible


def ask(server: Server, query: dict[str, str], **params: Any) -> dict[str, Any]:
    reply = server.infer(query, params=json.dumps({"result": "region", **params}))
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


class TestOverHttp:
    """The same with the weights of LiteMedSAM."""

    def test_the_confirmed_planes_come_back_bit_by_bit(
        self, server: Server, no_file_left: None
    ) -> None:
        drawn = ball() != 0
        drawn[5:9, 40:50, 4] = True  # another part, which no model would draw
        confirmed = [*slices(drawn, 4), {"axis": "k", "index": 6, "mask": None}]
        image = {"image": "oblique"}
        assert server.get("/info/").json()["models"]["segsam"]["completes"] is True
        seen: list[Any] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                seen.append(server.get("/segsam/progress/mine"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        first = ask(server, image, confirmed=confirmed, request_id="mine")
        ended.set()
        watcher.join()
        running = [reply.json() for reply in seen if reply.ok]
        assert any(each["what"].startswith("learning from") for each in running)
        found = decode_mask(first["mask"], drawn.shape)
        assert np.array_equal(found[..., 4], drawn[..., 4])
        assert not found[..., 6].any()
        assert found[..., 3].any()
        assert first["next_slice"]["index"] not in (4, 6)
        again = ask(server, image, confirmed=confirmed, previous=first["state"])
        assert again["state"] == first["state"]
        assert without_times(again) == without_times({**first, "request_id": None})

    def test_refusals_have_a_status_and_a_sentence(self, server: Server) -> None:
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"confirmed": slices(scene()[1], 5)}, 400, "64x56x8 voxels, got one on 30x28x20"),
            ({"confirmed": []}, 400, "got 0 slices"),
            ({"confirmed": {"label": "straight", "tag": "none"}}, 404, "there is no label"),
            ({"confirmed": [{"axis": "k", "index": 3, "mask": None}]}, 400, "shows the object"),
        ]
        for params, status, sentence in cases:
            reply = server.infer({"image": "straight"}, params=json.dumps(params))
            assert reply.status_code == status, reply.text
            assert sentence in reply.json()["detail"]

    def test_it_ends_when_its_client_disconnects(self, server: Server) -> None:
        def ended() -> int:
            return server.log.read_text().count('"status": 499')

        params = json.dumps({"confirmed": slices(ball(), 2, 3, 4, 5)})
        before = ended()
        url = f"{server.url}/infer/segsam?image=straight"
        with pytest.raises(requests.Timeout):
            requests.post(url, files={"params": (None, params)}, timeout=(5, 0.3))
        assert soon(lambda: ended() > before, 120), "it went on without a client"
