from __future__ import annotations

from pathlib import Path

import pytest

from segsam.system.folders import default_cache_dir, weights_dir


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSAM_CACHE", "/somewhere/else")
    assert default_cache_dir() == Path("/somewhere/else")


def test_each_platform_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGSAM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("LOCALAPPDATA", "/l")
    places = {}
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr("sys.platform", platform)
        places[platform] = default_cache_dir()
    assert places["linux"] == Path("/x/segsam")
    assert places["darwin"] == Path.home() / "Library/Caches/segsam"
    assert places["win32"] == Path("/l/segsam/Cache")


def test_weights_are_in_the_cache_unless_a_variable_names_their_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEGSAM_CACHE", "/kept")
    monkeypatch.delenv("SEGSAM_WEIGHTS", raising=False)
    assert weights_dir() == Path("/kept/weights")
    monkeypatch.setenv("SEGSAM_WEIGHTS", "/elsewhere")
    assert weights_dir() == Path("/elsewhere")
