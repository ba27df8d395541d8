"""Weights of the terms of the training loss, and the constants inside the terms."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from segsam.errors import TrainingError
from segsam.model.variants import LossName, Variant
from segsam.system.records import Number, Record

Weight: TypeAlias = Annotated[Number, Field(ge=0, allow_inf_nan=False)]

_TERMS_OF: dict[LossName, tuple[str, ...]] = {
    "binary": ("focal", "dice", "predicted_iou"),
    "semantic": ("cross_entropy", "segmentation"),
    "presence": ("presence",),
    "full_image": ("full_image",),
    "alignment": ("alignment",),
}


class LossWeights(Record):
    """Weight of each term of the loss; a term of weight 0 is not computed.

    The paper names the terms and one weight, whose value and place are unknown (its equation 11
    survives without them). Defaults: SAM's weights where it cites SAM, 1 elsewhere. A negative
    weight, or one that is not finite, raises TrainingError.
    """

    refusal: ClassVar[type[TrainingError]] = TrainingError
    prefix: ClassVar[str] = "loss."

    focal: Weight = Field(
        default=20.0,
        description="Focal loss of the binary mask; SAM's ratio of focal to Dice is 20 to 1.",
    )
    dice: Weight = Field(default=1.0, description="Dice loss of the binary mask.")
    predicted_iou: Weight = Field(
        default=1.0,
        description="Squared error of the mask decoder's estimate of its own IoU, after "
        "thresholding. SAM and SAM-Med2D train it, the paper does not name it; with 0 the estimate "
        "drifts as the decoder learns.",
    )
    cross_entropy: Weight = Field(
        default=1.0,
        description="Cross-entropy of the semantic decoder: per pixel for the head `dense`, per "
        "object for `maskcls`.",
    )
    segmentation: Weight = Field(
        default=1.0,
        description="Segmentation loss of the semantic decoder: Dice over the background and the "
        "target's class for `dense`, binary cross-entropy + Dice of the object's mask for "
        "`maskcls` (Mask2Former, which the paper cites).",
    )
    presence: Weight = Field(
        default=1.0,
        description="Binary cross-entropy of the presence branch; a candidate for the paper's "
        "weight.",
    )
    full_image: Weight = Field(
        default=1.0,
        description="Cross-entropy + Dice of the semantic map of the full image (Table 4, row 3).",
    )
    alignment: Weight = Field(
        default=1.0,
        description="Cross-mask alignment; the other candidate for the paper's weight. The paper "
        "does not say if the plug-ins of Table 5 have it: their variants leave it out, and a value "
        "here puts it in.",
    )
    focal_gamma: Weight = Field(
        default=2.0,
        description="Focusing exponent of the focal loss (SAM-Med2D's code, and the focal loss's "
        "own default).",
    )
    focal_alpha: Weight = Field(
        default=0.25,
        description="Weight of object pixels in the focal loss, 1 minus this for the others "
        "(likewise).",
    )
    smooth: Weight = Field(
        default=1.0,
        description="Constant added to numerator and denominator of every Dice, so that it is "
        "defined for absent objects (SAM-Med2D's code).",
    )

    @classmethod
    def of(cls, variant: Variant, **changes: float) -> LossWeights:
        """Return the weights that a variant is trained with: those of its terms, 0 for the others;
        `changes` override both.
        """
        used = {term for name in variant.losses for term in _TERMS_OF[name]}
        terms = {term for names in _TERMS_OF.values() for term in names}
        return cls(**dict.fromkeys(terms - used, 0.0) | changes)

    def of_names(self) -> LossWeights:
        """Return the weights for prompts whose masks are not known: those of names and presence."""
        masks = (*_TERMS_OF["binary"], "segmentation", "full_image", "alignment")
        return self.model_copy(update=dict.fromkeys(masks, 0.0))
