"""Replies are read with an allow-list: whatever is impossible is refused, what nothing hangs on is
left out.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import zlib
from typing import Any

import numpy as np
import pytest
from SEGSAMLib.Errors import ClientError
from SEGSAMLib.Server.ReplyReaders import (
    read_find,
    read_infer,
    read_info,
    read_label_versions,
    read_saved,
    read_training,
    read_versions,
)
from SEGSAMLib.Values.Geometry import VolumeGrid

GRID = VolumeGrid.of((9, 8, 7), np.eye(4))


def mask(bits: np.ndarray, low: tuple[int, int, int], **changed: Any) -> dict[str, Any]:
    """As `segsam.remote.masks` writes it."""
    high = [a + side - 1 for a, side in zip(low, bits.shape, strict=True)]
    packed = zlib.compress(np.packbits(bits).tobytes())
    return {
        "shape_ijk": [9, 8, 7],
        "min_ijk": list(low),
        "max_ijk": high,
        "encoding": "packbits-zlib",
        "data": base64.b64encode(packed).decode(),
        **changed,
    }


BITS = np.random.default_rng(1).random((3, 4, 2)) > 0.5
GOOD: dict[str, Any] = {
    "request_id": "r",
    "mask": mask(BITS, (1, 2, 3)),
    "category": "liver",
    "confidence": 0.8,
    "suggestions": {"liver": 0.8, "spleen": 0.1, "heart": 0.15},
    "taught": {"heart": {"case": "case7"}, "b": {"case": ""}, "c": 1, "": {"case": "d"}},
    "axes": ["k"],
    "slices": [{"axis": "k", "index": 3}, {"axis": "k", "index": 4}],
    "certainty": [0.9, 0.4],
    "present": {"3": {"spleen": 0.2, "stomach": 0.7}},
    "notes": ["A note."],
    "latencies": {"total": 0.25},
}


def test_a_good_reply() -> None:
    found = read_infer(GOOD, GRID, "r")
    assert found.region is not None
    assert found.region.min_ijk == (1, 2, 3)
    assert np.array_equal(found.region.values, BITS)
    assert (found.category, found.confidence, found.axes) == ("liver", 0.8, (2,))
    assert found.predictions.certainty == {(2, 3): 0.9, (2, 4): 0.4}
    assert found.predictions.present == {(2, 3): (("stomach", 0.7), ("spleen", 0.2))}
    assert found.suggestions == (("liver", 0.8), ("heart", 0.15), ("spleen", 0.1))
    assert found.taught == {"heart": "case7"}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"a": 7, "b": "high", "": 0.5, "c\n\x07": -1, "d": True}, (("a", 1.0), ("c", 0.0))),
        ({"a": {"b": 0.5}, "c": [0.5], "d": None}, ()),
        ([["liver", 0.5]], ()),
        ("liver", ()),
        (None, ()),
    ],
)
def test_impossible_suggestions_are_left_out(sent: Any, read: Any) -> None:
    assert read_infer({**GOOD, "suggestions": sent}, GRID, "r").suggestions == read


def test_a_few_suggestions_are_enough() -> None:
    many = {f"structure {n} {'x' * 900}": n / 1000 for n in range(999)}
    found = read_infer({**GOOD, "suggestions": many}, GRID, "r").suggestions
    assert [share for _, share in found] == [0.998, 0.997, 0.996, 0.995, 0.994]
    assert max(len(name) for name, _ in found) == 200


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("request_id", "other", "another request"),
        ("request_id", None, "another request"),
        ("mask", [], "encoding is not"),
        ("mask", mask(BITS, (1, 2, 3), encoding="rle"), "encoding is not"),
        ("mask", mask(BITS, (1, 2, 3), shape_ijk=[9, 8, 6]), "this one has"),
        ("mask", mask(BITS, (1, 2, 3), shape_ijk="987"), "this one has"),
        ("mask", mask(BITS, (7, 2, 3)), "not in the volume"),
        ("mask", mask(BITS, (1, 2, 3), min_ijk=[-1, 2, 3]), "where a voxel was expected"),
        ("mask", mask(BITS, (1, 2, 3), min_ijk=[4, 2, 3]), "not in the volume"),
        ("mask", mask(BITS, (1, 2, 3), max_ijk=[3, 5, True]), "where a voxel was expected"),
        ("mask", mask(BITS, (1, 2, 3), max_ijk=[3, 5, 5]), "cannot be unpacked"),
        ("mask", mask(BITS, (1, 2, 3), data="!!"), "cannot be unpacked"),
        ("mask", mask(BITS, (1, 2, 3), data=7), "cannot be unpacked"),
        ("mask", mask(BITS, (1, 2, 3), data=base64.b64encode(b"x").decode()), "be unpacked"),
    ],
)
def test_an_invalid_mask_is_refused(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(ClientError, match=sentence):
        read_infer({**GOOD, key: value}, GRID, "r")


FOUND: dict[str, Any] = {
    "request_id": "r",
    "objects": [
        {"name": "spleen", "mask": mask(BITS, (1, 2, 3)), "certainty": 0.8},
        {"name": "", "mask": mask(BITS, (1, 2, 3))},
        {"name": "liver", "mask": None},
        7,
    ],
    "not_found": [
        {"name": "nerve", "probability": 0.1, "reason": "why"},
        {"name": "polyp", "probability": "high", "reason": 7},
        {"probability": 0.5},
    ],
    "notes": ["A note.", 7],
}


def test_objects_by_name() -> None:
    found = read_find(FOUND, GRID, "r")
    (one,) = found.objects
    assert (one.name, one.certainty) == ("spleen", 0.8)
    assert np.array_equal(one.region.values, BITS)
    assert [(each.name, each.probability, each.reason) for each in found.not_found] == [
        ("nerve", 0.1, "why"),
        ("polyp", None, ""),
    ]
    assert found.notes == ("A note.",)
    nothing = read_find({"request_id": "r"}, GRID, "r")
    assert (nothing.objects, nothing.not_found) == ((), ())
    bad = {"name": "liver", "mask": mask(BITS, (7, 2, 3))}
    for value, words in (({**FOUND, "objects": [bad]}, "not in the volume"), ({}, "another req")):
        with pytest.raises(ClientError, match=words):
            read_find(value, GRID, "r")


def test_a_small_answer_does_not_become_a_large_one() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(64 << 20))).decode()
    with pytest.raises(ClientError, match="cannot be unpacked"):
        read_infer({**GOOD, "mask": mask(BITS, (1, 2, 3), data=bomb)}, GRID, "r")


def test_what_nothing_hangs_on_is_left_out() -> None:
    odd = {
        "category": 7,
        "confidence": "high",
        "axes": ["k", "x", 3],
        "slices": [{"axis": "k", "index": -1}, 5, {"axis": "k", "index": 2}],
        "certainty": [0.9],
        "present": {"x": {"a": 1}, "3": {"b": "c", "d": 7}},
        "notes": [7, "ok\n\x07"],
        "latencies": None,
    }
    found = read_infer({**GOOD, **odd}, GRID, "r")
    assert found.category == ""
    assert found.confidence is None
    assert found.axes == (2,)
    assert found.slices == ((2, 2),)
    assert found.predictions.certainty == {(2, 2): 0.9}
    assert found.predictions.present == {(2, 3): (("d", 1.0),)}
    assert found.notes == ("ok",)


def test_versions_of_the_model() -> None:
    found = read_versions(
        {
            "model": "segsam",
            "current": "0001",
            "versions": [
                {"id": "0000", "why": "shipped", "metrics": None},
                {
                    "id": "0001",
                    "cases": 3,
                    "metrics": {"after": {"dsc": 81.5}},
                    "left_out": [{"image": "ct7", "reason": "its label is\nempty"}, {}, 3],
                },
                7,
            ],
        }
    )
    assert [version.id for version in found.versions] == ["0000", "0001"]
    assert found.versions[1].after == {"dsc": 81.5}
    assert found.versions[0].left_out == ()
    (case,) = found.versions[1].left_out
    assert (case.image_id, case.reason) == ("ct7", "its label is empty")
    with pytest.raises(ClientError, match="contains no version"):
        read_versions({"versions": "all"})


def test_a_training_and_its_curve() -> None:
    found = read_training(
        {
            "status": "RUNNING",
            "progress": {
                "status": "learning",
                "what": "loss 0.345, 3 min left",
                "done": 12,
                "total": 40,
                "epoch": 2,
                "total_epochs": 5,
            },
        }
    )
    assert (found.state, found.epoch, found.epochs) == ("running", 2, 5)
    assert found.curve == ((12, "loss", 0.345),)
    failed = read_training(
        {"status": "ERROR", "left_out": [{"image": "ct7", "reason": "no structure"}]}
    )
    assert [(case.image_id, case.reason) for case in failed.left_out] == [("ct7", "no structure")]
    with pytest.raises(ClientError, match="state of the training"):
        read_training({"status": 7})


def test_a_label_that_was_saved() -> None:
    assert read_saved({"version": 3}, "one").version == 3
    for version in (0, -1, True, "3", None):
        with pytest.raises(ClientError, match="the version under which"):
            read_saved({"version": version}, "one")
    assert read_label_versions({"current": "x", "versions": [7]}) == (0, ())


def test_anything_is_read_or_refused() -> None:
    """Random changes of good replies, two thousand of them; fifty thousand with
    SEGSAM_TEST_FULL=1 (Z6 of the reliability matrix).
    """
    rng = random.Random(5)
    values: list[Any] = [
        None,
        True,
        -1,
        2**40,
        1e300,
        "",
        "k",
        [],
        [1, 2, 3],
        {},
        {"a": 1},
        "é" * 9,
    ]
    text = json.dumps(GOOD)
    full = os.environ.get("SEGSAM_TEST_FULL", "") not in ("", "0")
    for _ in range(50_000 if full else 2000):
        value = json.loads(text)
        place = value
        for _ in range(rng.randrange(4)):
            inner = [v for v in _children(place) if isinstance(v, (dict, list)) and v]
            if not inner:
                break
            place = rng.choice(inner)
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        place[rng.choice(keys)] = rng.choice(values)
        for read in (
            lambda v: read_infer(v, GRID, "r"),
            read_info,
            read_versions,
            read_training,
            read_label_versions,
        ):
            with contextlib.suppress(ClientError):
                read(value)


def _children(place: Any) -> list[Any]:
    return list(place.values()) if isinstance(place, dict) else list(place)


@pytest.mark.parametrize(
    ("licence", "is_restricted"),
    [
        ("Research only. The weights learnt from data sets ...", True),
        ("CC BY-NC-SA 4.0", True),
        ("not for commercial use", True),
        ("Non-commercial", True),
        ("Apache-2.0", False),
        ("CC-BY-SA-4.0 (weights, by their model card); code Apache-2.0", False),
        ("", False),
        (None, False),
        (["Research only"], False),
    ],
)
def test_the_licence_of_weights(licence: Any, *, is_restricted: bool) -> None:
    checkpoint = {"name": "segsam", "categories": ["liver"], "licence": licence}
    (model,) = read_info({"models": {"m": {"checkpoint": checkpoint}}}).models
    assert (model.name, model.weights, model.categories) == ("m", "segsam", ("liver",))
    assert model.is_restricted is is_restricted
