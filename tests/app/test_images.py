"""Which file a request may open."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from monailabel.config import settings

from segsam_app.errors import NotFoundError, RequestError
from segsam_app.images import path_of_image, path_of_session, uploaded
from segsam_app.sessions import AppSessions
from segsam_app.store import Store


@pytest.fixture
def announced() -> list[Path]:
    return []


@pytest.fixture
def store(
    tmp_path: Path, announced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
    folder = tmp_path / "studies"
    folder.mkdir()
    (folder / "case0.nii.gz").write_bytes(b"x")
    return Store(str(folder), on_image=announced.append)


@pytest.fixture
def sessions(tmp_path: Path, announced: list[Path]) -> AppSessions:
    return AppSessions(str(tmp_path / "sessions"), 3600, on_image=announced.append)


class TestTheStudyFolder:
    def test_a_known_id_has_a_file(self, store: Store, tmp_path: Path) -> None:
        found = path_of_image(store, "case0")
        assert found.samefile(tmp_path / "studies" / "case0.nii.gz")

    @pytest.mark.parametrize("image", ["case1", "case0.nii.gz", "../studies/case0", "/etc/passwd"])
    def test_anything_else_is_not_found(self, store: Store, image: str) -> None:
        with pytest.raises(NotFoundError, match="there is no image"):
            path_of_image(store, image)

    def test_no_id_is_a_bad_request(self, store: Store) -> None:
        with pytest.raises(RequestError, match="image=<id>, session_id=<id> or a file"):
            path_of_image(store, "")

    def test_a_new_image_is_announced(
        self, store: Store, tmp_path: Path, announced: list[Path]
    ) -> None:
        upload = tmp_path / "upload.nii.gz"
        upload.write_bytes(b"y")
        assert store.add_image("case9", str(upload), {}) == "case9"
        assert announced == [path_of_image(store, "case9")]
        assert announced[0].read_bytes() == b"y"


class TestSessions:
    def test_a_new_session_is_announced_and_found(
        self, sessions: AppSessions, tmp_path: Path, announced: list[Path]
    ) -> None:
        upload = tmp_path / "upload.nii.gz"
        upload.write_bytes(b"y")
        session_id, session = sessions.add_session(str(upload))
        assert announced == [Path(session.image)]
        assert path_of_session(sessions, session_id) == announced[0]
        sessions.remove_session(session_id)
        with pytest.raises(NotFoundError, match=r"it has ended or never was; send the image again"):
            path_of_session(sessions, session_id)

    @pytest.mark.parametrize("session", ["", "..", "../x", "a/b", "a\\b", "x" * 65, "\0"])
    def test_an_id_is_no_path(self, sessions: AppSessions, session: str) -> None:
        with pytest.raises(NotFoundError, match="there is no session"):
            path_of_session(sessions, session)

    def test_a_planted_session_is_not_followed(self, sessions: AppSessions, tmp_path: Path) -> None:
        planted = tmp_path / "sessions" / "a" / "b"
        planted.mkdir(parents=True)
        (planted / "meta.info").write_text('{"image": "/etc/hostname", "name": "b"}')
        with pytest.raises(NotFoundError):
            path_of_session(sessions, "a/b")

    def test_sessions_may_be_switched_off(self) -> None:
        with pytest.raises(NotFoundError):
            path_of_session(None, "abc")


class TestUploads:
    @pytest.mark.parametrize(
        ("name", "ending"),
        [
            ("x.nii.gz", "image.nii.gz"),
            ("a.b.NRRD", "image.nrrd"),
            ("../../x.py", "image.py"),
            ("none", "image.nii.gz"),
            (None, "image.nii.gz"),
            ("x./../y", "image.nii.gz"),
        ],
    )
    def test_only_the_extension_is_taken_from_the_client(
        self, name: str | None, ending: str
    ) -> None:
        with uploaded(io.BytesIO(b"content"), name) as path:
            assert path.name == ending
            assert path.read_bytes() == b"content"
        assert not path.parent.exists()

    def test_it_is_gone_after_a_failure_too(self) -> None:
        with pytest.raises(RuntimeError), uploaded(io.BytesIO(b""), "x.nii") as path:
            raise RuntimeError
        assert not path.parent.exists()
