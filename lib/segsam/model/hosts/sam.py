"""SAM itself: ViT-B at 1024 px, built of the parts of the package segment-anything.

Kirillov et al., "Segment anything" (2023), https://github.com/facebookresearch/segment-anything,
Apache-2.0.
"""

from __future__ import annotations

from segsam.model.hosts.base import HostFacts
from segsam.model.hosts.vit import VisionTransformer, VitHost, VitSizes


class Sam(VitHost):
    """93,735,472 parameters with the default sizes; the keys of `sam_vit_b_01ec64.pth`."""

    facts = HostFacts(
        name="sam",
        input_size=1024,
        grid=64,
        embed_dim=256,
        prompts_trained=("point", "box", "mask"),
        normalisation="ImageNet mean and standard deviation, RGB",
        licence="Apache-2.0",
        source="https://github.com/facebookresearch/segment-anything",
        encoder="ViT-B/16",
        official_file="sam_vit_b_01ec64.pth",
    )

    def __init__(self, sizes: VitSizes | None = None) -> None:
        """Build it with random weights; `sizes` other than ViT-B's are for tests."""
        sizes = sizes or VitSizes()
        super().__init__(sizes, VisionTransformer(sizes).requires_grad_(False))
