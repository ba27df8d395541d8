"""The training loss, term by term (paper, section 3.3, equations 10 and 11).

    binary decoder     focal + Dice (as SAM, 20 to 1), error of its predicted IoU
    semantic decoder   cross-entropy + segmentation loss, for either head
    presence branch    binary cross-entropy, over annotated categories only
    both decoders      1 - IoU of their masks: cross-mask spatial alignment

The paper's equation 11 has a single weight whose place and value are lost; every weight is a field
here. Dice, focal and IoU losses are MONAI's, which is why inference does not import this module.
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

_NEVER = torch.finfo(torch.float32).min
_ALMOST_EMPTY = 1e-6
"""Keeps the IoU of two empty masks at 1; the paper is silent, and more would favour small masks."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Every term as it is, before its weight, and their weighted sum; all of shape ().

    None is a term that was not asked for, or that the variant has no output for.
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
        """The terms there are and the total, by name."""
        terms = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: float(value.detach()) for name, value in terms.items() if value is not None}


def segsam_loss(
    decoded: Decoded, targets: Targets, weights: LossWeights, config: SemanticConfig
) -> Losses:
    """The loss of a batch.

    Binary masks are compared at the targets' size, enlarged as SAM does; semantic masks at the
    decoder's size, which saves memory by the square of the ratio for each of K + 1 classes. Every
    prompt counts alike. A category that is not annotated in an image gets no gradient from it.

    Args:
        decoded: of `SegSam.forward`.
        targets: for the same prompts in the same order.
        weights: what counts how much.
        config: the model's, whose `head` says how semantics are read.

    Raises:
        ValueError: outputs of another head than `config` names, or no target for a map of the full
            image.
    """
    small = _at_size(targets.masks, decoded.binary_logits)
    terms = _binary_terms(decoded, targets, weights)
    if decoded.class_logits is not None and (weights.cross_entropy or weights.segmentation):
        semantics = _semantic_terms(decoded, small, targets.classes, config.head, weights.smooth)
        terms["cross_entropy"], terms["segmentation"] = semantics
    if decoded.presence_logits is not None and weights.presence:
        terms["presence"] = presence_loss(decoded.presence_logits, targets)
    if decoded.full_image_logits is not None and weights.full_image:
        terms["full_image"] = full_image_loss(decoded.full_image_logits, targets, weights.smooth)
    stripped = decoded.stripped_logits()
    if stripped is not None and weights.alignment:
        terms["alignment"] = alignment_loss(stripped, decoded.binary_logits)
    wanted = {name: term for name, term in terms.items() if getattr(weights, name)}
    weighted = [getattr(weights, name) * term for name, term in wanted.items()]
    zero = decoded.binary_logits.new_zeros((), dtype=torch.float32)
    return Losses(total=sum(weighted, start=zero), **wanted)


def _binary_terms(decoded: Decoded, targets: Targets, weights: LossWeights) -> dict[str, Tensor]:
    """The mask decoder's terms."""
    logits = F.interpolate(
        decoded.binary_logits.float(),
        targets.masks.shape[-2:],
        mode="bilinear",
        align_corners=False,
    )
    focal = FocalLoss(gamma=weights.focal_gamma, alpha=weights.focal_alpha)
    with torch.no_grad():
        reached = hard_iou(logits > 0, targets.masks > 0)
    return {
        "focal": focal(logits, targets.masks),
        "dice": _dice(logits.sigmoid(), targets.masks, weights.smooth).mean(),
        "predicted_iou": F.mse_loss(decoded.predicted_iou.float(), reached),
    }


def _semantic_terms(
    decoded: Decoded, masks: Tensor, classes: Tensor, head: HeadName, smooth: float
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and segmentation loss, as the head is read."""
    if head == "dense" and decoded.dense_logits is not None:
        return _dense_terms(decoded.dense_logits.float(), masks, classes, smooth)
    if decoded.class_logits is None or decoded.object_logits is None:
        raise ValueError(f"Expected class and mask of the head {head!r}, got another head's.")
    mask_logits, class_logits = decoded.object_logits.float(), decoded.class_logits.float()
    return _mask_class_terms(class_logits, mask_logits, masks, classes, smooth)


def _dense_terms(
    logits: Tensor, masks: Tensor, classes: Tensor, smooth: float
) -> tuple[Tensor, Tensor]:
    """Pixels of K + 1 classes, of prompts whose class is known: cross-entropy, and Dice averaged
    over the background and the class, if the target shows it; other classes are absent from it.
    """
    known = classes != NO_CLASS
    if not known.any():
        return _nothing(masks), _nothing(masks)
    logits, masks, classes = logits[known], masks[known], classes[known]
    labels = masks[:, 0].long() * classes[:, None, None]
    probability = logits.softmax(dim=1)
    rows = torch.arange(len(classes), device=classes.device)
    found = torch.stack([probability[:, NO_CLASS], probability[rows, classes]], dim=1)
    dice = _dice(found, torch.cat([1 - masks, masks], dim=1), smooth)
    present = torch.ones_like(dice)
    present[:, 1] = masks.flatten(1).amax(dim=1)
    return F.cross_entropy(logits, labels), _mean_of_present(dice, present)


def _mask_class_terms(
    class_logits: Tensor, mask_logits: Tensor, masks: Tensor, classes: Tensor, smooth: float
) -> tuple[Tensor, Tensor]:
    """One class and one mask an object: cross-entropy of the class ("no object" when the target is
    empty), binary cross-entropy + Dice of the mask; the mask learns from unknown classes too.
    """
    mask_loss = F.binary_cross_entropy_with_logits(mask_logits, masks)
    segmentation = mask_loss + _dice(mask_logits.sigmoid(), masks, smooth).mean()
    known = classes != NO_CLASS
    if not known.any():
        return _nothing(masks), segmentation
    wanted = classes * masks.flatten(1).amax(dim=1).long()
    return F.cross_entropy(class_logits[known], wanted[known]), segmentation


def presence_loss(presence_logits: Tensor, targets: Targets) -> Tensor:
    """Binary cross-entropy of (B, K) logits, mean over the categories annotated in each image; 0
    when none is.
    """
    each = len(targets.presence) // len(presence_logits)
    logits = presence_logits.float().repeat_interleave(each, dim=0)[targets.annotated]
    if not len(logits):
        return _nothing(presence_logits)
    return F.binary_cross_entropy_with_logits(logits, targets.presence[targets.annotated])


def full_image_loss(full_image_logits: Tensor, targets: Targets, smooth: float) -> Tensor:
    """Cross-entropy + Dice (over the background and the classes present) of a map of all objects,
    (P, K+1, h, w).

    A pixel labelled background may be of any category that is not annotated in its image, so their
    probability counts as background's.

    Raises:
        ValueError: when the targets have no map of the full image.
    """
    if targets.full_image is None:
        raise ValueError("Expected targets with a map of the full image, got none.")
    each = len(full_image_logits) // len(targets.full_image)
    labels = targets.full_image[:, None].float()
    labels = F.interpolate(labels, full_image_logits.shape[-2:], mode="nearest").long()
    labels = labels[:, 0].repeat_interleave(each, dim=0)
    logits = _merged(full_image_logits.float(), targets.annotated)
    known = labels != IGNORED
    if not known.any():
        return _nothing(logits)
    cross_entropy = F.cross_entropy(logits, labels, ignore_index=IGNORED)
    wanted = F.one_hot(labels.clamp_min(0), logits.shape[1]).movedim(-1, 1) * known[:, None]
    dice = _dice(logits.softmax(dim=1) * known[:, None], wanted.float(), smooth)
    present = wanted.flatten(2).amax(dim=2).float()
    present[:, NO_CLASS] = 1
    return cross_entropy + _mean_of_present(dice, present)


def alignment_loss(stripped: Tensor, binary_logits: Tensor) -> Tensor:
    """Cross-mask spatial alignment, equation 10: 1 - IoU of the two decoders' soft masks, mean over
    prompts. Both learn from it.

    Args:
        stripped: logits of the semantic mask without its labels, (P, 1, h, w).
        binary_logits: of the mask decoder, (P, 1, h, w).
    """
    # MONAI adds its constants to twice the intersection and twice the union.
    soft_iou = DiceLoss(
        jaccard=True, smooth_nr=2 * _ALMOST_EMPTY, smooth_dr=2 * _ALMOST_EMPTY, reduction="mean"
    )
    loss: Tensor = soft_iou(stripped.float().sigmoid(), binary_logits.float().sigmoid())
    return loss


def hard_iou(found: Tensor, wanted: Tensor) -> Tensor:
    """IoU of boolean masks (P, 1, h, w), (P, 1); 1 for two empty ones."""
    both = (found & wanted).flatten(1).sum(dim=1, keepdim=True)
    either = (found | wanted).flatten(1).sum(dim=1, keepdim=True)
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def _dice(found: Tensor, wanted: Tensor, smooth: float) -> Tensor:
    """Soft Dice loss per prompt and channel: (P, C, h, w) probabilities -> (P, C)."""
    loss = DiceLoss(smooth_nr=smooth, smooth_dr=smooth, reduction="none")
    values: Tensor = loss(found, wanted)
    return values.flatten(1)


def _mean_of_present(values: Tensor, present: Tensor) -> Tensor:
    """Mean over the present classes of each prompt, then over prompts: (P, C), (P, C) -> ()."""
    return ((values * present).sum(dim=1) / present.sum(dim=1)).mean()


def _merged(logits: Tensor, annotated: Tensor) -> Tensor:
    """Class logits (P, K+1, h, w) with the unannotated categories' mass given to the background."""
    hidden = ~annotated[:, :, None, None]
    others = logits[:, 1:]
    background = torch.cat([logits[:, :1], others.masked_fill(~hidden, _NEVER)], dim=1)
    return torch.cat(
        [background.logsumexp(dim=1, keepdim=True), others.masked_fill(hidden, _NEVER)], dim=1
    )


def _at_size(masks: Tensor, like: Tensor) -> Tensor:
    """Masks (P, 1, H, W) at the size of `like` (P, 1, h, w); a pixel half covered counts."""
    if masks.shape[-2:] == like.shape[-2:]:
        return masks
    return (F.interpolate(masks, like.shape[-2:], mode="area") >= 0.5).float()


def _nothing(like: Tensor) -> Tensor:
    """A term with nothing to learn from."""
    return like.new_zeros((), dtype=torch.float32)
