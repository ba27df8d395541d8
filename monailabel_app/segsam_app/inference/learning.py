"""Learning of names: the segments of a saved label whose names the checkpoint does not have become
examples in the study's memory of taught names.

    label saved --reply--> its annotator
         └--> waiting cases --one thread, low priority--> descriptions of a few slices --> store
                                      then, by name, a start for the next case (`learning_on.py`)

Nobody waits for it: before each slice it waits until no annotator waits for a result, and a newer
version of the label, or the end of the server, ends it. The next start goes on with the labels that
were still waiting. Errors are only logged; what was not learnt is with the next version, or by
`PUT /memory/{name}`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from segsam.categories import Categories
from segsam.categories.segment_names import is_same_name, learnt_name
from segsam.errors import CancelledError, CategoryError, SegSamError
from segsam.imaging.label_files import read_labels
from segsam.imaging.slices import choose_axis
from segsam.prediction.result import SliceDescription
from segsam.prediction.taught.describing import Described, describe
from segsam.prediction.taught.examples import TaughtExample
from segsam.system.process import lower_thread_priority
from segsam.types import AxisName
from segsam_app.inference.engine import Engine
from segsam_app.inference.infer import checkpoint_info
from segsam_app.inference.learning_on import StartLearner
from segsam_app.storage.label_record import now
from segsam_app.storage.store import FINAL, Store
from segsam_app.storage.taught_names import Looks

logger = logging.getLogger(__name__)

AXES: tuple[AxisName, AxisName, AxisName] = ("i", "j", "k")
_MAX_USER = 200


class NameLearner:
    """Learner of the names in the labels of one store. Every method returns at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="segsam-learn", initializer=lower_thread_priority
        )
        self._lock = threading.Lock()
        self._waiting: dict[str, Store] = {}
        self._is_learning = False
        self._stopped = threading.Event()

    @property
    def pending(self) -> int:
        """Number of saved labels that are still to be learnt from."""
        with self._lock:
            return len(self._waiting) + self._is_learning

    def case_saved(self, store: Store, image_id: str) -> None:
        """Learn from the final label of an image, which has just been saved."""
        store.taught.set_waiting(image_id, waits=True)
        with self._lock:
            self._waiting[image_id] = store
        with suppress(RuntimeError):  # the server shuts down
            self._thread.submit(self._learn_next, image_id)

    def resume(self, store: Store) -> None:
        """Learn from the labels that were still waiting when the server ended. Raises OSError."""
        for image_id in store.taught.waiting():
            self.case_saved(store, image_id)

    def stop(self) -> None:
        """Stop at the next slice."""
        self._stopped.set()

    def _learn_next(self, image_id: str) -> None:
        """Learn from one case; a version that is saved meanwhile waits for its own turn."""
        with self._lock:
            store = self._waiting.pop(image_id, None)
            self._is_learning = store is not None and not self._stopped.is_set()
        try:
            if store is not None and self._is_learning:
                names = self._learn(store, image_id)
                logger.info("%d names were learnt from a label", len(names))
                check = partial(self._check, image_id)
                StartLearner(self._engine, store, check).learn(names)
                self._end(store, image_id)
        except CancelledError:
            return
        except (SegSamError, OSError) as error:
            logger.warning("no names were learnt from a label: %s", error)
            if store is not None:
                self._end(store, image_id)
        finally:
            with self._lock:
                self._is_learning = False

    def _check(self, image_id: str) -> None:
        """Raise `CancelledError` if the label was saved again, or the server ends."""
        if self._stopped.is_set() or image_id in self._waiting:
            raise CancelledError("The label was saved again, or the server ends.")

    def _end(self, store: Store, image_id: str) -> None:
        """Note that a case was learnt from, unless it was saved again meanwhile."""
        with self._lock:
            if image_id not in self._waiting:
                store.taught.set_waiting(image_id, waits=False)

    def _learn(self, store: Store, image_id: str) -> list[str]:
        """Learn the names of one case; return those that changed. Raises SegSamError, OSError."""
        info = store.get_label_info(image_id, FINAL)
        stated = {int(value): str(name) for value, name in (info.get("names") or {}).items()}
        known = checkpoint_info(self._engine.resolved(None))["categories"]
        names = names_to_learn(stated, known)
        if not names and not _was_learnt_from(store, image_id):
            return []
        user = str(info.get("user") or info.get("client_id") or "")[:_MAX_USER]
        examples = self._examples(store, image_id, names, user) if names else {}
        if examples is None:
            return []
        return store.taught.learn_case(image_id, examples, looks=looks_of, user=user)

    def _examples(
        self, store: Store, image_id: str, names: Mapping[int, str], user: str
    ) -> dict[str, list[TaughtExample]] | None:
        """Describe the segments of a case; None by a checkpoint without a memory, which can not.

        Raises `CancelledError` if that is no longer wanted.
        """
        path = Path(store.get_image_uri(image_id))
        label = Path(store.get_label_uri(image_id, FINAL))
        self._engine.wait_for_idle()
        volume = self._engine.volume(path)
        labels = read_labels(label, volume)
        self._engine.wait_for_idle()
        predictor = self._engine.predictor(path, volume)
        if predictor.model.memory is None:
            return None
        slices = predictor.slices(choose_axis(volume, "auto"))
        teacher = Teacher(predictor.encoder.embedding_id, image_id, user, from_label=True)
        found: dict[str, list[TaughtExample]] = {}

        def before_slice() -> None:
            self._engine.wait_for_idle()
            self._check(image_id)

        for each in labels.maps:  # segments that overlap lie in different maps
            for one in describe(slices, each, list(names), before_slice):
                example = teacher.example(slices.view.axis, one)
                found.setdefault(names[one.value], []).append(example)
        return found


@dataclass(frozen=True)
class Teacher:
    """Facts that all examples of one case have in common."""

    embedding: str
    case: str
    annotator: str = ""
    from_label: bool = False
    created: str = field(default_factory=now)

    def example(self, axis: int, one: Described | SliceDescription) -> TaughtExample:
        """Return a described object on a slice across a voxel axis as an example."""
        return TaughtExample(
            one.description,
            one.position,
            self.embedding,
            self.case,
            AXES[axis],
            one.index,
            self.annotator,
            self.created,
            self.from_label,
        )


def names_to_learn(names: Mapping[int, str], known: Sequence[str]) -> dict[int, str]:
    """Return the names by value that name something and are none of the checkpoint's, whatever
    their spelling, and no synonyms of them.
    """
    learnt = {value: learnt_name(name) for value, name in names.items()}
    return {
        value: name
        for value, name in learnt.items()
        if name and not any(is_same_name(name, one) for one in known)
    }


def looks_of(name: str) -> Looks:
    """Return colour and code that the vocabulary has for a name, if it has it."""
    try:
        item = _vocabulary().items[_vocabulary().index(name)]
    except CategoryError:
        return Looks()
    return Looks(item.colour, item.snomed)


def _was_learnt_from(store: Store, image_id: str) -> bool:
    examples = (one for name in store.taught.names() for one in name.examples)
    return any(one.from_label and one.case == image_id for one in examples)


@cache
def _vocabulary() -> Categories:
    return Categories.load()
