"""Cases of an archive: which images it holds, and which file holds the prompts of each.

A case is named after the place of its image in the archive: `hospital_a/ct_17` is
`hospital_a/ct_17.nii.gz`, or the folder of a DICOM series.
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
    """One case: its name, its image, and its file of prompts (empty for none).

    In a labelled data set, `prompts` is the file of labels.
    """

    case: str
    path: str
    prompts: str = ""


def find_items(archive: Path, prompts: Path | None = None) -> tuple[Item, ...]:
    """List all images of an archive, in order.

    Args:
        archive: a folder, searched with all its subfolders. Label files (.seg.nrrd and others) and
            hidden files are left out.
        prompts: a folder with `<case>.json`; by default the prompts lie beside the images, as
            `<case>.prompts.json`.

    Raises:
        BatchError: the folder does not exist, holds no image, or holds two images of one name.
    """
    for folder in (archive, prompts):
        if folder is not None and not folder.is_dir():
            raise BatchError(f"Expected a folder, got {folder}.")
    found: dict[str, Item] = {}
    for case, path in _images(archive.absolute()):
        beside = path.with_name(Path(case).name + _PROMPTS)
        file = beside if prompts is None else prompts.absolute() / f"{case}.json"
        if case in found:
            raise BatchError(
                f"Two images in {archive} have the same case name {case}: "
                f"{Path(found[case].path).name} and {path.name}; rename one."
            )
        found[case] = Item(case, str(path), str(file) if file.is_file() else "")
    if not found:
        raise BatchError(
            f"Expected at least one image in {archive}, got none; images end in "
            f"{', '.join(_IMAGES)}."
        )
    return tuple(found.values())


def fingerprint(item: Item) -> str:
    """Return a hash that changes if the image or its prompts change; empty if a file is missing.

    It covers the sizes and times of the image's files, and the content of the prompts.
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
    """Yield (case, image) in order; a folder with DICOM files is one image."""
    for folder, subfolders, files in os.walk(archive):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        here = Path(folder)
        if any(name.lower().endswith(_SERIES) for name in files):
            subfolders.clear()
            yield archive.name if here == archive else here.relative_to(archive).as_posix(), here
            continue
        for name in sorted(files):
            ending = next((end for end in _IMAGES if name.lower().endswith(end)), None)
            is_label = name.lower().endswith(_LABELS)
            if ending is None or is_label or name.startswith("."):
                continue
            relative = (here / name[: -len(ending)]).relative_to(archive)
            yield relative.as_posix(), here / name
