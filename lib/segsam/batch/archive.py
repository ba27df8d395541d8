"""Cases of an archive: which images it holds, and which file holds the prompts of each.

A case is named after the place of its image in the archive: `hospital_a/ct_17` is
`hospital_a/ct_17.nii.gz`, or the folder of a DICOM series. A series that shares its folder with
other images is named after its first file. Images that would have one name keep their endings in
it: `a.nii.gz` and `a.png`.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segsam.errors import BatchError
from segsam.imaging.folder_images import images_in
from segsam.imaging.image_files import DANGLING_LINK, IMAGE_ENDINGS, LeftOut, is_litter
from segsam.imaging.name_text import is_text, readable

_PROMPTS = ".prompts.json"
_LISTED = 5


@dataclass(frozen=True)
class Item:
    """One case: its name, its image, and its file of prompts (empty for none).

    In a labelled data set, `prompts` is the file of labels. `files` names the slices of a series
    whose `path` is its first file.
    """

    case: str
    path: str
    prompts: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """Cases of an archive, and the files that are none; hidden files and litter are in neither.

    `notes` say which cases have the endings of their images in their names.
    """

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()


def find_items(archive: Path, prompts: Path | None = None) -> Found:
    """List all images of an archive, in order, and name the files that are left out.

    Args:
        archive: a folder, searched with all its subfolders.
        prompts: a folder with `<case>.json`; by default the prompts lie beside the images, as
            `<case>.prompts.json`. Images of one name share `a.json` unless there is `a.png.json`.

    Raises:
        BatchError: the folder does not exist, holds no image, or holds two DICOM series whose
            folders have one name.
    """
    for folder in (archive, prompts):
        if folder is not None and not folder.is_dir():
            raise BatchError(f"Expected a folder, got {folder}.")
    root, images = archive.absolute(), list[Item]()
    left_out: list[LeftOut] = []
    for folder in _folders(root, None if prompts is None else prompts.absolute()):
        here, others = _images(folder, root)
        images += here
        left_out += [*others, *_not_followed(folder, root)]
    named = _with_names_of_their_own(images, archive)
    items = [
        _with_prompts(item, (item.case, image.case), root, prompts)
        for item, image in zip(named, images, strict=True)
    ]
    if not items:
        raise BatchError(
            f"Expected at least one image in {archive}, got none; images are DICOM, or end in "
            f"{', '.join(IMAGE_ENDINGS)}.{_listed(left_out)}"
        )
    used, ending = {item.prompts for item in items}, _PROMPTS if prompts is None else ".json"
    left_out += _prompts_of_none(root if prompts is None else prompts.absolute(), used, ending)
    return Found(tuple(items), tuple(left_out), _notes(images, named))


def _with_names_of_their_own(images: Sequence[Item], archive: Path) -> list[Item]:
    """Return the cases with different names: those of one name get the endings of their files."""
    items = list(images)
    while shared := _shared(items):
        renamed = [_with_ending(item) if item.case in shared else item for item in items]
        if renamed == items:
            two = [Path(item.path).name for item in items if item.case in shared][:2]
            raise BatchError(
                f"Two images in {archive} have the same case name {min(shared)}: "
                f"{' and '.join(two)}; rename one."
            )
        items = renamed
    return items


def _shared(items: Sequence[Item]) -> set[str]:
    """Return the names that several cases have."""
    return {name for name, count in Counter(item.case for item in items).items() if count > 1}


def _with_ending(item: Item) -> Item:
    """Return a case named after its file with the ending; that of a folder as it is."""
    path = Path(item.path)
    if path.is_dir():
        return item
    return replace(item, case=(Path(item.case).parent / path.name).as_posix())


def _notes(images: Sequence[Item], named: Sequence[Item]) -> tuple[str, ...]:
    of_name: dict[str, list[str]] = {}
    for before, after in zip(images, named, strict=True):
        if before.case != after.case:
            of_name.setdefault(before.case, []).append(after.case)
    return tuple(
        f"Several images are called {name}: the results of {', '.join(cases)} have the endings in "
        "their names."
        for name, cases in of_name.items()
    )


def _with_prompts(item: Item, names: Sequence[str], root: Path, prompts: Path | None) -> Item:
    """Return a case with its file of prompts, the first that is there for one of its names."""
    if prompts is not None:
        files = [prompts.absolute() / f"{name}.json" for name in names]
    else:
        place = root.parent if Path(item.path) == root else root
        files = [place / f"{name}{_PROMPTS}" for name in names]
    found = next((file for file in files if file.is_file()), "")
    return replace(item, prompts=str(found))


def fingerprint(item: Item) -> str:
    """Return a hash that changes if the image or its prompts change; empty if a file is missing.

    It covers the sizes and times of the image's files, and the content of the prompts.
    """
    path, digest = Path(item.path), hashlib.blake2b(digest_size=16)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [path.parent / name for name in item.files] or files
        for file in files:
            stat = file.stat()
            digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        if item.prompts:
            digest.update(Path(item.prompts).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def _folders(root: Path, prompts: Path | None) -> Iterator[Path]:
    """Yield the archive's folders in order, without hidden ones, litter and that of the prompts."""
    for folder, subfolders, _ in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if is_text(name) and not is_litter(name))
        if prompts is None or Path(folder) != prompts or prompts == root:
            yield Path(folder)


def _images(folder: Path, root: Path) -> tuple[list[Item], list[LeftOut]]:
    """Return the images of one folder, and the files that are none; prompts are in neither."""
    place = folder.relative_to(root)
    paths = [path for path in folder.iterdir() if is_text(path.name)]
    names = [path.name for path in paths if path.is_file()]
    images, left_out = images_in(folder, [name for name in names if not name.endswith(_PROMPTS)])
    items = []
    for image in images:
        is_root = place / image.stem == Path()
        case = root.name if is_root else (place / image.stem).as_posix()
        files = image.names if len(image.names) > 1 and image.path != folder else ()
        items.append(Item(case, str(image.path), files=files))
    return items, [replace(one, path=(place / one.path).as_posix()) for one in left_out]


def _not_followed(folder: Path, root: Path) -> Iterator[LeftOut]:
    """Yield links to folders or to nothing, folders that cannot be listed, and names that no
    program can write down, in one folder.
    """
    for path in sorted(folder.iterdir()):
        reason = None
        if not is_text(path.name):
            reason = "its name is no text in UTF-8, so no record can name it; rename it"
        elif path.is_symlink() and not path.exists():
            reason = DANGLING_LINK
        elif path.is_symlink() and path.is_dir():
            reason = "a link to a folder, which is not followed; name that folder as an archive"
        elif path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            reason = "a folder that this user may not read"
        if reason is not None and not is_litter(path.name):
            yield LeftOut(readable(path.relative_to(root).as_posix()), reason)


def _prompts_of_none(root: Path, used: Container[str], ending: str) -> Iterator[LeftOut]:
    for folder in _folders(root, None):
        for path in sorted(folder.glob("*" + ending)):
            if str(path) not in used and is_text(path.name) and not is_litter(path.name):
                place = path.relative_to(root).as_posix()
                yield LeftOut(place, "prompts of no image", may_be_image=False)


def _listed(left_out: Sequence[LeftOut]) -> str:
    """Return the first of the files left out as the end of a sentence."""
    named = "; ".join(str(one) for one in left_out[:_LISTED])
    more = f"; and {len(left_out) - _LISTED} more" if len(left_out) > _LISTED else ""
    return f" Left out: {named}{more}." if named else ""
