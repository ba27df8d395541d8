"""States of adapted mask decoders between the requests of one annotator, in memory.

A reply of a completion holds the id of what was learnt (`state`); the next request about the object
sends it back (`previous`). The id is random, and a state is returned only to the user and session
that made it, for the image, the window and the weights that it was made with. Nothing of it is
written to disk. What was dropped is learnt again from the confirmed slices, which clients hold.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from segsam.prediction.completion.teaching import AdaptedState

MOST_BYTES = 256 << 20
"""Memory of all states; one of the shipped checkpoint has 16 MB, twice that with a start that was
carried from other cases."""
MOST_STATES = 64
MOST_OF_ONE = 6
"""States of one owner: the newest, and some to undo to."""


@dataclass(frozen=True)
class Annotator:
    """Sender of a request: the user of MONAI Label's log-in, and the session, if there are any."""

    user: str = ""
    session: str = ""


@dataclass(frozen=True)
class StateOwner:
    """Annotator to whom a state belongs, and the image and window that it was made with."""

    annotator: Annotator
    image: Hashable
    window: Hashable


@dataclass(frozen=True, eq=False)
class _Kept:
    owner: StateOwner
    state: AdaptedState

    @property
    def bytes(self) -> int:
        start = {} if self.state.start is None else self.state.start.learnt
        weights = [*(self.state.learnt or {}).values(), *start.values()]
        return sum(each.numel() * each.element_size() for each in weights)


class AdaptedStates:
    """Most recently used states, bounded in number and bytes. Thread-safe."""

    def __init__(
        self,
        most_bytes: int = MOST_BYTES,
        most: int = MOST_STATES,
        most_of_one: int = MOST_OF_ONE,
    ) -> None:
        self._most_bytes, self._most, self._most_of_one = most_bytes, most, most_of_one
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, owner: StateOwner, state: AdaptedState) -> str:
        """Keep a state and return its id. The least recently used ones are dropped."""
        key = f"c{secrets.token_urlsafe(16)}"  # an id may not begin with "-"
        with self._lock:
            self._kept[key] = _Kept(owner, state)
            same = [each for each, kept in self._kept.items() if kept.owner == owner]
            for each in same[: -self._most_of_one]:
                del self._kept[each]
            while len(self._kept) > 1 and (
                len(self._kept) > self._most or self._bytes() > self._most_bytes
            ):
                self._kept.popitem(last=False)
        return key

    def get(self, key: str, owner: StateOwner, parent: str) -> AdaptedState | None:
        """Return a state of this owner that was learnt with the weights `parent`; None if there is
        none.
        """
        with self._lock:
            found = self._kept.get(key)
            if found is None or found.owner != owner or found.state.parent != parent:
                return None
            self._kept.move_to_end(key)
            return found.state

    def forget_session(self, session: str) -> None:
        """Drop the states of a session that has ended."""
        with self._lock:
            for key in [
                key for key, kept in self._kept.items() if kept.owner.annotator.session == session
            ]:
                del self._kept[key]

    def clear(self) -> None:
        """Drop all states."""
        with self._lock:
            self._kept.clear()

    @property
    def count(self) -> int:
        """Number of states."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory of all states."""
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        return sum(kept.bytes for kept in self._kept.values())
