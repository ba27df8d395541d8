"""How the DICOMweb server is reached, and where what it sent and what it gets is kept.

Its URL is the `--studies` of the command line, which every user of the machine can read: what gives
access comes from the environment or a file. MONAI Label's own variables are understood.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monailabel.config import settings

from segsam_app.errors import ConfigError
from segsam_app.limits import Limits


@dataclass(frozen=True)
class PacsSettings:
    """One DICOMweb server.

    `folder`: labels and fetched series; `search`: attribute -> value that listed series have;
    `prefixes`: of the query, retrieve and store paths, where the server has them apart. `seconds`:
    how long it may be silent; `series_bytes`: the largest series that is fetched.
    """

    url: str
    folder: Path
    seconds: int = 30
    refresh_seconds: int = 60
    series_bytes: int = 2 << 30
    search: Mapping[str, Any] = field(default_factory=dict)
    prefixes: tuple[str | None, str | None, str | None] = (None, None, None)
    login: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls, url: str, folder: str | None, limits: Limits, env: Mapping[str, str] = os.environ
    ) -> PacsSettings:
        """Of one start. Raises `ConfigError` for what cannot be meant."""
        other = settings.MONAI_LABEL_DATASTORE.lower()
        if other in ("xnat", "dsa"):
            raise ConfigError(f"MONAI_LABEL_DATASTORE={other} is not offered; unset it")
        url = checked_url(url)
        token = _secret("SEGSAM_DICOMWEB_TOKEN", env)
        login = _login(env)
        if token and login:
            raise ConfigError(
                "a token and a user are both set for the DICOMweb server; set one of them"
            )
        kept = folder or settings.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip()
        return cls(
            url=url,
            folder=Path(kept).expanduser() / _name(url) if kept else data_folder(env) / _name(url),
            seconds=limits.dicomweb_seconds,
            refresh_seconds=limits.dicomweb_refresh_seconds,
            series_bytes=limits.dicomweb_megabytes << 20,
            search=dict(settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER),
            prefixes=(
                settings.MONAI_LABEL_QIDO_PREFIX or None,
                settings.MONAI_LABEL_WADO_PREFIX or None,
                settings.MONAI_LABEL_STOW_PREFIX or None,
            ),
            login=login,
            token=token,
        )


def checked_url(url: str) -> str:
    """The URL without what a client adds itself. Raises `ConfigError`."""
    refused = ConfigError(
        "--studies must be a folder, or a DICOMweb server's http(s) URL without ? and #; got "
        f"{url.split('@')[-1]!r:.200}"
    )
    try:
        parts = urlsplit(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise refused from None
    if not is_usable or parts.query or parts.fragment:
        raise refused
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "--studies must not hold a user and a password, which every user of this machine could "
            "read: set MONAI_LABEL_DICOMWEB_USERNAME and SEGSAM_DICOMWEB_PASSWORD_FILE"
        )
    return parts.geturl().rstrip("/")


def data_folder(env: Mapping[str, str] = os.environ) -> Path:
    """The platform's place for data of this user that no cleaner removes."""
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "segsam/dicomweb"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/segsam/dicomweb"
    return Path(env.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "segsam/dicomweb"


def _name(url: str) -> str:
    """One folder for each server, which a person can tell from another's."""
    parts = urlsplit(url)
    host = re.sub(r"[^A-Za-z0-9.-]", "_", parts.hostname or "")
    return f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def _login(env: Mapping[str, str]) -> tuple[str, str] | None:
    user = settings.MONAI_LABEL_DICOMWEB_USERNAME or settings.MONAI_LABEL_DATASTORE_USERNAME
    password = (
        _secret("SEGSAM_DICOMWEB_PASSWORD", env)
        or settings.MONAI_LABEL_DICOMWEB_PASSWORD
        or settings.MONAI_LABEL_DATASTORE_PASSWORD
    )
    if bool(user) != bool(password):
        raise ConfigError(
            "the DICOMweb server needs a user (MONAI_LABEL_DICOMWEB_USERNAME) and a password "
            "(SEGSAM_DICOMWEB_PASSWORD_FILE or MONAI_LABEL_DICOMWEB_PASSWORD); only one is set"
        )
    return (user, password) if user and password else None


def _secret(name: str, env: Mapping[str, str]) -> str | None:
    """The variable `name`, or the first line of the file that `name`_FILE names."""
    file = env.get(f"{name}_FILE")
    if not file:
        return env.get(name) or None
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE cannot be read: {file!r:.200}") from error
    if not lines or not lines[0].strip():
        raise ConfigError(f"{name}_FILE is empty: {file!r:.200}")
    return lines[0].strip()
