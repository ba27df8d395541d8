"""The operator's limits."""

from __future__ import annotations

import pytest

from segsam_app.errors import ConfigError
from segsam_app.limits import SWITCHES, Limits


def test_everything_has_a_limit_by_default() -> None:
    limits = Limits.read(None, {})
    assert limits == Limits()
    assert limits.upload_bytes == 1 << 30
    assert limits.body_bytes == 1 << 20
    assert limits.routes == ()
    assert {"queue", "hosts", "sessions"} < set(Limits.model_fields)


def test_the_command_line_wins_over_the_environment() -> None:
    read = Limits.read({"queue": "0", "warm": "off"}, {"SEGSAM_QUEUE": "3", "SEGSAM_SESSIONS": "9"})
    assert (read.queue, read.sessions) == (0, 9)


def test_names_and_switches() -> None:
    read = Limits.read({"hosts": "CT.example, b", "routes": "delete,logs"}, {})
    assert read.hosts == ("ct.example", "b")
    assert read.routes == ("delete", "logs")
    assert set(read.routes) < set(SWITCHES)


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("0", "greater than or equal to 1"),
        ("-1", "greater than or equal to 1"),
        ("1.5", "a whole number"),
        ("many", "a whole number"),
        ("", "a whole number"),
        ("9" * 11, "less than or equal to 1000000000"),
        ("inf", "a whole number"),
    ],
)
def test_an_invalid_size_is_refused(text: str, requirement: str) -> None:
    sentence = f"Expected upload_megabytes to be {requirement}, got {text!r}"
    with pytest.raises(ConfigError, match=sentence):
        Limits.read({"upload_megabytes": text}, {})


def test_an_unknown_switch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected routes to be words out of model, reload.*got"):
        Limits.read({"routes": "infer"}, {})
