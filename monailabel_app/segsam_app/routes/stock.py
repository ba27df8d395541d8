"""MONAI Label's own routes, put in front of themselves: in worker threads, with checked ids, and
without those that are switched off.

Every endpoint of MONAI Label is `async def` and calls code that blocks, so that one long call
stops all others. None of them awaits anything but, in one place, the request's body: so each is
registered once more, path for path, with an endpoint that runs the original in a worker thread.
Starlette takes the first route that matches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from monailabel import endpoints
from monailabel.config import settings
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    logs,
    model,
    ohif,
    proxy,
    scoring,
    session,
    train,
)
from starlette.concurrency import run_in_threadpool

from segsam_app.errors import NotFoundError
from segsam_app.ids import ID_NAMES, checked_id
from segsam_app.limits import SWITCHES
from segsam_app.web.replies import plain

Endpoint = Callable[..., Coroutine[Any, Any, Any]]

_MODULES = (
    info,
    model,
    batch_infer,
    train,
    activelearning,
    scoring,
    datastore,
    logs,
    ohif,
    proxy,
    session,
)
_NEVER = "whole-slide images are not offered; use POST /infer/segsam"


def shadows(switched_on: Collection[str]) -> APIRouter:
    """A router with all routes of MONAI Label's that are served; keys of `SWITCHES` in
    `switched_on` are on.
    """
    router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)
    for route in _stock():
        methods = sorted(route.methods or ())
        switch = _switch_of(route)
        is_off = switch is not None and switch not in switched_on
        endpoint = _off(_sentence(switch or "")) if is_off else in_thread(route.endpoint)
        router.add_api_route(route.path, endpoint, methods=methods, include_in_schema=False)
    for path in ("/infer/wsi/{model}", "/infer/wsi_v2/{model}"):
        router.add_api_route(path, _off(_NEVER), methods=["POST"], include_in_schema=False)
    if "reload" not in switched_on:
        sentence = _sentence("reload")
        router.add_api_route("/reload", _off(sentence), methods=["POST"], include_in_schema=False)
    return router


def in_thread(endpoint: Endpoint) -> Endpoint:
    """`endpoint` with its ids checked, run in a worker thread, its answer in strict JSON."""

    @functools.wraps(endpoint)
    async def run(**given: Any) -> Response:
        for name, value in given.items():
            if name in ID_NAMES and isinstance(value, str):
                checked_id(name, value)
            if isinstance(value, Request):
                await value.body()  # it is kept in the request, so the original need not wait
        return await run_in_threadpool(_answered, endpoint, given)

    return run


def _answered(endpoint: Endpoint, given: dict[str, Any]) -> Response:
    answer = _driven(endpoint(**given))
    return answer if isinstance(answer, Response) else JSONResponse(jsonable_encoder(plain(answer)))


def _driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that never waits returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError(f"{coroutine!r} waits, so it cannot run outside the event loop")


def _stock() -> Iterator[APIRoute]:
    modules = [*_MODULES, *([endpoints.login] if settings.MONAI_LABEL_AUTH_ENABLE else [])]
    for module in modules:
        yield from (route for route in module.router.routes if isinstance(route, APIRoute))


def _switch_of(route: APIRoute) -> str | None:
    """The key of `SWITCHES` that a stock route hangs on."""
    methods = route.methods or set()
    if route.path.startswith("/model/") and methods & {"PUT", "DELETE"}:
        return "model"
    if route.path.startswith("/datastore") and "DELETE" in methods:
        return "delete"
    first = route.path.split("/")[1]
    return first if first in ("logs", "proxy") else None


def _sentence(switch: str) -> str:
    return (
        f"{SWITCHES.get(switch, switch)} is switched off on this server; its operator can switch "
        f"it on with --conf routes {switch}"
    )


def _off(sentence: str) -> Endpoint:
    async def refuse() -> None:
        raise NotFoundError(sentence)

    return refuse
