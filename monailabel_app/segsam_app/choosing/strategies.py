"""`POST /activelearning/{strategy}`: the next image, and why it is that one.

Nothing is computed here: a strategy goes by what is known, which the background work makes more
(`scoring.py`), and says what it went by. The same state gives the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from segsam.proposals.selection import Case, choose
from segsam.proposals.selection import Strategy as Name
from segsam_app.choosing.overviews import Overviews
from segsam_app.errors import RequestError

NEEDS_OVERVIEWS = frozenset({"agreement", "diversity", "mix"})
DESCRIPTIONS: Mapping[Name, str] = {
    "random": "An unlabelled image, drawn at random",
    "first": "The first unlabelled image in the order of their names",
    "agreement": "The unlabelled image about which the model's two decoders agree least",
    "diversity": "The unlabelled image that is most unlike all labelled ones",
    "mix": "The unlabelled image that is high in both, disagreement and difference",
}
_HANDED_OUT_SECONDS = 600
"""So long another image is given to whoever asks next, as long as there is one."""


class Selecting(Strategy):
    """One strategy of `segsam.proposals.selection`."""

    def __init__(self, name: Name, overviews: Overviews, poke: Callable[[], None]) -> None:
        super().__init__(DESCRIPTIONS[name])
        self._name, self._overviews, self._poke = name, overviews, poke

    def info(self) -> dict[str, Any]:
        """As MONAI Label's, with what can be set: the seed of whatever is drawn."""
        return {**super().info(), "config": {"seed": 0}}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """{"id", "why", "score"}; None when every image has a final label."""
        known = {}
        if self._name in NEEDS_OVERVIEWS:
            self._poke()
            known = self._overviews.known()
        unlabelled = set(datastore.get_unlabeled_images())
        free = {image for image in unlabelled if not _handed_out(datastore, image)}
        if self._name == "first" or not free:
            free = unlabelled
        cases = [
            Case(image, image not in unlabelled, known[image].disagreement, known[image].embedding)
            if image in known
            else Case(image, image not in unlabelled)
            for image in datastore.list_images()
            if image in free or image not in unlabelled
        ]
        choice = choose(self._name, cases, seed=_seed(request))
        if choice is None:
            return None
        away = len(unlabelled) - len(free)
        why = choice.reason + (f" {away} more were given out a moment ago." if away else "")
        return {"id": choice.name, "why": why, "score": choice.score}


def _seed(request: Mapping[str, Any]) -> int:
    """Raises `RequestError` for what is no whole number."""
    seed = request.get("seed", 0)
    if not isinstance(seed, int):
        raise RequestError(f"seed must be a whole number, got {seed!r:.80}")
    return seed


def _handed_out(store: Datastore, image: str) -> bool:
    """Whether somebody was given the image a moment ago, by any strategy."""
    given = store.get_image_info(image).get("strategy")
    times = (
        [one.get("ts", 0) for one in given.values() if isinstance(one, Mapping)]
        if isinstance(given, Mapping)
        else []
    )
    return max(times, default=0) > time.time() - _HANDED_OUT_SECONDS
