"""The image encoder as an OpenVINO model on disk, made once from our own modules.

It is kept under the encoder's weights and OpenVINO's version, so that neither another checkpoint
nor an update ever meets a file that was not made for it. Beside it is what PyTorch computes of one
image, which whatever is compiled from the file has to equal before it is used.

OpenVINO's converter for PyTorch models is called directly: its `convert_model` would also report
the conversion over the network.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.errors import RuntimeChoiceError
from segsam.model import Host
from segsam.system.folders import default_cache_dir

_FORMAT = 1
"""Of the folder; a new one when exports of before must not be used any more."""
_NAME = "encoder.xml"
_REFERENCE = "reference.npz"


class _Encoding(nn.Module):
    """What `Host.encode` gives, as a module without empty results."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(part for part in self.host.encode(images) if part is not None)


@dataclass(frozen=True, eq=False)
class Exported:
    """An encoder on disk."""

    model: Path
    """The `.xml`: (1, 3, S, S) to the embedding and what the host gives beside it."""
    image: NDArray[np.float32]
    """(1, 3, S, S), noise."""
    wanted: tuple[NDArray[np.float32], ...]
    """What PyTorch makes of it."""

    def apart(self, found: Sequence[NDArray[np.float32]]) -> float:
        """The largest difference of outputs from what is wanted, as a share of the largest value;
        infinite when they are no numbers at all.
        """
        return max(_apart(one, other) for one, other in zip(self.wanted, found, strict=True))


def exported_encoder(host: Host, encoder_id: str) -> Exported:
    """The host's image encoder, exported now unless it is there.

    Raises:
        RuntimeChoiceError: it cannot be exported, or not be kept.
    """
    folder = encoder_folder(encoder_id)
    try:
        if not (folder / _NAME).is_file():
            _export(host, folder)
        with np.load(folder / _REFERENCE) as kept:
            wanted = tuple(kept[f"wanted{n}"] for n in range(len(kept.files) - 1))
            return Exported(folder / _NAME, kept["image"], wanted)
    except OSError as error:
        raise RuntimeChoiceError(
            f"the encoder for OpenVINO cannot be kept in {folder}: {error.strerror or error}."
        ) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RuntimeChoiceError(
            f"what was kept of the encoder in {folder} is damaged: {last_line(error)}"
        ) from error
    except RuntimeError as error:  # of the tracer and of OpenVINO
        raise RuntimeChoiceError(
            f"the encoder of {host.facts.name} cannot be exported to OpenVINO: {last_line(error)}"
        ) from error


def last_line(error: Exception) -> str:
    """What an error of a library says in the end."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def encoder_folder(encoder_id: str) -> Path:
    """Where everything about one encoder is kept."""
    version = openvino.__version__.partition("-")[0]
    digest = hashlib.sha256(f"{_FORMAT} {encoder_id} {version}".encode()).hexdigest()[:16]
    return default_cache_dir() / "openvino" / f"{version}-{digest}"


def forget_encoder(encoder_id: str) -> None:
    """Remove what is kept about an encoder."""
    shutil.rmtree(encoder_folder(encoder_id), ignore_errors=True)


def _export(host: Host, folder: Path) -> None:
    size = host.facts.input_size
    image = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = [part.numpy() for part in host.encode(image) if part is not None]
    model = _converted(host, image)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        whole = Path(fresh) / "whole"
        openvino.save_model(model, whole / _NAME, compress_to_fp16=False)
        named = {f"wanted{n}": part for n, part in enumerate(wanted)}
        np.savez(whole / _REFERENCE, image=image.numpy(), **named)
        _put(whole, folder)


def _converted(host: Host, image: Tensor) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: the shape is fixed, so all it traces holds
        trace: Any = torch.jit.trace
        traced = torch.jit.freeze(trace(_Encoding(host).eval(), image, check_trace=False))
        decoder = TorchScriptPythonDecoder(traced, example_input=image)
        frontend = FrontEndManager().load_by_framework("pytorch")
        read = frontend.load(decoder)
        model = frontend.convert(read)
    model.reshape(list(image.shape))
    return model


def _apart(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    if wanted.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(wanted - found).max() / np.abs(wanted).max())


def _put(whole: Path, folder: Path) -> None:
    """Rename a finished folder to its place; one that another process finished first stays."""
    try:
        whole.rename(folder)
    except OSError:
        if not (folder / _NAME).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            whole.rename(folder)
