"""The training loss, term by term (paper, section 3.3, equations 10 and 11).

    binary decoder     focal + Dice (as SAM, 20 to 1), squared error of its predicted IoU
    semantic decoder   cross-entropy + segmentation loss, for either head
    presence branch    binary cross-entropy, over annotated categories only
    both decoders      1 - IoU of their masks: cross-mask spatial alignment

The paper's equation 11 has a single weight whose place and value are lost; every weight is a field
of `LossWeights`. Dice, focal and IoU losses are MONAI's, so inference does not import this module.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from monai.losses import DiceLoss, FocalLoss
from torch import Tensor
from torch.nn import functional as F

from segsam.model.config import HeadName, SemanticConfig
from segsam.model.tensors import Decoded
from segsam.training.loss_weights import LossWeights
from segsam.training.targets import IGNORED, NO_CLASS, Targets

_LOWEST_LOGIT = torch.finfo(torch.float32).min
"""Gives a class no probability in a softmax, without the NaN that minus infinity can cause."""
_IOU_SMOOTH = 1e-6
"""Makes the IoU of two empty masks 1. The paper does not give a constant; a larger one would raise
the IoU of small masks, which then would learn little."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Every term before its weight, and their weighted sum; all of shape ().

    A term is None if its weight is 0, or if the variant has no output for it.
    """

    total: Tensor
    focal: Tensor | None = None
    dice: Tensor | None = None
    predicted_iou: Tensor | None = None
    cross_entropy: Tensor | None = None
    segmentation: Tensor | None = None
    presence: Tensor | None = None
    full_image: Tensor | None = None
    alignment: Tensor | None = None

    def numbers(self) -> dict[str, float]:
        """Return the total and the terms that are not None, by name."""
        terms = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: float(value.detach()) for name, value in terms.items() if value is not None}


def segsam_loss(
    decoded: Decoded, targets: Targets, weights: LossWeights, config: SemanticConfig
) -> Losses:
    """Return the loss of a batch (equation 11).

    Binary masks are compared at the targets' size, enlarged as SAM does. Semantic masks are
    compared at the decoder's size: K + 1 classes at the targets' size would need the memory many
    times over. Every prompt counts alike. A category that is not annotated in an image gets no
    gradient from it.

    Args:
        decoded: of `SegSam.forward`.
        targets: for the same prompts in the same order.
        weights: of the terms.
        config: the model's; `head` tells how semantics are read.

    Raises:
        ValueError: outputs of another head than `config` names, or no target for a map of the full
            image.
    """
    small_masks = _at_size(targets.masks, decoded.binary_logits)
    terms = _binary_terms(decoded, targets, weights)
    if decoded.class_logits is not None and (weights.cross_entropy or weights.segmentation):
        semantics = _semantic_terms(
            decoded, small_masks, targets.classes, config.head, weights.smooth
        )
        terms["cross_entropy"], terms["segmentation"] = semantics
    if decoded.presence_logits is not None and weights.presence:
        terms["presence"] = presence_loss(decoded.presence_logits, targets)
    if decoded.full_image_logits is not None and weights.full_image:
        terms["full_image"] = full_image_loss(decoded.full_image_logits, targets, weights.smooth)
    stripped = decoded.stripped_logits()
    if stripped is not None and weights.alignment:
        terms["alignment"] = alignment_loss(stripped, decoded.binary_logits)
    used = {name: term for name, term in terms.items() if getattr(weights, name)}
    weighted = [getattr(weights, name) * term for name, term in used.items()]
    zero = decoded.binary_logits.new_zeros((), dtype=torch.float32)
    return Losses(total=sum(weighted, start=zero), **used)


def _binary_terms(decoded: Decoded, targets: Targets, weights: LossWeights) -> dict[str, Tensor]:
    """Return the terms of the mask decoder."""
    logits = F.interpolate(
        decoded.binary_logits.float(),
        targets.masks.shape[-2:],
        mode="bilinear",
        align_corners=False,
    )
    focal = FocalLoss(gamma=weights.focal_gamma, alpha=weights.focal_alpha)
    with torch.no_grad():
        # A thresholded mask has no gradient: the estimate follows the mask, never the other way.
        true_iou = hard_iou(logits > 0, targets.masks > 0)
    return {
        "focal": focal(logits, targets.masks),
        "dice": _dice(logits.sigmoid(), targets.masks, weights.smooth).mean(),
        "predicted_iou": F.mse_loss(decoded.predicted_iou.float(), true_iou),
    }


def _semantic_terms(
    decoded: Decoded, masks: Tensor, classes: Tensor, head: HeadName, smooth: float
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and segmentation loss of the semantic decoder's head."""
    if head == "dense" and decoded.dense_logits is not None:
        return _dense_terms(decoded.dense_logits.float(), masks, classes, smooth)
    if decoded.class_logits is None or decoded.object_logits is None:
        raise ValueError(f"Expected class and mask of the head {head!r}, got another head's.")
    mask_logits, class_logits = decoded.object_logits.float(), decoded.class_logits.float()
    return _mask_class_terms(class_logits, mask_logits, masks, classes, smooth)


def _dense_terms(
    logits: Tensor, masks: Tensor, classes: Tensor, smooth: float
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy and Dice of the head `dense`, over prompts whose class is known.

    Dice is averaged over the background and the target's class. The other classes are left out:
    they are absent, and K - 1 Dice values near 1 would drown the two that matter.
    """
    known = classes != NO_CLASS
    if not known.any():
        return _zero(masks), _zero(masks)
    logits, masks, classes = logits[known], masks[known], classes[known]
    labels = masks[:, 0].long() * classes.clamp_min(NO_CLASS)[:, None, None]
    probability = logits.softmax(dim=1)
    rows = torch.arange(len(classes), device=classes.device)
    of_class = probability[rows, classes.clamp_min(NO_CLASS)]
    predicted = torch.stack([probability[:, NO_CLASS], of_class], dim=1)
    dice = _dice(predicted, torch.cat([1 - masks, masks], dim=1), smooth)
    present = torch.ones_like(dice)
    present[:, 1] = masks.flatten(1).amax(dim=1)  # a small object may vanish at this size
    return F.cross_entropy(logits, labels), _mean_of_present(dice, present)


def _mask_class_terms(
    class_logits: Tensor, mask_logits: Tensor, masks: Tensor, classes: Tensor, smooth: float
) -> tuple[Tensor, Tensor]:
    """Return cross-entropy of the class and segmentation loss of the mask, of the head `maskcls`.

    The class of an empty target is "no object", as in Mask2Former, and so is that of a prompt on
    none of the categories. The mask needs no class, so objects of unknown class train it too.
    """
    mask_loss = F.binary_cross_entropy_with_logits(mask_logits, masks)
    segmentation = mask_loss + _dice(mask_logits.sigmoid(), masks, smooth).mean()
    known = classes != NO_CLASS
    if not known.any():
        return _zero(masks), segmentation
    true_classes = classes.clamp_min(NO_CLASS) * masks.flatten(1).amax(dim=1).long()
    return F.cross_entropy(class_logits[known], true_classes[known]), segmentation


def presence_loss(presence_logits: Tensor, targets: Targets) -> Tensor:
    """Return the binary cross-entropy of (B, K) logits, mean over the categories annotated in each
    image; 0 if none is.
    """
    prompts_per_image = len(targets.presence) // len(presence_logits)
    logits = presence_logits.float().repeat_interleave(prompts_per_image, dim=0)
    logits = logits[targets.annotated]
    if not len(logits):
        return _zero(presence_logits)
    return F.binary_cross_entropy_with_logits(logits, targets.presence[targets.annotated])


def full_image_loss(full_image_logits: Tensor, targets: Targets, smooth: float) -> Tensor:
    """Return cross-entropy + Dice of a semantic map of the image (P, K+1, h, w); Dice is averaged
    over the background and the classes that are present.

    A pixel labelled background may belong to any category that is not annotated in its image, so
    the probability of those categories is added to the background's.

    Raises:
        ValueError: targets without a map of the full image.
    """
    if targets.full_image is None:
        raise ValueError("Expected targets with a map of the full image, got none.")
    prompts_per_image = len(full_image_logits) // len(targets.full_image)
    labels = targets.full_image[:, None].float()
    labels = F.interpolate(labels, full_image_logits.shape[-2:], mode="nearest").long()
    labels = labels[:, 0].repeat_interleave(prompts_per_image, dim=0)
    logits = _with_merged_background(full_image_logits.float(), targets.annotated)
    known = labels != IGNORED
    if not known.any():
        return _zero(logits)
    cross_entropy = F.cross_entropy(logits, labels, ignore_index=IGNORED)
    one_hot = F.one_hot(labels.clamp_min(0), logits.shape[1]).movedim(-1, 1) * known[:, None]
    dice = _dice(logits.softmax(dim=1) * known[:, None], one_hot.float(), smooth)
    present = one_hot.flatten(2).amax(dim=2).float()
    present[:, NO_CLASS] = 1
    return cross_entropy + _mean_of_present(dice, present)


def alignment_loss(stripped: Tensor, binary_logits: Tensor) -> Tensor:
    """Return the cross-mask spatial alignment (equation 10): 1 - IoU of the two decoders' soft
    masks, mean over prompts.

    Both masks keep their gradients, so each decoder learns from the other.

    Args:
        stripped: logits of the semantic mask without its labels, (P, 1, h, w).
        binary_logits: of the mask decoder, (P, 1, h, w).
    """
    # With jaccard=True MONAI adds its constants to 2 |A and B| and 2 |A or B|, hence the factor 2.
    soft_iou = DiceLoss(
        jaccard=True, smooth_nr=2 * _IOU_SMOOTH, smooth_dr=2 * _IOU_SMOOTH, reduction="mean"
    )
    loss: Tensor = soft_iou(stripped.float().sigmoid(), binary_logits.float().sigmoid())
    return loss


def hard_iou(predicted: Tensor, true: Tensor) -> Tensor:
    """Return the IoU (P, 1) of boolean masks (P, 1, h, w); 1 for two empty ones."""
    both = (predicted & true).flatten(1).sum(dim=1, keepdim=True)
    either = (predicted | true).flatten(1).sum(dim=1, keepdim=True)
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def _dice(predicted: Tensor, true: Tensor, smooth: float) -> Tensor:
    """Return the soft Dice loss per prompt and channel: (P, C, h, w) probabilities -> (P, C)."""
    loss = DiceLoss(smooth_nr=smooth, smooth_dr=smooth, reduction="none")
    values: Tensor = loss(predicted, true)
    return values.flatten(1)


def _mean_of_present(values: Tensor, present: Tensor) -> Tensor:
    """Return the mean over the present classes of each prompt, then over prompts: (P, C), (P, C) ->
    ().
    """
    return ((values * present).sum(dim=1) / present.sum(dim=1)).mean()


def _with_merged_background(logits: Tensor, annotated: Tensor) -> Tensor:
    """Return class logits (P, K+1, h, w) in which the probability of categories that are not
    annotated is added to the background's.

    exp(logsumexp) is a sum of the softmax's terms, so the softmax of the result is exact.
    """
    unknown = ~annotated[:, :, None, None]
    categories = logits[:, 1:]
    merged = torch.cat([logits[:, :1], categories.masked_fill(~unknown, _LOWEST_LOGIT)], dim=1)
    background = merged.logsumexp(dim=1, keepdim=True)
    return torch.cat([background, categories.masked_fill(unknown, _LOWEST_LOGIT)], dim=1)


def _at_size(masks: Tensor, like: Tensor) -> Tensor:
    """Return masks (P, 1, H, W) at the size of `like` (P, 1, h, w); a pixel half covered counts."""
    if masks.shape[-2:] == like.shape[-2:]:
        return masks
    return (F.interpolate(masks, like.shape[-2:], mode="area") >= 0.5).float()


def _zero(like: Tensor) -> Tensor:
    """Return the value of a term without anything to learn from."""
    return like.new_zeros((), dtype=torch.float32)
