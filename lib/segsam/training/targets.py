"""Training targets for the prompted objects of annotated images.

Data sets annotate different categories, so an image records for each category if it was annotated
at all; a category that was not gives no gradient. A mask without a name has class 0, as has an
object whose category is not in the vocabulary: it trains masks and no semantics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segsam.model.config import PresenceName, SemanticConfig

NO_CLASS = 0
"""Value in `classes` of an object without a known category."""
NO_CATEGORY = -1
"""Value in `classes` of a prompt on something that is none of the categories."""
IGNORED = -1
"""Value in `full_image` of a pixel without a known class."""


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """Every annotated object of one image, as the model sees the image (resized and padded)."""

    masks: Tensor
    """(M, H, W) bool, one per object; objects may overlap."""
    classes: Tensor
    """(M,) int64: k + 1 for category k, 0 for a category that is not in the vocabulary."""
    annotated: Tensor
    """(K,) bool: the categories whose every object in this image has a mask here."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of P = B * n prompts, the n of the first image first, as `SegSam.forward` takes
    them.
    """

    masks: Tensor
    """(P, 1, H, W) float32 in {0, 1}: the prompted object."""
    classes: Tensor
    """(P,) int64: 0 where its category is not known, -1 where it is known to be none."""
    presence: Tensor
    """(P, K) float32 in {0, 1}: the categories of the image, by `SemanticConfig.presence_target`.

    One row per prompt, though the branch answers once per image: it cannot see the prompt, so it
    learns the mean of its rows."""
    annotated: Tensor
    """(P, K) bool: where `presence` is known."""
    full_image: Tensor | None = None
    """(B, H, W) int64 in {0 to K}, or -1 for unknown; if the variant needs it."""


def annotate(
    labels: NDArray[np.uint8],
    classes: Mapping[int, int],
    *,
    side: int,
    categories: int,
    absent: Sequence[int] = (),
) -> tuple[AnnotatedImage, list[int]]:
    """Return a plane of labels as an annotated image, and the label value of each mask.

    Args:
        labels: (height, width).
        classes: label value -> k + 1, of the data set: these categories are annotated.
        absent: k + 1 of categories that are known not to be in the image; they count as annotated.
        side: of the padded square, in model pixels.
        categories: K.
    """
    padded = np.zeros((side, side), dtype=np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    values = [int(value) for value in np.unique(labels) if value]
    masks = padded[None] == np.array(values, dtype=np.uint8)[:, None, None]
    annotated = torch.zeros(categories, dtype=torch.bool)
    known = [number - 1 for number in (*classes.values(), *absent) if number != NO_CLASS]
    annotated[known] = True
    numbers = torch.tensor([classes[value] for value in values], dtype=torch.int64)
    return AnnotatedImage(torch.from_numpy(masks), numbers, annotated), values


def build_targets(
    images: Sequence[AnnotatedImage], prompted: Sequence[Sequence[int]], config: SemanticConfig
) -> Targets:
    """Return the targets of a batch.

    Args:
        images: B annotated images of one size.
        prompted: for each image the indices of the n prompted objects; an object may come twice, as
            the paper draws 5 from each image.
        config: of the model: the meaning of presence, and if there is a map of the full image.

    Raises:
        ValueError: not one list of prompts per image, or lists of different lengths.
    """
    if len(images) != len(prompted) or len({len(chosen) for chosen in prompted}) != 1:
        lengths = [len(chosen) for chosen in prompted]
        raise ValueError(
            f"Expected as many prompted objects in each of {len(images)} images, got {lengths}."
        )
    drawn = [torch.as_tensor(chosen, dtype=torch.long) for chosen in prompted]
    pairs = list(zip(images, drawn, strict=True))
    presence = [
        presence_target(
            image.classes, chosen, categories=len(image.annotated), reading=config.presence_target
        )
        for image, chosen in pairs
    ]
    full_image = None
    if config.unprompted == "full_image":
        full_image = torch.stack([full_image_target(image) for image in images])
    return Targets(
        masks=torch.cat([image.masks[chosen] for image, chosen in pairs])[:, None].float(),
        classes=torch.cat([image.classes[chosen] for image, chosen in pairs]),
        presence=torch.cat(presence),
        annotated=torch.cat([image.annotated.expand(len(chosen), -1) for image, chosen in pairs]),
        full_image=full_image,
    )


def empty_targets(image: AnnotatedImage, classes: Tensor, config: SemanticConfig) -> Targets:
    """Return the targets of n prompts on one image that have nothing to draw there.

    Args:
        image: the annotated image, which may be without objects.
        classes: (n,) what each prompt asks for: k + 1, 0 or `NO_CATEGORY`.
        config: of the model.
    """
    count, categories = len(classes), len(image.annotated)
    present = torch.bincount(image.classes, minlength=categories + 1)[NO_CLASS + 1 :] > 0
    is_full = config.unprompted == "full_image"
    return Targets(
        masks=torch.zeros(count, 1, *image.masks.shape[1:]),
        classes=classes,
        presence=present.float().expand(count, -1),
        annotated=image.annotated.expand(count, -1),
        full_image=full_image_target(image)[None] if is_full else None,
    )


def presence_target(
    classes: Tensor, prompted: Tensor, *, categories: int, reading: PresenceName
) -> Tensor:
    """Return the categories that the presence branch should predict (paper, section 3.2.1).

    Args:
        classes: of all objects of one image, (M,).
        prompted: indices of n of them.
        categories: K.
        reading: `unprompted`, the categories of all objects but the prompted one (as the paper
            writes), so that a class stays present while another of its objects is there;
            `all_present`, of all objects.

    Returns:
        (n, K) float32 in {0, 1}.
    """
    counts = torch.bincount(classes, minlength=categories + 1).expand(len(prompted), -1).clone()
    if reading == "unprompted":
        counts[torch.arange(len(prompted)), classes[prompted]] -= 1
    return (counts[:, NO_CLASS + 1 :] > 0).float()


def full_image_target(image: AnnotatedImage) -> Tensor:
    """Return one class per pixel, (H, W).

    Where objects overlap the smaller one counts, as a tumour in its organ. Pixels of objects whose
    category is unknown, or not annotated throughout the image, are ignored.
    """
    labels = torch.zeros(image.masks.shape[1:], dtype=torch.long, device=image.masks.device)
    areas = image.masks.flatten(1).sum(1)
    for index in areas.argsort(descending=True).tolist():
        number = int(image.classes[index])
        known = number != NO_CLASS and bool(image.annotated[number - 1])
        labels[image.masks[index]] = number if known else IGNORED
    return labels
