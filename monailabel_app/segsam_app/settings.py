"""Base of the operator's settings: text from `--conf NAME VALUE` or the environment variable
`SEGSAM_<NAME>`, checked once.

MONAI Label passes every `--conf` value as a string, and passes it again to each child process that
it starts. `Settings.read` converts the text; everything else reads a frozen record. The text under
a field is its description: `Model.model_fields[name].description`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError
from typing_extensions import Self

from segsam_app.errors import ConfigError
from segsam_app.validation import Record, sentence_of

MEGABYTE = 1 << 20

Megabytes = Annotated[int, Field(ge=0, le=999_999_999)]
OptionalText = Annotated[str | None, BeforeValidator(lambda text: text or None)]


class Settings(Record):
    """Record whose fields are settings of the server."""

    @classmethod
    def read(cls, conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of one start: a value of `conf` takes precedence over the
        environment, the environment over the default. Keys of `conf` that belong to other records
        are ignored.

        Raises `ConfigError` for an invalid value.
        """
        conf, values = conf or {}, cls.defaults_for_operators()
        for name in cls.model_fields:
            text = conf.get(name, env.get(f"SEGSAM_{name.upper()}"))
            if text is not None:
                values[name] = str(text).strip()
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(sentence_of(error, cls)) from error

    @classmethod
    def defaults_for_operators(cls) -> dict[str, str]:
        """Return the values, as text, that hold for a server but not for code that builds the
        record itself.
        """
        return {}


def split(text: object) -> object:
    """Return a text with commas as a tuple of its parts without blanks; anything else as it is."""
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split(","))
