"""Values that the server's replies are parsed into (by `Server.ReplyReaders`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Mapping

from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.SlicePredictions import NO_PREDICTIONS, SlicePredictions

_RESTRICTED = re.compile(r"research|non-?commercial|no(t for)? commercial|\bNC\b", re.IGNORECASE)


@dataclass(frozen=True)
class Model:
    """Model that a server offers. `categories` are those that it can name, empty if none. `weights`
    is the name of its checkpoint, and `licence` what the checkpoint's card says; empty if unknown.
    `completes` is True if it segments the rest of an object from confirmed slices, `finds` if it
    finds objects by their names, also by those that users `taught`.
    """

    name: str
    categories: tuple[str, ...] = ()
    weights: str = ""
    licence: str = ""
    completes: bool = False
    finds: bool = False
    taught: tuple[str, ...] = ()

    @property
    def is_restricted(self) -> bool:
        """True if the licence allows research only, or nothing commercial."""
        return bool(_RESTRICTED.search(self.licence))


@dataclass(frozen=True)
class ServerInfo:
    """Server with its models. `is_segsam` is False for another MONAI Label app, which does not have
    the SEG-SAM requests.
    """

    name: str
    version: str
    is_segsam: bool
    models: tuple[Model, ...]
    trainers: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Outcome of a connection test: `line` is one sentence that says what to do, `code` is `ok` or
    a code of `ClientError`.
    """

    is_ok: bool
    code: str
    line: str
    info: ServerInfo | None = None


@dataclass(frozen=True, eq=False)
class InferReply:
    """Result of a segmentation request. `region` is None if nothing was found. `slices` are
    (axis, index) of all slices that the model segmented. `category` is empty if the model did not
    name the object; `suggestions` are then its nearest guesses (category, probability), the most
    probable first, and `notes` say why. `taught` maps those of these names that a user taught to
    the case of the nearest example. A completion has the slices that were `confirmed`, and the id
    (`state`) of what the server learnt from them.
    """

    request_id: str
    region: Region | None
    category: str
    confidence: float | None
    axes: tuple[int, ...]
    slices: tuple[tuple[int, int], ...] = ()
    predictions: SlicePredictions = NO_PREDICTIONS
    notes: tuple[str, ...] = ()
    suggestions: tuple[tuple[str, float], ...] = ()
    confirmed: tuple[tuple[int, int], ...] = ()
    state: str = ""
    taught: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """Object that has one of the names that were looked for, with the certainty of it (0 to 1)."""

    name: str
    region: Region
    certainty: float | None = None


@dataclass(frozen=True)
class NotFound:
    """Name that no object got: `probability` that it is there after all, None if it is not known,
    and the server's `reason`.
    """

    name: str
    probability: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class FindReply:
    """Result of a request for objects by their names."""

    objects: tuple[FoundObject, ...]
    not_found: tuple[NotFound, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """Next image to annotate: `path` is a temporary file, `why` a sentence, `version` the version
    of its label (0: none), `notes` are sentences about how the image is read.
    """

    image_id: str
    path: str
    why: str
    version: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """Words of a server about the image that it offers next."""

    why: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LabelVersion:
    """Saved version of a label. `names` maps voxel values to names."""

    number: int
    kind: str
    created: str
    user: str
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """Version of the label of an image, as it was saved."""

    image_id: str
    version: int


@dataclass(frozen=True)
class Conflict:
    """Conflict of two labels: another user saved one since, which is `current`. The user's own
    label is stored as version `own_version`.
    """

    image_id: str
    sentence: str
    own_version: int
    current: LabelVersion | None


@dataclass(frozen=True)
class LeftOutCase:
    """Labelled image that a training could not use, and the reason."""

    image_id: str
    reason: str


@dataclass(frozen=True)
class TrainingStatus:
    """State of a training: idle, waiting, running, done, failed or stopped. `curve` holds
    (step, name, value).
    """

    state: str
    epoch: int = 0
    epochs: int = 0
    sentence: str = ""
    curve: tuple[tuple[int, str, float], ...] = ()
    left_out: tuple[LeftOutCase, ...] = ()


@dataclass(frozen=True)
class ModelVersion:
    """Version of a model, with its metrics on held-out cases before and after the training."""

    id: str
    created: str
    why: str
    cases: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    left_out: tuple[LeftOutCase, ...] = ()


@dataclass(frozen=True)
class Versions:
    """All versions of a model, and the id of the one in use."""

    model: str
    current: str
    versions: tuple[ModelVersion, ...]
