"""How much each term of the loss counts, and the constants inside the terms."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from segsam.model.variants import LossName, Variant

_TERMS_OF: dict[LossName, tuple[str, ...]] = {
    "binary": ("focal", "dice", "predicted_iou"),
    "semantic": ("cross_entropy", "segmentation"),
    "presence": ("presence",),
    "full_image": ("full_image",),
    "alignment": ("alignment",),
}


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; a term of weight 0 is left out.

    The paper names the terms and one weight, of a value and place we do not know (its equation 11
    survives without them). Defaults: SAM's weights where it cites SAM, 1 elsewhere.
    """

    focal: float = 20.0
    """Of the binary mask; SAM's ratio of focal to Dice is 20 to 1."""
    dice: float = 1.0
    """Of the binary mask."""
    predicted_iou: float = 1.0
    """Squared error of the mask decoder's estimate of its own IoU, after thresholding. SAM and
    SAM-Med2D train it, the paper does not name it; 0 leaves the estimate to drift as the decoder
    learns."""
    cross_entropy: float = 1.0
    """Of the semantic decoder: per pixel for the head `dense`, per object for `maskcls`."""
    segmentation: float = 1.0
    """Of the semantic decoder: Dice over the background and the target's class for `dense`, binary
    cross-entropy + Dice of the object's mask for `maskcls` (Mask2Former, which the paper cites)."""
    presence: float = 1.0
    """Binary cross-entropy of the presence branch; a candidate for the paper's weight."""
    full_image: float = 1.0
    """Cross-entropy + Dice of the full image's map (Table 4, row 3)."""
    alignment: float = 1.0
    """Cross-mask alignment; the other candidate. Whether the plug-ins of Table 5 have it is not
    said: their variants leave it out, and setting it here puts it in."""
    focal_gamma: float = 2.0
    """Focusing exponent of the focal loss (SAM-Med2D's code, and the focal loss's own default)."""
    focal_alpha: float = 0.25
    """Weight of object pixels in it, 1 minus this for the rest (likewise)."""
    smooth: float = 1.0
    """Added above and below in every Dice, so that absent objects have one (SAM-Med2D's code)."""

    def __post_init__(self) -> None:
        """Refuse what would turn learning round.

        Raises:
            ValueError: a negative weight, or none that is a number.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not math.isfinite(value) or value < 0:
                raise ValueError(
                    f"Expected a weight of 0 or more as the loss's {entry.name}, got {value}."
                )

    @classmethod
    def of(cls, variant: Variant, **changes: float) -> LossWeights:
        """The terms that a variant is trained on, the others 0; `changes` have the last word."""
        kept = {term for name in variant.losses for term in _TERMS_OF[name]}
        terms = {term for names in _TERMS_OF.values() for term in names}
        return replace(cls(**dict.fromkeys(sorted(terms - kept), 0.0)), **changes)
