"""Choices that the paper leaves open about the model, as one frozen record in every card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args, get_type_hints

from segsam.errors import CheckpointError

HeadName: TypeAlias = Literal["dense", "maskcls"]
PriorName: TypeAlias = Literal["sigmoid", "logits"]
PresenceName: TypeAlias = Literal["unprompted", "all_present"]
TextKeysName: TypeAlias = Literal["image_and_prompts", "image"]
DecoderKind: TypeAlias = Literal["own", "shared"]
UnpromptedTask: TypeAlias = Literal["presence", "full_image", "none"]
TextTarget: TypeAlias = Literal["binary", "both"]
ReductionName: TypeAlias = Literal["trained", "pooled"]
_LARGEST = 1024
"""Largest number of blocks or side of a grid that a card may ask memory for."""


@dataclass(frozen=True)
class SemanticConfig:
    """Choices for the semantic parts where the paper (sections 3.2 and 3.3) gives no details.

    Three fields are the switches of its ablations (`decoder`, `unprompted`, `text_into`), which a
    variant sets. The defaults are our reading (docs/paper.md, "Inferences"); widths and attention
    heads are the host's. Choices of training alone (loss weights, learning rate) are not here.
    """

    head: HeadName = "dense"
    """Head that turns one SO-token into a mask of K + 1 classes: `dense`, a kernel per class (label
    per pixel); `maskcls`, one mask and one class distribution, as in Mask2Former, which the paper
    cites for its loss. On a 64 x 64 grid with many categories, `maskcls` costs less."""
    depth: int = 2
    """Number of two-way blocks in the mask branch; the paper says "layers", SAM has 2."""
    presence_depth: int = 1
    """Number of blocks in the presence branch; the paper describes one."""
    presence_prior: PriorName = "sigmoid"
    """Output of the presence branch that informs the SO-token; the sigmoid is bounded."""
    presence_target: PresenceName = "unprompted"
    """Meaning of presence: the categories of all objects but the prompted one (as written), or
    of all of them."""
    text_keys: TextKeysName = "image_and_prompts"
    """Keys of the text summary's cross-attention; `image` alone gives every prompt the same text
    token."""
    multimask: bool = False
    """True if the mask decoder draws three masks, of which the best by its own estimate is used (as
    in SAM-Med2D)."""
    decoder: DecoderKind = "own"
    """Decoder of semantics: their `own` (SAWD), or a token in the host's mask decoder, `shared`
    (the paper's BaselineSem)."""
    unprompted: UnpromptedTask = "presence"
    """Task for the objects that were not prompted: their `presence` (CO-tokens), a semantic map of
    the `full_image` (Table 4, row 3), or `none`."""
    text_into: TextTarget = "binary"
    """Decoder that reads the text token, if there is text: the mask decoder, or `both` (T2VSEv1,
    Table 6)."""

    box_kinds: bool = False
    """True if derived boxes, a 3D box's section and the box of a neighbour's mask, have tokens of
    their own (`box_kinds.BoxKinds`); not in the paper, where every box is drawn."""
    dense_head: bool = False
    """True if a dense semantic head finds objects without prompts (`dense_head.DenseHead`); not in
    the paper."""

    grid: int = 0
    """Side of the grid that both decoders work on, a divisor of the host's; 0 for the host's own.
    Masks are four times as wide. The paper's host has 16; LiteMedSAM's 64 cost 16 times as much."""
    reduction: ReductionName = "trained"
    """Reduction of the embedding to a coarser grid: a convolution that starts as the average of a
    block, or that average itself (`pooled`)."""

    def __post_init__(self) -> None:
        """Refuse choices that no model can be built from; a card may contain any.

        Raises:
            CheckpointError: a word that is not among a field's choices, or a shared decoder with a
                task beside the prompted object.
        """
        for name, hint in get_type_hints(type(self)).items():
            choices = get_args(hint)  # of a Literal; none for numbers
            if choices and getattr(self, name) not in choices:
                expected = " or ".join(map(repr, choices))
                raise CheckpointError(
                    f"Expected {expected} as the model's {name}, got {getattr(self, name)!r}."
                )
            self._check_type(name, hint)
        if self.decoder == "shared" and self.unprompted != "none":
            raise CheckpointError(
                "A decoder shared with the host segments the prompted object alone: expected "
                f"unprompted 'none', got {self.unprompted!r}."
            )

    def _check_type(self, name: str, hint: object) -> None:
        value = getattr(self, name)
        if hint is bool and not isinstance(value, bool):
            raise CheckpointError(f"Expected true or false as the model's {name}, got {value!r}.")
        if hint is int and (type(value) is not int or not 0 <= value <= _LARGEST):
            raise CheckpointError(
                f"Expected a whole number from 0 to {_LARGEST} as the model's {name}, got "
                f"{value!r:.80}."
            )
