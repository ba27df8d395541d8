"""Splits of cases into training, validation and test: by patient, never by slice.

    split.json   {"seed", "pattern", "by_frame": [data set], "parts": {part: {data set: [case]}}}

A data set of a single patient cannot be split by patient. The end of its sequence is then held out
and the data set is listed in `by_frame`, because scores on these frames are too high.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsam.datasets.folder import Dataset, check_distinct_names
from segsam.errors import TrainingError
from segsam.system.atomic import write_json
from segsam.system.reasons import reason_of
from segsam.system.unique_keys import unique_object

DEFAULT_PATIENT = r"(?:ABD|STS)_\d+(?=_)|patient\d+(?=_frame)|cvc_fine(?=_)"
"""Patient in a case's name: of BTCV and the sarcomas (whose CT, MR and PET are of the same
patients), of ACDC, and of the single sequence of the polyps."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_MIN_TRAINING_PATIENTS = 2
"""Number of patients that other parts leave for training."""


@dataclass(frozen=True)
class Split:
    """Cases by part and data set, and how they were chosen; see the module."""

    parts: Mapping[str, Mapping[str, tuple[str, ...]]]
    by_frame: tuple[str, ...] = ()
    seed: int = 0
    pattern: str = DEFAULT_PATIENT

    def cases(self, part: str, dataset: str) -> tuple[str, ...]:
        """Return the cases of a data set in a part; none if either is not in the split."""
        return self.parts.get(part, {}).get(dataset, ())

    def save(self, path: str | Path) -> None:
        """Write the split as JSON, atomically. Raises OutputError."""
        record = {
            "seed": self.seed,
            "pattern": self.pattern,
            "by_frame": list(self.by_frame),
            "parts": {
                part: {name: list(cases) for name, cases in datasets.items()}
                for part, datasets in self.parts.items()
            },
        }
        write_json(Path(path), record)

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read a file that `save` wrote.

        Raises:
            TrainingError: a missing or malformed file, or a case in two parts.
        """
        path = Path(path)
        try:
            record = json.loads(
                path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_object
            )
            parts = {
                str(part): {str(name): tuple(map(str, cases)) for name, cases in datasets.items()}
                for part, datasets in record["parts"].items()
            }
            by_frame = tuple(map(str, record.get("by_frame", ())))
            seed = int(record.get("seed", 0))
            pattern = str(record.get("pattern", DEFAULT_PATIENT))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise TrainingError(
                f"Expected a split with parts, data sets and cases in {path.name}, but "
                f"{reason_of(error)}."
            ) from error
        _check_disjoint(parts, path.name)
        return cls(parts, by_frame, seed, pattern)


def _check_disjoint(parts: Mapping[str, Mapping[str, tuple[str, ...]]], file: str) -> None:
    """Refuse a case in two parts: it would measure what it has taught. Raises TrainingError."""
    part_of: dict[tuple[str, str], str] = {}
    for part, datasets in parts.items():
        for name, cases in datasets.items():
            for case in cases:
                other = part_of.setdefault((name, case), part)
                if other != part:
                    raise TrainingError(
                        f"Expected each case in one part of {file}, got {case} of {name} in "
                        f"{other} and {part}."
                    )


def patient_of(case: str, pattern: str = DEFAULT_PATIENT) -> str:
    """Return the patient of a case: the match of `pattern` in its name, or the whole name.

    A slice `<case>--<where>` belongs to its case. Cases of the same name in two data sets count as
    one patient, so that no patient is in two parts.

    Raises:
        TrainingError: a pattern that is not a regular expression.
    """
    try:
        case = case.partition("--")[0] or case
        found = re.search(pattern, case)
    except re.error as error:
        raise TrainingError(
            f"The pattern of patients {pattern!r} is wrong; expected a regular expression."
        ) from error
    return found.group() if found and found.group() else case


def split_cases(
    datasets: Sequence[Dataset],
    *,
    shares: Mapping[str, float],
    seed: int = 0,
    pattern: str = DEFAULT_PATIENT,
) -> Split:
    """Split cases by patient: each patient is in one part only, over all data sets.

    Every part in `shares` gets its share of each data set's patients, at least one if two remain
    for training. The choice depends only on the seed and the patients' names. Small data sets are
    split first, because they have the fewest patients to choose from.

    Raises:
        TrainingError: two data sets of one name, or a pattern that is not a regular expression.
    """
    check_distinct_names([dataset.name for dataset in datasets])
    part_of: dict[str, str] = {}
    patients = {
        dataset.name: sorted({patient_of(case, pattern) for case in dataset.cases})
        for dataset in datasets
    }
    for dataset in sorted(datasets, key=lambda each: (len(patients[each.name]), each.name)):
        _assign(part_of, patients[dataset.name], shares, seed)
    parts: dict[str, dict[str, tuple[str, ...]]] = {part: {} for part in (TRAIN, *shares)}
    by_frame = []
    for dataset in datasets:
        if len(patients[dataset.name]) == 1 and len(dataset.cases) > 1:
            by_frame.append(dataset.name)
            found = _by_frame(dataset.cases, shares)
        else:
            found = {
                part: tuple(
                    case for case in dataset.cases if part_of[patient_of(case, pattern)] == part
                )
                for part in parts
            }
        for part, cases in found.items():
            parts[part][dataset.name] = cases
    return Split(parts, tuple(by_frame), seed, pattern)


def _assign(
    part_of: dict[str, str], patients: Sequence[str], shares: Mapping[str, float], seed: int
) -> None:
    """Assign a part to every patient of one data set that has none yet."""
    free = sorted(
        (patient for patient in patients if patient not in part_of),
        key=lambda patient: _rank(patient, seed),
    )
    training = sum(part_of.get(patient) == TRAIN for patient in patients) + len(free)
    for part, share in shares.items():
        missing = max(1, round(share * len(patients))) if share else 0
        missing -= sum(part_of.get(patient) == part for patient in patients)
        taken = max(0, min(missing, training - _MIN_TRAINING_PATIENTS, len(free)))
        part_of.update(dict.fromkeys(free[:taken], part))
        free, training = free[taken:], training - taken
    part_of.update(dict.fromkeys(free, TRAIN))


def _by_frame(cases: Sequence[str], shares: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    """Split one sequence: training gets its beginning, the other parts follow from the end."""
    ordered = sorted(cases, key=_natural_key)
    found: dict[str, tuple[str, ...]] = {}
    for part, share in shares.items():
        taken = min(max(1, round(share * len(cases))) if share else 0, len(ordered) - 1)
        found[part] = tuple(ordered[len(ordered) - taken :])
        ordered = ordered[: len(ordered) - taken]
    return {TRAIN: tuple(ordered)} | found


def _natural_key(case: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts frame 9 before frame 10."""
    pieces = re.findall(r"\d+|\D+", case)
    return tuple((int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces)


def _rank(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {patient}".encode()).digest()
