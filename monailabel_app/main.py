"""The MONAI Label app SEG-SAM: `monailabel start_server --app monailabel_app --studies FOLDER
--host 127.0.0.1`.

MONAI Label finds the class below by the name of its base, builds it with these three arguments,
and builds it again in every child process: nothing heavy happens here. What computes lives in
`segsam`, what serves in `segsam_app`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import requests
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from segsam.errors import SegSamError
from segsam.system.process import tune_allocator
from segsam_app.choosing.overviews import Overviews
from segsam_app.choosing.scoring import OVERVIEW, OverviewScoring, Scorer
from segsam_app.choosing.strategies import DESCRIPTIONS, Selecting
from segsam_app.config import DEFAULT_MODEL, AppConfig
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.inference.auto import AUTO_MODEL, AutoInfer
from segsam_app.inference.batch import Place, PoliteBatch
from segsam_app.inference.engine import Engine
from segsam_app.inference.images import path_of_image
from segsam_app.inference.infer import DESCRIPTION, SegSamInfer
from segsam_app.inference.jobs import Jobs
from segsam_app.inference.sessions import AppSessions, sessions_folder
from segsam_app.inference.warmup import Warmer
from segsam_app.limits import Limits
from segsam_app.routes.dicomweb import told_of_saving
from segsam_app.storage.store import Store
from segsam_app.training.server_watch import mark_children, stopping_with_server
from segsam_app.training.task import SegSamTrain
from segsam_app.versions.folder import VersionFolder
from segsam_app.web.access import token_header
from segsam_app.web.replies import plain
from segsam_app.web.request_queue import RequestQueue

logger = logging.getLogger(__name__)

_TRAINING_NICE = 5


class SegSamApp(MONAILabelApp):
    """Wires the parts together."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.config = AppConfig.read(conf)
        self.limits = Limits.read(conf)
        self.gate = RequestQueue(self.limits.queue)
        folder = Path(self.config.versions_folder or Path(app_dir) / "model" / "versions")
        self.versions = VersionFolder.open(folder, self.config.checkpoint)
        sessions = sessions_folder(settings.MONAI_LABEL_SESSION_PATH)
        self.engine = Engine(
            self.config, lambda: self.versions.checkpoint, passing=[sessions.absolute()]
        )
        self.warmer = Warmer(self.engine, self.config.axis)
        self.jobs = Jobs()
        self._tasks = {
            name: SegSamInfer(
                self.engine, self.config, checkpoint, look=self.warmer.look, jobs=self.jobs
            )
            for name, checkpoint in self.config.models.items()
        }
        kept = None if _is_address(studies) else Path(studies) / ".segsam" / "overviews"
        self.overviews = Overviews(self.engine, kept)
        self.scorer = Scorer(self.overviews, self.gate, self.datastore)
        labels = self._tasks[DEFAULT_MODEL].own_labels()
        super().__init__(app_dir, studies, conf, "SEG-SAM", DESCRIPTION, "0.1", labels)

    def init_datastore(self) -> Datastore:
        if _is_address(self.studies):
            folder = self.config.dicomweb_folder
            return DicomWebStore(
                PacsSettings.read(self.studies, folder, self.limits), on_image=self.opened
            )
        return Store(self.studies, on_image=self.opened)

    def init_infers(self) -> dict[str, InferTask]:
        own = self._tasks[DEFAULT_MODEL]
        auto = AutoInfer(self.engine, self.limits, self.jobs, lambda: own.facts)
        return {**self._tasks, AUTO_MODEL: auto}

    def init_trainers(self) -> dict[str, TrainTask]:
        return {DEFAULT_MODEL: SegSamTrain(self.versions, self.config)}

    def init_strategies(self) -> dict[str, Strategy]:
        poke = self.scorer.poke
        return {name: Selecting(name, self.overviews, poke) for name in DESCRIPTIONS}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        return {OVERVIEW: OverviewScoring(self.overviews)}

    def init_batch_infer(self) -> BatchInferTask:
        return PoliteBatch()

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> Any:
        """MONAI Label asks for all methods after every sample and training: the thread in the
        background does that, without a process for each.
        """
        return super().async_scoring(method, params) if method else {}

    def _load_sessions(self, load: bool = False) -> AppSessions | None:
        if not load:
            return None
        path = settings.MONAI_LABEL_SESSION_PATH
        return AppSessions(path, self.limits, on_image=self.opened)

    def on_init_complete(self) -> None:
        """Called by the server only, once it is up: the process is ours, and so are its replies."""
        # Child processes have no server: they need not import one.
        from monailabel.app import app

        from segsam_app import guard

        tune_allocator()
        # MONAI Label reads it to start a process, and is not heard of again when it is not there.
        os.environ.setdefault("PYTHONPATH", "")
        mark_children()
        guard.install(app)
        if self.config.warm:
            self.warmer.model()
        self.warmer.follow(self.config.prefetch)
        super().on_init_complete()
        store = self.datastore()
        if isinstance(store, DicomWebStore):
            store.start()

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """What the annotator is told beside the version."""
        return told_of_saving(self.datastore())

    def opened(self, image: Path) -> None:
        """Somebody is about to work on `image`."""
        if self.config.warm:
            self.warmer.image(image)

    def task(self, model: str) -> Any:
        """The inference task called `model`. Raises `NotFoundError` naming those that exist."""
        if model not in self._infers:
            known = ", ".join(self._infers)
            raise NotFoundError(f"there is no model {model!r:.80}; this server has: {known}")
        return self._infers[model]

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, in strict JSON: one NaN would make the server unreachable for 3D
        Slicer.
        """
        self.labels = self._tasks[DEFAULT_MODEL].own_labels()
        return dict(plain(super().info()))

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """MONAI Label's inner door (batches, child processes): `image` is an id of the store,
        never a path.
        """
        store = datastore or self.datastore()
        path, model = path_of_image(store, request.get("image", "")), request.get("model", "")
        place, asked = Place.taken_from(request)
        file, reply = self.task(model)({**asked, "image": str(path)})
        label = place.keep(store, file, model, reply)
        return {"label": label, "tag": place.tag, "file": file, "params": reply}

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> Any:
        raise NotFoundError("whole-slide images are not offered; use POST /infer/segsam")

    def train(self, request: dict[str, Any]) -> Any:
        """MONAI Label's call in the child process that trains; the annotators' clicks go first.

        What cannot be done ends the process with a sentence as its last words, and status 1.
        """
        if hasattr(os, "nice"):
            os.nice(_TRAINING_NICE)
        try:
            with stopping_with_server():
                return super().train(request)
        except SegSamError as error:
            raise SystemExit(str(error)) from error
        except KeyboardInterrupt as error:
            raise SystemExit("the training was stopped") from error

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The next image to annotate, which is warmed up. Raises `NotFoundError` for an unknown
        strategy.
        """
        strategy = request.get("strategy")
        if strategy not in self._strategies:
            known = ", ".join(self._strategies)
            raise NotFoundError(f"there is no strategy {strategy!r:.80}; this server has: {known}")
        sample: dict[str, Any] = super().next_sample(request)
        if sample:
            self.opened(Path(sample["path"]))
        return sample

    def _local_request(self, url: str, params: dict[str, Any] | None, action: str) -> Any:
        """MONAI Label's call from a child process to its own server, which may want a token."""
        try:
            reply = requests.post(
                f"http://127.0.0.1:{settings.MONAI_LABEL_SERVER_PORT}{url}",
                json=params or {},
                headers=token_header(),
                timeout=30,
            )
        except requests.RequestException:  # started from the command line, with no server
            logger.warning("%s was not started: no server answers", action)
            return None
        if not reply.ok:
            logger.error("%s was not started: status %d", action, reply.status_code)
            return None
        return reply.json()


def _is_address(studies: str) -> bool:
    """Whether the studies are on a DICOMweb server, and not in a folder."""
    return studies.startswith(("http://", "https://"))
