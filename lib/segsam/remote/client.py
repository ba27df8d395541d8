"""HTTP as any client speaks it to the server: `requests`, and nothing of MONAI Label."""

from __future__ import annotations

import base64
import json
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from requests_toolbelt.multipart.decoder import MultipartDecoder

from segsam.remote.server import ANSWER_SECONDS, ServerError

MODEL = "segsam"
HOST_ALONE = "litemedsam"
"""The model beside it, whose masks are held against LiteMedSAM's own."""

_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Reply:
    """What came back: the JSON part, the label file if one was asked for, and the wall clock."""

    params: Mapping[str, Any]
    file: bytes | None
    file_name: str
    seconds: float

    @property
    def model_seconds(self) -> float:
        """What the server says its predictor took: encoding and decoding."""
        return float(self.params["latencies"]["model"])


class Client:
    """One connection, kept open; every call raises ServerError with the server's own sentence."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy has no business between us and 127.0.0.1

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def info(self) -> dict[str, Any]:
        """`GET /info/`: name, version, models."""
        answer: dict[str, Any] = self._call("GET", "/info/").json()
        return answer

    def open_session(self, image: Path) -> str:
        """Upload the image; the session's id."""
        with image.open("rb") as file:
            files = {"files": (image.name, file, "application/octet-stream")}
            answer = self._call("PUT", "/session/", files=files)
        return str(answer.json()["session_id"])

    def close_session(self, session: str) -> None:
        """Let the server forget the image."""
        self._call("DELETE", f"/session/{session}")

    def infer(self, session: str, params: Mapping[str, Any], model: str = MODEL) -> Reply:
        """`POST /infer/<model>`, either dialect, with the prompts in the form field `params`."""
        start = time.perf_counter()
        answer = self._call(
            "POST",
            f"/infer/{model}",
            params={"image": "", "session_id": session},
            data={"params": json.dumps(params)},
        )
        seconds = time.perf_counter() - start
        if not answer.headers.get("content-type", "").startswith("multipart/"):
            return Reply(answer.json(), None, "", seconds)
        return _parted(answer, seconds)

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        limits = (_CONNECT_SECONDS, ANSWER_SECONDS)
        try:
            answer = self._http.request(method, self._address + path, timeout=limits, **options)
        except requests.RequestException as error:
            raise ServerError(f"No answer to {method} {path}: {error}") from error
        if not answer.ok:
            raise ServerError(f"{method} {path} was answered {answer.status_code}: {_why(answer)}")
        return answer


def _parted(answer: requests.Response, seconds: float) -> Reply:
    """MONAI Label's multipart reply: a JSON part `params` and a file part."""
    params: Mapping[str, Any] = {}
    file, file_name = None, ""
    for part in MultipartDecoder.from_response(answer).parts:
        disposition = part.headers.get(b"Content-Disposition", b"").decode("latin-1")
        named = re.search(r'filename="?([^";]+)', disposition)
        if named:
            # Only its ending is used: a server does not choose where a client writes.
            file, file_name = part.content, Path(named.group(1)).name
        else:
            params = json.loads(part.text)
    return Reply(params, file, file_name, seconds)


def _why(answer: requests.Response) -> str:
    """The server's sentence, or the beginning of whatever it said."""
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        return answer.text[:300]
    detail = body.get("detail", body) if isinstance(body, dict) else body
    return str(detail)[:300]


def decode_mask(mask: Mapping[str, Any] | None, shape_ijk: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of a JSON reply as (i, j, k): packed bits of its bounding box, in C order."""
    whole = np.zeros(shape_ijk, dtype=bool)
    if mask is None:
        return whole
    box = tuple(
        slice(low, high + 1) for low, high in zip(mask["min_ijk"], mask["max_ijk"], strict=True)
    )
    packed = np.frombuffer(zlib.decompress(base64.b64decode(mask["data"])), np.uint8)
    bits = np.unpackbits(packed, count=whole[box].size)
    whole[box] = bits.reshape(whole[box].shape)
    return whole
