"""Settings of the DICOMweb server: its address, access, and the folder for its series and labels.

The address is the `--studies` of the command line, which every user of the machine can read.
Passwords and tokens therefore come from the environment or a file. MONAI Label's own variables are
understood.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from monailabel.config import settings
from pydantic import Field

from segsam_app.errors import ConfigError
from segsam_app.limits import Limits
from segsam_app.records import LaxRecord

Positive = Annotated[int, Field(ge=1)]


class PacsSettings(LaxRecord, hide_input_in_errors=True):
    """Settings of one DICOMweb server."""

    refusal = ConfigError

    url: str
    """Root of the DICOMweb services, without a slash at the end."""
    folder: Path
    """Folder for labels and fetched series."""
    seconds: Positive = 30
    """Longest time without an answer."""
    refresh_seconds: Positive = 60
    """Interval at which the series are listed again."""
    series_bytes: Positive = 2 << 30
    """Largest series that is fetched."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Attribute -> value that listed series have."""
    qido_prefix: str | None = None
    """Path of queries, if it is a separate one; likewise for retrieving and storing below."""
    wado_prefix: str | None = None
    stow_prefix: str | None = None
    login: Annotated[tuple[str, str] | None, Field(repr=False)] = None
    """User and password."""
    token: Annotated[str | None, Field(repr=False)] = None
    """Bearer token."""

    @classmethod
    def read(
        cls, url: str, folder: str | None, limits: Limits, env: Mapping[str, str] = os.environ
    ) -> PacsSettings:
        """Read the settings of one server start. Raises `ConfigError` for invalid ones."""
        other = settings.MONAI_LABEL_DATASTORE.lower()
        if other in ("xnat", "dsa"):
            raise ConfigError(f"MONAI_LABEL_DATASTORE={other} is not supported; unset it")
        url = checked_url(url)
        token = _secret("SEGSAM_DICOMWEB_TOKEN", env)
        login = _login(env)
        if token and login:
            raise ConfigError(
                "a token and a user are both set for the DICOMweb server; set only one of them"
            )
        configured = folder or settings.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip()
        parent = Path(configured).expanduser() if configured else data_folder(env)
        return cls(
            url=url,
            folder=parent / _folder_name(url),
            seconds=limits.dicomweb_seconds,
            refresh_seconds=limits.dicomweb_refresh_seconds,
            series_bytes=limits.dicomweb_megabytes << 20,
            search=dict(settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER),
            qido_prefix=settings.MONAI_LABEL_QIDO_PREFIX or None,
            wado_prefix=settings.MONAI_LABEL_WADO_PREFIX or None,
            stow_prefix=settings.MONAI_LABEL_STOW_PREFIX or None,
            login=login,
            token=token,
        )


def checked_url(url: str) -> str:
    """Return the URL without a slash at the end. Raises `ConfigError`."""
    invalid = ConfigError(
        "--studies must be a folder, or a DICOMweb server's http(s) URL without ? and #; got "
        f"{without_secrets(url)!r:.200}"
    )
    try:
        parts = urlsplit(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise invalid from None
    if not is_usable or parts.query or parts.fragment:
        raise invalid
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "--studies must not hold a user and a password, which every user of this machine could "
            "read: set MONAI_LABEL_DICOMWEB_USERNAME and SEGSAM_DICOMWEB_PASSWORD_FILE"
        )
    return parts.geturl().rstrip("/")


def without_secrets(url: str) -> str:
    """Return an address without what may be a secret: user, password, query and fragment."""
    return re.split(r"[?#]", url.rpartition("@")[2])[0]


def data_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Return the platform's folder for data of this user, which is not cleared like a cache."""
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "segsam/dicomweb"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/segsam/dicomweb"
    return Path(env.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "segsam/dicomweb"


def _folder_name(url: str) -> str:
    """Return a name for each server that a person can tell from others."""
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
    """Return the variable `name`, or the first line of the file that `name`_FILE names."""
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
