"""Sample CT of the tutorial for Slicer's module Sample Data, which downloads it on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from SEGSAMLib.Errors import NodeError
from SEGSAMLib.Translation import tr as _

CATEGORY = "SEG-SAM"
NAME = "SEG-SAM abdomen CT"
URL = (
    "https://raw.githubusercontent.com/wasserth/TotalSegmentator/v2.18.0/"
    "tests/reference_files/example_ct.nii.gz"
)
"""A CT of abdomen and pelvis, 122x101x112 voxels of 3 mm, 1 MB (TotalSegmentator, Apache-2.0)."""
SHA256 = "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1"
RIGHT_KIDNEY_IJK = (77, 37, 96)
"""Voxel in the middle of the right kidney on the slice of the tutorial."""
_NODE = "SEGSAM_abdomen_CT"


def register_sample_data() -> None:
    """Register the sample CT. Call it after the start of Slicer: SampleData must be loaded."""
    import SampleData

    thumbnail = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "SampleCT.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=URL,
        fileNames="SEGSAM_abdomen_CT.nii.gz",
        nodeNames=_NODE,
        thumbnailFileName=str(thumbnail),
        checksums=f"SHA256:{SHA256}",
        loadFileType="VolumeFile",
    )


def load_sample() -> Any:
    """Return the volume of the sample CT, which Slicer's Sample Data downloads unless it has it or
    the scene has it. Raises `NodeError` if it cannot be had.
    """
    import SampleData

    there = slicer.mrmlScene.GetFirstNodeByName(_NODE)
    if there is not None:
        return there
    register_sample_data()
    # Nodes, but paths of files where they could not be read, and nothing without a network.
    for found in SampleData.SampleDataLogic().downloadSamples(NAME):
        if hasattr(found, "IsA") and found.IsA("vtkMRMLScalarVolumeNode"):
            return found
    sentence = _(
        "The sample CT could not be downloaded: is this computer connected to the Internet? An "
        "image of your own will do, too."
    )
    raise NodeError(sentence)
