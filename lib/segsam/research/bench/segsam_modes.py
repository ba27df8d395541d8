"""SEG-SAM's predictor, measured in one of its modes."""

from __future__ import annotations

import time
from dataclasses import asdict

import torch

from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import Decoded, ImageFeatures, SegSam, load_pretrained
from segsam.model.runtimes import choose_runtime
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.evidence import SliceEvidence
from segsam.prediction.naming import Naming, name_object, present_categories
from segsam.prediction.predictor import Predictor
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prediction.semantics import class_scores, example_distances, image_distances
from segsam.prompting.prompts import Prompts
from segsam.research.bench.case import BenchCase
from segsam.research.bench.machine_limits import encoder_gflop
from segsam.research.bench.plan import BenchPlan, Mode
from segsam.research.bench.timing import Measurements, Timing, seconds_of, timed

_CACHE_BYTES = 4 << 30


def measure_mode(case: BenchCase, plan: BenchPlan, mode: Mode) -> Measurements:
    """Measure every item that needs no server."""
    predictor, found = _load(mode)
    volume = Volume.load(case.path)
    predictor.set_volume(volume)
    _measure_parts(predictor, volume, case, plan, found)
    flat = case.slice_prompt(case.middle)
    found.items["second"] = timed(lambda: predictor.predict(flat, axis="k"), plan.rounds)
    if mode.volumes:
        solid = Prompts(boxes=(case.box,))
        predictor.embeddings.clear()
        for item in ("box_cold", "box_warm"):
            seconds = seconds_of(lambda: predictor.predict(solid, axis="k"))
            found.items[item] = Timing.of([seconds])
    if mode.propagates:
        predictor.embeddings.clear()
        start = time.perf_counter()
        result = predictor.predict(flat, axis="k", propagate=True)
        seconds = time.perf_counter() - start
        note = f"it ended after {len(result.slices)} slices"
        found.items["propagate"] = Timing.of([seconds], note)
    return found


def measure_curve(case: BenchCase, mode: Mode) -> Measurements:
    """Record the seconds after each slice of one box through a deep volume."""
    predictor, found = _load(mode)
    predictor.set_volume(Volume.load(case.path))
    start = time.perf_counter()
    points: list[tuple[int, float]] = []

    def progress(done: int, total: int, text: str) -> None:
        points.append((done, time.perf_counter() - start))

    predictor.predict(Prompts(boxes=(case.box,)), axis="k", progress=progress)
    found.facts["curve"] = points
    return found


def _load(mode: Mode) -> tuple[Predictor, Measurements]:
    """Return a predictor with an empty cache, and the time and facts of loading it."""
    start = time.perf_counter()
    model = load_pretrained(mode.checkpoint)
    encoder = choose_runtime(model, mode.runtime, mode.precision, compare=False)
    facts = {"load_s": time.perf_counter() - start, "runtime": asdict(encoder.facts)}
    facts["encoder_gflop"] = encoder_gflop(model.host)
    predictor = Predictor(model, encoder=encoder, embeddings=EmbeddingCache(_CACHE_BYTES))
    return predictor, Measurements(facts=facts)


@torch.inference_mode()
def _measure_parts(
    predictor: Predictor, volume: Volume, case: BenchCase, plan: BenchPlan, found: Measurements
) -> None:
    """Measure the encoder and the decoders by themselves."""
    model = predictor.model
    view = SliceView.of(volume, 2, model.host.facts.input_size)
    intensity = Intensity.for_volume(volume)

    def encode() -> ImageFeatures:
        picture = view.image(volume, intensity, case.middle)
        return model.features(*predictor.encoder.encode(model.host.prepare(picture)[None]))

    features = encode()
    prompts = case.slice_prompt(case.middle).on_slice(2, case.middle)
    tensors = prompt_tensors(view, prompts, torch.device("cpu"))
    both = model.card.semantic_is_trained
    found.items["encode"] = timed(encode, plan.slow_rounds + 2)
    found.items["decode"] = timed(
        lambda: model.decode(features, tensors, semantic=both),
        plan.rounds,
        "both decoders" if both else "",
    )
    if both:
        decoded = model.decode(features, tensors, semantic=True)
        plain = model.with_memory(None, model.card)
        found.items["naming_plain"] = timed(lambda: _name(plain, features, decoded), plan.rounds)
        if model.memory is not None:
            examples = f"{len(model.memory.examples)} examples"
            found.items["naming"] = timed(
                lambda: _name(model, features, decoded), plan.rounds, examples
            )


def _name(model: SegSam, features: ImageFeatures, decoded: Decoded) -> Naming:
    """Decide on a name, and on what else is present, as for each prompted slice."""
    distances = example_distances(model, features, decoded.binary_logits)
    own = None if distances is None else distances[0]
    evidence = SliceEvidence(1, class_scores(decoded, model.card.temperature), own)
    present_categories(decoded, model, None, image_distances(model, features))
    return name_object(model, [evidence], requested=None, modality=None)
