"""The server's ASGI application with the guard in place from the first moment, for
`monailabel start_server --uvicorn_app segsam_app.asgi:app` and for `uvicorn segsam_app.asgi:app`.

A plain `monailabel start_server` comes to the same guard while it starts (`guard.py`).
"""

from __future__ import annotations

from monailabel.app import app

from segsam_app import guard

guard.install(app)

__all__ = ["app"]
