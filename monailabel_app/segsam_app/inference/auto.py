"""The task `segsam_auto`: no prompts in, a first label volume out, with how sure it is of what.

Stock clients list it among the automatic models. It takes some seconds a volume, so it lets
annotators' clicks go first after every slice, tells how far it is (`jobs.py`), and stops when its
client hangs up or its time ends. For a study folder: `POST /batch/infer/segsam_auto`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from pydantic import Field

from segsam.errors import CancelledError
from segsam.proposals.automatic import Search, segment_automatically
from segsam.proposals.first_labels import FirstLabels
from segsam.types import AxisName, Cancel
from segsam_app.inference.engine import Engine
from segsam_app.inference.jobs import Jobs
from segsam_app.inference.requests import Extension, ShortText, Window, validated, window_of
from segsam_app.inference.stock import StockKeys
from segsam_app.limits import Limits
from segsam_app.web.deadline import Deadline
from segsam_app.web.replies import plain

logger = logging.getLogger(__name__)

AUTO_MODEL = "segsam_auto"
DESCRIPTION = (
    "SEG-SAM without prompts: finds what it knows in a volume, names it, and says how sure it is"
)
_OF_THE_SERVER = frozenset({"model", "image", "description", "session"})
_OF_BATCHES = frozenset(
    {"images", "max_workers", "max_batch_size", "_id", "_image_id", "gpus", "multi_gpu", "labels"}
)
_SLICES = (5, 9, 15, 3)
_LEAST = (0.4, 0.6, 0.2)
"""What stock clients offer as choices; the first is the default."""


class AutoRequest(StockKeys):
    """How to look; see `Search`. `label` may stand in for a single category, as clients send it."""

    axis: AxisName | Literal["auto"] = "auto"
    categories: tuple[ShortText, ...] = ()
    slices: Annotated[int, Field(ge=1, le=1000)] = _SLICES[0]
    grid: Annotated[int, Field(ge=1, le=32)] = Search.grid
    least: Annotated[float, Field(ge=0, le=1)] = _LEAST[0]
    window: ShortText | list[float] | None = None
    result_extension: Extension = ".nrrd"
    request_id: ShortText | None = None
    label: Any = None

    @property
    def search(self) -> Search:
        """As the library takes it."""
        how = {"slices": self.slices, "grid": self.grid}
        return Search(self.axis, self.categories, **how, min_certainty=self.least)

    @property
    def shown(self) -> Window | None:
        """The intensity window."""
        return window_of(self.window)


class AutoInfer(InferTask):
    """MONAI Label's interface to the automatic segmentation, with the model that `segsam` is."""

    gives_way = True
    """A click takes a moment, this takes long: the click goes first."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        jobs: Jobs,
        facts: Callable[[], Mapping[str, Any]],
    ) -> None:
        """`facts` tells what the checkpoint in use is, as `SegSamInfer.facts`."""
        self._engine, self._limits, self._jobs, self._facts = engine, limits, jobs, facts
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=list(facts()["categories"]),
            dimension=3,
            description=DESCRIPTION,
            config={
                "axis": ["auto", "i", "j", "k"],
                "slices": list(_SLICES),
                "least": list(_LEAST),
            },
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """What clients are told about the checkpoint."""
        return self._facts()

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, with the names that the model in use knows, and what it is."""
        facts = self.facts
        return {**super().info(), "labels": list(facts["categories"]), "checkpoint": dict(facts)}

    def is_valid(self) -> bool:
        """Listed when the model in use can name what it finds."""
        return bool(self.facts["trained"])

    def read(self, params: Mapping[str, Any]) -> AutoRequest:
        """The request that `params` states. Raises `RequestError`."""
        return validated(AutoRequest, params)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """MONAI Label's own call, as in batches: `request["image"]` is a file. It has the time of
        any inference.
        """
        away = _OF_THE_SERVER | _OF_BATCHES
        params = {key: value for key, value in request.items() if key not in away}
        patience = Deadline(self._limits.infer_seconds, is_gone=lambda: False)
        try:
            return self.segment(Path(request["image"]), self.read(params), cancel=patience.ended)
        except CancelledError:
            raise patience.too_late() from None

    def segment(
        self,
        image: Path,
        request: AutoRequest,
        *,
        keep: bool = True,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """(a label file that now belongs to the caller; the JSON reply). Raises `SegSamError`;
        arguments as of `SegSamInfer.segment`.
        """
        with self._jobs.told(request.request_id) as progress:
            volume = self._engine.volume(image, keep=keep)
            predictor = self._engine.predictor(image, volume, request.shown)
            found = segment_automatically(
                predictor, request.search, progress=progress, cancel=cancel
            )
            file = _written(found, request.result_extension)
        logger.info(
            "%d objects on %d slices, %d encoded, %.3f s",
            len(found.objects),
            len(found.searched_slices),
            found.encoded,
            found.seconds["total"],
        )
        reply = {
            **found.to_json(),
            "request_id": request.request_id,
            "latencies": dict(found.seconds),
        }
        return str(file), plain(reply)


def _written(found: FirstLabels, extension: str) -> Path:
    """A new private label file in the temporary folder: the caller sends it and deletes it."""
    handle, name = tempfile.mkstemp(suffix=extension, prefix="segsam-")
    os.close(handle)
    with ExitStack() as undo:
        undo.callback(Path(name).unlink, missing_ok=True)
        segments = found.segments if extension == ".seg.nrrd" else None
        found.volume.like(found.labels).save(name, segments=segments)
        undo.pop_all()
    return Path(name)
