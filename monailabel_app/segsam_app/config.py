"""Settings of the models, their memory and their folders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import Self

from segsam.system.folders import default_cache_dir
from segsam.types import AxisChoice, PrecisionChoice, RuntimeName
from segsam_app.errors import ConfigError
from segsam_app.limits import Limits
from segsam_app.records import MEGABYTE, Megabytes, OptionalText, Settings, split

DEFAULT_MODEL = "segsam"
"""Name under which clients address the model of the setting `checkpoint`, whichever that is."""

_MONAI_LABEL_KEYS = frozenset({"server_mode"})
"""`--conf` keys that MONAI Label itself reads."""


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ValueError("must be auto, cpu, cuda, cuda:<number> or mps")
    return text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("must be different names with commas between them")
    return names


def read_settings(
    conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ
) -> tuple[AppConfig, Limits]:
    """Return all settings of one start. Raises `ConfigError` that names every invalid value."""
    problems, found = [], []
    for record in (AppConfig, Limits):
        try:
            found.append(record.read(conf, env))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(" ".join(problems))
    return cast("tuple[AppConfig, Limits]", tuple(found))


def _folder(value: object) -> object:
    """Return the folder that `on`, `off` or a path stands for."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("on", "true", "1"):
        return default_cache_dir() / "embeddings"
    is_off = value.lower() in ("", "off", "false", "0")
    return None if is_off else Path(value).expanduser().absolute()


Names = Annotated[tuple[str, ...], BeforeValidator(split), AfterValidator(_distinct)]


class AppConfig(Settings):
    """Settings of the models, their memory and their folders."""

    checkpoint: OptionalText = None
    """Checkpoint of the model `segsam`: a name that the library knows, or a path. Without it, the
    default checkpoint of the package."""
    also: Names = ()
    """Further checkpoints, comma-separated, each served as a model of its own beside `segsam`.
    Checkpoints with the same image encoder share its embeddings."""
    device: Annotated[str, AfterValidator(_device)] = "auto"
    """Device of the models: auto (a graphics card if there is one), cpu, cuda, cuda:1 or mps."""
    axis: AxisChoice = "auto"
    """Axis along which a volume is sliced if the request names none."""
    cache_megabytes: Megabytes = 1024
    """Memory for slice embeddings."""
    images_megabytes: Megabytes = 2048
    """Memory for open images."""
    labels: Names = ()
    """Segments that a stock MONAI Label client creates for each image, comma-separated. Without it,
    "object" and the categories that the checkpoint can name."""
    warm: bool = True
    """Load the model at the start; read an image that was just opened, and encode its middle slice,
    before the first prompt."""
    dicomweb_folder: OptionalText = None
    """Folder of the labels and series of a DICOMweb server. Without it, this user's data folder."""
    versions_folder: OptionalText = None
    """Folder of the model versions that training makes. Without it, `model/versions` in the app's
    folder."""
    runtime: RuntimeName = "auto"
    """Runtime of the image encoder."""
    precision: PrecisionChoice = "exact"
    """Numerical precision of the image encoder; auto: fast where it is clearly faster."""
    disk_cache: Annotated[Path | None, BeforeValidator(_folder)] = None
    """Folder of slice embeddings that outlive the server: on (in this user's cache folder, the
    default of a server), off, or a path."""
    disk_cache_megabytes: Megabytes = 4096
    """Disk space for slice embeddings."""
    prefetch: Annotated[int, Field(ge=0, le=999_999)] = 64
    """Number of slices around the viewed one that are encoded before a prompt needs them."""

    @classmethod
    def read(cls, conf: Mapping[str, str] | None, env: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of one start. Raises `ConfigError` for an invalid value and for a key
        of `conf` that no record of settings has.
        """
        known = {*cls.model_fields, *Limits.model_fields}
        unknown = sorted(set(conf or {}) - known - _MONAI_LABEL_KEYS)
        if unknown:
            listed = ", ".join(sorted(known))
            are = "is" if len(unknown) == 1 else "are"
            names = ", ".join(f"{name:.80}" for name in unknown)
            raise ConfigError(f"--conf {names} {are} unknown; the app knows {listed}")
        return super().read(conf, env)

    @classmethod
    def defaults_for_operators(cls) -> dict[str, str]:
        """Return the disk cache: on for a server, but not for an `AppConfig()` made in code."""
        return {"disk_cache": "on"}

    @property
    def models(self) -> dict[str, str | None]:
        """Model name, as clients see it -> checkpoint. A checkpoint path is known by its stem.

        Raises `ConfigError` if two models would have the same name.
        """
        models: dict[str, str | None] = {DEFAULT_MODEL: self.checkpoint}
        for checkpoint in self.also:
            is_path = checkpoint.endswith((".safetensors", ".pth", ".pt"))
            name = Path(checkpoint).stem if is_path else checkpoint
            if name in models:
                raise ConfigError(
                    f"the setting also names {checkpoint!r}, but there is a model {name!r} already"
                )
            models[name] = checkpoint
        return models

    @property
    def folders(self) -> list[Path]:
        """Folders that the settings name, those of checkpoints included."""
        named = [self.versions_folder, self.dicomweb_folder, self.disk_cache]
        checkpoints = [one for one in self.models.values() if one and os.sep in one]
        folders = [Path(one).expanduser() for one in named if one]
        return [*folders, *(Path(one).expanduser().absolute().parent for one in checkpoints)]

    @property
    def cache_bytes(self) -> int:
        """Memory for slice embeddings."""
        return self.cache_megabytes * MEGABYTE

    @property
    def disk_cache_bytes(self) -> int:
        """Disk space for slice embeddings."""
        return self.disk_cache_megabytes * MEGABYTE

    @property
    def images_bytes(self) -> int:
        """Memory for open images."""
        return self.images_megabytes * MEGABYTE
