"""How much of everything a server gives: sizes, counts and times that the operator may change with
`--conf NAME VALUE` or the environment's `SEGSAM_<NAME>`.

Every resource has a limit by default. What is beyond one is refused with a sentence that names the
setting, never cut, queued for ever or left to run out of memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from segsam_app.errors import ConfigError

SWITCHES: Mapping[str, str] = {
    "model": "uploading and deleting models (PUT, DELETE /model/{model})",
    "reload": "reading the app's code again (POST /reload)",
    "proxy": "passing requests on to the DICOM server (/proxy)",
    "logs": "reading the log (GET /logs)",
    "delete": "deleting images and labels (DELETE /datastore)",
}
"""The routes of MONAI Label that are off unless the setting `routes` names them."""

_MEGABYTE = 1 << 20
_LARGEST = 10**9


@dataclass(frozen=True)
class Limits:
    """The limits of one server.

    `hosts`: names by which it is reached, beside those of this computer; `routes`: keys of
    `SWITCHES` that are on. `upload_megabytes`: one upload; `body_kilobytes`: any other request;
    `body_seconds`: how long a client may send nothing. `queue`: requests that may wait for the
    model; `infer_seconds`: from a request's arrival to its answer. `sessions`,
    `sessions_megabytes`: all that are open; `session_idle_seconds`, `session_alive_seconds`: see
    `sessions.py`. `max_epochs`, `max_batch`: what a training may ask for. `dicomweb_seconds`: how
    long a DICOMweb server may be silent; `dicomweb_refresh_seconds`: how often it is asked for its
    series; `dicomweb_megabytes`: the largest that is fetched.
    """

    hosts: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    upload_megabytes: int = 1024
    body_kilobytes: int = 1024
    body_seconds: int = 30
    queue: int = 16
    infer_seconds: int = 120
    sessions: int = 32
    sessions_megabytes: int = 8192
    session_idle_seconds: int = 600
    session_alive_seconds: int = 60
    max_epochs: int = 1000
    max_batch: int = 256
    dicomweb_seconds: int = 30
    dicomweb_refresh_seconds: int = 60
    dicomweb_megabytes: int = 2048

    @classmethod
    def read(cls, conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ) -> Limits:
        """The limits of one start; keys of other settings are passed over. Raises `ConfigError`
        for a value that cannot be meant.
        """
        conf = conf or {}
        values: dict[str, Any] = {}
        for field in fields(cls):
            text = conf.get(field.name, env.get(f"SEGSAM_{field.name.upper()}"))
            if text is not None:
                values[field.name] = _value(field.name, str(text).strip(), field.default)
        return cls(**values)

    @property
    def upload_bytes(self) -> int:
        return self.upload_megabytes * _MEGABYTE

    @property
    def body_bytes(self) -> int:
        return self.body_kilobytes * 1024

    @property
    def sessions_bytes(self) -> int:
        return self.sessions_megabytes * _MEGABYTE


LIMIT_NAMES = frozenset(field.name for field in fields(Limits))


def _value(name: str, text: str, default: object) -> int | tuple[str, ...]:
    if isinstance(default, tuple):
        return _words(name, text)
    least = 0 if name == "queue" else 1
    if not re.fullmatch(r"\d{1,10}", text) or not least <= int(text) <= _LARGEST:
        raise ConfigError(
            f"{name} must be a whole number from {least} to {_LARGEST}, got {text!r:.80}"
        )
    return int(text)


def _words(name: str, text: str) -> tuple[str, ...]:
    words = tuple(word.strip().lower() for word in text.split(",") if word.strip())
    unknown = [word for word in words if name == "routes" and word not in SWITCHES]
    if unknown:
        raise ConfigError(
            f"routes knows {', '.join(SWITCHES)}, with commas between; got {unknown[0]!r:.80}"
        )
    return words
