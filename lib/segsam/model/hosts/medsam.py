"""MedSAM: SAM's ViT-B at 1024 px, fine-tuned on medical images with boxes.

Ma et al., "Segment anything in medical images" (Nature Communications 15:654, 2024),
https://github.com/bowang-lab/MedSAM, Apache-2.0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from segsam.model.hosts.preparation import normalise_min_max
from segsam.model.hosts.sam import Sam


class MedSam(Sam):
    """SAM's parameters and keys (`medsam_vit_b.pth`), with another normalisation.

    Its authors trained the image encoder and froze the prompt encoder. As a host of SEG-SAM it is
    the other way round, as for every host (section 4.1).
    """

    facts = replace(
        Sam.facts,
        name="medsam",
        prompts_trained=("box",),
        normalisation="minimum to maximum of the slice onto [0, 1]",
        source="https://github.com/bowang-lab/MedSAM",
        official_file="medsam_vit_b.pth",
        preparation="published with slices stretched to a square; here the aspect is kept and the "
        "rest padded with zeros, so that geometry stays exact",
    )

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Map a resized slice (h_px, w_px, 3) onto [0, 1], then pad it to float32 (3, S, S)."""
        return normalise_min_max(image, self.facts.input_size)
