"""The form field `params` of `POST /infer/segsam`: one JSON object in one of two dialects, read
with an allow-list.

**Ours** is known by its key `prompts`; a key that is not listed here is refused by name, so that a
typo is never a silently different mask::

    {"prompts": {"points": [{"ijk": [i, j, k], "positive": true}],
                 "boxes": [{"min_ijk": [i, j, k], "max_ijk": [i, j, k]}]},
     "axis": "auto|i|j|k|all", "propagate": null | true | false,
     "decoder": "binary|semantic", "category": null,
     "window": null | "lung" | [low, high],
     "result": "slice|region|volume", "request_id": "..."}

**Stock** (`inference.stock`) is what the unchanged MONAI Label module of 3D Slicer sends.

Voxel indices are those of the stored array: (i, j, k) as nibabel, pynrrd and 3D Slicer count them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from segsam.imaging.intensity import CT_WINDOWS
from segsam.prompting.prompts import Prompts
from segsam.types import AxisChoice, DecoderName
from segsam_app.errors import RequestError

ResultForm = Literal["slice", "region", "volume"]
Extension = Literal[".nrrd", ".seg.nrrd", ".nii.gz", ".nii"]
Window = str | tuple[float, float]
ShortText = Annotated[str, StringConstraints(max_length=200)]


@dataclass(frozen=True)
class Click:
    """One request, understood: what to segment, how, and in which form to answer.

    `propagate` is that of `Predictor.predict`: None follows the object in 3D boxes only.
    `label` names the mask in the reply, None for what the model calls it; `notes` are sentences
    about what had to be interpreted.
    """

    prompts: Prompts
    axis: AxisChoice | None = None
    propagate: bool | None = None
    decoder: DecoderName = "binary"
    category: str | None = None
    window: Window | None = None
    form: ResultForm = "volume"
    extension: Extension = ".nrrd"
    label: str | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()


class Request(Protocol):
    """A validated request; what it means can depend on the image (stock boxes are clamped)."""

    def click(self, shape_ijk: tuple[int, int, int]) -> Click: ...


class OurRequest(BaseModel):
    """Our dialect. `client_id` is what MONAI Label's client adds to everything; it is not used."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompts: Any
    axis: AxisChoice | None = None
    propagate: bool | None = None
    decoder: DecoderName = "binary"
    category: ShortText | None = None
    window: ShortText | list[float] | None = None
    result: ResultForm = "volume"
    request_id: ShortText | None = None
    client_id: Any = None

    def click(self, shape_ijk: tuple[int, int, int]) -> Click:
        """What is meant; our boxes and points mean the same in every image, so the shape is not
        needed.
        """
        del shape_ijk
        return Click(
            prompts=Prompts.from_json(self.prompts),
            axis=self.axis,
            propagate=self.propagate,
            decoder=self.decoder,
            category=self.category,
            window=window_of(self.window),
            form=self.result,
            request_id=self.request_id,
        )


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`. Raises `RequestError` for anything else, NaN and Infinity
    included.
    """
    try:
        value = json.loads(text or "{}", parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RequestError(f"params is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise RequestError("params is nested too deeply") from error
    if not isinstance(value, dict):
        raise RequestError(f"params must be a JSON object, got {_kind(value)}")
    return value


def validated(model: type[AnyModel], params: Mapping[str, Any]) -> AnyModel:
    """`model` made of `params`. Raises `RequestError` naming the first wrong key, what it wanted
    and what came.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            raise RequestError(f"unknown key {name!r:.80}; known keys: {known}") from error
        if first["type"] == "missing":
            raise RequestError(f"the key {name!r} is missing") from error
        got = f"{first['input']!r:.80}"
        raise RequestError(f"{name}: {first['msg'].lower()}, got {got}") from error


AnyModel = TypeVar("AnyModel", bound=BaseModel)


def window_of(value: str | list[float] | None) -> Window | None:
    """A preset's name or (low, high). Raises `RequestError` for anything else."""
    if isinstance(value, str) and value not in CT_WINDOWS:
        raise RequestError(f"unknown window {value!r:.80}; known: {', '.join(sorted(CT_WINDOWS))}")
    if not isinstance(value, list):
        return value
    if len(value) != 2 or not value[0] < value[1]:
        raise RequestError(f"window must be a preset's name or [low, high], got {value!r:.80}")
    return value[0], value[1]


def _refuse_constant(name: str) -> NoReturn:
    raise RequestError(f"params holds {name}, which is not JSON")


def _kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
