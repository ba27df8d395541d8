"""Addresses as people type them."""

from __future__ import annotations

import pytest
from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Values.Address import Address


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("  http://localhost:8000/info/ ", "http://localhost:8000"),
        ("0.0.0.0:8001", "http://127.0.0.1:8001"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("segsam.example.org", "https://segsam.example.org"),
        ("segsam.example.org:8000", "http://segsam.example.org:8000"),
        ("https://segsam.example.org:443/", "https://segsam.example.org"),
        ("https://example.org/segsam/", "https://example.org/segsam"),
        ("http://10.0.0.7:8000/docs", "http://10.0.0.7:8000"),
    ],
)
def test_what_is_typed_becomes_an_address(typed: str, url: str) -> None:
    assert Address.parse(typed).url == url
    assert Address.parse(url).url == url


@pytest.mark.parametrize(
    "typed",
    ["", "   ", "ftp://example.org", "http://", "a b", "http://host:99999", "host:port", "a\nb"],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ClientError, match="such as http"):
        Address.parse(typed)


@pytest.mark.parametrize("typed", ["http://user:pass@host:1", "host:1/?token=x", "host:1/#a"])
def test_secrets_do_not_belong_into_it(typed: str) -> None:
    with pytest.raises(ClientError, match="in its own field"):
        Address.parse(typed)


@pytest.mark.parametrize(
    ("typed", "loopback", "unencrypted"),
    [
        ("localhost", True, False),
        ("127.0.0.9:1", True, False),
        ("[::1]:1", True, False),
        ("https://example.org", False, False),
        ("http://example.org", False, True),
        ("localhost.example.org", False, False),
    ],
)
def test_who_can_listen(typed: str, *, loopback: bool, unencrypted: bool) -> None:
    address = Address.parse(typed)
    assert address.is_loopback is loopback
    assert address.is_unencrypted is unencrypted
