"""The model that `segsam distill` teaches: the teacher's decoders behind another image encoder."""

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


def student_of(teacher: SegSam, name: str) -> SegSam:
    """The teacher's model on another host, whose image encoder learns: from the teacher's own
    weights where it has the same layers, else from none.

    Raises:
        CheckpointError: unknown, or a host that sees other images, or whose grid does not fit.
    """
    if name not in HOSTS:
        raise CheckpointError(f"Expected one of {', '.join(HOSTS)} as the student, got {name!r}.")
    host, facts = HOSTS[name](), teacher.host.facts
    own = host.facts
    if (own.input_size, own.embed_dim) != (facts.input_size, facts.embed_dim):
        raise CheckpointError(f"The host {name!r} does not see images as {facts.name!r} does.")
    if teacher.grid % own.grid and own.grid != facts.grid:
        raise CheckpointError(
            f"The embedding of {name!r} has {own.grid} cells a side, which is no divisor of the "
            f"{teacher.grid} that the teacher's decoders see."
        )
    model = SegSam(
        host,
        teacher.categories,
        replace(teacher.config, grid=0),
        semantics=teacher.semantic_decoder is not None,
        text=teacher.text_enhancement is not None,
        card=Card(variant=teacher.card.variant),
    )
    learnt = {
        key: value
        for key, value in teacher.state_dict().items()
        if not key.startswith((_ENCODER, _REDUCTION))
    }
    model.load_state_dict(model.state_dict() | learnt)
    if isinstance(host, SegSamFast) and isinstance(teacher.host.image_encoder, TinyViT):
        weights = teacher.host.image_encoder.state_dict()
        host.image_encoder.load_state_dict(SegSamFast.encoder_like(weights))
    model.requires_grad_(False)
    host.image_encoder.requires_grad_(True)
    return model.train()


def distance(answer: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """How far embeddings (B, C, h, w) are from those wanted: `unexplained`, the squared error as a
    share of the variance over cells, and `unlike`, 1 minus the mean cosine of cells.
    """
    spread = (wanted - wanted.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
    error = (answer - wanted).square().mean()
    cosine = F.cosine_similarity(answer, wanted, dim=1).mean()
    return {"unexplained": error / (spread + _EPSILON), "unlike": 1 - cosine}
