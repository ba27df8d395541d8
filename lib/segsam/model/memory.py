"""Memory of examples: where in the image encoder's space the objects lie that a checkpoint was
taught, so that it can tell what it has never seen.

A softmax over categories always answers. The distance of an object to the nearest stored example
of a category does not: it is large for everything that the category's examples do not look like.
An object is described by the image's embedding, averaged over the object's mask, and by its average
over the whole image, which tells the body part and the kind of image. Some categories look alike
everywhere (a lung), others not (a tumour), so each example has a reach by which distances to it are
divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model.tensors import ImageFeatures

NOWHERE = 10.0
"""Distance to a category without examples; distances to examples are about 1."""
_PREFIX = "memory."
_REACHES = "reaches"
_TENSORS = ("mean", "scale", "examples", "categories", _REACHES, "image_mean", "image_scale")
_IMAGES = ("images", "images_show")


@dataclass(frozen=True, eq=False)
class ExampleMemory:
    """Examples of a checkpoint's categories: N objects and M images."""

    mean: Tensor
    """(D,) of the descriptions of all objects of the training."""
    scale: Tensor
    """(D,) by which they are divided; distances are then about 1 between any two."""
    examples: Tensor
    """(N, D) standardised descriptions."""
    categories: Tensor
    """(N,) int64: k of category k."""
    reaches: Tensor
    """(N,) by which distances to each example are divided, about 1."""
    image_mean: Tensor
    """(C,) of the images."""
    image_scale: Tensor
    """(C,)."""
    images: Tensor
    """(M, C) standardised descriptions of images."""
    images_show: Tensor
    """(M, K) bool: the categories that are in each image."""

    def distances(self, descriptions: Tensor) -> Tensor:
        """Return the distance (P, K) of described objects (P, D) to the nearest example of each
        category.
        """
        standard = (descriptions.float() - self.mean) / self.scale
        each = torch.cdist(standard, self.examples) / self.reaches
        found = each.new_full((len(each), self.images_show.shape[1]), NOWHERE)
        index = self.categories.expand(len(each), -1)
        return found.scatter_reduce(1, index, each, "amin")

    def without(self, examples: Tensor) -> ExampleMemory:
        """Return the memory without the examples of a mask (N,)."""
        kept = ~examples
        return replace(
            self,
            examples=self.examples[kept],
            categories=self.categories[kept],
            reaches=self.reaches[kept],
        )

    def image_distances(self, descriptions: Tensor) -> Tensor:
        """Return the distance (B, K) of described images (B, C) to the nearest image that shows
        each category.
        """
        standard = (descriptions.float() - self.image_mean) / self.image_scale
        each = torch.cdist(standard, self.images)[:, :, None]
        far = torch.where(self.images_show, each, each.new_tensor(NOWHERE))
        return far.amin(dim=1).clamp(max=NOWHERE)

    def with_category(self) -> ExampleMemory:
        """Return the memory of one more category, the last one, which has no examples yet."""
        column = self.images_show.new_zeros((len(self.images_show), 1))
        return replace(self, images_show=torch.cat([self.images_show, column], dim=1))

    def counts(self) -> Tensor:
        """Return the number of examples of each category, (K,)."""
        return torch.bincount(self.categories, minlength=self.images_show.shape[1])

    def filled_up(self, other: ExampleMemory, *, examples: int, images: int) -> ExampleMemory:
        """Return the memory with examples of another one for categories that have too few.

        All of its own examples stay.

        Args:
            other: of the same embedding, categories and standardisation.
            examples: number of examples of a category up to which some are added.
            images: number of images that show a category up to which some are added.
        """
        added = _rows_up_to(examples, self.counts(), F.one_hot(other.categories, self._width) > 0)
        shown = _rows_up_to(images, self.images_show.sum(dim=0), other.images_show)
        return replace(
            self,
            examples=torch.cat([self.examples, other.examples[added]]),
            categories=torch.cat([self.categories, other.categories[added]]),
            reaches=torch.cat([self.reaches, other.reaches[added]]),
            images=torch.cat([self.images, other.images[shown]]),
            images_show=torch.cat([self.images_show, other.images_show[shown]]),
        )

    @property
    def _width(self) -> int:
        return self.images_show.shape[1]

    def state(self) -> dict[str, Tensor]:
        """Return the tensors as they are stored beside the weights; examples in half precision."""
        return {_PREFIX + name: getattr(self, name) for name in (*_TENSORS, *_IMAGES)}

    @classmethod
    def taken_from(cls, state: dict[str, Tensor], categories: int) -> ExampleMemory | None:
        """Remove the memory from a checkpoint's tensors and return it; None if there is none.

        Raises:
            CheckpointError: tensors that are missing, or of shapes that do not fit.
        """
        names = (*_TENSORS, *_IMAGES)
        found = {name: state.pop(_PREFIX + name, None) for name in names}
        if all(tensor is None for tensor in found.values()):
            return None
        if found[_REACHES] is None and found["categories"] is not None:
            found[_REACHES] = torch.ones(len(found["categories"]))  # a memory of earlier versions
        tensors = {name: tensor for name, tensor in found.items() if tensor is not None}
        if len(tensors) < len(names):
            missing = ", ".join(name for name in names if name not in tensors)
            raise CheckpointError(f"The memory of examples lacks {missing}.")
        memory = cls(**{name: _whole(tensor) for name, tensor in tensors.items()})
        memory._check(categories)
        return memory

    def _check(self, categories: int) -> None:
        size, width = len(self.mean), len(self.image_mean)
        shapes: Mapping[str, tuple[int, ...]] = {
            "scale": (size,),
            "examples": (len(self.categories), size),
            _REACHES: (len(self.categories),),
            "image_scale": (width,),
            "images": (len(self.images_show), width),
            "images_show": (len(self.images), categories),
        }
        for name, shape in shapes.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise CheckpointError(
                    f"Expected {name} of the memory of examples to be {shape}, got {found}."
                )
        if len(self.categories) and not 0 <= int(self.categories.min()) <= int(
            self.categories.max()
        ) < max(categories, 1):
            raise CheckpointError(
                f"Expected categories 0 to {categories - 1} in the memory of examples, got others."
            )


def describe_objects(features: ImageFeatures, mask_logits: Tensor) -> Tensor:
    """Describe P objects of one image by the embedding under their masks, (P, D).

    A mask that is nowhere above its threshold weighs every cell by its probability.

    Args:
        features: of one image.
        mask_logits: (P, 1, m, m) of the objects, over the padded square.
    """
    embedding = features.embedding[0].float()
    probability = mask_logits.float().sigmoid()
    hard = (mask_logits > 0).float()
    is_empty = hard.flatten(1).sum(dim=1) == 0
    weights = torch.where(is_empty[:, None, None, None], probability, hard)
    height, width = embedding.shape[-2:]
    cells = F.adaptive_avg_pool2d(weights, (height, width))[:, 0].flatten(1)
    cells = cells / cells.sum(dim=1, keepdim=True).clamp(min=1e-6)
    objects = cells @ embedding.flatten(1).T
    context = embedding.mean(dim=(1, 2)).expand(len(objects), -1)
    return torch.cat([objects, context], dim=1)


def describe_images(features: ImageFeatures) -> Tensor:
    """Describe B images by mean and spread of their embeddings, (B, 2 C)."""
    cells = features.embedding.float().flatten(2)
    mean = cells.mean(dim=2)
    # torch.std does the same in four times the time.
    norm = torch.linalg.vector_norm(cells - mean[:, :, None], dim=2)
    return torch.cat([mean, norm / (cells.shape[2] - 1) ** 0.5], dim=1)


def standardisation(descriptions: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (D,) and scale (D,) that make two descriptions (N, D) about 1 apart."""
    spread = descriptions.std(dim=0) + 1e-3
    return descriptions.mean(dim=0), spread * descriptions.shape[1] ** 0.5


def _rows_up_to(limit: int, counts: Tensor, is_of: Tensor) -> list[int]:
    """Return the rows of `is_of` (N, K), in order, that a category needs which is below a limit."""
    counts, chosen = counts.clone(), []
    for row, of in enumerate(is_of):
        if bool((counts[of] < limit).any()):
            counts += of
            chosen.append(row)
    return chosen


def _whole(tensor: Tensor) -> Tensor:
    """Return half precision as single; other types as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor
