"""Calibration of the model's confidence, and rank correlation of its other estimates with Dice.

Confidence is the probability that the category is right. Class logits are divided by one
temperature before the softmax. It minimises the negative log-likelihood of the true category on
validation objects (Guo et al., ICML 2017, https://proceedings.mlr.press/v70/guo17a.html), and does
not change the order of the categories. The expected calibration error is the mean distance of
confidence and accuracy over bins of equal width, weighted by their objects. Agreement of the
decoders and predicted IoU are compared with the true Dice by rank.
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
from segsam.evaluation.records import ReliabilityBin

BINS = 15
_LOWEST, _HIGHEST = 0.05, 20.0
"""Limits of the temperature; a value beyond them would mean that the logits are broken."""


@dataclass(frozen=True)
class Reliability:
    """Confidence compared with accuracy at one temperature; fractions."""

    temperature: float
    ece: float
    nll: float
    """Mean negative log-likelihood of the true category, in nats."""
    confidence: float
    accuracy: float
    objects: int
    bins: tuple[ReliabilityBin, ...]
    """Those of the `BINS` that have objects."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of the model's estimate of a mask with its true Dice."""

    rho: float | None
    """None for fewer than three objects, or if one side does not vary."""
    objects: int


@dataclass(frozen=True)
class Calibration:
    """A temperature, its effect, and the rank correlations of agreement and predicted IoU."""

    temperature: float
    before: Reliability
    """Reliability at temperature 1."""
    after: Reliability
    agreement: Mapping[str, RankCorrelation]
    """Agreement of both decoders against the binary decoder's Dice, by kind of prompt."""
    predicted_iou: Mapping[str, RankCorrelation]
    """Estimate of the mask decoder against that Dice, by kind of prompt."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def calibrate(objects: ObjectTable, *, temperature: float | None = None) -> Calibration:
    """Fit a temperature to objects, or measure the effect of a temperature fitted to others.

    Args:
        objects: of `load_objects`; those whose category the checkpoint does not know do not count
            for confidence.
        temperature: None to fit it here.

    Raises:
        EvaluationError: no object with a known category and class logits.
    """
    known = objects_with_names(objects)
    if temperature is None:
        temperature = fit_temperature(known.class_logits, known.columns["category"])
    return Calibration(
        temperature=temperature,
        before=reliability(known, 1.0),
        after=reliability(known, temperature),
        agreement=rank_correlations(objects, "agreement"),
        predicted_iou=rank_correlations(objects, "predicted_iou"),
    )


def objects_with_names(objects: ObjectTable) -> ObjectTable:
    """Return the objects of known category for which the model gave one; raises EvaluationError if
    there are none.
    """
    if objects.class_logits.shape[1]:
        rows = (objects.columns["category"] > 0) & np.isfinite(objects.class_logits).all(axis=1)
        if rows.any():
            return objects.select(rows)
    raise EvaluationError(
        "Expected objects of known categories that a trained semantic decoder has named, got none."
    )


def fit_temperature(class_logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return the temperature with the least negative log-likelihood, between 0.05 and 20.

    Args:
        class_logits: (N, K + 1).
        classes: (N,) true index of each.
    """
    fit = minimize_scalar(
        lambda log_temperature: _nll(class_logits, classes, float(np.exp(log_temperature))),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(fit.x))


def reliability(objects: ObjectTable, temperature: float) -> Reliability:
    """Compare confidence with accuracy over `BINS` bins; `objects` are those of
    `objects_with_names`.
    """
    logits, classes = objects.class_logits, objects.columns["category"]
    found = logits[:, 1:].argmax(axis=1) + 1
    probability = np.exp(log_softmax(logits.astype(np.float64) / temperature, axis=1))
    confidence, right = probability[np.arange(len(found)), found], found == classes
    bins = binned(confidence, right)
    return Reliability(
        temperature=temperature,
        ece=sum(abs(b.confidence - b.accuracy) * b.objects for b in bins) / len(found),
        nll=_nll(logits, classes, temperature),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        objects=len(found),
        bins=bins,
    )


def binned(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """Return those of `BINS` bins of equal width that have objects (N,)."""
    if not len(confidence):
        return ()
    columns = [torch.from_numpy(column)[None, None].float() for column in (confidence, right)]
    mean_confidence, accuracy, counts = (
        part[0, 0].double().numpy() for part in calibration_binning(*columns, num_bins=BINS)
    )
    return tuple(
        ReliabilityBin(float(mean_confidence[place]), float(accuracy[place]), int(counts[place]))
        for place in np.flatnonzero(counts)
    )


def rank_correlations(objects: ObjectTable, column: str) -> dict[str, RankCorrelation]:
    """Return Spearman's rank correlation of a column with `dsc`, for each kind of prompt."""
    estimate, dsc = objects.columns[column], objects.columns["dsc"]
    prompts, known = objects.columns["prompt"], np.isfinite(estimate) & np.isfinite(dsc)
    return {
        str(kind): _spearman(estimate[known & (prompts == kind)], dsc[known & (prompts == kind)])
        for kind in np.unique(prompts[known])
    }


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> RankCorrelation:
    varied = len(first) > 2 and np.ptp(first) > 0 and np.ptp(second) > 0
    rho = float(spearmanr(first, second).statistic) if varied else None
    return RankCorrelation(rho, len(first))


def _nll(
    class_logits: NDArray[np.float32], classes: NDArray[np.int64], temperature: float
) -> float:
    log_probability = log_softmax(class_logits.astype(np.float64) / temperature, axis=1)
    return float(-log_probability[np.arange(len(classes)), classes].mean())
