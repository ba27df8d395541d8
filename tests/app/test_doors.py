"""Every door takes the same files as images: one table, enumerated here with a list of names."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsam.batch.archive import find_items
from segsam.datasets.convert import to_med2d
from segsam.datasets.folder import open_dataset
from segsam.errors import SegSamError
from segsam.imaging.image_files import IMAGE_ENDINGS
from segsam.imaging.volume import Volume
from segsam_app.inference.images import uploaded
from segsam_app.inference.sessions import AppSessions
from segsam_app.limits import Limits
from segsam_app.routes import session as session_routes
from segsam_app.storage.store import Store

from ..dicom_writing import write_series

SHAPE = (24, 20, 1)
READABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
NO_IMAGES = (
    *("._a.nii.gz", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"),
    *("notes.txt", "table.csv", "slide.svs", "page.xml", "archive.zip", "half.nii.gz.part"),
)


def write_image(path: Path) -> None:
    """Write one plane in the format of the name's ending, which may be in capitals."""
    plane = np.random.default_rng(1).integers(0, 200, SHAPE[:2]).astype(np.uint8)
    lower = path.with_name(path.name.lower())
    if lower.suffix in (".jpg", ".jpeg", ".tif", ".tiff", ".bmp"):
        Image.fromarray(plane.T).save(lower)
    else:
        Volume.from_array(plane[..., None], np.diag([-1.0, -1, 1, 1])).save(lower)
    lower.rename(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image of each ending, in small letters and in capitals, a series, and what is none."""
    made = tmp_path_factory.mktemp("images")
    for number, ending in enumerate(READABLE):
        write_image(made / f"s{number}{ending}")
        write_image(made / f"c{number}{ending.upper()}")
    for name in NO_IMAGES:
        (made / name).write_bytes(b"\0\5\x16\7 something else" * 20)
    write_series(made / "series", names="{:03d}")
    shutil.copy(made / "s2.nrrd", made / "label.seg.nrrd")
    return made


@pytest.fixture
def expected(folder: Path) -> set[str]:
    return {
        path.name
        for path in folder.iterdir()
        if path.name[0] in "sc" and path.name[1:2] in "0123456789"
    }


def by_name(folder: Path, stems: set[str]) -> set[str]:
    """Names of the files of these stems."""
    return {path.name for path in folder.iterdir() if path.name.partition(".")[0] in stems}


def command_line(folder: Path, tmp_path: Path) -> set[str]:
    return _read(folder, Volume.load)


def batch(folder: Path, tmp_path: Path) -> set[str]:
    found = find_items(folder)
    assert "series" in {item.case for item in found.items}
    named = {one.path for one in found.left_out}
    assert named == {"label.seg.nrrd", *(n for n in NO_IMAGES[5:])}
    return {Path(item.path).name for item in found.items} - {"series"}


def data_set(folder: Path, tmp_path: Path) -> set[str]:
    made = open_dataset(_as_data_set(folder, tmp_path))
    assert "series" in made.cases
    named = {one.path for one in made.unused}
    assert named == {f"images/{n}" for n in ("label.seg.nrrd", *NO_IMAGES[5:])}
    return by_name(folder, set(made.cases) - {"series"})


def converter(folder: Path, tmp_path: Path) -> set[str]:
    made = open_dataset(_as_data_set(folder, tmp_path))
    for case in made.cases:
        image = Volume.load(next((made.folder / "images").glob(f"{case}*")))
        label = np.zeros(image.shape_ijk, np.uint8)
        label[4:12, 4:12] = 1
        image.like(label).save(made.folder / "labels" / f"{case}.nii.gz")
    report = to_med2d([made], tmp_path / "out")
    assert len(report.left_out) == len(NO_IMAGES[5:]) + 1
    pictures = {path.name.split("--")[2] for path in (tmp_path / "out" / "images").iterdir()}
    assert "series" in pictures
    return by_name(folder, pictures - {"series"})


def studies(folder: Path, tmp_path: Path) -> set[str]:
    shutil.copytree(folder, tmp_path / "studies")
    store = Store(str(tmp_path / "studies"), on_image=lambda _: None)
    paths = {image: Path(store.get_image_uri(image)) for image in store.list_images()}
    for path in paths.values():
        store.read_image(path)
    return {path.name for image, path in paths.items() if not image.startswith("series-")}


def upload_to_studies(folder: Path, tmp_path: Path) -> set[str]:
    store = Store(str(tmp_path / "studies"), on_image=lambda _: None)

    def add(path: Path) -> None:
        with path.open("rb") as file, uploaded(file, path.name) as copy:
            store.add_image(path.stem.partition(".")[0], str(copy), {})

    return _read(folder, add)


def session(folder: Path, tmp_path: Path) -> set[str]:
    sessions = AppSessions(str(tmp_path), Limits(sessions=99), on_image=lambda _: None)

    def add(*paths: Path) -> None:
        files: Any = [
            SimpleNamespace(file=io.BytesIO(p.read_bytes()), size=1, filename=str(p)) for p in paths
        ]
        Volume.load(sessions.add(session_routes._uploads(files), lambda _: None).image)

    add(*(folder / "series").iterdir())
    add(folder / "._a.nii.gz", folder / "s0.nii.gz", folder / ".DS_Store")
    return _read(folder, add)


DOORS: Mapping[str, Callable[[Path, Path], set[str]]] = {
    "command line": command_line,
    "batch": batch,
    "data set": data_set,
    "converter": converter,
    "studies": studies,
    "upload": upload_to_studies,
    "session": session,
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_takes_the_same_files(
    door: str, folder: Path, expected: set[str], tmp_path: Path
) -> None:
    assert DOORS[door](folder, tmp_path) - {"label.seg.nrrd"} == expected


def test_the_list_holds_every_ending_of_the_table() -> None:
    assert set(IMAGE_ENDINGS) - set(READABLE) == {".nhdr", ".mhd", ".dcm"}  # two files; a series


def test_no_other_table_is_left() -> None:
    """Endings of images are written down in the table, and where results are written."""
    root = Path(__file__).resolve().parents[2]
    allowed = {"image_files.py", "writers.py"}
    found = {
        path.name
        for package in ("lib/segsam", "monailabel_app/segsam_app")
        for path in (root / package).rglob("*.py")
        if path.name not in allowed and path.read_text("utf-8").count('".jpg"')
    }
    assert found == set()


def _read(folder: Path, read: Callable[[Path], object]) -> set[str]:
    """Names of the files that can be read when they are named."""
    found = set()
    for path in sorted(folder.iterdir()):
        try:
            if path.is_file():
                read(path)
                found.add(path.name)
        except SegSamError:
            continue
    return found


def _as_data_set(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "set" / "images")
    (tmp_path / "set" / "labels").mkdir()
    facts = {"name": "set", "modality": "CT", "labels": {"1": "liver"}}
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(facts))
    return tmp_path / "set"
