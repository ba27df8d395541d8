"""What the paper leaves open about the model, as one frozen record kept in every card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

HeadName: TypeAlias = Literal["dense", "maskcls"]


@dataclass(frozen=True)
class SemanticConfig:
    """Choices for the semantic parts where the paper (sections 3.2 and 3.3) is silent; defaults are
    our reading.

    What concerns training alone (loss weights, learning rate, whether the predicted IoU is trained)
    is not here.
    """

    head: HeadName = "dense"
    """How one SO-token becomes a mask of K + 1 classes: `dense`, a kernel per class (label per
    pixel); `maskcls`, one mask and one class distribution, as Mask2Former, which the paper cites
    for its loss. On a 64 x 64 grid with
    many categories `maskcls` is the lighter one."""
    depth: int = 2
    """Two-way blocks of the mask branch; the paper says "layers", SAM has 2."""
    presence_depth: int = 1
    """Blocks of the presence branch; the paper describes one."""
    presence_prior: Literal["sigmoid", "logits"] = "sigmoid"
    """What of the presence branch informs the SO-token; the sigmoid is bounded."""
    presence_target: Literal["unprompted", "all_present"] = "unprompted"
    """What presence means: the categories of all objects but the prompted one (as written), or
    of all of them."""
    text_keys: Literal["image_and_prompts", "image"] = "image_and_prompts"
    """What the text summary attends to; `image` alone gives every prompt the same text token."""
    multimask: bool = False
    """Whether the mask decoder, with text, draws three masks of which the best by its own estimate
    is kept (as SAM-Med2D does)."""
    heads: int = 8
    """Attention heads, everywhere."""
    mlp_dim: int = 2048
    """Hidden width of the transformer blocks' MLPs."""
