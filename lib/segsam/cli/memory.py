"""Commands `segsam memory ...`: the names that annotators taught in a studies folder, or on the
server at an address.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import typer
from filelock import FileLock, Timeout
from rich.table import Table

from segsam.cli.terminal import JsonOption, check_target, out, print_plain, write_json
from segsam.errors import DamagedRecordError, OutputError, PromptError
from segsam.prediction.taught.carried_files import read_facts
from segsam.prediction.taught.checks import check_taught_name
from segsam.prediction.taught.conflicts import conflicts
from segsam.prediction.taught.examples import TaughtName, TaughtNames
from segsam.prediction.taught.files import FOLDER, read_folder, write_change, write_without
from segsam.remote.client import Client
from segsam.remote.memory_replies import (
    RemovedReply,
    TaughtNameReply,
    TaughtNamesReply,
    read_reply,
)
from segsam.system.reasons import reason_of

app = typer.Typer(no_args_is_help=True, help="List, rename and remove names that were taught.")

_LOCK_SECONDS = 60.0

WhereArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDIES",
        help="Studies folder, or the address of a server (http://127.0.0.1:8000); its token is "
        "taken from SEGSAM_TOKEN or SEGSAM_TOKEN_FILE.",
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Taught name, in any spelling.")]
CaseOption = Annotated[
    str | None, typer.Option("--case", help="Remove only the examples of this case.")
]


class _Names(Protocol):
    """Taught names of a folder or a server."""

    def listed(self) -> dict[str, Any]:
        """Return names, examples and conflicts in the form of `GET /memory`."""

    def rename(self, name: str, new: str) -> None:
        """Give a name another text."""

    def remove(self, name: str, case: str | None) -> int:
        """Remove a name, or its examples of a case; return how many examples went."""


@app.command("list")
def list_names(where: WhereArgument, json_file: JsonOption = None) -> None:
    """List taught names with their examples."""
    check_target(json_file, ".json")
    with _names_at(where) as names:
        listed = names.listed()
    table = Table("name", "code", "examples", "cases", "taught by", "last", "learnt (Dice)")
    for one in listed["names"]:
        examples = one["examples"]
        table.add_row(
            one["name"],
            " ".join(one["code"] or ()),
            str(len(examples)),
            ", ".join(dict.fromkeys(each["case"] for each in examples)),
            ", ".join(dict.fromkeys(each["annotator"] for each in examples if each["annotator"])),
            max((each["created"] for each in examples), default=""),
            _gain_in_words(one.get("learnt")),
        )
    out.print(table)
    for one in listed["conflicts"]:
        print_plain(f"Note: {' and '.join(one['names'])} were given to the same object.")
    write_json(json_file, listed)


def _gain_in_words(learnt: dict[str, Any] | None) -> str:
    if learnt is None:
        return ""
    before, after = learnt["gain"]["before"], learnt["gain"]["after"]
    return f"{len(learnt['cases'])} cases: {before:.0%} to {after:.0%}"


@app.command()
def rename(where: WhereArgument, name: NameArgument, new: str) -> None:
    """Rename a taught name; its examples stay."""
    with _names_at(where) as names:
        names.rename(name, new)
    print_plain(f"Renamed: {name} to {new}")


@app.command()
def remove(where: WhereArgument, name: NameArgument, case: CaseOption = None) -> None:
    """Remove a taught name, or its examples of one case."""
    with _names_at(where) as names:
        count = names.remove(name, case)
    print_plain(f"Removed: {count} examples of {name}")


@contextmanager
def _names_at(where: str) -> Iterator[_Names]:
    """Yield the names at an address or in a folder."""
    if where.startswith(("http://", "https://")):
        with Client(where.rstrip("/"), token=_token()) as client:
            yield _OnServer(client)
        return
    if not where or not Path(where).is_dir():
        raise OutputError(f"Expected a studies folder or the address of a server, got {where!r}.")
    yield _InFolder(Path(where))


def _token() -> str:
    file = os.environ.get("SEGSAM_TOKEN_FILE")
    try:
        return Path(file).read_text("utf-8").strip() if file else os.environ.get("SEGSAM_TOKEN", "")
    except OSError as error:
        raise OutputError(f"The token cannot be read from {file}: {error.strerror}.") from error


class _OnServer:
    def __init__(self, client: Client) -> None:
        self._client = client

    def listed(self) -> dict[str, Any]:
        return read_reply(TaughtNamesReply, self._client.memory("GET")).model_dump()

    def rename(self, name: str, new: str) -> None:
        reply = self._client.memory("PATCH", f"/{quote(name, safe='')}", json={"name": new})
        read_reply(TaughtNameReply, reply)

    def remove(self, name: str, case: str | None) -> int:
        query = {} if case is None else {"case": case}
        reply = self._client.memory("DELETE", f"/{quote(name, safe='')}", params=query)
        return read_reply(RemovedReply, reply).removed


class _InFolder:
    """Names in a folder, also beside a running server: both hold the same lock to write."""

    def __init__(self, studies: Path) -> None:
        self._studies, self._folder = studies, studies / FOLDER

    def listed(self) -> dict[str, Any]:
        if not self._folder.is_dir():
            print_plain(f"Note: nothing was taught in {self._studies.absolute()}.")
        contents = read_folder(self._folder)
        for one in contents.damaged:
            print_plain(f"Note: {one.path.name} cannot be used: {one.why}.")
        return {
            "names": [_to_json(one, self._learnt(one)) for one in contents.names],
            "conflicts": [one.to_json() for one in conflicts(contents.names)],
        }

    def rename(self, name: str, new: str) -> None:
        check_taught_name(new)
        with self._changing() as names:
            found, other = _found(names, name), names.find(new)
            if other is not None and other.id != found.id:
                raise PromptError(f"Expected an unused name, but {other.name!r} is taught already.")
            changed = replace(found, name=new)
            write_change(self._folder, changed, "changed", user="", now=_now())

    def remove(self, name: str, case: str | None) -> int:
        with self._changing() as names:
            found = _found(names, name)
            rest = found.without(lambda one: case is None or one.case == case)
            count = len(found.examples) - len(rest.examples)
            if not count:
                raise PromptError(f"Expected a case of {found.name!r}, got {case!r}.")
            write_without(self._folder, found, rest, user="", now=_now())
            return count

    def _learnt(self, name: TaughtName) -> dict[str, Any] | None:
        """Return where what was learnt about a name comes from; None if nothing was."""
        try:
            facts = read_facts(self._folder / name.id)
        except (DamagedRecordError, OSError) as error:
            print_plain(f"Note: what was learnt about {name.name} cannot be used: {error}.")
            return None
        return None if facts is None else facts.to_json()

    @contextmanager
    def _changing(self) -> Iterator[TaughtNames]:
        if not self._folder.is_dir():
            raise PromptError(
                f"Expected a studies folder in which names were taught, got {str(self._studies)!r}."
            )
        try:
            with FileLock(str(self._studies / ".lock"), timeout=_LOCK_SECONDS):
                yield read_folder(self._folder).names
        except (OSError, Timeout) as error:
            raise OutputError(
                f"The names in {self._studies} cannot be changed: {_why_locked(error)}."
            ) from error


def _why_locked(error: OSError | Timeout) -> str:
    if isinstance(error, Timeout):
        return f"another program has been changing them for {_LOCK_SECONDS:.0f} s"
    return reason_of(error)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _found(names: TaughtNames, name: str) -> TaughtName:
    found = names.find(name)
    if found is None:
        known = ", ".join(one.name for one in names) or "none"
        raise PromptError(f"Expected one of the taught names ({known}), got {name!r}.")
    return found


def _to_json(name: TaughtName, learnt: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": name.id,
        "name": name.name,
        "colour": name.colour_rgb,
        "code": name.snomed,
        "examples": [one.to_json() for one in name.examples],
        "learnt": learnt,
    }
