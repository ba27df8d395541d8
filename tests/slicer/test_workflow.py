"""The whole way through a real server of this project: scene, threads, HTTP, model, and back."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import ClientError, ConsentNeededError
from SEGSAMLib.Parameters import Parameters, Settings
from SEGSAMLib.Scene import Frames
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.Worker import CancelToken, Event
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.Replies import Conflict, Saved
from SEGSAMLib.Workflow import Workflow
from serving import AFFINE_RAS, SHAPE_IJK, ball, picture
from volumes import ORDERS, bent, pixel, segment_voxels, slice_view, stored, volume

LIKE = 0.8
"""Dice with the true ball from which a mask counts as of the right place."""


def events_until_idle(workflow: Workflow) -> list[Event]:
    """All events until no task runs."""
    events, deadline = [], time.monotonic() + 250
    while workflow.worker.is_busy and time.monotonic() < deadline:
        events += workflow.poll()
    return events + workflow.poll()


def done(workflow: Workflow) -> Any:
    """The answer to what was started last."""
    events = events_until_idle(workflow)
    assert events[-1].kind == "done", events[-1]
    return events[-1].value


@pytest.fixture
def workflow(scene: Any, server: Any) -> Iterator[Workflow]:
    """Connected."""
    found = Workflow(Logic(scene), Settings({}))
    found.connect(server.url)
    assert done(found).is_ok
    yield found
    found.close()


def upload(workflow: Workflow) -> None:
    """Upload the current volume, as the first request does."""
    assert workflow.client is not None
    image = workflow.logic.files.image_payload()
    workflow.client.uploads.open(image, CancelToken(), lambda progress: None)


def opened(workflow: Workflow, matrix: np.ndarray = AFFINE_RAS, seed: int = 7) -> np.ndarray:
    """Work on a volume with the ball in it, a new one in the scene; the ball in its voxels."""
    scene = workflow.logic.nodes.scene
    workflow.logic.nodes.select(volume(scene, matrix, picture(seed)))
    return ball()


def drag_around(workflow: Workflow, truth: np.ndarray, axis: int, index: int) -> None:
    """Drag a box around the object on a slice, in a view of that slice."""
    logic = workflow.logic
    assert logic.nodes.grid is not None
    place: list[Any] = [slice(None)] * 3
    place[axis] = slice(index, index + 1)
    part = np.zeros_like(truth)
    part[tuple(place)] = truth[tuple(place)]
    where = np.argwhere(part)
    low, high = where.min(axis=0), where.max(axis=0)
    across, along = (a for a in range(3) if a != axis)

    def world(voxel: Any) -> np.ndarray:
        return Frames.to_world(logic.nodes.grid.ras(voxel), logic.nodes.volume)[0]  # type: ignore[union-attr]

    middle = (low + high) / 2
    x, y = (world(middle + np.eye(3)[a]) - world(middle) for a in (across, along))
    view = slice_view(logic.nodes.scene, world(middle), x, y)
    logic.prompts.add_box_on_slice(view, pixel(view, world(low)), pixel(view, world(high)))


def dice(workflow: Workflow, truth: np.ndarray, axis: int, index: int) -> float:
    """Dice of the current segment and the truth on a slice."""
    logic = workflow.logic
    found = segment_voxels(
        logic.nodes.segmentation, logic.nodes.segment_id, logic.nodes.volume
    ).take(index, axis)
    expected = truth.take(index, axis)
    return float(2 * (found & expected).sum() / (found.sum() + expected.sum()))


@pytest.mark.parametrize("order", [ORDERS[number] for number in (0, 13, 22, 39, 47)], ids=str)
def test_a_box_segments_the_right_voxels(workflow: Workflow, order: Any) -> None:
    axes, signs = order
    logic = workflow.logic
    stored_ijk = np.flip(ball().transpose(axes), [a for a in range(3) if signs[a] < 0])
    image = np.flip(picture().transpose(axes), [a for a in range(3) if signs[a] < 0])
    logic.nodes.select(volume(logic.nodes.scene, stored(order), np.ascontiguousarray(image)))
    axis = axes.index(2)
    index = 4 if signs[axis] > 0 else SHAPE_IJK[2] - 1 - 4
    drag_around(workflow, stored_ijk, axis, index)
    workflow.segment(Parameters())
    applied = done(workflow)
    assert applied.added > 100
    assert dice(workflow, stored_ijk, axis, index) > LIKE
    others = segment_voxels(logic.nodes.segmentation, logic.nodes.segment_id, logic.nodes.volume)
    assert others.sum() == applied.added  # on this slice only
    assert np.flatnonzero(
        ~np.isnan(logic.predictions.strip(axis, stored_ijk.shape[axis]))
    ).tolist() == [index]


def test_a_volume_under_a_bent_transform(workflow: Workflow) -> None:
    truth = opened(workflow)
    bent(workflow.logic.nodes.scene, workflow.logic.nodes.volume)
    workflow.logic.nodes.select(workflow.logic.nodes.volume)
    drag_around(workflow, truth, 2, 4)
    workflow.segment(Parameters())
    done(workflow)
    assert dice(workflow, truth, 2, 4) > LIKE


def test_an_image_is_sent_once(workflow: Workflow) -> None:
    truth = opened(workflow)
    drag_around(workflow, truth, 2, 4)
    workflow.segment(Parameters())
    first = [event.value.text for event in events_until_idle(workflow) if event.kind == "progress"]
    workflow.segment(Parameters())
    again = [event.value.text for event in events_until_idle(workflow) if event.kind == "progress"]
    assert any(what.startswith("sending") for what in first)
    assert not any(what.startswith("sending") for what in again)


def metric(workflow: Workflow, name: str) -> float:
    """Value of one of the server's metrics."""
    assert workflow.client is not None
    reply = workflow.client._transport.request("GET", "/metrics", CancelToken())
    (value,) = re.findall(rf"^segsam_{name} (.+)$", reply.body.decode(), re.MULTILINE)
    return float(value)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_slice_that_is_looked_at_is_encoded_ahead(workflow: Workflow) -> None:
    opened(workflow, seed=23)
    upload(workflow)
    wait_for(lambda: metric(workflow, "prefetch_images") == 0)  # as it was sent, by itself
    before = metric(workflow, "embeddings_ahead")
    workflow.prefetch(Parameters(), 0, 40)
    assert done(workflow) is None
    wait_for(lambda: metric(workflow, "embeddings_ahead") > before)


def test_looking_sends_no_image(workflow: Workflow) -> None:
    opened(workflow, seed=29)
    workflow.prefetch(Parameters(), 2, 4)
    assert done(workflow) is None
    assert workflow.client is not None
    assert not workflow.client.uploads._sessions


def test_a_session_that_the_server_has_forgotten(workflow: Workflow) -> None:
    truth = opened(workflow)
    upload(workflow)
    assert workflow.client is not None
    uploads = workflow.client.uploads
    (session,) = uploads._sessions.values()
    Client(workflow.client.address)._transport.request(
        "DELETE", f"/session/{session}", CancelToken()
    )
    drag_around(workflow, truth, 2, 4)
    workflow.segment(Parameters())
    assert done(workflow).added > 100


def test_a_cancelled_request_changes_nothing(workflow: Workflow) -> None:
    truth = opened(workflow, seed=11)
    drag_around(workflow, truth, 2, 4)
    workflow.segment(Parameters())
    assert workflow.cancel("segment")
    assert not workflow.worker.is_busy
    assert [event.kind for event in events_until_idle(workflow)] == ["cancelled"]
    logic = workflow.logic
    assert not segment_voxels(
        logic.nodes.segmentation, logic.nodes.segment_id, logic.nodes.volume
    ).any()
    workflow.segment(Parameters())  # and the next one works
    assert done(workflow).added > 100


def test_a_refusal_of_the_server_is_its_sentence(workflow: Workflow) -> None:
    truth = opened(workflow)
    drag_around(workflow, truth, 2, 4)
    workflow.segment(Parameters(decoder="semantic"))
    failed = events_until_idle(workflow)[-1]
    assert failed.kind == "failed"
    assert "with a trained semantic decoder" in str(failed.error)
    workflow.segment(Parameters(model="no such model"))
    assert "there is no model" in str(events_until_idle(workflow)[-1].error)


def test_the_loop_of_annotation(workflow: Workflow, scene: Any, server: Any) -> None:
    """Next image, segment, save; a colleague saves too; both labels are kept, either can win."""
    parameters = Parameters(strategy="first")
    workflow.next_sample(parameters)
    loaded = done(workflow)
    assert loaded.sample.why
    logic = workflow.logic
    assert logic.nodes.volume is loaded.node
    truth = ball()
    drag_around(workflow, truth, 2, 4)
    logic.choose_category("liver")
    workflow.segment(parameters)
    done(workflow)
    assert dice(workflow, truth, 2, 4) > LIKE
    mine = segment_voxels(logic.nodes.segmentation, logic.nodes.segment_id, logic.nodes.volume)
    workflow.submit()
    first = done(workflow)
    assert isinstance(first, Saved)
    assert (first.image_id, first.version) == (loaded.sample.image_id, 1)

    colleague = Client(Address.parse(server.url))
    theirs = logic.files.label_builder()()
    theirs.array_kji[:, :10] = 1
    saved = colleague.submit(theirs, "B", CancelToken(), lambda progress: None)
    assert isinstance(saved, Saved)

    workflow.submit()
    conflict = done(workflow)
    assert isinstance(conflict, Conflict)
    assert conflict.current is not None
    assert (conflict.current.number, conflict.current.user, conflict.own_version) == (2, "B", 3)

    own = logic.nodes.segmentation
    workflow.fetch_version(conflict.current.number)
    other = done(workflow)
    assert logic.nodes.segmentation is own
    segment = other.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "liver"
    fetched = segment_voxels(other, other.GetSegmentation().GetNthSegmentID(0), logic.nodes.volume)
    assert fetched.sum() > mine.sum()

    workflow.restore(conflict.own_version)
    assert done(workflow).version == 4
    workflow.submit()  # from the restored one on
    assert done(workflow).version == 5


def test_a_volume_of_the_users_own_is_saved_under_an_id_of_its_content(workflow: Workflow) -> None:
    opened(workflow, seed=23)
    logic = workflow.logic
    logic.nodes.volume.SetName("Doe, Jane 1970-01-01")
    drag_around(workflow, ball(), 2, 4)
    workflow.segment(Parameters())
    done(workflow)
    workflow.submit()
    saved = done(workflow)
    assert saved.version == 1
    assert saved.image_id.startswith("slicer-")
    assert logic.files.image_id == saved.image_id


def test_versions_and_training(workflow: Workflow) -> None:
    workflow.versions(Parameters())
    versions = done(workflow)
    assert versions.current == versions.versions[0].id == "0000"
    workflow.use_version(Parameters(), "0000")
    assert done(workflow).current == "0000"
    workflow.use_version(Parameters(), "0042")
    assert events_until_idle(workflow)[-1].kind == "failed"
    workflow.watch_training()
    assert done(workflow).state == "idle"
    workflow.train(Parameters(), max_epochs=0)
    failed = events_until_idle(workflow)[-1]
    assert failed.kind == "failed"
    assert failed.error is not None
    assert "max_epochs" in str(failed.error)


class TestConsent:
    """No image goes to another computer without the user's consent."""

    def test_it_is_asked_for_before_the_first_image(
        self, scene: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []
        monkeypatch.setattr(socket.socket, "connect", lambda self, where: asked.append(where))
        workflow = Workflow(Logic(scene), Settings({}))
        workflow.client = Client(Address.parse("https://segsam.example.org"))
        opened(workflow)
        workflow.logic.prompts.add_point(AFFINE_RAS[:3, 3])
        for verb in (
            lambda: workflow.segment(Parameters()),
            workflow.submit,
            lambda: workflow.segment_category("liver", 2, 4, Parameters()),
        ):
            with pytest.raises(ConsentNeededError, match=r"segsam\.example\.org"):
                verb()
        assert asked == []
        assert not workflow.worker.is_busy

    def test_without_a_server(self, scene: Any) -> None:
        workflow = Workflow(Logic(scene), Settings({}))
        with pytest.raises(ClientError, match="Connect to a server first"):
            workflow.versions(Parameters())
