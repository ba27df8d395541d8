"""Sample CT of the tutorial for Slicer's module Sample Data, which downloads it on request."""

from __future__ import annotations

from pathlib import Path

CATEGORY = "SEG-SAM"
NAME = "SEG-SAM abdomen CT"
URL = (
    "https://raw.githubusercontent.com/wasserth/TotalSegmentator/v2.18.0/"
    "tests/reference_files/example_ct.nii.gz"
)
"""A CT of abdomen and pelvis, 122x101x112 voxels of 3 mm, 1 MB (TotalSegmentator, Apache-2.0)."""
SHA256 = "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1"


def register_sample_data() -> None:
    """Register the sample CT. Call it after the start of Slicer: SampleData must be loaded."""
    import SampleData

    thumbnail = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "SampleCT.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=URL,
        fileNames="SEGSAM_abdomen_CT.nii.gz",
        nodeNames="SEGSAM_abdomen_CT",
        thumbnailFileName=str(thumbnail),
        checksums=f"SHA256:{SHA256}",
        loadFileType="VolumeFile",
    )
