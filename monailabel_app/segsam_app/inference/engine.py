"""The model, loaded once, and the images that are open: everything a click needs that outlives the
click.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from segsam.errors import OutputError, VolumeNotFoundError
from segsam.imaging.volume import Volume
from segsam.model.checkpoint import load_pretrained
from segsam.model.runtimes import EncoderRunner, choose_runtime
from segsam.model.segsam import SegSam
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import CacheState, EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam_app.config import AppConfig
from segsam_app.inference.requests import Window

logger = logging.getLogger(__name__)

_WINDOWS_PER_IMAGE = 4

Seen = tuple[str | None, Window | None]
"""By which checkpoint, through which window."""


@dataclass(frozen=True)
class ImageKey:
    """A file in one state: written again, it is another image."""

    path: str
    mtime_ns: int
    bytes: int

    @classmethod
    def of(cls, path: Path) -> ImageKey:
        """The state of `path` (a file, or the folder of a DICOM series). Raises
        `VolumeNotFoundError`.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise VolumeNotFoundError(f"there is no image {path.name!r} any more") from error
        return cls(str(path), stat.st_mtime_ns, stat.st_size)


@dataclass
class OpenImage:
    """An image in memory, and its predictors: one for each checkpoint and intensity window that
    was asked for lately.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    volume: Volume | None = None
    predictors: OrderedDict[Seen, Predictor] = field(default_factory=OrderedDict)

    @property
    def bytes(self) -> int:
        return 0 if self.volume is None else self.volume.voxels.nbytes


class Engine:
    """The models and one cache of slice embeddings for all annotators; images are kept while they
    fit.

    Nothing is loaded before it is needed: MONAI Label builds the app again in every child process.
    All methods may be called from any thread; two clicks on a new image read it once.
    """

    def __init__(
        self,
        config: AppConfig,
        current: Callable[[], str | None] | None = None,
        *,
        passing: Sequence[Path] = (),
    ) -> None:
        """`current` tells which checkpoint the configured one has become by training, each time it
        is needed. What lies in the folders `passing` is about to go: of such images nothing is
        written to disk.
        """
        self._config = config
        self._current = current or (lambda: config.checkpoint)
        self._used = config.checkpoint
        self._embeddings = EmbeddingCache(config.cache_bytes, files=_files(config))
        self._passing = tuple(passing)
        self._models: dict[str | None, EncoderRunner] = {}
        self._model_lock = threading.Lock()
        self._images: OrderedDict[ImageKey, OpenImage] = OrderedDict()
        self._images_lock = threading.Lock()
        self._clicks = 0
        self._idle = threading.Condition()

    def volume(self, path: Path, *, keep: bool = True) -> Volume:
        """The image at `path`, read if it is not open. `keep=False` for files that are about to
        go.
        """
        if not keep:
            return Volume.load(path)
        with self._opened(path) as image:
            return _volume(image)

    def predictor(
        self,
        path: Path,
        volume: Volume,
        window: Window | None = None,
        *,
        checkpoint: str | None = None,
    ) -> Predictor:
        """The predictor for `volume`, which `volume(path)` returned, seen through `window`; by the
        configured checkpoint, as it is now, unless another one is named.
        """
        seen = (self.resolved(checkpoint), window)
        with self._images_lock:
            image = self._images.get(ImageKey.of(path))
        passing = any(path.is_relative_to(folder) for folder in self._passing)
        if image is None or image.volume is not volume:
            return self._new_predictor(volume, seen, private=True)
        with image.lock:
            found = image.predictors.pop(seen, None)
            found = found or self._new_predictor(volume, seen, private=passing)
            image.predictors[seen] = found
            while len(image.predictors) > _WINDOWS_PER_IMAGE:
                image.predictors.popitem(last=False)
        return found

    @contextmanager
    def click(self) -> Iterator[None]:
        """Held while an annotator waits: warming up waits for the last of them."""
        with self._idle:
            self._clicks += 1
        try:
            yield
        finally:
            with self._idle:
                self._clicks -= 1
                self._idle.notify_all()

    def wait_for_idle(self) -> None:
        """Return when no annotator waits for a click."""
        with self._idle:
            self._idle.wait_for(lambda: self._clicks == 0)

    @property
    def model(self) -> SegSam:
        """The configured model, as it is now. Raises `CheckpointError` when its weights cannot be
        used.
        """
        return self.model_of(self.resolved(None))

    def resolved(self, checkpoint: str | None) -> str | None:
        """What stands for a checkpoint now: for the configured one (or None) its current version.
        What its version before left in memory goes.
        """
        if checkpoint not in (None, self._config.checkpoint):
            return checkpoint
        current = self._current()
        if current != self._used:
            self._used, before = current, self._used
            self._forget(before)
        return current

    def model_of(self, checkpoint: str | None) -> SegSam:
        """The model of a checkpoint; raises as `encoder_of`."""
        return self.encoder_of(checkpoint).model

    def encoder_of(self, checkpoint: str | None) -> EncoderRunner:
        """The model of a checkpoint with its image encoder, loaded once. Raises `CheckpointError`,
        and `RuntimeChoiceError` for a runtime or precision that this machine does not have.
        """
        with self._model_lock:
            if checkpoint not in self._models:
                model = load_pretrained(checkpoint, device=_device(self._config.device))
                encoder = choose_runtime(model, self._config.runtime, self._config.precision)
                facts = encoder.facts
                logger.info("image encoder: %s, %s; %s", facts.runtime, facts.precision, facts.why)
                self._models[checkpoint] = encoder
            return self._models[checkpoint]

    def _forget(self, checkpoint: str | None) -> None:
        """Let a model go, and the predictors that have it; a click that is under way keeps its
        own.
        """
        if checkpoint not in self._config.models.values():
            with self._model_lock:
                self._models.pop(checkpoint, None)
        with self._images_lock:
            images = list(self._images.values())
        for image in images:
            if not image.lock.acquire(blocking=False):
                continue  # it is being read; its predictors go when others take their place
            try:
                for seen in [seen for seen in image.predictors if seen[0] == checkpoint]:
                    del image.predictors[seen]
            finally:
                image.lock.release()

    @property
    def is_loaded(self) -> bool:
        """Whether any weights are in memory."""
        return bool(self._models)

    @property
    def cached(self) -> CacheState:
        """What the cache of slice embeddings holds, and how it served."""
        return self._embeddings.state

    def flush(self) -> None:
        """Return when what was encoded so far is on disk."""
        self._embeddings.flush()

    def make_room(self) -> None:
        """Forget all kept images and embeddings: memory ran out, and they can be made again."""
        with self._images_lock:
            self._images.clear()
        self._embeddings.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextmanager
    def _opened(self, path: Path) -> Iterator[OpenImage]:
        key = ImageKey.of(path)
        with self._images_lock:
            image = self._images.setdefault(key, OpenImage())
            self._images.move_to_end(key)
        with image.lock:
            try:
                if image.volume is None:
                    image.volume = Volume.load(path)
            finally:
                self._shrink(without=key if image.volume is None else None)
            yield image

    def _shrink(self, *, without: ImageKey | None) -> None:
        """Forget the images that were not used for longest until the rest fits; the newest always
        stays.
        """
        with self._images_lock:
            if without is not None:
                self._images.pop(without, None)
            used = sum(image.bytes for image in self._images.values())
            while used > self._config.images_bytes and len(self._images) > 1:
                _, oldest = self._images.popitem(last=False)
                used -= oldest.bytes

    def _new_predictor(self, volume: Volume, seen: Seen, *, private: bool) -> Predictor:
        checkpoint, window = seen
        encoder = self.encoder_of(checkpoint)
        predictor = Predictor(encoder.model, encoder=encoder, embeddings=self._embeddings)
        predictor.set_volume(volume, window=window, private=private)
        return predictor


def _volume(image: OpenImage) -> Volume:
    if image.volume is None:
        raise AssertionError("an opened image has its volume")
    return image.volume


def _files(config: AppConfig) -> EmbeddingFiles | None:
    """Where embeddings outlive the server, unless that is off or impossible."""
    if config.disk_cache is None or not config.disk_cache_megabytes:
        return None
    try:
        return EmbeddingFiles(config.disk_cache, config.disk_cache_bytes, private=True)
    except OutputError as error:
        logger.warning("embeddings are kept in memory only (setting disk_cache): %s", error)
        return None


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
