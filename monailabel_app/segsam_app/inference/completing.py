"""Completion of an object from confirmed slices: one request of our dialect with `confirmed`.

::

    {"confirmed": [...] | {...},      confirmed slices, see `confirmed.py`
     "prompts": {"points": [...]},    clicks on other slices, inside or outside; optional
     "others": null | {...},          mask of where other objects are, as replies hold masks
     "previous": null | "...",        `state` of an earlier reply about the object, to continue from
     "label": null | "liver",         name of the segment in the reply
     "window": ..., "result": "region|volume", "request_id": "..."}

The model itself never changes. What was learnt stays in memory for the annotator alone. A name
that was taught, in `label` or as the object is given it, brings what was learnt about it in other
cases (`learning_on.py`), from which this one starts if it helps.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from segsam.errors import PromptError
from segsam.imaging.volume import Volume
from segsam.prediction.completion.completion import Completion
from segsam.prediction.completion.teaching import AdaptedState
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Prompts
from segsam.types import Cancel
from segsam_app.ids import IdText
from segsam_app.inference.adapted_states import Annotator, StateOwner
from segsam_app.inference.carried import find_carried
from segsam_app.inference.confirmed import Confirmed, FindLabel, confirmed_in, read_confirmed
from segsam_app.inference.dialects import ImageRequest
from segsam_app.inference.engine import Engine, ImageKey
from segsam_app.inference.progress import ProgressTracker
from segsam_app.inference.replies import answer, disagreement, latencies
from segsam_app.inference.requests import Name, RequestId, ShortText, window_of
from segsam_app.inference.sent_masks import SentMask
from segsam_app.records import RequestRecord
from segsam_app.storage.taught_names import TaughtStore
from segsam_app.strict_json import json_safe

logger = logging.getLogger(__name__)

FORGOTTEN_NOTE = (
    "What was learnt before is not on the server any more, so it was learnt anew from the "
    "confirmed slices."
)


class CompletionRequest(RequestRecord):
    """Request to segment the rest of an object of which some slices are confirmed."""

    model_config = ConfigDict(strict=True)

    is_preemptible: ClassVar[bool] = True
    """It takes seconds and a prompt takes moments, so waiting prompts are served in between."""

    confirmed: Any
    """Confirmed slices, or a label of the store that holds them; see `confirmed.py`."""
    prompts: Any = None
    """Points on other slices; no boxes."""
    others: SentMask | None = None
    """Where other objects are: the mask of all of them."""
    previous: IdText | None = None
    """`state` of an earlier reply about the same object, to continue from what was learnt."""
    label: Name | None = None
    """Name of the annotator's segment."""
    window: ShortText | list[float] | None = None
    """Intensity window: the name of a preset or [low, high]."""
    result: Literal["region", "volume"] = "volume"
    """Form of the reply: the mask in JSON, or a label file."""
    request_id: RequestId = None
    """Id that the client chooses, for `GET /segsam/progress` and the reply."""
    client_id: Any = None
    """No effect: MONAI Label's client adds it to everything."""

    def for_reply(self) -> ImageRequest:
        """Return the request as replies are described by. Raises `PromptError`, `RequestError`."""
        prompts = Prompts() if self.prompts is None else Prompts.from_json(self.prompts)
        if prompts.boxes or prompts.negative_boxes:
            raise PromptError(
                "Expected points beside confirmed slices, got a box; confirm a slice instead."
            )
        return ImageRequest(
            prompts=prompts,
            window=window_of(self.window),
            form=self.result,
            label=self.label or None,
            request_id=self.request_id,
        )


class Completer:
    """Answers requests with confirmed slices, with one checkpoint.

    `find_label` returns the file of a label of the store, and notes about it; `taught` the store of
    the names that users taught, None without one.
    """

    def __init__(
        self,
        engine: Engine,
        checkpoint: str | None,
        progress: ProgressTracker,
        find_label: FindLabel,
        taught: Callable[[], TaughtStore | None],
    ) -> None:
        self._engine, self._checkpoint = engine, checkpoint
        self._progress, self._find_label, self._taught = progress, find_label, taught

    def complete(
        self,
        image: Path,
        request: CompletionRequest,
        annotator: Annotator | None,
        *,
        temporary: bool = False,
        cancel: Cancel | None = None,
    ) -> tuple[str | None, dict[str, Any]]:
        """Return (label file, which now belongs to the caller, or None; JSON reply).

        Without an annotator, or for a `temporary` image, nothing that was learnt is kept. Raises
        `SegSamError`.
        """
        start = time.perf_counter()
        with self._engine.interactive(), self._progress.track(request.request_id) as progress:
            sent, asked = read_confirmed(request.confirmed), request.for_reply()
            volume = self._engine.volume(image, temporary=temporary)
            confirmed = confirmed_in(volume, sent, self._find_label)
            others = _others(volume, request, confirmed)
            predictor = self._engine.predictor(
                image, volume, asked.window, checkpoint=self._checkpoint
            )
            owner = None
            if annotator is not None and not temporary:
                owner = StateOwner(annotator, ImageKey.of(image), asked.window)
            previous = self._previous(request, owner, predictor)
            taught, carried_notes = self._taught(), list[str]()
            read = time.perf_counter()
            result = predictor.complete(
                confirmed.slices,
                points=asked.prompts.points,
                others=others,
                previous=previous,
                taught=None if taught is None else taught.names(),
                name=request.label or None,
                carried=find_carried(taught, predictor, carried_notes),
                progress=progress,
                cancel=cancel,
            )
        predicted = time.perf_counter()
        notes = [
            *confirmed.notes,
            *carried_notes,
            *disagreement(result, asked, predictor.model.categories),
        ]
        if request.previous is not None and previous is None:
            notes.insert(0, FORGOTTEN_NOTE)
        file, reply = answer(result, replace(asked, notes=tuple(notes)))
        state = self._keep(request, owner, result, previous)
        reply |= {**_learnt(result), "state": state}
        end = time.perf_counter()
        reply["latencies"] = latencies(result, start, read, predicted, end)
        logger.info(
            "completed %d slices from %d, %.3f s",
            len(result.slices),
            len(confirmed.slices.planes),
            end - start,
        )
        return file, json_safe(reply)

    def _previous(
        self, request: CompletionRequest, owner: StateOwner | None, predictor: Predictor
    ) -> AdaptedState | None:
        if owner is None or request.previous is None:
            return None
        return self._engine.states.get(request.previous, owner, predictor.encoder.weights_id)

    def _keep(
        self,
        request: CompletionRequest,
        owner: StateOwner | None,
        result: Completion,
        previous: AdaptedState | None,
    ) -> str | None:
        """Return the id of what was learnt; the one that was sent if nothing was learnt since."""
        if owner is None:
            return None
        if result.state is previous:
            return request.previous
        return self._engine.states.add(owner, result.state)


def _others(
    volume: Volume, request: CompletionRequest, confirmed: Confirmed
) -> NDArray[np.bool_] | None:
    """Return where other objects are: in the request, and in the label that confirms slices."""
    if request.others is None:
        return confirmed.others
    sent = request.others.whole(volume.shape_ijk, "the mask of other objects")
    return sent if confirmed.others is None else sent | confirmed.others


def _learnt(result: Completion) -> dict[str, Any]:
    """Return what a reply to confirmed slices has besides what every reply has."""
    axis, state = result.axes[0], result.state
    worst = result.least_certain
    return {
        "certainty": [result.certainties[each.index] for each in result.slices],
        "confirmed": [{"axis": axis, "index": index} for index in result.confirmed],
        "next_slice": None if worst is None else {"axis": axis, "index": worst},
        "adapted": state.is_adapted,
        "self_check": {"unadapted": state.check.unadapted, "adapted": state.check.adapted},
        "start": None if state.offer is None else state.offer.to_json(),
    }
