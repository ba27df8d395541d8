"""Files of embeddings: whole, bounded, and there after a restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from segsam.errors import OutputError
from segsam.prediction.embedding_files import EmbeddingFiles

KIB = 1024


def some(kibibytes: int = 1, value: float = 0.0) -> dict[str, torch.Tensor]:
    return {"embedding": torch.full((1, 512, 1, kibibytes), value, dtype=torch.float16)}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    EmbeddingFiles(tmp_path).write("a", some(value=2.5))
    files = EmbeddingFiles(tmp_path)
    found = files.read("a")
    assert found is not None
    assert torch.equal(found["embedding"], some(value=2.5)["embedding"])
    assert "a" in files
    assert "b" not in files
    assert files.read("b") is None


@pytest.mark.parametrize("content", [b"", b"torn", bytes(64)])
def test_a_damaged_file_is_ignored_and_removed(tmp_path: Path, content: bytes) -> None:
    for look in (EmbeddingFiles.read, EmbeddingFiles.__contains__):
        files = EmbeddingFiles(tmp_path)
        files.write("a", some())
        path = tmp_path / "a.safetensors"
        path.write_bytes(content or path.read_bytes()[:-7])
        assert not look(files, "a")
        assert not path.exists()


def test_a_file_of_another_key_or_without_numbers_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = EmbeddingFiles(tmp_path)
    files.write("a", some())
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())
    assert "b" not in files
    files.write("c", some(value=torch.inf))
    assert files.read("c") is None
    assert len(caplog.records) == 1
    assert files.holds("a", {"embedding": ("F16", (1, 512, 1, 1))})
    assert not files.holds("a", {"embedding": ("F32", (1, 512, 1, 1))})


def test_the_least_recently_used_is_removed_first_also_after_a_restart(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, 1 << 20)
    for age, key in enumerate("abc"):
        files.write(key, some())
        os.utime(tmp_path / f"{key}.safetensors", (age, age))
    one = files.bytes // 3
    again = EmbeddingFiles(tmp_path, 1 << 20)
    assert again.read("a") is not None
    EmbeddingFiles(tmp_path, 2 * one)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c"]


def test_it_never_holds_more_than_its_limit(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, 10 * KIB)
    for number in range(40):
        files.write(str(number), some(number % 3 + 1))
        held = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert held == files.bytes <= 10 * KIB


def test_files_of_another_process_count_against_the_limit(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, 10 * KIB)
    others = EmbeddingFiles(tmp_path, 10 * KIB)
    for number in range(6):
        others.write(f"other{number}", some())
    for number in range(10):
        files.write(str(number), some())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10 * KIB


def test_partial_files_of_killed_processes_are_removed_but_not_new_ones(tmp_path: Path) -> None:
    old, new = tmp_path / ".1.partial", tmp_path / ".2.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    EmbeddingFiles(tmp_path, 1 << 20)
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_private_files_are_readable_by_the_user_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        EmbeddingFiles(tmp_path / "cache", 1 << 20, private=True).write("a", some())
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache" / "a.safetensors").stat().st_mode & 0o777 == 0o600


def test_a_path_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="Cannot write to cache"):
        EmbeddingFiles(tmp_path / "cache", 1 << 20)
