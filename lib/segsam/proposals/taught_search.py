"""Search for objects of names that users taught, which no trained part of a model knows.

slices --describe cells--> those that lie near to an example of the name
       --probe-----------> masks there, each matched with the taught names
       --decode----------> the box of the best mask, kept if it gets this name
the boxes of one object -> Predictor.predict with the taught names -> an object of this name
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from segsam.datasets.labelled_slices import spread
from segsam.model import ImageFeatures
from segsam.prediction.decoding import SliceDecoder
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.predictor import Predictor
from segsam.prediction.semantics import descriptions
from segsam.prediction.taught.examples import StackedExamples, TaughtNames
from segsam.prediction.taught.matching import Match, distances_to, matches
from segsam.prediction.taught.position import position_in_body, positions_in_body
from segsam.prompting.prompts import SlicePrompts
from segsam.proposals.boxes import Proposal, box_of_mask
from segsam.proposals.probing import Probe, clamped, probe
from segsam.proposals.requested import Rejected

_MAX_SLICES = 32
"""Most slices whose cells are compared, because each has to be encoded."""
_POINTS = 6
"""Points that are decoded on a slice for each name."""
_APART = 3
"""Cells between two points of a slice."""


class TaughtSearch:
    """Search of the slices of a volume for taught names.

    Args:
        predictor: of a model with a memory of examples.
        slices: of the volume, with the job that counts them.
        taught: all taught names, with which every object is compared.
        sought: positions, in `taught`, of those to find.
        rejected: gets the candidates that are left out.
        drawn_by: positions of names about which something was learnt, each with the predictor that
            draws by it.
    """

    def __init__(
        self,
        predictor: Predictor,
        slices: SliceDecoder,
        taught: TaughtNames,
        sought: Sequence[int],
        rejected: Rejected,
        *,
        drawn_by: Mapping[int, Predictor],
    ) -> None:
        self._model, self._embedding = predictor.model, predictor.encoder.embedding_id
        axis, job = slices.view.axis, slices.encoder.job
        self._drawn = {
            number: (one.model, one.slices(axis, job)) for number, one in drawn_by.items()
        }
        self._slices, self._taught = slices, taught
        self._sought, self._rejected = tuple(sought), rejected
        self.searched: set[int] = set()
        """Slices on which points were decoded."""

    def proposals(self, count: int) -> list[Proposal]:
        """Return boxes of objects, whose `category` is the position of their name, on `count`
        slices of each name.
        """
        examples = self._taught.stacked(self._embedding)
        if examples is None:
            return []
        job, axis = self._slices.encoder.job, self._slices.view.axis
        near: dict[int, dict[int, _Near]] = {number: {} for number in self._sought}
        sampled = spread(tuple(range(self._slices.view.depth)), _MAX_SLICES)
        job.planned += len(sampled)
        for index in sampled:
            for number, found in self._near(index, examples):
                near[number][index] = found
            job.report("compared", axis, index)
        proposals: list[Proposal] = []
        for number, by_slice in near.items():
            best = sorted(by_slice, key=lambda index: by_slice[index].distance)[:count]
            job.planned += len(best)
            for index in sorted(best):
                proposals += self._proposals_on(index, number, by_slice[index].points_px)
                job.report("searched", axis, index)
            self.searched.update(best)
        return proposals

    def _near(self, index: int, examples: StackedExamples) -> Iterator[tuple[int, _Near]]:
        """Yield each sought name with the cells of a slice that are nearest to its examples."""
        features, view = self._slices.features(index), self._slices.view
        side = self._model.host.facts.input_size
        cells = _cells(features, self._slices.picture(index), side)
        distances = distances_to(self._model, examples, cells.evidence)
        names = examples.names.numpy()
        for number in self._sought:
            of_name = names == number
            if of_name.any():
                nearest = distances[:, of_name].min(axis=1)
                yield number, cells.nearest(nearest, view.size_px)

    def _proposals_on(
        self, index: int, number: int, points_px: NDArray[np.float32]
    ) -> Iterator[Proposal]:
        """Yield the box of the best object of a name on a slice, if its mask gets this name."""
        features = self._slices.features(index)
        model, slices = self._drawn.get(number, (self._model, self._slices))
        found = [
            (match, one)
            for one in probe(model, features, points_px)
            if (match := self._match_of(index, features, one)) is not None
            and match.name is self._taught.names[number]
        ]
        if not found:
            return
        match, best = min(found, key=lambda each: each[0].distance)
        name = match.name.name
        box = box_of_mask(self._slices.view, best.mask, index)
        if box is None:
            return
        mask = slices.decode(index, SlicePrompts(boxes=(box,)))
        given = next(iter(self._matches([mask.evidence])), None) if mask.area else None
        if given is None or given.name is not match.name:
            self._rejected.add(name, match.confidence, given=given.name.name if given else "")
            return
        certainty = given.confidence * clamped(mask.report.predicted_iou)
        if not given.is_given:
            self._rejected.add(name, certainty)
            return
        yield Proposal(number, index, box, certainty)

    def _match_of(self, index: int, features: ImageFeatures, one: Probe) -> Match | None:
        """Return the best taught name of a probe's mask."""
        logits = torch.from_numpy(np.where(one.mask, 1.0, -1.0).astype(np.float32))[None, None]
        described = descriptions(self._model, features, logits.to(features.embedding.device))
        height, width = self._slices.picture(index).shape[:2]
        share = one.mask.shape[0] / self._model.host.facts.input_size
        shown = one.mask[: max(1, round(height * share)), : max(1, round(width * share))]
        position = position_in_body(self._slices.picture(index), shown)
        if described is None or position is None:
            return None
        evidence = SliceEvidence(
            int(one.mask.sum()), None, description=described[0], position=position
        )
        return next(iter(self._matches([evidence])), None)

    def _matches(self, evidence: Sequence[SliceEvidence]) -> Sequence[Match]:
        return matches(self._model, self._taught, self._embedding, evidence)


@dataclass(frozen=True, eq=False)
class _Near:
    """Distance of the nearest cell of a slice, and points (n, 2) x, y of some of the nearest."""

    distance: float
    points_px: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells of a slice's embedding as if each was an object: their evidence, and their centres
    (n, 2) x, y in model pixels, `size_px` apart.
    """

    evidence: Sequence[SliceEvidence]
    centres_px: NDArray[np.float64]
    size_px: float

    def nearest(self, distances: NDArray[np.float64], size_px: tuple[int, int]) -> _Near:
        """Return some of the cells with the smallest distances (n,), not beside each other."""
        chosen: list[int] = []
        for cell in np.argsort(distances, kind="stable").tolist():
            apart = np.abs(self.centres_px[chosen] - self.centres_px[cell]).max(axis=1)
            if not len(apart) or apart.min() >= _APART * self.size_px:
                chosen.append(cell)
            if len(chosen) == _POINTS:
                break
        limits = np.array([size_px[1] - 1, size_px[0] - 1])
        points = np.minimum(self.centres_px[chosen], limits).astype(np.float32)
        return _Near(float(distances[chosen[0]]), points)


@torch.inference_mode()
def _cells(features: ImageFeatures, picture: NDArray[np.uint8], side: int) -> _Cells:
    """Return the cells of an embedding that lie in its picture (h_px, w_px, 3); `side` is that of
    the padded square.
    """
    embedding = features.embedding[0].float().cpu()
    size = side / embedding.shape[-1]
    rows, columns = (max(1, int(np.ceil(length / size))) for length in picture.shape[:2])
    y, x = np.divmod(np.arange(rows * columns), columns)
    centres = (np.stack([x, y], axis=1) + 0.5) * size
    context = embedding.mean(dim=(1, 2)).expand(rows * columns, -1)
    cells = embedding[:, :rows, :columns].flatten(1).T
    described = torch.cat([cells, context], dim=1).numpy()
    sides = np.array([picture.shape[1], picture.shape[0]])
    positions = positions_in_body(picture, centres / sides).tolist()
    evidence = [
        SliceEvidence(1, None, description=row, position=(place[0], place[1]))
        for row, place in zip(described, positions, strict=True)
    ]
    return _Cells(evidence, centres, size)
