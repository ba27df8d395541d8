"""Means of an evaluation by data set, by modality and over all, with their intervals.

    data set   dsc, category accuracy: mean over objects; mdsc: over categories, each the mean of
               its objects
    modality   mean over its data sets
    average    mean over modalities

The interval is a bootstrap interval of 95 %: patients of each data set are drawn with replacement
and every mean is computed anew. A data set of one patient has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories.segment_names import learnt_name
from segsam.evaluation.records import DatasetFacts, Evaluation, ObjectScore, VolumeScore
from segsam.evaluation.scores import count_names

DRAWS = 1000
_DIGITS = 4
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Term:
    """One value of a mean."""

    group: str
    """Group whose values are averaged first; the mean is that of the groups."""
    patient: str
    value: float


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean and its values in resampled data, as fractions."""

    value: float
    draws: NDArray[np.float64] | None
    """(DRAWS,); None if there is one patient, so nothing to resample."""

    def interval(self) -> list[float] | None:
        """Return the 95 % interval in percent."""
        if self.draws is None:
            return None
        return [_percent(float(end)) for end in np.nanquantile(self.draws, _QUANTILES)]


Means = dict[str, Mean]


def report(evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores in percent, as in the JSON of `segsam evaluate`: data sets, modalities and
    the average; None for a score that does not apply.
    """
    means = {facts.name: dataset_means(evaluation, facts) for facts in evaluation.datasets}
    by_modality: dict[str, list[Means]] = {}
    for facts in evaluation.datasets:
        by_modality.setdefault(facts.modality, []).append(means[facts.name])
    modalities = {name: pooled(parts) for name, parts in by_modality.items()}
    return {
        "names": name_counts(evaluation.objects),
        "datasets": {
            facts.name: _dataset_record(evaluation, facts, means[facts.name])
            for facts in evaluation.datasets
        },
        "modalities": {name: _record(found) for name, found in modalities.items()},
        "average": _record(pooled(list(modalities.values()))),
    }


def name_counts(objects: Sequence[ObjectScore]) -> dict[str, dict[str, int]]:
    """Count objects of known and unknown names; see `count_names`."""
    has_name = np.array([one.has_name for one in objects], dtype=np.bool_)
    numbers = [(one.category, one.found, one.named) for one in objects]
    category, found, named = np.array(numbers, dtype=np.int64).reshape(-1, 3).T
    return count_names(has_name, category, found, named)


def dataset_means(evaluation: Evaluation, facts: DatasetFacts) -> Means:
    """Return every mean of a data set, by its key in the report."""
    objects = [one for one in evaluation.objects if one.dataset == facts.name]
    volumes = [one for one in evaluation.volumes if one.dataset == facts.name]
    inside = classes_of_modality(evaluation, facts.modality)
    terms = {
        "dsc": _terms(objects, lambda one: one.dsc),
        "mdsc": _terms(objects, lambda one: one.mdsc, by_name=True),
        "semantic_dsc": _terms(objects, lambda one: one.semantic_dsc),
        "category_accuracy": _terms(objects, _is_named_right),
        "category_accuracy_in_modality": _terms(
            objects, lambda one: _is_named_right_among(one, inside)
        ),
        "agreement": _terms(objects, lambda one: one.agreement),
    }
    for prefix, propagated in (("volume", False), ("propagated", True)):
        some = [one for one in volumes if one.propagated is propagated]
        terms[f"{prefix}_dice"] = [Term("", one.patient, one.dice) for one in some]
        terms[f"{prefix}_nsd_2mm"] = [Term("", one.patient, one.nsd) for one in some]
    found = {name: mean(some, facts.name) for name, some in terms.items()}
    return {name: one for name, one in found.items() if one is not None}


def classes_of_modality(evaluation: Evaluation, modality: str) -> tuple[int, ...]:
    """Return k + 1 of the categories that the data sets of a modality use."""
    used = {
        number
        for facts in evaluation.datasets
        if facts.modality == modality
        for number in facts.classes.values()
    }
    return tuple(sorted(used - {0}))


def mean(terms: Iterable[Term], dataset: str = "") -> Mean | None:
    """Return the mean over groups of each group's mean; None without terms.

    The name of the data set seeds the bootstrap, so that all scores of one data set are computed
    from the same draws of patients.
    """
    terms = list(terms)
    if not terms:
        return None
    groups, group_of = np.unique([term.group for term in terms], return_inverse=True)
    patients, patient_of = np.unique([term.patient for term in terms], return_inverse=True)
    values = np.array([term.value for term in terms])
    sums = np.zeros((len(patients), len(groups)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (patient_of, group_of), values)
    np.add.at(counts, (patient_of, group_of), 1)
    value = float((sums.sum(axis=0) / counts.sum(axis=0)).mean())
    if len(patients) == 1:
        return Mean(value, None)
    rng = np.random.default_rng(list(dataset.encode()))
    drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=DRAWS)
    weights, totals = drawn @ counts, drawn @ sums
    each = np.divide(totals, weights, out=np.full_like(totals, np.nan), where=weights > 0)
    return Mean(value, np.nanmean(each, axis=1))


def pooled(parts: Sequence[Means]) -> Means:
    """Return means over data sets (or over modalities), each key over the parts that have it."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    found: Means = {}
    for name in names:
        some = [part[name] for part in parts if name in part]
        draws = [one.value if one.draws is None else one.draws for one in some]
        is_fixed = all(one.draws is None for one in some)
        found[name] = Mean(
            float(np.mean([one.value for one in some])),
            None if is_fixed else np.mean([np.broadcast_to(d, DRAWS) for d in draws], axis=0),
        )
    return found


def _dataset_record(evaluation: Evaluation, facts: DatasetFacts, means: Means) -> dict[str, Any]:
    objects = [one for one in evaluation.objects if one.dataset == facts.name]
    volumes = [one for one in evaluation.volumes if one.dataset == facts.name]
    names = {name for value, name in facts.labels.items() if not facts.classes[value]}
    unknown = {name for name in names if learnt_name(name)}
    return {
        "modality": facts.modality,
        "prompt": evaluation.prompt,
        "cases": facts.cases,
        "patients": len({one.patient for one in objects}),
        "slices": facts.slices,
        "objects": len(objects),
        "names": name_counts(objects),
        **_record(means),
        "per_class": {
            name: _class_record(
                [one for one in objects if one.name == name],
                [one for one in volumes if one.name == name],
            )
            for name in dict.fromkeys(facts.labels.values())
        },
        "unknown_labels": sorted(unknown),
        "masks_without_name": sorted(names - unknown),
    }


def _class_record(objects: list[ObjectScore], volumes: list[VolumeScore]) -> dict[str, Any]:
    found = {
        "dsc": mean(_terms(objects, lambda one: one.dsc)),
        "mdsc": mean(_terms(objects, lambda one: one.mdsc)),
        "category_accuracy": mean(_terms(objects, _is_named_right)),
    }
    record: dict[str, Any] = {
        name: None if one is None else _percent(one.value) for name, one in found.items()
    }
    record["objects"] = len(objects)
    for prefix, propagated in (("volume", False), ("propagated", True)):
        some = [one for one in volumes if one.propagated is propagated]
        if some:
            record[f"{prefix}_dice"] = _percent(float(np.mean([one.dice for one in some])))
            record[f"{prefix}_nsd_2mm"] = _percent(float(np.mean([one.nsd for one in some])))
    return record


def _record(means: Mapping[str, Mean]) -> dict[str, Any]:
    """Return means in percent with their intervals; four keys are always there, if need be None."""
    record: dict[str, Any] = dict.fromkeys(
        ("dsc", "mdsc", "category_accuracy", "category_accuracy_in_modality")
    )
    record |= {name: _percent(one.value) for name, one in means.items()}
    return record | {f"{name}_95": one.interval() for name, one in means.items()}


def _terms(
    objects: Iterable[ObjectScore],
    value: Callable[[ObjectScore], float | None],
    *,
    by_name: bool = False,
) -> list[Term]:
    """Return the objects that have a value, grouped by name, or in one group."""
    found = ((one, value(one)) for one in objects)
    return [
        Term(one.name if by_name else "", one.patient, float(number))
        for one, number in found
        if number is not None
    ]


def _is_named_right(one: ObjectScore) -> float | None:
    return None if not (one.category and one.found) else float(one.category == one.found)


def _is_named_right_among(one: ObjectScore, classes: tuple[int, ...]) -> float | None:
    if not one.category or one.class_logits is None:
        return None
    return float(classes[int(one.class_logits[list(classes)].argmax())] == one.category)


def _percent(fraction: float) -> float:
    return round(100 * fraction, _DIGITS)
