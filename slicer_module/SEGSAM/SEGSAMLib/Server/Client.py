"""The server's routes as methods: HTTP only, blocking, to be called in a `Worker`'s threads.

Every method takes `cancel` (a `Worker.CancelToken`) and raises `ClientError` with a sentence for
whatever went wrong: nothing that a server says, however broken, raises anything else.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Mapping
from urllib.parse import quote

from SEGSAMLib.Errors import CancelledError, ClientError
from SEGSAMLib.Server.Http import Http, HttpRequest
from SEGSAMLib.Server.HttpReply import check_status, json_of
from SEGSAMLib.Server.MultipartForm import multipart
from SEGSAMLib.Server.ReplyReaders import (
    read_infer,
    read_info,
    read_label_versions,
    read_saved,
    read_training,
    read_versions,
)
from SEGSAMLib.Server.Transport import FileForm, Transport
from SEGSAMLib.Server.Uploads import ID, Uploads
from SEGSAMLib.Server.Worker import CancelToken, Progress, ReportProgress
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.ImageFiles import ImagePayload, LabelPayload, nrrd_file
from SEGSAMLib.Values.Replies import (
    Conflict,
    Diagnosis,
    InferReply,
    Sample,
    Saved,
    ServerInfo,
    TrainingStatus,
    Versions,
)

INFER_SECONDS = 180.0
"""The server gives up first (its setting `infer_seconds` is 120)."""
TAG = "final"
_ASKS_PROGRESS_SECONDS = 0.5


class Client:
    """One server. Safe from several threads; keeps no connection open between calls."""

    def __init__(self, address: Address, *, token: str = "", ca_file: str = "") -> None:
        """Connects nowhere. Raises `ClientError` when `ca_file` cannot be read."""
        self.address = address
        self._channel = Transport(Http(address, token=token, ca_file=ca_file))
        self._uploads = Uploads(self._channel, small=not address.is_loopback)

    # -- connection

    def diagnose(self, cancel: CancelToken) -> Diagnosis:
        """Whether the server can be used, and if not, why: one line. Raises nothing but
        `CancelledError`.
        """
        try:
            info = self.info(cancel)
        except CancelledError:
            raise
        except ClientError as error:
            return Diagnosis(False, error.code, str(error))
        if not info.is_segsam:
            line = (
                f"{self.address.url} is the MONAI Label app {info.name or 'without a name'}, which "
                "does not speak SEG-SAM's dialect; start the app of SEG-SAM there."
            )
            return Diagnosis(False, "wrong_server", line, info)
        trained = next((model for model in info.models if model.categories), None)
        names = f"names {len(trained.categories)} categories" if trained else "names nothing"
        line = f"Connected to {info.name} {info.version} at {self.address.url}: {names}."
        if self.address.is_open_to_readers:
            line += " The way there is not encrypted: use https for patients' images."
        return Diagnosis(True, "ok", line, info)

    def info(self, cancel: CancelToken) -> ServerInfo:
        """Name, version, models, categories, strategies."""
        return read_info(self._channel.get("/info/", cancel))

    # -- segmentation

    def infer(
        self,
        model: str,
        image: ImagePayload,
        request: Mapping[str, Any],
        cancel: CancelToken,
        tell: ReportProgress,
    ) -> InferReply:
        """Segment. The image is sent first when the server does not have it, or not any more."""
        where = self._uploads.where(image, cancel, tell)
        try:
            value = self._infer(model, where, request, cancel, tell)
        except ClientError as error:
            if error.status not in (404, 410) or "session_id" not in where:
                raise
            self._uploads.forget(where["session_id"])  # it has ended by itself, or with the server
            where = self._uploads.where(image, cancel, tell)
            value = self._infer(model, where, request, cancel, tell)
        return read_infer(value, image.grid, str(request["request_id"]))

    def upload(self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress) -> None:
        """Send an image ahead of the first prompt."""
        self._uploads.where(image, cancel, tell)

    def look(
        self, model: str, image: ImagePayload, view: Mapping[str, str], cancel: CancelToken
    ) -> None:
        """Tell which slice is looked at (`axis`, `slice`, `window`), of an image that the server
        has; nothing is sent of another one.
        """
        session = self._uploads.session(image)
        if session is not None:
            query = {"session_id": session, "model": model, **view}
            check_status(self._channel.ask("POST", "/prefetch", cancel, query=query))

    def close(self, cancel: CancelToken) -> None:
        """End the sessions that were opened; what cannot be reached ends by itself."""
        self._uploads.close(cancel)

    # -- images and labels

    def next_sample(
        self, strategy: str, cancel: CancelToken, tell: ReportProgress
    ) -> Sample | None:
        """The next image to annotate, already fetched to a temporary file, which the caller
        deletes; None when all are done.
        """
        value = json_of(
            self._channel.ask("POST", f"/activelearning/{quote(strategy)}", cancel, json_body={})
        )
        if not value:
            return None
        image_id = value.get("id")
        if not isinstance(image_id, str) or not ID.fullmatch(image_id):
            raise ClientError(f"The server named an image {image_id!r:.60}.", code="reply")
        tell(Progress(0, 0, f"fetching {image_id}"))
        path = self._channel.fetch("/datastore/image", {"image": image_id}, cancel)
        score, why = value.get("score"), value.get("why")
        try:
            current, _ = self.label_versions(image_id, cancel)
        except ClientError as error:
            if error.status != 404:
                Path(path).unlink()
                raise
            current = 0
        return Sample(
            image_id,
            path,
            why if isinstance(why, str) else "",
            strategy,
            float(score) if isinstance(score, (int, float)) else None,
            current,
        )

    def add_image(self, image: ImagePayload, cancel: CancelToken, tell: ReportProgress) -> str:
        """Put an image into the server's study folder, so that its label can be saved; its id."""
        return self._uploads.add(image, cancel, tell)

    def submit(
        self, label: LabelPayload, user: str, cancel: CancelToken, tell: ReportProgress
    ) -> Saved | Conflict:
        """Save a label with the tag `final`. A label that somebody else saved since is a value,
        not an error: the server keeps both, and theirs stays current.
        """
        info = {"label_names": {name: value for value, name in label.names.items()}}
        fields = {"params": json.dumps({**info, **({"user": user} if user else {})})}
        headers = {} if label.version is None else {"If-Match": f'"{label.version}"'}
        query = {"image": label.image_id, "tag": TAG}
        with nrrd_file(label.array_kji, label.grid, cancel.check, small=True) as file:
            form = FileForm("label", "label.nrrd", file, fields)
            reply = self._channel.put(
                "/datastore/label", form, cancel, tell, query=query, headers=headers
            )
        try:
            return read_saved(json_of(reply), label.image_id, "label")
        except ClientError as error:
            if error.status != 409:
                raise
            current, versions = self.label_versions(label.image_id, cancel)
            kept = [version.number for version in versions if version.kind == "conflict"]
            if not kept:
                raise  # about something else
            theirs = next((each for each in versions if each.number == current), None)
            began = label.version or 0
            return Conflict(label.image_id, str(error), began, kept[-1], theirs)

    def label_versions(self, image_id: str, cancel: CancelToken) -> tuple[int, tuple[Any, ...]]:
        """The number of the current label (0: none), and every `LabelVersion`, oldest first."""
        query = {"label": image_id, "tag": TAG}
        return read_label_versions(self._channel.get("/datastore/label/versions", cancel, query))

    def label_file(self, image_id: str, version: int, cancel: CancelToken) -> str:
        """One version of a label as a temporary file, which the caller deletes."""
        query = {"label": image_id, "tag": TAG, "version": str(version)}
        return self._channel.fetch("/datastore/label/version", query, cancel)

    def restore(self, image_id: str, version: int, cancel: CancelToken) -> Saved:
        """Make a version of a label current again, as a new one."""
        query = {"label": image_id, "tag": TAG, "version": str(version)}
        reply = self._channel.ask("POST", "/datastore/label/restore", cancel, query=query)
        return read_saved(json_of(reply), image_id, "restored label")

    # -- training and versions

    def train(self, model: str, settings: Mapping[str, Any], cancel: CancelToken) -> TrainingStatus:
        """Start a training."""
        path = f"/train/{quote(model)}"
        return read_training(
            json_of(self._channel.ask("POST", path, cancel, json_body=dict(settings)))
        )

    def training(self, cancel: CancelToken) -> TrainingStatus:
        """How the training that runs is, or the last one was; `idle` when there was none."""
        try:
            return read_training(self._channel.get("/train/", cancel))
        except ClientError as error:
            if error.status != 404:
                raise
            return TrainingStatus("idle")

    def stop_training(self, cancel: CancelToken) -> TrainingStatus:
        """Stop what runs; what it learnt so far is kept by the server."""
        check_status(self._channel.ask("DELETE", "/train/", cancel))
        return self.training(cancel)

    def versions(self, model: str, cancel: CancelToken) -> Versions:
        """All versions of a model, and which is in use."""
        return read_versions(self._channel.get(f"/versions/{quote(model)}", cancel))

    def use_version(self, model: str, version: str, cancel: CancelToken) -> Versions:
        """Use another version from the next inference on: the choice, and the way back."""
        path = f"/versions/{quote(model)}/use"
        reply = self._channel.ask("POST", path, cancel, json_body={"version": version})
        return read_versions(json_of(reply))

    # -- how

    def _infer(
        self,
        model: str,
        where: Mapping[str, str],
        request: Mapping[str, Any],
        cancel: CancelToken,
        tell: ReportProgress,
    ) -> Mapping[str, Any]:
        headers, head, tail = multipart({"params": json.dumps(request)})
        call = HttpRequest(
            "POST",
            f"/infer/{quote(model)}",
            {**where, "output": "json"},
            headers,
            head + tail,
            reply_seconds=INFER_SECONDS,
        )
        tell(Progress(0, 0, "segmenting"))
        ended = threading.Event()
        watcher = threading.Thread(
            target=self._watch_progress,
            args=(str(request["request_id"]), ended, tell),
            name="SEGSAM progress",
            daemon=True,
        )
        watcher.start()
        try:
            return json_of(self._channel.http.ask(call, cancel))
        finally:
            ended.set()

    def _watch_progress(
        self, request_id: str, ended: threading.Event, tell: ReportProgress
    ) -> None:
        """ReportProgress how many slices are done, as long as the server knows."""
        nobody = CancelToken()
        while not ended.wait(_ASKS_PROGRESS_SECONDS):
            try:
                value = self._channel.get(f"/segsam/progress/{quote(request_id)}", nobody)
            except ClientError as error:
                if error.status in (404, 503):
                    continue  # it waits for its turn, or has just ended
                return
            done, planned = value.get("done"), value.get("planned")
            if isinstance(done, int) and isinstance(planned, int) and not ended.is_set():
                tell(Progress(done, max(planned, done), f"slice {done} of {max(planned, done)}"))
