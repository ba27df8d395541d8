"""Export of the image encoder to an OpenVINO model on disk, once for each encoder.

Its folder is named after the encoder's weights and OpenVINO's version, so that another checkpoint
or an update never reads a file that was not made for it. Beside it is PyTorch's result for one
image; the compiled model must reproduce it before it is used.

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
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.errors import RuntimeChoiceError
from segsam.model import Host
from segsam.model.runtimes.openvino_package import openvino
from segsam.system.folders import default_cache_dir

_FORMAT = 1
"""Version of the folder's content; a new one if older exports must not be used any more."""
_NAME = "encoder.xml"
_REFERENCE = "reference.npz"


class _Encoding(nn.Module):
    """Module that computes `Host.encode`, without empty results."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(part for part in self.host.encode(images) if part is not None)


@dataclass(frozen=True, eq=False)
class Exported:
    """Encoder on disk, with PyTorch's result for one image."""

    model: Path
    """The `.xml`: (1, 3, S, S) to the embedding and, for some hosts, the finer maps."""
    image: NDArray[np.float32]
    """(1, 3, S, S), noise."""
    reference: tuple[NDArray[np.float32], ...]
    """PyTorch's outputs for it."""

    def error(self, outputs: Sequence[NDArray[np.float32]]) -> float:
        """Return the largest difference from the reference, as a share of the largest value.

        It is infinite if outputs have another shape or are not finite.
        """
        return max(_error(one, other) for one, other in zip(self.reference, outputs, strict=True))


def exported_encoder(host: Host, encoder_id: str) -> Exported:
    """Return the host's image encoder on disk; export it if it is not there yet.

    Raises:
        RuntimeChoiceError: it cannot be exported, or not be written.
    """
    folder = encoder_folder(encoder_id)
    try:
        if not (folder / _NAME).is_file():
            _export(host, folder)
        with np.load(folder / _REFERENCE) as stored:
            reference = tuple(stored[f"wanted{n}"] for n in range(len(stored.files) - 1))
            return Exported(folder / _NAME, stored["image"], reference)
    except OSError as error:
        raise RuntimeChoiceError(
            f"the encoder for OpenVINO cannot be written to {folder}: {error.strerror or error}."
        ) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RuntimeChoiceError(
            f"the exported encoder in {folder} is damaged: {last_line(error)}"
        ) from error
    except RuntimeError as error:  # of the tracer and of OpenVINO
        raise RuntimeChoiceError(
            f"the encoder of {host.facts.name} cannot be exported to OpenVINO: {last_line(error)}"
        ) from error


def last_line(error: Exception) -> str:
    """Return the last line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def encoder_folder(encoder_id: str) -> Path:
    """Return the folder of one encoder's export."""
    version = openvino.__version__.partition("-")[0]
    digest = hashlib.sha256(f"{_FORMAT} {encoder_id} {version}".encode()).hexdigest()[:16]
    return default_cache_dir() / "openvino" / f"{version}-{digest}"


def remove_export(encoder_id: str) -> None:
    """Remove an encoder's export."""
    shutil.rmtree(encoder_folder(encoder_id), ignore_errors=True)


def _export(host: Host, folder: Path) -> None:
    size = host.facts.input_size
    image = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        reference = [part.numpy() for part in host.encode(image) if part is not None]
    model = _converted(host, image)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        finished = Path(temporary) / "whole"
        openvino.save_model(model, finished / _NAME, compress_to_fp16=False)
        named = {f"wanted{n}": part for n, part in enumerate(reference)}
        np.savez(finished / _REFERENCE, image=image.numpy(), **named)
        _move(finished, folder)


def _converted(host: Host, image: Tensor) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of constants; here the shape is fixed
        trace: Any = torch.jit.trace
        traced = torch.jit.freeze(trace(_Encoding(host).eval(), image, check_trace=False))
        decoder = TorchScriptPythonDecoder(traced, example_input=image)
        frontend = FrontEndManager().load_by_framework("pytorch")
        read = frontend.load(decoder)
        model = frontend.convert(read)
    model.reshape(list(image.shape))
    return model


def _error(reference: NDArray[np.float32], output: NDArray[np.float32]) -> float:
    if reference.shape != output.shape or not np.isfinite(output).all():
        return float("inf")
    return float(np.abs(reference - output).max() / np.abs(reference).max())


def _move(finished: Path, folder: Path) -> None:
    """Rename a finished folder to its place, unless another process was faster."""
    try:
        finished.rename(folder)
    except OSError:
        if not (folder / _NAME).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            finished.rename(folder)
