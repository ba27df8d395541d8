"""Pictures of what a checkpoint does worst, for its model card: shapes alone, never an image.

    segsam evaluate DATA/* --prompt box --split split.json:test --objects box.npz
    python docs/lab/measurements/failures.py box.npz --data DATA/hippocampus --data DATA/isic
        --checkpoint model.safetensors --out docs/model_card >> facts.yaml

Of each data set that is named, the objects with the lowest Dice are prompted as they were measured
and drawn: truth grey, what was found outlined, nothing under them. Name only data sets whose
licence lets shapes of their labels be shown. Prints the field `failures` of the card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset, open_dataset
from segsam.evaluation.cases import open_case
from segsam.evaluation.features import FeatureSource
from segsam.evaluation.objects_file import ObjectTable, load_objects
from segsam.evaluation.prompting import prompt_kind
from segsam.evaluation.slice_scoring import SliceScorer
from segsam.model import SegSam, load_pretrained
from segsam.system.atomic import replacing

_AROUND = 0.25
"""Of the shapes' size, so much is left blank around them."""
_TRUTH, _FOUND = "#b8b8b8", "#d95f02"


@dataclass(frozen=True, eq=False)
class Failure:
    """One object again, as it was measured."""

    dataset: str
    caption: str
    truth: NDArray[np.bool_]
    found: NDArray[np.bool_]


def worst(
    model: SegSam, objects: ObjectTable, dataset: Dataset, *, count: int, seed: int
) -> Iterator[Failure]:
    """The objects of a data set with the lowest Dice, each of another case."""
    columns = objects.columns
    rows = np.flatnonzero(columns["dataset"] == dataset.name)
    seen: set[str] = set()
    for row in rows[np.argsort(columns["dsc"][rows])]:
        case = str(columns["case"][row]).rpartition("/")[2]
        if case in seen or len(seen) == count:
            continue
        seen.add(case)
        yield again(
            model, dataset, case, {name: value[row] for name, value in columns.items()}, seed
        )


def again(model: SegSam, dataset: Dataset, case: str, row: dict[str, Any], seed: int) -> Failure:
    """Prompt one object as in the evaluation of this seed."""
    side = model.host.facts.input_size
    opened = open_case(dataset, case, input_size=side, categories=model.categories)
    index, label = int(row["slice"]), int(row["label"])
    scorer = SliceScorer(model, prompt_kind(str(row["prompt"])), seed, binary=True, semantic=False)
    scored = scorer.score(opened, index, FeatureSource(model).features(opened.picture(index)))
    one = next(each for each in scored if each.score.label == label)
    if one.mask is None or one.score.dsc is None:
        raise AssertionError("the binary decoder was asked")
    caption = (
        f"{dataset.name}: {one.score.name}, prompted with a {row['prompt']}; "
        f"Dice {one.score.dsc:.2f}"
    )
    if row["named"]:
        name = model.categories.names[int(row["found"]) - 1]
        caption += f", named {name} ({float(row['confidence']):.0%})"
    else:
        caption += ", not named"
    return Failure(dataset.name, caption, opened.plane(index) == label, one.mask)


def draw(path: Path, failure: Failure) -> None:
    """Both shapes on blank ground, cut to where they are."""
    either = failure.truth | failure.found
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    margin = max(3, int(_AROUND * max(np.ptp(rows), np.ptp(columns))))
    cut = (
        slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
        slice(max(columns[0] - margin, 0), columns[-1] + margin + 1),
    )
    figure = Figure(figsize=(4, 4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    panel.set_xticks([])
    panel.set_yticks([])
    panel.contourf(failure.truth[cut], levels=[0.5, 1.5], colors=[_TRUTH])
    if failure.found[cut].any():
        panel.contour(failure.found[cut], levels=[0.5], colors=[_FOUND], linewidths=2)
    panel.invert_yaxis()
    panel.set_aspect("equal")
    handles = [Patch(color=_TRUTH, label="label"), Line2D([], [], color=_FOUND, label="found")]
    panel.legend(handles=handles, loc="upper right", fontsize=8)
    with replacing(path, ".png") as partial:
        figure.savefig(partial)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--checkpoint")
    parser.add_argument("--out", type=Path, default=Path("docs/model_card"))
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    model = load_pretrained(asked.checkpoint)
    asked.out.mkdir(parents=True, exist_ok=True)
    failures = []
    for file in asked.objects:
        objects = load_objects(file)
        for folder in asked.data:
            found = worst(model, objects, open_dataset(folder), count=asked.count, seed=asked.seed)
            for number, failure in enumerate(found, start=1):
                path = asked.out / f"{file.stem}_{failure.dataset}_{number}.png"
                draw(path, failure)
                picture = f"{asked.out.name}/{path.name}"
                failures.append({"picture": picture, "caption": failure.caption})
    yaml.safe_dump({"failures": failures}, sys.stdout, allow_unicode=True, sort_keys=False)


if __name__ == "__main__":
    main()
