"""Which slices a step sees and how they are prompted: from the seed, the step and the place in the
step alone, so that nothing of it needs to be kept and no process depends on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segsam.errors import TrainingError
from segsam.model import BoxKind, PromptTensors
from segsam.training.config import TrainConfig
from segsam.training.simulation import box_prompts, point_prompts
from segsam.training.targets import AnnotatedImage

NO_STEP = 2**31
"""Seeds what belongs to no step, in place of the step's number."""
_CHOICE_OF_DATASETS = 1
_CORRECTIONS = 2
_CHUNK = 4096


class Order:
    """The endless sequence of slices that a run learns from.

    With `balance` 1 every slice comes once an epoch, in an order of that epoch's own. Below 1, or
    with `shares`, the data set is drawn first, and each data set goes through its own slices in the
    same way.
    """

    def __init__(
        self,
        datasets: Sequence[str],
        *,
        seed: int,
        balance: float,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        """Of slices that belong to these data sets, one name for each slice.

        Raises:
            TrainingError: shares that leave nothing to draw.
        """
        self._seed = seed
        names = list(dict.fromkeys(datasets)) if balance < 1 or shares else [""]
        members = [
            [place for place, name in enumerate(datasets) if wanted in ("", name)]
            for wanted in names
        ]
        self._members = members
        weights = np.array([len(one) for one in members], dtype=np.float64) ** balance
        if shares:
            weights = np.array([shares.get(name, 0.0) for name in names])
            if not weights.any():
                raise TrainingError("The shares leave no data set to learn from.")
        self._shares = weights / weights.sum()
        self._rng = np.random.default_rng([seed, NO_STEP, _CHOICE_OF_DATASETS])
        self._chosen: list[tuple[int, int]] = []
        self._counts = [0] * len(members)

    def places(self, first: int, count: int) -> list[int]:
        """The slices at positions first to first + count - 1 of the sequence."""
        found = []
        for position in range(first, first + count):
            group, drawn = self._draw(position)
            turn, place = divmod(drawn, len(self._members[group]))
            order = _shuffled(self._seed, group, turn, len(self._members[group]))
            found.append(self._members[group][int(order[place])])
        return found

    def _draw(self, position: int) -> tuple[int, int]:
        """The data set at a position, and how often it was drawn before."""
        if len(self._members) == 1:
            return 0, position
        while len(self._chosen) <= position:
            for group in self._rng.choice(len(self._shares), _CHUNK, p=self._shares).tolist():
                self._chosen.append((group, self._counts[group]))
                self._counts[group] += 1
        return self._chosen[position]


@lru_cache(maxsize=64)
def _shuffled(seed: int, group: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, NO_STEP, 0, group, turn]).permutation(count)


def corrections_in(step: int, config: TrainConfig) -> int:
    """How many rounds of corrective clicks a step has after its first answer."""
    if not config.correction_rounds:
        return 0
    drawn = np.random.default_rng([config.seed, NO_STEP, _CORRECTIONS, step]).random()
    return config.correction_rounds if drawn < config.correction_share else 0


def draw_objects(large: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Which of an image's masks are prompted, with replacement (paper: 5 an image), of those that
    are large enough.
    """
    chosen: list[int] = rng.choice(large, count).tolist()
    return chosen


def draw_prompts(
    image: AnnotatedImage,
    chosen: Sequence[int],
    config: TrainConfig,
    rng: np.random.Generator,
    *,
    size_px: tuple[int, int],
    in_volume: bool = True,
) -> PromptTensors:
    """Points for all of the chosen objects, or a box for each, in an image of (h, w); boxes as they
    come about in volumes only if it is a slice of one.
    """
    masks = [image.masks[index].numpy() for index in chosen]
    if rng.random() < config.point_share:
        return point_prompts(masks, rng, config.points)
    kind = _box_kind(config, rng) if in_volume else BoxKind.DRAWN
    by = {BoxKind.SECTION: config.loose_by, BoxKind.NEIGHBOUR: config.neighbour_by}.get(kind, 0.0)
    return box_prompts(masks, rng, config.jitter_px, size_px, kind=kind, by=by)


def _box_kind(config: TrainConfig, rng: np.random.Generator) -> BoxKind:
    """Drawn with the shares that the run names; nothing is drawn where there is no choice."""
    if not config.loose_share and not config.neighbour_share:
        return BoxKind.DRAWN
    drawn = rng.random()
    if drawn < config.loose_share:
        return BoxKind.SECTION
    beside = drawn < config.loose_share + config.neighbour_share
    return BoxKind.NEIGHBOUR if beside else BoxKind.DRAWN
