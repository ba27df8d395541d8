"""Learning on after a case: for each taught name in a saved label, a start for the next case.

    names of the label --their newest labelled cases--> lessons --learn_on--> `.memory`, if it gains

The slices are those that the names' examples were described on, so most are in the cache. Before
each slice and each step of the optimiser it waits until no annotator waits for a result; the end of
the server, a newer version of the label or too long a time ends it. What was learnt before stays
until something better takes its place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from segsam.categories.segment_names import learnt_name
from segsam.categories.vocabulary import folded
from segsam.errors import CancelledError, SegSamError
from segsam.imaging.label_files import read_labels
from segsam.prediction.completion.learning_on import MOST_CASES, LabelledObject, learn_on
from segsam.prediction.predictor import Predictor
from segsam.prediction.taught.examples import TaughtName
from segsam_app.inference.engine import Engine
from segsam_app.storage.label_record import now
from segsam_app.storage.store import FINAL, Store

logger = logging.getLogger(__name__)

MOST_NAMES_OF_CASE = 12
"""Names of one label that are learnt on."""
MOST_SECONDS = 240.0
"""Most processor time of the thread for one name: time that it waits for annotators, or at its low
priority for a processor, does not count."""


class TooLongError(SegSamError):
    """Learning on takes longer than `MOST_SECONDS`."""


class StartLearner:
    """Learner of starts for the next case, in the thread that learns names.

    `check` is called often; it raises `CancelledError` to end the learning.
    """

    def __init__(self, engine: Engine, store: Store, check: Callable[[], None]) -> None:
        self._engine, self._store, self._check = engine, store, check
        self._began = time.thread_time()

    def learn(self, names: Iterable[str]) -> int:
        """Learn on about names, and return about how many something was learnt that is better.

        What cannot be learnt is logged. Raises `CancelledError`.
        """
        found = [self._store.taught.names().find(name) for name in dict.fromkeys(names)]
        kept = 0
        for name in [one for one in found if one is not None][:MOST_NAMES_OF_CASE]:
            try:
                kept += self._learn_name(name)
            except CancelledError:
                raise
            except (SegSamError, OSError) as error:
                logger.warning("nothing was learnt for the next case: %s", error)
        return kept

    def _learn_name(self, name: TaughtName) -> bool:
        """Learn on about one name; True if it is kept. Raises SegSamError, OSError."""
        self._began = time.thread_time()
        cases = dict.fromkeys(one.case for one in name.examples if one.from_label)
        objects = [self._object(name, case) for case in [*cases][-MOST_CASES:]]
        labelled = [one for one in objects if one is not None]
        encoder = self._engine.encoder_of(self._engine.resolved(None))
        parent = encoder.model.host.mask_decoder.state_dict()
        facts = self._store.taught.learnt_facts(name)
        is_comparable = facts is not None and facts.parent == encoder.weights_id
        state, gain = learn_on(
            encoder.model,
            encoder.weights_id,
            name.name,
            labelled,
            previous=self._store.taught.learnt(name, parent) if is_comparable else None,
            created=now(),
            after_step=self._wait,
        )
        is_kept = state is not None and self._store.taught.keep_learnt(name, state, parent)
        logger.info(
            "%s for the next case from %d cases of a name: held-out Dice %.1f to %.1f, %.0f s",
            "learnt" if is_kept else "nothing better was learnt",
            len(labelled),
            100 * gain.before,
            100 * gain.after,
            time.thread_time() - self._began,
        )
        return is_kept

    def _object(self, name: TaughtName, case: str) -> LabelledObject | None:
        """Return the object with a name in the final label of a case; None if it is not there."""
        info = self._store.get_label_info(case, FINAL)
        value = _value_of(name.name, info.get("names") or {})
        examples = [one for one in name.examples if one.case == case and one.from_label]
        if value is None or not examples:
            return None
        axis = "ijk".index(examples[-1].axis)
        path = Path(self._store.get_image_uri(case))
        self._wait()
        volume = self._engine.volume(path)
        labels = read_labels(Path(self._store.get_label_uri(case, FINAL)), volume).map_of(value)
        self._wait()
        predictor: Predictor = self._engine.predictor(path, volume)
        return LabelledObject.of(
            predictor.slices(axis),
            labels,
            value,
            case=case,
            annotator=examples[-1].annotator,
            indices=[one.index for one in examples if "ijk".index(one.axis) == axis],
            before_slice=self._wait,
        )

    def _wait(self) -> None:
        """Return when no annotator waits for a result. Raises `CancelledError`, `TooLongError`."""
        if time.thread_time() - self._began > MOST_SECONDS:
            raise TooLongError(f"It took more than {MOST_SECONDS:.0f} s of processor time.")
        self._check()
        self._engine.wait_for_idle()
        self._check()


def _value_of(name: str, names: dict[Any, Any]) -> int | None:
    """Return the value that a label gives to a name, in any spelling; None if it has none."""
    texts = {int(value): folded(learnt_name(str(text))) for value, text in names.items()}
    return next((value for value, text in texts.items() if text == folded(name)), None)
