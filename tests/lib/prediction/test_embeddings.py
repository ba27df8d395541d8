from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from segsam.model import ImageFeatures
from segsam.prediction.embedding_files import EmbeddingFiles
from segsam.prediction.embeddings import EmbeddingCache, slice_key

KIB = 1024


def features(kibibytes: int = 1) -> ImageFeatures:
    """Features of this size in the cache."""
    return ImageFeatures(torch.zeros(1, 512, 1, kibibytes))


def numbers() -> ImageFeatures:
    return ImageFeatures(torch.linspace(-3, 3, 512).reshape(1, 512, 1, 1))


def never() -> ImageFeatures:
    raise AssertionError("encoded although it was cached")


class TestKey:
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)

    def test_the_same_picture_has_the_same_key(self) -> None:
        assert slice_key(self.picture, "w") == slice_key(np.asfortranarray(self.picture), "w")

    def test_another_voxel_shape_or_weights_have_another_key(self) -> None:
        changed = self.picture.copy()
        changed[0, 0, 0] += 1
        keys = {
            slice_key(self.picture, "w"),
            slice_key(changed, "w"),
            slice_key(self.picture.reshape(5, 4, 3), "w"),
            slice_key(self.picture, "other"),
        }
        assert len(keys) == 4


class TestCache:
    def test_encodes_once(self) -> None:
        cache = EmbeddingCache()
        calls: list[int] = []

        def encode() -> ImageFeatures:
            calls.append(1)
            return features()

        first, now = cache.get_or_encode("a", encode)
        second, again = cache.get_or_encode("a", encode)
        assert (now, again, len(calls)) == (True, False, 1)
        assert torch.equal(first.embedding, second.embedding)
        assert (cache.state.hits, cache.state.misses, cache.state.entries) == (1, 1, 1)

    def test_the_least_recently_used_is_removed_first(self) -> None:
        cache = EmbeddingCache(2 * KIB)
        for key in "ab":
            cache.get_or_encode(key, features)
        assert cache.get("a") is not None
        cache.get_or_encode("c", features)
        assert cache.get("b") is None
        assert cache.get("a") is not None
        assert cache.state.bytes == 2 * KIB

    def test_never_holds_more_than_its_limit(self) -> None:
        cache = EmbeddingCache(10 * KIB)
        for number in range(100):
            cache.get_or_encode(str(number), lambda n=number: features(n % 4 + 1))
            assert cache.state.bytes <= 10 * KIB

    def test_an_entry_larger_than_the_limit_is_returned_but_not_stored(self) -> None:
        cache = EmbeddingCache(KIB)
        found, now = cache.get_or_encode("a", lambda: features(2))
        assert now
        assert found.embedding.shape[-1] == 2
        assert cache.state.entries == 0

    def test_presence_counts_against_the_limit(self) -> None:
        cache = EmbeddingCache()
        both = ImageFeatures(torch.zeros(1, 512, 1, 1), torch.zeros(1, 256))
        cache.get_or_encode("a", lambda: both)
        assert cache.state.bytes == 2 * KIB

    def test_two_threads_encode_one_slice_once(self) -> None:
        cache = EmbeddingCache()
        inside, go = threading.Event(), threading.Event()
        calls: list[int] = []

        def slow() -> ImageFeatures:
            calls.append(1)
            inside.set()
            assert go.wait(10)
            return features()

        threads = [threading.Thread(target=cache.get_or_encode, args=("a", slow)) for _ in "12"]
        threads[0].start()
        assert inside.wait(10)
        threads[1].start()
        go.set()
        for thread in threads:
            thread.join(10)
        assert len(calls) == 1

    def test_a_failed_encoding_leaves_the_cache_usable(self) -> None:
        cache = EmbeddingCache()

        def fail() -> ImageFeatures:
            raise RuntimeError("no memory")

        with pytest.raises(RuntimeError, match="no memory"):
            cache.get_or_encode("a", fail)
        assert cache.get_or_encode("a", features)[1]

    def test_clear(self) -> None:
        cache = EmbeddingCache()
        cache.get_or_encode("a", features)
        cache.clear()
        assert cache.state.bytes == 0
        assert cache.get("a") is None

    def test_each_checkpoint_gets_its_own_derived_features(self) -> None:
        cache = EmbeddingCache()
        encoded, _ = cache.get_or_encode("a", features)
        mine = ImageFeatures(encoded.embedding, torch.zeros(1, 256))
        yours = ImageFeatures(torch.ones(1, 256, 1, 1), torch.ones(1, 256))
        assert cache.get_or_derive("a", "mine", encoded, lambda found: mine) is mine
        again = cache.get_or_derive("a", "mine", encoded, lambda found: yours)
        assert again.presence_logits is mine.presence_logits
        assert again.embedding is encoded.embedding
        assert cache.get_or_derive("a", "yours", encoded, lambda found: yours) is yours
        again = cache.get_or_derive("a", "yours", encoded, lambda found: mine)
        assert again.embedding is yours.embedding, "its own tensor is stored"
        assert cache.state.bytes == (1 + 1 + 2) * KIB, "the shared tensor counts once"
        cache.clear()
        assert cache.get_or_derive("a", "mine", encoded, lambda found: yours) is yours

    def test_derived_features_count_against_the_limit(self) -> None:
        cache = EmbeddingCache(3 * KIB)
        for key in "ab":
            cache.get_or_encode(key, features)
        small = ImageFeatures(torch.zeros(1, 512, 1, 1))
        cache.get_or_derive("b", "mine", small, lambda found: ImageFeatures(found.embedding + 1))
        assert (cache.state.entries, cache.state.bytes) == (1, 3 * KIB)
        assert cache.get("a") is None
        cache.get_or_derive("b", "yours", small, lambda found: ImageFeatures(found.embedding + 2))
        assert cache.state.bytes == 0, "an entry that outgrew the limit goes"

    def test_nothing_is_derived_into_a_removed_entry(self) -> None:
        cache = EmbeddingCache()
        made = cache.get_or_derive("gone", "mine", features(), lambda found: found)
        assert made.embedding.shape[-1] == 1
        assert cache.state.bytes == 0

    def test_a_negative_limit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            EmbeddingCache(-1)


class TestPrecision:
    def test_the_first_answer_equals_the_cached_one(self) -> None:
        cache = EmbeddingCache()
        exact = numbers().embedding
        first, _ = cache.get_or_encode("a", numbers)
        assert first.embedding.dtype == torch.float32
        assert torch.equal(first.embedding, exact.half().float())
        again, _ = cache.get_or_encode("a", never)
        assert torch.equal(again.embedding, first.embedding)

    def test_values_beyond_float16_stay_float32(self) -> None:
        cache = EmbeddingCache()
        large = ImageFeatures(torch.full((1, 512, 1, 1), 1e6))
        assert torch.equal(cache.get_or_encode("a", lambda: large)[0].embedding, large.embedding)
        assert cache.state.bytes == 2 * KIB

    def test_another_precision_can_be_set(self) -> None:
        cache = EmbeddingCache(precision=torch.float32)
        cache.get_or_encode("a", numbers)
        found = cache.get("a")
        assert found is not None
        assert torch.equal(found.embedding, numbers().embedding)


class TestBackground:
    def test_background_encoding_blocks_no_request(self) -> None:
        cache = EmbeddingCache()
        inside, go = threading.Event(), threading.Event()

        def slow() -> ImageFeatures:
            inside.set()
            assert go.wait(10)
            return features()

        thread = threading.Thread(
            target=cache.get_or_encode, args=("a", slow), kwargs={"background": True}
        )
        thread.start()
        assert inside.wait(10)
        assert cache.get_or_encode("b", features)[1], "another slice"
        assert cache.get_or_encode("a", features)[1], "and the same one"
        go.set()
        thread.join(10)
        assert cache.state.entries == 2
        assert (cache.state.misses, cache.state.prefetched) == (2, 1)

    def test_background_hits_are_not_counted(self) -> None:
        cache = EmbeddingCache()
        cache.get_or_encode("a", features)
        assert not cache.get_or_encode("a", never, background=True)[1]
        assert cache.state.hits == 0


class TestDisk:
    def test_another_process_finds_what_was_encoded(self, tmp_path: Path) -> None:
        detailed = ImageFeatures(numbers().embedding, detail=torch.ones(1, 2, 4, 4))
        first = EmbeddingCache(files=EmbeddingFiles(tmp_path, 1 << 20))
        written, _ = first.get_or_encode("a", lambda: detailed)
        first.flush()
        second = EmbeddingCache(files=EmbeddingFiles(tmp_path, 1 << 20))
        found, now = second.get_or_encode("a", never)
        assert not now
        assert torch.equal(found.embedding, written.embedding)
        assert found.detail is not None
        assert torch.equal(found.detail, torch.ones(1, 2, 4, 4))
        second.get_or_encode("a", never)
        state = second.state
        assert (state.hits, state.disk_hits, state.misses) == (1, 1, 0)
        assert 0 < state.disk_bytes <= state.disk_limit_bytes == 1 << 20

    def test_entries_removed_from_memory_are_read_from_disk(self, tmp_path: Path) -> None:
        cache = EmbeddingCache(KIB, files=EmbeddingFiles(tmp_path, 1 << 20))
        for key in "abc":
            cache.get_or_encode(key, numbers)
        cache.flush()
        assert cache.state.entries == 1
        assert not cache.get_or_encode("a", never)[1]

    def test_private_embeddings_are_never_written(self, tmp_path: Path) -> None:
        cache = EmbeddingCache(files=EmbeddingFiles(tmp_path, 1 << 20))
        cache.get_or_encode("a", features, private=True)
        cache.flush()
        assert list(tmp_path.iterdir()) == []
        assert not cache.get_or_encode("a", never)[1]

    def test_a_disk_error_is_logged_and_the_embedding_stays_in_memory(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "cache"
        cache = EmbeddingCache(files=EmbeddingFiles(folder, 1 << 20))
        folder.rmdir()
        with caplog.at_level(logging.WARNING, "segsam.prediction.embedding_files"):
            cache.get_or_encode("a", features)
            cache.flush()
        assert "stays in memory only" in caplog.text
        assert not cache.get_or_encode("a", never)[1]

    def test_a_file_without_an_embedding_is_a_miss(self, tmp_path: Path) -> None:
        files = EmbeddingFiles(tmp_path, 1 << 20)
        files.write("a", {"other": torch.zeros(1)})
        assert EmbeddingCache(files=files).get_or_encode("a", features)[1]
