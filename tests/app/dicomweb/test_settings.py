"""Settings of the DICOMweb server: what is understood, and what ends the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monailabel.config import settings

from segsam_app.dicomweb.settings import PacsSettings, checked_url, data_folder
from segsam_app.errors import ConfigError
from segsam_app.limits import Limits

URL = "https://pacs.example.org:8443/orthanc/dicom-web"


def read(folder: Path | None = None, **env: str) -> PacsSettings:
    path = str(folder) if folder else None
    return PacsSettings.read(URL + "/", path, Limits(), {"XDG_DATA_HOME": "/data", **env})


def set_variables(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    for name, value in values.items():
        monkeypatch.setattr(settings, f"MONAI_LABEL_{name}", value)


class TestAddress:
    @pytest.mark.parametrize("url", [URL, f"{URL}/", "http://[::1]:8042/dicom-web"])
    def test_valid_urls(self, url: str) -> None:
        assert checked_url(url) == url.rstrip("/")

    @pytest.mark.parametrize(
        "url",
        ["http://", "http://host:99999/x", "https:///x", f"{URL}?a=b", f"{URL}#x", "ftp://x/y"],
    )
    def test_invalid_urls(self, url: str) -> None:
        with pytest.raises(ConfigError, match="--studies must be a folder, or"):
            checked_url(url)

    def test_a_password_in_it_is_refused_and_not_repeated(self) -> None:
        with pytest.raises(ConfigError, match="must not hold a user") as refused:
            checked_url("http://me:secret@host/x")
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        "url",
        [
            "https://host/x?token=secret",
            "https://host/x#secret",
            "ftp://me:secret@host/x",
            "https://me:secret@host/x?a=secret",
            "https://me:sec@ret@host:0/x",
            "https://me:secret@host:99999/x",
        ],
    )
    def test_what_may_be_a_secret_is_not_repeated(self, url: str) -> None:
        with pytest.raises(ConfigError) as refused:
            checked_url(url)
        assert "secret" not in str(refused.value)
        assert "sec@ret" not in str(refused.value)

    def test_other_kinds_of_server_are_not_supported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_variables(monkeypatch, DATASTORE="xnat")
        with pytest.raises(ConfigError, match="xnat is not supported"):
            read()


class TestCredentials:
    def test_a_password_from_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        set_variables(monkeypatch, DICOMWEB_USERNAME="me")
        file = tmp_path / "password"
        file.write_text("secret\nsecond line\n")
        read_settings = read(SEGSAM_DICOMWEB_PASSWORD_FILE=str(file))
        assert read_settings.login == ("me", "secret")
        assert "secret" not in repr(read_settings)

    def test_monai_labels_own_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        set_variables(monkeypatch, DATASTORE_USERNAME="me", DATASTORE_PASSWORD="secret")
        assert read().login == ("me", "secret")

    def test_a_token(self) -> None:
        assert read(SEGSAM_DICOMWEB_TOKEN="abc").token == "abc"
        assert read().token is None

    def test_invalid_settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        set_variables(monkeypatch, DICOMWEB_USERNAME="me")
        with pytest.raises(ConfigError, match="only one is set"):
            read()
        with pytest.raises(ConfigError, match="cannot be read"):
            read(SEGSAM_DICOMWEB_PASSWORD_FILE=str(tmp_path / "none"))
        (tmp_path / "empty").touch()
        with pytest.raises(ConfigError, match="is empty"):
            read(SEGSAM_DICOMWEB_PASSWORD_FILE=str(tmp_path / "empty"))
        with pytest.raises(ConfigError, match="a token and a user are both set"):
            read(SEGSAM_DICOMWEB_PASSWORD_FILE=_file(tmp_path), SEGSAM_DICOMWEB_TOKEN="abc")


class TestFolder:
    def test_one_for_each_server_that_no_cleaner_removes(self, tmp_path: Path) -> None:
        own = read().folder
        assert own.parent == data_folder({"XDG_DATA_HOME": "/data"})
        assert own.name.startswith("pacs.example.org-")
        other = PacsSettings.read("https://pacs.example.org/other", None, Limits(), {})
        assert other.folder.name != own.name
        assert read(tmp_path).folder == tmp_path / own.name

    def test_monai_labels_own_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_variables(monkeypatch, DICOMWEB_CACHE_PATH=str(tmp_path))
        assert read().folder.parent == tmp_path


def test_prefixes_filter_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, QIDO_PREFIX="qido", DICOMWEB_SEARCH_FILTER={"Modality": "MR"})
    limits = Limits.read({"dicomweb_seconds": "7", "dicomweb_megabytes": "3"}, {})
    known = PacsSettings.read(URL, None, limits, {})
    assert (known.qido_prefix, known.wado_prefix, known.stow_prefix) == ("qido", None, None)
    assert known.search == {"Modality": "MR"}
    assert (known.seconds, known.series_bytes) == (7, 3 << 20)


def _file(folder: Path) -> str:
    file = folder / "password"
    file.write_text("secret")
    return str(file)
