"""The sample: a real CT with organ labels, fetched once from the package index, kept in a cache.

The source archive of TotalSegmentator 2.18.0 (Apache-2.0) carries it among its test files. Nobody
drew the labels: they are that program's own output, so everything here calls them pseudo-labels.
They serve as a check that geometry, prompts and model work together, never as ground truth and
never for training.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np

from segsam.errors import SampleError
from segsam.system.folders import default_cache_dir
from segsam.types import Progress

PACKAGE = "totalsegmentator"
VERSION = "2.18.0"
ARCHIVE_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
NEEDED_BYTES = 200 * 2**20
"""Archive, what pip unpacks of it to read its name, and the files that are kept (6 MB)."""

_REFERENCE = "tests/reference_files/"
_FILES = {
    "example_ct.nii.gz": "ct.nii.gz",
    "example_seg_fast_force_split.nii.gz": "labels.nii.gz",
    "example_seg_dicom.nii.gz": "dicom_labels.nii.gz",
}
_SHA256 = {
    "ct.nii.gz": "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
    "labels.nii.gz": "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    "dicom_labels.nii.gz": "98af7f6536c316ff9084054f20956cd3e28af376b81d582d269fbea2744878fc",
}
_DICOM_FOLDER = "example_ct_dicom/"
_DICOM_SLICES = 20
_STEPS = 3


@dataclass(frozen=True)
class Sample:
    """The sample's files in the cache folder, and which organs its pseudo-labels name.

    `image` is a CT of abdomen and pelvis, 122x101x112 voxels of 3 mm; `labels` has its shape and
    affine, and `organs` says which value in it is which organ (only those really present).
    `dicom_dir` is another CT, a series of 20 slices of 512x512, with `dicom_labels` for it.
    """

    image: Path
    labels: Path
    organs: Mapping[str, int]
    dicom_dir: Path
    dicom_labels: Path
    licence: Path


def sample_dir(cache_dir: Path | None = None) -> Path:
    """Where the sample is, or would be."""
    return (cache_dir or default_cache_dir()) / f"sample-{PACKAGE}-{VERSION}"


def is_cached(cache_dir: Path | None = None) -> bool:
    """Whether the sample is complete in the cache, so that no network is needed."""
    folder = sample_dir(cache_dir)
    slices = list((folder / "dicom").glob("CT.*")) if folder.is_dir() else []
    return len(slices) == _DICOM_SLICES and all((folder / name).is_file() for name in _SHA256)


def fetch_sample(cache_dir: Path | None = None, progress: Progress | None = None) -> Sample:
    """The sample, from the cache or, the first time, from the package index (38 MB; kept: 6 MB).

    Raises SampleError when the index cannot be reached, the archive or a file of it is not the
    published one, or the cache folder cannot be written; nothing half-made stays in the cache.
    """
    folder = sample_dir(cache_dir)
    if not is_cached(cache_dir):
        try:
            _fill(folder, progress or _silent)
        except OSError as error:
            raise SampleError(_cannot_write(folder.parent, error)) from error
    for name, wanted in _SHA256.items():
        _check_hash(folder / name, wanted)
    return Sample(
        image=folder / "ct.nii.gz",
        labels=folder / "labels.nii.gz",
        organs=_organs(folder / "labels.nii.gz"),
        dicom_dir=folder / "dicom",
        dicom_labels=folder / "dicom_labels.nii.gz",
        licence=folder / "LICENSE",
    )


def _silent(done: int, total: int, what: str) -> None:
    """A caller who did not ask for progress."""


def _fill(folder: Path, progress: Progress) -> None:
    """Make the sample folder beside its final name, then rename: it is there whole or not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < NEEDED_BYTES:
        raise SampleError(
            f"The sample needs {NEEDED_BYTES >> 20} MB in {folder.parent}, which has "
            f"{free >> 20} MB left; free some, or name another folder in SEGSAM_CACHE."
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sample-") as work:
        progress(0, _STEPS, f"downloading {PACKAGE} {VERSION} from the package index (38 MB)")
        archive = _download(Path(work))
        progress(1, _STEPS, "taking the CT and its labels out of the archive")
        made = Path(work) / "made"
        _extract(archive, made)
        progress(2, _STEPS, f"keeping them in {folder}")
        _put(made, folder)
    progress(_STEPS, _STEPS, "sample ready")


def _put(made: Path, folder: Path) -> None:
    """Rename into place; another process that was faster has put the same files there."""
    try:
        made.rename(folder)
    except OSError:
        if is_cached(folder.parent):
            return
        shutil.rmtree(folder)
        made.rename(folder)


def _download(work: Path) -> Path:
    """pip checks the hash before it runs anything of the archive (the wheel has no test files)."""
    requirement = work / "requirement.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--retries", "2", "--timeout", "30", "--no-deps"]
    command += ["--no-binary", ":all:", "--require-hashes", "-r", str(requirement), "-d", str(work)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(work.glob("*.tar.gz"))
    if run.returncode != 0 or len(archives) != 1:
        raise SampleError(_why_pip_failed(run.stderr))
    _check_hash(archives[0], ARCHIVE_SHA256)
    return archives[0]


def _why_pip_failed(stderr: str) -> str:
    """pip's many lines as one sentence that says what to do."""
    wanted = f"The sample ({PACKAGE} {VERSION}, source archive)"
    if "No module named pip" in stderr:
        return f"{wanted} is fetched with pip, which this Python lacks: run `python -m ensurepip`."
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"{wanted} came with another SHA-256 than {ARCHIVE_SHA256}; nothing was kept."
    if "No space left" in stderr:
        return f"{wanted} could not be fetched: no space left on the device."
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
    said = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
    return (
        f"{wanted} could not be fetched from the package index; it is needed once, "
        f"later runs work offline. pip said: {said}"
    )


def _extract(archive: Path, made: Path) -> None:
    """Write the needed members under our own names: no path of the archive is used as one."""
    (made / "dicom").mkdir(parents=True)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            target = _target(member.name) if member.isfile() else None
            source = tar.extractfile(member) if target else None
            if source is not None and target is not None:
                with (made / target).open("wb") as file:
                    shutil.copyfileobj(source, file)
    missing = [name for name in [*_SHA256, "LICENSE"] if not (made / name).is_file()]
    slices = len(list((made / "dicom").iterdir()))
    if missing or slices != _DICOM_SLICES:
        raise SampleError(
            f"The archive of {PACKAGE} {VERSION} should hold {_DICOM_SLICES} DICOM slices and the "
            f"sample's files; it holds {slices} slices and lacks {', '.join(missing) or 'no file'}."
        )


def _target(member: str) -> str | None:
    """Our name for a member of the archive, None for the thousands that are not needed."""
    inside = member.partition("/")[2]
    if inside == "LICENSE":
        return inside
    if not inside.startswith(_REFERENCE):
        return None
    name = inside.removeprefix(_REFERENCE)
    slice_name = name.removeprefix(_DICOM_FOLDER)
    if name.startswith(_DICOM_FOLDER) and re.fullmatch(r"CT\.[0-9.]+", slice_name):
        return f"dicom/{slice_name}"
    return _FILES.get(name)


def _check_hash(path: Path, wanted: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wanted:
        raise SampleError(
            f"{path} has SHA-256 {found}, and the published sample has {wanted}; "
            f"delete {path.parent} and it will be fetched anew."
        )


def _organs(labels: Path) -> Mapping[str, int]:
    """Name -> value of the organs present, from the label table in the file's header."""
    image = nib.load(labels)
    text = "".join(str(extension.get_content()) for extension in image.header.extensions)
    table = re.findall(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[(\w+)\]\]>', text)
    present = set(np.unique(np.asarray(image.dataobj)).tolist()) - {0}
    return MappingProxyType({name: int(key) for key, name in table if int(key) in present})


def _cannot_write(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"No space left in {folder} for the sample; free some, or set SEGSAM_CACHE."
    return (
        f"The cache folder {folder} cannot be written ({error.strerror}); "
        "set SEGSAM_CACHE to one that can."
    )
