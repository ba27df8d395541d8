"""Score of a network without prompts by the rule for the mDSC of a promptable model: the Dice
between an object and the pixels to which the network gives its category, all categories competing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from segsam.categories import Categories
from segsam.evaluation.cases import OpenCase, Selection, known_classes, open_case
from segsam.evaluation.records import DatasetFacts, Evaluation, ObjectScore
from segsam.evaluation.scores import dice
from segsam.research.study.unet.networks import SIDE_PX
from segsam.research.study.unet.slices import network_input
from segsam.types import Progress

_NO_PROMPT = "none"


@torch.inference_mode()
def evaluate_network(
    network: nn.Module,
    categories: Categories,
    selections: Sequence[Selection],
    *,
    slices: int = 0,
    progress: Progress,
) -> Evaluation:
    """Measure a network on all slices of the cases, or on `slices` of each.

    Args:
        network: from images (B, 3, 256, 256) to logits (B, K + 1, 256, 256), background first.
        categories: the K categories of the network.
        selections: cases, from `evaluation.cases.select`.
        slices: most slices per volume, evenly spread; 0 for all.
        progress: called before the first and after each case.

    Raises:
        TrainingError, VolumeError: a case that cannot be read.
    """
    start = time.monotonic()
    network.eval()
    objects: list[ObjectScore] = []
    facts = []
    total, done = sum(len(selection.cases) for selection in selections), 0
    for selection in selections:
        dataset, measured = selection.dataset, 0
        classes = known_classes(dataset, categories)
        for case in selection.cases:
            progress(done, total, f"measuring {dataset.name}")
            opened = open_case(
                dataset, case, input_size=SIDE_PX, categories=categories, limit=slices
            )
            objects += _scores(network, opened)
            measured += len(opened.objects)
            done += 1
        counts = (len(selection.cases), measured)
        facts.append(DatasetFacts(dataset.name, dataset.modality, dataset.labels, classes, *counts))
    return Evaluation(
        prompt=_NO_PROMPT,
        decoder="semantic",
        seed=0,
        semantics=True,
        datasets=tuple(facts),
        objects=tuple(objects),
        volumes=(),
        categories=categories.names,
        encoded=0,
        seconds=time.monotonic() - start,
    )


def _scores(network: nn.Module, opened: OpenCase) -> Iterator[ObjectScore]:
    for index, values in opened.objects:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(network_input(opened.picture(index))[None])
        plane = opened.plane(index)
        for value in values:
            number, mdsc = opened.classes[value], None
            if number:
                margin = winning_margin(logits[0].float(), number)
                predicted = (opened.view.logits_to_plane(margin) > 0).numpy()
                mdsc = dice(predicted, plane == value)
            yield ObjectScore(
                prompt=_NO_PROMPT,
                **opened.object_facts(index, value),
                predicted_iou=0.0,
                mdsc=mdsc,
            )


def winning_margin(logits: Tensor, number: int) -> Tensor:
    """Return logits (K + 1, H, W) of one class minus the highest other; above 0 the class wins."""
    others = torch.cat([logits[:number], logits[number + 1 :]]).amax(dim=0)
    return logits[number] - others
