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
from monailabel.utils.async_tasks.utils import processes, tasks

from segsam.errors import OutputError, SegSamError
from segsam_app.config import AppConfig
from segsam_app.errors import NothingToLearnError
from segsam_app.storage.store import FINAL
from segsam_app.task_ends import unfinished_tasks
from segsam_app.task_requests import TrainRequest, read_task_request
from segsam_app.training.cases import labelled_cases
from segsam_app.training.progress import (
    DONE,
    ERROR,
    STOPPED,
    ProgressFile,
    is_under_way,
    note_accepted,
    note_end,
    read_progress,
    started_facts,
    what_remains,
)
from segsam_app.training.run import TrainingRun
from segsam_app.training.settings import TrainSettings
from segsam_app.versions.folder import VersionFolder

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Trains on the labels that were saved as final, and adds a version of the model; the version "
    "is used if it is not worse than the one before"
)

ACCEPTED_KEY = "accepted"
"""Key that the server adds to the request of a training: when it was accepted, which tells it from
every other one."""
_LOCK_TIMEOUT_SECONDS = 1.0
"""Long enough for a training that was just killed to end."""


class SegSamTrain(TrainTask):
    """MONAI Label's interface to `TrainingRun`."""

    def __init__(self, versions: VersionFolder, config: AppConfig) -> None:
        super().__init__(DESCRIPTION)
        self._versions = versions
        self._device = config.device
        self._accepted = 0.0
        """When a training was accepted last; MONAI Label's task for it is made after that."""

    def config(self) -> dict[str, Any]:
        """Return the settings that clients show, with their defaults."""
        return TrainSettings.defaults()

    def stats(self) -> dict[str, Any]:
        """Return the progress of the training that runs, or was accepted last."""
        unfinished = self._unfinished()
        facts = read_progress(self._versions.folder, unfinished)
        starting = [one for one in unfinished if one != facts.get("accepted")]
        if not starting or is_under_way(facts):
            return facts
        process = processes("train").get(unfinished[starting[0]])
        return started_facts(process.pid if process else None, starting[0], starting[0])

    def _unfinished(self) -> dict[float, str]:
        """Return the ids of this server's trainings that run or wait, by when they were accepted;
        "" for one that has none yet.
        """
        found = {_accepted(one): one["id"] for one in unfinished_tasks("train")}
        known = {0.0, *map(_accepted, tasks("train"))}
        new = {} if self._accepted in known else {self._accepted: ""}
        return {when: id for when, id in (found | new).items() if when}

    def accept(self) -> float:
        """Note on disk that a training is accepted now, and return when, which its request holds.

        Raises `OutputError`.
        """
        accepted = time.time()
        note_accepted(self._versions.folder, [*self._unfinished(), accepted])
        self._accepted = accepted
        return accepted

    def what_remains(self, task: Mapping[str, Any]) -> str:
        """Return what is left for the next training of one that ends now: a clause."""
        return what_remains(self._versions.folder, _accepted(task))

    def note_end(self, task: Mapping[str, Any], pid: int, status: str, why: str) -> None:
        """Note how the process of a training ended, if it did not do so itself."""
        try:
            note_end(self._versions.folder, pid, status, why, accepted=_accepted(task))
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
            pass  # it is free; the process that is started takes it

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train in this process and return the final progress.

        Raises `SegSamError`, KeyboardInterrupt.
        """
        request = dict(request)
        accepted = request.pop(ACCEPTED_KEY, None)  # the server's, see `accept`
        settings = TrainSettings.read(read_task_request(TrainRequest, request, self.config()))
        _check_labels(datastore)
        folder = self._versions.folder
        folder.mkdir(parents=True, exist_ok=True)
        progress = ProgressFile(folder, accepted=accepted)
        cases = labelled_cases(datastore)
        run = TrainingRun(self._versions, settings, cases, self._device, progress)
        try:
            record = run.run()
        except SegSamError as error:
            _finish(progress, ERROR, str(error))
            raise
        except KeyboardInterrupt:
            remains = what_remains(folder, accepted, "here")
            _finish(progress, STOPPED, f"stopped; {remains}")
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


def _accepted(task: Mapping[str, Any]) -> float:
    """Return when the training of a task was accepted, 0 if this server did not do that."""
    return float(task["request"].get(ACCEPTED_KEY, 0.0))


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
