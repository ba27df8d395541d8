"""MONAI Label's trainer `segsam`: started from 3D Slicer, OHIF, REST or the command line.

It runs in a process of its own, which MONAI Label starts and, on request, kills. So an invalid
request is refused before the process is started, and the training can be killed at any moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.async_tasks.utils import processes

from segsam.errors import OutputError, SegSamError
from segsam_app.config import AppConfig
from segsam_app.errors import NothingToLearnError
from segsam_app.storage.store import FINAL
from segsam_app.task_requests import TrainRequest, read_task_request
from segsam_app.training.cases import labelled_cases
from segsam_app.training.progress import (
    DONE,
    ERROR,
    STOPPED,
    ProgressFile,
    note_end,
    read_progress,
    started_facts,
)
from segsam_app.training.run import TrainingRun
from segsam_app.training.settings import TrainSettings
from segsam_app.versions.folder import VersionFolder

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Trains on the labels that were saved as final, and adds a version of the model; the version "
    "is used if it is not worse than the one before"
)

_LOCK_TIMEOUT_SECONDS = 1.0
"""Long enough for a training that was just killed to end."""


class SegSamTrain(TrainTask):
    """MONAI Label's interface to `TrainingRun`."""

    def __init__(self, versions: VersionFolder, config: AppConfig) -> None:
        super().__init__(DESCRIPTION)
        self._versions = versions
        self._device = config.device
        self._accepted = 0.0
        """When a training was accepted last; the process that is started for it writes later."""

    def config(self) -> dict[str, Any]:
        """Return the settings that clients show, with their defaults."""
        return TrainSettings.defaults()

    def stats(self) -> dict[str, Any]:
        """Return the progress of the training that runs, or ran last."""
        facts = read_progress(self._versions.folder)
        if facts.get("started", 0.0) >= self._accepted:
            return facts
        begun = [one.pid for one in processes("train").values() if one.poll() is None]
        return started_facts(begun[0], self._accepted) if begun else facts

    def note_end(self, pid: int, status: str, why: str) -> None:
        """Note how the process of a training ended, if it did not do so itself."""
        try:
            note_end(self._versions.folder, pid, status, why, accepted=self._accepted)
        except OutputError as error:  # the task's own status says it, too
            logger.warning("the end of a training could not be noted: %s", error)

    def refuse(self, order: Mapping[str, Any], datastore: Any) -> None:
        """Raise an error for a request that cannot be met, before a process is started.

        Raises:
            RequestError: an invalid setting.
            NothingToLearnError: no final label yet.
            ConflictError: another process trains this model.
        """
        TrainSettings.read(order)
        _check_labels(datastore)
        if processes("train"):
            return  # a training of this server: the route decides whether another one may wait
        with self._versions.training_lock(timeout=_LOCK_TIMEOUT_SECONDS):
            self._accepted = time.time()  # it is free; the process that is started takes it

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train in this process and return the final progress.

        Raises `SegSamError`, KeyboardInterrupt.
        """
        settings = TrainSettings.read(read_task_request(TrainRequest, request, self.config()))
        _check_labels(datastore)
        self._versions.folder.mkdir(parents=True, exist_ok=True)
        progress = ProgressFile(self._versions.folder)
        cases = labelled_cases(datastore)
        run = TrainingRun(self._versions, settings, cases, self._device, progress)
        try:
            record = run.run()
        except SegSamError as error:
            _finish(progress, ERROR, str(error))
            raise
        except KeyboardInterrupt:
            sentence = "stopped; the next training on the same labels continues from here"
            _finish(progress, STOPPED, sentence)
            raise
        what = "and is used now" if record.promoted else "and is not used"
        return progress.finish(
            DONE,
            f"version {record.id} was added {what}: {record.why}",
            version=record.id,
            promoted=record.promoted,
            metrics=record.metrics.model_dump(),
            best_metric=record.metrics.after.get("dsc_box", 0.0) / 100,
            notes=record.notes,
            left_out=[one.model_dump() for one in record.left_out],
            evidence=record.evidence.model_dump() if record.evidence else None,
        )


def _check_labels(datastore: Any) -> None:
    """Raise `NothingToLearnError` if there is no final label."""
    if not datastore.get_labeled_images(FINAL):
        raise NothingToLearnError(
            "there is no label with the tag final to train on; save at least one"
        )


def _finish(progress: ProgressFile, status: str, why: str) -> None:
    try:
        progress.finish(status, why)
    except OutputError as error:  # the disk is full; the first error is the important one
        logger.warning("the progress could not be written: %s", error)
