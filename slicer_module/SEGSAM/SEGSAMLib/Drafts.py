"""Unsaved work kept on the server, so that a crash of Slicer loses nothing.

`tick` is called about every second. Some seconds after the last change of a segment it sends the
draft of the current segmentation. When an image is opened, it first asks the server for a draft of
it; the panel offers what comes. One request runs at a time, and none is cancelled for another one,
so that they reach the server in their order.

A draft goes only to the server that has the image, under the consent that was given for the image.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Callable, Hashable

from SEGSAMLib.Errors import ClientError, DraftError, NodeError
from SEGSAMLib.Parameters import Settings
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.DraftRoutes import GONE
from SEGSAMLib.Server.Worker import CancelToken, ReportProgress, Worker
from SEGSAMLib.Values.Draft import Draft
from SEGSAMLib.Values.ImageFiles import ImagePayload

TASK = "draft"
WAIT_SECONDS = 3.0
"""Time without a change before a draft is sent."""
RETRY_SECONDS = 60.0
"""Time after which a request that failed is made again."""


@dataclass
class _Image:
    """Image on a server. Nothing is sent before it `is_settled` what to do with the draft that may
    be there, which would be replaced.
    """

    content: str = ""
    is_settled: bool = False
    is_known: bool = False
    """True if the server has the image, or had a draft of it."""
    not_before: float = 0.0
    """Time of the next request, later after a failure."""
    sent: Hashable = None
    """State of the segments that the server has."""

    def settle(self, sent: Hashable) -> None:
        self.is_settled, self.not_before, self.sent = True, 0.0, sent


@dataclass(frozen=True)
class Offer:
    """Draft that was found for the current image, for the user to continue or to delete."""

    draft: Draft
    image: _Image


class Drafts:
    """Drafts of the images that one widget works on. For the GUI thread only.

    Values of the events of its task: an `Offer`, the number of segments that came back, None.
    """

    def __init__(self, logic: Logic, settings: Settings, worker: Worker) -> None:
        self.clock = time.monotonic
        self._client: Client | None = None
        self._logic = logic
        self._settings = settings
        self._worker = worker
        self._images: dict[tuple[str, str], _Image] = {}
        self._to_delete: list[str] = []
        """Contents of images whose draft is to be deleted; an empty one stands for all."""
        self._seen: tuple[Hashable, float] = (None, 0.0)

    def use(self, client: Client | None) -> None:
        """Use another client from now on, None for none."""
        self._client = client
        self._to_delete.clear()

    def tick(self) -> bool:
        """Start what is due, at most one request. Return True if something was started. Raises
        `SegSamError` if the segments cannot be read.
        """
        client, current = self._client, self._current()
        if client is None or not client.drafts.are_kept or self._worker.is_running(TASK):
            return False
        if self._to_delete:
            content = self._to_delete.pop()
            self._worker.start(TASK, lambda cancel, report: client.drafts.delete(content, cancel))
        elif current is not None and self.clock() >= current[1].not_before:
            payload, image = current
            if not image.is_settled:
                self._fetch(client, payload, image)
            elif self._has_changed(client, image):
                self._send(client, image)
        return self._worker.is_running(TASK)

    def accept(self, offer: Offer) -> None:
        """Add the segments of a draft to the scene. Raises `NodeError`."""
        edit, nodes = self._logic.drafts.restore_edit(offer.draft), self._logic.nodes
        offer.image.not_before = self.clock() + RETRY_SECONDS  # in case that it fails

        def commit(computed: Any) -> int:
            count: int = nodes.commit_edit(edit, computed)
            offer.image.settle(self._logic.drafts.state())
            return count

        self._worker.start(TASK, lambda cancel, report: edit.compute(edit.layers), commit)

    def decline(self, offer: Offer) -> None:
        """Delete a draft."""
        offer.image.settle(None)
        self._to_delete.append(offer.image.content)

    def forget(self) -> None:
        """Delete all drafts of this user on the server. The segments at hand are sent again only
        when they are changed.
        """
        state = self._logic.drafts.state()
        for image in self._images.values():
            image.settle(state)
        self._to_delete = [""]

    def ending(self) -> Callable[[], None]:
        """Return a function to call when the work in the scene, as it is now, was saved on the
        server: it deletes the draft.
        """
        state, current = self._logic.drafts.state(), self._current()

        def end() -> None:
            if current is not None and current[1].content:
                current[1].settle(state)
                self._to_delete.append(current[1].content)

        return end

    # -- internals

    def _current(self) -> tuple[ImagePayload, _Image] | None:
        """Return the current volume if its drafts may be asked for and sent, else None."""
        url = "" if self._client is None else self._client.address.url
        if not url or not self._settings.keeps_drafts(url):
            return None
        try:
            payload = self._logic.files.image_payload()
        except NodeError:  # no volume, or an empty one
            return None
        if not payload.image_id and not self._settings.has_consent(url):
            return None
        return payload, self._images.setdefault((url, payload.key), _Image())

    def _has_changed(self, client: Client, image: _Image) -> bool:
        """Return True if the server has the image and its segments were changed, some seconds
        ago.
        """
        state, now = self._logic.drafts.state(), self.clock()
        if state != self._seen[0]:
            self._seen = (state, now)
        is_known = image.is_known or client.uploads.has_sent(image.content)
        is_changed = state not in (None, image.sent)
        return is_known and is_changed and now >= self._seen[1] + WAIT_SECONDS

    def _fetch(self, client: Client, payload: ImagePayload, image: _Image) -> None:
        has_segments = self._logic.drafts.state() is not None
        build = self._logic.drafts.builder() if has_segments else None

        def fetch(cancel: CancelToken, report: ReportProgress) -> Draft | None:
            image.content = client.uploads.content(payload, cancel, report)
            try:
                value = client.drafts.get(image.content, cancel)
                draft = None if value is None else Draft.from_json(value, payload.grid)
            except ClientError as error:
                if error.status == GONE:
                    image.settle(None)
                raise
            except DraftError:
                image.not_before = math.inf  # it stays there, for the version that can read it
                raise
            is_here = draft is not None and build is not None and build().has_same(draft)
            return None if is_here or draft is None or draft.is_empty else draft

        def use(draft: Draft | None) -> Offer | None:
            current = self._current()
            if draft is None:
                image.settle(None)
            elif current is not None and current[1] is image:
                image.is_known, image.not_before = True, math.inf
                return Offer(draft, image)
            return None  # of another volume that was chosen meanwhile: it is asked for again

        image.not_before = self.clock() + RETRY_SECONDS
        self._worker.start(TASK, fetch, use)

    def _send(self, client: Client, image: _Image) -> None:
        state, build = self._logic.drafts.state(), self._logic.drafts.builder()
        before, image.sent, image.is_known = image.sent, state, True

        def send(cancel: CancelToken, report: ReportProgress) -> None:
            draft = build()
            try:
                if not draft.is_empty:
                    client.drafts.put(image.content, draft.to_json(), cancel)
                elif before is not None:
                    client.drafts.delete(image.content, cancel)
            except ClientError:
                image.sent, image.not_before = before, self.clock() + RETRY_SECONDS
                raise

        self._worker.start(TASK, send)
