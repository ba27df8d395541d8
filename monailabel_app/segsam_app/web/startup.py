"""Start-up rule: a server that other computers can reach has a token, or does not start.

MONAI Label passes neither its address nor its command line to an app, and by default it listens on
every network interface. So the address is read from the command line of the process, with the
parser of the program that was started: `monailabel start_server --host` (with or without
`--uvicorn_app`) or `uvicorn --host`. For any other program the address is unknown here; then
`access.py` applies the rule to each connection, by the address at which it arrived.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import NoReturn

import uvicorn
from monailabel.main import Main

from segsam.errors import SegSamError
from segsam_app.web.access import is_loopback

logger = logging.getLogger(__name__)

EXIT_STATUS = 2


def bound_address(argv: Sequence[str] | None = None) -> str | None:
    """Return the address in the command line of this process, "unix" for a local socket; None if
    the program is neither MONAI Label nor uvicorn.
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


@contextmanager
def refusing_to_start() -> Iterator[None]:
    """End the process with the sentence of an error within the block, if it is the start of a
    server; elsewhere, as in a child process, the error is raised on.
    """
    try:
        yield
    except (SegSamError, OSError) as error:
        if bound_address() is None:
            raise
        exit_with(str(error) if isinstance(error, SegSamError) else _sentence_of(error))


def _sentence_of(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"a file or folder cannot be used: {error.strerror or type(error).__name__}{where}"


def start_problem(bound: str | None, token: str | None) -> str | None:
    """Return why a server on the address `bound` must not start; None if it may."""
    if token is not None or bound is None or bound == "unix" or is_loopback(bound):
        return None
    return (
        f"the server would listen on {bound}, where other computers reach it, and has no token: "
        "start it with --host 127.0.0.1, or set SEGSAM_TOKEN or SEGSAM_TOKEN_FILE"
    )


def replace_in_logs(text: str, replacement: str) -> None:
    """Replace a text in the files of the log. MONAI Label writes the address of the studies there
    before it loads the app; on the terminal and in the list of processes it is out of our reach.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            file = Path(handler.baseFilename)
            with suppress(OSError):
                content = file.read_bytes()
                file.write_bytes(content.replace(text.encode(), replacement.encode()))


def exit_with(sentence: str) -> NoReturn:
    """End the process with one sentence.

    This runs in the middle of MONAI Label's start, which would wrap an exception in a traceback of
    its own. Nothing is open at that point that would have to be closed.
    """
    logger.critical("SEG-SAM does not start: %s", sentence)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)
