"""Unsaved work that the server keeps: back after a crash of Slicer, and never in the way."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from misbehaving import answer, serving
from SEGSAMLib.Drafts import RETRY_SECONDS, WAIT_SECONDS, Offer
from SEGSAMLib.Errors import DraftError
from SEGSAMLib.Parameters import Settings
from SEGSAMLib.Scene import SegmentTags
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.Worker import CancelToken, Event
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.ConfirmedSlices import ConfirmedSlices
from SEGSAMLib.Values.Draft import Draft, SegmentDraft
from SEGSAMLib.Values.Geometry import Box, VolumeGrid
from SEGSAMLib.Values.Masks import PackedRegion, Region
from SEGSAMLib.Values.Prompts import Point, PromptSet
from SEGSAMLib.Values.Terminology import Identity
from SEGSAMLib.Workflow import Workflow
from serving import AFFINE_RAS, SHAPE_IJK, ball, picture
from test_workflow import events_until_idle
from volumes import volume

STATUS = "Segmentation.Status"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class User:
    """One start of Slicer: a scene with one volume, the module's workflow, and a clock of its own.
    What is stored on the computer outlives it.
    """

    def __init__(self, scene: Any, url: str, store: dict[str, str], seed: int = 7) -> None:
        scene.Clear(0)
        self.clock = Clock()
        self.flow = Workflow(Logic(scene), Settings(store))
        self.flow.drafts.clock = self.clock
        self.flow.logic.nodes.select(volume(scene, AFFINE_RAS, picture(seed)))
        self.connect(url)

    def connect(self, url: str) -> None:
        """Use a server without the questions of a connection."""
        settings = self.flow.settings
        key = settings.draft_key(url)
        self.flow.client = Client(Address.parse(url), draft_key=key)
        self.flow.drafts.use(self.flow.client)

    def tick(self, seconds: float = WAIT_SECONDS) -> list[Event]:
        """Let time pass, and return the events of what was started."""
        self.flow.drafts.tick()  # sees the last change
        events = events_until_idle(self.flow)
        self.clock.now += seconds
        self.flow.drafts.tick()
        events += events_until_idle(self.flow)
        return [event for event in events if event.kind != "progress"]

    def offered(self) -> Offer | None:
        """Return what is offered when the image was opened."""
        values = [event.value for event in self.tick()]
        return next((value for value in values if isinstance(value, Offer)), None)

    def accept(self, offer: Offer) -> None:
        self.flow.drafts.accept(offer)
        values = [event.value for event in events_until_idle(self.flow)]
        assert values == [len(offer.draft.segments)]

    def upload(self) -> None:
        """Upload the volume, as the first request does."""
        assert self.flow.client is not None
        image = self.flow.logic.files.image_payload()
        self.flow.client.uploads.open(image, CancelToken(), lambda progress: None)

    def work(self) -> None:
        """Three segments: of a result of the model, painted over another one, and only prompted."""
        nodes = self.flow.logic.nodes
        self.upload()
        self.tick()
        organ = Region((0, 0, 0), ball())
        inner = Region((20, 18, 2), np.ones((30, 12, 4), bool))
        first, second, third = (nodes.add_segment(name) for name in ("", "Tumour \u00e9", "later"))
        layers = nodes.segments().layers()
        layers.write(first, organ, None)
        layers.write(second, inner, None)
        nodes.segments().commit(layers)
        SegmentTags.set_identity(
            nodes.segment(first), SegmentTags.named("liver", chosen_by="model")
        )
        SegmentTags.set_algorithm(nodes.segment(first))
        SegmentTags.set_tag(nodes.segment(first), SegmentTags.CERTAINTY_TAG, "[[2,4,0.75]]")
        SegmentTags.set_tag(nodes.segment(second), STATUS, "completed")
        confirmed = ConfirmedSlices(frozenset({(2, 3)}), SHAPE_IJK)
        SegmentTags.set_confirmed(nodes.segment(second), confirmed)
        prompts = PromptSet((Point((30, 26, 4)), Box((1, 2, 3), (4, 5, 3), positive=False)))
        SegmentTags.set_prompts(nodes.segment(first), prompts)
        SegmentTags.set_prompts(nodes.segment(third), PromptSet((Point((6, 6, 4), False),)))
        nodes.results[first] = PackedRegion.pack(organ)
        nodes.results[second] = PackedRegion.pack(Region((20, 18, 2), np.ones((2, 2, 2), bool)))
        nodes.select_segment(second)

    def facts(self) -> list[Any]:
        """Return everything that a draft has to bring back."""
        nodes = self.flow.logic.nodes
        layers = nodes.segments().layers()
        found = []
        for each in nodes.segment_ids:
            segment, whole, result = (
                nodes.segment(each),
                layers.whole(each),
                nodes.results.get(each),
            )
            unpacked = None if result is None else result.unpack().trimmed()
            found.append(
                (
                    SegmentTags.draft_of(segment),
                    SegmentTags.prompts_of(segment),
                    _comparable(whole),
                    _comparable(unpacked),
                    each == nodes.segment_id,
                )
            )
        return found


def _comparable(region: Region | None) -> Any:
    return None if region is None else (region.min_ijk, region.values.tolist())


@pytest.fixture
def store() -> dict[str, str]:
    """What is stored on this computer."""
    return {}


@pytest.fixture
def start(scene: Any, server: Any, store: dict[str, str]) -> Iterator[Callable[..., User]]:
    """Start Slicer anew, as after a crash: on an empty scene, with the same volume."""
    users: list[User] = []

    def begin(url: str = server.url, seed: int = 7, **other: Any) -> User:
        for user in users:
            user.flow.worker.cancel_all()
        users.append(User(scene, url, other.get("store", store), seed))
        return users[-1]

    yield begin
    users[-1].flow.drafts.forget()
    users[-1].tick()
    for user in users:
        user.flow.close()


def stopped(user: User) -> list[Any]:
    """What a user had, whose Slicer is about to crash some seconds after the last click."""
    user.work()
    user.tick()
    assert user.flow.client is not None
    return user.facts()


class TestAfterACrash:
    def test_segments_prompts_and_voxels_are_back(self, start: Callable[..., User]) -> None:
        before = stopped(start())
        user = start()
        assert user.flow.logic.nodes.segmentation is None
        offer = user.offered()
        assert offer is not None
        assert len(offer.draft.segments) == 3
        user.accept(offer)
        assert user.facts() == before
        assert user.flow.logic.predictions.strip(2, SHAPE_IJK[2])[4] != 0.75, "of another segment"
        user.flow.logic.nodes.select_segment(user.flow.logic.nodes.segment_ids[0])
        assert user.flow.logic.predictions.strip(2, SHAPE_IJK[2])[4] == 0.75
        assert user.flow.logic.history.undo_text == ""
        assert not user.flow.drafts.tick(), "nothing is sent before the next change"

    def test_it_is_offered_once(self, start: Callable[..., User]) -> None:
        stopped(start())
        user = start()
        assert user.offered()
        user.clock.now += 10 * RETRY_SECONDS
        assert user.offered() is None, "the question is still open"
        assert start().offered(), "nothing was lost by that"

    def test_declined_it_is_deleted(self, start: Callable[..., User]) -> None:
        stopped(start())
        user = start()
        offer = user.offered()
        assert offer is not None
        user.flow.drafts.decline(offer)
        user.tick()
        assert start().offered() is None

    def test_work_in_the_scene_stays_beside_it(self, start: Callable[..., User]) -> None:
        before = stopped(start())
        user = start()
        nodes = user.flow.logic.nodes
        own = nodes.add_segment("mine")
        layers = nodes.segments().layers()
        layers.write(own, Region((1, 1, 1), np.ones((2, 2, 2), bool)), None)
        nodes.segments().commit(layers)
        mine = nodes.segmentation
        offer = user.offered()
        assert offer is not None
        user.accept(offer)
        assert nodes.segmentation is not mine
        assert mine.GetSegmentation().GetNumberOfSegments() == 1
        assert user.facts() == before

    def test_what_is_here_already_is_not_offered(self, start: Callable[..., User]) -> None:
        user = start()
        stopped(user)
        user.flow.drafts._images.clear()  # as after a scene that was saved and loaded again
        assert user.offered() is None
        assert user.flow.drafts._images

    def test_submitted_there_is_none(self, start: Callable[..., User]) -> None:
        user = start()
        stopped(user)
        user.flow.submit()
        ended = events_until_idle(user.flow)[-1]
        assert (ended.task, ended.kind) == ("label", "done")
        assert ended.value.version >= 1
        user.tick()
        assert start().offered() is None

    def test_two_clients_of_a_user_the_last_wins(self, start: Callable[..., User]) -> None:
        stopped(start())
        second = start()
        offer = second.offered()
        assert offer is not None
        second.accept(offer)
        second.flow.logic.nodes.segment().SetName("changed by the second")
        second.tick()
        offer = start().offered()
        assert offer is not None
        assert offer.draft.segments[1].identity.name == "changed by the second"

    def test_all_removed_there_is_none(self, start: Callable[..., User]) -> None:
        user = start()
        stopped(user)
        for segment_id in user.flow.logic.nodes.segment_ids:
            user.flow.logic.remove_segment(segment_id)
        user.flow.logic.nodes.add_segment("empty")
        user.tick()
        assert start().offered() is None


class TestNotOffered:
    def test_another_image(self, start: Callable[..., User]) -> None:
        stopped(start())
        assert start(seed=8).offered() is None
        assert start().offered(), "it waits for its own image"

    def test_another_user(self, start: Callable[..., User]) -> None:
        stopped(start())
        assert start(store={}).offered() is None
        assert start().offered()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"format": 2}, "A newer version of it may read it"),
            ({"grid": {"shape_ijk": [9, 9, 9], "ijk_to_ras": [1.0] * 16}}, "another voxel grid"),
            ({"segments": [{"name": "x"}]}, "cannot be read"),
        ],
    )
    def test_what_this_version_cannot_read_stays(
        self, start: Callable[..., User], changes: dict[str, Any], words: str
    ) -> None:
        user = start()
        stopped(user)
        client, (image,) = user.flow.client, user.flow.drafts._images.values()
        assert client is not None
        value = client.drafts.get(image.content, CancelToken())
        other = json.dumps({**(value or {}), **changes}).encode()
        client.drafts.put(image.content, other, CancelToken())
        user = start()
        user.upload()
        (failed,) = [event for event in user.tick() if event.kind == "failed"]
        assert words in str(failed.error)
        user.flow.logic.nodes.add_segment("new work")
        user.tick(10 * RETRY_SECONDS)
        assert client.drafts.get(image.content, CancelToken()) == json.loads(other)

    def test_nothing_goes_to_a_server_without_the_image(self, start: Callable[..., User]) -> None:
        user = start()
        user.tick()
        user.flow.logic.nodes.add_segment("painted")
        user.flow.logic.prompts.add_point(user.flow.logic.nodes.grid.ras((30, 26, 4))[0])
        user.tick()
        user.tick()
        assert start().offered() is None


class TestServers:
    def test_switched_off_no_request_is_sent(self, start: Callable[..., User]) -> None:
        with serving(answer()) as found:
            user = start(found.url)
            user.flow.settings.set_keeps_drafts(found.url, is_kept=False)
            user.flow.logic.nodes.add_segment("x")
            user.tick()
            assert found.requests == []
            user.flow.drafts.forget()
            user.tick()
            assert [each.split(b" HTTP")[0] for each in found.requests] == [b"DELETE /segsam/draft"]

    def test_a_server_before_this_version_is_asked_twice(self, start: Callable[..., User]) -> None:
        with serving(answer(b'{"detail": "Not Found"}', "404 Not Found")) as found:
            user = start(found.url)
            user.tick()
            (image,) = user.flow.drafts._images.values()
            image.is_known = True
            user.flow.logic.prompts.add_point(user.flow.logic.nodes.grid.ras((30, 26, 4))[0])
            for _ in range(3):
                assert [event for event in user.tick() if event.kind == "failed"] == []
                user.flow.logic.nodes.segment().SetName(f"name {_}")
            assert [each.split(b" ")[0] for each in found.requests] == [b"GET", b"PUT"]

    def test_a_full_disk_is_a_sentence_and_tried_again(self, start: Callable[..., User]) -> None:
        none = answer(b"{}", "404 Not Found")
        full = answer(
            b'{"detail": "Keeping the unsaved work is not possible: No space left on device; '
            b'nothing was changed.", "code": "output"}',
            "507 Insufficient Storage",
        )
        with serving(none, full) as found:
            user = start(found.url)
            user.tick()
            (image,) = user.flow.drafts._images.values()
            image.is_known = True
            user.flow.logic.prompts.add_point(user.flow.logic.nodes.grid.ras((30, 26, 4))[0])
            (failed,) = user.tick()
            assert "No space left" in str(failed.error)
            assert user.tick() == []
            assert len(user.tick(RETRY_SECONDS)) == 1
            assert len(found.requests) == 3

    def test_what_was_damaged_there_is_a_sentence(self, start: Callable[..., User]) -> None:
        gone = answer(b'{"detail": "it was damaged", "code": "gone"}', "410 Gone")
        with serving(gone, answer(b"", "204 No Content")) as found:
            user = start(found.url)
            (failed,) = user.tick()
            assert str(failed.error) == "it was damaged"
            (image,) = user.flow.drafts._images.values()
            image.is_known = True
            user.flow.logic.prompts.add_point(user.flow.logic.nodes.grid.ras((30, 26, 4))[0])
            user.tick()
            assert found.requests[-1].startswith(b"PUT /segsam/draft/")

    def test_another_computer_keeps_none_unless_asked(self) -> None:
        settings = Settings({})
        far = "https://segsam.example.org"
        assert [settings.keeps_drafts(each) for each in (far, "http://127.0.0.1:8000")] == [
            False,
            True,
        ]
        settings.set_keeps_drafts(far, is_kept=True)
        settings.set_keeps_drafts("http://127.0.0.1:1", is_kept=False)
        assert settings.keeps_drafts(far)
        assert not settings.keeps_drafts("http://localhost:2"), "the port changes with each start"
        keys = {settings.draft_key(each) for each in (far, "http://127.0.0.1:1", "localhost")}
        assert len(keys) == 2


GRID = VolumeGrid.of((8, 8, 8), np.eye(4))


def value_of(**changes: Any) -> dict[str, Any]:
    """Return a draft with one segment as JSON."""
    region = PackedRegion.pack(Region((1, 2, 3), np.ones((2, 2, 2), bool)))
    draft = Draft(GRID, (SegmentDraft(Identity("a", (0.1, 0.2, 0.3), "", ""), voxels=region),))
    value: dict[str, Any] = json.loads(draft.to_json())
    value["segments"][0].update(changes)
    return value


class TestUntrusted:
    @pytest.mark.parametrize(
        "changes",
        [
            {"name": 3},
            {"name": "x" * 5000},
            {"colour": [0, 0, 2]},
            {"colour": [0, 0, float("nan")]},
            {"prompts": "{"},
            {"prompts": 0},
            {"prompts": '{"format": 9, "prompts": []}'},
            {"tags": []},
            {"voxels": {"min_ijk": [7, 0, 0], "size_ijk": [2, 1, 1], "bits": "eJxjAAAAAQAB"}},
            {"voxels": {"min_ijk": [0, 0, 0], "size_ijk": [10**9] * 3, "bits": "eJxjAAAAAQAB"}},
            {"voxels": {"min_ijk": [0, 0, 0], "size_ijk": [8, 8, 8], "bits": "eJxjAAAAAQAB"}},
            {"voxels": {"min_ijk": [0, 0, 0], "size_ijk": [1, 1, 1], "bits": "not base64"}},
            {"voxels": {"min_ijk": [0, 0, 0.5], "size_ijk": [1, 1, 1], "bits": "eJxjAAAAAQAB"}},
            {"voxels": "voxels"},
            {"result": "else"},
        ],
        ids=str,
    )
    def test_anything_else_is_a_sentence(self, changes: dict[str, Any]) -> None:
        assert Draft.from_json(value_of(), GRID).segments[0].identity.name == "a"
        with pytest.raises(DraftError, match="cannot be read"):
            Draft.from_json(value_of(**changes), GRID)

    def test_many_boxes_of_the_whole_volume_are_refused(self) -> None:
        whole = PackedRegion.pack(Region((0, 0, 0), np.ones((8, 8, 8), bool)))
        bits = base64.b64encode(whole.bits).decode()
        value = value_of(voxels={"min_ijk": [0, 0, 0], "size_ijk": [8, 8, 8], "bits": bits})
        row = value["segments"][0]
        assert len(Draft.from_json({**value, "segments": [row] * 16}, GRID).segments) == 16
        with pytest.raises(DraftError, match="cannot be read"):
            Draft.from_json({**value, "segments": [row] * 17}, GRID)

    def test_more_than_4_mb_are_not_sent(self) -> None:
        noise = PackedRegion((0, 0, 0), (320, 320, 320), np.random.default_rng(0).bytes(4 << 20))
        segment = replace(Draft.from_json(value_of(), GRID).segments[0], voxels=noise)
        with pytest.raises(DraftError, match=r"it has 5.\d MB, and at most 4 MB are kept"):
            Draft(GRID, (segment,)).to_json()


class TestPanel:
    @pytest.fixture
    def kept(self, module: Any, server: Any) -> Iterator[Any]:
        """The panel, connected, with drafts switched on."""
        from panel import connect

        session = module.panel.session
        session.settings.set_keeps_drafts(server.url, is_kept=True)
        connect(module, server)
        module.panel.drafts.timer.stop()  # the tests have their own
        yield module
        session.workflow.drafts.forget()
        self.tick(module)

    def tick(self, module: Any) -> None:
        from panel import until

        drafts, flow = module.panel.drafts, module.panel.session.workflow
        clock = flow.drafts.clock = Clock()
        for seconds in (0.0, WAIT_SECONDS):
            clock.now += seconds
            drafts.tick()
            until(lambda: not flow.worker.is_running("draft"), "the draft")

    def test_the_question_and_the_answer_yes(self, kept: Any, server: Any) -> None:
        from panel import drag_box, label, until, voxels

        flow, logic = kept.panel.session.workflow, kept.panel.session.logic
        self.tick(kept)
        drag_box(kept)
        until(lambda: not flow.worker.is_running("segment"), "the answer")
        before = voxels(kept)
        assert before.any()
        self.tick(kept)
        kept.panel.prompts.release_tool()
        logic.nodes.scene.RemoveNode(logic.nodes.segmentation)
        kept.panel.session.node.segmentation = None
        logic.nodes.select(kept.volume, None)
        flow.drafts._images.clear()  # the next start of Slicer has none
        self.tick(kept)
        until(lambda: logic.nodes.segmentation is not None, "the segments")
        assert len(kept.asked) == 1
        assert kept.asked[0].startswith("There is unsaved work on this image, of ")
        assert "(segments: 1)" in kept.asked[0]
        until(lambda: label(kept, "statusLabel").startswith("Your unsaved work is back"), "a line")
        assert np.array_equal(voxels(kept), before)
        assert len(logic.prompts.current.boxes) == 1
        assert kept.ui.segmentationSelector.currentNode() is logic.nodes.segmentation

    def test_the_setting_and_the_button(self, kept: Any, caplog: pytest.LogCaptureFixture) -> None:
        from panel import label

        panel, settings = kept.panel.drafts, kept.panel.session.settings
        assert kept.ui.keepDraftsCheckBox.isChecked()
        kept.ui.keepDraftsCheckBox.click()
        assert not settings.keeps_drafts(settings.server)
        kept.ui.forgetDraftsButton.click()
        assert label(kept, "statusLabel") == "Your unsaved work on the server is deleted."
        with caplog.at_level(logging.WARNING, "SEGSAM"):
            for _ in range(3):
                panel.handle(Event("draft", 1, "failed", error=DraftError("it is too large")))
        assert [record.getMessage() for record in caplog.records] == [
            "Unsaved work: it is too large"
        ]
