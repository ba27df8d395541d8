"""A label's place while another program replaces what lies there: nothing that was there is lost,
and a reply holds one content (C10).
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
from fastapi import FastAPI

from segsam.errors import OutputError
from segsam.imaging.volume import Volume
from segsam.imaging.writers import write_image
from segsam_app.check_files import check_studies, set_aside
from segsam_app.config import AppConfig
from segsam_app.inference.engine import Engine
from segsam_app.routes import datastore as routes
from segsam_app.storage import disk
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.store import Store
from segsam_app.storage.write_lock import WriteLock
from segsam_app.web.error_handlers import HANDLED, error_response
from segsam_app.web.file_response import OpenFileResponse

from ..stored import AFFINE, label, make_studies

QUERY = {"label": "case0", "tag": "final"}
ROUNDS = 12


class Client:
    """Client of the routes of a store, without a server."""

    def __init__(self, store: Store) -> None:
        self.app = FastAPI()
        self.app.include_router(routes.router)
        for kind in HANDLED:
            self.app.add_exception_handler(kind, error_response)
        self.store = store

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def answered() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **more)

        return asyncio.run(answered())

    def get(self, **more: Any) -> httpx.Response:
        return self.ask("GET", "/datastore/label", params=QUERY, **more)

    def put(self, content: bytes, name: str = "drawn.nii.gz", **more: Any) -> httpx.Response:
        files = {"label": (name, content)}
        query = {"image": "case0", "tag": "final"}
        return self.ask("PUT", "/datastore/label", params=query, files=files, **more)

    def restore(self, number: int) -> httpx.Response:
        return self.ask("POST", "/datastore/label/restore", params={**QUERY, "version": number})


class _App:
    """What the routes use of the app."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.engine = Engine(AppConfig())

    _strategies: Mapping[str, object] = {}

    def datastore(self) -> Store:
        return self._store

    def on_save_label(self, *_: str) -> None:
        """Do nothing."""


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    made: Path = make_studies(tmp_path / "studies", 1)
    (made / "labels" / "final").mkdir(parents=True)
    return made


@pytest.fixture
def finals(studies: Path) -> Path:
    return studies / "labels" / "final"


@pytest.fixture
def client(studies: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    store = opened(studies)
    monkeypatch.setattr(routes, "app_instance", lambda: _App(store))
    return Client(store)


def opened(studies: Path) -> Store:
    return Store(str(studies), on_image=lambda _: None)


def contents(folder: Path, count: int, ending: str = ".nii.gz") -> list[bytes]:
    """Labels that all differ, in content and in size."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, made = np.random.default_rng(3), []
    for number in range(count):
        voxels = label(1 + number % 200)
        voxels[:, :2] = rng.integers(0, 3, voxels[:, :2].shape)
        extra = nibabel.nifti1.Nifti1Extension("comment", bytes(16 * (number % 50)))
        image = nibabel.Nifti1Image(voxels, AFFINE)
        image.header.extensions.append(extra)
        image.set_sform(AFFINE, code=1)
        nibabel.save(image, folder / f"one{ending}")
        made.append((folder / f"one{ending}").read_bytes())
    return made


@contextmanager
def other_program(
    write_one: Callable[[bytes], None], made: list[bytes]
) -> Iterator[threading.Semaphore]:
    """A program that writes its labels at the place, one after the other, until the block ends.

    It yields a semaphore that is released once for each label that was written. Whoever waits for
    it meets this program in every round, however slow the machine is.
    """
    ends, written = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        for content in itertools.cycle(made):
            write_one(content)
            written.release()
            if ends.wait(0.05):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield written
    finally:
        ends.set()
        thread.join()


def kept(store: Store) -> set[str]:
    """SHA-256 of every version."""
    return {version.sha256 for version in store.history("case0", "final").all()}


def kinds(store: Store) -> list[tuple[str, bytes]]:
    """Return kind and content of every version, oldest first."""
    history = store.history("case0", "final")
    return [(one.kind, history.file(one).read_bytes()) for one in history.all()]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("how", ["replaced", "in place"])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_race(client: Client, finals: Path, tmp_path: Path, how: str, ending: str) -> None:
    place, elsewhere = finals / f"case0{ending}", tmp_path / "elsewhere"
    theirs, ours = contents(tmp_path / "a", 150, ending), contents(tmp_path / "b", ROUNDS)
    store = client.store

    def write_one(content: bytes) -> None:
        target = elsewhere if how == "replaced" else place
        target.write_bytes(content)
        if how == "replaced":
            elsewhere.replace(place)

    client.put(ours[0])
    with other_program(write_one, theirs) as written:
        for content in ours:
            assert written.acquire(timeout=60)
            reply = client.get()
            assert reply.status_code == 200, reply.text
            assert len(reply.content) == int(reply.headers["content-length"])
            number = int(reply.headers["ETag"].strip('"'))
            version = store.history("case0", "final").get(number)
            assert version is not None
            assert version.sha256 == sha256(reply.content)
            assert client.put(content).status_code == 200
    got = kept(store)
    made = {sha256(content) for content in theirs}
    assert {sha256(content) for content in ours} <= got
    for aside in finals.glob("*.aside-*"):
        os.utime(aside, (0, 0))
    store.refresh()
    assert {sha256(aside.read_bytes()) for aside in finals.glob("*.aside-*")} & made == set()
    assert store.get_label_info("case0", "final")["version"]
    assert len(got & made) >= ROUNDS // 2


class TestWhatComesInBetween:
    """A label of another program that arrives between two steps of the store."""

    def at(self, finals: Path, content: bytes, ending: str = ".nii.gz") -> Path:
        new = finals.parent / "new"
        new.write_bytes(content)
        return new.replace(finals / f"case0{ending}")

    @pytest.mark.parametrize("can_exchange", [True, False])
    def test_before_a_save_takes_the_place(
        self,
        client: Client,
        finals: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        can_exchange: bool,
    ) -> None:
        ours, theirs, again = contents(tmp_path, 3)
        put_in_place = disk.put_in_place

        def late(new: Path, place: Path, aside: Path) -> bool:
            if "0002" in new.name:
                self.at(finals, theirs)
            return put_in_place(new, place, aside)

        client.put(ours)
        monkeypatch.setattr(f"{LabelHistory.__module__}.put_in_place", late)
        if not can_exchange:
            monkeypatch.setattr(disk, "_exchange", lambda *_: False)
        assert client.put(again).headers["ETag"] == '"2"'
        assert kinds(client.store) == [("saved", ours), ("saved", again), ("found", theirs)]
        assert client.get().content == again
        assert [path.name for path in finals.iterdir()] == [".versions", "case0.nii.gz"]

    def test_before_what_is_no_label_gives_way(
        self, client: Client, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last one that was written is current, though the one before was no label."""
        ours, theirs = contents(tmp_path, 2)
        put_in_place = disk.put_in_place

        def late(new: Path, place: Path, aside: Path) -> bool:
            monkeypatch.setattr(f"{LabelHistory.__module__}.put_in_place", put_in_place)
            self.at(finals, theirs)
            return put_in_place(new, place, aside)

        client.put(ours)
        os.utime(self.at(finals, b"rubbish"), (0, 0))
        monkeypatch.setattr(f"{LabelHistory.__module__}.put_in_place", late)
        assert client.get().content == theirs
        assert kinds(client.store) == [("saved", ours), ("found", theirs)]
        assert client.store.damage.listed() == {}

    def test_before_another_format_is_removed(
        self, client: Client, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours, theirs = contents(tmp_path, 2)
        is_version = LabelHistory.is_version

        def late(history: LabelHistory, file: Path) -> bool:
            found = is_version(history, file)
            if file == finals / "case0.nii.gz" and history.last_number() == 2:
                monkeypatch.setattr(LabelHistory, "is_version", is_version)
                self.at(finals, theirs)
            return found

        client.put(ours)
        monkeypatch.setattr(LabelHistory, "is_version", late)
        client.put(contents(tmp_path, 1, ".nii")[0], name="drawn.nii")
        client.get()
        assert ("found", theirs) in kinds(client.store)
        assert list(finals.glob("*.aside-*")) == []

    def test_before_a_converted_one_is_put_away(
        self, client: Client, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_pair(value: int) -> None:
            write_image(tmp_path / "one.mha", label(value), AFFINE)
            head, data = (tmp_path / "one.mha").read_bytes().split(b"ElementDataFile = LOCAL\n", 1)
            (finals / f"data{value}.zraw").write_bytes(data)
            self.at(finals, head + f"ElementDataFile = data{value}.zraw\n".encode(), ".mhd")

        record = LabelHistory.record

        def late(history: LabelHistory, version: Any, staged: Any) -> Any:
            monkeypatch.setattr(LabelHistory, "record", record)
            recorded = record(history, version, staged)
            write_pair(2)
            return recorded

        write_pair(1)
        monkeypatch.setattr(LabelHistory, "record", late)
        client.get()
        client.store.refresh()
        history = client.store.history("case0", "final")
        found = [int(Volume.load(history.file(one)).voxels.max()) for one in history.all()]
        assert sorted(found) == [1, 2]

    def test_a_kill_between_the_two_names(
        self, client: Client, studies: Path, finals: Path, tmp_path: Path
    ) -> None:
        """What gave way has the name of the pending copy when the process is killed."""
        ours, theirs, again = contents(tmp_path, 3)
        client.put(ours)
        client.put(again)
        (finals / ".versions" / "case0" / "0002.pending.nii.gz").write_bytes(theirs)
        store = opened(studies)
        assert store.get_label_info("case0", "final")["version"] == 2
        store.refresh()
        assert kinds(store) == [("saved", ours), ("saved", again), ("found", theirs)]
        assert list(finals.glob("*.aside-*")) == []
        assert list(finals.rglob("*pending*")) == []

    def test_it_is_finished_after_it_gave_way(
        self, client: Client, finals: Path, tmp_path: Path
    ) -> None:
        """A program that has the file open goes on writing to it."""
        ours, theirs, again = contents(tmp_path, 3)
        client.put(ours)
        with (finals / "case0.nii.gz").open("wb") as stream:
            stream.write(theirs[:90])
            stream.flush()
            client.put(again)
            (aside,) = finals.glob("*.aside-*")
            assert "'case0'" in client.store.damage.listed()[f"labels/final/{aside.name}"]
            stream.write(theirs[90:])
        assert client.get().content == again
        assert kinds(client.store) == [("saved", ours), ("saved", again), ("found", theirs)]
        assert not aside.exists()
        assert client.store.damage.listed() == {}


class TestOneContentInAReply:
    """Length, ETag and bytes belong together, whatever happens to the file meanwhile."""

    def test_an_image_that_is_replaced(
        self, client: Client, studies: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image, before = studies / "case0.nii.gz", (studies / "case0.nii.gz").read_bytes()
        call = OpenFileResponse.__call__

        async def late(reply: OpenFileResponse, *asgi: Any) -> None:
            (studies / "other").write_bytes(before + bytes(5000))
            (studies / "other").replace(image)
            await call(reply, *asgi)

        monkeypatch.setattr(OpenFileResponse, "__call__", late)
        reply = client.ask("GET", "/datastore/image", params={"image": "case0"})
        assert (reply.content, reply.headers["content-length"]) == (before, str(len(before)))

    @pytest.mark.parametrize("ranges", [None, "bytes=3-40", "bytes=5-9,20-30", "bytes=-7"])
    def test_an_image_that_grows(
        self, client: Client, studies: Path, monkeypatch: pytest.MonkeyPatch, ranges: str | None
    ) -> None:
        image = studies / "case0.nii.gz"
        headers = {} if ranges is None else {"Range": ranges}
        query = {"params": {"image": "case0"}, "headers": headers}
        before = client.ask("GET", "/datastore/image", **query)
        call = OpenFileResponse.__call__

        async def late(reply: OpenFileResponse, *asgi: Any) -> None:
            with image.open("ab") as stream:
                stream.write(bytes(5000))
            await call(reply, *asgi)

        monkeypatch.setattr(OpenFileResponse, "__call__", late)
        reply = client.ask("GET", "/datastore/image", **query)
        assert reply.status_code == (200 if ranges is None else 206)
        assert len(reply.content) == int(reply.headers["content-length"])
        if ranges != "bytes=5-9,20-30":  # its boundaries are drawn at random
            assert reply.content == before.content

    def test_a_label_in_a_folder_that_can_only_be_read(
        self, client: Client, finals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = contents(tmp_path, 2)
        (finals / "case0.nii.gz").write_bytes(first)
        monkeypatch.setattr(WriteLock, "is_possible", False)
        call = OpenFileResponse.__call__

        async def late(reply: OpenFileResponse, *asgi: Any) -> None:
            (finals / "case0.nii.gz").unlink()
            (finals / "case0.nii.gz").write_bytes(second)
            await call(reply, *asgi)

        monkeypatch.setattr(OpenFileResponse, "__call__", late)
        reply = client.get()
        assert (reply.content, reply.headers["ETag"]) == (first, f'"sha256-{sha256(first)}"')


def folder(place: Path) -> None:
    place.mkdir()
    (place / "notes.txt").write_text("mine")


def pipe(place: Path) -> None:
    os.mkfifo(place)


def listening(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(place.parent)  # the name of a socket is short
        try:
            listener.bind(place.name)
        finally:
            os.chdir(here)


def dangling(place: Path) -> None:
    place.symlink_to(place.with_name("nowhere"))


def file(place: Path) -> None:
    place.write_bytes(b"mine")


def listing(folder: Path) -> dict[str, Any]:
    """Return all that lies in a folder, but for the times of the files."""
    paths = (path for path in sorted(folder.rglob("*")) if path.name != ".lock")
    return {
        str(path): path.read_bytes() if path.is_file() else path.lstat().st_mode for path in paths
    }


KINDS: dict[Callable[[Path], None], str] = {
    folder: "a folder",
    pipe: "a pipe",
    listening: "a socket",
    dangling: "a link to nothing",
}


class TestWhatIsNoFile:
    """Something else than a file, or than a folder, where the store needs one."""

    @pytest.mark.parametrize("make", KINDS)
    @pytest.mark.parametrize("is_first", [True, False])
    @pytest.mark.parametrize("restarted", [True, False])
    def test_at_the_place_of_a_label(
        self,
        client: Client,
        studies: Path,
        finals: Path,
        tmp_path: Path,
        make: Callable[[Path], None],
        is_first: bool,
        restarted: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ours, again = contents(tmp_path, 2)
        place = finals / "case0.nii.gz"
        if not is_first:
            client.put(ours)
            place.unlink()
        make(place)
        if restarted:
            client = Client(opened(studies))
            monkeypatch.setattr(routes, "app_instance", lambda: _App(client.store))
        client.get()
        before, name = listing(studies), "labels/final/case0.nii.gz"
        sentence = f"expected a file as {name}, got {KINDS[make]}; move it away"
        reply = client.put(again)
        assert reply.status_code == 507
        assert sentence in reply.json()["detail"]
        assert "nothing was changed" in reply.json()["detail"]
        assert listing(studies) == before
        for listed in (client.store.damage.listed(), check_studies(studies).listed()):
            assert KINDS[make] in listed[name]
        if not is_first:
            assert client.restore(1).status_code == 507
            assert kinds(client.store) == [("saved", ours)]
        shutil.rmtree(place) if make is folder else place.unlink()
        assert client.store.damage.listed() == {}
        assert client.put(again).status_code == 200
        assert client.get().content == again

    @pytest.mark.parametrize("make", [file, pipe, listening, dangling])
    @pytest.mark.parametrize(
        "name", ["labels/final/.versions/case0", "labels/final/.versions", "labels/final", "labels"]
    )
    def test_at_the_place_of_the_versions(
        self, client: Client, studies: Path, tmp_path: Path, make: Callable[[Path], None], name: str
    ) -> None:
        (ours,) = contents(tmp_path, 1)
        shutil.rmtree(studies / "labels")
        (studies / name).parent.mkdir(parents=True, exist_ok=True)
        make(studies / name)
        before = listing(studies)
        kind = "a file" if make is file else KINDS[make]
        reply = client.put(ours)
        assert reply.status_code == 507
        assert f"expected a folder as {name}, got {kind}; move it away" in reply.json()["detail"]
        assert listing(studies) == before
        for listed in (client.store.damage, check_studies(studies)):
            assert kind in listed.listed()[name]
        if ".versions" not in name:
            with pytest.raises(OutputError, match=f"expected a folder as {name}, got {kind}"):
                opened(studies)
        else:
            again = opened(studies)
            again.check_records()
            assert kind in again.damage.listed()[name]
        (studies / name).unlink()
        assert client.put(ours).status_code == 200
        assert client.store.damage.listed() == {}

    @pytest.mark.parametrize("make", [file, pipe, dangling])
    def test_at_the_place_of_what_was_converted(
        self, client: Client, studies: Path, finals: Path, tmp_path: Path, make: Any
    ) -> None:
        make(finals / ".found")
        write_image(tmp_path / "one.mha", label(3), AFFINE)
        head, data = (tmp_path / "one.mha").read_bytes().split(b"ElementDataFile = LOCAL\n", 1)
        (finals / "case0.zraw").write_bytes(data)
        (finals / "case0.mhd").write_bytes(head + b"ElementDataFile = case0.zraw\n")
        for _ in range(3):
            assert client.get().status_code == 404
        assert kinds(client.store) == []
        for listed in (client.store.damage.listed(), check_studies(studies).listed()):
            assert "expected a folder" in listed["labels/final/.found"]
        (finals / ".found").unlink()
        client.store.refresh()
        assert [kind for kind, _ in kinds(client.store)] == ["found"]
        assert client.store.damage.listed() == {}

    @pytest.mark.parametrize("make", KINDS)
    @pytest.mark.parametrize("name", ["datastore_v2.json", "datastore_v2.journal"])
    def test_at_the_place_of_the_index(
        self, client: Client, studies: Path, tmp_path: Path, make: Any, name: str
    ) -> None:
        (ours,) = contents(tmp_path, 1)
        (studies / name).unlink()
        make(studies / name)
        before = listing(studies)
        sentence = f"expected a file as {name}, got {KINDS[make]}; move it away"
        reply = client.put(ours)
        assert reply.status_code == 507
        assert sentence in reply.json()["detail"]
        assert listing(studies) == before
        assert client.ask("GET", "/datastore/image", params={"image": "case0"}).status_code == 200
        for listed in (client.store.damage.listed(), check_studies(studies).listed()):
            assert KINDS[make] in listed[name]
        with pytest.raises(OutputError, match=sentence):
            opened(studies)
        shutil.rmtree(studies / name) if make is folder else (studies / name).unlink()
        assert client.put(ours).status_code == 200
        assert client.store.damage.listed() == {}

    @pytest.mark.parametrize("make", KINDS)
    def test_at_the_place_of_an_image(
        self, client: Client, studies: Path, make: Callable[[Path], None]
    ) -> None:
        make(studies / "new.nii.gz")
        before = listing(studies)
        content = (studies / "case0.nii.gz").read_bytes()
        for listed in (client.store.status()["damaged"], check_studies(studies).listed()):
            assert KINDS[make] in listed["new.nii.gz"]
        reply = client.ask(
            "PUT",
            "/datastore/image",
            params={"image": "new"},
            files={"file": ("new.nii.gz", content)},
        )
        assert reply.status_code == 507
        detail = reply.json()["detail"]
        assert f"expected a file as new.nii.gz, got {KINDS[make]}; move it away" in detail
        assert listing(studies) == before
        shutil.rmtree(studies / "new.nii.gz") if make is folder else (
            studies / "new.nii.gz"
        ).unlink()
        assert client.store.damage.listed() == {}

    @pytest.mark.parametrize("make", [pipe, listening, dangling])
    def test_at_the_place_of_a_record(
        self, client: Client, studies: Path, finals: Path, tmp_path: Path, make: Any
    ) -> None:
        ours, again = contents(tmp_path, 2)
        client.put(ours)
        client.put(again)
        record = finals / ".versions" / "case0" / "0001.json"
        record.unlink()
        make(record)
        assert client.get().content == again
        assert client.restore(1).status_code == 404
        assert KINDS[make] in client.store.damage.listed()["labels/final/.versions/case0/0001.json"]
        assert client.put(ours).headers["ETag"] == '"3"'
        assert opened(studies).get_label_info("case0", "final")["version"] == 3


class TestWhatWasSetAside:
    def test_it_is_named_from_the_start_until_it_is_gone(
        self, client: Client, studies: Path, finals: Path, tmp_path: Path
    ) -> None:
        (ours,) = contents(tmp_path, 1)
        client.put(ours)
        end = ".aside-20260102T030405-006789"
        asides = {
            finals / f"case0.nii.gz{end}": "the label of the image 'case0' has to be, and is not",
            finals / f"case9.nii.gz{end}": "there is no such image",
            studies / "datastore_v2.json.torn-20260102T030405-006789": "set aside; look at it",
            finals / ".versions/case0/0001.json.damaged-20260102T030405-006789": "set aside; look",
        }
        for aside in asides:
            aside.write_bytes(b"rubbish")
        store = opened(studies)
        store.check_records()
        listed = store.damage.listed()
        assert len(listed) == len(asides)
        for aside, words in asides.items():
            why = listed[aside.relative_to(studies).as_posix()]
            assert words in why
            assert "look at it, then delete it" in why
        assert set(set_aside(studies)) == set(listed)
        for aside in asides:
            aside.unlink()
        assert store.damage.listed() == {}


@pytest.mark.parametrize("given", ["bytes=5-2", "lines=1-2", "bytes=", "bytes=99999999-"])
def test_a_range_that_is_none_is_refused_in_our_words(client: Client, given: str) -> None:
    write_image(client.store._folder.parent / "d.nii.gz", label(), AFFINE)
    client.put((client.store._folder.parent / "d.nii.gz").read_bytes())
    reply = client.get(headers={"Range": given})
    assert reply.status_code == (416 if given.startswith("bytes=9") else 400)
    assert reply.json()["detail"].startswith("expected Range: bytes=FIRST-LAST")
    assert reply.headers["content-range"].startswith("bytes */")
    assert client.get(headers={"Range": "bytes=0-9"}).status_code == 206
