"""What the paper leaves open about the model, as one frozen record kept in every card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from segsam.errors import CheckpointError

HeadName: TypeAlias = Literal["dense", "maskcls"]
PriorName: TypeAlias = Literal["sigmoid", "logits"]
PresenceName: TypeAlias = Literal["unprompted", "all_present"]
TextKeysName: TypeAlias = Literal["image_and_prompts", "image"]
DecoderKind: TypeAlias = Literal["own", "shared"]
UnpromptedTask: TypeAlias = Literal["presence", "full_image", "none"]
TextTarget: TypeAlias = Literal["binary", "both"]
ReductionName: TypeAlias = Literal["trained", "pooled"]
_CHOICES = {
    "head": get_args(HeadName),
    "presence_prior": get_args(PriorName),
    "presence_target": get_args(PresenceName),
    "text_keys": get_args(TextKeysName),
    "decoder": get_args(DecoderKind),
    "unprompted": get_args(UnpromptedTask),
    "text_into": get_args(TextTarget),
    "reduction": get_args(ReductionName),
}


@dataclass(frozen=True)
class SemanticConfig:
    """Choices for the semantic parts where the paper (sections 3.2 and 3.3) is silent, and the
    three switches of its ablations (`decoder`, `unprompted`, `text_into`), which a variant sets.

    The defaults are our reading; widths and attention heads are the host's. What concerns training
    alone (loss weights, learning rate, whether the predicted IoU is trained) is not here.
    """

    head: HeadName = "dense"
    """How one SO-token becomes a mask of K + 1 classes: `dense`, a kernel per class (label per
    pixel); `maskcls`, one mask and one class distribution, as in Mask2Former, which the paper cites
    for its loss. On a 64 x 64 grid with many categories `maskcls` is the lighter one."""
    depth: int = 2
    """Two-way blocks of the mask branch; the paper says "layers", SAM has 2."""
    presence_depth: int = 1
    """Blocks of the presence branch; the paper describes one."""
    presence_prior: PriorName = "sigmoid"
    """What of the presence branch informs the SO-token; the sigmoid is bounded."""
    presence_target: PresenceName = "unprompted"
    """What presence means: the categories of all objects but the prompted one (as written), or
    of all of them."""
    text_keys: TextKeysName = "image_and_prompts"
    """What the text summary attends to; `image` alone gives every prompt the same text token."""
    multimask: bool = False
    """Whether the mask decoder draws three masks of which the best by its own estimate is kept (as
    SAM-Med2D does)."""
    decoder: DecoderKind = "own"
    """Where semantics are decoded: in a decoder of their `own` (SAWD), or by a token in the host's
    mask decoder, `shared` (the paper's BaselineSem)."""
    unprompted: UnpromptedTask = "presence"
    """What is learnt of the objects that were not prompted: their `presence` (CO-tokens), a
    semantic map of the `full_image` (Table 4, row 3), or `none`."""
    text_into: TextTarget = "binary"
    """Which decoder reads the text token, where there is text: the mask decoder, or `both`
    (T2VSEv1, Table 6)."""

    box_kinds: bool = False
    """Whether boxes that may not fit, a 3D box's section and the box of a neighbour's mask, have
    tokens of their own (`box_kinds.BoxKinds`); not in the paper, where every box is drawn."""

    grid: int = 0
    """Side of the grid that both decoders work on, a divisor of the host's; 0 for the host's own.
    Masks are four times as wide. The paper's host has 16; LiteMedSAM's 64 cost 16 times as much."""
    reduction: ReductionName = "trained"
    """How the embedding comes to a coarser grid: by a convolution that begins as the average of a
    block, or by that average itself (`pooled`)."""

    def __post_init__(self) -> None:
        """Refuse what no model can be built of, as a card could say anything.

        Raises:
            CheckpointError: a word that is not among a field's choices, or a shared decoder with a
                task beside the prompted object.
        """
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                wanted = " or ".join(map(repr, choices))
                raise CheckpointError(
                    f"Expected {wanted} as the model's {name}, got {getattr(self, name)!r}."
                )
        if self.decoder == "shared" and self.unprompted != "none":
            raise CheckpointError(
                "A decoder shared with the host reads the prompted object alone: expected "
                f"unprompted 'none', got {self.unprompted!r}."
            )
