"""Finder of what was learnt about taught names in other cases, for one prediction."""

from __future__ import annotations

from segsam.prediction.completion.carried import CarriedState, FindCarried
from segsam.prediction.predictor import Predictor
from segsam_app.storage.taught_names import TaughtStore

OTHER_VERSION_NOTE = (
    "What was learnt about {name} in other cases is of another version of the model, and is not "
    "used; the next label with this name brings it up to date."
)


def find_carried(taught: TaughtStore | None, predictor: Predictor, notes: list[str]) -> FindCarried:
    """Return what finds what was learnt about a name with the model of a predictor.

    `notes` gets a sentence about what was learnt with another one. Without a store nothing is
    found.
    """

    def find(name: str) -> CarriedState | None:
        known = None if taught is None else taught.names().find(name)
        facts = None if taught is None or known is None else taught.learnt_facts(known)
        if taught is None or known is None or facts is None:
            return None
        if facts.parent != predictor.encoder.weights_id:
            notes.append(OTHER_VERSION_NOTE.format(name=known.name))
            return None
        return taught.learnt(known, predictor.model.host.mask_decoder.state_dict())

    return find
