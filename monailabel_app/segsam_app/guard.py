"""What stands between the network and MONAI Label, put in while the server starts.

`monailabel start_server` imports `monailabel.app:app` itself, and middleware cannot be added once
Starlette has built its stack, which it does for the very first call, the start-up one. But the
stack is only an attribute, built by a public method from public lists: register first, then build
it again. Requests go through the new stack; the start-up call that is still running in the old one
does not notice. It is MONAI Label's own app object, so its CORS, its log-in and its other routes
stay as they are, and everything here stands inside Starlette's `ServerErrorMiddleware`.

Two things go in:

* every exception is answered by `replies.answer`: no bare 500;
* our `POST /infer/{model}` (`routes.py`) comes before MONAI Label's, which lets the form field
  override the image, opens any path on the server, leaves its upload behind when something fails,
  and blocks the event loop.
"""

from __future__ import annotations

from fastapi import FastAPI

from . import routes
from .replies import HANDLED, answer


def install(app: FastAPI) -> None:
    """Put the guard into MONAI Label's `app`; a second call changes nothing."""
    if any(route in app.router.routes for route in routes.router.routes):
        return
    app.router.routes[:0] = routes.router.routes
    for kind in HANDLED:
        app.add_exception_handler(kind, answer)
    app.middleware_stack = app.build_middleware_stack()
