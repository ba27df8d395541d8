"""The cases of an archive: which images there are, and which file says what to segment in each.

A case is called as its image lies in the archive: `hospital_a/ct_17` is `hospital_a/ct_17.nii.gz`,
or the folder of a DICOM series.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import BatchError

_IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
_LABELS = (".seg.nrrd", ".label.nii.gz", ".label.nrrd")
_SERIES = ".dcm"
_PROMPTS = ".prompts.json"


@dataclass(frozen=True)
class Item:
    """One case: its name, its image, and the file that says what is wanted of it (empty for none):
    its prompts or, in a labelled data set, its labels.
    """

    case: str
    path: str
    prompts: str = ""


def find_items(archive: Path, prompts: Path | None = None) -> tuple[Item, ...]:
    """All images of an archive, in order.

    Args:
        archive: a folder, searched with all folders in it; a file that ends in .seg.nrrd is no
            image, and neither is what begins with a dot.
        prompts: a folder with `<case>.json`; by default they lie beside the images, as
            `<case>.prompts.json`.

    Raises:
        BatchError: no such folder, no image in it, or two images of one name.
    """
    for folder in (archive, prompts):
        if folder is not None and not folder.is_dir():
            raise BatchError(f"Expected a folder, got {folder}, which is none.")
    found: dict[str, Item] = {}
    for case, path in _images(archive.absolute()):
        beside = path.with_name(Path(case).name + _PROMPTS)
        file = beside if prompts is None else prompts.absolute() / f"{case}.json"
        if case in found:
            raise BatchError(
                f"Two images of {archive} would both be the case {case}: "
                f"{Path(found[case].path).name} and {path.name}; rename one."
            )
        found[case] = Item(case, str(path), str(file) if file.is_file() else "")
    if not found:
        raise BatchError(f"There is no image in {archive}; names end in {', '.join(_IMAGES)}.")
    return tuple(found.values())


def fingerprint(item: Item) -> str:
    """What tells that an image, or what is wanted of it, changed: sizes and times of the image's
    files, and the other file's content. Empty when one of them is not there.
    """
    path, digest = Path(item.path), hashlib.blake2b(digest_size=16)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            stat = file.stat()
            digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        if item.prompts:
            digest.update(Path(item.prompts).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def _images(archive: Path) -> Iterator[tuple[str, Path]]:
    """(case, image) of each, in order; a folder with DICOM files is one image."""
    for folder, inner, files in os.walk(archive):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        here = Path(folder)
        if any(name.lower().endswith(_SERIES) for name in files):
            inner.clear()
            yield archive.name if here == archive else here.relative_to(archive).as_posix(), here
            continue
        for name in sorted(files):
            ending = next((end for end in _IMAGES if name.lower().endswith(end)), None)
            is_label = name.lower().endswith(_LABELS)
            if ending is None or is_label or name.startswith("."):
                continue
            relative = (here / name[: -len(ending)]).relative_to(archive)
            yield relative.as_posix(), here / name
