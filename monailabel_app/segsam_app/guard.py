"""Guard: installs our middleware, error handlers and routes in MONAI Label's FastAPI app.

`monailabel start_server` imports `monailabel.app:app` itself, so the app is not ours to build; and
our code runs only inside the app's start-up event. By then Starlette has built its middleware
stack (it does so for the very first ASGI call, the start-up event), and `add_middleware` refuses.
But the stack is only an attribute, which the public method `build_middleware_stack` makes from
public lists. So `install` changes the lists and then builds the stack again. Requests pass the new
stack; the start-up call, still running in the old one, is not affected. The app object is still
MONAI Label's, with its log-in and all its other routes. `segsam_app.asgi` installs the same before
the start.

What is installed:

* `GuardMiddleware`: access, limits of bodies, request log, metrics;
* `error_response` for every exception, so there is no bare 500;
* limits of connections (`web/connections.py`);
* our routes before MONAI Label's, because Starlette takes the first that matches: inference,
  uploads, sessions, tasks, versions, taught names, DICOMweb, pages, monitoring, and MONAI Label's
  other routes run in worker threads (`routes/monai_label.py`).

MONAI Label's CORS middleware, which admits every web page, is removed unless the operator named
pages in MONAI_LABEL_CORS_ORIGINS. The start-up rule (`web/startup.py`) is checked as well.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from starlette.middleware import Middleware

from segsam.errors import SegSamError
from segsam_app.limits import Limits
from segsam_app.routes import (
    datastore,
    dicomweb,
    dicomweb_proxy,
    drafts,
    infer,
    memory,
    session,
    tasks,
    versions,
    viewer,
)
from segsam_app.routes.monai_label import threaded_routes
from segsam_app.routes.monitoring import monitoring_routes
from segsam_app.routes.pages import OHIF, page_routes
from segsam_app.web import connections, request_log, startup
from segsam_app.web.access import AccessRules, allowed_hosts, read_token
from segsam_app.web.error_handlers import HANDLED, error_response
from segsam_app.web.metrics import Metrics
from segsam_app.web.middleware import GuardMiddleware


def read_rules() -> tuple[AccessRules, Limits]:
    """Return access rules and limits, from the settings, the environment and the command line of
    this process.

    Raises `ConfigError` for an invalid setting. Ends the process if it would listen to other
    computers without a token.
    """
    limits = Limits.read(settings.MONAI_LABEL_APP_CONF)
    token, bound = read_token(), startup.bound_address()
    problem = startup.start_problem(bound, token)
    if problem is not None:
        startup.exit_with(problem)
    origins = frozenset(str(page).rstrip("/") for page in settings.MONAI_LABEL_CORS_ORIGINS)
    page = settings.MONAI_LABEL_API_STR + OHIF
    return AccessRules(token, allowed_hosts(bound, limits.hosts), origins, page), limits


def install(app: FastAPI) -> None:
    """Install the guard in MONAI Label's `app`; a second call has no effect. An invalid setting
    ends the process with a sentence.
    """
    if any(_is(layer, GuardMiddleware) for layer in app.user_middleware):
        return
    try:
        access, limits = read_rules()
    except SegSamError as error:
        startup.exit_with(str(error))
    metrics = Metrics()
    _prepend_routes(app, metrics, limits)
    for kind in HANDLED:
        app.add_exception_handler(kind, error_response)
    others = [layer for layer in app.user_middleware if not _is_open_cors(layer)]
    guard = Middleware(
        GuardMiddleware,
        access=access,
        limits=limits,
        metrics=metrics,
        prefix=settings.MONAI_LABEL_API_STR,
    )
    app.user_middleware[:] = [guard, *others]
    app.middleware_stack = app.build_middleware_stack()
    request_log.configure()
    connections.limit(limits.body_seconds)


def _prepend_routes(app: FastAPI, metrics: Metrics, limits: Limits) -> None:
    routers: list[APIRouter] = [
        infer.router,
        datastore.router,
        session.router,
        drafts.router,
        tasks.router,
        versions.router,
        memory.router,
        dicomweb.router,
        dicomweb_proxy.router,
        monitoring_routes(metrics),
        viewer.router,
        page_routes(app),
        threaded_routes(limits.routes),
    ]
    app.router.routes[:0] = [route for router in routers for route in router.routes]


def _is_open_cors(layer: Middleware) -> bool:
    return _is(layer, CORSMiddleware) and not settings.MONAI_LABEL_CORS_ORIGINS


def _is(layer: Middleware, kind: object) -> bool:
    layer_kind: object = layer.cls
    return layer_kind is kind
