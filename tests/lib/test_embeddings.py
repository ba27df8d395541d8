from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from segsam.embeddings import EmbeddingCache, slice_key
from segsam.model import ImageFeatures

KIB = 1024


def features(kibibytes: int = 1) -> ImageFeatures:
    return ImageFeatures(torch.zeros(1, 256, 1, kibibytes))


class TestKey:
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)

    def test_the_same_picture_has_the_same_key(self) -> None:
        assert slice_key(self.picture, "w") == slice_key(np.asfortranarray(self.picture), "w")

    def test_another_voxel_shape_or_weights_have_another(self) -> None:
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
        assert first is second
        assert (cache.state.hits, cache.state.misses, cache.state.entries) == (1, 1, 1)

    def test_the_least_recently_used_goes_first(self) -> None:
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

    def test_what_is_larger_than_the_limit_is_served_but_not_kept(self) -> None:
        cache = EmbeddingCache(KIB)
        found, now = cache.get_or_encode("a", lambda: features(2))
        assert now
        assert found.embedding.shape[-1] == 2
        assert cache.state.entries == 0

    def test_presence_counts_as_well(self) -> None:
        cache = EmbeddingCache()
        both = ImageFeatures(torch.zeros(1, 256, 1, 1), torch.zeros(1, 256))
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

    def test_a_checkpoint_finds_what_it_made_and_no_others(self) -> None:
        cache = EmbeddingCache()
        encoded, _ = cache.get_or_encode("a", features)
        mine = ImageFeatures(encoded.embedding, torch.zeros(1, 256))
        assert cache.get_or_derive("a", "mine", lambda: mine) is mine
        assert cache.get_or_derive("a", "mine", features) is mine
        yours = ImageFeatures(torch.zeros(1, 256, 1, 1), torch.ones(1, 256))
        assert cache.get_or_derive("a", "yours", lambda: yours) is yours
        assert cache.state.bytes == (1 + 1 + 2) * KIB, "the shared tensor counts once"
        cache.clear()
        assert cache.get_or_derive("a", "mine", lambda: yours) is yours

    def test_what_is_made_counts_against_the_limit(self) -> None:
        cache = EmbeddingCache(3 * KIB)
        for key in "ab":
            cache.get_or_encode(key, features)
        cache.get_or_derive("b", "mine", lambda: features(2))
        assert (cache.state.entries, cache.state.bytes) == (1, 3 * KIB)
        assert cache.get("a") is None
        cache.get_or_derive("b", "yours", features)
        assert cache.state.bytes == 0, "an entry that outgrew the limit goes"

    def test_of_an_embedding_that_has_gone_nothing_is_kept(self) -> None:
        cache = EmbeddingCache()
        made = cache.get_or_derive("gone", "mine", features)
        assert made.embedding.shape[-1] == 1
        assert cache.state.bytes == 0

    def test_a_negative_limit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            EmbeddingCache(-1)
