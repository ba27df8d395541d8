"""Records of values that a person or a program writes: read, checked, and refused in a sentence.

A configuration is a class of fields with type, range and description. `sentence_of` turns what
pydantic finds wrong into the form of all our errors: what was expected, and what came.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from segsam.errors import SegSamError
from segsam.system.reasons import reason_of
from segsam.system.unique_keys import RepeatedKeyError, unique_yaml

T = TypeVar("T")
AnyRecord = TypeVar("AnyRecord", bound="Record")

_SHOWN = 80
"""Characters of a wrong value that a sentence repeats: it may come from a stranger's request."""
_EXPECTATIONS = {
    "bool_parsing": "be on or off",
    "bool_type": "be true or false",
    "dict_type": "hold values by name",
    "mapping_type": "hold values by name",
    "json_invalid": "be JSON",
    "frozen_set_type": "be a list",
    "list_type": "be a list",
    "set_type": "be a list",
    "tuple_type": "be a list",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "int_from_float": "be a whole number",
    "int_parsing": "be a whole number",
    "int_type": "be a whole number",
    "model_type": "hold values by name",
    "string_type": "be text",
}
"""Plain words for pydantic's most frequent findings, which it puts in Python's terms."""
_COUNTS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}
"""Its findings about the number of values in a list, and where the limit stands."""
_LIMITS = {
    "minimum": "At least",
    "exclusiveMinimum": "More than",
    "maximum": "At most",
    "exclusiveMaximum": "Less than",
}
"""Words for the ranges of a JSON schema."""
_UNION_MEMBER = re.compile(
    r"(str|int|float|bool|none|constrained-\w+|(list|tuple|set|dict|function|literal|lax|json)\W.*)",
    re.I,
)


def sentence_of(error: ValidationError, known: Collection[str] = (), prefix: str = "") -> str:
    """Return one sentence of the form "Expected …, got …" for the first finding of pydantic.

    Keys that are unknown come first, then keys that are missing, then wrong values.

    Args:
        error: raised by a pydantic model.
        known: the keys that there are, to be named when one is unknown.
        prefix: written before every name, as `loss.` for a record inside another.
    """
    return sentence_of_findings(error.errors(include_url=False), known, prefix)


def sentence_of_findings(
    found: Sequence[Mapping[str, Any]], known: Collection[str] = (), prefix: str = ""
) -> str:
    """Return the sentence about pydantic's findings, as `sentence_of` does about its error."""
    unknown = [one for one in found if one["type"] == "extra_forbidden"]
    if unknown:
        return unknown_key(_name(unknown[0]), known, prefix)
    missing = [prefix + _name(one) for one in found if one["type"] == "missing"]
    if missing:
        return f"Expected values for {', '.join(missing)}, got none."
    first = found[0]
    reason = str(first.get("ctx", {}).get("error", ""))
    if reason.startswith("Expected"):
        return reason
    alike = [one for one in found if _name(one) == _name(first)]  # one for each type of a union
    wanted = " or ".join(dict.fromkeys(map(_expectation, alike))).replace(" or be ", " or ")
    return f"Expected {prefix}{_name(first)} to {wanted}, got {first['input']!r:.{_SHOWN}}."


def _name(found: Mapping[str, Any]) -> str:
    """Return the path of the field, without the member of a union that was tried."""
    parts = [str(part) for part in found["loc"]]
    if parts[-1:] == ["[key]"]:
        return f"the keys of {'.'.join(parts[:-2])}"
    if len(parts) > 1 and _UNION_MEMBER.fullmatch(parts[-1]):
        parts.pop()
    return ".".join(parts)[:_SHOWN]


def unknown_key(name: str, known: Collection[str], prefix: str = "") -> str:
    """Return the sentence on a key that is none of the `known` ones; arguments as `sentence_of`."""
    names = ", ".join(prefix + one for one in known)
    sentence = f"Expected one of the keys {names}, got {prefix}{name}."
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"{sentence} The nearest is {prefix}{nearest[0]}." if nearest else sentence


def _expectation(found: Mapping[str, Any]) -> str:
    """Return what a value should do, from "Input should be less than 1" or "must be an id"."""
    if found["type"] == "string_too_short" and found["ctx"]["min_length"] == 1:
        return "be text, not empty"
    if found["type"] in _COUNTS:
        words, key = _COUNTS[found["type"]]
        limit = found["ctx"][key]
        return f"have {words} {limit} value{'' if limit == 1 else 's'}"
    _, _, wanted = found["msg"].replace(" must ", " should ", 1).partition(" should ")
    return _EXPECTATIONS.get(found["type"]) or wanted or f"be valid ({found['msg']})"


def _number(value: Any) -> Any:
    """Return the number in a text: YAML reads 1e-4, without a point, as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


Number: TypeAlias = Annotated[float, BeforeValidator(_number)]
"""A fraction; a whole number and a number in a text pass for one."""
Several: TypeAlias = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
"""A list of values; a single value passes for a list of one."""
ByName: TypeAlias = Mapping[Annotated[str, BeforeValidator(str)], T]
"""Values by name; a number passes for a name."""


class Record(BaseModel):
    """Base of all configurations: immutable, no unknown keys, no other types than the declared.

    Any way to build one raises `refusal` with a sentence, never pydantic's `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    refusal: ClassVar[type[SegSamError]] = SegSamError
    """The error that an invalid value raises."""
    prefix: ClassVar[str] = ""
    """Path of this record within a larger one, such as `loss.`, for the names in sentences."""

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_a_sentence(cls, values: Any, check: ModelWrapValidatorHandler[Any]) -> Any:
        try:
            return check(values)
        except ValidationError as error:
            raise cls.refusal(sentence_of(error, cls.model_fields, cls.prefix)) from error

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Validate JSON text. Raises `refusal`, also for text that is no JSON: pydantic finds that
        before the record's own validator runs.
        """
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise cls.refusal(sentence_of(error, cls.model_fields, cls.prefix)) from error

    @classmethod
    def load(cls: type[AnyRecord], path: str | Path, changes: Sequence[str] = ()) -> AnyRecord:
        """Read a YAML file and apply changes of the form key=value, or key.name=value.

        Relative folders in it stay relative to where the command runs.

        Raises:
            SegSamError: of the class `refusal`; no such file, no YAML, a change without `=`, an
                unknown key (the known ones are named), a value of another type or out of range.
        """
        name = Path(path).name
        try:
            values = unique_yaml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RepeatedKeyError) as error:
            raise cls.refusal(
                f"Cannot read the file {name} as YAML: {reason_of(error)}."
            ) from error
        if not isinstance(values, dict):
            raise cls.refusal(f"Expected keys and values in the file {name}, got {values!r:.80}.")
        for change in changes:
            cls._apply(values, change)
        return cls.model_validate(values)

    @classmethod
    def _apply(cls, values: dict[str, Any], change: str) -> None:
        key, equals, text = change.partition("=")
        if not equals:
            raise cls.refusal(f"Expected key=value, got {change!r}.")
        try:
            value = yaml.safe_load(text) if text else ""
        except yaml.YAMLError as error:
            raise cls.refusal(f"Expected YAML as the value of {key}, got {text!r}.") from error
        outer, dot, inner = key.partition(".")
        if dot:
            before = values.get(outer)
            value = {**(before if isinstance(before, dict) else {}), inner: value}
        values[outer] = value

    def to_json(self) -> str:
        """Return the record as JSON text, its keys in alphabetical order."""
        return json.dumps(self.model_dump(), indent=1, sort_keys=True)

    @classmethod
    def described(cls) -> str:
        """Return a line for each key: name, default, range and description."""
        return "\n".join(
            f"{name}: {_described(facts)}"
            for name, facts in cls.model_json_schema()["properties"].items()
        )


def _described(facts: Mapping[str, Any]) -> str:
    """Return one property of a JSON schema in words."""
    words = [" ".join(str(facts.get("description", "")).split())]
    if "enum" in facts:
        words.append(f"One of {', '.join(map(str, facts['enum']))}.")
    words += [f"{limit} {facts[key]:g}." for key, limit in _LIMITS.items() if key in facts]
    if "default" in facts:
        words.append(f"Default: {json.dumps(facts['default'])}.")
    return " ".join(words)
