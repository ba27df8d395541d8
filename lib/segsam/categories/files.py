"""Files of categories (YAML) and of their text embeddings (safetensors beside it)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from segsam.categories.category import Category
from segsam.errors import CategoryError
from segsam.system.atomic import write_bytes
from segsam.system.reasons import reason_of

DEFAULT_PATH = Path(__file__).parent / "data"
_TENSOR = "text_embeddings"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same safe loader, ten times faster if libyaml is installed."""


def read_categories(path: Path) -> tuple[Category, ...]:
    """Read the categories of a YAML file, or of all YAML files in a folder in alphabetical order.

    Raises:
        CategoryError: a missing file, or one that is not a list of categories.
    """
    if not path.is_dir():
        return _read_file(path)
    files = sorted(path.glob("*.yaml"))
    if not files:
        raise CategoryError(f"There is no category file (.yaml) in the folder {path.name}.")
    return tuple(item for file in files for item in _read_file(file))


def write_categories(path: Path, items: Sequence[Category]) -> Path:
    """Write categories as one YAML file, atomically; return its path.

    Raises:
        OutputError: a file that cannot be written.
    """
    records = [item.to_record() for item in items]
    text = yaml.safe_dump(
        records, sort_keys=False, allow_unicode=True, width=96, default_flow_style=None
    )
    write_bytes(path, text.encode())
    return path


def embeddings_path(path: Path) -> Path:
    """Return the file of the text embeddings of a category file or folder."""
    return path / "embeddings.safetensors" if path.is_dir() else path.with_suffix(".safetensors")


def read_embeddings(path: Path) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Read text embeddings (K, D) and the file's metadata: model, digest of the descriptions.

    Raises:
        CategoryError: a missing file, or one that holds something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            values, metadata = file.get_tensor(_TENSOR), file.metadata() or {}
    except FileNotFoundError as error:
        raise CategoryError(
            f"There are no text embeddings {path.name} beside the category file."
        ) from error
    except SafetensorError as error:
        raise CategoryError(
            f"Expected text embeddings in {path.name}; {reason_of(error)}."
        ) from error
    if values.ndim != 2 or values.dtype != np.float32 or not np.isfinite(values).all():
        raise CategoryError(
            f"Expected finite float32 embeddings of shape (categories, numbers) in {path.name}, "
            f"got {values.dtype} of shape {values.shape}."
        )
    return values, metadata


def write_embeddings(
    path: Path, items: Sequence[Category], embeddings: NDArray[np.float32], model: str
) -> Path:
    """Write the text embeddings (K, D) of `model` beside a category file; return their path.

    Raises:
        OutputError: a file that cannot be written.
    """
    metadata = {
        "model": model,
        "dimension": str(embeddings.shape[1]),
        "descriptions_sha256": descriptions_digest(items),
    }
    rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    target = embeddings_path(path)
    write_bytes(target, save({_TENSOR: rows}, metadata))
    return target


def descriptions_digest(items: Sequence[Category]) -> str:
    """Return the SHA-256 of the descriptions in order, from which the embeddings were made."""
    return hashlib.sha256("\n".join(item.description for item in items).encode()).hexdigest()


def _read_file(path: Path) -> tuple[Category, ...]:
    try:
        records = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    except FileNotFoundError as error:
        raise CategoryError(f"There is no category file {path.name}.") from error
    except OSError as error:
        raise CategoryError(
            f"Cannot read the category file {path.name}: {error.strerror}."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CategoryError(
            f"Expected YAML in {path.name}, got something else{_line_of(error)}."
        ) from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CategoryError(f"Expected a list of categories in {path.name}.")
    return tuple(map(Category.from_record, records))


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" in line {mark.line + 1}"
