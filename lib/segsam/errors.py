"""Every refusal that SEG-SAM makes, as a small tree: one sentence each, naming what was wanted and
what came.

The command line turns any of these into exit code 2; the server maps each class to one HTTP status
in one place (`segsam_app.web.error_handlers`). Nothing in the library raises a bare `Exception`.
"""

from __future__ import annotations

from typing import ClassVar


class SegSamError(Exception):
    """A sentence for the user; `code` is the one word that a program can switch on."""

    code: ClassVar[str] = "error"


class VolumeError(SegSamError):
    """The image could be read but cannot be segmented (4D, NaN, sheared, singular affine, not an
    image).
    """

    code = "volume"


class VolumeNotFoundError(VolumeError):
    """There is no such image."""

    code = "not_found"


class VolumeTooLargeError(VolumeError):
    """The image, or what its header declares, exceeds the limit."""

    code = "too_large"


class PromptError(SegSamError):
    """A prompt that cannot be meant: outside the volume, reversed, flat, empty or malformed."""

    code = "prompt"


class CategoryError(SegSamError):
    """A category that the checkpoint does not know."""

    code = "category"


class CheckpointError(SegSamError):
    """Weights that are missing, of another hash, or do not fit the model."""

    code = "checkpoint"


class RuntimeChoiceError(SegSamError):
    """A runtime or a precision that is not known, or that cannot be had on this machine."""

    code = "runtime"


class OutputError(SegSamError):
    """A result that cannot be written where or how it was asked for."""

    code = "output"


class SampleError(SegSamError):
    """The sample data cannot be fetched or is not what was published."""

    code = "sample"


class TrainingError(SegSamError):
    """A training run that cannot be meant: an unknown key, data that do not fit, another run's
    checkpoint.
    """

    code = "training"


class EvaluationError(SegSamError):
    """A measurement that cannot be meant: no cases, an unknown part of a split, other numbers than
    a measurement gives.
    """

    code = "evaluation"


class StudyError(SegSamError):
    """A study that cannot be meant: an unknown key, two runs of one name, a run that changed after
    it was done.
    """

    code = "study"


class BatchError(SegSamError):
    """A batch that cannot be meant or done here: no archive, a folder of another batch, no Ray."""

    code = "batch"


class BenchError(SegSamError):
    """A measurement of speed that cannot be made here, or was not asked for by its name."""

    code = "bench"


class CancelledError(SegSamError):
    """The caller asked to stop; nothing was written."""

    code = "cancelled"
