"""Drafts of unsaved work on disk: whole or not at all, for one user, within limits, for days."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segsam.errors import OutputError
from segsam_app.errors import BusyError, GoneError, NotFoundError, RequestError
from segsam_app.limits import Limits
from segsam_app.storage.damage import ASIDE
from segsam_app.storage.drafts import FOLDER, DraftFolder, check_drafts

from ..flipping import flipped, flips

IMAGE, OTHER = "a" * 64, "b" * 64
DRAFT = {"format": 1, "segments": [{"name": "Nebenniere \u00e9", "bits": "eJxjYGBg"}]}
BODY = json.dumps(DRAFT).encode()
DAY = 86_400


@pytest.fixture
def drafts(tmp_path: Path) -> DraftFolder:
    return DraftFolder(tmp_path / FOLDER, Limits(drafts=2, draft_days=7))


def the_file(drafts: DraftFolder) -> Path:
    (file,) = drafts.folder.glob("*.json")
    return file


class TestKeeping:
    def test_it_comes_back_after_a_restart(self, drafts: DraftFolder) -> None:
        drafts.write("anna", IMAGE, BODY)
        again = DraftFolder(drafts.folder, Limits())
        assert again.read("anna", IMAGE) == DRAFT
        assert "anna" not in the_file(drafts).name
        assert drafts.folder.stat().st_mode & 0o777 == 0o700

    def test_the_last_one_wins(self, drafts: DraftFolder) -> None:
        for number in (1, 2):
            drafts.write("anna", IMAGE, json.dumps({**DRAFT, "number": number}).encode())
        assert drafts.read("anna", IMAGE)["number"] == 2
        assert the_file(drafts)

    def test_another_user_or_image_has_none(self, drafts: DraftFolder) -> None:
        drafts.write("anna", IMAGE, BODY)
        for user, content in (("ben", IMAGE), ("anna", OTHER)):
            with pytest.raises(NotFoundError, match="no unsaved work"):
                drafts.read(user, content)
        drafts.delete("ben")
        drafts.delete("ben", IMAGE)
        assert drafts.read("anna", IMAGE) == DRAFT

    def test_one_or_all_of_a_user_are_deleted(self, drafts: DraftFolder) -> None:
        for content in (IMAGE, OTHER):
            drafts.write("anna", content, BODY)
        drafts.delete("anna", IMAGE)
        drafts.delete("anna", IMAGE)
        with pytest.raises(NotFoundError):
            drafts.read("anna", IMAGE)
        assert drafts.read("anna", OTHER) == DRAFT
        drafts.delete("anna")
        assert list(drafts.folder.iterdir()) == []

    def test_without_a_folder_there_is_nothing_to_do(self, drafts: DraftFolder) -> None:
        drafts.remove_expired()
        drafts.check()
        drafts.delete("anna")
        assert not drafts.folder.exists()


class TestLimits:
    def test_of_their_number(self, drafts: DraftFolder) -> None:
        for content in (IMAGE, OTHER):
            drafts.write("anna", content, BODY)
        with pytest.raises(BusyError, match="setting drafts"):
            drafts.write("ben", IMAGE, BODY)
        drafts.write("anna", OTHER, BODY)
        assert drafts.read("anna", IMAGE) == DRAFT, "none gave way to another"

    def test_of_days_since_the_last_change(self, drafts: DraftFolder) -> None:
        drafts.write("anna", IMAGE, BODY)
        file, left = the_file(drafts), drafts.folder / ".0123456789abcdef.partial"
        note = drafts.folder / "note.txt"
        for path in (left, note):
            path.touch()
        for path, days in ((file, 6.9), (left, 0.1), (note, 99.0)):
            os.utime(path, (path.stat().st_mtime - days * DAY,) * 2)
        drafts.remove_expired()
        assert drafts.read("anna", IMAGE) == DRAFT
        assert not left.exists(), "a killed server left it half written"
        os.utime(file, (file.stat().st_mtime - 0.2 * DAY,) * 2)
        with pytest.raises(NotFoundError):
            drafts.read("anna", IMAGE)
        assert list(drafts.folder.iterdir()) == [note], "it is none of ours"

    @pytest.mark.parametrize("content", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
    def test_an_image_is_named_by_its_hash(self, drafts: DraftFolder, content: str) -> None:
        with pytest.raises(RequestError, match="64 hexadecimal digits"):
            drafts.write("anna", content, BODY)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "format"),
            (b"{}", "number of the draft's format"),
            (b'{"format": true}', "got True"),
            (b'{"format": 0}', "got 0"),
            (b"[]", "must be a JSON object, got an array"),
            (b'{"format": 1, "a": NaN}', "NaN"),
            (b'{"format": 1, "format": 1}', "twice"),
            (b'{"format": 1, "a": "\\ud800"}', "whole characters"),
            (b'{"format": 1, "a": ' + b"[" * 50 + b"]" * 50 + b"}", "nested too deeply"),
            (b"\xff\xfe", "expected UTF-8"),
            (BODY[:-2], "cannot be read from character"),
        ],
    )
    def test_what_is_no_draft(self, drafts: DraftFolder, body: bytes, words: str) -> None:
        with pytest.raises(RequestError, match=words):
            drafts.write("anna", IMAGE, body)
        assert not drafts.folder.exists()


@pytest.fixture
def disk_of_1_kb() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestDisk:
    def test_a_full_one_keeps_what_is_there(self, drafts: DraftFolder, disk_of_1_kb: None) -> None:
        drafts.write("anna", IMAGE, BODY)
        large = json.dumps({**DRAFT, "bits": "x" * 2000}).encode()
        with pytest.raises(OutputError, match="Keeping the unsaved work is not possible: File"):
            drafts.write("anna", IMAGE, large)
        assert drafts.read("anna", IMAGE) == DRAFT
        assert the_file(drafts)

    def test_something_else_in_place_of_the_folder(self, drafts: DraftFolder) -> None:
        drafts.folder.write_text("a file")
        with pytest.raises(OutputError, match="Keeping the unsaved work is not possible"):
            drafts.write("anna", IMAGE, BODY)
        with pytest.raises(GoneError):
            drafts.read("anna", IMAGE)
        drafts.delete("anna")

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_something_else_in_place_of_a_draft(
        self, drafts: DraftFolder, make: Callable[[Path], None]
    ) -> None:
        drafts.write("anna", IMAGE, BODY)
        file = the_file(drafts)
        file.unlink()
        make(file)
        with pytest.raises(GoneError):
            drafts.read("anna", IMAGE)
        drafts.write("anna", IMAGE, BODY)
        assert drafts.read("anna", IMAGE) == DRAFT

    def test_a_changed_bit_sets_it_aside(self, drafts: DraftFolder) -> None:
        drafts.write("anna", IMAGE, BODY)
        file = the_file(drafts)
        for bit in flips(file, 20):
            with flipped(file, bit):
                assert list(check_drafts(drafts.folder.parent).listed()) == [
                    f"{FOLDER}/{file.name}"
                ], bit
                with pytest.raises(GoneError, match="damaged on the server's disk"):
                    drafts.read("anna", IMAGE)
                (aside,) = drafts.folder.iterdir()
                assert ASIDE.search(aside.name)
                assert "it was set aside" in drafts.damage.listed()[aside.name]
                with pytest.raises(NotFoundError):
                    drafts.read("anna", IMAGE)
                aside.rename(file)
            assert drafts.read("anna", IMAGE) == DRAFT
        assert drafts.damage.listed() == {}, "nothing that was set aside is left"

    @pytest.mark.parametrize("left", [b"", b"{}", b'{"draft": 1}', b'{"draft": {"format": 1'])
    def test_a_truncated_one_is_found_at_the_start(self, drafts: DraftFolder, left: bytes) -> None:
        drafts.write("anna", IMAGE, BODY)
        the_file(drafts).write_bytes(left)
        for start in (drafts, DraftFolder(drafts.folder, Limits())):
            start.check()
            (aside,) = start.damage.listed()
            assert ASIDE.search(aside)
        drafts.write("anna", IMAGE, BODY)
        assert drafts.read("anna", IMAGE) == DRAFT
        for path in drafts.folder.iterdir():
            os.utime(path, (path.stat().st_mtime - 8 * DAY,) * 2)
        drafts.remove_expired()
        assert list(drafts.folder.iterdir()) == [], "what was set aside goes as well"
