"""Choice of the next case, and its reason."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.proposals.selection import STRATEGIES, Case, choose, nearest_distances


def at(*place: float) -> NDArray[np.float32]:
    values = np.array(place, dtype=np.float32)
    return values / np.linalg.norm(values)


LABELLED = Case("a", labelled=True, embedding=at(1, 0))
NEAR_AND_UNCERTAIN = Case("b", disagreement=0.9, embedding=at(1, 0.1))
FAR_AND_CERTAIN = Case("c", disagreement=0.1, embedding=at(0, 1))
BOTH = Case("d", disagreement=0.8, embedding=at(0.2, 1))
NEITHER = Case("e", disagreement=0.05, embedding=at(1, 0.05))
ALL = [LABELLED, NEAR_AND_UNCERTAIN, FAR_AND_CERTAIN, BOTH, NEITHER]


def test_agreement_chooses_the_largest_disagreement() -> None:
    choice = choose("agreement", ALL)
    assert choice is not None
    assert (choice.name, choice.score) == ("b", 0.9)
    assert (
        choice.reason
        == "The two decoders agree least on this one (0.10 of 1) of 4 unlabelled images."
    )


def test_diversity_chooses_the_farthest_from_the_labelled_cases() -> None:
    choice = choose("diversity", ALL)
    assert choice is not None
    assert choice.name == "c"
    assert choice.score == pytest.approx(np.sqrt(2))
    assert choice.reason.startswith("This one differs most from the labelled images, of 4")


def test_repeated_diversity_is_greedy_k_center() -> None:
    places = {"a": at(1, 0), "b": at(1, 0.05), "c": at(0, 1), "d": at(0.05, 1), "e": at(1, 1)}
    labelled: list[str] = ["a"]
    while len(labelled) < 4:
        cases = [Case(name, name in labelled, embedding=place) for name, place in places.items()]
        choice = choose("diversity", cases)
        assert choice is not None
        labelled.append(choice.name)
    assert labelled[1:3] == ["c", "e"]


def test_without_a_label_diversity_begins_with_an_ordinary_one() -> None:
    cases = [
        Case("odd", embedding=at(-1, 0)),
        *(Case(f"n{k}", embedding=at(1, k / 50)) for k in range(5)),
    ]
    choice = choose("diversity", cases)
    assert choice is not None
    assert choice.name != "odd"
    assert "Nothing is labelled yet" in choice.reason


def test_the_mix_chooses_the_best_product_of_ranks() -> None:
    choice = choose("mix", ALL)
    assert choice is not None
    assert choice.name == "d"
    assert choice.score == pytest.approx(4 / 9)
    assert "above 67%" in choice.reason


def test_the_first_and_a_random_one() -> None:
    first = choose("first", ALL)
    assert first is not None
    assert (first.name, first.score) == ("b", None)
    drawn = {choose("random", ALL, seed=seed).name for seed in range(40)}  # type: ignore[union-attr]
    assert drawn == {"b", "c", "d", "e"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_choice_does_not_depend_on_the_order(strategy: str) -> None:
    once = choose(strategy, ALL, seed=3)  # type: ignore[arg-type]
    assert choose(strategy, ALL[::-1], seed=3) == once  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_there_is_no_choice_when_all_are_labelled(strategy: str) -> None:
    assert choose(strategy, [LABELLED]) is None  # type: ignore[arg-type]
    assert choose(strategy, []) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("agreement", "It is not known yet how far the two decoders agree, so: Drawn at random"),
        ("diversity", "It is not known yet how much the images differ, so: Drawn at"),
        ("mix", "(One half of the mix is not known.)"),
    ],
)
def test_without_numbers_the_choice_is_random_with_a_reason(strategy: str, words: str) -> None:
    choice = choose(strategy, [Case("a"), Case("b")])  # type: ignore[arg-type]
    assert choice is not None
    assert words in choice.reason
    assert choice.score is None


def test_with_some_numbers_the_choice_is_among_those_cases() -> None:
    cases = [Case("a"), Case("b", disagreement=0.2), Case("c", disagreement=0.3)]
    choice = choose("agreement", cases)
    assert choice is not None
    assert choice.name == "c"
    assert choice.reason.endswith("of 3 unlabelled images, 2 of which have been analysed so far.")


def test_a_mix_with_one_half_uses_that_half() -> None:
    choice = choose("mix", [Case("a", embedding=at(1, 0)), LABELLED, Case("b", embedding=at(0, 1))])
    assert choice is not None
    assert choice.name == "b"
    assert "differs most" in choice.reason


def test_distances_are_to_the_nearest_centre() -> None:
    found = nearest_distances(np.stack([at(1, 0), at(0, 1)]), np.stack([at(1, 0), at(-1, 0)]))
    np.testing.assert_allclose(found, [0, np.sqrt(2)], atol=1e-6)
