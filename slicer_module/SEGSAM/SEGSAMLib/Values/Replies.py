"""What a server answered, checked before it is believed: values, and the readers that make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from SEGSAMLib.Values.Masks import Region
from SEGSAMLib.Values.SlicePredictions import NO_PREDICTIONS, SlicePredictions


@dataclass(frozen=True)
class Model:
    """One model that a server offers; `categories` is what it can name, if anything."""

    name: str
    kind: str
    description: str
    checkpoint: str = ""
    is_trained: bool = False
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerInfo:
    """`is_segsam` is false for another MONAI Label app, which has no dialect of ours."""

    name: str
    version: str
    is_segsam: bool
    models: tuple[Model, ...]
    strategies: tuple[str, ...]
    trainers: tuple[str, ...]
    labelled: int = 0
    images: int = 0


@dataclass(frozen=True)
class Diagnosis:
    """`line` is one sentence, with what to do; `code` is `ok` or a word of `ClientError`'s."""

    is_ok: bool
    code: str
    line: str
    info: ServerInfo | None = None


@dataclass(frozen=True, eq=False)
class InferReply:
    """`region` is None when nothing was found; `slices` are (axis, index) of all that were looked
    at; `category` is empty when the object was not named.
    """

    request_id: str
    region: Region | None
    category: str
    confidence: float | None
    axes: tuple[int, ...]
    slices: tuple[tuple[int, int], ...] = ()
    findings: SlicePredictions = NO_PREDICTIONS
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Sample:
    """The next image: `path` is a temporary file of ours, `why` a sentence, `version` that of its
    label (0: none).
    """

    image_id: str
    path: str
    why: str
    strategy: str
    score: float | None = None
    version: int = 0


@dataclass(frozen=True)
class LabelVersion:
    """One saved label; `names` are voxel value -> name."""

    number: int
    kind: str
    created: str
    user: str
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    image_id: str
    version: int


@dataclass(frozen=True)
class Conflict:
    """Somebody saved a label since: theirs is `current`; the user's was kept as version `kept`."""

    image_id: str
    sentence: str
    began_from: int
    kept: int
    current: LabelVersion | None


@dataclass(frozen=True)
class TrainingStatus:
    """`state`: idle, waiting, running, done, failed, stopped. `curve` has (step, name, value);
    `version` is that of the model that came out of it.
    """

    state: str
    epoch: int = 0
    epochs: int = 0
    sentence: str = ""
    curve: tuple[tuple[int, str, float], ...] = ()
    done: int = 0
    total: int = 0
    version: str = ""


@dataclass(frozen=True)
class ModelVersion:
    id: str
    created: str
    promoted: bool
    why: str
    cases: int
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True)
class Versions:
    model: str
    current: str
    versions: tuple[ModelVersion, ...]
