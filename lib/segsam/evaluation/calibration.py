"""Whether the model's own doubts can be trusted: its confidence, and the agreement of its decoders.

Confidence is a probability of being named right. Class logits are divided by one temperature T
before the softmax, chosen on validation objects as the least negative log-likelihood of the true
category (Guo et al., ICML 2017, https://proceedings.mlr.press/v70/guo17a.html); the order of the
categories stays. The expected calibration error is the mean distance of confidence and accuracy
over bins of equal width, weighted by their objects. Agreement is compared with the true Dice by
rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics.calibration import calibration_binning
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import spearmanr

from segsam.errors import EvaluationError
from segsam.evaluation.objects_file import ObjectTable

BINS = 15
_LOWEST, _HIGHEST = 0.05, 20.0
"""Temperatures beyond mean that something else is wrong."""


@dataclass(frozen=True)
class Bin:
    """The objects whose confidence lies in one bin."""

    confidence: float
    """Their mean."""
    accuracy: float
    objects: int


@dataclass(frozen=True)
class Reliability:
    """How confidence and accuracy go together at one temperature; fractions."""

    temperature: float
    ece: float
    nll: float
    """Mean negative log-likelihood of the true category, in nats."""
    confidence: float
    accuracy: float
    objects: int
    bins: tuple[Bin, ...]
    """Those of the `BINS` that have objects."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's, between what the model says of a mask and its true Dice."""

    rho: float | None
    """None of fewer than three objects, or where one side does not vary."""
    objects: int


@dataclass(frozen=True)
class Calibration:
    """The temperature, how good it is, and what agreement and predicted IoU are worth."""

    temperature: float
    before: Reliability
    """At temperature 1."""
    after: Reliability
    agreement: Mapping[str, RankCorrelation]
    """By kind of prompt: agreement of both decoders with the binary decoder's Dice."""
    predicted_iou: Mapping[str, RankCorrelation]
    """By kind of prompt: the mask decoder's own estimate with that Dice."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def calibrate(objects: ObjectTable, *, temperature: float | None = None) -> Calibration:
    """Calibrate on objects, or see what a temperature chosen on others does to these.

    Args:
        objects: of `load_objects`; those whose category the checkpoint does not know are left out
            of what concerns confidence.
        temperature: None to choose it here.

    Raises:
        EvaluationError: no object with a known category and class logits.
    """
    known = named(objects)
    if temperature is None:
        temperature = fit_temperature(known.class_logits, known.columns["category"])
    return Calibration(
        temperature=temperature,
        before=reliability(known, 1.0),
        after=reliability(known, temperature),
        agreement=rank_correlations(objects, "agreement"),
        predicted_iou=rank_correlations(objects, "predicted_iou"),
    )


def named(objects: ObjectTable) -> ObjectTable:
    """The objects whose category is known and was named by the model; raises EvaluationError when
    there is none.
    """
    if objects.class_logits.shape[1]:
        rows = (objects.columns["category"] > 0) & np.isfinite(objects.class_logits).all(axis=1)
        if rows.any():
            return objects.only(rows)
    raise EvaluationError(
        "Expected objects of known categories that a trained semantic decoder has named, got none."
    )


def fit_temperature(class_logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """The temperature of the least negative log-likelihood, between 0.05 and 20.

    Args:
        class_logits: (N, K + 1).
        classes: (N,) true index of each.
    """
    found = minimize_scalar(
        lambda power: _nll(class_logits, classes, float(np.exp(power))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def reliability(objects: ObjectTable, temperature: float) -> Reliability:
    """Confidence against accuracy of the names given, over `BINS` bins; see `named`."""
    logits, classes = objects.class_logits, objects.columns["category"]
    found = logits[:, 1:].argmax(axis=1) + 1
    shares = np.exp(log_softmax(logits.astype(np.float64) / temperature, axis=1))
    confidence, right = shares[np.arange(len(found)), found], found == classes
    columns = [torch.from_numpy(column)[None, None].float() for column in (confidence, right)]
    mean_confidence, accuracy, counts = (
        part[0, 0].double().numpy() for part in calibration_binning(*columns, num_bins=BINS)
    )
    bins = tuple(
        Bin(float(mean_confidence[place]), float(accuracy[place]), int(counts[place]))
        for place in np.flatnonzero(counts)
    )
    return Reliability(
        temperature=temperature,
        ece=sum(abs(b.confidence - b.accuracy) * b.objects for b in bins) / len(found),
        nll=_nll(logits, classes, temperature),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        objects=len(found),
        bins=bins,
    )


def rank_correlations(objects: ObjectTable, column: str) -> dict[str, RankCorrelation]:
    """Spearman's rank correlation of a column with `dsc`, for each kind of prompt."""
    said, dsc = objects.columns[column], objects.columns["dsc"]
    prompts, known = objects.columns["prompt"], np.isfinite(said) & np.isfinite(dsc)
    return {
        str(kind): _spearman(said[known & (prompts == kind)], dsc[known & (prompts == kind)])
        for kind in np.unique(prompts[known])
    }


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> RankCorrelation:
    varied = len(first) > 2 and np.ptp(first) > 0 and np.ptp(second) > 0
    rho = float(spearmanr(first, second).statistic) if varied else None
    return RankCorrelation(rho, len(first))


def _nll(
    class_logits: NDArray[np.float32], classes: NDArray[np.int64], temperature: float
) -> float:
    shares = log_softmax(class_logits.astype(np.float64) / temperature, axis=1)
    return float(-shares[np.arange(len(classes)), classes].mean())
