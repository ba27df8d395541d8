"""The MONAI Label app SEG-SAM: `monailabel start_server --app monailabel_app --studies FOLDER
--host 127.0.0.1`.

MONAI Label finds the class below by the name of its base, builds it with these three arguments, and
builds it again in every child process; so nothing heavy happens here. The computation is in
`segsam`, the server in `segsam_app`.
"""

from __future__ import annotations

import segsam_app.task_start  # noqa: F401  # before what takes seconds to import

# isort: split
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
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
from segsam.imaging.volume import Volume
from segsam.system.process import lower_thread_priority, tune_allocator
from segsam.system.telemetry import switch_off_reports
from segsam_app.choosing.next_image import next_image
from segsam_app.choosing.overviews import Overviews
from segsam_app.choosing.refused import RefusedImages
from segsam_app.choosing.scoring import OVERVIEW, BackgroundScorer, OverviewScoring
from segsam_app.choosing.strategies import DESCRIPTIONS, SelectionStrategy
from segsam_app.config import DEFAULT_MODEL, read_settings
from segsam_app.dicomweb.settings import PacsSettings, without_secrets
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError
from segsam_app.inference.auto import AUTO_MODEL, AutoInfer
from segsam_app.inference.batch import LabelDestination, SequentialBatchInfer
from segsam_app.inference.engine import Engine, device_problem
from segsam_app.inference.images import path_of_image
from segsam_app.inference.infer import DESCRIPTION, SegSamInfer
from segsam_app.inference.learning import NameLearner
from segsam_app.inference.prefetching import Prefetcher
from segsam_app.inference.progress import ProgressTracker
from segsam_app.inference.sessions import AppSessions, sessions_folder
from segsam_app.routes.dicomweb import upload_status
from segsam_app.routes.monai_label import NO_WHOLE_SLIDES
from segsam_app.server_paths import hide_folders
from segsam_app.storage.drafts import FOLDER as DRAFTS
from segsam_app.storage.drafts import DraftFolder
from segsam_app.storage.leftovers import sweep
from segsam_app.storage.store import Store
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import json_safe
from segsam_app.task_requests import find_task
from segsam_app.training.server_watch import end_without_server, mark_children, stopping_with_server
from segsam_app.training.task import SegSamTrain
from segsam_app.versions.folder import VersionFolder
from segsam_app.web import startup
from segsam_app.web.access import token_header
from segsam_app.web.request_queue import RequestQueue
from segsam_app.web.shutdown import Shutdown

logger = logging.getLogger(__name__)

_TRAINING_NICE = 5
_LOOK_SECONDS = 10.0
"""Time between two looks at the labels whose files or images have changed."""


class SegSamApp(MONAILabelApp):
    """MONAI Label's app, composed of the parts of `segsam_app`."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        """Compose the app. What it cannot be made of ends the start of a server with a sentence."""
        switch_off_reports()
        with startup.refusing_to_start():
            self._compose(app_dir, studies, conf)

    def _compose(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        if _is_url(studies) and studies != without_secrets(studies):
            startup.replace_in_logs(studies, without_secrets(studies))
        self.config, self.limits = read_settings(conf)
        hide_folders([app_dir, studies, settings.MONAI_LABEL_SESSION_PATH, *self.config.folders])
        self.queue = RequestQueue(self.limits.queue)
        folder = Path(self.config.versions_folder or Path(app_dir) / "model" / "versions")
        self.versions = VersionFolder.open(folder, self.config.checkpoint)
        sessions = sessions_folder(settings.MONAI_LABEL_SESSION_PATH)
        self.drafts = DraftFolder(sessions.parent / DRAFTS, self.limits)
        self.engine = Engine(
            self.config,
            lambda: self.versions.checkpoint,
            temporary_folders=[sessions.absolute()],
            read_image=self._read_image,
            is_of_series=self._is_of_series,
        )
        self.prefetcher = Prefetcher(self.engine, self.config.axis)
        self.progress = ProgressTracker()
        self.learner = NameLearner(self.engine)
        on_view = self.prefetcher.prefetch_around
        self._prompted = {
            name: SegSamInfer(
                self.engine,
                self.config,
                checkpoint,
                on_view=on_view,
                progress=self.progress,
                find_label=self._find_label,
                taught=self._taught,
            )
            for name, checkpoint in self.config.models.items()
        }
        cache = None if _is_url(studies) else Path(studies) / ".segsam" / "overviews"
        self.overviews = Overviews(self.engine, cache)
        self.refused = RefusedImages()
        self.scorer = BackgroundScorer(self.overviews, self.queue, self.datastore, self.refused)
        self.shutdown = Shutdown([self.scorer.stop, self.learner.stop])
        labels = self._prompted[DEFAULT_MODEL].segment_names()
        super().__init__(app_dir, studies, conf, "SEG-SAM", DESCRIPTION, "0.1", labels)

    def init_datastore(self) -> Datastore:
        """Return the store of images and labels: a DICOMweb server or a folder."""
        if _is_url(self.studies):
            folder = self.config.dicomweb_folder
            return DicomWebStore(
                PacsSettings.read(self.studies, folder, self.limits),
                on_image=self.on_image,
                limits=self.limits,
            )
        return Store(self.studies, on_image=self.on_image, limits=self.limits)

    def init_infers(self) -> dict[str, InferTask]:
        """Return the inference tasks by the names of their models."""
        main = self._prompted[DEFAULT_MODEL]
        auto = AutoInfer(self.engine, self.progress, lambda: main.checkpoint_info, self._taught)
        return {**self._prompted, AUTO_MODEL: auto}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the trainer of the configured model."""
        return {DEFAULT_MODEL: SegSamTrain(self.versions, self.config)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Return the strategies of active learning."""
        update, refused = self.scorer.update, self.refused.current
        return {
            name: SelectionStrategy(name, self.overviews, update, refused) for name in DESCRIPTIONS
        }

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """Return the one scoring method."""
        return {OVERVIEW: OverviewScoring(self.overviews)}

    def init_batch_infer(self) -> BatchInferTask:
        """Return the batch inference."""
        return SequentialBatchInfer()

    def async_scoring(self, method: str | None, params: dict[str, Any] | None = None) -> Any:
        """Start a scoring method. Without a method, MONAI Label asks for all of them after every
        sample and training: the background thread does that, without a process for each.
        """
        return super().async_scoring(method, params) if method else {}

    def _load_sessions(self, load: bool = False) -> AppSessions | None:
        if not load:
            return None
        path = settings.MONAI_LABEL_SESSION_PATH
        forget = self.engine.states.forget_session
        return AppSessions(path, self.limits, on_image=self.on_image, on_end=forget)

    def cleanup_sessions(self) -> None:
        """End expired sessions and drafts. MONAI Label calls it every five minutes."""
        super().cleanup_sessions()
        self.drafts.remove_expired()

    def on_init_complete(self) -> None:
        """Start what only the server needs, and not a child process: the guard and the background
        threads. MONAI Label calls it during the start-up event.
        """
        # Child processes have no server, and do not import one.
        from monailabel.app import app

        from segsam_app import guard
        from segsam_app.web import connections, startup

        if (problem := device_problem(self.config.device)) is not None:
            startup.exit_with(problem)
        sweep(Path(tempfile.gettempdir()), Path(self.app_dir) / "logs")
        tune_allocator()
        # MONAI Label reads PYTHONPATH to start a process, and fails silently if it is not set.
        os.environ.setdefault("PYTHONPATH", "")
        mark_children()
        self.shutdown.install()
        guard.install(app)
        with suppress(RuntimeError):  # no loop: the app was not started by a server
            connections.survive_exhaustion(asyncio.get_running_loop())
        if self.config.warm:
            self.prefetcher.load_model()
        self.prefetcher.set_slices(self.config.prefetch)
        with startup.refusing_to_start():
            super().on_init_complete()
            store = self.datastore()
            if isinstance(store, DicomWebStore):
                store.start()
        Thread(target=self._look_for_damage, name="segsam-damage", daemon=True).start()

    def _look_for_damage(self) -> None:
        """Read every record once, so that `GET /segsam/health` names the damaged ones; then look
        again and again at the labels whose files, or whose images, have changed.
        """
        lower_thread_priority()
        store = self.datastore()
        self.versions.history()
        self.drafts.check()
        if isinstance(store, Store) and not store.is_read_only:
            self._learn_what_waits(store)
        look = store.check_records if isinstance(store, Store) else None
        while look is not None and not self.shutdown.has_begun:
            try:
                look()
            except (SegSamError, OSError) as error:
                logger.warning("the labels could not be compared with their images: %s", error)
            look = store.look_at_labels
            time.sleep(_LOOK_SECONDS)

    def _learn_what_waits(self, store: Store) -> None:
        try:
            self.learner.resume(store)
        except OSError as error:
            logger.warning("labels to learn from could not be listed: %s", error.strerror)

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Learn the label's names, and return what the reply holds besides the version."""
        store = self.datastore()
        if isinstance(store, Store):
            self.learner.case_saved(store, image_id)
        return upload_status(store)

    def _taught(self) -> TaughtStore | None:
        """Return the store of the names that were taught in this study; None without one."""
        store = getattr(self, "_datastore", None)
        return store.taught if isinstance(store, Store) else None

    def _read_image(self, path: Path) -> Volume:
        """Read an image file, of the store or not; MONAI Label makes the store after the engine."""
        store = getattr(self, "_datastore", None)
        return store.read_image(path) if isinstance(store, Store) else Volume.load(path)

    def _find_label(self, label: str, tag: str) -> tuple[Path, list[str]]:
        """Return the file of a label, and a note if its image is another one now. Raises
        `NotFoundError`.
        """
        store = self.datastore()
        path = store.get_label_uri(label, tag)
        if not path or not Path(path).is_file():
            raise NotFoundError(f"there is no label {label!r:.80} with the tag {tag!r:.80}")
        note = store.image_note(label, tag) if isinstance(store, Store) else None
        return Path(path), [] if note is None else [note.clause]

    def _is_of_series(self, path: Path) -> bool:
        """Return True for the file of a DICOM series of the store."""
        store = getattr(self, "_datastore", None)
        return isinstance(store, Store) and store.is_of_series(path)

    def on_image(self, image: Path) -> None:
        """Prefetch an image that an annotator is about to open."""
        if self.config.warm:
            self.prefetcher.open_image(image)

    def task(self, model: str) -> Any:
        """Return the inference task of a model. Raises `NotFoundError` that names the known
        models.
        """
        return find_task("model", model, self._infers)

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description of the app in strict JSON: with one NaN, 3D Slicer could
        not connect.
        """
        self.labels = self._prompted[DEFAULT_MODEL].segment_names()
        return dict(json_safe(super().info()))

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment an image at MONAI Label's own call (batches, child processes): `image` is an id
        of the store, never a path.
        """
        store = datastore or self.datastore()
        path, model = path_of_image(store, request.get("image", "")), request.get("model", "")
        destination, params = LabelDestination.of_request(request)
        file, reply = self.task(model)({**params, "image": str(path)})
        label = destination.save(store, file, model, reply)
        return {"label": label, "tag": destination.tag, "file": file, "params": reply}

    def infer_wsi(self, request: dict[str, Any], datastore: Datastore | None = None) -> Any:
        """Raise `NotFoundError`."""
        raise NotFoundError(NO_WHOLE_SLIDES)

    def train(self, request: dict[str, Any]) -> Any:
        """Train, in the child process that MONAI Label started for it, at a low priority, so that
        annotators' prompts come first.

        An error ends the process with its sentence and exit status 1.
        """
        if hasattr(os, "nice"):
            os.nice(_TRAINING_NICE)
        try:
            with stopping_with_server():
                return super().train(request)
        except SegSamError as error:
            raise SystemExit(str(error)) from error
        except KeyboardInterrupt as error:
            end_without_server()
            raise SystemExit("the training was stopped") from error

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> Any:
        """Segment many images, in a child process that ends with its server."""
        with _ending_with_server("batch inference"):
            return super().batch_infer(request, datastore)

    def scoring(self, request: dict[str, Any], datastore: Datastore | None = None) -> Any:
        """Run a scoring method, in a child process that ends with its server."""
        with _ending_with_server("scoring"):
            return super().scoring(request, datastore)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the next image to annotate, which was opened and is prefetched; {} if there is
        none. Images that cannot be opened are passed over, see `refused`.

        Raises `NotFoundError` for an unknown strategy, `BusyError` if many images are damaged.
        """
        strategy = find_task("strategy", request.get("strategy", ""), self._strategies)
        sample = next_image(strategy, request, self.datastore(), self.engine, self.refused)
        if sample:
            self.on_image(Path(sample["path"]))
        return sample

    def _local_request(self, url: str, params: dict[str, Any] | None, action: str) -> Any:
        """Call the server of this child process, with its token if it has one."""
        try:
            reply = requests.post(
                f"http://127.0.0.1:{settings.MONAI_LABEL_SERVER_PORT}{url}",
                json=params or {},
                headers=token_header(),
                timeout=30,
            )
        except requests.RequestException:  # a child of the command line has no server
            logger.warning("%s was not started: no server answers", action)
            return None
        if not reply.ok:
            logger.error("%s was not started: status %d", action, reply.status_code)
            return None
        return reply.json()


@contextmanager
def _ending_with_server(task: str) -> Iterator[None]:
    try:
        with stopping_with_server():
            yield
    except KeyboardInterrupt as error:
        end_without_server()
        raise SystemExit(f"the {task} was stopped") from error


def _is_url(studies: str) -> bool:
    """Return True if the studies are on a DICOMweb server, and not in a folder."""
    return studies.startswith(("http://", "https://"))
