"""Strategies of active learning, `POST /activelearning/{strategy}`: the next image to label, and
the reason.

A strategy runs no model, so it answers at once. It reads the overviews (disagreement and embedding
of each image) that a background thread computes (`scoring.py`). The same overviews, labels and seed
lead to the same choice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from segsam.proposals.overview import Overview
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
    "mix": "The unlabelled image with the highest disagreement and difference together",
}
_ASSIGNED_SECONDS = 600
"""Time for which an image that one annotator was given is not given to another one, as long as
there are others.
"""


class SelectionStrategy(Strategy):
    """MONAI Label's interface to one strategy of `segsam.proposals.selection`."""

    def __init__(
        self,
        name: Name,
        overviews: Overviews,
        update_overviews: Callable[[], None],
        refused: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`refused` returns the ids of images that cannot be opened, which are never chosen."""
        super().__init__(DESCRIPTIONS[name])
        self._name, self._overviews, self._update_overviews = name, overviews, update_overviews
        self._refused = refused

    def info(self) -> dict[str, Any]:
        """Return MONAI Label's description with the one setting, the seed of random draws."""
        return {**super().info(), "config": {"seed": 0}}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return {"id", "why", "score"}; None if every image that can be opened has a final label.
        Raises `RequestError` for an invalid seed.
        """
        overviews: dict[str, Overview] = {}
        if self._name in NEEDS_OVERVIEWS:
            self._update_overviews()
            overviews = self._overviews.in_memory()
        refused = set(self._refused())
        unlabelled = set(datastore.get_unlabeled_images()) - refused
        candidates = {image for image in unlabelled if not _is_assigned(datastore, image)}
        if self._name == "first" or not candidates:
            candidates = unlabelled
        cases = [
            _case(image, image not in unlabelled, overviews.get(image))
            for image in datastore.list_images()
            if (image in candidates or image not in unlabelled) and image not in refused
        ]
        choice = choose(self._name, cases, seed=_seed(request))
        if choice is None:
            return None
        assigned = len(unlabelled) - len(candidates)
        why = choice.reason + (f" {assigned} more were given out a moment ago." if assigned else "")
        return {"id": choice.name, "why": why, "score": choice.score}


def _case(image: str, is_labelled: bool, overview: Overview | None) -> Case:
    if overview is None:
        return Case(image, is_labelled)
    return Case(image, is_labelled, overview.disagreement, overview.embedding)


def _seed(request: Mapping[str, Any]) -> int:
    seed = request.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RequestError(f"seed must be a whole number, got {seed!r:.80}")
    return seed


def _is_assigned(store: Datastore, image: str) -> bool:
    """Return True if an annotator was given the image a moment ago, by any strategy."""
    given = store.get_image_info(image).get("strategy")
    notes = given.values() if isinstance(given, Mapping) else ()
    times = [one.get("ts") for one in notes if isinstance(one, Mapping)]
    known = [when for when in times if isinstance(when, int | float)]
    # In both directions: a time in the future was noted before the clock was set back.
    return any(abs(time.time() - given_at) < _ASSIGNED_SECONDS for given_at in known)
