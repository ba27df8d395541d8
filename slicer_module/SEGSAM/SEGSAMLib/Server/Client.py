"""Routes of the server as methods. HTTP only, blocking, to be called in the threads of a `Worker`.

Every method takes `cancel` (a `CancelToken`) and raises `ClientError` with a sentence for every
problem; no reply of a server, however broken, raises anything else.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Mapping
from urllib.parse import quote

from SEGSAMLib.Errors import CancelledError, ClientError
from SEGSAMLib.Server.DraftRoutes import DraftRoutes
from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import check_status, json_object
from SEGSAMLib.Server.MultipartForm import multipart
from SEGSAMLib.Server.ReplyReaders import (
    read_find,
    read_infer,
    read_info,
    read_label_versions,
    read_offer,
    read_saved,
    read_training,
    read_versions,
)
from SEGSAMLib.Server.Transport import FileForm, Transport
from SEGSAMLib.Server.Uploads import ID, Uploads
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.ImageFiles import ImagePayload, LabelPayload, nrrd_file
from SEGSAMLib.Values.Replies import (
    Conflict,
    Diagnosis,
    FindReply,
    InferReply,
    LabelVersion,
    Sample,
    Saved,
    ServerInfo,
    TrainingStatus,
    Versions,
)

INFER_SECONDS = 180.0
"""Longer than the server's own limit (its setting `infer_seconds` is 120), so that its error
arrives.
"""
TAG = "final"
_PROGRESS_SECONDS = 0.5
_LEARNING = "learning"
"""Beginning of the server's report of a step of learning from confirmed slices."""


class Client:
    """Client of one server. Safe to use from several threads; keeps no connection between calls."""

    def __init__(
        self, address: Address, *, token: str = "", ca_file: str = "", draft_key: str = ""
    ) -> None:
        """Prepare the client without connecting. Raises `ClientError` if `ca_file` cannot be
        read.
        """
        self.address = address
        self._transport = Transport(Http(address, token=token, ca_file=ca_file))
        self.uploads = Uploads(self._transport, compress=not address.is_loopback)
        self.drafts = DraftRoutes(self._transport.http, draft_key)

    # -- connection

    def diagnose(self, cancel: CancelToken) -> Diagnosis:
        """Test if the server can be used, and if not, say why in one line. Raises only
        `CancelledError`.
        """
        try:
            info = self.info(cancel)
        except CancelledError:
            raise
        except ClientError as error:
            return Diagnosis(False, error.code, str(error))
        if not info.is_segsam:
            line = _(
                "{url} is the MONAI Label app {name}, which does not have the SEG-SAM requests; "
                "start the SEG-SAM app there."
            ).format(url=self.address.url, name=info.name or _("without a name"))
            return Diagnosis(False, "wrong_server", line, info)
        trained = next((model for model in info.models if model.categories), None)
        line = (
            _("Connected to {name} {version} at {url}: names {count} categories.")
            if trained
            else _("Connected to {name} {version} at {url}: names nothing.")
        ).format(
            name=info.name,
            version=info.version,
            url=self.address.url,
            count=len(trained.categories) if trained else 0,
        )
        if self.address.is_unencrypted:
            unsafe = _("The connection is not encrypted: use https for images of patients.")
            line = f"{line} {unsafe}"
        return Diagnosis(True, "ok", line, info)

    def info(self, cancel: CancelToken) -> ServerInfo:
        """Return name, version and models of the server."""
        return read_info(self._transport.get_json("/info/", cancel))

    # -- segmentation

    def infer(
        self,
        model: str,
        image: ImagePayload,
        request: Mapping[str, Any],
        cancel: CancelToken,
        report: ReportProgress,
    ) -> InferReply:
        """Segment an image. The image is uploaded first if the server does not have it."""
        value = self._answer(model, image, request, cancel, report)
        return read_infer(value, image.grid, str(request["request_id"]))

    def find(
        self,
        model: str,
        image: ImagePayload,
        request: Mapping[str, Any],
        cancel: CancelToken,
        report: ReportProgress,
    ) -> FindReply:
        """Find objects by their names. The image is uploaded first if the server does not have
        it.
        """
        value = self._answer(model, image, request, cancel, report)
        return read_find(value, image.grid, str(request["request_id"]))

    def _answer(
        self,
        model: str,
        image: ImagePayload,
        request: Mapping[str, Any],
        cancel: CancelToken,
        report: ReportProgress,
    ) -> Mapping[str, Any]:
        session = self.uploads.open(image, cancel, report)
        try:
            return self._infer(model, session, request, cancel, report)
        except ClientError as error:
            if error.status not in (404, 410):
                raise
            # The session has expired, or the server was restarted.
            self.uploads.forget(session)
            session = self.uploads.open(image, cancel, report)
            return self._infer(model, session, request, cancel, report)

    def prefetch(
        self, model: str, image: ImagePayload, view: Mapping[str, str], cancel: CancelToken
    ) -> None:
        """Ask the server to encode the slices around the one in view (`axis`, `slice`, `window`).
        Does nothing for an image that was not uploaded yet.
        """
        session = self.uploads.known_session(image)
        if session is not None:
            query = {"session_id": session, "model": model, **view}
            check_status(self._transport.request("POST", "/prefetch", cancel, query=query))

    # -- images and labels

    def next_sample(
        self, strategy: str, cancel: CancelToken, report: ReportProgress
    ) -> Sample | None:
        """Download the next image to annotate to a temporary file, which the caller deletes. Return
        None if every image has a label. Raises `ClientError` if the rest cannot be opened.
        """
        path = f"/activelearning/{quote(strategy)}"
        value = json_object(self._transport.request("POST", path, cancel, json_body={}))
        if not value:
            return None
        offer = read_offer(value)
        image_id = value.get("id")
        if not isinstance(image_id, str) or not ID.fullmatch(image_id):
            sentence = _("Expected the id of an image, got {found}.")
            raise ClientError(sentence.format(found=repr(image_id)[:60]), code="reply")
        report(Progress(0, 0, _("downloading {image}").format(image=image_id)))
        file = self._transport.download("/datastore/image", {"image": image_id}, cancel)
        try:
            current, _versions = self.label_versions(image_id, cancel)
        except ClientError as error:
            if error.status != 404:
                Path(file).unlink()
                raise
            current = 0
        return Sample(image_id, file, offer.why, current, offer.notes)

    def submit(
        self, label: LabelPayload, user: str, cancel: CancelToken, report: ReportProgress
    ) -> Saved | Conflict:
        """Save a label with the tag `final`. If another user saved one since, a `Conflict` is
        returned: the server keeps both labels, and the other user's stays current.
        """
        info = {"label_names": {name: value for value, name in label.names.items()}}
        fields = {"params": json.dumps({**info, **({"user": user} if user else {})})}
        headers = {} if label.version is None else {"If-Match": f'"{label.version}"'}
        query = {"image": label.image_id, "tag": TAG}
        with nrrd_file(label.array_kji, label.grid, cancel.check, small=True) as file:
            form = FileForm("label", "label.nrrd", file, fields)
            reply = self._transport.upload(
                "/datastore/label", form, cancel, report, query=query, headers=headers
            )
        try:
            return read_saved(json_object(reply), label.image_id)
        except ClientError as error:
            if error.status != 409:
                raise
            current, versions = self.label_versions(label.image_id, cancel)
            own = [version.number for version in versions if version.kind == "conflict"]
            if not own:
                raise  # the server refused for another reason
            theirs = next((each for each in versions if each.number == current), None)
            return Conflict(label.image_id, str(error), own[-1], theirs)

    def label_versions(
        self, image_id: str, cancel: CancelToken
    ) -> tuple[int, tuple[LabelVersion, ...]]:
        """Return the number of the current label (0: none) and all versions, oldest first."""
        query = {"label": image_id, "tag": TAG}
        value = self._transport.get_json("/datastore/label/versions", cancel, query)
        return read_label_versions(value)

    def label_file(self, image_id: str, version: int, cancel: CancelToken) -> str:
        """Download one version of a label to a temporary file, which the caller deletes."""
        query = {"label": image_id, "tag": TAG, "version": str(version)}
        return self._transport.download("/datastore/label/version", query, cancel)

    def restore(self, image_id: str, version: int, cancel: CancelToken) -> Saved:
        """Make a version of a label current again, as a new version."""
        query = {"label": image_id, "tag": TAG, "version": str(version)}
        reply = self._transport.request("POST", "/datastore/label/restore", cancel, query=query)
        return read_saved(json_object(reply), image_id)

    # -- training and versions

    def train(self, model: str, settings: Mapping[str, Any], cancel: CancelToken) -> TrainingStatus:
        """Start a training."""
        path = f"/train/{quote(model)}"
        reply = self._transport.request("POST", path, cancel, json_body=dict(settings))
        return read_training(json_object(reply))

    def training(self, cancel: CancelToken) -> TrainingStatus:
        """Return the state of the running or last training, `idle` if there was none."""
        try:
            return read_training(self._transport.get_json("/train/", cancel))
        except ClientError as error:
            if error.status != 404:
                raise
            return TrainingStatus("idle")

    def stop_training(self, cancel: CancelToken) -> TrainingStatus:
        """Stop the running training; the server keeps what was learnt so far."""
        check_status(self._transport.request("DELETE", "/train/", cancel))
        return self.training(cancel)

    def versions(self, model: str, cancel: CancelToken) -> Versions:
        """Return all versions of a model, and which is in use."""
        return read_versions(self._transport.get_json(f"/versions/{quote(model)}", cancel))

    def use_version(self, model: str, version: str, cancel: CancelToken) -> Versions:
        """Use another version, newer or older, from the next inference on."""
        path = f"/versions/{quote(model)}/use"
        reply = self._transport.request("POST", path, cancel, json_body={"version": version})
        return read_versions(json_object(reply))

    def _infer(
        self,
        model: str,
        session: str,
        request: Mapping[str, Any],
        cancel: CancelToken,
        report: ReportProgress,
    ) -> Mapping[str, Any]:
        headers, head, tail = multipart({"params": json.dumps(request)})
        call = HttpRequest(
            "POST",
            f"/infer/{quote(model)}",
            {"session_id": session, "output": "json"},
            headers,
            head + tail,
            reply_seconds=INFER_SECONDS,
        )
        report(Progress(0, 0, _("segmenting")))
        ended = threading.Event()
        watcher = threading.Thread(
            target=self._watch_progress,
            args=(str(request["request_id"]), ended, report),
            name="SEGSAM progress",
            daemon=True,
        )
        watcher.start()
        try:
            return json_object(self._transport.http.send(call, cancel))
        finally:
            ended.set()

    def _watch_progress(
        self, request_id: str, ended: threading.Event, report: ReportProgress
    ) -> None:
        """Report how many slices are done until the request has ended."""
        never = CancelToken()
        while not ended.wait(_PROGRESS_SECONDS):
            try:
                value = self._transport.get_json(f"/segsam/progress/{quote(request_id)}", never)
            except ClientError as error:
                if error.status in (404, 503):
                    continue  # the request waits in the queue, or has just ended
                return
            done, planned = value.get("done"), value.get("planned")
            if isinstance(done, int) and isinstance(planned, int) and not ended.is_set():
                total = max(planned, done)
                is_learning = str(value.get("what")).startswith(_LEARNING)
                text = (
                    _("learning from your slices: {done} of {total}")
                    if is_learning
                    else _("slice {done} of {total}")
                )
                report(Progress(done, total, text.format(done=done, total=total)))
