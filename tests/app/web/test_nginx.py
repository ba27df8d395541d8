"""The nginx configuration of docs/operator.md, in a real nginx in front of a server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from ..conftest import NAME, ROOT, TOKEN, free_port

_AROUND = """
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
daemon off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{block}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """Running nginx on loopback, with a certificate of its own."""

    url: str
    certificate: Path

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Host": NAME, "Authorization": f"Bearer {TOKEN}", **more.pop("headers", {})}
        headers = {key: value for key, value in headers.items() if value}
        return requests.request(
            method,
            f"{self.url}{path}",
            headers=headers,
            verify=str(self.certificate),
            timeout=30,
            **more,
        )


def documented() -> str:
    """Return the block of docs/operator.md."""
    page = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


def put(text: str, old: str, new: str) -> str:
    """Return `text` with `old`, which must be there, replaced."""
    assert old in text, f"the page no longer has {old!r}"
    return text.replace(old, new)


@pytest.fixture(scope="module")
def proxy(tight: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    nginx, openssl = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("nginx or openssl is not installed (apt-get install nginx-light openssl)")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    certificate, key = folder / "cert.pem", folder / "key.pem"
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={NAME}"]
    subprocess.run([*command, "-addext", names], check=True, capture_output=True)
    block = put(documented(), "listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    block = put(block, "/etc/ssl/certs/ct.example.org.pem", str(certificate))
    block = put(block, "/etc/ssl/private/ct.example.org.key", str(key))
    block = put(block, "http://127.0.0.1:8000", tight.url)
    block = put(block, "client_max_body_size    1024m", "client_max_body_size 2m")
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # the owner of the test's folder
    configuration.write_text(_AROUND.format(user=user, folder=folder, block=block))
    process = subprocess.Popen(
        [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    )
    made = Proxy(f"https://127.0.0.1:{port}", certificate)
    try:
        _wait(made, process, folder)
        yield made
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(made: Proxy, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            made.ask("GET", "/segsam/health")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"nginx did not start:\n{(folder / 'error.log').read_text()[-2000:]}")


def test_the_server_is_reached_by_its_name_with_its_token(proxy: Proxy) -> None:
    answer = proxy.ask("GET", "/info/")
    assert answer.status_code == 200
    assert answer.json()["name"] == "SEG-SAM"
    assert answer.headers["x-request-id"]


def test_without_the_token_a_request_is_refused(proxy: Proxy) -> None:
    answer = proxy.ask("GET", "/info/", headers={"Authorization": ""})
    assert answer.status_code == 401


def test_another_name_is_refused(proxy: Proxy) -> None:
    answer = proxy.ask("GET", "/info/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "does not go by the name" in answer.json()["detail"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_plain_http_and_old_tls_are_refused(proxy: Proxy) -> None:
    plain = requests.get(proxy.url.replace("https", "http"), timeout=10)
    assert plain.status_code == 400
    old = ssl.create_default_context(cafile=str(proxy.certificate))
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = "127.0.0.1", int(proxy.url.rpartition(":")[2])
    with socket.create_connection((host, port)) as wire, pytest.raises(ssl.SSLError):
        old.wrap_socket(wire, server_hostname=host)


def test_uploads_go_through_up_to_the_limit(proxy: Proxy, tight: Any) -> None:
    image = (tight.studies / "straight.nii.gz").read_bytes()
    made = proxy.ask("PUT", "/session/", files={"files": ("x.nii.gz", image)})
    assert made.status_code == 200
    assert proxy.ask("DELETE", f"/session/{made.json()['session_id']}").ok
    for size in (1 << 20, 3 << 20):  # the server's limit, then nginx's
        answer = proxy.ask("PUT", "/session/", files={"files": ("x.nii", bytes(size + 4096))})
        assert answer.status_code == 413
