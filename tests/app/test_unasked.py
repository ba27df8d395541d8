"""Nothing leaves the server unasked: neither from its process nor by the pages that it serves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..watching import files_of_others, wanted_outside, watched_environment, without_hiding
from .conftest import Server, started

LOADED = re.compile(r"""(src|href)=["']?https?://|@import[^;]*https?://""")
"""What a browser would load from another site."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A server with an empty home and OpenVINO, after one prompt and one label."""
    base = tmp_path_factory.mktemp("unasked")
    variables = watched_environment(base)
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(without_hiding(os.environ)):
            patch.delenv(name)
        own = {name: variables[name] for name in ("HOME", "PYTHONPATH", "WANTED_OUTSIDE")}
        with started(base, "--conf", "runtime", "openvino", **own) as running:
            prompt = '{"foreground": [[30, 26, 4]]}'
            assert running.infer({"image": "straight"}, params=prompt).ok
            yield base, running


@pytest.mark.slow
class TestUnasked:
    def test_nothing_was_wanted_outside(self, watched: tuple[Path, Server]) -> None:
        assert wanted_outside(watched[0]) == ""

    def test_no_file_of_another_program_is_in_the_home(self, watched: tuple[Path, Server]) -> None:
        """MONAI Label imports matplotlib before our app: its list of fonts is in its own cache."""
        assert (watched[0] / "home" / ".cache" / "segsam" / "openvino").is_dir(), "it was not used"
        assert files_of_others(watched[0], ".cache/matplotlib/") == []

    @pytest.mark.parametrize(
        "path", ["/", "/docs", "/ohif/", "/ohif/app.bundle.css", "/ohif/viewer"]
    )
    def test_pages_name_no_other_site(self, watched: tuple[Path, Server], path: str) -> None:
        reply = watched[1].get(path)
        assert reply.status_code == 200
        assert LOADED.search(reply.text) is None
        policy, *others = reply.raw.headers.getlist("content-security-policy")
        assert others == []
        assert policy.startswith("default-src 'none'; ")
        assert not re.search(r"http|\*|'unsafe-eval'|script-src[^;]*'unsafe-inline'", policy)
        assert ("'wasm-unsafe-eval'" in policy) == path.startswith("/ohif")

    def test_code_made_of_text_runs_in_workers_only(self, watched: tuple[Path, Server]) -> None:
        """The policy of a worker is that of its script; some decoders of images need it."""
        scripts = re.findall(r'src="(/ohif/[^"]+\.js)"', watched[1].get("/ohif/").text)
        policy = watched[1].get(scripts[-1]).headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval';" in policy

    def test_the_list_of_routes_is_whole(self, watched: tuple[Path, Server]) -> None:
        page = watched[1].get("/").text
        spec = watched[1].get("/openapi.json").json()
        assert all(f" {path}</code>" in page for path in spec["paths"])
        routes = [route for methods in spec["paths"].values() for route in methods.values()]
        parameters = {each["name"] for route in routes for each in route["parameters"]}
        assert "image" in parameters
        assert "token" not in parameters  # it is a header, which no log keeps
        assert spec["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert "<script" not in page

    def test_what_is_no_file_of_the_viewer(self, watched: tuple[Path, Server]) -> None:
        for path in ("assets", "assets/", "assets/none.png", "none.js", "..%2fapp.py"):
            reply = watched[1].get(f"/ohif/{path}")
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), path

    def test_a_file_of_the_viewer_is_served(self, watched: tuple[Path, Server]) -> None:
        reply = watched[1].get("/ohif/assets/favicon-16x16.png")
        assert reply.headers["content-type"] == "image/png"
        assert "javascript" in watched[1].get("/ohif/app-config.js").headers["content-type"]
