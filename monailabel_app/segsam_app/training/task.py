"""MONAI Label's trainer `segsam`: started from 3D Slicer, OHIF, REST or the command line.

It runs in a process of its own, which MONAI Label starts and, when it is asked to stop, kills. So
whatever cannot be meant is refused before (`refuse`), and all it does is safe to be killed.
"""

from __future__ import annotations

import logging
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
from segsam_app.training.progress import DONE, ERROR, STOPPED, Journal, read_journal
from segsam_app.training.run import Run
from segsam_app.training.settings import TrainSettings
from segsam_app.versions.shelf import Versions

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Learns from the labels that were saved as final, and adds a version of the model; it is used "
    "when it is not worse than the one before"
)

_NOTHING = "there is no label with the tag final to train on; save at least one"
_PATIENCE_SECONDS = 1.0
"""For a training that was just killed to be gone."""


class SegSamTrain(TrainTask):
    """MONAI Label's interface to `Run`."""

    def __init__(self, versions: Versions, config: AppConfig) -> None:
        super().__init__(DESCRIPTION)
        self._versions = versions
        self._device = config.device

    def config(self) -> dict[str, Any]:
        """What can be set, and the defaults."""
        return TrainSettings.announced()

    def stats(self) -> dict[str, Any]:
        """Of the training that runs, or ran last: see `progress`."""
        return read_journal(self._versions.folder)

    def refuse(self, order: Mapping[str, Any], datastore: Any) -> None:
        """Say no before a process is started.

        Raises:
            RequestError: a setting that cannot be meant.
            NothingToLearnError: no final label yet.
            ConflictError: another process trains this model.
        """
        TrainSettings.read(order)
        if not datastore.get_labeled_images(FINAL):
            raise NothingToLearnError(_NOTHING)
        if processes("train"):
            return  # our own: whether another one may wait is the route's business
        with self._versions.training(patience=_PATIENCE_SECONDS):
            pass  # nobody else has it; the process that is started takes it then

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, in this process. Raises `SegSamError`, KeyboardInterrupt."""
        settings = TrainSettings.read(read_task_request(TrainRequest, request, self.config()))
        if not datastore.get_labeled_images(FINAL):
            raise NothingToLearnError(_NOTHING)
        self._versions.folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(self._versions.folder)
        run = Run(self._versions, settings, labelled_cases(datastore), self._device, journal)
        try:
            record = run.version()
        except SegSamError as error:
            _said(journal, ERROR, str(error))
            raise
        except KeyboardInterrupt:
            _said(journal, STOPPED, "stopped; the next training on the same labels goes on here")
            raise
        what = "and is used now" if record.promoted else "and is not used"
        return journal.ends(
            DONE,
            f"version {record.id} was added {what}: {record.why}",
            version=record.id,
            promoted=record.promoted,
            metrics=record.metrics.model_dump(),
            best_metric=record.metrics.after.get("dsc_box", 0.0) / 100,
            notes=record.notes,
        )


def _said(journal: Journal, status: str, why: str) -> None:
    try:
        journal.ends(status, why)
    except OutputError as error:  # the disk is full: what happened matters more
        logger.warning("the progress could not be written: %s", error)
