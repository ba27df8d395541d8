"""`segsam bench`: volumes, processes and page; and one contender that is really measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segsam.datasets.sample import Sample
from segsam.errors import BenchError
from segsam.imaging.volume import Volume
from segsam.model import Host
from segsam.research.bench import run as run_module
from segsam.research.bench.case import SIDE_PX, BenchCase
from segsam.research.bench.machine_limits import (
    encoder_gflop,
    limit_rows,
    limit_text,
    measure_machine,
)
from segsam.research.bench.plan import CONTENDER_BY_NAME, CONTENDERS, ITEMS, QUICK
from segsam.research.bench.record import BenchRecord
from segsam.research.bench.report import tables, write_page
from segsam.research.bench.run import run_bench
from segsam.research.bench.targets import TARGETS, linearity
from segsam.research.bench.timing import Timing, peak_mb, seconds_of, timed
from segsam.research.bench.worker import measure


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A CT of 20 x 24 x 9 with a liver on slices 2 to 6."""
    folder = tmp_path / "sample"
    folder.mkdir()
    labels = np.zeros((20, 24, 9), dtype=np.uint8)
    labels[4:14, 6:18, 2:7] = 5
    voxels = (100 * (labels > 0) + 10 * np.arange(9)).astype(np.int16)
    affine = np.diag([3.0, 3, 5, 1])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labels.nii.gz")
    image, labelled = folder / "ct.nii.gz", folder / "labels.nii.gz"
    return Sample(image, labelled, {"liver": 5}, folder, folder, folder)


def timing(seconds: float) -> dict[str, Any]:
    return {"median_s": seconds, "low_s": seconds, "high_s": seconds, "runs": 3, "note": ""}


@pytest.fixture
def content() -> dict[str, Any]:
    """JSON of a run: `exact` takes a quarter of LiteMedSAM's time, SAM 2 is not installed."""
    items = {"encode": timing(1.2), "decode": timing(0.06), "box_cold": timing(130.0)}
    baseline = {"name": "litemedsam", "title": "LiteMedSAM", "skipped": "", "items": items}
    quarter = {name: timing(one["median_s"] / 4) for name, one in items.items()}
    exact = {"name": "exact", "title": "exact", "skipped": "", "items": quarter, "peak_mb": 900.0}
    exact["facts"] = {
        "encoder_gflop": 60.0,
        "runtime": {"why": "OpenVINO in f32.", "precision": "exact"},
    }
    pace = {"gflops_float32": 300.0, "gflops_bfloat16": 1200.0, "copied_gb_s": 20.0}
    itself = {"name": "machine", "title": "it", "skipped": "", "items": {}, "facts": pace}
    missing = {"name": "sam2", "title": "SAM 2", "skipped": "it is not installed", "items": {}}
    points = [[n, 0.5 * n] for n in range(1, 9)]
    deep = {
        "name": "curve",
        "title": "deep",
        "skipped": "",
        "items": {},
        "facts": {"curve": points},
    }
    machine = {
        "commit": "abc", "processor": "one", "threads": 2, "torch": "2",
        "load_before": 0.1, "load_after": 1.0,
    }  # fmt: skip
    plan = {"slices": 100, "deep": 400, "clicked": 32}
    everybody = [itself, baseline, exact, missing, deep]
    return {"when": "now", "machine": machine, "plan": plan, "contenders": everybody}


@pytest.fixture
def record(content: dict[str, Any]) -> BenchRecord:
    return BenchRecord.model_validate(content)


def test_timing_warms_up_and_gives_the_median() -> None:
    calls: list[int] = []
    found = timed(lambda: calls.append(1), 3)
    assert len(calls) == 4
    assert found.runs == 3
    assert found.low_s <= found.median_s <= found.high_s
    assert Timing.of([3.0, 1.0, 2.0]).median_s == 2.0
    assert seconds_of(lambda: None) >= 0
    assert (peak_mb() or 1.0) > 0


def test_the_object_goes_through_every_slice(tmp_path: Path, sample: Sample) -> None:
    made = BenchCase.make(tmp_path, sample, 7)
    volume = Volume.load(made.path)
    assert volume.shape_ijk == (SIDE_PX, SIDE_PX, 7)
    assert (made.box.min_ijk[2], made.box.max_ijk[2]) == (0, 6)
    centre = volume.voxels[made.box.min_ijk[0] + 60, made.box.min_ijk[1] + 60]
    np.testing.assert_allclose(centre, np.linspace(120, 160, 7), atol=1)
    assert BenchCase.read(tmp_path, 7) == made
    assert made.slice_prompt(3).boxes[0].flat_axes == (2,)


def as_segsam(record: BenchRecord) -> BenchRecord:
    """Return the record with the times of `exact` as those of `segsam`."""
    contenders = [
        one.model_copy(update={"name": "segsam"}) if one.name == "exact" else one
        for one in record.contenders
    ]
    return record.model_copy(update={"contenders": contenders})


def test_ratios_are_of_the_baseline(record: BenchRecord) -> None:
    assert record.speedup("exact", "encode") == pytest.approx(4)
    assert record.speedup("sam2", "encode") is None
    assert linearity(record) == pytest.approx(1)
    by_name = {target.title: target for target in TARGETS}
    encode = by_name["Encode one slice, LiteMedSAM, exact"]
    assert encode.verdict(encode.measure(record)) == "reached"
    cold = by_name["3D box, cold, exact"]
    assert cold.verdict(cold.measure(record)) == "not measured"
    assert cold.verdict(cold.measure(as_segsam(record))) == "missed"
    assert by_name["3D box, warm"].measure(record) is None


def test_the_page_shows_everything(tmp_path: Path, record: BenchRecord) -> None:
    rows = [{"part": "ct", "objects": 9, "exact": 80.0, "fast": 79.5, "agreement": 98.0}]
    (tmp_path / "speed").mkdir()
    precision = tmp_path / "speed" / "precision.json"
    precision.write_text(json.dumps({"words": "On nine objects.", "rows": rows}))
    pictures = write_page(record, tmp_path / "speed.md")
    page = (tmp_path / "speed.md").read_text()
    assert [path.name for path in pictures] == ["encode.png", "box.png", "curve.png"]
    assert all(f"speed/{path.name}" in page and path.stat().st_size for path in pictures)
    assert (
        "| encode one slice of 512 x 512 | exact | 300 ms | 300 ms to 300 ms (3) | 4.0 x |" in page
    )
    assert "| Encode one slice, LiteMedSAM, exact | ≥ 2.5 x | 4 x | reached |" in page
    write_page(as_segsam(record), tmp_path / "own.md")
    own = (tmp_path / "own.md").read_text()
    assert "| 3D box, cold, exact | ≥ 9 x | 4 x | missed | nearly all of it is encoding" in own
    assert "at 300 billion operations per second in float32" in page
    assert "| exact | 60.0 | 300 ms | 200 ms | 67% |" in page
    assert "SAM 2 was not measured: it is not installed" in page
    assert "| ct | 9 | 80.00 | 79.50 | 98.00 |" in page
    assert [table.row_count for table in tables(record)] == [6, 1, len(TARGETS)]


def test_without_the_machine_itself_no_limits_are_shown(record: BenchRecord) -> None:
    record = record.model_copy(update={"contenders": record.contenders[1:]})
    assert limit_rows(record) == []
    assert limit_text(record) == ""


def test_the_machine_and_an_encoder_are_measured(tiny_host: Host) -> None:
    assert all(value > 0 for value in measure_machine().facts.values())
    assert encoder_gflop(tiny_host) > 0


def test_an_earlier_run_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(content))
    assert BenchRecord.read(tmp_path / "bench.json").to_json() == content
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(
        BenchError, match=r"Expected a file of `segsam bench --json`, got other\.json"
    ):
        BenchRecord.read(tmp_path / "other.json")
    with pytest.raises(BenchError, match=r"Cannot read .*/none\.json"):
        BenchRecord.read(tmp_path / "none.json")
    with pytest.raises(BenchError, match=r"Cannot read none\.json: the operating system says"):
        BenchRecord.read(Path("none.json"))


def test_an_unknown_contender_is_refused() -> None:
    with pytest.raises(BenchError, match=r"Expected one of the contenders machine, .*, got nobody"):
        run_bench(QUICK, only=["nobody"], report=lambda line: None)


def test_a_failing_contender_gives_the_reason_and_the_others_continue(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_module, "fetch_sample", lambda: sample)
    monkeypatch.setenv("SEGSAM_CACHE", str(tmp_path / "cache"))
    plan = replace(QUICK, slices=2, deep=2)
    lines: list[str] = []
    segsam, server = run_bench(
        plan,
        only=["server", "segsam"],
        app=tmp_path,
        checkpoint=tmp_path / "none.safetensors",
        report=lines.append,
    ).contenders
    assert "There is no MONAI Label app" in server.skipped
    assert "none.safetensors" in segsam.skipped
    assert any("not measured" in line for line in lines)


@pytest.mark.slow
def test_segsam_is_really_measured(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "fetch_sample", lambda: sample)
    plan = replace(QUICK, slices=2, deep=3, rounds=1)
    (found,) = run_bench(plan, only=["torch"], report=lambda line: None).contenders
    assert found.skipped == ""
    assert set(found.items) == {"encode", "decode", "second"}
    assert found.facts["runtime"]["runtime"] == "torch"
    assert found.peak_mb is None or found.peak_mb > 100


def test_names_are_unique() -> None:
    assert len({one.name for one in CONTENDERS}) == len(CONTENDERS)
    assert CONTENDER_BY_NAME["sam"].title.startswith("SAM")
    assert len(set(ITEMS.values())) == len(ITEMS)


def test_a_missing_package_names_the_extra(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BenchCase.make(tmp_path, sample, QUICK.slices)
    monkeypatch.setitem(sys.modules, "sam2", None)
    with pytest.raises(BenchError, match=r"SAM 2\.1 .* pip install 'segsam\[research\]'"):
        measure(CONTENDER_BY_NAME["sam2"], tmp_path, QUICK)
