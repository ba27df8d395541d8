"""Client of the SEG-SAM server over HTTP. MONAI Label need not be installed for it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import requests
from requests_toolbelt.multipart.decoder import MultipartDecoder

from segsam.errors import SegSamError
from segsam.prompting.prompts import Prompts
from segsam.types import AxisChoice, PropagateChoice

MODEL = "segsam"
"""Name of the default model on the server."""

AUTO_MODEL = "segsam_auto"
"""Name of the model that segments without prompts."""

ANSWER_SECONDS = 900
"""Longest time for a reply: a box through a hundred slices on one slow core."""

_CONNECT_SECONDS = 10


class ServerError(SegSamError):
    """The server did not start, did not answer, or replied with an error."""

    code: ClassVar[str] = "server"


@dataclass(frozen=True)
class Reply:
    """Reply to a prompt: the JSON part, the label file if one was requested, and the time."""

    params: Mapping[str, Any]
    file: bytes | None
    file_name: str
    seconds: float
    """Wall-clock time of the request, as the client measured it."""

    @property
    def model_seconds(self) -> float:
        """Time of the predictor (encoding and decoding), as the server measured it."""
        return float(self.params["latencies"]["model"])


def prompt_params(
    prompts: Prompts,
    result: Literal["slice", "region", "volume"],
    *,
    axis: AxisChoice = "auto",
    propagate: PropagateChoice = False,
) -> dict[str, Any]:
    """Return the form field `params` of `POST /infer/segsam`, in SEG-SAM's own format."""
    return {"prompts": prompts.to_json(), "axis": axis, "propagate": propagate, "result": result}


class Client:
    """Client of one server, with one open connection.

    Every method raises ServerError if the server does not answer, or with the sentence that it
    answers an error with.
    """

    def __init__(
        self, address: str, *, token: str = "", answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._address = address
        self._limits = (_CONNECT_SECONDS, answer_seconds)
        self._http = requests.Session()
        self._http.trust_env = False  # the user's proxy could not reach this computer's 127.0.0.1
        if token:
            self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def info(self) -> dict[str, Any]:
        """Return name, version and models of the server."""
        return self._json("GET", "/info/")

    def open_session(self, image: Path) -> str:
        """Upload an image and return the id of its session."""
        with image.open("rb") as file:
            files = {"files": (image.name, file, "application/octet-stream")}
            return str(self._json("PUT", "/session/", files=files)["session_id"])

    def close_session(self, session: str) -> None:
        """Delete the session and its image from the server."""
        self._call("DELETE", f"/session/{session}")

    def infer(self, session: str, params: Mapping[str, Any]) -> Reply:
        """Send prompts, from `prompt_params` or in the stock format, for the image of a session."""
        return self._infer({"image": "", "session_id": session}, params)

    def infer_image(self, image: str, params: Mapping[str, Any]) -> Reply:
        """Send prompts, as `infer` does, for an image of the studies folder with this id."""
        return self._infer({"image": image}, params)

    def first_labels(self, image: str, params: Mapping[str, Any]) -> Reply:
        """Segment an image of the studies folder without prompts; the reply has a label file."""
        return self._infer({"image": image}, params, AUTO_MODEL)

    def _infer(
        self, image: Mapping[str, str], params: Mapping[str, Any], model: str = MODEL
    ) -> Reply:
        start = time.perf_counter()
        fields = {"params": json.dumps(params)}
        answer = self._call("POST", f"/infer/{model}", params=image, data=fields)
        seconds = time.perf_counter() - start
        if answer.headers.get("content-type", "").startswith("multipart/"):
            return _multipart_reply(answer, seconds)
        return Reply(_content(answer), None, "", seconds)

    def next_sample(self, strategy: str) -> dict[str, Any]:
        """Return the image to annotate next."""
        return self._json("POST", f"/activelearning/{strategy}", json={})

    def save_label(self, image: str, file: Path, names: Mapping[str, int]) -> dict[str, Any]:
        """Store the final label of an image; `names` gives each name its label value."""
        with file.open("rb") as stream:
            return self._json(
                "PUT",
                "/datastore/label",
                params={"image": image, "tag": "final"},
                data={"params": json.dumps({"label_names": dict(names)})},
                files={"label": (file.name, stream, "application/octet-stream")},
            )

    def teach_name(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Teach the name of the object that prompts mark in an image or a session."""
        return self._json("PUT", f"/memory/{quote(name, safe='')}", json=dict(request))

    def train(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Start a training."""
        return self._json("POST", f"/train/{MODEL}", json=dict(settings))

    def training(self) -> dict[str, Any]:
        """Return status and progress of the training."""
        return self._json("GET", "/train/")

    def versions(self) -> dict[str, Any]:
        """Return the versions of the model, and which one is current."""
        return self._json("GET", f"/versions/{MODEL}")

    def use_version(self, version: str) -> dict[str, Any]:
        """Make a version the current one."""
        return self._json("POST", f"/versions/{MODEL}/use", json={"version": version})

    def memory(self, method: str, name: str = "", **options: Any) -> dict[str, Any]:
        """List the names that were taught (GET), or change or remove one: `/NAME`, quoted."""
        return self._json(method, f"/memory{name}", **options)

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return _content(self._call(method, path, **options))

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = self._address + path
        try:
            answer = self._http.request(
                method, url, timeout=self._limits, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            raise ServerError(f"No answer to {method} {path}: {_why_silent(error)}.") from error
        if answer.is_redirect:
            target = answer.headers["location"]
            raise ServerError(
                f"{method} {path} was sent on to {target!r:.200}: expected the address of the "
                "server itself. Is it behind a log-in page?"
            )
        if not answer.ok:
            raise ServerError(
                f"{method} {path} was answered with status {answer.status_code}: {_detail(answer)}"
            )
        return answer


def _multipart_reply(answer: requests.Response, seconds: float) -> Reply:
    """Read MONAI Label's multipart reply: a JSON part `params` and a file part."""
    params: Mapping[str, Any] = {}
    file, file_name = None, ""
    for part in MultipartDecoder.from_response(answer).parts:
        disposition = part.headers.get(b"Content-Disposition", b"").decode("latin-1")
        named = re.search(r'filename="?([^";]+)', disposition)
        if named:
            # The folder is dropped: the server must not choose where the client writes.
            file, file_name = part.content, Path(named.group(1)).name
        else:
            params = json.loads(part.text)
    return Reply(params, file, file_name, seconds)


def _why_silent(error: requests.RequestException) -> str:
    """Return why there is no answer, without the text of the library."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    broken = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
    if isinstance(error, broken):
        return "the answer was cut off, or is damaged"
    if isinstance(error, requests.exceptions.InvalidHeader):
        return "the token has a line break or another character that no token may have"
    if isinstance(error, requests.ConnectionError):
        return "no server answers at this address, or the connection broke off"
    return "the address is not one of a server"


def _content(answer: requests.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except (requests.JSONDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ServerError(f"Expected a JSON object from the server, got {answer.text[:300]!r}.")
    return content


def _detail(answer: requests.Response) -> str:
    """Return the server's error message, or the start of whatever it replied."""
    try:
        body = answer.json()
    except (requests.JSONDecodeError, RecursionError):
        return answer.text[:300]
    detail = body.get("detail", body) if isinstance(body, dict) else body
    return str(detail)[:300]
