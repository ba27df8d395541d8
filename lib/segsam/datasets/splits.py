"""Who is learnt from and who is held out: by patient, never by slice; kept as a file of cases.

    split.json   {"seed", "pattern", "by_frame": [data set], "parts": {part: {data set: [case]}}}

A data set of a single patient cannot be split by patient. The end of its sequence is held out then,
and `by_frame` says so, because scores on those frames flatter the model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsam.datasets.folder import Dataset
from segsam.errors import TrainingError
from segsam.system.atomic import write_bytes

DEFAULT_PATIENT = r"(?:ABD|STS)_\d+(?=_)|patient\d+(?=_frame)|cvc_fine(?=_)"
"""The part of a case's name that names its patient: BTCV's and the sarcomas' (whose CT, MR and PET
are of the same patients), ACDC's, and the one sequence of the polyps."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_KEPT_TO_LEARN = 2
"""So many patients are left to learn from before a part may take one."""


@dataclass(frozen=True)
class Split:
    """Cases by part and data set; see the module."""

    parts: Mapping[str, Mapping[str, tuple[str, ...]]]
    by_frame: tuple[str, ...] = ()
    seed: int = 0
    pattern: str = DEFAULT_PATIENT

    def cases(self, part: str, dataset: str) -> tuple[str, ...]:
        """The cases of a data set in a part; none when either is not in the split."""
        return self.parts.get(part, {}).get(dataset, ())

    def save(self, path: str | Path) -> None:
        """Write it, whole or not at all; raises OutputError."""
        record = {
            "seed": self.seed,
            "pattern": self.pattern,
            "by_frame": list(self.by_frame),
            "parts": {
                part: {name: list(cases) for name, cases in datasets.items()}
                for part, datasets in self.parts.items()
            },
        }
        write_bytes(Path(path), (json.dumps(record, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> Split:
        """Read what `save` wrote.

        Raises:
            TrainingError: no such file, or another content.
        """
        path = Path(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            parts = {
                str(part): {str(name): tuple(map(str, cases)) for name, cases in datasets.items()}
                for part, datasets in record["parts"].items()
            }
            by_frame = tuple(map(str, record.get("by_frame", ())))
            seed = int(record.get("seed", 0))
            pattern = str(record.get("pattern", DEFAULT_PATIENT))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise TrainingError(
                f"Expected a split with parts, data sets and cases in {path.name}: {error}."
            ) from error
        return cls(parts, by_frame, seed, pattern)


def patient_of(case: str, pattern: str = DEFAULT_PATIENT) -> str:
    """The patient of a case: what `pattern` finds in its name, else the whole name.

    The name of a slice that was cut from a case, `<case>--<where>`, is that case's here. Cases of
    the same name in two data sets count as one patient, which errs on the safe side.

    Raises:
        TrainingError: no regular expression.
    """
    try:
        case = case.partition("--")[0] or case
        found = re.search(pattern, case)
    except re.error as error:
        raise TrainingError(f"The pattern of patients {pattern!r} is wrong: {error}.") from error
    return found.group() if found and found.group() else case


def split_cases(
    datasets: Sequence[Dataset],
    *,
    shares: Mapping[str, float],
    seed: int = 0,
    pattern: str = DEFAULT_PATIENT,
) -> Split:
    """Hold out patients: each is in one part only, over all data sets.

    Of each data set every part in `shares` gets its share of patients, at least one if two are left
    to learn from; who it is follows from the seed and the patient's name alone. Small data sets
    choose first, so that patients they share with larger ones are theirs to place.

    Raises:
        TrainingError: two data sets of one name, or a pattern that is no regular expression.
    """
    names = [dataset.name for dataset in datasets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TrainingError(f"Expected data sets of different names, got {twice[0]!r} twice.")
    part_of: dict[str, str] = {}
    patients = {
        dataset.name: sorted({patient_of(case, pattern) for case in dataset.cases})
        for dataset in datasets
    }
    for dataset in sorted(datasets, key=lambda one: (len(patients[one.name]), one.name)):
        _place(part_of, patients[dataset.name], shares, seed)
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


def _place(
    part_of: dict[str, str], patients: Sequence[str], shares: Mapping[str, float], seed: int
) -> None:
    """Give every patient of one data set its part."""
    free = sorted((one for one in patients if one not in part_of), key=lambda one: _rank(one, seed))
    learnt = sum(part_of.get(one) == TRAIN for one in patients) + len(free)
    for part, share in shares.items():
        wanted = max(1, round(share * len(patients))) if share else 0
        wanted -= sum(part_of.get(one) == part for one in patients)
        taken = max(0, min(wanted, learnt - _KEPT_TO_LEARN, len(free)))
        part_of.update(dict.fromkeys(free[:taken], part))
        free, learnt = free[taken:], learnt - taken
    part_of.update(dict.fromkeys(free, TRAIN))


def _by_frame(cases: Sequence[str], shares: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    """One sequence: its beginning is learnt from, the parts follow from its end backwards."""
    ordered = sorted(cases, key=_natural)
    found: dict[str, tuple[str, ...]] = {}
    for part, share in shares.items():
        taken = min(max(1, round(share * len(cases))) if share else 0, len(ordered) - 1)
        found[part] = tuple(ordered[len(ordered) - taken :])
        ordered = ordered[: len(ordered) - taken]
    return {TRAIN: tuple(ordered)} | found


def _natural(case: str) -> tuple[tuple[int, str], ...]:
    """Sorts frame 9 before frame 10."""
    pieces = re.findall(r"\d+|\D+", case)
    return tuple((int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces)


def _rank(patient: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {patient}".encode()).digest()
