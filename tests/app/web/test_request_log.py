"""One line of JSON per request."""

from __future__ import annotations

import json
import logging

import pytest

from segsam_app.web.request_log import LOGGER, RequestRecord, configure, write


def test_a_line_is_json(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger(LOGGER)
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, LOGGER)
    write(RequestRecord("n1", "PUT", "/session/", 503, 12, 40, 1.5))
    log.removeHandler(caplog.handler)
    entry = json.loads(caplog.messages[-1])
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "request": "n1",
        "method": "PUT",
        "route": "/session/",
        "status": 503,
        "bytes_in": 12,
        "bytes_out": 40,
        "ms": 1.5,
    }


def test_monai_labels_own_request_lines_are_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)  # with a root at DEBUG, MONAI Label's lines would be written
    for name in ("monailabel", "monailabel.endpoints", "monailabel.datastore"):
        caplog.set_level(logging.NOTSET, name)
    configure()
    handlers = list(logging.getLogger(LOGGER).handlers)
    configure()
    assert handlers
    assert logging.getLogger(LOGGER).handlers == handlers
    assert not logging.getLogger("monailabel.endpoints.infer").isEnabledFor(logging.INFO)
    assert not logging.getLogger("monailabel.endpoints.datastore").isEnabledFor(logging.INFO)
    assert logging.getLogger("segsam_app.inference.infer").level == logging.NOTSET
