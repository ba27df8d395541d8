"""Choice of the runtime and precision of a model's image encoder: the user's, or the best one here.

`exact` equals PyTorch's float32 up to `EXACT_TOLERANCE` with either runtime. `fast` lets OpenVINO
compute in the half precision that the processor has instructions for, and changes masks a little
(`docs/lab/performance.md` has the Dice). Decoders stay with PyTorch: they are a tenth of the work
of a slice, and their inputs change shape with every prompt.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import get_args

from segsam.errors import RuntimeChoiceError
from segsam.model import SegSam
from segsam.model.runtimes.runner import EncoderRunner, RuntimeFacts
from segsam.types import PrecisionName, RuntimeName

RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


def choose_runtime(
    model: SegSam,
    runtime: str | None = None,
    precision: str | None = None,
    *,
    env: Mapping[str, str] = os.environ,
) -> EncoderRunner:
    """Return the image encoder of a model by the chosen runtime.

    Args:
        model: in evaluation mode, on its device; later changes of its weights have no effect.
        runtime: auto, torch or openvino; None is SEGSAM_RUNTIME, or else auto: OpenVINO if it is
            installed and the model is on a CPU.
        precision: exact or fast; None is SEGSAM_PRECISION, or else exact.
        env: the environment.

    Raises:
        RuntimeChoiceError: an unknown word, or a choice that is not available here.
    """
    runtime = _checked("runtime", runtime or env.get("SEGSAM_RUNTIME") or "auto", RUNTIMES)
    precision = precision or env.get("SEGSAM_PRECISION") or "exact"
    fast = _checked("precision", precision, PRECISIONS) == "fast"
    runner = EncoderRunner(model)
    obstacle = "" if runtime == "torch" else _obstacle(model)
    if runtime == "torch" or (obstacle and runtime == "auto"):
        why = obstacle or "torch was requested."
        if fast:
            raise RuntimeChoiceError(f"Precision fast is OpenVINO's, which is not used here: {why}")
        return runner.with_runtime(None, RuntimeFacts("torch", "exact", why))
    if obstacle:
        raise RuntimeChoiceError(f"OpenVINO was requested: {obstacle}")
    return _by_openvino(runner, fast=fast, required=fast or runtime == "openvino")


def _by_openvino(runner: EncoderRunner, *, fast: bool, required: bool) -> EncoderRunner:
    """Return a runner by OpenVINO; by PyTorch if OpenVINO fails and is not required."""
    from segsam.model.runtimes.openvino_encoder import openvino_encoder

    try:
        encoder = openvino_encoder(runner.model.host, runner.encoder_id, fast=fast)
    except RuntimeChoiceError as error:
        if required:
            raise
        return runner.with_runtime(None, RuntimeFacts("torch", "exact", str(error)))
    facts = RuntimeFacts("openvino", "fast" if fast else "exact", encoder.why)
    return runner.with_runtime(encoder, facts)


def _obstacle(model: SegSam) -> str:
    """Return a sentence on why OpenVINO cannot compute this model's encoder; empty if it can."""
    if importlib.util.find_spec("openvino") is None:
        return "the package openvino is not installed (pip install openvino)."
    parameters = list(model.host.encoding_parts().parameters())
    if any(parameter.device.type != "cpu" for parameter in parameters):
        return f"the model is on {parameters[0].device}, and it computes on CPUs only."
    if any(parameter.requires_grad for parameter in parameters):
        return "parts of the image encoder are not frozen, and only PyTorch can train them."
    return ""


def _checked(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise RuntimeChoiceError(f"Expected one of {', '.join(known)} as {name}, got {value!r}.")
    return value
