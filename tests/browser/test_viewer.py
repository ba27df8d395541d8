"""The viewer in a browser, from the list of studies to the DICOM segmentation in the PACS: a real
Chromium, a real Orthanc, a real server, and the library to compare with.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from segsam import Box, Point, Predictor, Prompts, Volume
from segsam.categories import Categories
from segsam.proposals.automatic import Search, segment_automatically
from segsam_app.browser.ct_series import ct_series

from ..app.conftest import Server, soon, started
from ..app.dicomweb.pacs import LOGIN, Orthanc, missing, orthanc
from .viewer import Viewer, chromium, program, viewer

pytestmark = pytest.mark.slow

ORGAN = "left kidney"
SLICES = 8
TOKEN = "a-token-for-the-browser"
AXES = {"axial": (0, 1, 2), "sagittal": (1, 2, 0), "coronal": (0, 2, 1), "reversed": (0, 1, 2)}
"""Axes of the sample CT along the columns, the rows and the slices of a series."""


@dataclass(frozen=True)
class Series:
    """A series in the PACS, and its image as the library reads it."""

    name: str
    folder: Path
    middle_ras: NDArray[np.float64]

    @cached_property
    def volume(self) -> Volume:
        return Volume.load(self.folder)

    @property
    def uids(self) -> tuple[str, str]:
        """UIDs of the study and the series."""
        one = pydicom.dcmread(next(self.folder.iterdir()), stop_before_pixels=True)
        return str(one.StudyInstanceUID), str(one.SeriesInstanceUID)

    def ijk(self, ras: NDArray[np.float64]) -> tuple[int, int, int]:
        back = np.linalg.inv(self.volume.affine_ras)
        i, j, k = np.rint(back[:3, :3] @ ras + back[:3, 3]).astype(int)
        return int(i), int(j), int(k)


@dataclass(frozen=True)
class Hospital:
    """A PACS with the sample CT in four ways."""

    pacs: Orthanc
    series: dict[str, Series]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, sample: Any) -> Iterator[Hospital]:
    program()
    if (reason := missing()) is not None:
        pytest.skip(reason)
    base = tmp_path_factory.mktemp("browser")
    ct, labels = Volume.load(sample.image), Volume.load(sample.labels)
    inside = np.argwhere(labels.voxels == sample.organs["kidney_left"])
    at = inside[len(inside) // 2]
    series = {way: _series(ct, at, way, base) for way in AXES}
    with orthanc(base / "orthanc") as pacs:
        for one in series.values():
            pacs.send([pydicom.dcmread(file) for file in sorted(one.folder.iterdir())])
        yield Hospital(pacs, series)


def _series(ct: Volume, at_ijk: NDArray[np.int64], way: str, base: Path) -> Series:
    """Write the slices around a point, seen in one of four ways."""
    axes = AXES[way]
    first = np.zeros(3, int)
    first[axes[2]] = int(at_ijk[axes[2]]) - SLICES // 2
    last = np.where(np.arange(3) == axes[2], first + SLICES, ct.shape_ijk)
    voxels = ct.voxels[tuple(slice(*ends) for ends in zip(first, last, strict=True))]
    affine = ct.affine_ras.copy()
    affine[:3, 3] = (ct.affine_ras @ (*first, 1))[:3]
    voxels, affine = voxels.transpose(axes), affine[:, [*axes, 3]]
    if way == "reversed":
        affine[:3, 3] = (affine @ (0, 0, SLICES - 1, 1))[:3]
        voxels, affine[:3, 2] = voxels[:, :, ::-1], -affine[:3, 2]
    folder = base / "studies" / way
    folder.mkdir(parents=True)
    for number, one in enumerate(ct_series(Volume.from_array(voxels, affine), f"ct-{way}")):
        one.save_as(folder / f"{number:03d}.dcm", write_like_original=False)
    return Series(f"ct-{way}", folder, (ct.affine_ras @ (*at_ijk, 1))[:3])


LIMITS = {"SEGSAM_MAX_VOXELS": "1000000"}


@pytest.fixture(scope="module")
def pacs_server(tmp_path_factory: pytest.TempPathFactory, hospital: Hospital) -> Iterator[Server]:
    """Server on the PACS, without a token."""
    base = tmp_path_factory.mktemp("pacs")
    env = {
        "MONAI_LABEL_DICOMWEB_USERNAME": LOGIN[0],
        "SEGSAM_DICOMWEB_PASSWORD": LOGIN[1],
        "SEGSAM_DICOMWEB_FOLDER": str(base / "kept"),
    }
    with started(base, studies=hospital.pacs.url, **LIMITS, **env) as running:
        yield running


@pytest.fixture(scope="module")
def folder_server(tmp_path_factory: pytest.TempPathFactory, hospital: Hospital) -> Iterator[Server]:
    """Server on the series in a folder, with a token."""
    base = tmp_path_factory.mktemp("folder")
    folder = str(next(iter(hospital.series.values())).folder.parent)
    with started(base, studies=folder, **LIMITS, SEGSAM_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.from_pretrained()


def point(view: Viewer, predictor: Predictor, series: Series, name: str) -> None:
    """Prompt with a point, and compare mask, name and certainty with the library's."""
    view.choose_segment(name)
    at = series.ijk(view.click(series.middle_ras))
    with view.answered() as sent:
        view.run("Run PointPrompts")
    assert sent[0]["foreground"] == [list(at)]
    predictor.set_volume(series.volume)
    result = predictor.predict(Prompts(points=(Point(at, positive=True),)))
    drawn = view.drawn()
    assert drawn.present == {name}
    np.testing.assert_array_equal(drawn.mask(name, series.volume), result.labels > 0)
    assert result.labels.any()
    named = f"{result.category}, {result.confidence:.0%}" if result.category else "Not named"
    assert named.replace("%", " %") in view.ours()


def test_a_session(
    browser: Any, pacs_server: Server, hospital: Hospital, predictor: Predictor
) -> None:
    series = hospital.series["axial"]
    uid = series.uids[1]
    with viewer(browser, pacs_server.url) as view:
        view.open_list()
        view.open_study(series.name)
        point(view, predictor, series, ORGAN)
        kept = view.drawn().mask(ORGAN, series.volume)
        _ask_for_classes(view, predictor, series, kept)
        _segment_automatically(view, predictor, series, kept)
        _submit(view, hospital.pacs, ORGAN)
        _conflict(view, pacs_server, uid)
        _next(view, {other.uids[1] for other in hospital.series.values()} - {uid})
        assert [one for one in view.refused() if one.status != 409] == []
        assert view.problems == []


def _ask_for_classes(
    view: Viewer, predictor: Predictor, series: Series, kept: NDArray[np.bool_]
) -> None:
    names = ("right kidney", "liver")
    view.page.get_by_text("Class Prompts", exact=True).click()
    for name in names:
        row = view.page.locator(".tab-content tr", has=view.page.get_by_text(name, exact=True))
        row.locator("input").check()
    with view.answered() as sent:
        view.run("Run Segmentation VISTA")
    assert len(sent[0]["label_prompt"]) == len(names)
    found = segment_automatically(predictor, Search(categories=names))
    assert found.objects
    drawn = view.drawn()
    assert drawn.present == {ORGAN, *(one.name for one in found.objects)}
    for one in found.objects:
        expected = (found.labels == one.value) & ~kept
        np.testing.assert_array_equal(drawn.mask(one.name, series.volume), expected)


def _segment_automatically(
    view: Viewer, predictor: Predictor, series: Series, kept: NDArray[np.bool_]
) -> None:
    view.page.get_by_text("Auto-Segmentation", exact=True).click()
    with view.answered() as sent:
        view.run("Run Segmentation")
    assert "label_prompt" not in sent[0]
    found = segment_automatically(predictor, Search())
    drawn = view.drawn()
    np.testing.assert_array_equal(drawn.mask(ORGAN, series.volume), kept)
    for one in found.objects:
        name = f"{one.name} (automatic)" if one.name == ORGAN else one.name
        expected = (found.labels == one.value) & ~kept
        if expected.any():
            np.testing.assert_array_equal(drawn.mask(name, series.volume), expected)


def _submit(view: Viewer, pacs: Orthanc, name: str) -> None:
    view.press("Submit")
    view.wait_for("Saved as version 1")
    stored = soon(lambda: pacs.found("SEG"), 60)
    segmentation = pydicom.dcmread(io.BytesIO(pacs.file(stored[0])))
    codes = {
        str(one.SegmentLabel): one.SegmentedPropertyTypeCodeSequence[0].CodeValue
        for one in segmentation.SegmentSequence
    }
    categories = Categories.load()
    terminology = categories.items[categories.index(name)].terminology
    assert terminology is not None
    assert codes[name] == terminology.type[1]


def _conflict(view: Viewer, server: Server, uid: str) -> None:
    """Somebody else saves in between: the page says so, and saves when it is asked again."""
    label = server.get("/datastore/label", params={"label": uid, "tag": "final"}).content
    files = {"label": ("theirs.seg.nrrd", label)}
    other = server.ask("PUT", "/datastore/label", params={"image": uid}, files=files)
    assert other.status_code == 200, other.text
    view.press("Submit")
    view.wait_for("Submit again")
    view.press("Submit")
    view.wait_for("Saved as version 4")


def _next(view: Viewer, others: set[str]) -> None:
    view.press("Next image")
    link = view.page.locator("#segsam a")
    link.wait_for()
    assert len(view.page.locator(".segsam-next").inner_text()) > len("Open it") + 10
    link.click()
    view.page.wait_for_url("**/monai-label?*SeriesInstanceUIDs=*")
    assert view.page.url.rpartition("=")[2] in others
    view.wait_until_connected()


@pytest.mark.parametrize("way", ["sagittal", "coronal", "reversed"])
def test_a_series_in_a_folder_seen_from_any_side_with_a_token(
    browser: Any, folder_server: Server, hospital: Hospital, predictor: Predictor, way: str
) -> None:
    series = hospital.series[way]
    with viewer(browser, folder_server.url) as view:
        view.open_list()
        field = view.page.locator("dialog input")
        if way == "sagittal":
            field.fill("a-token-of-another-server")
            view.page.get_by_text("Log in").click()
            view.page.get_by_text("does not take this token").wait_for()
            assert [(one.path, one.status) for one in view.refused()] == [
                ("/datastore/?output=stats", 401)
            ]
            view.seen.clear()
        field.fill(TOKEN)
        view.page.get_by_text("Log in").click()
        view.open_study(series.name)
        point(view, predictor, series, ORGAN)
        if way == "coronal":
            view.press("Submit")
            view.wait_for("Saved as version 1")
        assert view.refused() == []
        assert view.problems == []


def test_a_box(browser: Any, pacs_server: Server, hospital: Hospital, predictor: Predictor) -> None:
    series = hospital.series["axial"]
    with viewer(browser, pacs_server.url) as view:
        view.open_address(series.uids[0])
        view.press("Draw boxes")
        half = np.array([24.0, 24.0, 0.0])
        with view.answered() as sent:
            view.drag(series.middle_ras - half, series.middle_ras + half)
        (box,) = sent[0]["prompts"]["boxes"]
        predictor.set_volume(series.volume)
        boxes = (Box(tuple(box["min_ijk"]), tuple(box["max_ijk"])),)
        result = predictor.predict(Prompts(boxes=boxes))
        mask = view.drawn().mask("object", series.volume)
        np.testing.assert_array_equal(mask, result.labels > 0)
        assert mask.any()
        view.choose_segment("background")
        outside = series.ijk(view.click(series.middle_ras + half))
        with view.answered() as sent:
            view.run("Run PointPrompts")
        assert sent[0]["prompts"] == {
            "points": [{"ijk": list(outside), "positive": False}],
            "boxes": [box],
        }
        assert view.drawn().present == {"object"}
