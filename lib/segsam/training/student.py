"""The student model of a distillation: the teacher's decoders behind another image encoder."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from segsam.errors import CheckpointError
from segsam.model import Card, SegSam
from segsam.model.hosts import HOSTS, SegSamFast
from segsam.model.hosts.tiny_vit import TinyViT

_EPSILON = 1e-6
_ENCODER, _REDUCTION = "host.image_encoder.", "reduction."


def build_student(teacher: SegSam, name: str) -> SegSam:
    """Return the teacher's model on another host, whose image encoder alone is trained.

    The encoder starts from the teacher's weights if it has the same layers, else from random ones.

    Raises:
        CheckpointError: an unknown host, or one whose input or grid does not fit the teacher's.
    """
    if name not in HOSTS:
        raise CheckpointError(f"Expected one of {', '.join(HOSTS)} as the student, got {name!r}.")
    host, facts = HOSTS[name](), teacher.host.facts
    own = host.facts
    if (own.input_size, own.embed_dim) != (facts.input_size, facts.embed_dim):
        raise CheckpointError(
            f"Expected a student with the input size {facts.input_size} and {facts.embed_dim} "
            f"channels of {facts.name!r}, got {own.input_size} and {own.embed_dim} of {name!r}."
        )
    if teacher.grid % own.grid and own.grid != facts.grid:
        raise CheckpointError(
            f"Expected a student whose grid divides the {teacher.grid} cells of the teacher's "
            f"decoders, got {own.grid} of {name!r}."
        )
    model = SegSam(
        host,
        teacher.categories,
        replace(teacher.config, grid=0),
        semantics=teacher.semantic_decoder is not None,
        text=teacher.text_enhancement is not None,
        card=Card(variant=teacher.card.variant),
    )
    decoders = {
        key: value
        for key, value in teacher.state_dict().items()
        if not key.startswith((_ENCODER, _REDUCTION))
    }
    model.load_state_dict(model.state_dict() | decoders)
    if isinstance(host, SegSamFast) and isinstance(teacher.host.image_encoder, TinyViT):
        weights = teacher.host.image_encoder.state_dict()
        host.image_encoder.load_state_dict(SegSamFast.encoder_like(weights))
    model.requires_grad_(False)
    host.image_encoder.requires_grad_(True)
    return model.train()


def embedding_distance(student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
    """Return the distance of two embeddings (B, C, h, w), the terms of the distillation loss.

    `unexplained` is the squared error as a share of the teacher's variance over cells, `unlike` is
    1 minus the mean cosine of cells. The first makes values right where they vary most, the second
    counts every cell alike.
    """
    variance = (teacher - teacher.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
    error = (student - teacher).square().mean()
    cosine = F.cosine_similarity(student, teacher, dim=1).mean()
    return {"unexplained": error / (variance + _EPSILON), "unlike": 1 - cosine}
