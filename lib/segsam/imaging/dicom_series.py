"""DICOM series of a folder, one image for each: found by headers, nothing is decoded.

A series is an image if it is one file, all parts of a concatenation, or parallel slices at
different positions; a few scouts or stills among them are left out. Stills, views and frames
without positions that share a series form no volume; they are left out with a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from segsam.errors import VolumeError
from segsam.imaging.formats.dicom import beside_main_view
from segsam.imaging.formats.dicom_concatenations import Part, part_of, why_not_whole
from segsam.imaging.formats.dicom_files import DicomFile, is_blank_slice, is_dicom, read_file
from segsam.imaging.formats.dicom_grid import main_view
from segsam.imaging.formats.dicom_pictures import about_tiles
from segsam.imaging.formats.dicom_slices import frame_stack, macros_of, place_of
from segsam.imaging.formats.raw import reading
from segsam.imaging.image_files import LeftOut, kind_of, may_be_dicom

_PARALLEL = 1e-4
"""Largest difference of direction cosines of parallel slices, as in `dicom_grid`."""
_ONE_POSITION_MM = 0.01
_DAMAGED = "damaged or incomplete DICOM"
_BESIDE = (
    "a still, or a slice in another view or size, beside the {slices} slices of its series; it is "
    "no part of their volume"
)
_LISTED = 4


@dataclass(frozen=True)
class DicomFacts:
    """Facts about one DICOM file for a list of images; `problem` says why it is no image."""

    series_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    frames: int = 1
    size_px: tuple[int, int] = (0, 0)
    position_lps: tuple[float, ...] | None = None
    orientation_lps: tuple[float, ...] | None = None
    part: Part | None = None
    """Place of the file in its concatenation."""
    problem: str = ""
    may_be_image: bool = True
    hinders_folder: bool = False
    """True if the folder cannot be read as one series because of this file."""


@dataclass(frozen=True)
class DicomSeries:
    """Files of one series that lie in one folder, by name. `uid` is empty if they give none, and
    has the UID of the concatenation behind a slash if the series holds more than that one.
    """

    uid: str
    folder: Path
    names: tuple[str, ...]
    is_alone: bool
    """True if the folder holds no other series."""
    is_folder: bool
    """True if the folder can be read as this series."""
    notes: tuple[str, ...] = ()
    """Notes about the series that only its surroundings show."""

    @property
    def path(self) -> Path:
        """Path under which `Volume.load` reads the series: its folder, else its first file."""
        return self.folder if self.is_folder else self.folder / self.names[0]


def read_facts(path: Path) -> DicomFacts | None:
    """Read the header of a file; None if it is not DICOM and its name does not say that it is."""
    named_dicom = kind_of(path.name) is not None
    try:
        if not is_dicom(path):
            if is_blank_slice(path):
                return DicomFacts(problem=_DAMAGED, hinders_folder=True)
            return DicomFacts(problem="not a DICOM file") if named_dicom else None
        return _facts(read_file(path))
    except VolumeError as error:
        return DicomFacts(problem=str(error), hinders_folder=True)
    except OSError:
        return DicomFacts(problem="the file cannot be opened", hinders_folder=True)


def dicom_facts(folder: Path, names: Iterable[str]) -> dict[str, DicomFacts]:
    """Read the headers of the DICOM files among `names`; other files are left out."""
    found = {name: read_facts(folder / name) for name in sorted(names) if may_be_dicom(name)}
    return {name: facts for name, facts in found.items() if facts is not None}


def series_of(
    folder: Path, facts: Mapping[str, DicomFacts]
) -> tuple[list[DicomSeries], list[LeftOut]]:
    """Return the images among the DICOM files of a folder, and the files left out."""
    left_out = [
        LeftOut(name, each.problem, each.may_be_image)
        for name, each in facts.items()
        if each.problem
    ]
    groups = _groups({name: each for name, each in facts.items() if not each.problem})
    found = []
    is_alone = len(groups) == 1
    is_folder = is_alone and not any(each.hinders_folder for each in facts.values())
    for key, all_names in groups.items():
        names = _in_main_view(all_names, facts)
        beside = [name for name in all_names if name not in names]
        notes = (f"{folder.name}: {beside_main_view(len(names), len(beside))}",) if beside else ()
        problem = _why_no_volume(_without_copies([facts[name] for name in names]))
        if problem:
            listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            sentence = f"{problem} ({listed}), not one volume; name one file to read it"
            sentence = problem if facts[names[0]].part is not None else sentence
            left_out += [LeftOut(name, sentence) for name in names]
        else:
            uid = "" if key.startswith("/") else key
            left_out += [LeftOut(name, _BESIDE.format(slices=len(names))) for name in beside]
            whole = is_folder and not beside
            found.append(DicomSeries(uid, folder, tuple(names), is_alone, whole, notes))
    return found, left_out


def _in_main_view(names: list[str], facts: Mapping[str, DicomFacts]) -> list[str]:
    """Return the names of the slices of a series without scouts, stills and the like; all of them
    if it is open which these are.
    """
    own = [facts[name] for name in names]
    if any(each.part is not None for each in own):
        return names
    orientations = [
        each.orientation_lps if each.frames == 1 and each.position_lps is not None else None
        for each in own
    ]
    sizes_px = [each.size_px for each in own]
    chosen = main_view(orientations, sizes_px, [each.sop_class for each in own])
    along = [names[index] for index in chosen]
    return along if along and not _why_no_volume([facts[name] for name in along]) else names


def _groups(facts: Mapping[str, DicomFacts]) -> dict[str, list[str]]:
    """Return the names of the files that may be one image, by the UID of a `DicomSeries`, or by
    "/name" for a file without one.
    """
    by_image: dict[tuple[str, str], list[str]] = {}
    for name, each in facts.items():
        key = each.series_uid or f"/{name}", each.part.uid if each.part is not None else ""
        by_image.setdefault(key, []).append(name)
    images_of = Counter(uid for uid, _ in by_image)
    return {
        f"{uid}/{part}" if part and images_of[uid] > 1 else uid: names
        for (uid, part), names in by_image.items()
    }


def _facts(file: DicomFile) -> DicomFacts:
    header = file.header
    modality = str(header.get("Modality") or "").strip()
    if file.is_segmentation:
        problem = "a DICOM segmentation, not an image"
        return DicomFacts(problem=problem, may_be_image=False, hinders_folder=True)
    if file.is_cut:
        return DicomFacts(problem=_DAMAGED, hinders_folder=True)
    if not file.has_size:
        kind = f" ({modality})" if modality else ""
        return DicomFacts(problem=f"DICOM{kind} without an image", may_be_image=False)
    if problem := about_tiles(file):
        return DicomFacts(problem=problem.rstrip("."), hinders_folder=True)
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    if file.frames > 1 and len(per_frame) != file.frames and not _is_stack(file):
        return DicomFacts(
            problem=f"its {file.frames} frames have no positions in the patient, so they form no "
            "volume; segsam segment --frame reads one of them",
            hinders_folder=True,
        )
    own = per_frame[0] if file.frames == 1 and len(per_frame) == 1 else pydicom.Dataset()
    position, orientation = place_of(macros_of(file, own))
    size_px = (int(header.Columns or 0), int(header.Rows or 0))
    return DicomFacts(
        file.series_uid,
        str(header.get("SOPInstanceUID") or ""),
        str(header.get("SOPClassUID") or ""),
        file.frames,
        size_px,
        _numbers(position, 3),
        _numbers(orientation, 6),
        part_of(file),
    )


def _is_stack(file: DicomFile) -> bool:
    """Return True for frames that follow from one position. Raises VolumeError for damaged ones."""
    sentence = f"{file.path.name}: expected numbers as the places of its frames, got damaged ones."
    with reading(file.path, "DICOM", sentence):
        return frame_stack(file) is not None


def _numbers(values: Any, count: int) -> tuple[float, ...] | None:
    listed = [] if values is None else np.atleast_1d(values).tolist()
    if len(listed) != count:
        return None
    try:
        return tuple(float(value) for value in listed)
    except (TypeError, ValueError):
        return None


def _without_copies(files: Sequence[DicomFacts]) -> list[DicomFacts]:
    """Return the files without those that are read as copies of an earlier one."""
    keys = [(each.sop_uid or str(n), each.position_lps, each.part) for n, each in enumerate(files)]
    return [each for n, each in enumerate(files) if keys[n] not in keys[:n]]


def _why_no_volume(files: Sequence[DicomFacts]) -> str:
    """Return what the files of a series are instead of the slices of one volume; "" if they are."""
    if parts := [each.part for each in files if each.part is not None]:
        return why_not_whole(parts)
    if len(files) == 1:
        return ""
    if any(each.frames > 1 for each in files):
        return f"its series holds {len(files)} files, some of several frames"
    positions = [each.position_lps for each in files if each.position_lps is not None]
    views = np.array([each.orientation_lps for each in files if each.orientation_lps is not None])
    if len(positions) < len(files) or len(views) < len(files):
        return f"its series holds {len(files)} stills without positions in the patient"
    sizes = {each.size_px for each in files}
    if len(sizes) > 1 or np.abs(views - views[0]).max() > _PARALLEL:
        return f"its series holds {len(files)} files in several views or sizes"
    along_mm = np.array(positions) @ np.cross(views[0, :3], views[0, 3:])
    if np.ptp(along_mm) <= _ONE_POSITION_MM:
        return f"its series holds {len(files)} pictures of one plane"
    return ""
