"""What the operator may set, and that a value which cannot be meant ends the start."""

from __future__ import annotations

import pytest

from segsam_app.errors import ConfigError
from segsam_app.limits import LIMIT_NAMES, SWITCHES, Limits


def test_everything_has_a_limit_by_default() -> None:
    limits = Limits.read(None, {})
    assert limits == Limits()
    assert limits.upload_bytes == 1 << 30
    assert limits.body_bytes == 1 << 20
    assert limits.routes == ()
    assert {"queue", "hosts", "sessions"} < LIMIT_NAMES


def test_the_command_line_wins_over_the_environment() -> None:
    read = Limits.read({"queue": "0", "warm": "off"}, {"SEGSAM_QUEUE": "3", "SEGSAM_SESSIONS": "9"})
    assert (read.queue, read.sessions) == (0, 9)


def test_names_and_switches() -> None:
    read = Limits.read({"hosts": "CT.example, b", "routes": "delete,logs"}, {})
    assert read.hosts == ("ct.example", "b")
    assert read.routes == ("delete", "logs")
    assert set(read.routes) < set(SWITCHES)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "9" * 11, "inf"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="upload_megabytes must be a whole number from 1"):
        Limits.read({"upload_megabytes": text}, {})


def test_a_route_that_cannot_be_switched() -> None:
    with pytest.raises(ConfigError, match="routes knows model, reload"):
        Limits.read({"routes": "infer"}, {})
