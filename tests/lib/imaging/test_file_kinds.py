"""Every kind of file in docs/file_kinds.md is read exactly, or refused with its sentence.

Values and affine are compared with what was put into the file, or with another program's reading.
`python -m tests.lib.imaging.test_file_kinds` writes the table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsam.errors import VolumeError
from segsam.imaging.volume import Volume

from .kinds import Kind, Made
from .kinds_dicom import DICOM
from .kinds_itk import META, NRRD
from .kinds_nifti import NIFTI
from .kinds_pictures import PICTURES

PAGE = Path(__file__).parents[3] / "docs" / "file_kinds.md"
KINDS = [kind for group in (DICOM, NIFTI, NRRD, META, PICTURES) for kind in group.all]
READ = [kind for kind in KINDS if not kind.refusal]
REFUSED = [kind for kind in KINDS if kind.refusal]
HEADER = "| format | kind of file | what happens |\n|---|---|---|\n"
LIBRARY_WORDS = (
    "force=True", "attribute", "Exception", "Error", "gdcm", "GDCM", "pydicom", "nibabel", "Pillow",
    "PIL", "SimpleITK", "pynrrd", "zlib", "invalid literal", "NoneType", "cannot identify",
    "truncated", "not recognized", "buffer", "decompress", "handler", "expected length", "Errno",
)  # fmt: skip


def name_of(kind: Kind) -> str:
    return f"{kind.group}: {kind.name}"


def table() -> str:
    """The table of the page, from the kinds of this test."""
    rows = (f"| {kind.group} | {kind.name} | {kind.result} |\n" for kind in KINDS)
    return HEADER + "".join(rows)


def test_the_page_has_the_same_kinds() -> None:
    text = PAGE.read_text("utf-8")
    assert text[text.index(HEADER) :] == table()
    assert len({(kind.group, kind.name) for kind in KINDS}) == len(KINDS) >= 60
    assert {kind.group for kind in READ} == {kind.group for kind in REFUSED}


@pytest.mark.parametrize("kind", READ, ids=name_of)
def test_it_is_read_exactly(kind: Kind, tmp_path: Path) -> None:
    made = kind.make(tmp_path)
    for one in made if isinstance(made, list) else [made]:
        check(one)


def check(made: Made) -> None:
    volume = Volume.load(made.path, frame=made.frame)
    expected = made.values
    if expected.ndim == 4 and (expected == expected[..., :1]).all():
        expected = expected[..., 0]  # colour without colour is grey
    assert volume.voxels.shape == expected.shape, made.path.name
    assert np.array_equal(volume.voxels, expected), made.path.name
    np.testing.assert_allclose(volume.affine_ras, made.affine_ras, atol=1e-6)
    if made.note:
        assert any(made.note in note for note in volume.notes), volume.notes
    else:
        assert volume.notes == ()


@pytest.mark.parametrize("kind", REFUSED, ids=name_of)
def test_it_is_refused_with_its_sentence(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(VolumeError) as caught:
        Volume.load(kind.make(tmp_path))
    assert str(caught.value) == kind.refusal
    assert not [word for word in LIBRARY_WORDS if word in kind.refusal]


if __name__ == "__main__":
    written = PAGE.read_text("utf-8")
    PAGE.write_text(written[: written.index(HEADER)] + table(), "utf-8")
