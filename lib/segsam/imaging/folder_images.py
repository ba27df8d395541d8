"""Images of one folder by the table of file kinds: files, DICOM series, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segsam.errors import VolumeError
from segsam.imaging.dicom_series import dicom_facts, series_of
from segsam.imaging.formats.dicom_segmentation import is_dicom_segmentation
from segsam.imaging.image_files import (
    DANGLING_LINK,
    LeftOut,
    image_kind,
    is_litter,
    kind_of,
    label_kind,
    reason_against,
    stem_of,
)


@dataclass(frozen=True)
class FoundImage:
    """One image, as `Volume.load` opens it by its `path`.

    `stem` is its file name without the ending, that of the first file of a series, or "" if the
    folder holds no other image. `names` are the files of a DICOM series.
    """

    stem: str
    path: Path
    names: tuple[str, ...] = ()


def images_in(
    folder: Path, names: Sequence[str] | None = None, *, as_folder: bool = True
) -> tuple[list[FoundImage], list[LeftOut]]:
    """Return the images among the files of a folder (or those of them in `names`), by name.

    With `as_folder`, the only DICOM series of a folder without other images has no stem.
    Raises OSError.
    """
    links: list[LeftOut] = []
    if names is None:
        names, links = _files(folder)
    names = sorted(names)
    facts = dicom_facts(folder, names)
    series, left_out = series_of(folder, facts)
    left_out += links
    found = []
    for name in names:
        kind = image_kind(name)
        if name in facts:
            continue
        if kind is not None:
            found.append(FoundImage(stem_of(name, kind), folder / name))
        elif (reason := reason_against(name, names)) is not None:
            left_out.append(reason)
    is_folder = as_folder and not found
    for each in series:
        if is_folder and each.is_alone:
            found.append(FoundImage("", each.path, each.names))
        else:
            kind = kind_of(each.names[0])
            stem = each.names[0] if kind is None else stem_of(each.names[0], kind)
            found.append(FoundImage(stem, folder / each.names[0], each.names))
    found.sort(key=lambda image: image.path)
    return found, sorted(left_out, key=lambda one: one.path)


def labels_in(folder: Path) -> tuple[list[tuple[str, Path]], list[LeftOut]]:
    """Return (stem, file) of the labels of a folder by name, and the files that hold none."""
    names, left_out = _files(folder)
    found = []
    for name in names:
        kind, any_kind = label_kind(name), kind_of(name)
        if kind is not None and (kind.format != "DICOM" or _is_segmentation(folder / name)):
            found.append((stem_of(name, kind), folder / name))
        elif any_kind is not None and image_kind(name) is not None:
            left_out.append(LeftOut(name, _WHY_NO_LABEL[any_kind.format]))
        elif (reason := reason_against(name, names)) is not None:
            left_out.append(LeftOut(name, "not a label", may_be_image=reason.may_be_image))
    return found, left_out


def _files(folder: Path) -> tuple[list[str], list[LeftOut]]:
    """Return the names of the files in a folder, and the links to files that do not exist."""
    paths = sorted(folder.iterdir())
    lost = [path for path in paths if path.is_symlink() and not path.exists()]
    return (
        [path.name for path in paths if path.is_file()],
        [LeftOut(path.name, DANGLING_LINK) for path in lost if not is_litter(path.name)],
    )


def _is_segmentation(path: Path) -> bool:
    try:
        return is_dicom_segmentation(path)
    except VolumeError:  # damaged
        return False


_WHY_NO_LABEL = {
    "picture": "JPEG changes values, so it cannot hold labels",
    "DICOM": "DICOM images cannot hold labels, only segmentations",
}
