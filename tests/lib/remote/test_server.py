"""Starter of a server: the app's folder, the command line, a server that cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsam.remote.client import ServerError
from segsam.remote.server import Server, find_app


def test_the_app_of_this_checkout() -> None:
    assert (find_app() / "main.py").is_file()


def test_an_app_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="There is no MONAI Label app at"):
        find_app(tmp_path)


def test_what_is_started(tmp_path: Path) -> None:
    server = Server(tmp_path / "app", tmp_path / "work", tmp_path / "server.log")
    assert "--conf" not in server.command()
    conf = {"also": "litemedsam,sam"}
    more = Server(tmp_path, tmp_path, tmp_path / "log", conf=conf)
    assert " ".join(more.command()).count("--conf also litemedsam,sam") == 1


def test_a_server_that_ends_while_starting(tmp_path: Path) -> None:
    # Python looks for modules where it is started first: a broken installation.
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "uvicorn.py").write_text("raise SystemExit('no server today')\n")
    server = Server(find_app(), tmp_path / "work", tmp_path / "server.log")
    with server, pytest.raises(ServerError, match=r"ended while starting.*no server today"):
        server.wait()
    assert not server.running
