"""Every model of the paper's tables as a named configuration of the same parts.

Tables 4 and 8 are the ablations of SEG-SAM (box and point prompts), table 6 compares where text
enters, tables 5 and 7 add the semantic decoder to other members of the SAM family. A variant fixes
the parts, the three ablation switches of `SemanticConfig`, and the terms of the loss; everything
else in `SemanticConfig` may be overridden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from segsam.categories import Categories
from segsam.errors import CheckpointError
from segsam.model.card import Card
from segsam.model.config import SemanticConfig
from segsam.model.hosts import Host
from segsam.model.segsam import SegSam

LossName: TypeAlias = Literal["binary", "semantic", "presence", "full_image", "alignment"]
SWITCHES = ("decoder", "unprompted", "text_into")
"""The fields of `SemanticConfig` that define a variant."""
PLUG_IN_HOSTS = ("sam_med2d", "medsam", "med_sa")
"""The hosts of tables 5 and 7."""
_CHOICES = frozenset(entry.name for entry in fields(SemanticConfig)) - frozenset(SWITCHES)


@dataclass(frozen=True)
class Variant:
    """One row of the paper's tables."""

    name: str
    rows: str
    """Its rows in the paper's tables."""
    losses: tuple[LossName, ...]
    """The terms of the loss it is trained on; see `training.loss_weights.LossWeights.of`."""
    semantics: bool = True
    """True if it has a semantic decoder, or a class token."""
    text: bool = False
    """True if it has text enhancement (T2VSE)."""
    config: SemanticConfig = field(default_factory=SemanticConfig)
    host: str = ""
    """The only host it is defined for; empty for any."""

    def configured(self, **overrides: Any) -> SemanticConfig:
        """Return its configuration with other choices of `SemanticConfig` that are no switches.

        Raises:
            CheckpointError: a switch, an unknown name, or a word that is not among the choices.
        """
        for name in overrides:
            if name in SWITCHES:
                raise CheckpointError(
                    f"The variant {self.name!r} is defined by its {name} "
                    f"{getattr(self.config, name)!r}; choose another variant instead."
                )
            if name not in _CHOICES:
                raise CheckpointError(
                    f"Expected one of {', '.join(sorted(_CHOICES))} to override in the variant "
                    f"{self.name!r}, got {name!r}."
                )
        return replace(self.config, **overrides)

    def describes(self, config: SemanticConfig, *, semantics: bool, text: bool) -> bool:
        """Return True if a model with these parts and configuration is of this variant."""
        parts = (semantics, text) == (self.semantics, self.text)
        return parts and all(getattr(config, n) == getattr(self.config, n) for n in SWITCHES)


_NOTHING_ELSE = SemanticConfig(unprompted="none")
_PROMPTED: tuple[LossName, ...] = ("binary", "semantic")
_BOTH: tuple[LossName, ...] = (*_PROMPTED, "presence")
_ALL = (
    Variant("baseline", "Tables 4 and 8, Baseline", ("binary",), semantics=False),
    Variant(
        "baseline_sem",
        "Tables 4 and 8, BaselineSem",
        _PROMPTED,
        config=SemanticConfig(decoder="shared", unprompted="none"),
    ),
    Variant("so", "Tables 4 and 8, row 1", _PROMPTED, config=_NOTHING_ELSE),
    Variant("so_co", "Tables 4 and 8, row 2", _BOTH),
    Variant(
        "so_full_image",
        "Tables 4 and 8, row 3",
        (*_PROMPTED, "full_image"),
        config=SemanticConfig(unprompted="full_image"),
    ),
    Variant("so_co_t2vse", "Tables 4 and 8, row 4; Table 6, T2VSE", _BOTH, text=True),
    Variant(
        "t2vse_v1", "Table 6, T2VSEv1", _BOTH, text=True, config=SemanticConfig(text_into="both")
    ),
    Variant("segsam", "Tables 4 and 8, SEG-SAM", (*_BOTH, "alignment"), text=True),
    Variant("plug_in", "Tables 5 and 7, Aft., on any host", _BOTH),
    *(
        Variant(f"plug_in_{host}", f"Tables 5 and 7, Aft. of {host}", _BOTH, host=host)
        for host in PLUG_IN_HOSTS
    ),
)
VARIANTS: Mapping[str, Variant] = MappingProxyType({variant.name: variant for variant in _ALL})


def find_variant(name: str) -> Variant:
    """Return the variant of this name.

    Raises:
        CheckpointError: an unknown name; the message lists the known ones.
    """
    if name not in VARIANTS:
        raise CheckpointError(
            f"Expected one of {', '.join(VARIANTS)} as a variant of the model, got {name!r}."
        )
    return VARIANTS[name]


def build_variant(name: str, host: Host, categories: Categories, **overrides: Any) -> SegSam:
    """Build a model of the named variant on `host`; its semantic parts are untrained.

    Args:
        name: of `VARIANTS`.
        host: with its weights loaded; becomes part of the model.
        categories: the classes of the semantic decoder, with their text embeddings.
        overrides: choices of `SemanticConfig` that are no switches, such as `head="maskcls"`.

    Raises:
        CheckpointError: an unknown variant, a host that it is not defined for, or an invalid
            override.
    """
    variant = find_variant(name)
    config = variant.configured(**overrides)
    if variant.host and variant.host != host.facts.name:
        raise CheckpointError(
            f"The variant {name!r} needs the host {variant.host!r}, got {host.facts.name!r}."
        )
    if config.decoder == "shared" and not host.shares_decoder:
        raise CheckpointError(
            f"The variant {name!r} adds a token to SAM's mask decoder; the host "
            f"{host.facts.name!r} decodes masks in another way."
        )
    return SegSam(
        host,
        categories,
        config,
        semantics=variant.semantics,
        text=variant.text,
        card=Card(variant=name),
    )
