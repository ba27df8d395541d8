"""MONAI Label's own routes, run in worker threads, with checked ids and without those that are
switched off.

Every endpoint of MONAI Label is `async def` and calls code that blocks, so one long call would stop
all other requests. None of them awaits anything except, in one place, the body of the request. So
each route is registered once more under the same path, with an endpoint that runs the original in a
worker thread. Starlette takes the first route that matches, and these come first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from monailabel import endpoints
from monailabel.config import settings
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    info,
    model,
    ohif,
    scoring,
    session,
    train,
)
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute

from segsam_app.errors import NotFoundError
from segsam_app.ids import ID_NAMES, checked_id
from segsam_app.limits import SWITCHES
from segsam_app.routes import logs
from segsam_app.strict_json import json_response

Endpoint = Callable[..., Coroutine[Any, Any, Any]]

NO_WHOLE_SLIDES = "whole-slide images are not offered; use POST /infer/segsam"

_MODULES = (
    info,
    model,
    batch_infer,
    train,
    activelearning,
    scoring,
    datastore,
    ohif,
    session,
)


def threaded_routes(switched_on: Collection[str]) -> APIRouter:
    """Return a router with all of MONAI Label's routes that are served; `switched_on` are keys of
    `SWITCHES`.
    """
    router = APIRouter(prefix=settings.MONAI_LABEL_API_STR)

    def add(path: str, methods: Collection[str], endpoint: Endpoint) -> None:
        router.add_api_route(path, endpoint, methods=sorted(methods), include_in_schema=False)

    for route in _own_routes():
        switch = _switch_of(route)
        if switch is None or switch in switched_on:
            add(route.path, route.methods or (), in_thread(route.endpoint))
        else:
            add(route.path, route.methods or (), _switched_off(switch))
    for route in filter(None, map(_api_route, logs.router.routes)):
        endpoint = route.endpoint if "logs" in switched_on else _switched_off("logs")
        add(route.path, route.methods or (), endpoint)
    for path in ("/infer/wsi/{model}", "/infer/wsi_v2/{model}"):
        add(path, ["POST"], _refusing(NO_WHOLE_SLIDES))
    if "reload" not in switched_on:
        add("/reload", ["POST"], _switched_off("reload"))
    return router


def in_thread(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint that checks the ids, runs `endpoint` in a worker thread and returns its
    result as strict JSON.
    """

    @functools.wraps(endpoint)
    async def run(**arguments: Any) -> Response:
        for name, value in arguments.items():
            if name in ID_NAMES and isinstance(value, str):
                checked_id(name, value)
            if isinstance(value, Request):
                await value.body()  # the request caches it, so the original does not have to wait
        return await run_in_threadpool(_respond, endpoint, arguments)

    return run


def _respond(endpoint: Endpoint, arguments: dict[str, Any]) -> Response:
    result = _run_to_end(endpoint(**arguments))
    return result if isinstance(result, Response) else json_response(result)


def _run_to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError(f"{coroutine!r} suspends, so it cannot run outside the event loop")


def _own_routes() -> Iterator[APIRoute]:
    modules = [*_MODULES, *([endpoints.login] if settings.MONAI_LABEL_AUTH_ENABLE else [])]
    for module in modules:
        yield from filter(None, map(_api_route, module.router.routes))


def _api_route(route: BaseRoute) -> APIRoute | None:
    return route if isinstance(route, APIRoute) else None


def _switch_of(route: APIRoute) -> str | None:
    """Return the key of `SWITCHES` that switches a route on, None for a route that is always on."""
    methods = route.methods or set()
    if route.path.startswith("/model/") and methods & {"PUT", "DELETE"}:
        return "model"
    if route.path.startswith("/datastore") and "DELETE" in methods:
        return "delete"
    return None


def _switched_off(switch: str) -> Endpoint:
    return _refusing(
        f"{SWITCHES[switch]} is switched off on this server; its operator can switch it on with "
        f"--conf routes {switch}"
    )


def _refusing(sentence: str) -> Endpoint:
    async def refuse() -> None:
        raise NotFoundError(sentence)

    return refuse
