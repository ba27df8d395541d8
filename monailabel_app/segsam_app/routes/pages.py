"""Pages that a browser shows: the list of routes, and the OHIF viewer, with nothing of other sites.

MONAI Label's pages load scripts, styles and fonts from other sites, which then see who works with
this server. Its list of routes (`/`, `/docs`) is replaced by one without scripts; references to
other sites are taken out of OHIF's page and styles. The content policy that every reply carries
(OHIF's here, that of all others in `web/middleware.py`) makes the browser refuse what is left.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from monailabel import endpoints
from monailabel.config import settings
from monailabel.utils.others.generic import get_mime_type
from starlette.concurrency import run_in_threadpool

from segsam_app.errors import NotFoundError
from segsam_app.routes.roles import AnyUser

OHIF = "/ohif"
"""Path of the viewer. Its files are the same for everybody and hold nothing of a patient."""
_OTHER_SITES = {
    ".html": re.compile(r"<link\b[^>]*\bhref=[\"']?https?://[^>]*>", re.I),
    ".css": re.compile(r"@import\s+(url\()?[\"']?https?://[^;]*;", re.I),
}
"""References to other sites that load something, by the ending of the file."""
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.S)
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "connect-src": "'self' blob: data:",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "font-src": "'self' data:",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'self'",
}
"""Content-Security-Policy of OHIF's page: a browser loads from this server alone, and sends nothing
elsewhere. Of scripts within the page, only those run that are in the installed one."""
_METHODS = ("get", "put", "post", "delete", "patch")
_STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto}code{font-weight:bold}"


def page_routes(app: FastAPI) -> APIRouter:
    """Return a router with the pages of an app, whose description gets the token as a header."""
    router = APIRouter()
    setattr(app, "openapi", functools.partial(_description, app.openapi))  # noqa: B010 - a method

    @router.get("/docs", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    async def routes_page() -> HTMLResponse:
        return HTMLResponse(_routes_page(app.openapi()))

    @router.get(settings.MONAI_LABEL_API_STR + OHIF + "/{path:path}", include_in_schema=False)
    async def ohif(path: str, user: AnyUser) -> Response:
        return await run_in_threadpool(_ohif_file, path)

    return router


def _description(describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI description with the token as a header. MONAI Label describes it as a
    part of the address, where logs would keep it and this server refuses it.
    """
    spec = describe()
    for methods in spec["paths"].values():
        for route in methods.values():
            given = route.get("parameters", ())
            kept = [each for each in given if (each["in"], each["name"]) != ("query", "token")]
            route["parameters"] = kept
    schemes = spec.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["token"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "The header Authorization: Bearer <token>, if the server has a token.",
    }
    spec["security"] = [{}, {"token": []}]
    return spec


def _ohif_file(path: str) -> Response:
    """Return a file of OHIF, or its page for a path that is no file's and no folder's; without what
    other sites deliver.
    """
    files = _ohif_files()
    folder = f"{path.rstrip('/')}/"
    is_page = "." not in path and not any(name.startswith(folder) for name in files)
    file = files.get(path) or (files.get("index.html") if is_page else None)
    if file is None:
        raise NotFoundError(f"the viewer OHIF has no file {path!r:.120} in this installation")
    kind, pattern = get_mime_type(file), _OTHER_SITES.get(file.suffix)
    headers = {"Content-Security-Policy": _ohif_policy(is_script=file.suffix == ".js")}
    if pattern is None:
        return FileResponse(file, media_type=kind, headers=headers)
    text = pattern.sub("", file.read_text(encoding="utf-8"))
    return Response(text, media_type=kind, headers=headers)


@functools.cache
def _ohif_policy(*, is_script: bool) -> str:
    """Return the policy of the page, with the digests of the scripts within it; or that of a
    script, which a worker that begins with it has. The worker that decodes images runs decoders
    (WebAssembly) that make code of text; it has no page to change.
    """
    page = _ohif_files().get("index.html")
    text = "" if page is None else page.read_text(encoding="utf-8")
    digests = "".join(
        f" 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(text)
    )
    more = " 'unsafe-eval'" if is_script else digests
    policy = {**_POLICY, "script-src": _POLICY["script-src"] + more}
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())


@functools.cache
def _ohif_files() -> Mapping[str, Path]:
    """Return OHIF's files by their path below `/ohif`: no name of a client reaches the disk."""
    folder = Path(endpoints.__path__[0]) / "static" / "ohif"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def _routes_page(spec: Mapping[str, Any]) -> str:
    """Return the list of routes as HTML, from the OpenAPI description `/openapi.json`."""
    title = html.escape(spec["info"]["title"])
    items = "".join(_items(spec["paths"]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        '<p>As a file for programs: <a href="/openapi.json">/openapi.json</a></p>'
        f"<ul>{items}</ul></body></html>"
    )


def _items(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in sorted(paths.items()):
        for method in (name for name in _METHODS if name in methods):
            route = methods[method]
            names = ", ".join(str(one["name"]) for one in route.get("parameters", ()))
            summary = html.escape(str(route.get("summary", "")))
            takes = f" ({html.escape(names)})" if names else ""
            yield f"<li><code>{method.upper()} {html.escape(path)}</code>{takes}: {summary}</li>"
