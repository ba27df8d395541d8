"""The table of hosts, and where official files are looked for."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from segsam.errors import CheckpointError
from segsam.model.hosts import HOSTS
from segsam.model.hosts.table import HEADINGS, host_table
from segsam.model.official import detect, official_path
from segsam.system.folders import weights_dir


def test_every_host_has_a_whole_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSAM_WEIGHTS", str(tmp_path))
    rows = host_table()
    assert [row.name for row in rows] == list(HOSTS)
    for row in rows:
        assert len(row.cells()) == len(HEADINGS)
        assert all(row.cells()), row
        assert all((row.normalisation, row.trained, row.source, row.wanted)), row
        assert 0 < row.trainable < row.parameters
    assert {row.name: row.parameters for row in rows} == {
        "litemedsam": 9_791_300,
        "sam": 93_735_472,
        "medsam": 93_735_472,
        "sam_med2d": 271_241_776,
        "med_sa": 104_337_712,
        "sam_unet": 116_019_884,
        "sam_unet50": 138_428_204,
        "sam2_tiny": 38_962_498,
        "sam2_small": 46_060_354,
        "sam2_base_plus": 80_850_178,
        "sam2_large": 224_446_642,
        "medsam2": 38_962_498,
        "segsam_fast": 9_791_588,
    }
    assert [row.name for row in rows if row.checkpoint] == ["litemedsam"]


def test_a_row_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSAM_WEIGHTS", str(tmp_path))
    (row,) = host_table(["sam"])
    assert row.cells() == (
        "sam",
        "ViT-B/16",
        "1024 px, 16 px a cell",
        "93,735,472",
        "4,064,560",
        "the image encoder",
        "not found",
        "Apache-2.0",
    )
    assert row.wanted == str(tmp_path / "sam_vit_b_01ec64.pth")
    (tmp_path / "sam_vit_b_01ec64.pth").touch()
    (row,) = host_table(["sam"])
    assert row.checkpoint == row.wanted
    assert row.cells()[6] == "found"


def test_a_host_without_its_package_keeps_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one == "sam2" or one.startswith("sam2.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sam2", None)
    (row,) = host_table(["sam2_tiny"])
    assert row.cells()[3:5] == ("package missing", "0")


def test_counting_parameters_keeps_no_numbers() -> None:
    host_table(["sam_unet"])  # whatever is imported on the way is counted here
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host_table(["sam_med2d"])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kibibytes; the weights would be a million"


def test_the_folder_of_official_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSAM_WEIGHTS", str(tmp_path / "here"))
    assert weights_dir() == tmp_path / "here"
    monkeypatch.delenv("SEGSAM_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_dir() == tmp_path / "segsam" / "weights"
    assert official_path(HOSTS["med_sa"].facts).name == "med_sa.pth"


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", "holds MobileSAM, which is not among"),
        ("image_encoder.pos_embed", "name the host, as sam:a.pth or medsam:a.pth"),
        ("vision_encoder.pos_embed", "other names, the first 'vision_encoder.pos_embed'. It has"),
        ("layer1.weight", r"Expected weights of litemedsam, sam, .* first 'layer1.weight'\.$"),
    ],
)
def test_files_that_name_no_host_are_refused(key: str, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        detect({key: torch.zeros(2, 3, 3, 3)}, "a.pth")


def test_the_tiny_encoder_with_a_small_stem_is_litemedsam() -> None:
    state = {"image_encoder.patch_embed.seq.0.c.weight": torch.zeros(32, 3, 1, 1)}
    assert detect(state, "a.pth") == "litemedsam"
