"""Engine: the loaded models and the open images, everything that outlives a single prompt."""

from __future__ import annotations

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from segsam.errors import OutputError, SegSamError, VolumeNotFoundError
from segsam.imaging.readers import read_grid
from segsam.imaging.volume import Volume
from segsam.model.checkpoint import load_pretrained
from segsam.model.runtimes import EncoderRunner, RuntimeFacts, choose_runtime
from segsam.model.segsam import SegSam
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import CacheState, EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam_app.config import AppConfig
from segsam_app.errors import is_out_of_memory
from segsam_app.inference.adapted_states import AdaptedStates
from segsam_app.inference.requests import Window

logger = logging.getLogger(__name__)

_MAX_PREDICTORS_PER_IMAGE = 4
_MAX_NOTES = 10_000
"""Number of images whose notes are remembered after they were closed."""
_WITH_HEADER = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
"""Endings of files whose header tells how they are read."""

PredictorKey = tuple[str | None, Window | None]
"""(checkpoint, window)."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageKey:
    """Identity of an image file and its content: a file that was written again is another image."""

    path: str
    inode: int
    bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> ImageKey:
        """Return the key of a file, or of the folder of a DICOM series. Raises
        `VolumeNotFoundError`.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise VolumeNotFoundError(f"there is no image {path.name!r} any more") from error
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        return cls(str(path), *state)


@dataclass
class OpenImage:
    """Image in memory, with its most recently used predictors."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    volume: Volume | None = None
    predictors: OrderedDict[PredictorKey, Predictor] = field(default_factory=OrderedDict)

    @property
    def bytes(self) -> int:
        """Size of the voxels."""
        return 0 if self.volume is None else self.volume.voxels.nbytes


class Engine:
    """Owner of the models, of the open images as long as they fit into memory, of the cache of
    slice embeddings that all annotators share, and of the `states` that no two share.

    Nothing is loaded before it is needed, because MONAI Label builds the app again in every child
    process. Thread-safe; two prompts on a new image read it once.
    """

    def __init__(
        self,
        config: AppConfig,
        current: Callable[[], str | None] | None = None,
        *,
        temporary_folders: Sequence[Path] = (),
        read_image: Callable[[Path], Volume] | None = None,
        is_of_series: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        """Prepare the caches; nothing is loaded yet.

        `read_image` reads an image file as its store does; None for `Volume.load`. `is_of_series`
        returns True for a file that a store made of a DICOM series: its header lacks the notes
        about the slices. `current` returns the checkpoint that training has made of the configured
        one; it is called for each prompt. Embeddings of images in `temporary_folders` are not
        written to disk.
        """
        self.states = AdaptedStates()
        self._config = config
        self._current = current or (lambda: config.checkpoint)
        self._used = config.checkpoint
        self._embeddings = EmbeddingCache(config.cache_bytes, files=_embedding_files(config))
        self._temporary_folders = tuple(temporary_folders)
        self._read_image = read_image or (lambda path: Volume.load(path))
        self._is_of_series = is_of_series
        self._notes: OrderedDict[ImageKey, tuple[str, ...]] = OrderedDict()
        self._models: dict[str | None, EncoderRunner] = {}
        self._model_lock = threading.Lock()
        self._images: OrderedDict[ImageKey, OpenImage] = OrderedDict()
        self._images_lock = threading.Lock()
        self._interactive = 0
        self._idle = threading.Condition()

    def volume(self, path: Path, *, temporary: bool = False) -> Volume:
        """Return the image at `path`, which is read if it is not open. A `temporary` image, whose
        file is about to be deleted, does not stay open.
        """
        if temporary:
            return self._read_image(path)
        key = ImageKey.of(path)
        with self._images_lock:
            image = self._images.setdefault(key, OpenImage())
            self._images.move_to_end(key)
        with image.lock:
            try:
                if image.volume is None:
                    image.volume = self._read_image(path)
                    self._remember_notes(key, image.volume.notes)
            finally:
                self._shrink(failed=key if image.volume is None else None)
            return image.volume

    def notes(self, path: Path) -> tuple[str, ...] | None:
        """Return the notes for the user about how an image is read; None if it cannot be read.

        Of an image that was not read yet, the header is enough; a DICOM series is opened.
        """
        try:
            key = ImageKey.of(path)
            with self._images_lock:
                found = self._notes.get(key)
            if found is not None:
                return found
            has_header = path.is_file() and path.name.lower().endswith(_WITH_HEADER)
            has_header = has_header and not self._is_of_series(path)
            return read_grid(path).notes if has_header else self.volume(path).notes
        except SegSamError:
            return None

    def predictor(
        self,
        path: Path,
        volume: Volume,
        window: Window | None = None,
        *,
        checkpoint: str | None = None,
    ) -> Predictor:
        """Return a predictor with `volume` set, which is what `self.volume(path)` returned.

        It displays the volume in `window`, and its model is `checkpoint` or, without one, the
        current version of the configured checkpoint. It is reused as long as the image stays open.
        """
        key = (self.resolved(checkpoint), window)
        with self._images_lock:
            image = self._images.get(ImageKey.of(path))
        is_temporary = any(path.is_relative_to(folder) for folder in self._temporary_folders)
        if image is None or image.volume is not volume:
            return self._new_predictor(volume, key, private=True)
        with image.lock:
            found = image.predictors.pop(key, None)
            found = found or self._new_predictor(volume, key, private=is_temporary)
            image.predictors[key] = found
            while len(image.predictors) > _MAX_PREDICTORS_PER_IMAGE:
                image.predictors.popitem(last=False)
        return found

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """Hold back the prefetching within the block, because an annotator waits for the result."""
        with self._idle:
            self._interactive += 1
        try:
            yield
        finally:
            with self._idle:
                self._interactive -= 1
                self._idle.notify_all()

    def wait_for_idle(self) -> None:
        """Return when no annotator waits for a result."""
        with self._idle:
            self._idle.wait_for(lambda: self._interactive == 0)

    @property
    def model(self) -> SegSam:
        """Current version of the configured model. Raises `CheckpointError` for unusable
        weights.
        """
        return self.model_of(self.resolved(None))

    def resolved(self, checkpoint: str | None) -> str | None:
        """Return the checkpoint to load: the current version of the configured one for None or its
        name, and any other checkpoint unchanged. Frees the memory of the previous version.
        """
        if checkpoint not in (None, self._config.checkpoint):
            return checkpoint
        current = self._current()
        if current != self._used:
            self._used, previous = current, self._used
            self._forget(previous)
        return current

    def model_of(self, checkpoint: str | None) -> SegSam:
        """Return the model of a checkpoint; raises the errors of `encoder_of`."""
        return self.encoder_of(checkpoint).model

    def encoder_of(self, checkpoint: str | None) -> EncoderRunner:
        """Return the model of a checkpoint with its image encoder, which is loaded once.

        Raises `CheckpointError`, and `RuntimeChoiceError` for a runtime or precision that this
        machine does not have.
        """
        with self._model_lock:
            if checkpoint not in self._models:
                model = load_pretrained(checkpoint, device=_device(self._config.device))
                encoder = choose_runtime(model, self._config.runtime, self._config.precision)
                facts = encoder.facts
                logger.info("image encoder: %s, %s; %s", facts.runtime, facts.precision, facts.why)
                if facts.note:
                    logger.warning("%s", facts.note)
                self._models[checkpoint] = encoder
            return self._models[checkpoint]

    def runtime_of(self, checkpoint: str | None) -> RuntimeFacts | None:
        """Return what computes the image encoder of a checkpoint; None before it is loaded."""
        encoder = self._models.get(self.resolved(checkpoint))
        return None if encoder is None else encoder.facts

    @property
    def is_loaded(self) -> bool:
        """True if any weights are in memory."""
        return bool(self._models)

    @property
    def cached(self) -> CacheState:
        """State of the cache of slice embeddings."""
        return self._embeddings.state

    def flush(self) -> None:
        """Return when the embeddings computed so far are on disk."""
        self._embeddings.flush()

    def retry_without_caches(self, compute: Callable[[], Result]) -> Result:
        """Return `compute()`. If memory runs out, drop the caches and compute once more; raises
        what the second attempt raises.
        """
        try:
            return compute()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("memory ran out; cached images and embeddings were dropped")
        # Outside of the handler: the exception's traceback holds the tensors of the first attempt.
        self.drop_caches()
        return compute()

    def drop_caches(self) -> None:
        """Drop all open images, embeddings and adapted states, which can be made again."""
        with self._images_lock:
            self._images.clear()
        self.states.clear()
        self._embeddings.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _remember_notes(self, key: ImageKey, notes: tuple[str, ...]) -> None:
        with self._images_lock:
            self._notes[key] = notes
            while len(self._notes) > _MAX_NOTES:
                self._notes.popitem(last=False)

    def _shrink(self, *, failed: ImageKey | None) -> None:
        """Close the least recently used images until the rest fits; the newest one always stays."""
        with self._images_lock:
            if failed is not None:
                self._images.pop(failed, None)
            used = sum(image.bytes for image in self._images.values())
            while used > self._config.images_bytes and len(self._images) > 1:
                _, oldest = self._images.popitem(last=False)
                used -= oldest.bytes

    def _forget(self, checkpoint: str | None) -> None:
        """Free a model and its predictors; an inference that runs keeps its own."""
        if checkpoint not in self._config.models.values():
            with self._model_lock:
                self._models.pop(checkpoint, None)
        with self._images_lock:
            images = list(self._images.values())
        for image in images:
            if not image.lock.acquire(blocking=False):
                continue  # being read: newer predictors will replace its old ones
            try:
                for key in [key for key in image.predictors if key[0] == checkpoint]:
                    del image.predictors[key]
            finally:
                image.lock.release()

    def _new_predictor(self, volume: Volume, key: PredictorKey, *, private: bool) -> Predictor:
        checkpoint, window = key
        encoder = self.encoder_of(checkpoint)
        predictor = Predictor(encoder.model, encoder=encoder, embeddings=self._embeddings)
        predictor.set_volume(volume, window=window, private=private)
        return predictor


def _embedding_files(config: AppConfig) -> EmbeddingFiles | None:
    """Return the disk cache of embeddings, None if it is off or its folder cannot be used."""
    if config.disk_cache is None or not config.disk_cache_megabytes:
        return None
    try:
        return EmbeddingFiles(config.disk_cache, config.disk_cache_bytes, private=True)
    except OutputError as error:
        logger.warning("embeddings are kept in memory only (setting disk_cache): %s", error)
        return None


def device_problem(name: str) -> str | None:
    """Return why the device of the setting `device` cannot be used; None if it can."""
    kind, _, number = name.partition(":")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        return f"device {name} is not there: expected a graphics card of CUDA, got {found} of them"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "device mps is not there: expected a Mac with Apple's graphics, got none"
    return None


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
