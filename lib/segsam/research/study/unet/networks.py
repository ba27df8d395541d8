"""Networks of MONAI for slices of 256 x 256: DynUNet, the architecture of nnU-Net, and UNETR."""

from __future__ import annotations

from monai.networks.nets import UNETR, DynUNet
from torch import nn

from segsam.research.study.unet.config import NetworkName

SIDE_PX = 256
_FILTERS = (16, 32, 64, 128, 256, 256, 256)
"""Half the filters of nnU-Net's plan for 256 x 256, which goes down to 4 x 4 and doubles 32 filters
up to 512. On two cores, twice the steps in the same time bring more."""


def build_network(name: NetworkName, channels: int) -> nn.Module:
    """Build an untrained network from images (B, 3, 256, 256) to logits (B, channels, 256, 256).

    nnU-Net: Isensee et al., Nature Methods 18 (2021), figure 2; UNETR: Hatamizadeh et al., WACV
    2022, with a hidden size of 384 in place of 768.
    """
    if name == "unetr":
        unetr: nn.Module = UNETR(
            in_channels=3,
            out_channels=channels,
            img_size=SIDE_PX,
            feature_size=16,
            hidden_size=384,
            mlp_dim=1536,
            num_heads=6,
            norm_name="instance",
            spatial_dims=2,
        )
        return unetr
    strides = [1] + [2] * (len(_FILTERS) - 1)
    dynunet: nn.Module = DynUNet(
        spatial_dims=2,
        in_channels=3,
        out_channels=channels,
        kernel_size=[3] * len(_FILTERS),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=_FILTERS,
        norm_name="instance",
    )
    return dynunet
