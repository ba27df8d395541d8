"""The server and what is said to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segsam.remote.client import MODEL, Client
from segsam.remote.server import Server


class LoopServer(Server):
    """A server of the demo's kind, on a study folder that is filled already."""

    def __init__(self, app: Path, work: Path, checkpoint: str | None) -> None:
        super().__init__(app, work, work / "server.log")
        self._checkpoint = checkpoint

    def command(self) -> list[str]:
        conf = ["--conf", "checkpoint", self._checkpoint] if self._checkpoint else []
        return [*super().command(), *conf, "--conf", "warm", "off"]


class LoopClient(Client):
    """What the demo's client does not ask: samples, labels, trainings, versions."""

    def next_sample(self, strategy: str) -> dict[str, Any]:
        """The image to annotate."""
        return self._json("POST", f"/activelearning/{strategy}", json={})

    def segment(self, image: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """One click on an image of the study folder, answered in JSON."""
        fields = {"params": json.dumps(params)}
        return self._json("POST", f"/infer/{MODEL}", params={"image": image}, data=fields)

    def save_label(self, image: str, file: Path, names: Mapping[str, int]) -> dict[str, Any]:
        """The final label of an image."""
        with file.open("rb") as stream:
            return self._json(
                "PUT",
                "/datastore/label",
                params={"image": image, "tag": "final"},
                data={"params": json.dumps({"label_names": dict(names)})},
                files={"label": (file.name, stream, "application/octet-stream")},
            )

    def train(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Start a training."""
        return self._json("POST", f"/train/{MODEL}", json=dict(settings))

    def training(self) -> dict[str, Any]:
        """How far it is."""
        return self._json("GET", "/train/")

    def versions(self) -> dict[str, Any]:
        """The versions of the model."""
        return self._json("GET", f"/versions/{MODEL}")

    def use(self, version: str) -> dict[str, Any]:
        """Make a version current."""
        return self._json("POST", f"/versions/{MODEL}/use", json={"version": version})

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._call(method, path, **options).json()
        return answer
