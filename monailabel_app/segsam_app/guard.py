"""What stands between the network and MONAI Label, put in while the server starts.

`monailabel start_server` imports `monailabel.app:app` itself, and middleware cannot be added once
Starlette has built its stack, which it does for the very first call, the start-up one. But the
stack is only an attribute, built by a public method from public lists: register first, then build
it again. Requests go through the new stack; the start-up call that is still running in the old one
does not notice. It is MONAI Label's own app object, so its log-in and its other routes stay as
they are. `segsam_app.asgi` does the same before the start.

What goes in:

* the door (`door.py`): access, limits of bodies, the journal, the counters;
* every exception is answered by `replies.answer`: no bare 500;
* our routes come before MONAI Label's: inference, uploads, sessions, tasks, and the rest of its own
  in worker threads (`stock_routes.py`);
* MONAI Label's CORS layer, which lets every page of the web in, goes out, unless its operator named
  pages in MONAI_LABEL_CORS_ORIGINS.

With it comes the start-up rule (`startup.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from monailabel.config import settings
from starlette.middleware import Middleware

from segsam.errors import SegSamError
from segsam_app.inference import jobs
from segsam_app.limits import Limits
from segsam_app.routes import dicomweb as dicomweb_routes
from segsam_app.routes import infer as routes
from segsam_app.routes import prefetch as prefetch_routes
from segsam_app.routes import session as session_routes
from segsam_app.routes import stock as stock_routes
from segsam_app.routes import storage as storage_routes
from segsam_app.routes import tasks as order_routes
from segsam_app.routes import training as train_routes
from segsam_app.routes import upload as upload_routes
from segsam_app.routes import versions as version_routes
from segsam_app.routes.watch import watching
from segsam_app.web import request_log as journal
from segsam_app.web import startup
from segsam_app.web.access import Access, own_names, read_token
from segsam_app.web.metrics import Meters
from segsam_app.web.middleware import GuardMiddleware
from segsam_app.web.replies import HANDLED, answer


@dataclass(frozen=True)
class Rules:
    """What the operator decided about requests."""

    access: Access
    limits: Limits


def read_rules() -> Rules:
    """From the settings, the environment and the command line of this process.

    Raises `ConfigError` for a value that cannot be meant; ends the process when it would listen to
    other computers without a token.
    """
    limits = Limits.read(settings.MONAI_LABEL_APP_CONF)
    token, bound = read_token(), startup.bound_address()
    sentence = startup.refusal(bound, token)
    if sentence is not None:
        startup.give_up(sentence)
    origins = frozenset(str(page).rstrip("/") for page in settings.MONAI_LABEL_CORS_ORIGINS)
    return Rules(Access(token, own_names(bound, limits.hosts), origins), limits)


def install(app: FastAPI, rules: Rules | None = None) -> None:
    """Put the guard into MONAI Label's `app`; a second call changes nothing. `rules` are those of
    `read_rules` unless given. A setting that cannot be meant ends the process with a sentence.
    """
    if any(_is(layer, GuardMiddleware) for layer in app.user_middleware):
        return
    try:
        rules = rules or read_rules()
    except SegSamError as error:
        startup.give_up(str(error))
    meters = Meters()
    _put_first(app, meters, rules.limits)
    for kind in HANDLED:
        app.add_exception_handler(kind, answer)
    kept = [each for each in app.user_middleware if _stays(each)]
    door = Middleware(
        GuardMiddleware,
        access=rules.access,
        limits=rules.limits,
        meters=meters,
        prefix=settings.MONAI_LABEL_API_STR,
    )
    app.user_middleware[:] = [door, *kept]
    app.middleware_stack = app.build_middleware_stack()
    journal.open_journal()


def _put_first(app: FastAPI, meters: Meters, limits: Limits) -> None:
    ours: list[APIRouter] = [
        routes.router,
        storage_routes.router,
        upload_routes.router,
        session_routes.router,
        order_routes.router,
        prefetch_routes.router,
        jobs.router,
        train_routes.router,
        version_routes.router,
        dicomweb_routes.router,
        watching(meters),
        stock_routes.shadows(limits.routes),
    ]
    app.router.routes[:0] = [route for router in ours for route in router.routes]


def _stays(layer: Middleware) -> bool:
    return bool(settings.MONAI_LABEL_CORS_ORIGINS) or not _is(layer, CORSMiddleware)


def _is(layer: Middleware, kind: object) -> bool:
    made_by: object = layer.cls
    return made_by is kind
