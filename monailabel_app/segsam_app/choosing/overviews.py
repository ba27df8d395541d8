"""What is known of each image for active learning: kept in memory and on disk, and computed.

On disk there is one small file for each image and model, named after the image's content and the
weights: it holds as long as both are as they were, whoever computed it (the server in the
background, or the process of `POST /scoring/overview`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from segsam.errors import CancelledError, OutputError
from segsam.imaging.slices import choose_axis
from segsam.model import ImageFeatures
from segsam.model.checkpoint import default_name, find_card
from segsam.proposals.overview import Overview, overview, sampled_slices
from segsam.system.atomic import write_bytes
from segsam_app.inference.engine import Engine, ImageKey
from segsam_app.storage.disk import sha256_of

logger = logging.getLogger(__name__)

_DIGITS = 32
_PLACES = 5
"""Digits that are kept of a number."""


@dataclass(frozen=True)
class _Kept:
    key: ImageKey
    weights: str
    overview: Overview


class Overviews:
    """Overviews by image id; safe from any thread. `folder` is where they are kept, None for
    nowhere.
    """

    def __init__(self, engine: Engine, folder: Path | None) -> None:
        self._engine, self._folder = engine, folder
        self._kept: dict[str, _Kept] = {}
        self._named: tuple[str | None, str] | None = None
        self._lock = threading.Lock()

    def known(self) -> dict[str, Overview]:
        """What is in memory of the weights in use, at no cost."""
        weights = self._weights()
        with self._lock:
            return {
                image: one.overview for image, one in self._kept.items() if one.weights == weights
            }

    def is_current(self, image_id: str, path: Path) -> bool:
        """Whether the image and the weights are as they were when it was looked at."""
        with self._lock:
            kept = self._kept.get(image_id)
        return kept is not None and (kept.key, kept.weights) == (
            ImageKey.of(path),
            self._weights(),
        )

    def look(
        self, image_id: str, path: Path, *, wait: Callable[[], None], is_over: Callable[[], bool]
    ) -> None:
        """Know the image, from disk if it was looked at before. `wait` is called before each slice
        and returns when it may be computed; then `is_over` is asked.

        Raises `CancelledError` when it is over, SegSamError for what cannot be looked at.
        """
        key, weights = ImageKey.of(path), self._weights()
        file = self._file(path, weights)
        found = None if file is None else _read(file)
        if found is None:
            found = self._computed(path, wait, is_over)
            if file is not None:
                _write(file, found)
        with self._lock:
            self._kept[image_id] = _Kept(key, weights, found)

    def _computed(
        self, path: Path, wait: Callable[[], None], is_over: Callable[[], bool]
    ) -> Overview:
        volume = self._engine.volume(path, keep=False)
        predictor = self._engine.predictor(path, volume)
        slices = predictor.slices(choose_axis(volume, "auto"))

        def asked(index: int) -> ImageFeatures:
            wait()
            if is_over():
                raise CancelledError("Looking at images was stopped.")
            return slices.features(index, background=True)

        turns = [partial(asked, index) for index in sampled_slices(slices.view.depth)]
        return overview(predictor.model, turns, slices.view.size_px)

    def _weights(self) -> str:
        """The name of the weights in use, without loading them."""
        checkpoint = self._engine.resolved(None)
        if self._named is None or self._named[0] != checkpoint:  # it is asked for every image
            self._named = checkpoint, _weights_of(checkpoint)
        return self._named[1]

    def _file(self, path: Path, weights: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{_content(path)[:_DIGITS]}-{weights}.json"


def _weights_of(checkpoint: str | None) -> str:
    card = find_card(checkpoint)
    name = (checkpoint or default_name()) if card is None else card.sha256
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]


def _content(path: Path) -> str:
    """SHA-256 of a file, or over the files of a folder."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


def _read(file: Path) -> Overview | None:
    """What was kept; None when there is nothing, or nothing whole."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        doubt, place = record["doubt"], np.array(record["place"], dtype=np.float32)
        return Overview(None if doubt is None else float(doubt), place)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write(file: Path, found: Overview) -> None:
    """A disk that refuses costs the next start some time, and nothing else."""
    record = {
        "doubt": found.disagreement,
        "place": [round(x, _PLACES) for x in found.embedding.tolist()],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps(record).encode())
    except (OSError, OutputError) as error:
        logger.warning("what is known of an image could not be kept: %s", error)
