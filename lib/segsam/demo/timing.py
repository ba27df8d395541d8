"""How long a click takes: the first on a slice, the next on the same slice, and HTTP's share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from segsam.demo.prompting import Organ, ours, section_box
from segsam.prompting.prompts import Prompts
from segsam.remote.client import Client

SECOND_SHARE_GOAL = 0.15
"""Of the first prompt's time: what a second one on an already encoded slice may cost."""

OVERHEAD_GOAL_MS = 50.0
"""What HTTP may add to the model's own time for `result: "slice"`."""

_PAIRS = 3
_REPEATS = 10


@dataclass(frozen=True)
class Timings:
    """Medians, in milliseconds of wall clock as the client sees them."""

    first_ms: float
    second_ms: float
    overhead_ms: float

    @property
    def second_share(self) -> float:
        """The second prompt's time as a share of the first's."""
        return self.second_ms / self.first_ms

    @property
    def second_ok(self) -> bool:
        """Against the goal."""
        return self.second_share <= SECOND_SHARE_GOAL

    @property
    def overhead_ok(self) -> bool:
        """Against the goal."""
        return self.overhead_ms <= OVERHEAD_GOAL_MS


def measure(
    client: Client, session: str, pair: Sequence[Organ], untouched: Iterable[int]
) -> Timings:
    """Two organs that share slices are prompted, one after the other, on fresh slices along k.

    `untouched` are slices that the server has not encoded yet; its reply says whether that is so,
    and slices that were encoded after all are passed over.
    """
    first_ms: list[float] = []
    second_ms: list[float] = []
    overhead_ms: list[float] = []
    for index in untouched:
        boxes = [section_box(organ, 2, index) for organ in pair]
        if len(first_ms) == _PAIRS:
            break
        if boxes[0] is None or boxes[1] is None:
            continue
        first, second = (ours(Prompts(boxes=(box,)), "slice") for box in boxes if box)
        reply = client.infer(session, first)
        if not reply.params["encoded_slices"]:
            continue
        first_ms.append(reply.seconds * 1e3)
        second_ms.append(client.infer(session, second).seconds * 1e3)
        overhead_ms = [_overhead_ms(client, session, second) for _ in range(_REPEATS)]
    return Timings(median(first_ms), median(second_ms), median(overhead_ms))


def _overhead_ms(client: Client, session: str, params: dict[str, object]) -> float:
    reply = client.infer(session, params)
    return (reply.seconds - reply.model_seconds) * 1e3
