"""Errors of SEG-SAM: one class per kind, each with one sentence for the user.

The sentence states what was expected and what came ("Expected ..., got ..."). The command line ends
with exit code 2 for each of these errors. The server maps each class to one HTTP status
(`segsam_app.web.error_handlers`) and sends its `code`. The library raises no bare `Exception`.
"""

from __future__ import annotations

from typing import ClassVar


class SegSamError(Exception):
    """Base class of all errors; the message is a sentence for the user, `code` is for programs."""

    code: ClassVar[str] = "error"


class VolumeError(SegSamError):
    """Image that cannot be read or segmented (4D, NaN, sheared, singular affine, not an image)."""

    code = "volume"


class VolumeNotFoundError(VolumeError):
    """Missing image file."""

    code = "not_found"


class VolumeTooLargeError(VolumeError):
    """Image whose size, or the size in its header, exceeds the limit."""

    code = "too_large"


class LabelError(VolumeError):
    """Label that does not lie on its image, holds no whole numbers, or contradicts its names."""


class PromptError(SegSamError):
    """Invalid prompt: outside the volume, reversed, flat, empty or malformed."""

    code = "prompt"


class CategoryError(SegSamError):
    """Category that is unknown or incomplete, or text embeddings that do not fit."""

    code = "category"


class CheckpointError(SegSamError):
    """Weights that are missing, have another hash, or do not fit the model."""

    code = "checkpoint"


class RuntimeChoiceError(SegSamError):
    """Runtime or precision that is unknown, or not available on this machine."""

    code = "runtime"


class OutputError(SegSamError):
    """Result that cannot be written to the given path or in the given format."""

    code = "output"


class DamagedRecordError(SegSamError):
    """Record on disk that is no JSON, has another form, or differs from what was written."""

    code = "damaged"


class SampleError(SegSamError):
    """Sample data that cannot be downloaded, or differ from the published ones."""

    code = "sample"


class TrainingError(SegSamError):
    """Invalid training run: an unknown key, data that do not fit, another run's checkpoint."""

    code = "training"


class EvaluationError(SegSamError):
    """Invalid evaluation: no cases, an unknown part of a split, a malformed result file."""

    code = "evaluation"


class StudyError(SegSamError):
    """Invalid study: an unknown key, two runs of one name, a run that changed after it was done."""

    code = "study"


class BatchError(SegSamError):
    """Batch that is invalid or cannot run here: no archive, a folder of another batch, no Ray."""

    code = "batch"


class BenchError(SegSamError):
    """Speed measurement that is unknown or cannot run on this machine."""

    code = "bench"


class CancelledError(SegSamError):
    """Cancellation by the caller; nothing was written."""

    code = "cancelled"
