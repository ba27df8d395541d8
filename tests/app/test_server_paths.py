"""Paths of this computer leave no text."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from segsam_app.server_paths import ServerPaths, without_paths

PATHS = ServerPaths(["/srv/studies", "/srv/studies/labels", "/home/anna", None, "", "/"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/srv/studies/case.nii.gz is damaged", "case.nii.gz is damaged"),
        ("open '/srv/studies/labels/final/a.nii'", "open 'final/a.nii'"),
        ("in /srv/studies.", "in a folder of the server."),
        ("/srv/studies.old/x", "/srv/studies.old/x"),
        ("in /srv/studies: no", "in a folder of the server: no"),
        ("/srv/studies2/x", "/srv/studies2/x"),
        ("http://host/srv/studies/x", "http://host/srv/studies/x"),
        ("a/srv/studies/x", "a/srv/studies/x"),
        ("/home/anna//x,/home/anna/y", "x,y"),
        ("POST /infer/segsam", "POST /infer/segsam"),
    ],
)
def test_a_file_is_named_within_its_folder(text: str, left: str) -> None:
    assert PATHS.removed_from(text) == left


def test_all_of_a_json_value() -> None:
    value = {"/srv/studies/a": ["/home/anna/b", 1, None, {"c": ("/srv/studies/d",)}]}
    assert PATHS.removed_from(value) == {"a": ["b", 1, None, {"c": ["d"]}]}


def test_what_is_known_without_settings() -> None:
    assert without_paths(f"{tempfile.gettempdir()}/x") == "x"
    assert without_paths(str(Path.home() / "x")) == "x"
