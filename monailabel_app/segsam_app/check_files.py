"""Check of everything that a server keeps: `python -m segsam_app.check_files --studies FOLDER
--versions FOLDER --sessions FOLDER`.

It reads every record, compares the voxels of all versions of labels and the weights of all versions
of the model with their SHA-256, and reads the labels that are no version, as a server would. It
changes nothing, so it may run beside a server. The output is one JSON object: what is damaged, by
name, and what was set aside earlier.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from monailabel.datastore.local import ImageLabelModel

from segsam.datasets.splits import Split
from segsam.errors import DamagedRecordError, OutputError, TrainingError, VolumeError
from segsam.imaging.formats.raw import RawGrid
from segsam.imaging.readers import read_grid
from segsam.prediction.taught.files import FOLDER as MEMORY
from segsam.prediction.taught.files import damaged_records
from segsam_app.choosing.overviews import damage_of_overview
from segsam_app.dicomweb.headers import check_headers
from segsam_app.dicomweb.series import is_uid, read_series
from segsam_app.dicomweb.upload_queue import read_confirmation
from segsam_app.storage.damage import ASIDE, DamageList
from segsam_app.storage.drafts import check_drafts
from segsam_app.storage.found_labels import FoundLabels
from segsam_app.storage.image_contents import content_of, contents_file, damage_of_contents
from segsam_app.storage.images import files_of_image
from segsam_app.storage.index import Index, check_index
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.label_record import IMAGE_SHA256, is_sha256
from segsam_app.storage.scan import FolderContents, FolderScanner, configured_patterns
from segsam_app.storage.series import SeriesFiles
from segsam_app.storage.version_files import VERSIONS
from segsam_app.task_record import TASKS, damage_of_tasks
from segsam_app.training.progress import FILE, FILES, damage_of_progress
from segsam_app.versions.folder import CURRENT, LAST, VersionFolder, choice_in
from segsam_app.versions.record import FIRST, VersionRecord


def check_studies(folder: Path) -> DamageList:
    """Return what is damaged in a studies folder, or in the folder of a DICOMweb server."""
    damage = DamageList(folder)
    check_index(folder, damage)
    for history in _histories(folder / "labels", damage):
        try:
            history.check()
        except OSError as error:
            damage.note(history.folder, error.strerror or type(error).__name__)
    _check_found_labels(folder, damage)
    for one in damaged_records(folder / MEMORY):
        damage.note(one.path, f"{one.why}; the record before it holds")
    dicom = folder / ".dicom"
    _check(dicom / "series.json", damage)
    for file in sorted((dicom / "stored").glob("*/*.json")):
        _check(file, damage)
    for headers in sorted((dicom / "headers").glob("*")):
        if is_uid(headers.name):
            _check(headers, damage)
    if why := damage_of_contents(contents_file(folder)):
        damage.note(contents_file(folder), f"{why}; it is made again")
    for file in sorted((folder / ".segsam" / "overviews").glob("*.json")):
        if why := damage_of_overview(file):
            damage.note(file, f"{why}; it is made again")
    return damage


def check_versions(folder: Path) -> DamageList:
    """Return what is damaged in a folder of model versions, of all checkpoints."""
    damage = DamageList(folder)
    is_of_one = (folder / CURRENT).exists() or (folder / FILE).exists()
    folders = [folder] if is_of_one else [path for path in folder.iterdir() if path.is_dir()]
    for one in sorted(folders):
        versions = VersionFolder(one, None, VersionRecord(id=FIRST, why="the checkpoint"))
        versions.history()
        for name, why in versions.damaged.items():
            damage.note(one / name, why)
        if (one / LAST).exists() and choice_in(one / LAST) is None:
            damage.note(one / LAST, "it names no version; the next choice is written anew")
        for name, why in damaged_task_files(one).items():
            damage.note(one / name, why)
        for file in sorted((one / "run").rglob("split.json")):
            try:
                Split.load(file)
            except TrainingError as error:
                damage.note(file, str(error).rstrip("."))
    return damage


def damaged_task_files(folder: Path) -> dict[str, str]:
    """Return the damaged records of trainings and of other tasks in the folder of a checkpoint's
    versions: name -> what is wrong.
    """
    found = {name: damage_of_progress(folder, name) for name in FILES}
    found[TASKS] = damage_of_tasks(folder)
    return {name: why for name, why in found.items() if why}


def set_aside(folder: Path) -> list[str]:
    """Return the names of damaged files that were set aside and wait for a person."""
    found = (path for path in folder.rglob("*") if ASIDE.search(path.name))
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _histories(labels: Path, damage: DamageList) -> Iterator[LabelHistory]:
    for versions in sorted(labels.glob(f"*/{VERSIONS}/*")):
        damage.note_place(versions, is_folder=True)
        if versions.is_dir():
            yield LabelHistory(versions.parents[1], versions.name, damage)


def _check_found_labels(folder: Path, damage: DamageList) -> None:
    """List the files among the labels that cannot be labels of their images, and the series that
    lie in several folders. Raises OSError.
    """
    scanner = FolderScanner(folder, configured_patterns())
    known, found = _known_images(folder), FoundLabels(damage)
    contents = scanner.scan({image_id: each.image.ext for image_id, each in known.items()})
    for place, is_folder in contents.misplaced.items():
        damage.note_place(place, is_folder=is_folder)
    for file, why in contents.no_labels.items():
        damage.note(file, why)
    _check_series(contents, damage)
    for tag, files in contents.labels.items():
        for image_id in sorted(files.keys() & contents.images.keys()):
            history = LabelHistory(folder / "labels" / tag, image_id, damage)
            grid = _grid(folder, image_id, contents)
            for file in map(history.current_file, sorted(files[image_id])):
                try:
                    if grid is None:
                        continue
                    if history.is_version(file):
                        was = _image_at(history, known.get(image_id), tag)
                        now = _content(folder, image_id, contents) if was else ""
                        found.of_another_image(file, image_id, grid, was, now)
                    else:
                        found.check(file, grid)
                except OSError as error:
                    damage.note(file, error.strerror or type(error).__name__)


def _check_series(contents: FolderContents, damage: DamageList) -> None:
    """List the series that lie in several folders."""
    for series in contents.series.values():
        for note in series.notes:
            damage.note(series.folder, note.rstrip("."))


def _known_images(folder: Path) -> dict[str, ImageLabelModel]:
    """Return the entries of the index by image id; {} if it cannot be read."""
    index = Index(folder)
    index.is_read_only = True
    with suppress(OutputError, OSError):
        index.catch_up()
    return dict(index.model.objects)


def _image_at(history: LabelHistory, known: ImageLabelModel | None, tag: str) -> str:
    """Return the SHA-256 of the image when its current label came; "" if it is unknown."""
    listed = known.labels.get(tag) if known is not None else None
    noted = listed.info.get(IMAGE_SHA256) if listed is not None else None
    newest = history.newest()
    return str(noted) if is_sha256(noted) else (newest.image_sha256 if newest is not None else "")


def _content(folder: Path, image_id: str, contents: FolderContents) -> str:
    series, ending = contents.series.get(image_id), contents.images[image_id]
    return content_of(files_of_image(folder, image_id, ending, series))


def _grid(folder: Path, image_id: str, contents: FolderContents) -> RawGrid | None:
    """Return the grid of an image; no file is made of a series. None if it cannot be read."""
    series = contents.series.get(image_id)
    try:
        if series is None:
            return read_grid(folder / f"{image_id}{contents.images[image_id]}")
        volume = SeriesFiles(folder).read(image_id, series)
    except VolumeError:
        return None
    return RawGrid(volume.shape_ijk, volume.affine_ras)


def _check(path: Path, damage: DamageList) -> None:
    try:
        if path.is_dir():
            check_headers(path)
        elif path.name == "series.json":
            read_series(path)
        else:
            read_confirmation(path)
    except FileNotFoundError:
        return
    except (DamagedRecordError, OSError) as error:
        damage.note(path, str(error))


def main() -> None:
    """Print what is damaged; exit status 1 if anything is."""
    parser = argparse.ArgumentParser(prog="segsam_app.check_files")
    parser.add_argument("--studies", type=Path)
    parser.add_argument("--versions", type=Path)
    parser.add_argument("--sessions", type=Path)
    folders = parser.parse_args()
    damaged: dict[str, str] = {}
    aside: list[str] = []
    for folder, check in (
        (folders.studies, check_studies),
        (folders.versions, check_versions),
        (folders.sessions, check_drafts),
    ):
        if folder is not None:
            damaged |= check(folder).listed()
            aside += set_aside(folder)
    json.dump({"damaged": damaged, "set_aside": aside}, sys.stdout)
    raise SystemExit(1 if damaged else 0)


if __name__ == "__main__":
    main()
