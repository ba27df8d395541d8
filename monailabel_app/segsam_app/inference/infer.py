"""The interactive task `segsam`: prompts in, one object's mask out.

**What stock 3D Slicer does with a model's `dimension`, and why this one says 3.** For a model of
dimension 2 the module sends a `slice` and then merges only that slice of the reply, always along
k, pixel by pixel in Python: images that were stored with their slices along i or j could not be
segmented, a box over many slices would be cut to one, and the `slice` sent with a box is wrong for
most images (see `stock.py`). For dimension 3 it sends all points and the box with every click and
puts our mask in the segment's place, through its fast import. So the model says 3, answers for
every slice that a prompt lies on, and the object grows click by click because all prompts come
along each time; the slices are encoded only once. The type is `deepgrow` because the module lists
no other as interactive with a box.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from segsam.imaging.slices import choose_axis
from segsam.imaging.volume import Volume
from segsam.model.checkpoint import default_name, find_card
from segsam.prediction.result import Result
from segsam.remote.masks import encode_mask
from segsam.types import AxisChoice, AxisName, Cancel
from segsam_app.config import AXES, AppConfig
from segsam_app.errors import RequestError
from segsam_app.inference.answers import describe, disagreement, write_labels
from segsam_app.inference.dialects import read_request
from segsam_app.inference.engine import Engine
from segsam_app.inference.jobs import Jobs
from segsam_app.inference.requests import Click, Request
from segsam_app.inference.stock import FOLLOWING
from segsam_app.inference.warmup import View
from segsam_app.web.replies import plain

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "SEG-SAM: segments the object in a box or at a point on every slice of it, and names it"
)
ANY_OBJECT = "object"
"""The segment for what has no name yet; stock clients offer it first."""

_OF_THE_SERVER = frozenset({"model", "image", "description", "session"})


class SegSamInfer(InferTask):
    """MONAI Label's interface to the predictor, with one checkpoint."""

    gives_way = False
    """Somebody waits for each answer."""

    def __init__(
        self,
        engine: Engine,
        config: AppConfig,
        checkpoint: str | None = None,
        *,
        look: Callable[[View], object] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        """For a checkpoint; None is the configured one. `look` is told after each click what its
        annotator looks at, `jobs` how far each inference is. Raises `CheckpointError` when the card
        is missing or wrong; the weights wait for the first click.
        """
        axes = [config.axis, *(axis for axis in AXES if axis != config.axis)]
        self._engine = engine
        self._look = look
        self._jobs = jobs or Jobs()
        self._axis = config.axis
        self._checkpoint = checkpoint or config.checkpoint
        self._own_labels = config.labels
        super().__init__(
            type=InferType.DEEPGROW,
            labels=self.own_labels(),
            dimension=3,
            description=DESCRIPTION,
            config={"axis": axes, "propagate": list(FOLLOWING)},
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What clients are told about the checkpoint, as training has made it."""
        return checkpoint_facts(self._engine.resolved(self._checkpoint))

    def own_labels(self) -> list[str]:
        """The segments that a stock client creates."""
        return list(self._own_labels or (ANY_OBJECT, *self.facts["categories"]))

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, and what the checkpoint is."""
        return {**super().info(), "labels": self.own_labels(), "checkpoint": self.facts}

    def is_valid(self) -> bool:
        """Listed even before the weights are loaded: loading them is the first click's business."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """MONAI Label's own call: `request["image"]` is a file, the prompts stand beside it in
        either dialect.
        """
        params = {key: value for key, value in request.items() if key not in _OF_THE_SERVER}
        return self.segment(Path(request["image"]), self.read(params))

    def read(self, params: Mapping[str, Any]) -> Request:
        """The request that `params` states, in either dialect. Raises `RequestError`."""
        return read_request(params)

    def segment(
        self,
        image: Path,
        request: Request,
        *,
        keep: bool = True,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """(a label file that now belongs to the caller, or None; the JSON reply). Raises
        `SegSamError`.

        `keep=False` says that the image file is about to go; `cancel` is asked before each slice.
        Times in the reply are seconds; "model" is what the predictor took, "encode" and "decode"
        are its parts.
        """
        watch = _Watch()
        with self._engine.click():
            volume = self._engine.volume(image, keep=keep)
            click = request.click(volume.shape_ijk)
            axis = click.axis or self._axis
            _check_one_slice(click, volume, axis)
            predictor = self._engine.predictor(
                image, volume, click.window, checkpoint=self._checkpoint
            )
            watch.lap("read")
            with self._jobs.told(click.request_id) as progress:
                result = predictor.predict(
                    click.prompts,
                    axis=axis,
                    propagate=click.propagate,
                    decoder=click.decoder,
                    category=click.category,
                    progress=progress,
                    cancel=cancel,
                )
        watch.lap("model")
        click = _with_notes(click, disagreement(result, click, predictor.model.categories))
        file, reply = _answer(result, click)
        watch.lap("answer")
        reply["latencies"] = {**watch.seconds, **result.seconds, "total": watch.total}
        logger.info(
            "%s of %d slices, %d encoded, %.3f s",
            click.form,
            len(result.slices),
            result.encoded,
            watch.total,
        )
        if keep and self._look is not None:
            self._look(_view(image, click, result, self._checkpoint))
        return file, plain(reply)


@lru_cache(maxsize=16)
def checkpoint_facts(checkpoint: str | None) -> dict[str, Any]:
    """What clients are told about a checkpoint: its name, whether it names objects and which, and
    the kinds of prompt it was trained with. Of official weights, their name alone.

    Raises `CheckpointError` for a card that is missing or wrong.
    """
    card = find_card(checkpoint)
    if card is None:
        name = checkpoint or default_name()
        return {"name": Path(name).name, "trained": False, "categories": [], "prompts": []}
    names = card.categories_seen or tuple(category.name for category in card.categories)
    return {
        "name": card.name,
        "trained": card.semantic_is_trained,
        "categories": list(names) if card.semantic_is_trained else [],
        "prompts": list(card.prompts_trained),
    }


def _view(image: Path, click: Click, result: Result, checkpoint: str | None) -> View:
    """The slice of the last prompt, across the (first) axis that was segmented along."""
    axis = result.axes[0]
    number, prompts = "ijk".index(axis), click.prompts
    if prompts.points:
        index = prompts.points[-1].ijk[number]
    else:
        box = prompts.boxes[-1]
        index = (box.min_ijk[number] + box.max_ijk[number]) // 2
    return View(image, cast("AxisName", axis), index, click.window, checkpoint)


def _with_notes(click: Click, notes: tuple[str, ...]) -> Click:
    return replace(click, notes=(*click.notes, *notes))


def _answer(result: Result, click: Click) -> tuple[str | None, dict[str, Any]]:
    reply = describe(result, click)
    if click.form == "volume":
        return str(write_labels(result, click)), reply
    reply["mask"] = encode_mask(result.region)
    return None, reply


def _check_one_slice(click: Click, volume: Volume, axis: AxisChoice) -> None:
    """Refuse, before anything is computed, what cannot be answered as one plane."""
    if click.form != "slice":
        return
    if click.propagate or axis == "all":
        raise RequestError(
            'result "slice" is one plane: with propagate or axis "all" ask for "region"'
        )
    prompts, _ = click.prompts.checked(volume.shape_ijk)
    along = choose_axis(volume, axis, prompts.flat_axis)
    slices = prompts.slices_along(along)
    if len(slices) != 1:
        raise RequestError(
            f'result "slice" is one plane, and these prompts lie on {len(slices)} slices '
            f'along {"ijk"[along]}; ask for "region"'
        )


class _Watch:
    """Seconds from lap to lap."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = self._last = clock()
        self.seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = self._clock()
        self.seconds[name] = now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return self._clock() - self._start
