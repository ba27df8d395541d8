"""Fixtures: a host small enough to train in a test, of SAM's parts, and an embeddings server."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segsam.categories import Categories, Category
from segsam.model import Host, HostFacts
from segsam.model.sam import MaskDecoder, PromptEncoder, TwoWayTransformer


class TinyHost(Host):
    """32 px images, an 8 x 8 grid, 32 channels."""

    facts = HostFacts(
        name="tiny",
        input_size=32,
        grid=8,
        embed_dim=32,
        prompts_trained=("point", "box"),
        normalisation="0 to 255 onto [0, 1]",
        licence="Apache-2.0",
        source="this test",
    )

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.BatchNorm2d(32))
        self.prompt_encoder = PromptEncoder(32, (8, 8), (32, 32), 16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=8, mlp_dim=64)
        self.mask_decoder = MaskDecoder(transformer_dim=32, transformer=transformer)
        self.image_encoder.requires_grad_(False)

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """(h, w, 3) -> (3, 32, 32)."""
        padded = np.zeros((32, 32, 3), dtype=np.float32)
        padded[: image.shape[0], : image.shape[1]] = image / 255
        return torch.from_numpy(padded.transpose(2, 0, 1).copy())


@pytest.fixture
def tiny_host() -> TinyHost:
    torch.manual_seed(0)
    return TinyHost()


@pytest.fixture
def five_categories() -> Categories:
    """Five categories with 12-dimensional text embeddings."""
    rng = np.random.default_rng(0)
    items = tuple(
        Category(name, (k, k, k), texture="Grey.", shape="Round.", position="Inside.")
        for k, name in enumerate(["liver", "spleen", "heart", "nerve", "polyp"])
    )
    return Categories(items, rng.normal(size=(5, 12)).astype(np.float32), "made up for a test")


class EmbeddingsServer(ThreadingHTTPServer):
    """Server of the embeddings protocol on 127.0.0.1: 12 numbers per text, the same every time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _EmbeddingsHandler)
        self.mode = "answer"
        self.requests: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _EmbeddingsHandler(BaseHTTPRequestHandler):
    server: EmbeddingsServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record = {"path": self.path, "authorization": self.headers["Authorization"], "body": body}
        self.server.requests.append(record)
        mode = self.server.mode
        if mode == "silent":
            time.sleep(1)
            return
        status = {"refuse": 401, "redirect": 302}.get(mode, 200)
        content = "<html>" if mode == "html" else json.dumps(self._answer(mode, body["input"]))
        self.send_response(status)
        self.send_header("Location", self.server.url + "/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def _answer(self, mode: str, texts: list[str]) -> dict[str, Any]:
        """Answer of the protocol with the last text first, or spoiled according to `mode`."""
        rows = [text_vector(text).tolist() for text in texts]
        if mode in ("words", "not_finite", "empty"):
            rows[0] = {"words": ["a"], "not_finite": [float("nan")], "empty": []}[mode]
        if mode == "ragged":
            rows[0] = rows[0][:5]
        rows += rows[:1] * (mode == "too_many")
        data = [{"index": k, "embedding": row} for k, row in enumerate(rows)]
        return {} if mode == "nothing" else {"object": "list", "data": data[::-1]}

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def text_vector(text: str) -> NDArray[np.float32]:
    """12 numbers from the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=12).astype(np.float32)


@pytest.fixture
def embeddings_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingsServer]:
    """A server on this machine, reached without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = EmbeddingsServer()
    yield server
    server.close()
