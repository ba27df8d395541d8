"""What precision `fast` does to masks: Dice of the same objects on exact and on fast embeddings.

    python docs/lab/measurements/precision.py DATA/* --split docs/benchmarks/split.json:test
        --checkpoint litemedsam --slices 300 --embeddings KEPT --out docs/lab/speed/precision.json

`segsam bench --page docs/lab/speed.md` shows the file on its page. Slices are drawn evenly from all
cases of each data set; every object of a slice is prompted with its box, moved as in the paper.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.datasets.folder import Dataset
from segsam.evaluation.cases import OpenCase, open_case, select
from segsam.evaluation.features import FeatureSource
from segsam.evaluation.scores import dice
from segsam.evaluation.slice_scoring import SliceScorer
from segsam.model import load_pretrained
from segsam.model.runtimes import choose_runtime
from segsam.system.atomic import write_bytes
from segsam.system.process import tune_allocator

Rows = list[tuple[float, float, float]]
"""Of each object the Dice with exact and with fast embeddings, and that of the two masks."""


def compared(
    pairs: tuple[FeatureSource, FeatureSource], scorer: SliceScorer, opened: OpenCase, index: int
) -> Iterator[tuple[float, float, float]]:
    """Every object of a slice, twice."""
    picture = opened.picture(index)
    exact, fast = (scorer.score(opened, index, source.features(picture)) for source in pairs)
    for one, other in zip(exact, fast, strict=True):
        masks: list[NDArray[np.bool_]] = [x.mask for x in (one, other) if x.mask is not None]
        yield float(one.score.dsc or 0), float(other.score.dsc or 0), float(dice(*masks))


def of_dataset(
    pairs: tuple[FeatureSource, FeatureSource],
    dataset: Dataset,
    cases: tuple[str, ...],
    *,
    slices: int,
    seed: int,
) -> Rows:
    """At most so many slices, evenly from the cases."""
    model = pairs[0].model
    scorer = SliceScorer(model, "box", seed, binary=True, semantic=False)
    rows: Rows = []
    chosen = cases[:: max(1, -(-len(cases) // slices))]
    for case in chosen:
        limit = max(1, slices // len(chosen))
        opened = open_case(
            dataset,
            case,
            input_size=model.host.facts.input_size,
            categories=model.categories,
            limit=limit,
        )
        for index, _ in opened.objects:
            rows += list(compared(pairs, scorer, opened, index))
    return rows


def row(part: str, found: Rows) -> dict[str, Any]:
    exact, fast, same = 100 * np.mean(found, axis=0)
    return {"part": part, "objects": len(found), "exact": exact, "fast": fast, "agreement": same}


def source(checkpoint: str | None, precision: str, folder: Path | None = None) -> FeatureSource:
    model = load_pretrained(checkpoint)
    encoder = choose_runtime(model, "torch" if precision == "exact" else "openvino", precision)
    sys.stderr.write(f"{precision}: {encoder.facts.why}\n")
    return FeatureSource(model, folder, encoder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--split", required=True)
    parser.add_argument("--checkpoint")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--embeddings", type=Path, help="kept ones of the exact encoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    tune_allocator()
    exact = source(asked.checkpoint, "exact", asked.embeddings)
    fast = source(asked.checkpoint, "fast")
    rows, everything = [], []
    for selection in select(asked.data, split=asked.split):
        found = of_dataset(
            (exact, fast),
            selection.dataset,
            selection.cases,
            slices=max(1, asked.slices // len(asked.data)),
            seed=asked.seed,
        )
        if found:
            everything += found
            rows.append(row(selection.dataset.name, found))
            sys.stderr.write(f"{rows[-1]}\n")
    rows.append(row("all", everything))
    words = (
        f"Checkpoint {asked.checkpoint or 'of the default'}, boxes, binary decoder, cases of the "
        f"split's part `{asked.split.rpartition(':')[2]}`; per cent, mean over objects. The last "
        "column is the Dice of the two masks with each other."
    )
    write_bytes(asked.out, (json.dumps({"words": words, "rows": rows}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
