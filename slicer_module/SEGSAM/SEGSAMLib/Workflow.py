"""Actions behind the buttons. Each starts its work in a thread and returns at once.

`poll` applies finished work to the scene and returns events. Each action belongs to a task, and a
new action of a task cancels the one that runs. This module connects `Scene` and `Server`.

    task        actions                                value of the event `done`
    connect     connect                                Diagnosis
    prefetch    prefetch                               None
    segment     segment, segment_category, complete    AppliedResult
    find        find                                   AppliedSearch
    undo        undo, redo                             None; only for changes that take long
    surface     refresh_surfaces                       None
    close       connect, after a client that was used  None
    sample      next_sample                            LoadedSample, None if all images have labels
    label       submit, fetch_version, restore         Saved, Conflict or a segmentation node
    train       train, watch_training, stop_training   TrainingStatus with the curve so far
    version     versions, use_version                  Versions
    draft       see `Drafts`                           Offer or Restored
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any, Callable

from SEGSAMLib.Drafts import Drafts
from SEGSAMLib.Errors import ClientError, ConsentNeededError, LicenceNeededError, NodeError
from SEGSAMLib.Parameters import Parameters, Settings
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.Worker import DEFERRED, CancelToken, Event, ReportProgress, Worker
from SEGSAMLib.Translation import tr as _
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.ImageFiles import ImagePayload
from SEGSAMLib.Values.Replies import (
    Conflict,
    Diagnosis,
    FindReply,
    InferReply,
    Model,
    Saved,
    TrainingStatus,
    Versions,
)
from SEGSAMLib.Values.Results import AppliedSearch
from SEGSAMLib.Values.VoxelEdit import VoxelEdit

BACKGROUND_TASKS = frozenset({"prefetch", "close", "draft"})
"""Tasks that the user does not wait for; the panel does not show them."""
_CLOSE_SECONDS = 2.0
_CLOSE_WAIT_SECONDS = 0.5
"""Wait for the server's sessions to end when the module ends: afterwards nothing lends Python's
lock to the thread that ends them.
"""


class Workflow:
    """Actions of one widget. They raise `SegSamError` with a sentence if they cannot start."""

    def __init__(self, logic: Logic, settings: Settings, worker: Worker | None = None) -> None:
        self.logic = logic
        self.settings = settings
        self.worker = worker if worker is not None else Worker()
        self.drafts = Drafts(logic, settings, self.worker)
        self.client: Client | None = None
        self._models: tuple[Model, ...] = ()
        self._curve: list[tuple[int, str, float]] = []

    @property
    def has_foreground_task(self) -> bool:
        """True while a task runs that the user waits for."""
        return bool(self.worker.tasks - BACKGROUND_TASKS)

    def poll(self) -> list[Event]:
        """Return the new events. Call it about every 20 ms while `worker.is_busy`."""
        events = self.worker.poll()
        if any(event.kind == "failed" and event.task == "segment" for event in events):
            self.logic.forget_request()
        return events

    def cancel(self, task: str = "segment") -> bool:
        """Cancel a task; it has ended when this returns. Return False if it was not running."""
        if task == "segment":
            self.logic.forget_request()
        return self.worker.cancel(task)

    def close(self) -> None:
        """Cancel everything. The server's sessions are closed in a thread, which is waited for half
        a second and ends within two.
        """
        self.worker.cancel_all()
        self.logic.forget_request()
        client, self.client = self.client, None
        self.drafts.use(None)
        if client is not None:
            cancel = CancelToken()
            closing = threading.Thread(target=client.uploads.close, args=(cancel,), daemon=True)
            closing.start()
            timer = threading.Timer(_CLOSE_SECONDS, cancel.set)
            timer.daemon = True
            timer.start()
            closing.join(_CLOSE_WAIT_SECONDS)

    # -- connection

    def connect(self, typed_address: str, token: str = "") -> None:
        """Test a server, and use it from then on if the test succeeds. Sessions of the client
        before are closed.
        """
        address = Address.parse(typed_address)
        token = token or self.settings.token(address.url)
        key = self.settings.draft_key(address.url)
        client = Client(address, token=token, ca_file=self.settings.ca_file, draft_key=key)

        def use(found: Diagnosis) -> Diagnosis:
            before, self.client = self.client, client if found.is_ok else None
            self.drafts.use(self.client)
            if before is not None:
                self._close_sessions(before)
            if found.is_ok:
                self.settings.server = address.url
            self._models = found.info.models if found.is_ok and found.info else ()
            return found

        self.worker.start("connect", lambda cancel, report: client.diagnose(cancel), use)

    # -- segmentation

    def prefetch(self, parameters: Parameters, axis: int, index: int) -> None:
        """Ask the server to encode the slices around the one that the user looks at, if it has the
        image and the user accepted the licence of the weights.
        """
        if self.client is not None and self._unaccepted(parameters) is None:
            image = self.logic.files.image_payload()
            view = {"axis": "ijk"[axis], "slice": str(index), "window": parameters.window}
            prefetch = partial(self.client.prefetch, parameters.model, image, view)
            self.worker.start("prefetch", lambda cancel, report: prefetch(cancel))

    def segment(self, parameters: Parameters) -> None:
        """Segment the object that the prompts mark. Raises `AgreementNeededError`, `PromptError`,
        `NodeError`.
        """
        self._infer(parameters, partial(self.logic.request, parameters))

    def segment_category(
        self, category: str, axis: int, index: int, parameters: Parameters
    ) -> None:
        """Segment another category on one slice, into a new segment."""
        make_request = self.logic.request_category
        self._infer(parameters, partial(make_request, category, axis, index, parameters))

    def complete(self, parameters: Parameters) -> None:
        """Segment the rest of the current segment from its confirmed slices. Raises
        `AgreementNeededError`, `NodeError`.
        """
        client, image = self._checked(parameters)
        completion = self.logic.completion(parameters)

        def infer(cancel: CancelToken, report: ReportProgress) -> InferReply:
            return client.infer(parameters.model, image, completion.request(), cancel, report)

        self.worker.start("segment", infer, self._apply)

    def find(self, name: str, parameters: Parameters) -> None:
        """Find the objects of a name; each goes into the segment of its name. Raises
        `AgreementNeededError`, `NodeError`.
        """
        client, image = self._checked(parameters)
        search = partial(client.find, parameters.model, image)
        request, volume = self.logic.find_request(name, parameters), self.logic.nodes.volume

        def apply(reply: FindReply) -> Any:
            if self.logic.nodes.volume is not volume:
                raise NodeError(_("Another volume was chosen meanwhile; nothing was changed."))
            return self._write_found(reply, 0, parameters)

        self.worker.start("find", partial(search, request), apply)

    def _write_found(self, reply: FindReply, number: int, parameters: Parameters) -> Any:
        """Write the objects of a reply from this number on, one after the other, as `_edit` does. A
        segmentation that runs meanwhile keeps its request.
        """
        if number == len(reply.objects):
            found = tuple((each.name, each.certainty) for each in reply.objects)
            return AppliedSearch(found, reply.not_found, reply.notes)
        waiting = self.logic.nodes.pending_request
        edit = self.logic.found_edit(reply.objects[number], parameters)

        def commit(computed: Any) -> Any:
            self.logic.nodes.commit_edit(edit, computed)
            self.logic.nodes.pending_request = waiting
            return self._write_found(reply, number + 1, parameters)

        if edit.is_quick:
            return commit(edit.compute(edit.layers))
        self.worker.start("find", lambda cancel, report: edit.compute(edit.layers), commit)
        return DEFERRED

    def withdraw(self) -> None:
        """Take back the result of prompts that were removed, if none that marks an object is left.
        Raises `NodeError`.
        """
        if self.logic.prompts.current.marks_object:
            return
        self.cancel("segment")
        edit = self.logic.withdrawal_edit()
        if edit is not None:
            self._edit("segment", edit)

    def reset_segment(self) -> None:
        """Remove all prompts and voxels of the current segment. Raises `NodeError`."""
        self.cancel("segment")
        self._step(self.logic.reset_edit())

    def undo(self) -> None:
        """Undo the newest step, and cancel a running segmentation. Raises `NodeError`."""
        self._step(self.logic.history.undo_edit())

    def redo(self) -> None:
        """Redo the step that was undone last. Raises `NodeError`."""
        self._step(self.logic.history.redo_edit())

    def refresh_surfaces(self) -> None:
        """Update the surfaces in the 3D view, if it shows any."""
        update = self.logic.surface_update()
        if update is not None:
            self.worker.start(
                "surface", lambda cancel, report: update.compute(cancel.check), update.show
            )

    # -- images and labels

    def next_sample(self, parameters: Parameters) -> None:
        """Load the next image to annotate."""
        client, strategy = self._connected(), parameters.strategy

        def load(sample: Any) -> Any:
            return None if sample is None else self.logic.files.load_sample(sample)

        self.worker.start(
            "sample", lambda cancel, report: client.next_sample(strategy, cancel, report), load
        )

    def submit(self) -> None:
        """Save the segmentation as the label of the volume, and the image too if the server does
        not have it. Raises `ConsentNeededError`, `NodeError`.
        """
        client, files = self._connected(), self.logic.files
        image, image_id = files.image_payload(), files.image_id
        build_label = files.label_builder()
        remember, end_draft = self._remembering(), self.drafts.ending()
        self._check_consent("")
        user = self.settings.user

        def send(cancel: CancelToken, report: ReportProgress) -> Saved | Conflict:
            label = build_label()
            target_id = image_id or client.uploads.add_image(image, cancel, report)
            return client.submit(replace(label, image_id=target_id), user, cancel, report)

        def saved(value: Saved | Conflict) -> Saved | Conflict:
            if isinstance(value, Saved):
                end_draft()
            return remember(value)

        self.worker.start("label", send, saved)

    def fetch_version(self, version: int = 0) -> None:
        """Load a version of the volume's label, the current one by default, as a segmentation
        beside the user's own.
        """
        client, image_id = self._connected(), self._image_id()
        remember = self._remembering()

        def fetch(cancel: CancelToken, report: ReportProgress) -> Any:
            current, versions = client.label_versions(image_id, cancel)
            number = version or current
            found = next((each for each in versions if each.number == number), None)
            if found is None:
                sentence = _("The server has no such version of this label.")
                raise ClientError(sentence, code="version")
            return current, found, client.label_file(image_id, number, cancel)

        def show(fetched: Any) -> Any:
            current, found, path = fetched
            title = (
                _("{image} version {number} of {user}")
                if found.user
                else _("{image} version {number}")
            ).format(image=image_id, number=found.number, user=found.user)
            node = self.logic.files.import_label(path, found.names, title)
            if found.number == current:
                remember(Saved(image_id, current))
            return node

        self.worker.start("label", fetch, show)

    def restore(self, version: int) -> None:
        """Make a version the current label again, for "Make mine current" after a conflict."""
        client, image_id = self._connected(), self._image_id()
        self.worker.start(
            "label",
            lambda cancel, report: client.restore(image_id, version, cancel),
            self._remembering(),
        )

    # -- training and versions

    def train(self, parameters: Parameters, **settings: Any) -> None:
        """Start a training with the server's settings, such as `max_epochs`."""
        client, model = self._connected(), parameters.model
        self._check_licence(parameters)
        self._curve.clear()
        self._start_training_task(lambda cancel: client.train(model, settings, cancel))

    def watch_training(self) -> None:
        """Fetch the state of the training. Does nothing while the last request still runs."""
        client = self._connected()
        if not self.worker.is_running("train"):
            self._start_training_task(client.training)

    def stop_training(self) -> None:
        """Stop the running training."""
        self._start_training_task(self._connected().stop_training)

    def versions(self, parameters: Parameters) -> None:
        """Fetch all versions of the model, and which is in use."""
        client, model = self._connected(), parameters.model
        self.worker.start("version", lambda cancel, report: client.versions(model, cancel))

    def use_version(self, parameters: Parameters, version: str) -> None:
        """Use a newer or older version from the next request on."""
        client, model = self._connected(), parameters.model

        def use(cancel: CancelToken, report: ReportProgress) -> Versions:
            return client.use_version(model, version, cancel)

        self.worker.start("version", use)

    # -- internals

    def _close_sessions(self, client: Client) -> None:
        """Close the sessions of a client that is not used any more, and cancel what would open
        another.
        """
        for task in ("segment", "find", "prefetch"):
            self.cancel(task)
        self.worker.start("close", lambda cancel, report: client.uploads.close(cancel))

    def _infer(self, parameters: Parameters, make_request: Callable[[], dict[str, Any]]) -> None:
        client, image = self._checked(parameters)
        infer = partial(client.infer, parameters.model, image, make_request())
        self.worker.start("segment", infer, self._apply)

    def _checked(self, parameters: Parameters) -> tuple[Client, ImagePayload]:
        """Return the client and the image, once the user agreed to what a request needs."""
        client, image = self._connected(), self.logic.files.image_payload()
        self._check_consent(image.image_id)
        self._check_licence(parameters)
        return client, image

    def _apply(self, reply: InferReply) -> Any:
        return self._edit("segment", self.logic.result_edit(reply))

    def _edit(self, task: str, edit: VoxelEdit) -> Any:
        """Apply a quick change at once. Compute a longer one in a thread; `poll` returns its value
        later.
        """
        if edit.is_quick:
            return self.logic.nodes.run_edit(edit)
        commit = partial(self.logic.nodes.commit_edit, edit)
        self.worker.start(task, lambda cancel, report: edit.compute(edit.layers), commit)
        return DEFERRED

    def _step(self, edit: VoxelEdit | None) -> None:
        """Undo or redo."""
        if edit is not None and not self.worker.is_running("undo"):
            if self.worker.is_running("segment"):
                self.cancel("segment")
            self._edit("undo", edit)

    def _remembering(self) -> Callable[[Saved | Conflict], Saved | Conflict]:
        """Return a function that stores the number of the saved version with the volume.

        With the volume that is current now: another one may be current when the reply arrives.
        """
        volume = self.logic.nodes.volume

        def remember(value: Saved | Conflict) -> Saved | Conflict:
            if isinstance(value, Saved):
                self.logic.files.remember_saved(volume, value)
            return value

        return remember

    def _start_training_task(self, call: Callable[[CancelToken], TrainingStatus]) -> None:
        self.worker.start("train", lambda cancel, report: call(cancel), self._with_curve)

    def _with_curve(self, status: TrainingStatus) -> TrainingStatus:
        """Return the status with all points of the curve since the training began. Each reply holds
        only the newest points.
        """
        self._curve += [point for point in status.curve if point not in self._curve[-8:]]
        return replace(status, curve=tuple(self._curve))

    def _connected(self) -> Client:
        if self.client is None:
            raise ClientError(_("Connect to a server first."), code="not_connected")
        return self.client

    def _check_consent(self, image_id: str) -> None:
        """Raise `ConsentNeededError` before an image goes to another computer without the user's
        consent. An image that came from the server, and so has an id, needs none.
        """
        address = self._connected().address
        if not image_id and not self.settings.has_consent(address.url):
            raise ConsentNeededError(address.url)

    def _check_licence(self, parameters: Parameters) -> None:
        """Raise `LicenceNeededError` before weights are used whose licence allows research only, if
        the user has not accepted it on this server.
        """
        model = self._unaccepted(parameters)
        if model is not None:
            raise LicenceNeededError(self._connected().address.url, model.weights, model.licence)

    def _unaccepted(self, parameters: Parameters) -> Model | None:
        """Return the chosen model if its licence is still to be accepted, else None."""
        model = next((each for each in self._models if each.name == parameters.model), None)
        if model is None or not model.is_restricted:
            return None
        address = self._connected().address.url
        accepted = self.settings.has_accepted(address, model.weights, model.licence)
        return None if accepted else model

    def _image_id(self) -> str:
        image_id = self.logic.files.image_id
        if not image_id:
            sentence = _("This volume has no label on the server yet.")
            raise ClientError(sentence, code="not_found")
        return image_id
