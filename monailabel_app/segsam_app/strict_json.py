"""Strict JSON: what a client sends is refused if it cannot be given back, and no reply holds NaN.

Python reads more than JSON is: NaN, numbers beyond any limit, halves of characters (a `\\ud800`
alone, which no text file can hold), and lists that are nested deeper than others can read. Whatever
of it was kept would be in every later reply about the same image. So it is refused when it comes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from segsam.system.unique_keys import RepeatedKeyError, unique_object
from segsam_app.errors import RequestError
from segsam_app.server_paths import without_paths

MAX_DEPTH = 32
"""Deepest nesting of objects and lists that is accepted."""
_MAX_INTEGER = 2**63 - 1
_MAX_BITS_OUT = 1024


def read_object(text: str, name: str = "params") -> dict[str, Any]:
    """Return the JSON object in `text`; an empty text is an empty object.

    Raises `RequestError` for anything else, and for what `checked_json` refuses.
    """
    try:
        value = json.loads(
            text or "{}",
            parse_constant=lambda word: _refuse_constant(name, word),
            object_pairs_hook=unique_object,
        )
    except json.JSONDecodeError as error:
        raise RequestError(f"{name} is not JSON: {json_problem(error)}") from error
    except RecursionError as error:
        raise RequestError(f"{name} is nested too deeply") from error
    except RepeatedKeyError as error:
        raise RequestError(
            f"{name} holds {error.key!r:.80} twice; expected each key once"
        ) from error
    except ValueError as error:  # Python's limit of digits
        raise RequestError(_integer_sentence(name, "one with thousands of digits")) from error
    if not isinstance(value, dict):
        raise RequestError(f"{name} must be a JSON object, got {_kind(value)}")
    return dict(checked_json(value, name))


def json_problem(error: json.JSONDecodeError) -> str:
    """Return why a text is no JSON, as a clause."""
    if error.doc.startswith("\ufeff"):
        return "it begins with a byte order mark; expected UTF-8 without one"
    return f"it cannot be read from character {error.pos} on"


def checked_json(value: Any, name: str) -> Any:
    """Return a value that was read from JSON, if it can be written as JSON again.

    Raises `RequestError` for numbers that are not finite or have more than 64 bits, for text that
    is no Unicode, and for more than `MAX_DEPTH` levels.
    """
    level: list[tuple[str, Any]] = [(name, value)]
    for depth in range(MAX_DEPTH + 2):
        if depth > MAX_DEPTH:
            raise RequestError(
                f"{name} is nested too deeply: expected at most {MAX_DEPTH} levels, got more"
            )
        below: list[tuple[str, Any]] = []
        for place, one in level:
            if isinstance(one, Mapping):
                below += [(place, key) for key in one]
                below += [(f"{name}: {key!r:.80}", each) for key, each in one.items()]
            elif isinstance(one, list):
                below += [(place, each) for each in one]
            else:
                _check_scalar(one, place)
        if not below:
            break
        level = below
    return value


def _check_scalar(value: Any, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{name} holds a number that is not finite; expected finite ones")
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise RequestError(_integer_sentence(name, f"one of {value.bit_length()} bits"))
    if isinstance(value, str) and encodable(value) != value:
        raise RequestError(f"{name} holds text that is no Unicode: expected whole characters, got "
                           f"{value!r:.80}")  # fmt: skip


def encodable(text: str) -> str:
    """Return `text` with halves of characters written out, as in `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_safe(value: Any) -> Any:
    """Return `value` in the types of JSON: a number that is not finite, or far too long, becomes
    None, a key text, an array a list. Other types are left as they are.
    """
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(str(key)): json_safe(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value.bit_length() > _MAX_BITS_OUT:
        return None
    return value


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the HTTP response with `value` as strict JSON, without paths of this computer."""
    content = without_paths(jsonable_encoder(json_safe(value)))
    return JSONResponse(content, status, headers=headers)


def _refuse_constant(name: str, word: str) -> NoReturn:
    raise RequestError(f"{name} holds {word}, which is not JSON")


def _integer_sentence(name: str, got: str) -> str:
    return f"{name} holds a number that is too large: expected at most 64 bits, got {got}"


def _kind(value: object) -> str:
    kinds = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
