"""The page made from a card: all that a reader must know, and what is not known is said."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from segsam.categories import Categories
from segsam.datasets.folder import Dataset
from segsam.datasets.splits import Split
from segsam.evaluation.model_card import data_of, model_card, results_of
from segsam.model import Card, read_card
from segsam.model.naming_rule import WITHOUT_MEMORY
from segsam.model.packaged import SHIPPED, shipped_path

from ..made_memory import RULE

ROOT = Path(__file__).resolve().parents[3]
SCORES = {"dsc": 91.234, "dsc_95": [90.0, 92.5], "mdsc": 85.0, "mdsc_95": None, "secret": 1}
RECORD: dict[str, Any] = {
    "average": SCORES,
    "modalities": {"CT": SCORES, "MR": {"dsc": 80.0}},
    "datasets": {
        "btcv": {"modality": "CT", "objects": 12, "dsc": 91.0, "per_class": {"liver": {}}},
        "heart": {"modality": "MR", "dsc": 80.0, "volume_dice": 88.25, "volume_dice_95": [80, 90]},
    },
    "prompt": "box",
    "seed": 0,
    "seconds": 12.0,
}


@pytest.fixture
def card(five_categories: Categories) -> Card:
    return Card(
        "a test",
        semantic_is_trained=True,
        licence="Research only.",
        categories_seen=("liver", "heart"),
        categories=five_categories.items,
        temperature=1.25,
        results={"box": results_of(RECORD)},
        limits=("Vessels thinner than a pixel are lost.",),
        failures=({"picture": "model_card/a.png", "caption": "A vessel | lost"},),
        training={"steps": 4000, "prompts": {"box": 0.5, "points": [1, 2]}},
        half=True,
        encoder="ab" * 32,
        sha256="cd" * 32,
    )


def line(page: str, start: str) -> str:
    return next(row for row in page.splitlines() if row.startswith(start))


def test_scores_stand_with_their_intervals(card: Card) -> None:
    page = model_card(card)
    assert line(page, "| CT |") == "| CT | 91.2 (90.0-92.5) | 85.0 |"
    assert line(page, "| MR |") == "| MR | 80.0 | - |"
    assert line(page, "| average |").startswith("| average | 91.2")
    assert "### Prompted with one box an object" in page
    assert line(page, "| heart |") == "| heart | 88.2 (80.0-90.0) |"
    assert "| btcv |" not in page, "it has no volumes"


def test_of_an_evaluation_the_scores_are_kept() -> None:
    kept = results_of(RECORD)
    assert kept["average"] == {"dsc": 91.234, "dsc_95": [90.0, 92.5], "mdsc": 85.0}
    assert "per_class" not in kept["datasets"]["btcv"]
    assert kept["seed"] == 0


def test_what_it_is_and_must_not_be_used_for(card: Card) -> None:
    page = model_card(card)
    assert page.startswith("# Model card: a test\n")
    assert "cd" * 32 in page
    assert "not in the file (abababababababab)" in page
    assert "2: liver, heart. Known by their texts alone: spleen, nerve, polyp." in page
    assert "## What it must not be used for" in page
    assert "was never trained on" in page
    assert "Research only." in page
    assert line(page, "| prompts points |") == "| prompts points | 1, 2 |"


def test_failures_are_shown(card: Card) -> None:
    page = model_card(card)
    assert "- Vessels thinner than a pixel are lost." in page
    assert "![A vessel | lost](model_card/a.png)" in page


def test_calibration(card: Card) -> None:
    one = {
        "before": {"ece": 0.081},
        "after": {"ece": 0.02, "objects": 400, "accuracy": 0.953},
        "agreement": {"box": {"rho": 0.61}, "point": {"rho": None}},
    }
    page = model_card(replace(card, calibration={"temperature": 1.25, "test": one}))
    assert line(page, "| test |") == "| test | 400 | 95.3% | 8.1% | 2.0% | box 0.61 |"


def test_the_memory_of_examples_or_why_there_is_none(card: Card) -> None:
    naming = {"rule": asdict(replace(RULE, limit=0.43)), "objects": {"examples": 110}}
    row = line(model_card(replace(card, naming=naming)), "| memory of examples |")
    assert "110 examples; a name is given from a confidence of 0.43 on" in row
    assert "that of a disease from 0.90 on" in row
    page = model_card(replace(card, naming={WITHOUT_MEMORY: "Another encoder."}))
    assert line(page, "| memory of examples |") == "| memory of examples | none: Another encoder. |"
    assert "memory of examples" not in model_card(card)


def test_each_name_has_its_figures(card: Card) -> None:
    liver = {"data": ["btcv", "chaos"], "objects": 40, "dsc": {"box": 91.26, "point": 83.0}}
    liver |= {"named": 30, "right": 27, "taken_for": {"spleen": 2, "heart": 1}}
    nerve = {"data": ["usgra"], "objects": 3, "dsc": {"box": 60.0}, "named": 0, "right": 0}
    nerve |= {"taken_for": {}}
    page = model_card(replace(card, naming={"names": {"liver": liver, "nerve": nerve}}))
    assert line(page, "| name |").startswith("| name | data sets | objects | DSC, box | DSC, point")
    row = "| liver | btcv, chaos | 40 | 91.3 | 83.0 | 75% | 90% | spleen (2), heart (1) |"
    assert line(page, "| liver |") == row
    assert line(page, "| nerve |") == "| nerve | usgra | 3 | 60.0 | - | 0% | - | - |"
    assert "Each name on" not in model_card(card)


def test_data_with_licences_and_cases(card: Card, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, "btcv", "CT", "research", {1: "liver", 2: "heart"}, ("a", "b"))
    split = {"train": {"btcv": ("a",)}, "test": {"btcv": ("b", "c")}}
    record = {"seed": 0, "pattern": "", "by_frame": [], "parts": split}
    (tmp_path / "split.json").write_text(json.dumps(record))
    data = data_of([dataset], Split.load(tmp_path / "split.json"))
    page = model_card(replace(card, data=data))
    assert line(page, "| btcv |") == "| btcv | CT | liver, heart | research | 1 | 2 |"


def test_what_is_not_known_is_said(five_categories: Categories) -> None:
    page = model_card(Card("bare", categories=five_categories.items))
    assert page.count("not stated") >= 6
    assert "$" not in page


def test_the_page_agrees_with_the_card_of_the_shipped_weights() -> None:
    path = shipped_path()
    if path is None:
        pytest.skip("no checkpoint ships with this checkout")
    page = (ROOT / "docs/model_card.md").read_text(encoding="utf-8")
    wanted = model_card(read_card(path))
    assert page == wanted, f"run: segsam models card {SHIPPED} -o docs/model_card.md"
    for one in read_card(path).failures:
        assert (ROOT / "docs" / one["picture"]).is_file()
