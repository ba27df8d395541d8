"""Text encoders: the endpoint's protocol against a real server, and every way it can fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segsam.categories import Categories
from segsam.categories.providers import (
    EndpointEncoder,
    LocalEncoder,
    TextEncoder,
    check_encoder,
    create_encoder,
)
from segsam.errors import CategoryError

TEXTS = [f"Text number {number}." for number in range(70)]


@pytest.fixture
def endpoint(embeddings_server: Any) -> EndpointEncoder:
    return EndpointEncoder(embeddings_server.url, "a-model", "secret", read_timeout_s=5)


def test_the_answer_is_unit_vectors_in_the_order_of_the_texts(
    endpoint: EndpointEncoder, embeddings_server: Any
) -> None:
    rows = endpoint.embed(TEXTS)
    assert rows.shape == (70, 12)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    alone = np.concatenate([endpoint.embed([text]) for text in TEXTS[62:66]])
    assert np.array_equal(rows[62:66], alone)
    first = embeddings_server.requests[0]
    assert first["path"] == "/v1/embeddings"
    assert first["authorization"] == "Bearer secret"
    assert first["body"]["model"] == endpoint.name == "a-model"
    assert [len(request["body"]["input"]) for request in embeddings_server.requests[:2]] == [64, 6]


def test_the_full_address_may_be_given_and_the_key_left_out(
    embeddings_server: Any,
) -> None:
    encoder = EndpointEncoder(embeddings_server.url + "/embeddings", "a-model")
    assert encoder.embed(["x"]).shape == (1, 12)
    assert embeddings_server.requests[0]["path"] == "/v1/embeddings"
    assert embeddings_server.requests[0]["authorization"] is None


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("refuse", "at 127.0.0.1 refused with status 401"),
        ("redirect", "at 127.0.0.1 refused with status 302"),
        ("html", "expected 1 embeddings, got another answer"),
        ("nothing", "expected 1 embeddings, got another answer"),
        ("too_many", "expected 1 embeddings, got another answer"),
        ("words", "expected 1 embeddings, got another answer"),
        ("not_finite", "expected 1 embeddings, got another answer"),
        ("empty", "expected 1 embeddings, got another answer"),
    ],
)
def test_a_wrong_answer_is_refused(
    endpoint: EndpointEncoder, embeddings_server: Any, mode: str, sentence: str
) -> None:
    embeddings_server.mode = mode
    with pytest.raises(CategoryError, match=sentence) as caught:
        endpoint.embed(["x"])
    assert "secret" not in str(caught.value)


def test_embeddings_of_different_lengths_are_refused(
    endpoint: EndpointEncoder, embeddings_server: Any
) -> None:
    embeddings_server.mode = "ragged"
    with pytest.raises(CategoryError, match="embeddings of different lengths"):
        endpoint.embed(["x", "y"])


def test_a_silent_server_is_given_up(embeddings_server: Any) -> None:
    embeddings_server.mode = "silent"
    encoder = EndpointEncoder(embeddings_server.url, "a-model", read_timeout_s=0.2)
    with pytest.raises(CategoryError, match=r"at 127.0.0.1 did not answer in time"):
        encoder.embed(["x"])


def test_an_absent_server_is_said(embeddings_server: Any) -> None:
    embeddings_server.close()
    encoder = EndpointEncoder(embeddings_server.url, "a-model")
    with pytest.raises(CategoryError, match=r"cannot be reached\."):
        encoder.embed(["x"])


def test_a_key_does_not_travel_in_the_open() -> None:
    EndpointEncoder("https://example.org/v1", "m", "secret")
    EndpointEncoder("http://example.org/v1", "m")
    with pytest.raises(CategoryError, match="over https only, or to this machine"):
        EndpointEncoder("http://example.org/v1", "m", "secret")
    assert "secret" not in repr(EndpointEncoder("https://example.org/v1", "m", "secret"))


@pytest.mark.parametrize("url", ["", "example.org", "ftp://example.org", "https://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(CategoryError, match="Expected an http:// or https:// address"):
        EndpointEncoder(url, "m")


def test_the_environment_configures_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "MODEL", "KEY"):
        monkeypatch.delenv(f"SEGSAM_EMBEDDINGS_{name}", raising=False)
    with pytest.raises(CategoryError, match="SEGSAM_EMBEDDINGS_URL and SEGSAM_EMBEDDINGS_MODEL"):
        create_encoder("endpoint")
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_URL", "https://example.org/v1")
    with pytest.raises(CategoryError, match="needs SEGSAM_EMBEDDINGS_MODEL in the environment"):
        create_encoder("endpoint")
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_MODEL", "text-embedding-3-small")
    encoder: TextEncoder = create_encoder("endpoint")
    assert encoder == EndpointEncoder("https://example.org/v1", "text-embedding-3-small")
    assert encoder.name == "text-embedding-3-small"


def test_an_unknown_provider_is_refused() -> None:
    assert isinstance(create_encoder("local"), LocalEncoder)
    with pytest.raises(CategoryError, match=r"Expected 'local' or 'endpoint'.*got 'cloud'"):
        create_encoder("cloud")


def test_another_encoder_or_dimension_is_refused(five_categories: Categories) -> None:
    check_encoder(five_categories, "made up for a test")
    check_encoder(five_categories, "made up for a test", 12)
    with pytest.raises(CategoryError, match=r"made up for a test \(12 numbers\).* by other;"):
        check_encoder(five_categories, "other")
    with pytest.raises(CategoryError, match=r"by made up for a test \(384 numbers\); embeddings"):
        check_encoder(five_categories, "made up for a test", 384)
