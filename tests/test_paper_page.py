"""docs/paper.md against the code: what it names exists, and what should be on it is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import segsam.model.semantic_decoder as semantic_decoder
import segsam.model.semantic_heads as semantic_heads
import segsam.training.losses as losses
import segsam.training.targets as targets
from segsam import categories, model
from segsam.model.config import SemanticConfig
from segsam.model.text_enhancement import TextEnhancement
from segsam.training.loss_weights import LossWeights

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
HOMES = (model, categories, semantic_decoder, semantic_heads, losses, targets)
UNKNOWN_TO_CLASSES = {"SemanticDecoder.prior"}
"""Attributes that instances alone have."""


def found(name: str) -> object | None:
    """The object of this name in one of the modules the page speaks of."""
    if name == "TextEnhancement":
        return TextEnhancement
    return next((getattr(home, name) for home in HOMES if hasattr(home, name)), None)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(test_\w+\.py::test_\w+)", PAGE))))
def test_a_test_it_names_exists(name: str) -> None:
    file, test = name.split("::")
    (path,) = (ROOT / "tests" / "lib").rglob(file)
    assert f"def {test}(" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z]\w+)[`.]", PAGE))))
def test_a_class_it_names_exists(name: str) -> None:
    assert found(name) is not None


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z]\w+\.\w+)[`(]", PAGE))))
def test_a_field_or_method_it_names_exists(name: str) -> None:
    owner, attribute = name.split(".")
    named = getattr(found(owner), "__dataclass_fields__", {})
    named |= getattr(found(owner), "model_fields", {})
    assert attribute in named or hasattr(found(owner), attribute) or name in UNKNOWN_TO_CLASSES


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]\w+_loss|\w+_logits)[`(]", PAGE))))
def test_a_function_it_names_exists(name: str) -> None:
    assert found(name) is not None


@pytest.mark.parametrize("number", range(1, 12))
def test_every_equation_is_on_it(number: int) -> None:
    assert f"\n| ({number}) |" in PAGE


@pytest.mark.parametrize("name", model.VARIANTS)
def test_every_variant_is_on_it(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "name",
    [
        *(f"SemanticConfig.{entry.name}" for entry in fields(SemanticConfig)),
        *(f"LossWeights.{name}" for name in LossWeights.model_fields),
    ],
)
def test_every_choice_is_on_it(name: str) -> None:
    assert f"`{name}`" in PAGE
