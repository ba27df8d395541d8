"""Parameters that are saved with the scene, and settings of this computer.

Both are plain data. The `@parameterNodeWrapper` class in `SEGSAM.py` has attributes of the names,
types and defaults of `Parameters`, plus the nodes. `Parameters.read(parameter_node)` makes a copy
for `Workflow`. `Settings` works on any mapping of texts.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, fields
from typing import Any, MutableMapping

from SEGSAMLib.Values.Address import Address
from SEGSAMLib.Values.Results import PROTECTIONS

AXES = ("auto", "i", "j", "k", "all")
FOLLOWING = ("in boxes", "always", "never")
DECODERS = ("binary", "semantic")
STRATEGIES = ("agreement", "diversity", "mix", "random", "first")
WINDOWS = (
    *("", "soft-tissue", "lung", "bone", "brain", "liver", "mediastinum", "angio", "stroke"),
    "spine",
)
LAST_SLICE = 99_999
"""Largest number of a slice that the panel takes."""
CHOICES = {
    "axis": AXES,
    "propagate": FOLLOWING,
    "protection": PROTECTIONS,
    "decoder": DECODERS,
    "window": WINDOWS,
    "strategy": STRATEGIES,
}
"""Values that a parameter may have, by its name."""


def remove_unknown(node: Any) -> None:
    """Remove saved values that this version does not know from a `vtkMRMLScriptedModuleNode`, so
    that the defaults count. Slicer's wrapper raises when it shows an unknown choice.
    """
    for name, choices in CHOICES.items():
        if node.HasParameter(name) and node.GetParameter(name) not in choices:
            node.UnsetParameter(name)
    for name in ("first_slice", "last_slice"):
        if node.HasParameter(name) and not re.fullmatch(r"\d{1,5}", node.GetParameter(name)):
            node.UnsetParameter(name)


@dataclass
class Parameters:
    """Parameters that are saved with the scene, with the defaults of a new scene."""

    model: str = "segsam"
    axis: str = "auto"
    """Voxel axis across which the volume is sliced: one of `AXES`."""
    propagate: str = "in boxes"
    """When the object is followed through slices: one of `FOLLOWING`."""
    limit_slices: bool = False
    """True if only the slices `first_slice` to `last_slice` of the result are kept."""
    first_slice: int = 0
    last_slice: int = 0
    live: bool = True
    """True if each new, moved or deleted prompt starts a request; else only the button does."""
    protection: str = "keep others"
    """Mode for voxels that another segment has: one of `Results.PROTECTIONS`."""
    decoder: str = "binary"
    category: str = ""
    """Category that the user asks for; empty if the model is to name the object."""
    window: str = ""
    """CT window preset of the server; empty for the server's choice."""
    strategy: str = "agreement"
    """Strategy that chooses the next sample: one of `STRATEGIES`."""

    @classmethod
    def read(cls, source: Any) -> Parameters:
        """Copy attributes of these names from any object; missing ones keep their default."""
        found = cls()
        for each in fields(cls):
            value = getattr(source, each.name, None)
            if value is not None:
                setattr(found, each.name, type(getattr(found, each.name))(value))
        return found

    @property
    def follows(self) -> bool | None:
        """Value of the key `propagate` of a request; None lets the server decide by the prompts."""
        return {"always": True, "never": False}.get(self.propagate)


DEFAULT_SERVER = "http://127.0.0.1:8000"
_MAX_SERVERS = 10


class Settings:
    """Settings of this computer for all scenes, under keys that begin with `SEGSAM/`.

    A token stays in memory only, unless the user asks to store it.
    """

    def __init__(self, store: MutableMapping[str, str]) -> None:
        self._store = store
        self._tokens: dict[str, str] = {}

    @property
    def server(self) -> str:
        """Address that was connected last."""
        return self._text("server") or DEFAULT_SERVER

    @server.setter
    def server(self, address: str) -> None:
        known = [address, *(known for known in self.servers if known != address)]
        self._store["SEGSAM/server"] = address
        self._store["SEGSAM/servers"] = json.dumps(known[:_MAX_SERVERS])

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses that were connected, the last one first."""
        return self._list("servers")

    @property
    def ca_file(self) -> str:
        """Certificate file (PEM) to trust in addition to those of the system; empty for none."""
        return self._text("ca_file")

    @ca_file.setter
    def ca_file(self, path: str) -> None:
        self._store["SEGSAM/ca_file"] = path

    @property
    def user(self) -> str:
        """Name of the annotator that is sent with labels; empty if none is sent."""
        return self._text("user")

    @user.setter
    def user(self, name: str) -> None:
        self._store["SEGSAM/user"] = name

    def token(self, address: str) -> str:
        """Return the token for a server, empty if there is none."""
        key = _server_key(address)
        return self._tokens.get(key) or self._text(f"tokens/{key}")

    def set_token(self, address: str, token: str, *, remember: bool) -> None:
        """Set the token for a server, and store it if `remember`. An empty token is removed."""
        key = _server_key(address)
        self._tokens[key] = token.strip()
        if remember and token.strip():
            self._store[f"SEGSAM/tokens/{key}"] = token.strip()
        else:
            self._store.pop(f"SEGSAM/tokens/{key}", None)

    def remembers_token(self, address: str) -> bool:
        """Return True if the token for a server is stored."""
        return bool(self._text(f"tokens/{_server_key(address)}"))

    def has_consent(self, address: str) -> bool:
        """Return True if images may be sent: the server is this computer, or the user agreed."""
        return Address.parse(address).is_loopback or _server_key(address) in self._list("consents")

    def consent(self, address: str) -> None:
        """Store the user's consent to send images to a server."""
        agreed = dict.fromkeys([*self._list("consents"), _server_key(address)])
        self._store["SEGSAM/consents"] = json.dumps(list(agreed))

    def withdraw_consent(self, address: str) -> None:
        """Remove the consent, so that the user is asked before the next image is sent."""
        left = [each for each in self._list("consents") if each != _server_key(address)]
        self._store["SEGSAM/consents"] = json.dumps(left)

    def keeps_drafts(self, address: str) -> bool:
        """Return True if unsaved work is kept on a server: by default on this computer only."""
        chosen = self._text(f"drafts/{_computer_key(address)}")
        return chosen == "on" if chosen else Address.parse(address).is_loopback

    def set_keeps_drafts(self, address: str, is_kept: bool) -> None:
        """Store whether unsaved work is kept on a server, or on all servers of this computer."""
        self._store[f"SEGSAM/drafts/{_computer_key(address)}"] = "on" if is_kept else "off"

    def draft_key(self, address: str) -> str:
        """Return a random text by which a server knows the drafts of this user: another one for
        each server, the same for all of this computer.
        """
        if not self._text("draft_key"):
            self._store["SEGSAM/draft_key"] = secrets.token_urlsafe(32)
        words = f"{self._text('draft_key')} {_computer_key(address)}"
        return hashlib.sha256(words.encode()).hexdigest()

    def has_accepted(self, address: str, weights: str, licence: str) -> bool:
        """Return True if the user accepted the licence of these weights on a server."""
        return _licence_key(address, weights, licence) in self._list("licences")

    def accept_licence(self, address: str, weights: str, licence: str) -> None:
        """Store that the user accepted the licence of these weights on a server."""
        accepted = [*self._list("licences"), _licence_key(address, weights, licence)]
        self._store["SEGSAM/licences"] = json.dumps(list(dict.fromkeys(accepted)))

    def _text(self, name: str) -> str:
        return self._store.get(f"SEGSAM/{name}", "")

    def _list(self, name: str) -> tuple[str, ...]:
        try:
            values = json.loads(self._text(name) or "[]")
        except ValueError:
            return ()
        return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _licence_key(address: str, weights: str, licence: str) -> str:
    """Return a text that changes with the server, the weights' name and the words of the licence.
    Weights that learnt further keep these, so that a training does not make the user agree again.
    """
    words = hashlib.sha256(f"{weights}\n{licence}".encode()).hexdigest()[:16]
    return f"{_server_key(address)} {words}"


def _computer_key(address: str) -> str:
    """Return the key of a server; one for all servers of this computer, whose ports change."""
    return "this-computer" if Address.parse(address).is_loopback else _server_key(address)


def _server_key(address: str) -> str:
    """Return the URL of a server as part of a key; QSettings reads "/" as a group."""
    return re.sub(r"[^A-Za-z0-9.:-]", "_", Address.parse(address).url)
