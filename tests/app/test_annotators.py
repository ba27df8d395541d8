"""Many annotators on one server, and one server for a long time: matrix L3, L6, L7.

With SEGSAM_TEST_FULL=1 the tests do all of it and record figures, else little of each.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nibabel
import numpy as np
import pytest

from .annotators import FULL, Holdings, add_image, amount, boxes, p95_ms, prompt
from .conftest import LPS_MM, SHAPE, Server, nothing_new, started

Figure = Callable[[str, Any], None]


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Shared server or, in full, one of its own, whose caches are soon full."""
    if not FULL:
        yield request.getfixturevalue("server")
        return
    folder = request.getfixturevalue("tmp_path_factory").mktemp("house")
    conf = ["checkpoint", "litemedsam", "warm", "off", "cache_megabytes", "64"]
    conf += ["images_megabytes", "16", "disk_cache", "off"]
    options = [
        word for pair in zip(conf[::2], conf[1::2], strict=True) for word in ("--conf", *pair)
    ]
    with started(folder, *options) as running:
        yield running


def saved(server: Server, image: str, value: int, user: str) -> bytes:
    """Save a label that differs from all others, and return its file."""
    voxels = np.full(SHAPE, 0, np.uint8)
    voxels[value % SHAPE[0], :, 2:5] = 1
    content = bytes(nibabel.Nifti1Image(voxels, LPS_MM).to_bytes())
    params = json.dumps({"label_names": {"ball": 1}, "user": user})
    answer = server.ask(
        "PUT",
        "/datastore/label",
        params={"image": image},
        files={"label": ("x.nii", content), "params": (None, params)},
    )
    assert answer.status_code == 200, answer.text
    return content


def test_l3_annotators_get_their_own_masks_and_lose_no_label(
    house: Server, record_property: Figure
) -> None:
    annotators, prompts = amount(3, 8), amount(2, 20)
    cases = [f"shared{number}" for number in range(amount(2, 4))]
    asked = boxes(annotators * prompts)
    for case in cases:
        add_image(house, case)
        prompt(house, case, asked[0])
    alone, seconds = {}, []
    for number, box in enumerate(asked):
        case = cases[number % len(cases)]
        reply, took = prompt(house, case, box)
        alone[number] = reply["mask"]
        seconds.append(took)

    def work(annotator: int) -> list[float]:
        took = []
        for turn in range(prompts):
            number = annotator * prompts + turn
            reply, one = prompt(house, cases[number % len(cases)], asked[number])
            assert reply["mask"] == alone[number], "another mask than without other annotators"
            took.append(one)
        return took

    def save(annotator: int) -> list[tuple[str, bytes]]:
        mine = []
        for turn in range(2):
            case = cases[(annotator + turn) % len(cases)]
            mine.append((case, saved(house, case, 2 * annotator + turn, f"user{annotator}")))
        return mine

    with ThreadPoolExecutor(annotators) as pool:
        together = [one for each in pool.map(work, range(annotators)) for one in each]
        sent = [one for each in pool.map(save, range(annotators)) for one in each]
    kept = set()
    for case in cases:
        reply = house.get(f"/datastore/label/versions?label={case}").json()
        for version in reply["versions"]:
            at = f"/datastore/label/version?label={case}&version={version['version']}"
            kept.add((case, house.get(at).content))
    assert kept == set(sent)
    assert len(kept) == 2 * annotators
    if FULL:
        record_property("L3 prompt alone, p95 ms", p95_ms(seconds))
        record_property(f"L3 prompt of {annotators} at once, p95 ms", p95_ms(together))


def test_l6_the_second_prompt_finds_its_slice(house: Server, record_property: Figure) -> None:
    add_image(house, "again")
    first, took = prompt(house, "again", boxes(2)[0])
    second, took_again = prompt(house, "again", boxes(2)[1])
    assert (first["encoded_slices"], second["encoded_slices"]) == (1, 0)
    if FULL:
        record_property("L6 second prompt, % of the first", 100 * took_again / took)


def test_l7_nothing_grows(house: Server, record_property: Figure) -> None:
    images, rounds = amount(2, 200), amount(3, 10)
    names = [f"soak{number}" for number in range(images)]
    warm: Holdings | None = None
    began = time.perf_counter()
    with nothing_new(house.temporary):
        for number, name in enumerate(names):
            add_image(house, name)
            for box in boxes(rounds):
                prompt(house, name, box)
            if number == images // 4:
                warm = Holdings.of(house)
    after = Holdings.of(house)
    assert warm is not None
    assert after.files <= warm.files + 5
    if FULL:
        assert after.bytes <= 1.05 * warm.bytes
        record_property("L7 growth after warm-up, %", 100 * (after.bytes / warm.bytes - 1))
        record_property("L7 minutes", (time.perf_counter() - began) / 60)
