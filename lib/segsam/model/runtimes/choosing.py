"""Which runtime computes a model's image encoder, and how precisely: the user's word, or the best
that there is here.

`exact` equals PyTorch's float32 up to `EXACT_TOLERANCE`, whichever runtime computes it; `fast` lets
OpenVINO compute in the half precision that the processor has instructions for, and changes masks a
little (`docs/performance.md` has the Dice). Decoders stay with PyTorch: on the embeddings of a
slice they are a tenth of the work, and their inputs change shape with every prompt.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from segsam.errors import RuntimeChoiceError
from segsam.model import SegSam
from segsam.types import PrecisionName, RuntimeName

RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


@dataclass(frozen=True)
class RuntimeFacts:
    """What a model's image encoder is computed by, and why it is that one."""

    runtime: RuntimeName
    """torch or openvino."""
    precision: PrecisionName
    why: str
    """A sentence."""


def choose_runtime(
    model: SegSam,
    runtime: str | None = None,
    precision: str | None = None,
    *,
    env: Mapping[str, str] = os.environ,
) -> RuntimeFacts:
    """Have the model's image encoder computed by a runtime from now on.

    Args:
        model: in evaluation mode, on its device; weights that change afterwards are not seen.
        runtime: auto, torch or openvino; None is SEGSAM_RUNTIME, or else auto: OpenVINO where it is
            installed and the model is on a processor.
        precision: exact or fast; None is SEGSAM_PRECISION, or else exact.
        env: the environment.

    Raises:
        RuntimeChoiceError: a word that is neither, or a choice that cannot be had here.
    """
    runtime = _word("runtime", runtime or env.get("SEGSAM_RUNTIME") or "auto", RUNTIMES)
    precision = _word("precision", precision or env.get("SEGSAM_PRECISION") or "exact", PRECISIONS)
    fast = precision == "fast"
    model.use_encoder(None)
    obstacle = "" if runtime == "torch" else _obstacle(model)
    if runtime == "torch" or (obstacle and runtime == "auto"):
        why = obstacle or "torch was asked for."
        if fast:
            raise RuntimeChoiceError(f"Precision fast is OpenVINO's, which is not used here: {why}")
        return RuntimeFacts("torch", "exact", why)
    if obstacle:
        raise RuntimeChoiceError(f"OpenVINO was asked for: {obstacle}")
    return _with_openvino(model, fast=fast, insist=fast or runtime == "openvino")


def _with_openvino(model: SegSam, *, fast: bool, insist: bool) -> RuntimeFacts:
    from segsam.model.runtimes.openvino_encoder import openvino_encoder

    try:
        encoder = openvino_encoder(model.host, model.encoder_id, fast=fast)
    except RuntimeChoiceError as error:
        if insist:
            raise
        return RuntimeFacts("torch", "exact", str(error))
    model.use_encoder(encoder)
    return RuntimeFacts("openvino", "fast" if fast else "exact", encoder.why)


def _obstacle(model: SegSam) -> str:
    """Why OpenVINO cannot compute this model's encoder, as a sentence; empty when it can."""
    if importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed (pip install openvino)."
    parameters = [
        parameter
        for name, part in model.host.named_children()
        if name not in ("prompt_encoder", "mask_decoder")
        for parameter in part.parameters()
    ]
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return f"the model is on {parameters[0].device}, and it computes on processors only."
    if any(parameter.requires_grad for parameter in parameters):
        return "parts of the image encoder are not frozen, and only in PyTorch can they learn."
    return ""


def _word(what: str, word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise RuntimeChoiceError(f"A {what} is one of {', '.join(known)}; got {word!r}.")
    return word
