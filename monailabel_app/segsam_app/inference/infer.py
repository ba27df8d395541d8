"""Interactive task `segsam`: prompts in, the mask of one object out.

MONAI Label's own 3D Slicer module decides by two facts how it uses a model.

**The dimension is 3**, although single slices are segmented. For a model of dimension 2, the module
sends a `slice` and merges only that slice of the reply, always along k. Images stored with their
slices along i or j could not be segmented, a box over many slices would be cut to one, and the
`slice` sent with a box is wrong for most images (see `dialects.py`). For dimension 3 it sends all
points and the box with every click, and replaces the whole segment by the reply. The task therefore
replies for every slice that has a prompt. Earlier prompts are decoded again with each click, but
their slices are encoded only once.

**The type is `deepgrow`**, because the module offers a box for no other interactive type.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.model import HOSTS
from segsam.model.checkpoint import default_name, find_card, host_name
from segsam.model.runtimes import RuntimeFacts
from segsam.prediction.result import Result
from segsam.prediction.taught.examples import TaughtNames
from segsam.types import AxisChoice, AxisName, Cancel
from segsam_app.config import AppConfig
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.adapted_states import Annotator
from segsam_app.inference.completing import Completer, CompletionRequest
from segsam_app.inference.confirmed import FindLabel
from segsam_app.inference.dialects import FOLLOWING, ImageRequest, Request, read_request
from segsam_app.inference.engine import Engine
from segsam_app.inference.finding import Finder, FindRequest
from segsam_app.inference.positions import position_of
from segsam_app.inference.prefetching import View
from segsam_app.inference.progress import ProgressTracker
from segsam_app.inference.replies import ANY_OBJECT, answer, disagreement, latencies, name_of
from segsam_app.inference.requests import SERVER_KEYS
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "SEG-SAM: segments the object in a box or at a point on every slice of it, and names it"
)
CONFIRMED = "confirmed"
"""Key by which a request with confirmed slices is recognised."""
FIND = "find"
"""Key by which a request with names is recognised."""
_MARKS = ("prompts", CONFIRMED, "foreground", "background", "roi")
"""Keys of requests that mark an object."""

AnyRequest: TypeAlias = Request | CompletionRequest | FindRequest


class SegSamInfer(InferTask):
    """MONAI Label's interface to the predictor, with one checkpoint."""

    def __init__(
        self,
        engine: Engine,
        config: AppConfig,
        checkpoint: str | None = None,
        *,
        on_view: Callable[[View], object] | None = None,
        progress: ProgressTracker | None = None,
        find_label: FindLabel | None = None,
        taught: Callable[[], TaughtStore | None] = lambda: None,
    ) -> None:
        """Describe the model to MONAI Label; the weights are loaded with the first prompt.

        Without `checkpoint`, the configured one is used. `on_view` is called after each prompt with
        the slice that its annotator views. `find_label` returns the file of a label of the store.
        `taught` returns the store of the names that users taught, None without one.

        Raises `CheckpointError` if the checkpoint's card is missing or invalid.
        """
        axes = [config.axis, *(axis for axis in get_args(AxisChoice) if axis != config.axis)]
        self._engine = engine
        self._on_view = on_view
        self._progress = progress or ProgressTracker()
        self._taught = taught
        self._axis = config.axis
        self._checkpoint = checkpoint or config.checkpoint
        self._configured_labels = config.labels
        self._finder = Finder(engine, self._checkpoint, self._progress, taught)
        self._completer = Completer(
            engine, self._checkpoint, self._progress, find_label or _no_label, taught
        )
        super().__init__(
            type=InferType.DEEPGROW,
            labels=self.segment_names(),
            dimension=3,
            description=DESCRIPTION,
            config={"axis": axes, "propagate": self._following()},
        )

    @property
    def checkpoint_info(self) -> dict[str, Any]:
        """Description of the checkpoint for clients, in its current version."""
        return checkpoint_info(self._engine.resolved(self._checkpoint))

    def _taught_names(self) -> TaughtNames | None:
        store = self._taught()
        return None if store is None else store.names()

    def _following(self) -> list[str]:
        """Return the choices of `propagate`: by memory only if the checkpoint's host has one."""
        has_memory = self.checkpoint_info["memory"]
        return [each for each in FOLLOWING if each != "memory" or has_memory]

    def segment_names(self) -> list[str]:
        """Return the segments that a stock client creates."""
        return list(self._configured_labels or (ANY_OBJECT, *self.checkpoint_info["categories"]))

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description with the current segments, the checkpoint, that it
        completes confirmed slices, if it finds objects by name, the names that users taught, and
        what computes its image encoder: None before the weights are loaded.
        """
        return {
            **super().info(),
            "labels": self.segment_names(),
            "checkpoint": self.checkpoint_info,
            "completes": True,
            "finds": self.checkpoint_info["trained"],
            "taught": [one.name for one in self._taught_names() or ()],
            "encoder": _encoder_info(self._engine.runtime_of(self._checkpoint)),
        }

    def is_valid(self) -> bool:
        """Return True: the model is listed before its weights are loaded."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Segment an image at MONAI Label's own call: `request["image"]` is a file, the other keys
        are those of either dialect.
        """
        params = {key: value for key, value in request.items() if key not in SERVER_KEYS}
        return self.segment(Path(request["image"]), self.read(params))

    def read(self, params: Mapping[str, Any]) -> AnyRequest:
        """Return the validated request, in either dialect. Raises `RequestError`."""
        if FIND in params:
            _check_names_alone(params)
            return FindRequest.model_validate(
                {key: value for key, value in params.items() if key not in _MARKS}
            )
        if CONFIRMED in params:
            return CompletionRequest.model_validate(dict(params))
        return read_request(params)

    def segment(
        self,
        image: Path,
        request: AnyRequest,
        *,
        annotator: Annotator | None = None,
        temporary: bool = False,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """Return (label file, which now belongs to the caller, or None; JSON reply).

        What is learnt from confirmed slices is kept for the `annotator`. A `temporary` image is
        about to be deleted. `cancel` is called before each slice. Times in the reply are seconds;
        "model" is the predictor's time, of which "encode" and "decode" are parts. Raises
        `SegSamError`.
        """
        if isinstance(request, CompletionRequest):
            return self._completer.complete(
                image, request, annotator, temporary=temporary, cancel=cancel
            )
        if isinstance(request, FindRequest):
            return self._finder.find(
                image, request, self.segment_names(), temporary=temporary, cancel=cancel
            )
        start = time.perf_counter()
        with self._engine.interactive():
            volume = self._engine.volume(image, temporary=temporary)
            image_request = request.for_image(volume.shape_ijk)
            axis = image_request.axis or self._axis
            _check_one_slice(image_request, volume, axis)
            predictor = self._engine.predictor(
                image, volume, image_request.window, checkpoint=self._checkpoint
            )
            read = time.perf_counter()
            with self._progress.track(image_request.request_id) as progress:
                result = predictor.predict(
                    image_request.prompts,
                    axis=axis,
                    propagate=image_request.propagate,
                    decoder=image_request.decoder,
                    category=image_request.category,
                    taught=self._taught_names(),
                    progress=progress,
                    cancel=cancel,
                )
        predicted = time.perf_counter()
        notes = disagreement(result, image_request, predictor.model.categories)
        image_request = replace(image_request, notes=(*image_request.notes, *notes))
        file, reply = _reply(result, image_request, self.segment_names())
        end = time.perf_counter()
        reply["latencies"] = latencies(result, start, read, predicted, end)
        logger.info(
            "%s of %d slices, %d encoded, %.3f s",
            image_request.form,
            len(result.slices),
            result.encoded,
            end - start,
        )
        if not temporary and self._on_view is not None:
            self._on_view(_view(image, image_request, result, self._checkpoint))
        return file, json_safe(reply)


def _check_names_alone(params: Mapping[str, Any]) -> None:
    """Raise `RequestError` if a request that names objects also marks one. What is empty marks
    nothing: the module of MONAI Label sends it always, but not these keys of ours.
    """
    ours = ("prompts", CONFIRMED)
    given = (key for key in _MARKS if params.get(key) or (key in ours and key in params))
    marked = next(given, None)
    if marked is not None:
        raise RequestError(
            f"expected names to find, or an object that is marked, got {FIND} and {marked}; send "
            "one of them"
        )


def _no_label(label: str, tag: str) -> tuple[Path, Sequence[str]]:
    raise NotFoundError(f"there is no store with a label {label!r:.80} here")


def _encoder_info(facts: RuntimeFacts | None) -> dict[str, Any] | None:
    """Return the runtime and precision of an image encoder, the seconds of a slice by both
    precisions if they were compared, and a note if the slower one was asked for.

    The reason of the choice stays in the log: it may name a folder.
    """
    if facts is None:
        return None
    times = None if facts.times is None else asdict(facts.times)
    return {
        "runtime": facts.runtime,
        "precision": facts.precision,
        "times": times,
        "notes": [facts.note] if facts.note else [],
    }


@lru_cache(maxsize=16)
def checkpoint_info(checkpoint: str | None) -> dict[str, Any]:
    """Return the description of a checkpoint for clients: its name, whether it names objects and
    which, the kinds of prompt it was trained with, whether its host has a memory of slices
    (`propagate: memory`), and the licence of its weights. Official weights have a name only, and
    memory and licence of their host if it is named.

    Raises `CheckpointError` if the card is missing or invalid.
    """
    card, host = find_card(checkpoint), host_name(checkpoint)
    memory = host in HOSTS and HOSTS[host].has_memory
    if card is None:
        name = checkpoint or default_name()
        return {
            "name": Path(name).name,
            "trained": False,
            "categories": [],
            "prompts": [],
            "memory": memory,
            "licence": HOSTS[host].facts.licence if host in HOSTS else "",
        }
    names = card.categories_seen or tuple(category.name for category in card.categories)
    return {
        "name": card.name,
        "trained": card.semantic_is_trained,
        "categories": list(names) if card.semantic_is_trained else [],
        "prompts": list(card.prompts_trained),
        "memory": memory,
        "licence": card.licence,
    }


def _view(image: Path, request: ImageRequest, result: Result, checkpoint: str | None) -> View:
    """Return the slice of the last prompt, across the (first) axis that was sliced."""
    axis = result.axes[0]
    number, prompts = "ijk".index(axis), request.prompts
    if prompts.points:
        index = prompts.points[-1].ijk[number]
    else:
        box = prompts.boxes[-1]
        index = (box.min_ijk[number] + box.max_ijk[number]) // 2
    return View(image, cast("AxisName", axis), index, request.window, checkpoint)


def _reply(
    result: Result, request: ImageRequest, listed: Sequence[str]
) -> tuple[str | None, dict[str, Any]]:
    if not request.by_position:
        return answer(result, request, 1)
    if not request.label and result.category not in listed and ANY_OBJECT in listed:
        request = replace(request, label=ANY_OBJECT)  # a name that was taught is in no position
    value = position_of(name_of(result, request), listed, otherwise=ANY_OBJECT)
    return answer(result, request, value)


def _check_one_slice(request: ImageRequest, volume: Volume, axis: AxisChoice) -> None:
    """Raise `RequestError`, before anything is computed, for a result that is not one plane."""
    if request.form != "slice":
        return
    if request.propagate or axis == "all":
        raise RequestError(
            'result "slice" is one plane: with propagate or axis "all" ask for "region"'
        )
    prompts, _ = request.prompts.checked(volume.shape_ijk)
    voxel_axis = choose_axis(volume, axis, prompts.flat_axis)
    slices = prompts.slices_along(voxel_axis)
    if len(slices) != 1:
        raise RequestError(
            f'result "slice" is one plane, and these prompts lie on {len(slices)} slices '
            f'along {"ijk"[voxel_axis]}; ask for "region"'
        )
