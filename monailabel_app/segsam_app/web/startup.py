"""The start-up rule: a server that other computers can reach has a token, or does not start.

MONAI Label tells an app neither its address nor its command line, and its own default is every
network interface. But the process has one command line, and both ways of starting read the address
from it with a parser of their own, which is asked again here: `monailabel start_server --host`
(with or without `--uvicorn_app`) and `uvicorn --host`. Another program that runs the app knows the
address and we do not: then the rule is held for each connection (`access.py`), by the address at
which it arrived.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import NoReturn

import uvicorn
from monailabel.main import Main

from segsam_app.web.access import is_loopback

logger = logging.getLogger(__name__)

EXIT_STATUS = 2


def bound_address(argv: Sequence[str] | None = None) -> str | None:
    """The address that the command line of this process names, "unix" for a local socket; None
    when it is neither MONAI Label's nor uvicorn's.
    """
    program, *rest = sys.argv if argv is None else argv
    if "start_server" in rest[:1]:
        return str(Main().args_parser().parse_known_args(rest)[0].host)
    if "uvicorn" in (PurePath(program).stem, PurePath(program).parent.name):
        options = uvicorn.main.make_context(
            "uvicorn", list(rest), auto_envvar_prefix="UVICORN", resilient_parsing=True
        ).params
        return "unix" if options.get("uds") else str(options.get("host"))
    return None


def refusal(bound: str | None, token: str | None) -> str | None:
    """Why a server on `bound` must not start; None when it may."""
    if token is not None or bound is None or bound == "unix" or is_loopback(bound):
        return None
    return (
        f"the server would listen on {bound}, where other computers reach it, and has no token: "
        "start it with --host 127.0.0.1, or set SEGSAM_TOKEN or SEGSAM_TOKEN_FILE"
    )


def give_up(sentence: str) -> NoReturn:
    """End the process with one sentence.

    It is called in the middle of MONAI Label's start, which would wrap an exception in a traceback
    of its own; nothing has been opened by then that wants closing.
    """
    logger.critical("SEG-SAM does not start: %s", sentence)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
