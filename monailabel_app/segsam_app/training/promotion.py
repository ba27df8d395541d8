"""Decision whether a new version replaces the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsam_app.training.version_naming import listed
from segsam_app.versions.record import Evidence

SCORE = "score"
FLOOR = 0.9
"""Share of the Dice before that a promoted version keeps, by box and by point, whatever
`tolerance` says."""
NEW_NAMES_ALLOWANCE = 1.0
"""Points by which the Dice may seem to fall at most, in the worst case of its margin, if a version
gives names that the one before could not give. Its mean must not fall all the same."""
_SCORED = ("dsc_box", "dsc_point", "mdsc_box")
"""Metrics whose mean is the score, of those that both models have (as in training itself)."""
_PROMPTS = {"box": "dsc_box", "point": "dsc_point"}


@dataclass(frozen=True)
class Scores:
    """Scores in percent before and after, on the same slices with the same prompts.

    `evidence` is how sure the change of Dice is; None if no object could be compared.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    evidence: Evidence | None = None

    @classmethod
    def compare(
        cls,
        before: Mapping[str, float],
        after: Mapping[str, float],
        evidence: Evidence | None = None,
    ) -> Scores:
        """Add to the results of `validate` the mean of what both have, as `score`."""
        names = [name for name in _SCORED if name in before and name in after]
        return cls(_with_mean(before, names), _with_mean(after, names), evidence)

    @property
    def gain(self) -> float | None:
        """Rise of the score in percent points; None if nothing could be compared."""
        if SCORE not in self.before or SCORE not in self.after:
            return None
        return round(self.after[SCORE] - self.before[SCORE], 2)

    @property
    def values(self) -> str:
        """The score before and after as text."""
        return f"{self.before[SCORE]:.1f} before, {self.after[SCORE]:.1f} after"


def decide(
    scores: Scores, tolerance: float, parent: str, new_names: Sequence[str] = ()
) -> tuple[bool, str]:
    """Return whether the version replaces its parent, and the sentence that says why.

    It must keep most of the Dice by box and by point, its mean score must not fall by more than
    `tolerance`, and the Dice on other patients neither, with a certainty of 95 %. With names that
    are new, which the parent can only leave out, the Dice must not fall in the mean, and the
    certainty may miss that by `NEW_NAMES_ALLOWANCE`.
    """
    gain, evidence = scores.gain, scores.evidence
    if gain is None or evidence is None:
        return False, "no score could be compared, so the version before stays current"
    allowed = f" (it may fall by {tolerance:g})" if tolerance else ""
    collapsed = _collapsed(scores)
    if collapsed:
        return False, f"the Dice of {parent} is not kept: {collapsed}"
    if gain < -tolerance:
        return False, f"the mean score is worse than that of {parent}: {scores.values}{allowed}"
    least = max(tolerance, NEW_NAMES_ALLOWANCE if new_names and evidence.gain >= 0 else 0.0)
    if round(evidence.gain - evidence.margin, 2) < -least:
        sentence = f"the Dice on other patients may be worse than that of {parent}: it"
        more = "choose the version by hand if it is better, or label more cases"
        return False, f"{sentence} {evidence_text(evidence)}{allowed}; {more}"
    sentence = f"the mean score is not worse than that of {parent}: {scores.values}{allowed}"
    new = f"; new names: {listed(new_names)}" if new_names else ""
    return True, f"{sentence}; the Dice {evidence_text(evidence)}{new}"


def evidence_text(evidence: Evidence) -> str:
    """Return what was measured, on how much, and how sure it is, as a clause."""
    verb = "rose" if evidence.gain >= 0 else "fell"
    place = f"{_count(evidence.cases, 'held-out case')}"
    if not evidence.cases:
        place = "the trained cases, as none was held out"
    return (
        f"{verb} by {abs(evidence.gain):.1f} points, with a margin of {evidence.margin:.1f}, on "
        f"{_count(evidence.objects, 'object')} in {_count(evidence.slices, 'slice')} of {place}"
    )


def _collapsed(scores: Scores) -> str:
    """Return the kinds of prompt whose Dice fell below the floor, as a clause; "" for none."""
    found = []
    for prompt, name in _PROMPTS.items():
        before, after = scores.before.get(name), scores.after.get(name)
        if before is not None and (after is None or after < FLOOR * before):
            found.append(f"by {prompt} {before:.1f} before, {after or 0:.1f} after")
    least = f"a version that is used keeps {FLOOR:.0%} of each, whatever tolerance says"
    return f"{' and '.join(found)}; {least}" if found else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _with_mean(metrics: Mapping[str, float], names: list[str]) -> dict[str, float]:
    """Return the metrics over all data sets, with the mean of those in `names` as `score`."""
    overall = {name: value for name, value in metrics.items() if "/" not in name}
    if not names:
        return overall
    return {SCORE: round(sum(metrics[name] for name in names) / len(names), 3), **overall}
