"""Rule by which an object's name is given or withheld, and the confidence of a name.

    P(k)        the decoder's probability p_k and the distance d_k to the nearest example of k:
                proportional to p_k^a exp(-b d_k^2), over the categories that have examples
    P(known)    1 / (1 + exp(-(c - s d))), d the distance of the best category
    confidence  P(known) P(best category)

a, b, c and s are fitted, and the limits chosen, by `segsam calibrate` and at the end of a training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from segsam.categories import Category
from segsam.errors import CheckpointError

_LEAST = 1e-12
WITHOUT_MEMORY = "without_memory"
"""Key of a card's `naming` for the reason why a checkpoint has no memory, where one was lost."""
_ALTERED = "49755003"
"""SNOMED CT: morphologically altered structure, the kind of all tumours, lesions and bleedings."""


@dataclass(frozen=True)
class NamingRule:
    """Fitted numbers of the rule; see the module."""

    decoder_weight: float
    """a."""
    distance_weight: float
    """b."""
    known_at_zero: float
    """c."""
    known_slope: float
    """s."""
    limit: float
    """Lowest confidence of a name."""
    disease_limit: float
    """Lowest confidence of a disease's name."""
    image_limit: float
    """Largest distance to an image that shows a category at which it may be reported as present."""

    def __post_init__(self) -> None:
        """Refuse numbers that are no rule; raises CheckpointError."""
        for name, value in asdict(self).items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not np.isfinite(value) or (value < 0 and name != "known_at_zero"):
                raise CheckpointError(f"Expected a number as {name} of the naming rule: {value!r}.")

    def posterior(
        self, scores: NDArray[np.float64], distances: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return P(k), (N, K), from decoder probabilities (N, K + 1), index 0 "no object", and
        distances (N, K).
        """
        weights = self.decoder_weight, self.distance_weight
        return np.asarray(np.exp(log_posterior(*weights, scores, distances)))

    def known(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(known) from the distance of the best category."""
        return np.asarray(expit(self.known_at_zero - self.known_slope * distance))

    def confidences(
        self, scores: NDArray[np.float64], distances: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the confidence (N, K) of each category as the name; arguments as of `posterior`.

        The largest of a row is the confidence of the name, the others those of suggestions.
        """
        posterior = self.posterior(scores, distances)
        best = posterior.argmax(axis=1)
        known = self.known(distances[np.arange(len(best)), best])
        return np.asarray(known[:, None] * posterior)

    def best(
        self, scores: NDArray[np.float64], distances: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the best category k (N,) and its confidence (N,); arguments as of `posterior`."""
        confidences = self.confidences(scores, distances)
        index = confidences.argmax(axis=1)
        return index, confidences[np.arange(len(index)), index]

    def limit_of(self, category: Category) -> float:
        """Return the lowest confidence at which a category is given as a name."""
        return self.disease_limit if is_disease(category) else self.limit

    @classmethod
    def from_card(cls, record: Mapping[str, Any]) -> NamingRule | None:
        """Read the rule of a card; None if it has none. Raises CheckpointError."""
        rule = record.get("rule")
        if rule is None:
            return None
        try:
            return cls(**rule)
        except TypeError as error:
            raise CheckpointError("The naming rule in the card has other fields.") from error


def log_posterior(
    decoder_weight: float,
    distance_weight: float,
    scores: NDArray[np.float64],
    distances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the logarithm of P(k), (N, K); the arrays as of `NamingRule.posterior`."""
    evidence = decoder_weight * np.log(scores[:, 1:].clip(_LEAST, None))
    evidence = evidence - distance_weight * np.square(distances)
    return np.asarray(evidence - logsumexp(evidence, axis=1, keepdims=True))


def is_disease(category: Category) -> bool:
    """Return True for a lesion, a tumour, a bleeding and the like, by the category's code."""
    return category.terminology is not None and category.terminology.category[1] == _ALTERED
