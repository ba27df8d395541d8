"""Random choice of slices, objects and prompts.

Everything follows from the seed, the step and the place in the batch, so that a resumed run needs
no stored state and no process depends on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segsam.errors import TrainingError
from segsam.model import BoxKind, PromptTensors
from segsam.training.config import TrainConfig
from segsam.training.prompt_simulation import box_prompts, point_prompts
from segsam.training.targets import AnnotatedImage

NO_STEP = 2**31
"""Number in place of the step, in seeds of random numbers that belong to no step."""
_CHOICE_OF_DATASETS = 1
_CORRECTIONS = 2
_CHUNK = 4096


class SliceOrder:
    """Endless sequence of slices that a run learns from.

    With `balance` 1 every slice comes once per epoch, in a new order each time. Below 1, or with
    `shares`, a data set is drawn first, and each data set goes through its own slices in the same
    way.
    """

    def __init__(
        self,
        datasets: Sequence[str],
        *,
        seed: int,
        balance: float,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        """Prepare the sequence.

        Args:
            datasets: name of each slice's data set.
            seed: of the run.
            balance: power of a data set's number of slices to which it is drawn.
            shares: how often each data set is drawn, by name, in place of `balance`.

        Raises:
            TrainingError: shares that leave nothing to draw.
        """
        self._seed = seed
        names = list(dict.fromkeys(datasets)) if balance < 1 or shares else [""]
        self._members = [
            [index for index, name in enumerate(datasets) if group in ("", name)] for group in names
        ]
        weights = np.array([len(one) for one in self._members], dtype=np.float64) ** balance
        if shares:
            weights = np.array([shares.get(name, 0.0) for name in names])
            if not weights.any():
                raise TrainingError(
                    f"Expected shares of {', '.join(names)} above 0, got {dict(shares)}: that "
                    "leaves no data set to learn from."
                )
        self._shares = weights / weights.sum()
        self._rng = np.random.default_rng([seed, NO_STEP, _CHOICE_OF_DATASETS])
        self._drawn: list[tuple[int, int]] = []
        self._counts = [0] * len(self._members)

    def indices(self, first: int, count: int) -> list[int]:
        """Return the slices at positions `first` to `first + count - 1` of the sequence."""
        found = []
        for position in range(first, first + count):
            group, drawn = self._draw(position)
            members = self._members[group]
            epoch, place = divmod(drawn, len(members))
            order = _shuffled(self._seed, group, epoch, len(members))
            found.append(members[int(order[place])])
        return found

    def _draw(self, position: int) -> tuple[int, int]:
        """Return the data set at a position, and how often it was drawn before."""
        if len(self._members) == 1:
            return 0, position
        while len(self._drawn) <= position:
            for group in self._rng.choice(len(self._shares), _CHUNK, p=self._shares).tolist():
                self._drawn.append((group, self._counts[group]))
                self._counts[group] += 1
        return self._drawn[position]


@lru_cache(maxsize=64)
def _shuffled(seed: int, group: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, NO_STEP, 0, group, epoch]).permutation(count)


def correction_rounds_of(step: int, config: TrainConfig) -> int:
    """Return the number of rounds of corrective clicks that a step has after its first answer."""
    if not config.correction_rounds:
        return 0
    drawn = np.random.default_rng([config.seed, NO_STEP, _CORRECTIONS, step]).random()
    return config.correction_rounds if drawn < config.correction_share else 0


def draw_prompts(
    image: AnnotatedImage,
    chosen: Sequence[int],
    config: TrainConfig,
    rng: np.random.Generator,
    *,
    size_px: tuple[int, int],
    in_volume: bool = True,
) -> PromptTensors:
    """Draw points for all chosen objects, or a box for each.

    Args:
        image: the annotated image.
        chosen: indices of masks.
        config: the run.
        rng: random numbers of this image in this step.
        size_px: (height, width) of the image without padding.
        in_volume: True if the image is a slice of a volume; only there are boxes drawn as they come
            about in volumes.
    """
    masks = [image.masks[index].numpy() for index in chosen]
    if rng.random() < config.point_share:
        return point_prompts(masks, rng, config.points)
    kind = _box_kind(config, rng) if in_volume else BoxKind.DRAWN
    by = {BoxKind.SECTION: config.loose_by, BoxKind.NEIGHBOUR: config.neighbour_by}.get(kind, 0.0)
    return box_prompts(masks, rng, config.jitter_px, size_px, kind=kind, by=by)


def _box_kind(config: TrainConfig, rng: np.random.Generator) -> BoxKind:
    """Draw a kind of box; without a choice no random number is used, so old runs repeat."""
    if not config.loose_share and not config.neighbour_share:
        return BoxKind.DRAWN
    drawn = rng.random()
    if drawn < config.loose_share:
        return BoxKind.SECTION
    is_neighbour = drawn < config.loose_share + config.neighbour_share
    return BoxKind.NEIGHBOUR if is_neighbour else BoxKind.DRAWN
