"""Image files that a request may open."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.config import settings

from segsam.errors import VolumeError, VolumeTooLargeError
from segsam_app.errors import NotFoundError, RequestError
from segsam_app.inference.images import check_header, path_of_image, path_of_session, uploaded
from segsam_app.inference.sessions import AppSessions, Upload
from segsam_app.limits import Limits
from segsam_app.storage.store import Store


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
    return AppSessions(str(tmp_path / "sessions"), Limits(), on_image=announced.append)


class TestTheStudyFolder:
    def test_a_known_id_has_a_file(self, store: Store, tmp_path: Path) -> None:
        found = path_of_image(store, "case0")
        assert found.samefile(tmp_path / "studies" / "case0.nii.gz")

    @pytest.mark.parametrize("image", ["case1", "case0.nii.gz"])
    def test_anything_else_is_not_found(self, store: Store, image: str) -> None:
        with pytest.raises(NotFoundError, match="there is no image"):
            path_of_image(store, image)

    @pytest.mark.parametrize("image", ["../studies/case0", "/etc/passwd", "a\\b", "%2e%2e"])
    def test_a_path_is_no_id(self, store: Store, image: str) -> None:
        with pytest.raises(RequestError, match="image must be an id"):
            path_of_image(store, image)

    def test_no_id_is_a_bad_request(self, store: Store) -> None:
        with pytest.raises(RequestError, match="image=<id>, session_id=<id> or a file"):
            path_of_image(store, "")

    def test_a_new_image_is_announced(
        self, store: Store, tmp_path: Path, announced: list[Path]
    ) -> None:
        upload = tmp_path / "upload.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.int16), np.eye(4)), upload)
        assert store.add_image("case9", str(upload), {}) == "case9"
        assert announced == [path_of_image(store, "case9")]
        assert announced[0].read_bytes() == upload.read_bytes()


class TestSessions:
    def test_a_new_session_is_announced_and_found(
        self, sessions: AppSessions, announced: list[Path]
    ) -> None:
        session = sessions.add([Upload(io.BytesIO(b"y"), 1, "image.nii.gz")], lambda _: None)
        assert announced == [session.image]
        assert path_of_session(sessions, session.id) == session.image

    @pytest.mark.parametrize("session", ["", "..", "../x", "a/b", "a\\b", "x" * 129, "\0"])
    def test_an_id_is_no_path(self, sessions: AppSessions, session: str) -> None:
        with pytest.raises(RequestError, match="session_id must be an id"):
            path_of_session(sessions, session)

    def test_sessions_may_be_switched_off(self) -> None:
        with pytest.raises(NotFoundError, match="MONAI_LABEL_SESSIONS"):
            path_of_session(None, "abc")


class TestCheckHeader:
    def test_a_header_of_a_huge_image_is_refused(self, tmp_path: Path, voxel_limit: Any) -> None:
        voxel_limit(1000)
        header = nibabel.Nifti1Header()
        header.set_data_shape((11, 10, 10))
        path = tmp_path / "huge.nii"
        path.write_bytes(header.binaryblock + bytes(4))  # not one voxel of the 1100
        with pytest.raises(VolumeTooLargeError, match="11x10x10"):
            check_header(path)

    def test_a_text_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "text.nii.gz"
        path.write_bytes(b"text")
        with pytest.raises(VolumeError):
            check_header(path)

    def test_a_series_is_not_checked(self, tmp_path: Path) -> None:
        check_header(tmp_path)


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

    def test_it_is_removed_after_an_error_too(self) -> None:
        with pytest.raises(RuntimeError), uploaded(io.BytesIO(b""), "x.nii") as path:
            raise RuntimeError
        assert not path.parent.exists()
