"""ASGI application with the guard installed before the server starts, for
`monailabel start_server --uvicorn_app segsam_app.asgi:app` and for `uvicorn segsam_app.asgi:app`.

A plain `monailabel start_server` installs the same guard during its start (`guard.py`).
"""

from __future__ import annotations

from monailabel.app import app

from segsam_app import guard

guard.install(app)

__all__ = ["app"]
