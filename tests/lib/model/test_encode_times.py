"""Precision is chosen by what it gains here: times are measured once, kept, and told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from segsam.errors import RuntimeChoiceError
from segsam.model import SegSam, load_pretrained
from segsam.model.runtimes import EncoderRunner, choose_runtime, choosing, encode_times
from segsam.model.runtimes.encode_times import (
    EncodeTimes,
    Machine,
    keep_times,
    kept_times,
    measured_times,
)

GAINS = EncodeTimes(exact_s=0.223, fast_s=0.073)
LOSES = EncodeTimes(exact_s=0.461, fast_s=0.896)
LITTLE = EncodeTimes(exact_s=0.500, fast_s=0.450)
HERE = Machine("a processor", "avx512_bf16 avx512f", 2, "2026.4.1-build")

openvino_only = pytest.mark.skipif(
    choosing.importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGSAM_CACHE", str(tmp_path))
    return tmp_path


def record(cache: Path) -> Path:
    (found,) = (cache / "encode_times").glob("*")
    return found


class TestTheRecord:
    def test_it_is_kept_for_one_machine_and_one_encoder(self) -> None:
        assert kept_times(HERE, "weights") is None
        keep_times(HERE, "weights", GAINS)
        assert kept_times(HERE, "weights") == GAINS
        assert kept_times(HERE, "other weights") is None
        for change in (
            {"processor": "another"},
            {"instructions": "avx512f"},
            {"threads": 1},
            {"openvino": "2027.0.0"},
        ):
            assert kept_times(replace(HERE, **change), "weights") is None, change

    def test_every_damage_is_no_record(self, cache: Path) -> None:
        keep_times(HERE, "weights", GAINS)
        path = record(cache)
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert kept_times(HERE, "weights") in (None, GAINS), at
        values = json.loads(whole)
        del values["checksum"]
        for change in ({"fast_s": 0.0}, {"exact_s": "fast"}, {"fast_s": None}, {"more": 1}):
            path.write_text(json.dumps(values | change))
            assert kept_times(HERE, "weights") is None, change
        for content in (b"", whole[:-9], b"[]", b"\xff", b"{" * 70_000):
            path.write_bytes(content)
            assert kept_times(HERE, "weights") is None
        path.unlink()
        path.mkdir()
        assert kept_times(HERE, "weights") is None

    def test_the_times_of_another_encoder_under_this_name_are_not_read(self, cache: Path) -> None:
        keep_times(HERE, "weights", GAINS)
        path = record(cache)
        values = path.read_bytes()
        path.unlink()
        keep_times(HERE, "others", LOSES)
        other = record(cache)
        other.write_bytes(values)
        assert kept_times(HERE, "others") is None

    def test_a_folder_that_cannot_be_written_is_no_error(self, cache: Path) -> None:
        (cache / "encode_times").write_text("a file where the folder belongs")
        keep_times(HERE, "weights", GAINS)
        assert kept_times(HERE, "weights") is None

    def test_many_write_at_once(self, cache: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda _: keep_times(HERE, "weights", GAINS), range(32)):
                assert kept_times(HERE, "weights") == GAINS
        assert record(cache).suffix == ".json", "nothing partial is left"


def test_both_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = [0.0], ""
    monkeypatch.setattr(encode_times.time, "perf_counter", lambda: clock[0])

    def work(name: str, seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)

        def encode() -> None:
            nonlocal order
            order += name
            clock[0] += next(left)

        return encode

    found = measured_times(
        work("e", [9, 0.4, 0.5, 0.5, 7, 0.5]), work("f", [9, 0.2, 0.3, 4, 0.3, 0.3])
    )
    assert order == "ef" * 6
    assert (found.exact_s, found.fast_s) == pytest.approx((0.5, 0.3))


def test_what_is_worthwhile() -> None:
    assert [times.fast_is_worthwhile for times in (GAINS, LITTLE, LOSES)] == [True, False, False]
    assert [times.fast_is_slower for times in (GAINS, LITTLE, LOSES)] == [False, False, True]
    assert LOSES.in_words == "fast takes 896 ms here where exact takes 461"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def lite(exports: Path) -> Iterator[SegSam]:
    """LiteMedSAM; its runtimes are compiled once, because runners that live on share them."""
    model = load_pretrained("litemedsam")
    alive = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGSAM_CACHE", str(exports))
        for precision in ("exact", "fast"):
            with suppress(RuntimeChoiceError):
                alive.append(choose_runtime(model, "openvino", precision, compare=False))
    yield model
    alive.clear()


@openvino_only
class TestChoosing:
    """The runtime of LiteMedSAM, exported once; times are injected."""

    @pytest.fixture
    def measured(
        self, exports: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[EncodeTimes], list[int]]:
        """Set the times that a measurement finds; return the list that counts measurements."""
        monkeypatch.setenv("SEGSAM_CACHE", str(exports))
        shutil.rmtree(exports / "encode_times", ignore_errors=True)
        for name in ("SEGSAM_RUNTIME", "SEGSAM_PRECISION"):
            monkeypatch.delenv(name, raising=False)

        def set_times(times: EncodeTimes) -> list[int]:
            runs: list[int] = []

            def measure(exact: Callable[[], object], fast: Callable[[], object]) -> EncodeTimes:
                exact(), fast()
                runs.append(1)
                return times

            monkeypatch.setattr(choosing, "measured_times", measure)
            return runs

        return set_times

    @pytest.fixture
    def half(self, lite: SegSam, exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Skip on a processor without half precision."""
        monkeypatch.setenv("SEGSAM_CACHE", str(exports))
        try:
            choose_runtime(lite, "openvino", "fast", compare=False)
        except RuntimeChoiceError as refusal:
            pytest.skip(str(refusal))

    @pytest.mark.usefixtures("half")
    @pytest.mark.parametrize(
        ("times", "used"), [(GAINS, "fast"), (LITTLE, "exact"), (LOSES, "exact")]
    )
    def test_auto_is_what_gains(
        self,
        times: EncodeTimes,
        used: str,
        lite: SegSam,
        measured: Callable[[EncodeTimes], list[int]],
    ) -> None:
        runs = measured(times)
        first, again = (choose_runtime(lite, precision="auto") for _ in range(2))
        assert runs == [1], "measured once, and kept"
        assert first.facts == again.facts
        assert (first.facts.precision, first.facts.times, first.facts.note) == (used, times, "")
        assert first.facts.why.endswith(f" Precision auto is {used}: {times.in_words}.")
        wanted = choose_runtime(lite, precision=used, compare=False)
        assert first.encoder_id == wanted.encoder_id, "the key of embeddings names what was used"
        assert (first.encoder_id == EncoderRunner(lite).encoder_id) == (used == "exact")

    @pytest.mark.usefixtures("half")
    def test_fast_stays_fast_and_says_that_it_is_slower(
        self, lite: SegSam, measured: Callable[[EncodeTimes], list[int]], exports: Path
    ) -> None:
        runs = measured(LOSES)
        facts = choose_runtime(lite, precision="fast").facts
        assert (facts.precision, facts.times) == ("fast", LOSES)
        assert facts.note == (
            "Precision fast takes 896 ms here where exact takes 461: use exact or auto."
        )
        record(exports).write_bytes(b"damaged")
        measured(GAINS)
        facts = choose_runtime(lite, precision="fast").facts
        assert (facts.times, facts.note) == (GAINS, ""), "measured anew"
        assert runs == [1]

    @pytest.mark.usefixtures("half")
    def test_nothing_is_timed_that_nobody_asked_for(
        self, lite: SegSam, measured: Callable[[EncodeTimes], list[int]]
    ) -> None:
        runs = measured(LOSES)
        assert choose_runtime(lite).facts.times is None
        assert choose_runtime(lite, precision="fast", compare=False).facts.times is None
        assert choose_runtime(lite, "torch", "auto").facts.times is None
        assert runs == []

    def test_auto_without_half_precision_is_exact(
        self,
        lite: SegSam,
        measured: Callable[[EncodeTimes], list[int]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from segsam.model.runtimes import openvino_encoder as module

        monkeypatch.setattr(module, "_HALF", {})
        exact = {key: kept for key, kept in module._encoders.items() if not key[1]}
        monkeypatch.setattr(module, "_encoders", exact)
        runs = measured(GAINS)
        facts = choose_runtime(lite, env={"SEGSAM_PRECISION": "auto"}).facts
        assert (facts.runtime, facts.precision, runs) == ("openvino", "exact", [])
        assert "Precision auto is exact: Precision fast needs a CPU with bfloat16" in facts.why
        with pytest.raises(RuntimeChoiceError, match="needs a CPU with bfloat16"):
            choose_runtime(lite, precision="fast")

    def test_auto_with_pytorch_is_exact(
        self, lite: SegSam, measured: Callable[[EncodeTimes], list[int]]
    ) -> None:
        facts = choose_runtime(lite, "torch", "auto").facts
        assert (facts.runtime, facts.precision) == ("torch", "exact")

    def test_this_machine_has_a_name(self) -> None:
        machine = encode_times.this_machine(3)
        assert machine.processor
        assert machine.threads == 3
