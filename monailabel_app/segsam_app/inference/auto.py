"""Automatic task `segsam_auto`: no prompts in, first labels out, with the certainty of each.

Stock clients list it among the automatic models. It takes some seconds per volume. Therefore it
serves waiting prompts after each slice, reports its progress, and stops if its client disconnects
or its deadline passes. For a whole study folder there is `POST /batch/infer/segsam_auto`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from segsam.proposals.automatic import Search
from segsam.types import Cancel
from segsam_app.errors import RequestError
from segsam_app.inference.adapted_states import Annotator
from segsam_app.inference.engine import Engine
from segsam_app.inference.finding import SearchRequest, described, searched, written
from segsam_app.inference.positions import names_at
from segsam_app.inference.progress import ProgressTracker
from segsam_app.inference.requests import (
    SERVER_KEYS,
    ShortText,
    window_of,
)
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

AUTO_MODEL = "segsam_auto"
DESCRIPTION = (
    "SEG-SAM without prompts: finds what it knows in a volume, names it, and says how sure it is"
)
_BATCH_KEYS = frozenset(
    {"images", "max_workers", "max_batch_size", "_id", "_image_id", "gpus", "multi_gpu", "labels"}
)
"""Keys that MONAI Label's batch task adds to each request."""
_SLICES = (Search.slices, 9, 15, 3)
_LEAST = (Search.min_certainty, 0.6, 0.2)
"""Choices that stock clients offer; the first one is the default."""


class AutoRequest(SearchRequest):
    """Request for first labels; see `Search`."""

    categories: tuple[ShortText, ...] = ()
    """Categories or taught names to find; empty for all that the checkpoint knows, and the taught
    names about which something was learnt."""
    label_prompt: tuple[int, ...] | None = None
    """Categories as OHIF names them: positions in the model's labels, counted from 1."""

    def search(self, listed: Sequence[str]) -> Search:
        """Return the search of the library. `listed` are the model's labels. Raises
        `RequestError`.
        """
        names = self.categories
        if self.label_prompt is not None:
            if names:
                raise RequestError("expected categories or label_prompt, got both")
            names = names_at(self.label_prompt, listed)
        return self.search_for(names)


class AutoInfer(InferTask):
    """MONAI Label's interface to the segmentation without prompts, with the model `segsam`."""

    def __init__(
        self,
        engine: Engine,
        progress: ProgressTracker,
        checkpoint_info: Callable[[], Mapping[str, Any]],
        taught: Callable[[], TaughtStore | None] = lambda: None,
    ) -> None:
        """`checkpoint_info` returns the description of the checkpoint in use, see
        `SegSamInfer.checkpoint_info`; `taught` the store of the names that users taught, None
        without one.
        """
        self._engine, self._progress, self._taught = engine, progress, taught
        self._checkpoint_info = checkpoint_info
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=list(checkpoint_info()["categories"]),
            dimension=3,
            description=DESCRIPTION,
            config={
                "axis": ["auto", "i", "j", "k"],
                "slices": list(_SLICES),
                "least": list(_LEAST),
            },
        )

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description with the current categories and the checkpoint."""
        checkpoint = self._checkpoint_info()
        labels = list(checkpoint["categories"])
        return {**super().info(), "labels": labels, "checkpoint": dict(checkpoint)}

    def is_valid(self) -> bool:
        """Return True if the checkpoint in use can name objects; only then the model is listed."""
        return bool(self._checkpoint_info()["trained"])

    def read(self, params: Mapping[str, Any]) -> AutoRequest:
        """Return the validated request. Raises `RequestError`."""
        return AutoRequest.model_validate(dict(params))

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segment an image at MONAI Label's own call, as in batches: `request["image"]` is a file.
        Nobody waits for an answer, so that there is no deadline: a batch at low priority beside a
        training takes what it takes, and stopping it ends its process.
        """
        params = {key: request[key] for key in request if key not in SERVER_KEYS | _BATCH_KEYS}
        return self.segment(Path(request["image"]), self.read(params))

    def segment(
        self,
        image: Path,
        request: AutoRequest,
        *,
        annotator: Annotator | None = None,
        temporary: bool = False,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """Return (label file, which now belongs to the caller; JSON reply). Arguments as in
        `SegSamInfer.segment`. Raises `SegSamError`.
        """
        del annotator  # nothing is learnt here
        listed = list(self._checkpoint_info()["categories"])
        search = request.search(listed)
        with self._progress.track(request.request_id) as progress:
            volume = self._engine.volume(image, temporary=temporary)
            predictor = self._engine.predictor(image, volume, window_of(request.window))
            found = searched(predictor, search, self._taught(), progress=progress, cancel=cancel)
            file, names = written(found, request, listed)
        return str(file), json_safe(described(found, names, request.request_id))
