"""Overviews of the images for active learning: computed, and cached in memory and on disk.

On disk there is one small file per image and model, named after the content of the image and the
weights. So it stays valid as long as both are unchanged, whichever process computed it (the server
in the background, or the process of `POST /scoring/overview`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from segsam.errors import CancelledError, DamagedRecordError, OutputError
from segsam.imaging.slices import choose_axis
from segsam.model import ImageFeatures
from segsam.model.checkpoint import default_name, find_card
from segsam.proposals.overview import Overview, overview, sampled_slices
from segsam.system.atomic import write_bytes
from segsam.system.checked_json import read_object, with_checksum
from segsam_app.inference.engine import Engine, ImageKey
from segsam_app.storage.disk import sha256_of

logger = logging.getLogger(__name__)

_HASH_DIGITS = 32
_MAX_BYTES = 1 << 20
_DECIMALS = 5
"""Decimals of a number on disk."""


@dataclass(frozen=True)
class _Entry:
    key: ImageKey
    weights: str
    overview: Overview


class Overviews:
    """Cache of overviews by image id. Thread-safe."""

    def __init__(self, engine: Engine, folder: Path | None) -> None:
        """`folder` is the cache on disk; None for no files."""
        self._engine, self._folder = engine, folder
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def in_memory(self) -> dict[str, Overview]:
        """Return the overviews in memory that belong to the current weights; computes nothing."""
        weights = self._weights()
        with self._lock:
            return {
                image: entry.overview
                for image, entry in self._entries.items()
                if entry.weights == weights
            }

    def is_current(self, image_id: str, path: Path) -> bool:
        """Return True if the overview in memory is of this state of the image and the weights."""
        with self._lock:
            entry = self._entries.get(image_id)
        current = (ImageKey.of(path), self._weights())
        return entry is not None and (entry.key, entry.weights) == current

    def update(
        self,
        image_id: str,
        path: Path,
        *,
        wait: Callable[[], None] = lambda: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read the overview of an image from disk, or compute it. Before each slice, `wait` is
        called and returns when the slice may be computed; then `should_stop` is called.

        Raises `CancelledError` to stop, SegSamError for an image that cannot be used.
        """
        key, weights = ImageKey.of(path), self._weights()
        file = self._file(path, weights)
        found = None if file is None else _read(file)
        if found is None:
            found = self._compute(path, wait, should_stop)
            if file is not None:
                _write(file, found)
        with self._lock:
            self._entries[image_id] = _Entry(key, weights, found)

    def _compute(
        self, path: Path, wait: Callable[[], None], should_stop: Callable[[], bool]
    ) -> Overview:
        volume = self._engine.volume(path, temporary=True)
        predictor = self._engine.predictor(path, volume)
        slices = predictor.slices(choose_axis(volume, "auto"))

        def features(index: int) -> ImageFeatures:
            wait()
            if should_stop():
                raise CancelledError("The computation of overviews was stopped.")
            return slices.features(index, background=True)

        calls = [partial(features, index) for index in sampled_slices(slices.view.depth)]
        return overview(predictor.model, calls, slices.view.size_px)

    def _weights(self) -> str:
        """Return a hash of the weights in use, without loading them."""
        return _hash_of_weights(self._engine.resolved(None))

    def _file(self, path: Path, weights: str) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / f"{_hash_of_content(path)[:_HASH_DIGITS]}-{weights}.json"


@lru_cache(maxsize=16)  # called for every image
def _hash_of_weights(checkpoint: str | None) -> str:
    card = find_card(checkpoint)
    name = (checkpoint or default_name()) if card is None else card.sha256
    return hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]


def _hash_of_content(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    return hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()


def _read(file: Path) -> Overview | None:
    """Return the overview in a file; None if the file is missing or damaged."""
    try:
        return _parsed(file)
    except (DamagedRecordError, OSError):
        return None


def damage_of_overview(file: Path) -> str:
    """Return what is wrong with a file of the cache; empty if it is good."""
    try:
        _parsed(file)
    except (DamagedRecordError, OSError) as error:
        return str(error)
    return ""


def _parsed(file: Path) -> Overview:
    record = read_object(file, _MAX_BYTES)
    try:
        doubt, place = record["doubt"], np.array(record["place"], dtype=np.float32)
        found = Overview(None if doubt is None else float(doubt), place)
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedRecordError("it is no overview of an image") from error
    is_finite = bool(np.isfinite([found.disagreement or 0.0, *place.ravel()]).all())
    if place.ndim != 1 or not place.size or not is_finite:
        raise DamagedRecordError("it is no overview of an image")
    return found


def _write(file: Path, found: Overview) -> None:
    """Write an overview. An error is logged only: it costs the next start some time."""
    record = {
        "doubt": found.disagreement,
        "place": [round(x, _DECIMALS) for x in found.embedding.tolist()],
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps(with_checksum(record)).encode())
    except (OSError, OutputError) as error:
        logger.warning("the overview of an image could not be cached: %s", error)
