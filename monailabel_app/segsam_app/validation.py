"""Validation of settings and request bodies with pydantic, and one sentence for what is invalid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segsam_app.errors import RequestError


class Record(BaseModel):
    """Base of settings and request bodies. It is frozen, and an unknown key is refused, so that a
    typo never has a silent effect. The text under a field is its description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], params: Mapping[str, Any]) -> Model:
    """Return `params` as an instance of `model`. Raises `RequestError` that names the first invalid
    key, what it must be and what came.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        raise RequestError(sentence_of(error, model)) from error


def sentence_of(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first problem of `error` as "NAME must be REQUIREMENT, got VALUE"."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {name!r:.80}; known keys: {', '.join(sorted(model.model_fields))}"
    if first["type"] == "missing":
        return f"the key {name!r} is missing"
    return f"{name} {_requirement(first['type'], first['msg'])}, got {first['input']!r:.80}"


def _requirement(kind: str, message: str) -> str:
    """Turn pydantic's "Input should be X, unable to parse ..." into "must be X"."""
    if kind == "bool_parsing":
        return "must be on or off"
    text = re.sub(r"^(Value error, |\w+ should )", "", message)
    text = re.split(r", (?:unable|got) ", text)[0]
    return text if text.startswith("must ") else f"must {text}"
