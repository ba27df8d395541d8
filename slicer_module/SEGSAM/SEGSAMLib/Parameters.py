"""What is remembered: with the scene (`Parameters`), and on this computer (`Settings`).

Both are plain data. The widget's `@parameterNodeWrapper` class has attributes of the names, types
and defaults of `Parameters`, plus the nodes; `Parameters.read(parameter_node)` takes a copy to hand
to `Workflow`. `Settings` works on anything with `get(key)` and `set(key, value)` of texts, such as
a thin layer over `qt.QSettings`; values come back as texts there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Any, Protocol

from SEGSAMLib.Values.Address import Address

AXES = ("auto", "i", "j", "k", "all")
FOLLOWING = ("in boxes", "always", "never")
DECODERS = ("binary", "semantic")
STRATEGIES = ("agreement", "diversity", "mix", "random", "first")
WINDOWS = (
    *("", "soft-tissue", "lung", "bone", "brain", "liver", "mediastinum", "angio", "stroke"),
    "spine",
)


@dataclass
class Parameters:
    """Saved with the scene. Defaults are those of a first start."""

    model: str = "segsam"
    axis: str = "auto"
    """Across which voxel axis the volume is sliced: one of `AXES`."""
    propagate: str = "in boxes"
    """Whether the object is followed over slices: one of `FOLLOWING`."""
    limit_slices: bool = False
    """Whether only the slices `first_slice` to `last_slice` (of the axis in use) are kept."""
    first_slice: int = 0
    last_slice: int = 0
    live: bool = True
    """Each new, moved or deleted prompt runs; otherwise the button does."""
    protection: str = "keep others"
    """What happens where another segment is: one of `PROTECTIONS`."""
    decoder: str = "binary"
    category: str = ""
    """The user's own choice of what to look for; empty: the model says what it is."""
    window: str = ""
    """CT window preset of the server; empty: the server's choice."""
    strategy: str = "agreement"
    """How the next sample is chosen: one of `STRATEGIES`."""

    @classmethod
    def read(cls, source: Any) -> Parameters:
        """From anything with attributes of these names; what is missing keeps its default."""
        found = cls()
        for each in fields(cls):
            value = getattr(source, each.name, None)
            if value is not None:
                setattr(found, each.name, type(getattr(found, each.name))(value))
        return found

    def write(self, target: Any) -> None:
        """Onto anything with such attributes."""
        for each in fields(self):
            setattr(target, each.name, getattr(self, each.name))

    @property
    def follows(self) -> bool | None:
        """The key `propagate` of a request."""
        return {"always": True, "never": False}.get(self.propagate)


class SettingsStore(Protocol):
    """Where settings lie; texts only, None for what was never set."""

    def get(self, key: str) -> str | None: ...

    def set(self, key: str, value: str) -> None: ...

    def remove(self, key: str) -> None: ...


class InMemoryStore:
    """Settings that nobody keeps: for tests, and until the widget hands in the real ones."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def set(self, key: str, value: str) -> None:
        self.kept[key] = value

    def remove(self, key: str) -> None:
        self.kept.pop(key, None)


DEFAULT_SERVER = "http://127.0.0.1:8000"
_MOST_SERVERS = 10


class Settings:
    """What this computer remembers, for all scenes, under keys that begin with `SEGSAM/`.

    A token is in memory only, unless the user asked to keep it (`remember_token`).
    """

    def __init__(self, store: SettingsStore | None = None) -> None:
        self._store = store if store is not None else InMemoryStore()
        self._tokens: dict[str, str] = {}

    @property
    def server(self) -> str:
        """The address that was last connected."""
        return self._text("server") or DEFAULT_SERVER

    @server.setter
    def server(self, address: str) -> None:
        known = [address, *(known for known in self.servers if known != address)]
        self._store.set("SEGSAM/server", address)
        self._store.set("SEGSAM/servers", json.dumps(known[:_MOST_SERVERS]))

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses that were connected, the last one first."""
        return self._list("servers")

    @property
    def ca_file(self) -> str:
        """A file of certificates (PEM) to trust besides the system's; empty for none."""
        return self._text("ca_file")

    @ca_file.setter
    def ca_file(self, path: str) -> None:
        self._store.set("SEGSAM/ca_file", path)

    @property
    def user(self) -> str:
        """The annotator's name that goes with saved labels; empty: none is sent."""
        return self._text("user")

    @user.setter
    def user(self, name: str) -> None:
        self._store.set("SEGSAM/user", name)

    def token(self, address: str) -> str:
        """The token for a server, or nothing."""
        key = _server_key(address)
        return self._tokens.get(key) or self._text(f"tokens/{key}")

    def set_token(self, address: str, token: str, *, remember: bool) -> None:
        """Use a token; keep it on this computer only with `remember`. An empty one is forgotten."""
        key = _server_key(address)
        self._tokens[key] = token.strip()
        if remember and token.strip():
            self._store.set(f"SEGSAM/tokens/{key}", token.strip())
        else:
            self._store.remove(f"SEGSAM/tokens/{key}")

    def remembers_token(self, address: str) -> bool:
        return bool(self._text(f"tokens/{_server_key(address)}"))

    def has_consent(self, address: str) -> bool:
        """Whether images may be sent there: always to this computer, else when the user agreed."""
        return Address.read(address).is_loopback or _server_key(address) in self._list("consents")

    def consent(self, address: str) -> None:
        """The user agreed to send images to this server."""
        agreed = dict.fromkeys([*self._list("consents"), _server_key(address)])
        self._store.set("SEGSAM/consents", json.dumps(list(agreed)))

    def withdraw_consent(self, address: str) -> None:
        """Ask again before the next image is sent there."""
        left = [each for each in self._list("consents") if each != _server_key(address)]
        self._store.set("SEGSAM/consents", json.dumps(left))

    def _text(self, name: str) -> str:
        return self._store.get(f"SEGSAM/{name}") or ""

    def _list(self, name: str) -> tuple[str, ...]:
        try:
            values = json.loads(self._text(name) or "[]")
        except ValueError:
            return ()
        return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()


def _server_key(address: str) -> str:
    """A server as part of a key: QSettings takes "/" for a group."""
    return re.sub(r"[^A-Za-z0-9.:-]", "_", Address.read(address).url)
