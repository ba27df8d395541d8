"""Parts of an inference request that all dialects share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from segsam.imaging.intensity import CT_WINDOWS
from segsam.imaging.name_text import refused_in
from segsam_app.errors import RequestError
from segsam_app.ids import IdText, ImageIdText
from segsam_app.records import RequestRecord

Extension = Literal[".nrrd", ".seg.nrrd", ".nii.gz", ".nii"]
Window = str | tuple[float, float]
"""Intensity window: the name of a preset, or (low, high) in units of the voxels."""
ShortText = Annotated[str, StringConstraints(max_length=200)]


def _askable(text: str) -> str:
    """Return the id of a request by which `GET /segsam/progress` can ask for it."""
    if wrong := "the character '/'" if "/" in text else refused_in(text):
        raise ValueError(f"Expected one line of text without '/' as request_id, got {wrong}.")
    return text


RequestId = Annotated[
    Annotated[ShortText, AfterValidator(_askable)] | None,
    BeforeValidator(lambda text: None if text == "" else text),
]
"""Id that a client chooses for a request."""


def _checked_name(name: str) -> str:
    """Return a name that may be given to a segment; "" stands for none."""
    if name and (wrong := refused_in(name)):
        raise ValueError(f"Expected a name that is shown in one line as label, got {wrong}.")
    return name


Name = Annotated[ShortText, AfterValidator(_checked_name)]
"""Name of the segment in the reply."""

SERVER_KEYS = frozenset({"model", "image", "description", "session"})
"""Keys that MONAI Label itself adds to the request when it calls an inference task."""


class AnswerKeys(RequestRecord):
    """Keys about the file of the answer, which all dialects share."""

    restore_label_idx: bool = True
    """False: values are positions in the model's labels, see `positions.py`."""
    result_extension: Extension = ".nrrd"
    """File type of the reply."""
    result_compress: bool = True
    """False: the voxels of a `.nrrd` are raw, because OHIF reads no odd number of packed ones."""
    result_dtype: Any = None
    """No effect: labels have the smallest type that holds them."""
    client_id: Any = None
    """No effect: MONAI Label's client adds it to everything."""


class MonaiLabelKeys(AnswerKeys):
    """Keys that MONAI Label's clients add to every request. None of these has an effect: a client
    chooses no file, model or device by them.
    """

    model: IdText | None = None
    image: ImageIdText | None = None
    session: IdText | dict[str, Any] | None = None
    session_id: IdText | None = None
    description: Any = None
    device: Any = None
    user: Any = None
    reset_state: Any = None
    label_info: Any = None
    label_tag: IdText | None = None
    save_label: Any = None
    logging: Any = None
    timeout: Any = None
    result_write_to_file: Any = None


def window_of(value: str | list[float] | None) -> Window | None:
    """Return the window in a request. Raises `RequestError` for an unknown preset or limits in the
    wrong order.
    """
    if isinstance(value, str) and value not in CT_WINDOWS:
        raise RequestError(f"unknown window {value!r:.80}; known: {', '.join(sorted(CT_WINDOWS))}")
    if not isinstance(value, list):
        return value
    if len(value) != 2 or not value[0] < value[1]:
        raise RequestError(f"window must be a preset's name or [low, high], got {value!r:.80}")
    return value[0], value[1]
