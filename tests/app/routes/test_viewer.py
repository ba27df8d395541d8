"""Routes of the viewer's configuration and extension, which a browser asks for without a token."""

from __future__ import annotations

from typing import Any

import pytest
import requests

FILES = ("app-config.js", "segsam/extension.js", "segsam/voxels.js", "segsam/panel.css")


@pytest.mark.parametrize("file", FILES)
def test_files_need_no_token(tight: Any, file: str) -> None:
    reply = requests.get(f"{tight.url}/ohif/{file}", timeout=30)
    assert reply.status_code == 200
    kind = reply.headers["Content-Type"].partition(";")[0]
    assert kind == ("text/css" if file.endswith(".css") else "text/javascript")
    assert reply.headers["Cache-Control"] == "no-cache"


def test_the_page_knows_whether_it_has_to_ask_for_a_token(server: Any, tight: Any) -> None:
    facts = requests.get(f"{tight.url}/ohif/segsam/server.json", timeout=30)
    assert facts.json()["needs_token"] is True
    assert server.get("/ohif/segsam/server.json").json()["needs_token"] is False


def test_a_folder_without_series_is_said_to_show_nothing(server: Any) -> None:
    notice = server.get("/ohif/segsam/server.json").json()["notice"]
    assert "holds no DICOM series" in notice


@pytest.mark.parametrize("file", ["segsam/nothing.js", "segsam/..%2fapp-config.js", "segsam/%00"])
def test_other_files_are_not_there(server: Any, file: str) -> None:
    assert server.get(f"/ohif/{file}").status_code in (400, 404)
