"""What the operator decides when the server starts: `--conf NAME VALUE`, or the environment's
`SEGSAM_<NAME>`.

MONAI Label hands every `--conf` value over as a string, and once more to each child process that
it starts. They are checked here, once; everything else reads a frozen `AppConfig`. On the command
line wins over the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from segsam.system.folders import default_cache_dir
from segsam.types import AxisChoice, PrecisionName, RuntimeName
from segsam_app.errors import ConfigError
from segsam_app.limits import LIMIT_NAMES

AXES: tuple[AxisChoice, ...] = get_args(AxisChoice)
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
OF_MONAI_LABEL = frozenset({"server_mode"})
"""Keys that MONAI Label itself reads from the same place."""

DEFAULT_MODEL = "segsam"
"""What clients call the model of the setting `checkpoint`, whichever that is."""

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class AppConfig:
    """The app's settings.

    `checkpoint`: a name that `segsam` knows, or a path; None is the default that ships with the
    package. `also`: further ones, each served as a model of its own beside `segsam`; all on one
    image encoder share its embeddings. `device`: "auto" (a graphics card when there is one), "cpu",
    "cuda", "cuda:1" or "mps". `axis`: which way a volume is sliced for a request that does not say.
    `cache_megabytes` bounds the kept slice embeddings, `images_megabytes` the kept images.
    `labels`: the segments that a stock client creates for every image; empty for "object" and what
    the checkpoint can name. `warm`: whether an image that was just opened is read and its middle
    slice encoded before the first click. `dicomweb_folder`: where labels and series of a DICOMweb
    server are kept; None for this user's folder for data. `versions_folder`: where the versions of
    the model are that training makes; None for `model/versions` in the app's folder. `disk_cache`:
    the folder of embeddings that outlive the server, of at most `disk_cache_megabytes`; None for
    none. An operator who does not say gets the one in this user's folder for caches. `prefetch`:
    how many slices around the one in view are encoded before anybody clicks on them. `runtime`:
    what computes the image encoder, "torch", "openvino" or "auto"; `precision`: "exact" or "fast".
    """

    checkpoint: str | None = None
    also: tuple[str, ...] = ()
    device: str = "auto"
    axis: AxisChoice = "auto"
    cache_megabytes: int = 1024
    images_megabytes: int = 2048
    labels: tuple[str, ...] = ()
    warm: bool = True
    dicomweb_folder: str | None = None
    versions_folder: str | None = None
    runtime: RuntimeName = "auto"
    precision: PrecisionName = "exact"
    disk_cache: Path | None = None
    disk_cache_megabytes: int = 4096
    prefetch: int = 64

    @classmethod
    def read(cls, conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ) -> AppConfig:
        """The settings of one start. Raises `ConfigError` for an unknown key or a value that
        cannot be meant.
        """
        known = [field.name for field in fields(cls)]
        conf = conf or {}
        unknown = sorted(set(conf) - set(known) - LIMIT_NAMES - OF_MONAI_LABEL)
        if unknown:
            listed = ", ".join(sorted({*known, *LIMIT_NAMES}))
            raise ConfigError(f"--conf {unknown[0]} is unknown; the app knows {listed}")
        values: dict[str, Any] = {}
        for name in known:
            text = conf.get(name, env.get(f"SEGSAM_{name.upper()}", _UNLESS_TOLD.get(name)))
            if text is not None:
                values[name] = _READ[name](name, str(text).strip())
        return cls(**values)

    @property
    def models(self) -> dict[str, str | None]:
        """Name of each model that clients see -> its checkpoint; a path is known by its stem.

        Raises `ConfigError` when two would have one name.
        """
        models: dict[str, str | None] = {DEFAULT_MODEL: self.checkpoint}
        for checkpoint in self.also:
            is_path = checkpoint.endswith((".safetensors", ".pth", ".pt"))
            name = Path(checkpoint).stem if is_path else checkpoint
            if name in models:
                raise ConfigError(
                    f"also names {checkpoint!r}, and there is a model {name!r} already"
                )
            models[name] = checkpoint
        return models

    @property
    def cache_bytes(self) -> int:
        return self.cache_megabytes * _MEGABYTE

    @property
    def disk_cache_bytes(self) -> int:
        return self.disk_cache_megabytes * _MEGABYTE

    @property
    def images_bytes(self) -> int:
        return self.images_megabytes * _MEGABYTE


def _text_or_none(_name: str, text: str) -> str | None:
    return text or None


def _device(name: str, text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ConfigError(f"{name} must be auto, cpu, cuda, cuda:<number> or mps, got {text!r}")
    return text


def _axis(name: str, text: str) -> str:
    return _one_of(AXES, name, text)


def _runtime(name: str, text: str) -> str:
    return _one_of(RUNTIMES, name, text)


def _precision(name: str, text: str) -> str:
    return _one_of(PRECISIONS, name, text)


def _one_of(known: tuple[str, ...], name: str, text: str) -> str:
    if text not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}, got {text!r}")
    return text


def _megabytes(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ConfigError(f"{name} must be a whole number of megabytes, got {text!r}")
    return int(text)


def _names(name: str, text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ConfigError(f"{name} must be different names with commas between, got {text!r}")
    return names


def _switch(name: str, text: str) -> bool:
    switches = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if text.lower() not in switches:
        raise ConfigError(f"{name} must be on or off, got {text!r}")
    return switches[text.lower()]


def _folder(_name: str, text: str) -> Path | None:
    if text.lower() in ("on", "true", "1"):
        return default_cache_dir() / "embeddings"
    return None if text.lower() in ("", "off", "false", "0") else Path(text).expanduser().absolute()


def _slices(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text):
        raise ConfigError(f"{name} must be a whole number of slices, got {text!r}")
    return int(text)


_READ: Mapping[str, Callable[[str, str], Any]] = {
    "checkpoint": _text_or_none,
    "also": _names,
    "device": _device,
    "axis": _axis,
    "cache_megabytes": _megabytes,
    "images_megabytes": _megabytes,
    "labels": _names,
    "warm": _switch,
    "runtime": _runtime,
    "precision": _precision,
    "dicomweb_folder": _text_or_none,
    "versions_folder": _text_or_none,
    "disk_cache": _folder,
    "disk_cache_megabytes": _megabytes,
    "prefetch": _slices,
}

_UNLESS_TOLD: Mapping[str, str] = {"disk_cache": "on"}
"""What an operator gets without asking, and a program that builds an `AppConfig` does not."""
