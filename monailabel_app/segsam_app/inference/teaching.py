"""Teaching of a name by request: the object that prompts mark becomes an example of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from segsam.errors import PromptError
from segsam.prediction.result import Result, SliceDescription
from segsam.prediction.taught.describing import SLICES_OF_OBJECT
from segsam.prediction.taught.examples import TaughtExample
from segsam.prompting.prompts import Prompts
from segsam.types import AxisChoice, Cancel, PropagateChoice
from segsam_app.errors import NotPossibleError
from segsam_app.ids import IdText, ImageIdText
from segsam_app.inference.engine import Engine
from segsam_app.inference.learning import Teacher
from segsam_app.inference.requests import ShortText, window_of
from segsam_app.records import RequestRecord
from segsam_app.storage.taught_names import Looks

NO_MEMORY = (
    "expected a checkpoint with a memory of examples, beside which names can be taught; the one in "
    "use has none"
)

_SHARE_OF_LARGEST = 0.25
_CODE_TEXT = re.compile(r"[^\\\x00-\x1f]+")


def _one_line(text: str) -> str:
    """Return the text; DICOM separates values by backslashes. Raises ValueError."""
    if _CODE_TEXT.fullmatch(text) is None:
        raise ValueError(
            "Expected code as a value and a meaning, each one line without a backslash, got "
            f"{text!r:.80}."
        )
    return text


_CodeText = Annotated[str, StringConstraints(max_length=64), AfterValidator(_one_line)]
"""Value or meaning of a DICOM code: one line, without the character that separates values."""
_Byte = Annotated[int, Field(ge=0, le=255)]


class LooksRequest(RequestRecord):
    """Part of a request that sets colour and code of a name."""

    model_config = ConfigDict(strict=True)

    colour: Annotated[list[_Byte], Field(min_length=3, max_length=3)] | None = None
    """Red, green and blue, 0 to 255."""
    code: Annotated[list[_CodeText], Field(min_length=2, max_length=2)] | None = None
    """SNOMED CT code and its meaning."""

    @property
    def looks(self) -> Looks:
        """Colour and code as the store takes them."""
        red_green_blue, code = self.colour, self.code
        return Looks(
            None if red_green_blue is None else (*red_green_blue,),  # type: ignore[arg-type]
            None if code is None else (code[0], code[1]),
        )


class TeachRequest(LooksRequest):
    """Body of `PUT /memory/{name}`: an object in an image of the studies."""

    image: ImageIdText | None = None
    """Id of the image, or instead:"""
    session_id: IdText | None = None
    """Id of an open session."""
    prompts: Any
    """Points and boxes that mark the object, as for an inference."""
    axis: AxisChoice = "auto"
    """Axis of the slices."""
    propagate: PropagateChoice | None = None
    """Follow the object through the slices; null: in 3D boxes only."""
    window: ShortText | list[float] | None = None
    """Intensity window: the name of a preset or [low, high]."""
    user: ShortText = ""
    """Who teaches it; with a log-in, its name counts."""


def examples_of(
    engine: Engine,
    image: Path,
    request: TeachRequest,
    *,
    case: str,
    user: str = "",
    cancel: Cancel | None = None,
) -> list[TaughtExample]:
    """Segment the object that a request marks, and return it as examples of a name, slice by slice.

    Raises `NotPossibleError` for a checkpoint without a memory, `PromptError` if nothing is there,
    and what an inference raises.
    """
    with engine.interactive():
        volume = engine.volume(image)
        predictor = engine.predictor(image, volume, window_of(request.window))
        if predictor.model.memory is None:
            raise NotPossibleError(NO_MEMORY)
        result = predictor.predict(
            Prompts.from_json(request.prompts),
            axis=request.axis,
            propagate=request.propagate,
            cancel=cancel,
        )
    teacher = Teacher(predictor.encoder.embedding_id, case, user)
    found = [teacher.example(one.axis, one) for one in _spread(result)]
    if not found:
        raise PromptError("The mask is empty: there is nothing here that could be given a name.")
    return found


def _spread(result: Result) -> list[SliceDescription]:
    """Return some slices of an object, evenly from all that show enough of it."""
    most = max((one.area for one in result.descriptions), default=0)
    large = [one for one in result.descriptions if one.area >= most * _SHARE_OF_LARGEST]
    if len(large) <= SLICES_OF_OBJECT:
        return large
    rows = np.linspace(0, len(large) - 1, SLICES_OF_OBJECT).round().astype(int)
    ordered = sorted(large, key=lambda one: (one.axis, one.index))
    return [ordered[row] for row in rows]
