"""Model card of a checkpoint as Markdown: identity, data, training, scores and limits.

Everything comes from the JSON card beside the weights; `model_card.md` in this folder is the
template. A fact that the card lacks appears as "not stated", and is never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from segsam.datasets.folder import Dataset
from segsam.datasets.splits import Split
from segsam.model.card import Card
from segsam.model.naming_rule import WITHOUT_MEMORY, NamingRule

_TEMPLATE = Path(__file__).with_name("model_card.md")
_UNKNOWN = "not stated"
_STORED = ("modality", "cases", "objects")
_SCORES: Mapping[str, str] = {
    "dsc": "DSC",
    "mdsc": "mDSC",
    "category_accuracy": "named right",
    "category_accuracy_in_modality": "named right within the modality",
}
_VOLUME_SCORES: Mapping[str, str] = {
    "volume_dice": "volume Dice",
    "volume_nsd_2mm": "NSD at 2 mm",
    "propagated_dice": "Dice, followed from one slice",
}


def model_card(card: Card) -> str:
    """Return the model card of a checkpoint."""
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=card.name,
        facts=_table(("", ""), _facts(card)),
        categories=_categories(card),
        names=_names(card),
        data=_data(card),
        training=_table(("", ""), _flat(card.training)) if card.training else _UNKNOWN,
        split=card.split or _UNKNOWN,
        results=_results(card),
        calibration=_calibration(card.calibration),
        limits=_list(card.limits),
        failures=_failures(card),
        licence=card.licence or _UNKNOWN,
    )


def results_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the JSON of `segsam evaluate` that the card stores: the scores and their
    intervals.
    """
    scores = {*_SCORES, *_VOLUME_SCORES}
    stored = {*_STORED, *scores, *(f"{name}_95" for name in scores)}

    def trimmed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key in stored and value is not None}

    return {
        "average": trimmed(record["average"]),
        "modalities": {name: trimmed(one) for name, one in record["modalities"].items()},
        "datasets": {name: trimmed(one) for name, one in record["datasets"].items()},
        "seed": record.get("seed"),
    }


def data_of(datasets: Iterable[Dataset], split: Split) -> dict[str, Any]:
    """Return the card's facts of each data set, with the number of cases in each part."""
    return {
        dataset.name: {
            "modality": dataset.modality,
            "licence": dataset.licence or _UNKNOWN,
            "categories": list(dict.fromkeys(dataset.names.values())),
            "cases": {part: len(split.cases(part, dataset.name)) for part in split.parts},
        }
        for dataset in datasets
    }


def _facts(card: Card) -> list[tuple[str, str]]:
    config = card.config
    encoder = (
        f"the host's own, unchanged, not in the file ({card.encoder[:16]})"
        if card.encoder
        else "in the file"
    )
    return [
        ("SHA-256 of the weights", f"`{card.sha256}`"),
        ("precision of the file", "half, computed in single" if card.half else "single"),
        ("host", card.host),
        ("image encoder", encoder),
        ("variant", f"{card.variant or _UNKNOWN} (see `paper.md`)"),
        ("semantic head", config.head),
        ("grid of the decoders", str(config.grid or "the host's")),
        ("trained semantic decoder", "yes" if card.semantic_is_trained else "no"),
        ("text embeddings", card.embedding_model or _UNKNOWN),
        ("prompts it was trained with", ", ".join(card.prompts_trained) or "those of the host"),
        ("presence of other objects", "reported" if card.presence_is_trained else "not reported"),
        ("temperature of its confidence", f"{card.temperature:.3f}"),
        *_memory(card),
        ("trained from", card.parent or _UNKNOWN),
        ("seed", _UNKNOWN if card.seed is None else str(card.seed)),
    ]


def _memory(card: Card) -> list[tuple[str, str]]:
    """Return what is known of the memory of examples, or why it was lost; nothing without one."""
    rule = NamingRule.from_card(card.naming)
    if rule is None:
        why = card.naming.get(WITHOUT_MEMORY)
        return [] if why is None else [("memory of examples", f"none: {why}")]
    examples = card.naming.get("objects", {}).get("examples", _UNKNOWN)
    limits = f"a name is given from a confidence of {rule.limit:.2f} on"
    disease = f"that of a disease from {rule.disease_limit:.2f} on"
    return [("memory of examples", f"{examples} examples; {limits}, {disease}")]


def _categories(card: Card) -> str:
    names = card.categories_seen or tuple(category.name for category in card.categories)
    unseen = [one.name for one in card.categories if one.name not in names]
    text = f"{len(names)}: {', '.join(names)}."
    return text + (f" Known by their texts alone: {', '.join(unseen)}." if unseen else "")


def _names(card: Card) -> str:
    """Return the figures of each name that was measured; empty without any."""
    found = card.naming.get("names", {})
    if not found:
        return ""
    prompts = list(dict.fromkeys(prompt for one in found.values() for prompt in one["dsc"]))
    rows = [
        (
            name,
            ", ".join(one["data"]),
            str(one["objects"]),
            *(_score(one["dsc"].get(prompt), None) for prompt in prompts),
            _share(one["named"], one["objects"]),
            _share(one["right"], one["named"]),
            ", ".join(f"{other} ({count})" for other, count in one["taken_for"].items()) or "-",
        )
        for name, one in found.items()
    ]
    dice = (f"DSC, {prompt}" for prompt in prompts)
    heads = ("name", "data sets", "objects", *dice, "named", "of these right", "else called")
    return f"Each name on the held-out cases:\n\n{_table(heads, rows)}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _data(card: Card) -> str:
    if not card.data:
        return ", ".join(card.training_data) or _UNKNOWN
    parts = list(dict.fromkeys(part for one in card.data.values() for part in one["cases"]))
    rows = [
        (
            name,
            one["modality"],
            ", ".join(one["categories"]),
            one["licence"],
            *(str(one["cases"].get(part, 0)) for part in parts),
        )
        for name, one in card.data.items()
    ]
    heads = ("data set", "modality", "categories", "licence", *(f"cases: {p}" for p in parts))
    return _table(heads, rows)


def _results(card: Card) -> str:
    if not card.results:
        return _UNKNOWN
    blocks = []
    for prompt, record in card.results.items():
        blocks += [f"### Prompted with one {prompt} an object", _modalities(record)]
        volumes = _scores_table(record["datasets"], _VOLUME_SCORES, "data set")
        blocks += ["Whole volumes, rebuilt from their slices:", volumes] if volumes else []
    return "\n\n".join(blocks)


def _modalities(record: Mapping[str, Any]) -> str:
    rows = dict(record["modalities"]) | {"average": record["average"]}
    return _scores_table(rows, _SCORES, "modality") or _UNKNOWN


def _scores_table(rows: Mapping[str, Any], scores: Mapping[str, str], head: str) -> str:
    """Return a row for each name that has one of the scores; empty without any."""
    used = [key for key in scores if any(one.get(key) is not None for one in rows.values())]
    with_scores = {name: one for name, one in rows.items() if any(key in one for key in used)}
    if not with_scores:
        return ""
    cells = [
        (name, *(_score(one.get(key), one.get(f"{key}_95")) for key in used))
        for name, one in with_scores.items()
    ]
    return _table((head, *(scores[key] for key in used)), cells)


def _score(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" + (f" ({interval[0]:.1f}-{interval[1]:.1f})" if interval else "")


def _calibration(record: Mapping[str, Any]) -> str:
    rows = []
    for part in ("validation", "test"):
        one = record.get(part)
        if not one:
            continue
        before, after = one["before"], one["after"]
        rho = ", ".join(
            f"{prompt} {found['rho']:.2f}"
            for prompt, found in one["agreement"].items()
            if found["rho"] is not None
        )
        rows.append(
            (
                part,
                str(after["objects"]),
                f"{after['accuracy']:.1%}",
                f"{before['ece']:.1%}",
                f"{after['ece']:.1%}",
                rho or "-",
            )
        )
    heads = ("part", "objects", "named right", "calibration error before", "after")
    return _table((*heads, "rank correlation of agreement and Dice"), rows) if rows else _UNKNOWN


def _failures(card: Card) -> str:
    if not card.failures:
        return "No pictures."
    shown = [f"![{one['caption']}]({one['picture']})\n\n{one['caption']}" for one in card.failures]
    return "\n\n".join(shown)


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences) or _UNKNOWN


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return nested facts as rows, their keys joined by spaces."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, name)
        elif isinstance(value, list | tuple):
            rows.append((name, ", ".join(map(str, value))))
        else:
            rows.append((name, str(value)))
    return rows


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
