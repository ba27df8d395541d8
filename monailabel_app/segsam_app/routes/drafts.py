"""Routes for drafts: unsaved work that survives a crash of its user's program.

PUT    /segsam/draft/{content}    replace the draft of an image: a JSON object with `format`, the
                                  number of the client's format, of at most 4 MB
GET    /segsam/draft/{content}    the draft; 404 if there is none, 410 if it was damaged
DELETE /segsam/draft/{content}    delete it
DELETE /segsam/draft              delete all drafts of this user

`content` is the SHA-256 of the image by which the client knows it again. A draft belongs to the
user of MONAI Label's log-in. Without a log-in all users have the same token: the header
`X-Draft-Key` then says whose draft it is. It is a random text of 16 to 128 letters, digits, `-` and
`_`, which a client makes once for itself and tells nobody else.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from monailabel.config import settings
from monailabel.interfaces.utils.app import app_instance
from starlette.concurrency import run_in_threadpool

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.sessions import require_sessions
from segsam_app.routes.fields import FIELDS_ONCE
from segsam_app.routes.roles import AnyUser
from segsam_app.storage.drafts import DraftFolder

router = APIRouter(prefix=settings.MONAI_LABEL_API_STR, dependencies=FIELDS_ONCE)

DraftKey = Annotated[str, Header(alias="X-Draft-Key")]
_KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")
_BODY = {"requestBody": {"content": {"application/json": {}}, "required": True}}


@router.put("/segsam/draft/{content}", status_code=204, openapi_extra=_BODY)
async def put_draft(
    content: str, http: Request, user: AnyUser, draft_key: DraftKey = ""
) -> Response:
    """Replace the draft of an image."""
    drafts, key = _drafts(), _user_key(user.username, draft_key)
    body = await http.body()
    await run_in_threadpool(drafts.write, key, content, body)
    return Response(status_code=204)


@router.get("/segsam/draft/{content}")
def get_draft(content: str, user: AnyUser, draft_key: DraftKey = "") -> JSONResponse:
    """Return the draft of an image, as its client sent it."""
    return JSONResponse(_drafts().read(_user_key(user.username, draft_key), content))


@router.delete("/segsam/draft/{content}", status_code=204)
def delete_draft(content: str, user: AnyUser, draft_key: DraftKey = "") -> Response:
    """Delete the draft of an image, if there is one."""
    _drafts().delete(_user_key(user.username, draft_key), content)
    return Response(status_code=204)


@router.delete("/segsam/draft", status_code=204)
def delete_drafts(user: AnyUser, draft_key: DraftKey = "") -> Response:
    """Delete all drafts of a user."""
    _drafts().delete(_user_key(user.username, draft_key))
    return Response(status_code=204)


def _drafts() -> DraftFolder:
    app = app_instance()
    require_sessions(app.sessions())
    if not app.limits.drafts:
        raise NotFoundError("drafts are switched off on this server (setting drafts)")
    drafts: DraftFolder = app.drafts
    return drafts


def _user_key(username: str, draft_key: str) -> str:
    """Return a text that is another one for each user."""
    if settings.MONAI_LABEL_AUTH_ENABLE:
        return f"user {username}"
    if not _KEY.fullmatch(draft_key):
        raise RequestError(
            "expected the header X-Draft-Key with 16 to 128 letters, digits, - or _, got "
            f"{draft_key!a:.80}"
        )
    return f"key {draft_key}"
