"""Base classes of the operator's settings, of request bodies and of stored JSON.

They are frozen pydantic models: `segsam.system.records` turns the first invalid value, or an
unknown key, into one sentence. The text under a field is its description;
`AppConfig.described()` returns all of them with the defaults and ranges.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from typing_extensions import Self

from segsam.errors import DamagedRecordError
from segsam.system.checked_json import read_object
from segsam.system.records import Record, sentence_of
from segsam_app.errors import ConfigError, RequestError

MEGABYTE = 1 << 20

Megabytes = Annotated[int, Field(ge=0, le=999_999_999)]
OptionalText = Annotated[str | None, BeforeValidator(lambda text: text or None)]


class LaxRecord(Record):
    """Record whose values may come as text or as JSON, which has fewer types than Python."""

    model_config = ConfigDict(strict=False, use_attribute_docstrings=True)


class RequestRecord(LaxRecord):
    """Body of a request. Any way to build one raises `RequestError` for an invalid value, and for
    an unknown key, so that a typo never has a silent effect.
    """

    refusal = RequestError

    @field_validator("*", mode="before")
    @classmethod
    def _take_no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Python counts true as 1, and pydantic does so, too."""
        field = cls.model_fields[info.field_name or ""]
        wants_numbers = _admits(field.annotation, float, int)
        if wants_numbers and _holds_switch(value) and not _admits(field.annotation, bool, Any):
            raise ValueError(f"Expected numbers as {info.field_name}, got {value!r:.80}.")
        return value


class Settings(LaxRecord):
    """Settings of the server: text from `--conf NAME VALUE` or the environment variable
    `SEGSAM_<NAME>`. Any way to build one raises `ConfigError` for an invalid value.

    MONAI Label passes every `--conf` value as a string, and passes it again to each child process
    that it starts.
    """

    refusal = ConfigError

    @classmethod
    def read(cls, conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of one start: a value of `conf` takes precedence over the
        environment, the environment over the default. Keys of `conf` that belong to other records
        are ignored. Raises `ConfigError` that names every invalid value.
        """
        conf, values = conf or {}, cls.defaults_for_operators()
        for name in cls.model_fields:
            text = conf.get(name, env.get(f"SEGSAM_{name.upper()}"))
            if text is not None:
                values[name] = str(text).strip()
        problems = list(filter(None, (cls._problem(one) for one in values.items())))
        if len(problems) > 1:
            raise cls.refusal(" ".join(problems))
        return cls.model_validate(values)

    @classmethod
    def _problem(cls, setting: tuple[str, str]) -> str:
        """Return the sentence about one invalid setting, "" for a valid one."""
        try:
            cls.model_validate(dict([setting]))
        except cls.refusal as error:
            return str(error)
        return ""

    @classmethod
    def defaults_for_operators(cls) -> dict[str, str]:
        """Return the values, as text, that hold for a server but not for code that builds the
        record itself.
        """
        return {}


def _holds_switch(value: object) -> bool:
    """Return True for true or false, and for arrays that hold one of them."""
    if isinstance(value, list | tuple):
        return any(map(_holds_switch, value))
    return isinstance(value, bool)


def _admits(annotation: object, *wanted: object) -> bool:
    """Return True if the type of a field is, or has a part that is, one of the types `wanted`."""
    return annotation in wanted or any(_admits(part, *wanted) for part in get_args(annotation))


def split(text: object) -> object:
    """Return a text with commas as a tuple of its parts without blanks; anything else as it is."""
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split(","))


class TypedFile:
    """Small JSON record on disk, with a checksum, whose types a reader checks."""

    def __init__(self, reader: TypeAdapter[Any], max_bytes: int) -> None:
        self._reader = reader
        self._max_bytes = max_bytes

    def read(self, path: Path) -> dict[str, Any]:
        """Return what the file holds; {} if it is missing or damaged."""
        try:
            return self._checked(path)
        except (DamagedRecordError, ValidationError, OSError):
            return {}

    def damage(self, path: Path) -> str:
        """Return what is wrong with the file; empty if it is good, or there is none."""
        try:
            self._checked(path)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return error.strerror or type(error).__name__
        except DamagedRecordError as error:
            return str(error)
        except ValidationError as error:
            return sentence_of(error)
        return ""

    def _checked(self, path: Path) -> dict[str, Any]:
        found = read_object(path, self._max_bytes)
        return dict(self._reader.validate_python(found, strict=True))
