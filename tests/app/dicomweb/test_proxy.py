"""The read-only proxy for viewers, served by uvicorn, in front of a small DICOMweb server that
notes each request it gets and can misbehave. With a real Orthanc: `test_dicomweb.py`.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import FastAPI

from segsam_app.dicomweb import relay
from segsam_app.dicomweb.relay import replaced
from segsam_app.dicomweb.resources import read_resource
from segsam_app.dicomweb.settings import PacsSettings
from segsam_app.dicomweb.source import ResourceKind
from segsam_app.dicomweb.store import DicomWebStore
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.routes import dicomweb_proxy
from segsam_app.web.error_handlers import HANDLED, error_response

STUDY, SERIES, INSTANCE = "1.2.840.1", "1.2.840.2", "1.2.840.3"
INSTANCE_PATH = f"studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
LOGIN = ("reader", "a-password-for-the-tests")
MOST_BYTES = 300_000


@dataclass
class Seen:
    """One request that reached the server."""

    line: str
    headers: dict[str, str]


class Upstream(ThreadingHTTPServer):
    """Small DICOMweb server; `behaviour` chooses how it answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.behaviour = "well"
        self.elsewhere = ""
        self.may_go_on = threading.Event()
        self.hung_up = threading.Event()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up here; that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        server = self.server
        server.seen.append(Seen(f"{self.command} {self.path}", dict(self.headers.items())))
        how, _, value = server.behaviour.partition(":")
        if how == "silent":
            server.may_go_on.wait(10)
        elif how == "status":
            extra = {"Location": server.elsewhere} if value.startswith("3") else {}
            body = b"" if value == "204" else b"[]"
            self._send(int(value), "application/dicom+json", body, extra)
        elif how == "closed" and len(server.seen) == 2:  # on the connection of the first
            self.connection.shutdown(socket.SHUT_RDWR)
        elif how == "type":
            self._send(200, value, b"<script>alert(1)</script>")
        elif how == "large":
            self._start(200, "application/octet-stream", {"Content-Length": str(MOST_BYTES + 1)})
        elif how in ("endless", "step"):
            self._chunks(wait_after_first=how == "step")
        elif how == "broken":
            self._start(200, "application/dicom", {"Content-Length": "1000"})
            self.wfile.write(b"DICM")
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(200, *self._content())

    do_POST = do_GET  # noqa: N815

    def _content(self) -> tuple[str, bytes]:
        if "/frames/" in self.path:
            return "multipart/related; type=application/octet-stream; boundary=x", b"--x\r\n\0\1"
        uri = f"{self.server.root}/{INSTANCE_PATH}/bulk/00420011"
        return "application/dicom+json", json.dumps([{"00420011": {"BulkDataURI": uri}}]).encode()

    def _start(self, status: int, kind: str, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Set-Cookie": "session=1", **extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(
        self, status: int, kind: str, body: bytes, extra: dict[str, str] | None = None
    ) -> None:
        self._start(status, kind, {"Content-Length": str(len(body)), **(extra or {})})
        self.wfile.write(body)

    def _chunks(self, *, wait_after_first: bool) -> None:
        self._start(200, "application/octet-stream", {"Transfer-Encoding": "chunked"})
        try:
            for number in range(1000):
                self.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n")
                if wait_after_first and number == 0:
                    self.server.may_go_on.wait(10)
        except OSError:
            self.server.hung_up.set()


@contextmanager
def upstream_server() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.may_go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Proxy:
    """The proxy and the server behind it."""

    port: int
    upstream: Upstream
    stores: list[Any] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}/proxy/dicom/{path}"
        return requests.get(url, timeout=20, allow_redirects=False, **more)

    def raw(self, method: str, target: str) -> tuple[int, bytes]:
        """Send a request whose target is not normalised by anything."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, target, skip_host=True)
            connection.putheader("Host", f"127.0.0.1:{self.port}")
            connection.endheaders()
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with upstream_server() as upstream, pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("proxy")
        settings = PacsSettings(
            url=upstream.root, folder=folder, seconds=1, series_bytes=MOST_BYTES, login=LOGIN
        )
        stores: list[Any] = [DicomWebStore(settings, on_image=lambda _: None)]
        app_of = SimpleNamespace(datastore=lambda: stores[-1])
        patch.setattr(dicomweb_proxy, "app_instance", lambda: app_of)
        app = FastAPI()
        app.include_router(dicomweb_proxy.router)
        for kind in HANDLED:
            app.add_exception_handler(kind, error_response)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Proxy(port, upstream, stores)
        server.should_exit = True
        thread.join()


@pytest.fixture
def proxy(running: Proxy) -> Proxy:
    upstream = running.upstream
    upstream.seen.clear()
    upstream.behaviour, upstream.elsewhere = "well", ""
    upstream.may_go_on.clear()
    upstream.hung_up.clear()
    return running


PATHS = {
    "studies": ResourceKind.STUDIES,
    f"studies/{STUDY}": ResourceKind.RETRIEVE,
    f"studies/{STUDY}/metadata": ResourceKind.METADATA,
    f"studies/{STUDY}/series": ResourceKind.SERIES,
    f"studies/{STUDY}/instances": ResourceKind.INSTANCES,
    f"studies/{STUDY}/series/{SERIES}": ResourceKind.RETRIEVE,
    f"studies/{STUDY}/series/{SERIES}/metadata": ResourceKind.METADATA,
    f"studies/{STUDY}/series/{SERIES}/instances": ResourceKind.INSTANCES,
    f"studies/{STUDY}/series/{SERIES}/thumbnail": ResourceKind.THUMBNAIL,
    INSTANCE_PATH: ResourceKind.RETRIEVE,
    f"{INSTANCE_PATH}/metadata": ResourceKind.METADATA,
    f"{INSTANCE_PATH}/rendered": ResourceKind.RENDERED,
    f"{INSTANCE_PATH}/frames/1": ResourceKind.FRAMES,
    f"{INSTANCE_PATH}/frames/1,2,30": ResourceKind.FRAMES,
    f"{INSTANCE_PATH}/frames/2/rendered": ResourceKind.RENDERED,
    f"{INSTANCE_PATH}/frames/2/thumbnail": ResourceKind.THUMBNAIL,
    f"{INSTANCE_PATH}/bulk/00420011": ResourceKind.BULK_DATA,
    f"{INSTANCE_PATH}/bulkdata/00081140/1/00081150": ResourceKind.BULK_DATA,
}

_NO_FRAMES = ("0", "1,", ",1", "a", "-1", "1-2", "\u0661")
_NO_UIDS = ("..", ".", "1..2", "1.2.", "1.2\n", "1" * 65, "1.2 ", "1.\u0662")
OTHERS = (
    *("", "/", "studies/", "/studies", "//studies", "metadata", "frames/1", "bulk/00420011"),
    *("system", "tools/lookup", "instances/x/file", "app/explorer.html", "studies/x"),
    *(f"studies/{STUDY}/", f"studies/{STUDY}//series", f"studies/{STUDY}/archive"),
    *(f"studies/{STUDY}/series/{SERIES}/frames/1", f"studies/{STUDY}/metadata/x"),
    *(f"{INSTANCE_PATH}/frames/{frames}" for frames in _NO_FRAMES),
    *(f"{INSTANCE_PATH}/frames/1/metadata", f"{INSTANCE_PATH}/frames/1/rendered/x"),
    *(f"{INSTANCE_PATH}/bulk", f"{INSTANCE_PATH}/bulk/..", f"{INSTANCE_PATH}/bulk/../.."),
    *(f"studies/{uid}" for uid in _NO_UIDS),
    *(f"studies/{STUDY}\0", f"studies/{STUDY};x=1", f"studies/{STUDY}?x", f"studies/{STUDY}#x"),
    *(f"studies/{STUDY}@evil.example", "http://evil.example/studies", "studies\\..\\system"),
    *(f"{INSTANCE_PATH}/frames/" + "1," * 2000 + "1", f"studies/{STUDY}/reject/113001^DCM"),
)


class TestTheAllowList:
    @pytest.mark.parametrize(("path", "kind"), PATHS.items())
    def test_paths_of_searches_and_retrievals(self, path: str, kind: ResourceKind) -> None:
        found = read_resource(path, (), "")
        assert (found.kind, found.path) == (kind, path)
        assert (found.study is None) == (path == "studies")

    def test_parts_of_a_path(self) -> None:
        found = read_resource(f"{INSTANCE_PATH}/frames/1,30", (), "image/jpeg")
        assert (found.study, found.series, found.instance) == (STUDY, SERIES, INSTANCE)
        assert (found.frames, found.accept) == ((1, 30), "image/jpeg")

    @pytest.mark.parametrize("path", OTHERS, ids=lambda path: ascii(path)[:60])
    def test_no_other_path(self, path: str) -> None:
        with pytest.raises(NotFoundError, match="expected the path of a DICOMweb"):
            read_resource(path, (), "")

    @pytest.mark.parametrize(
        ("path", "query", "words"),
        [
            ("studies", [("expand", "1")], "the name 'expand'"),
            ("studies", [("", "")], "the name ''"),
            ("studies", [("PatientName.", "x")], "DICOMweb knows"),
            ("studies", [("limit", "-1")], "limit to be 0 to 999,999,999"),
            ("studies", [("offset", "1e9")], "offset to be 0 to 999,999,999"),
            ("studies", [("PatientID", "x\r\nX-Evil: 1")], "one line"),
            ("studies", [("PatientID", "x" * 1001)], "at most 1000 characters"),
            ("studies", [("PatientID", "x")] * 41, "at most 40 parts"),
            (INSTANCE_PATH, [("PatientID", "x")], "the name 'PatientID'"),
        ],
    )
    def test_no_other_query(self, path: str, query: list[tuple[str, str]], words: str) -> None:
        with pytest.raises(RequestError, match=words):
            read_resource(path, query, "")

    def test_what_ohif_searches_for(self) -> None:
        query = [
            ("limit", "101"),
            ("offset", "0"),
            ("fuzzymatching", "false"),
            ("includefield", "00081030,00080060"),
            ("PatientName", "*Müller^*"),
            ("00100020", "1"),
            ("StudyDate", "20260101-20261231"),
            ("ModalitiesInStudy", "CT"),
        ]
        assert read_resource("studies", query, "").query == tuple(query)

    def test_accept_is_bounded(self) -> None:
        assert read_resource("studies", (), "x" * 1001).accept == ""
        assert read_resource("studies", (), "a\r\nb").accept == ""


_OUT = (
    "..",
    "%2e%2e",
    "%2E.",
    "%252e%252e",
    "..%00",
    "%c0%ae%c0%ae",
    "%u002e%u002e",
    "%ef%bc%8e%ef%bc%8e",
)
TARGETS = (
    *(f"{out}/system" for out in _OUT),
    *(f"{out}%2fsystem" for out in _OUT),
    *(f"{out}%5csystem" for out in _OUT),
    *(f"studies/{STUDY}/{out}/{out}/{out}/system" for out in _OUT),
    *(f"studies/{STUDY}%2f{out}%2f{out}%2fsystem" for out in _OUT),
    "studies/..;/system",
    "studies;/..;/system",
    "..%2ftools%2flookup",
    "%2fsystem",
    "%5c%5cevil.example%5cstudies",
    "http:%2f%2fevil.example%2fstudies",
    "@evil.example/studies",
    f"studies/{STUDY}%0d%0aX-Evil:%201",
    f"studies/{STUDY}%3fx=1",
    f"studies/{STUDY}%23",
)


class TestTraversal:
    @pytest.mark.parametrize("service", ["qido", "wado"])
    def test_nothing_of_it_reaches_the_server(self, proxy: Proxy, service: str) -> None:
        for target in TARGETS:
            status, body = proxy.raw("GET", f"/proxy/dicom/{service}/{target}")
            assert (status, json.loads(body)["code"]) == (404, "not_found"), target
        assert proxy.upstream.seen == []

    @pytest.mark.parametrize(
        "target",
        [
            "/proxy",
            "/proxy/",
            "/proxy/dicom/studies",
            "/proxy/dicom/stow/studies",
            "/proxy/dicom/..%2fqido/studies",
            "/proxy//dicom/qido/studies",
            "/proxy/dicom/QIDO/studies",
        ],
    )
    def test_no_other_service(self, proxy: Proxy, target: str) -> None:
        assert proxy.raw("GET", target)[0] in (404, 307)
        assert proxy.upstream.seen == []

    def test_an_absolute_address_is_no_other_server(self, proxy: Proxy) -> None:
        status, _ = proxy.raw("GET", "http://evil.example/proxy/dicom/qido/studies")
        assert status in (200, 404)
        lines = {seen.line for seen in proxy.upstream.seen}
        assert lines <= {"GET /dicom-web/studies"}


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["qido/studies", "wado/studies", "stow/studies", "anything"])
def test_only_reading(proxy: Proxy, method: str, path: str) -> None:
    url = f"http://127.0.0.1:{proxy.port}/proxy/dicom/{path}"
    reply = requests.request(method, url, data=b"DICM", timeout=20)
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    if method != "HEAD":
        assert reply.json() == {
            "detail": f"expected GET, because the proxy only reads, got {method}",
            "code": "method",
        }
    assert proxy.upstream.seen == []


class TestWhatIsPassedOn:
    def test_the_query_and_our_login(self, proxy: Proxy) -> None:
        theirs = {
            "Authorization": "Bearer of-the-browser",
            "Cookie": "a=b",
            "X-Forwarded-Host": "evil.example",
            "Accept": 'application/dicom+json;q=1, multipart/related; type="x"',
        }
        query = {"PatientName": "*Müller & Söhne*", "limit": "101", "includefield": "all"}
        reply = proxy.get("qido/studies", params=query, headers=theirs)
        assert reply.status_code == 200
        (seen,) = proxy.upstream.seen
        sent = "PatientName=*M%C3%BCller%20%26%20S%C3%B6hne*&limit=101&includefield=all"
        assert seen.line == f"GET /dicom-web/studies?{sent}"
        assert seen.headers["Authorization"] == requests.auth._basic_auth_str(*LOGIN)
        assert seen.headers["Accept"] == theirs["Accept"]
        assert seen.headers["Host"] == proxy.upstream.root.split("/")[2]
        assert not {"Cookie", "X-Forwarded-Host", "Origin"} & seen.headers.keys()
        assert "set-cookie" not in reply.headers
        assert reply.headers["cache-control"] == "no-store"

    def test_no_cookie_of_the_server_is_kept(self, proxy: Proxy) -> None:
        proxy.get("qido/studies")
        proxy.get("qido/studies")
        assert all("Cookie" not in seen.headers for seen in proxy.upstream.seen)

    def test_the_servers_own_address_becomes_ours(self, proxy: Proxy) -> None:
        reply = proxy.get(f"wado/{INSTANCE_PATH}/metadata")
        uri = reply.json()[0]["00420011"]["BulkDataURI"]
        assert uri == f"/proxy/dicom/wado/{INSTANCE_PATH}/bulk/00420011"
        assert proxy.get(f"wado/{uri.partition('/wado/')[2]}").status_code == 200

    def test_frames_are_unchanged(self, proxy: Proxy) -> None:
        reply = proxy.get(f"wado/{INSTANCE_PATH}/frames/1")
        assert reply.content == b"--x\r\n\0\1"
        assert reply.headers["content-type"].startswith("multipart/related; type=")
        assert reply.headers["content-length"] == "7"

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_an_address_is_replaced_wherever_a_chunk_ends(self, size: int) -> None:
        text = b"http://a/b http://a/http://a/b" + b"x" * 9 + b"http://a/"
        chunks = (text[at : at + size] for at in range(0, len(text), size))
        assert b"".join(replaced(chunks, "http://a/b", "/c")) == text.replace(b"http://a/b", b"/c")


class TestABadServer:
    @pytest.mark.parametrize(
        ("behaviour", "status", "words"),
        [
            ("status:400", 400, "does not accept this query"),
            ("status:401", 502, "refuses this server's user or token"),
            ("status:404", 404, "found nothing"),
            ("status:500", 502, "status 500"),
            ("status:503", 503, "status 503"),
            ("type:text/html", 502, "got 'text/html'"),
            ("type:image/svg+xml", 502, "got 'image/svg+xml'"),
            ("type:text/javascript", 502, "got 'text/javascript'"),
            ('type:multipart/related; type="text/html"', 502, "got 'text/html'"),
            ("large", 413, "setting dicomweb_megabytes"),
            ("silent", 504, "did not answer for 1 s"),
        ],
    )
    def test_a_sentence(self, proxy: Proxy, behaviour: str, status: int, words: str) -> None:
        proxy.upstream.behaviour = behaviour
        reply = proxy.get("qido/studies")
        assert reply.status_code == status
        assert words in reply.json()["detail"]
        assert proxy.upstream.root not in reply.text

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, proxy: Proxy, status: int) -> None:
        with upstream_server() as other:
            proxy.upstream.behaviour = f"status:{status}"
            proxy.upstream.elsewhere = f"{other.root}/studies"
            reply = proxy.get("qido/studies")
            assert (reply.status_code, other.seen) == (502, [])
            assert "not followed" in reply.json()["detail"]
            assert "location" not in reply.headers

    def test_nothing_found_has_no_body(self, proxy: Proxy) -> None:
        proxy.upstream.behaviour = "status:204"
        assert (proxy.get("qido/studies").status_code, len(proxy.upstream.seen)) == (204, 1)

    @pytest.mark.parametrize("behaviour", ["endless", "broken"])
    def test_an_answer_that_is_cut_is_not_taken_for_a_whole_one(
        self, proxy: Proxy, behaviour: str
    ) -> None:
        proxy.upstream.behaviour = behaviour
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            assert proxy.get(f"wado/{INSTANCE_PATH}").status_code == 200

    def test_a_kept_connection_that_was_closed_is_made_anew(self, proxy: Proxy) -> None:
        proxy.upstream.behaviour = "closed"
        assert [proxy.get("qido/studies").status_code for _ in range(2)] == [200, 200]
        assert len(proxy.upstream.seen) == 3

    def test_bodies_stream(self, proxy: Proxy) -> None:
        """The first bytes arrive before the server has sent the next ones."""
        proxy.upstream.behaviour = "step"
        with proxy.get(f"wado/{INSTANCE_PATH}", stream=True) as reply:
            assert reply.raw.read1(16)
            assert not proxy.upstream.may_go_on.is_set()

    def test_a_viewer_that_leaves_ends_the_answer(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = proxy.stores[-1]
        large = store.relay._settings.model_copy(update={"series_bytes": 1 << 40})
        monkeypatch.setattr(store.relay, "_settings", large)
        proxy.upstream.behaviour = "step"
        with proxy.get(f"wado/{INSTANCE_PATH}", stream=True) as reply:
            reply.raw.read1(16)
        proxy.upstream.may_go_on.set()
        assert proxy.upstream.hung_up.wait(10)

    def test_a_server_that_drips_is_given_up(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay, "_SECONDS", -1)
        proxy.upstream.behaviour = "endless"
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            proxy.get(f"wado/{INSTANCE_PATH}")

    def test_a_server_that_is_away(self, proxy: Proxy, tmp_path: Path) -> None:
        settings = PacsSettings(url="http://127.0.0.1:9/dicom-web", folder=tmp_path, seconds=1)
        proxy.stores.append(DicomWebStore(settings, on_image=lambda _: None))
        reply = proxy.get("qido/studies")
        proxy.stores.pop()
        assert (reply.status_code, reply.json()["code"]) == (503, "pacs")
        assert "cannot be reached" in reply.json()["detail"]


def test_a_store_of_another_kind_has_no_source(proxy: Proxy) -> None:
    proxy.stores.append(object())
    reply = proxy.get("qido/studies")
    proxy.stores.pop()
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert "not offered to a viewer" in reply.json()["detail"]
