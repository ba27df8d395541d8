"""Driver of the viewer in a real Chromium: what a user does, and what the page then holds."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segsam.imaging.volume import Volume

SECONDS = 90
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
RAS = np.array([-1.0, -1.0, 1.0])
"""Signs between RAS and the LPS of DICOM and of the page."""

_READ = """() => {
  const service = window.services.segmentationService;
  const volume = service.getLabelmapVolume('1');
  const voxels = volume.voxelManager.getCompleteScalarDataArray();
  let text = '';
  for (const value of voxels) text += String.fromCharCode(value);
  const { segments } = service.getSegmentation('1');
  return {
    voxels: btoa(text),
    dimensions: Array.from(volume.dimensions),
    spacing: Array.from(volume.spacing),
    direction: Array.from(volume.direction),
    origin: Array.from(volume.origin),
    names: Object.fromEntries(Object.values(segments).map(one => [one.segmentIndex, one.label])),
  };
}"""
_SHOW = """world => {
  const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport('mpr-axial');
  const { focalPoint, position, viewPlaneNormal } = viewport.getCamera();
  const away = viewPlaneNormal.reduce((sum, n, i) => sum + n * (world[i] - focalPoint[i]), 0);
  const moved = place => place.map((x, i) => x + away * viewPlaneNormal[i]);
  viewport.setCamera({ focalPoint: moved(focalPoint), position: moved(position) });
  viewport.render();
}"""
_PLACE = """world => {
  const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport('mpr-axial');
  const { x, y } = viewport.element.getBoundingClientRect();
  const [right, down] = viewport.worldToCanvas(world);
  return [x + right, y + down];
}"""
_HANDLES = """tool => window.cornerstoneTools.annotation.state.getAnnotationManager()
  .getAllAnnotations().filter(one => one.metadata.toolName === tool)
  .map(one => one.data.handles.points.map(point => Array.from(point)))"""
_COUNT = """() => {
  Object.assign(window, { replied: false, drawnAnswers: 0 });
  const { open } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    open.call(this, method, url, ...rest);
    if (!String(url).includes('/infer/')) return;
    this.addEventListener('loadend', () => { window.replied = true; });
  };
  const service = window.services.segmentationService;
  service.subscribe(service.EVENTS.SEGMENTATION_DATA_MODIFIED, () => {
    if (window.replied) window.drawnAnswers++;
  });
}"""
"""Counts the answers that are drawn; the segmentation is also modified while it is made."""


@dataclass(frozen=True)
class Seen:
    """A request of the page, and the status of its reply."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Drawn:
    """The page's label map: voxels (i, j, k), the affine in RAS, and the names of its values."""

    voxels: NDArray[np.uint8]
    affine_ras: NDArray[np.float64]
    names: dict[int, str]

    @property
    def present(self) -> set[str]:
        """Names of the segments that hold voxels."""
        return {self.names[value] for value in np.unique(self.voxels) if value}

    def mask(self, name: str, volume: Volume) -> NDArray[np.bool_]:
        """Return the voxels of a segment, as voxels of `volume`, wherever the page counts from."""
        value = next(one for one, known in self.names.items() if known == name)
        ijk = np.argwhere(self.voxels == value)
        ras = ijk @ self.affine_ras[:3, :3].T + self.affine_ras[:3, 3]
        back = np.linalg.inv(volume.affine_ras)
        places = ras @ back[:3, :3].T + back[:3, 3]
        assert np.abs(places - np.rint(places)).max(initial=0) < 0.01
        mask = np.zeros(volume.shape_ijk, bool)
        mask[tuple(np.rint(places).astype(int).T)] = True
        return mask


@dataclass
class Viewer:
    """One tab."""

    page: Any
    url: str
    seen: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def open_list(self) -> None:
        """Open the list of studies."""
        self.page.goto(f"{self.url}/ohif/")

    def open_study(self, patient: str) -> None:
        """Open a study from the list in the mode for MONAI Label."""
        self.page.locator("tr", has_text=patient).first.click()
        self.page.get_by_text("MONAI Label").first.click()
        self.wait_until_connected()

    def open_address(self, study: str) -> None:
        """Open a study by its address."""
        self.page.goto(f"{self.url}/ohif/monai-label?StudyInstanceUIDs={study}")
        self.wait_until_connected()

    def wait_until_connected(self) -> None:
        """Wait for the panel of MONAI Label, and its empty segmentation."""
        self.page.get_by_text("Point Prompts", exact=True).wait_for()
        ready = "() => window.services.segmentationService.getSegmentation('1') !== undefined"
        self.page.wait_for_function(ready)
        self.page.evaluate(_COUNT)

    def show(self, ras: NDArray[np.float64]) -> None:
        """Show the axial slice through a point."""
        self.page.evaluate(_SHOW, list(ras * RAS))
        self.page.wait_for_timeout(200)

    def place(self, ras: NDArray[np.float64]) -> tuple[float, float]:
        """Return where on the screen a point of the shown slice lies."""
        right, down = self.page.evaluate(_PLACE, list(ras * RAS))
        return right, down

    def choose_segment(self, name: str) -> None:
        """Choose a segment for points."""
        self.page.get_by_text("Point Prompts", exact=True).click()
        self.page.locator("tr.clickable-row").get_by_text(name, exact=True).click()

    def click(self, ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """Click on a point, and return where the page then has it, in RAS."""
        self.show(ras)
        self.page.mouse.click(*self.place(ras))
        self.page.wait_for_function(f"() => ({_HANDLES})('ProbeMONAILabel').length > 0")
        points = self.page.evaluate(_HANDLES, "ProbeMONAILabel")
        return np.array(points[-1][0]) * RAS

    def drag(self, first_ras: NDArray[np.float64], last_ras: NDArray[np.float64]) -> None:
        """Drag the mouse from one point to another of the same axial slice."""
        self.show(first_ras)
        self.page.mouse.move(*self.place(first_ras))
        self.page.mouse.down()
        self.page.mouse.move(*self.place((first_ras + last_ras) / 2))
        self.page.mouse.move(*self.place(last_ras))
        self.page.mouse.up()

    @contextmanager
    def answered(self) -> Iterator[list[dict[str, Any]]]:
        """Wait at the end of the block until an answer was drawn; the list then has the params."""
        before = self.page.evaluate("() => { window.replied = false; return drawnAnswers; }")
        sent: list[dict[str, Any]] = []
        with self.page.expect_response(lambda reply: "/infer/" in reply.url) as info:
            yield sent
        reply = info.value
        assert reply.status == 200, reply.text()
        sent.append(_params(reply.request.post_data_buffer))
        self.page.wait_for_function(f"() => window.drawnAnswers > {before}")

    def run(self, title: str) -> None:
        """Press one of MONAI Label's buttons."""
        self.page.locator(f'button[title="{title}"]').click()

    def press(self, name: str) -> None:
        """Press one of our buttons."""
        self.page.locator("#segsam button", has_text=name).click()

    def ours(self) -> str:
        """Return the text of our part of the panel."""
        return str(self.page.locator("#segsam").inner_text())

    def wait_for(self, text: str) -> None:
        """Wait until our part of the panel has this text."""
        self.page.locator("#segsam", has_text=text).wait_for()

    def drawn(self) -> Drawn:
        """Return the page's label map."""
        read = self.page.evaluate(_READ)
        flat = np.frombuffer(base64.b64decode(read["voxels"]), np.uint8)
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(read["direction"], (3, 3)).T * read["spacing"] * RAS[:, None]
        affine[:3, 3] = np.array(read["origin"]) * RAS
        names = {int(value): name for value, name in read["names"].items()}
        return Drawn(flat.reshape(read["dimensions"], order="F"), affine, names)

    def refused(self) -> list[Seen]:
        """Return the requests with a status of 400 or more."""
        return [one for one in self.seen if one.status >= 400]


def _params(body: bytes) -> dict[str, Any]:
    start = body.index(b"{", body.index(b'name="params"'))
    return dict(json.JSONDecoder().raw_decode(body[start:].decode())[0])


def program() -> str:
    """Return the browser's program; skips the test if there is none."""
    pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a Chromium without a window, that draws without a graphics card."""
    executable = program()
    from playwright.sync_api import sync_playwright

    drawing = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage", *drawing]
        )
        yield running
        running.close()


@contextmanager
def viewer(running: Any, url: str) -> Iterator[Viewer]:
    """A new tab of nobody who was there before."""
    context = running.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    made = Viewer(page, url)

    def note(reply: Any) -> None:
        made.seen.append(Seen(reply.request.method, reply.url.removeprefix(url), int(reply.status)))

    page.on("response", note)
    page.on("requestfailed", lambda request: made.problems.append(f"failed: {request.url}"))
    page.on("pageerror", lambda error: made.problems.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    yield made
    context.close()
