"""Token, host names and pages: matrix B8, in one process and on the real server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from segsam_app.errors import ConfigError
from segsam_app.web.access import AccessRules, allowed_hosts, is_loopback, read_token

TOKEN = "x" * 16


def scope(*headers: tuple[str, str], address: str = "127.0.0.1", method: str = "GET") -> Any:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "method": method, "headers": sent, "server": (address, 8000)}


def status(access: AccessRules, asked: Any) -> int | None:
    rejection = access.rejection(asked)
    return None if rejection is None else rejection.status


HERE = ("host", "127.0.0.1:8000")


class TestHost:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "ct.example", "127.1.2.3"],
    )
    def test_own_names_are_allowed(self, host: str) -> None:
        access = AccessRules(hosts=frozenset({"ct.example"}))
        assert status(access, scope(("host", host))) is None

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b", "@"]
    )
    def test_other_names_are_refused(self, host: str) -> None:
        assert status(AccessRules(), scope(("host", host))) == 400

    def test_none_or_two_headers_are_refused(self) -> None:
        assert status(AccessRules(), scope()) == 400
        assert status(AccessRules(), scope(HERE, ("host", "evil.example"))) == 400


class TestOrigin:
    def test_own_pages_are_allowed(self) -> None:
        assert status(AccessRules(), scope(HERE, ("origin", "http://localhost:3000"))) is None

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://é"])
    def test_other_pages_are_refused(self, origin: str) -> None:
        assert status(AccessRules(), scope(HERE, ("origin", origin))) == 400

    def test_pages_named_by_the_operator_are_allowed(self) -> None:
        access = AccessRules(TOKEN, origins=frozenset({"https://ohif.example"}))
        page = ("origin", "https://ohif.example")
        asks = ("access-control-request-method", "PUT")
        assert status(access, scope(HERE, page, asks, method="OPTIONS")) is None
        assert status(access, scope(HERE, page)) == 401


class TestToken:
    @pytest.mark.parametrize("sent", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Bearer  {TOKEN} "])
    def test_the_right_token(self, sent: str) -> None:
        assert status(AccessRules(TOKEN), scope(HERE, ("authorization", sent))) is None

    @pytest.mark.parametrize(
        "sent", ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer é", "Bearer x"]
    )
    def test_a_wrong_token(self, sent: str) -> None:
        rejection = AccessRules(TOKEN).rejection(scope(HERE, ("authorization", sent)))
        assert rejection is not None
        assert rejection.status == 401
        assert rejection.headers == {"WWW-Authenticate": "Bearer"}

    def test_none_or_two_headers_are_refused(self) -> None:
        right = ("authorization", f"Bearer {TOKEN}")
        assert status(AccessRules(TOKEN), scope(HERE)) == 401
        assert status(AccessRules(TOKEN), scope(HERE, right, right)) == 401

    @pytest.mark.parametrize(
        ("path", "method", "expected"),
        [
            ("/ohif/app.js", "GET", None),
            ("/ohif/", "HEAD", None),
            ("/ohif", "GET", None),
            ("/ohif/", "POST", 401),
            ("/ohifs", "GET", 401),
            ("/info/", "GET", 401),
            ("//ohif/", "GET", 401),
            ("", "GET", 401),
        ],
    )
    def test_the_files_of_the_viewer_need_no_token(
        self, path: str, method: str, expected: int | None
    ) -> None:
        asked = {**scope(HERE), "path": path, "method": method}
        assert status(AccessRules(TOKEN, page="/ohif"), asked) == expected
        assert status(AccessRules(TOKEN), asked) == 401
        below = {**asked, "path": f"/root{path}", "root_path": "/root"}
        assert status(AccessRules(TOKEN, page="/ohif"), below) == expected

    def test_without_a_token_only_loopback_is_served(self) -> None:
        hosts = AccessRules(hosts=frozenset({"192.0.2.7"}))
        assert status(hosts, scope(("host", "192.0.2.7"), address="192.0.2.7")) == 401
        assert status(hosts, scope(HERE, address="127.0.0.1")) is None
        assert status(hosts, {**scope(HERE), "server": None}) is None  # a local socket
        with_token = AccessRules(TOKEN, frozenset({"192.0.2.7"}))
        right = ("authorization", f"Bearer {TOKEN}")
        assert status(with_token, scope(("host", "192.0.2.7"), right, address="192.0.2.7")) is None


class TestReadToken:
    def test_in_the_environment_or_in_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(f"{TOKEN}\n")
        assert read_token({"SEGSAM_TOKEN": TOKEN}) == TOKEN
        assert read_token({"SEGSAM_TOKEN_FILE": str(file)}) == TOKEN
        assert read_token({}) is None
        assert read_token({"SEGSAM_TOKEN": ""}) is None

    @pytest.mark.parametrize(
        "token", ["short", "x" * 15, "with blank inside it", "é" * 20, "x" * 513]
    )
    def test_an_invalid_token(self, token: str) -> None:
        with pytest.raises(ConfigError, match="16 to 512 characters"):
            read_token({"SEGSAM_TOKEN": token})

    def test_a_file_that_is_not_there_or_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            read_token({"SEGSAM_TOKEN_FILE": str(tmp_path / "none")})
        (tmp_path / "empty").write_text("\n")
        with pytest.raises(ConfigError, match="16 to 512 characters"):
            read_token({"SEGSAM_TOKEN_FILE": str(tmp_path / "empty")})

    def test_both_variables_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="both set"):
            read_token({"SEGSAM_TOKEN": TOKEN, "SEGSAM_TOKEN_FILE": "x"})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_addresses(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_addresses(address: str) -> None:
    assert not is_loopback(address)


def test_allowed_hosts() -> None:
    assert allowed_hosts("192.0.2.7", ["ct.example"]) == {"192.0.2.7", "ct.example"}
    everywhere = allowed_hosts("0.0.0.0")
    assert socket.gethostname().lower() in everywhere
    assert "0.0.0.0" not in everywhere


class TestTheRealServer:
    def test_it_serves_the_token_only(self, tight: Any) -> None:
        for sent in ({}, {"Authorization": "Bearer wrong-wrong-wrong-wrong"}):
            reply = tight.ask("GET", "/info/", headers={"Authorization": "", **sent})
            assert reply.status_code == 401
            assert reply.json()["code"] == "unauthorised"
            assert reply.headers["www-authenticate"] == "Bearer"
        assert tight.get("/info/").status_code == 200

    def test_no_route_without_the_token(self, tight: Any) -> None:
        for path in ("/segsam/health", "/metrics", "/", "/docs", "/openapi.json", "/static/", "/x"):
            assert tight.ask("GET", path, headers={"Authorization": ""}).status_code == 401

    def test_other_hosts_and_pages_are_refused(self, server: Any) -> None:
        assert server.ask("GET", "/info/", headers={"Host": "evil.example"}).status_code == 400
        reply = server.ask("POST", "/train/x", headers={"Origin": "https://evil.example"})
        assert (reply.status_code, reply.json()["code"]) == (400, "origin")

    def test_every_reply_has_a_request_id_and_no_cors_header(self, server: Any) -> None:
        replies = [server.get("/info/"), server.get("/x"), server.ask("OPTIONS", "/info/")]
        assert len({reply.headers["x-request-id"] for reply in replies}) == 3
        for reply in replies:
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["x-frame-options"] == "SAMEORIGIN"
            assert "frame-ancestors 'self'" in reply.headers["content-security-policy"]
            assert not [name for name in reply.headers if name.lower().startswith("access-control")]
