"""What the buttons do: every verb starts its work in a thread and returns at once; `poll` brings
what came of it, and has applied it to the scene. The one object that the widget talks to besides
`Logic`.

    lane        verb                                   value of the event `done`
    connect     connect                                Diagnosis
    upload      prepare                                None
    look        look                                   None; nobody waits for it
    segment     segment, segment_category              AppliedResult (of Results)
    undo        undo, redo                             True; only where it takes long
    surface     refresh_surfaces                       None
    sample      next_sample                            Loaded (of Files), None when all are done
    label       submit, fetch_version, restore         Saved | Conflict | a segmentation node
    train       train, watch_training, stop_training   TrainingStatus, with the curve so far
    version     versions, use_version                  Versions
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any, Callable

from SEGSAMLib.Errors import ClientError, ConsentNeededError
from SEGSAMLib.Parameters import Parameters, Settings
from SEGSAMLib.Scene.Logic import Logic
from SEGSAMLib.Server.Client import Client
from SEGSAMLib.Server.Lanes import LATER, Lanes
from SEGSAMLib.Server.Worker import CancelToken, ReportProgress, Worker
from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.Replies import (
    Conflict,
    Diagnosis,
    InferReply,
    Saved,
    TrainingStatus,
    Versions,
)
from SEGSAMLib.Values.VoxelEdit import VoxelEdit

_FAREWELL_SECONDS = 2.0


class Workflow(Lanes):
    """For one widget. Verbs raise `SegSamError` when they cannot begin: a sentence to show."""

    def __init__(self, logic: Logic, settings: Settings, worker: Worker | None = None) -> None:
        super().__init__(worker)
        self.logic = logic
        self.settings = settings
        self.client: Client | None = None
        self._curve: list[tuple[int, str, float]] = []

    # -- waiting

    def cancel(self, lane: str = "segment") -> bool:
        """End what runs in a lane; it is over when this returns. False when nothing ran."""
        if lane == "segment":
            self.logic.forget_request()
        return self._worker.cancel(lane)

    def close(self) -> None:
        """End everything; sessions are closed without anybody waiting for it."""
        self._worker.cancel_all()
        self.logic.forget_request()
        client, self.client = self.client, None
        if client is not None:
            cancel = CancelToken()
            farewell = threading.Thread(target=client.close, args=(cancel,), daemon=True)
            farewell.start()
            late = threading.Timer(_FAREWELL_SECONDS, cancel.set)
            late.daemon = True
            late.start()

    # -- connection

    def connect(self, address: str, token: str = "") -> None:
        """Test a server, and use it from then on when it answers."""
        read = Address.read(address)
        wanted = token or self.settings.token(read.url)
        client = Client(read, token=wanted, ca_file=self.settings.ca_file)

        def use(found: Diagnosis) -> Diagnosis:
            self.client = client if found.is_ok else None
            if found.is_ok:
                self.settings.server = read.url
            return found

        self._start("connect", lambda cancel, tell: client.diagnose(cancel), use)

    # -- segmentation

    def prepare(self) -> None:
        """Send the current volume ahead of the first prompt. Raises `ConsentNeededError`."""
        client, image = self._connected(), self.logic.image_source()
        self._check_consent(image.image_id)
        self._start("upload", partial(client.upload, image))

    def look(self, parameters: Parameters, axis: int, index: int) -> None:
        """The user has come to a slice: a server that has the image encodes those around it."""
        if self.client is not None:
            view = {"axis": "ijk"[axis], "slice": str(index), "window": parameters.window}
            look = partial(self.client.look, parameters.model, self.logic.image_source(), view)
            self._start("look", lambda cancel, tell: look(cancel))

    def segment(self, parameters: Parameters) -> None:
        """What the prompts mark. Raises `ConsentNeededError`, `PromptError`, `NodeError`."""
        self._ask(parameters, partial(self.logic.request, parameters))

    def segment_category(
        self, category: str, axis: int, index: int, parameters: Parameters
    ) -> None:
        """A new segment of what the model sees of another category on a slice."""
        ask = self.logic.request_category
        self._ask(parameters, partial(ask, category, axis, index, parameters))

    def undo(self) -> None:
        """Take back the newest step; a request that runs is cancelled. Raises `NodeError`."""
        self._step(self.logic.undoing())

    def redo(self) -> None:
        """Do again what was taken back last. Raises `NodeError`."""
        self._step(self.logic.redoing())

    def refresh_surfaces(self) -> None:
        """Bring the 3D view up to date, if there is one."""
        drawing = self.logic.drawing()
        if drawing is not None:
            self._start("surface", lambda cancel, tell: drawing.compute(cancel.check), drawing.show)

    # -- images and labels

    def next_sample(self, parameters: Parameters) -> None:
        """The next image to annotate."""
        client, strategy = self._connected(), parameters.strategy

        def load(sample: Any) -> Any:
            return None if sample is None else self.logic.load_sample(sample)

        self._start("sample", lambda cancel, tell: client.next_sample(strategy, cancel, tell), load)

    def submit(self) -> None:
        """Save the segmentation as the volume's label; of a volume that the server does not have,
        the image too. Raises `ConsentNeededError`, `NodeError`.
        """
        client, image = self._connected(), self.logic.image_source()
        image_id, volume = self.logic.image_id, self.logic.volume
        make_label = self.logic.labelling()
        self._check_consent("")
        user = self.settings.user

        def saved(value: Saved | Conflict) -> Saved | Conflict:
            if isinstance(value, Saved):
                self.logic.remember_saved(volume, value.image_id, value.version)
            return value

        def send(cancel: CancelToken, tell: ReportProgress) -> Saved | Conflict:
            label = make_label()
            there = image_id or client.add_image(image, cancel, tell)
            return client.submit(replace(label, image_id=there), user, cancel, tell)

        self._start("label", send, saved)

    def fetch_version(self, version: int = 0) -> None:
        """A version of the volume's label, the current one by default, as a segmentation beside
        the user's.
        """
        client, image_id = self._connected(), self._image_id()
        volume = self.logic.volume

        def fetch(cancel: CancelToken, tell: ReportProgress) -> Any:
            current, versions = client.label_versions(image_id, cancel)
            number = version or current
            wanted = next((each for each in versions if each.number == number), None)
            if wanted is None:
                raise ClientError("The server has no such version of this label.", code="version")
            return current, wanted, client.label_file(image_id, number, cancel)

        def show(found: Any) -> Any:
            current, wanted, path = found
            who = f" of {wanted.user}" if wanted.user else ""
            title = f"{image_id} version {wanted.number}{who}"
            node = self.logic.import_label(path, wanted.names, title)
            if wanted.number == current:
                self.logic.remember_saved(volume, image_id, current)
            return node

        self._start("label", fetch, show)

    def restore(self, version: int) -> None:
        """Make a version the current label again: "keep mine" after a conflict."""
        client, image_id, volume = self._connected(), self._image_id(), self.logic.volume

        def restored(value: Saved) -> Saved:
            self.logic.remember_saved(volume, image_id, value.version)
            return value

        self._start(
            "label", lambda cancel, tell: client.restore(image_id, version, cancel), restored
        )

    # -- training and versions

    def train(self, parameters: Parameters, **settings: Any) -> None:
        """Start a training with settings as the server names them, such as `max_epochs`."""
        client, model = self._connected(), parameters.model
        self._curve.clear()
        self._start("train", lambda cancel, tell: client.train(model, settings, cancel), self._told)

    def watch_training(self) -> None:
        """Ask how the training is; nothing happens while the last answer is awaited."""
        client = self._connected()
        if not self._worker.is_running("train"):
            self._start("train", lambda cancel, tell: client.training(cancel), self._told)

    def stop_training(self) -> None:
        client = self._connected()
        self._start("train", lambda cancel, tell: client.stop_training(cancel), self._told)

    def versions(self, parameters: Parameters) -> None:
        """All versions of the model, and which is in use."""
        client, model = self._connected(), parameters.model
        self._start("version", lambda cancel, tell: client.versions(model, cancel))

    def use_version(self, parameters: Parameters, version: str) -> None:
        """Use a version from the next request on: accept a new one, or roll back."""
        client, model = self._connected(), parameters.model

        def use(cancel: CancelToken, tell: ReportProgress) -> Versions:
            return client.use_version(model, version, cancel)

        self._start("version", use)

    # -- how

    def _failed(self, lane: str) -> None:
        if lane == "segment":
            self.logic.forget_request()

    def _ask(self, parameters: Parameters, make_request: Callable[[], dict[str, Any]]) -> None:
        client, image = self._connected(), self.logic.image_source()
        self._check_consent(image.image_id)
        infer = partial(client.infer, parameters.model, image, make_request())
        self._start("segment", infer, self._apply)

    def _apply(self, reply: InferReply) -> Any:
        return self._edit("segment", self.logic.applying(reply))

    def _edit(self, lane: str, edit: VoxelEdit) -> Any:
        """At once where it is quick, else in a thread, and `poll` has what came of it later."""
        if edit.is_quick:
            return self.logic.at_once(edit)
        carry_out = partial(self.logic.carry_out, edit)
        self._start(lane, lambda cancel, tell: edit.compute(edit.layers), carry_out)
        return LATER

    def _step(self, edit: VoxelEdit | None) -> None:
        """Undo or redo."""
        if edit is not None and not self.is_running("undo"):
            if self.is_running("segment"):
                self.cancel("segment")
            self._edit("undo", edit)

    def _told(self, status: TrainingStatus) -> TrainingStatus:
        """With all that was told of the curve since the training began."""
        self._curve += [point for point in status.curve if point not in self._curve[-8:]]
        return replace(status, curve=tuple(self._curve))

    def _connected(self) -> Client:
        if self.client is None:
            raise ClientError("Connect to a server first.", code="not_connected")
        return self.client

    def _check_consent(self, image_id: str) -> None:
        """Nothing goes to another computer before the user agreed; what came from there may."""
        address = self._connected().address
        if not image_id and not self.settings.has_consent(address.url):
            raise ConsentNeededError(address.url)

    def _image_id(self) -> str:
        label = self.logic.image_id
        if not label:
            raise ClientError("This volume has no label on the server yet.", code="not_found")
        return label
