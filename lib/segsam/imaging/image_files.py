"""Table of file kinds: which files are images, which of these may hold labels, and what is litter.

Every part that lists or accepts files uses this one table: the readers, data sets, batches, the
studies folder and uploads. A file whose name has no ending of the table is DICOM by its content
(`dicom_series`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Format = Literal["NIfTI", "NRRD", "MetaImage", "DICOM", "picture"]


@dataclass(frozen=True)
class FileKind:
    """One row of the table; `ending` is in lower case."""

    ending: str
    format: Format
    is_image: bool = True
    is_label: bool = True
    is_one_file: bool = True
    """False for a header whose voxels lie in a second file."""


FILE_KINDS = (
    FileKind(".nii.gz", "NIfTI"),
    FileKind(".nii", "NIfTI"),
    FileKind(".seg.nrrd", "NRRD", is_image=False),
    FileKind(".nrrd", "NRRD"),
    FileKind(".nhdr", "NRRD", is_one_file=False),
    FileKind(".mha", "MetaImage"),
    FileKind(".mhd", "MetaImage", is_one_file=False),
    FileKind(".dcm", "DICOM"),  # as a label: a segmentation
    FileKind(".png", "picture"),
    FileKind(".jpg", "picture", is_label=False),  # its compression changes values
    FileKind(".jpeg", "picture", is_label=False),
    FileKind(".tif", "picture"),
    FileKind(".tiff", "picture"),
    FileKind(".bmp", "picture"),
)
IMAGE_ENDINGS = tuple(kind.ending for kind in FILE_KINDS if kind.is_image)
LABEL_ENDINGS = tuple(kind.ending for kind in FILE_KINDS if kind.is_label)
LABEL_VOLUME_ENDINGS = tuple(
    kind.ending
    for kind in FILE_KINDS
    if kind.is_label and kind.is_one_file and kind.format not in {"picture", "DICOM"}
)
"""Endings of labels that lie in one file with their geometry: what a server stores."""
LABEL_FILE_ENDINGS = tuple(kind.ending for kind in FILE_KINDS if kind.is_label and kind.is_one_file)
"""Endings of labels that lie in one file: what a client can send."""

_LABEL_MARK = ".label"
"""End of a label's name before its ending, where labels lie beside their images."""
DANGLING_LINK = "a link to a file that does not exist"
"""Why such a link is left out."""
_LITTER = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "dicomdir", "__macosx", "@eadir",
     "$recycle.bin", "system volume information", "lost+found"}
)  # fmt: skip
"""Files and folders that operating systems, and writers of DICOM discs, leave in any folder."""
_DOCUMENTS = frozenset(
    {".json", ".txt", ".csv", ".tsv", ".md", ".pdf", ".xml", ".yaml", ".yml", ".html", ".htm",
     ".log", ".xls", ".xlsx", ".doc", ".docx", ".bval", ".bvec"}
)  # fmt: skip
_VOXEL_ENDINGS = (".raw", ".zraw", ".raw.gz")


@dataclass(frozen=True)
class LeftOut:
    """File that was found and not used, with the reason; `path` is relative to its folder."""

    path: str
    reason: str
    may_be_image: bool = True
    """False for labels and documents, which nobody misses among the images."""

    def __str__(self) -> str:
        """Return the path with the reason."""
        return f"{self.path}: {self.reason}"


def ending_of(name: str, endings: Collection[str]) -> str | None:
    """Return the longest of `endings` that `name` ends in, in any case; None for none of them."""
    lowered = name.lower()
    return next((end for end in sorted(endings, key=len)[::-1] if lowered.endswith(end)), None)


def kind_of(name: str) -> FileKind | None:
    """Return the kind of a file by the ending of its name, in any case; None for an unknown one."""
    ending = ending_of(name, [kind.ending for kind in FILE_KINDS])
    return next((kind for kind in FILE_KINDS if kind.ending == ending), None)


def image_kind(name: str) -> FileKind | None:
    """Return the kind of a file that a list of images holds; None for labels, litter and others."""
    kind = kind_of(name)
    if kind is None or not kind.is_image or is_litter(name):
        return None
    return None if stem_of(name, kind).lower().endswith(_LABEL_MARK) else kind


def label_kind(name: str) -> FileKind | None:
    """Return the kind of a file that may hold labels; None for litter and all others."""
    kind = kind_of(name)
    return kind if kind is not None and kind.is_label and not is_litter(name) else None


def is_litter(name: str) -> bool:
    """Return True for a hidden file or folder, and for what operating systems leave behind."""
    return name.startswith(".") or name.lower() in _LITTER


def first_file_in(folder: Path) -> str | None:
    """Return the first name in a folder but hidden files and litter; None if there is no other.

    Raises OSError for a folder that cannot be listed.
    """
    if not folder.exists():
        return None
    return min((one.name for one in folder.iterdir() if not is_litter(one.name)), default=None)


def may_be_dicom(name: str) -> bool:
    """Return True for a file that may be DICOM, by its ending or because it has none of others."""
    kind = kind_of(name)
    if is_litter(name) or _is_document(name):
        return False
    return kind is None or kind.format == "DICOM"


def stem_of(name: str, kind: FileKind) -> str:
    """Return a file's name without the ending of its kind."""
    return name[: -len(kind.ending)]


def reason_against(name: str, siblings: Collection[str]) -> LeftOut | None:
    """Return why a file is not among the images of a folder with the files `siblings`.

    None for an image, for litter, and for the voxels that belong to a header among the siblings.
    """
    if is_litter(name) or image_kind(name) is not None or _is_voxels(name, siblings):
        return None
    if kind_of(name) is not None:
        return LeftOut(name, "a label, not an image", may_be_image=False)
    if _is_document(name):
        return LeftOut(name, "not an image", may_be_image=False)
    return LeftOut(name, f"not DICOM, and its name does not end in {', '.join(IMAGE_ENDINGS)}")


def reason_against_label(name: str, siblings: Collection[str]) -> str | None:
    """Return why a file cannot hold labels in a folder of labels with the files `siblings`.

    None for a label, for litter and documents, and for the voxels of a header among the siblings.
    """
    is_other = is_litter(name) or _is_document(name) or _is_voxels(name, siblings)
    if is_other or label_kind(name) is not None:
        return None
    if kind_of(name) is not None:
        return "its compression changes values; expected a label in a format without losses"
    return f"expected a label in a file that ends in {', '.join(LABEL_ENDINGS)}"


def _is_document(name: str) -> bool:
    return "." + name.lower().rpartition(".")[2] in _DOCUMENTS


def _is_voxels(name: str, siblings: Collection[str]) -> bool:
    ending = ending_of(name, _VOXEL_ENDINGS)
    if ending is None:
        return False
    stem = name[: -len(ending)].lower()
    headers = {stem + kind.ending for kind in FILE_KINDS if not kind.is_one_file}
    return any(each.lower() in headers for each in siblings)
