"""SEG-SAM's predictor in one of its modes."""

from __future__ import annotations

import time
from dataclasses import asdict

import torch

from segsam.imaging.intensity import Intensity
from segsam.imaging.slices import SliceView
from segsam.imaging.volume import Volume
from segsam.model import ImageFeatures, load_pretrained
from segsam.model.runtimes import choose_runtime
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam.prediction.prompt_tensors import prompt_tensors
from segsam.prompting.prompts import Prompts
from segsam.research.bench.case import BenchCase
from segsam.research.bench.limits import encoder_gflop
from segsam.research.bench.measuring import Found, Timing, once, timed
from segsam.research.bench.plan import BenchPlan, Mode

_CACHE_BYTES = 4 << 30


def ours(case: BenchCase, plan: BenchPlan, mode: Mode) -> Found:
    """Every item that needs no server."""
    predictor, found = _ready(mode)
    volume = Volume.load(case.path)
    predictor.set_volume(volume)
    _parts(predictor, volume, case, plan, found)
    flat = Prompts(boxes=(case.section(case.middle),))
    found.items["second"] = timed(lambda: predictor.predict(flat, axis="k"), plan.rounds)
    if mode.volumes:
        solid = Prompts(boxes=(case.box,))
        predictor.embeddings.clear()
        found.items["box_cold"] = Timing.of([once(lambda: predictor.predict(solid, axis="k"))])
        found.items["box_warm"] = Timing.of([once(lambda: predictor.predict(solid, axis="k"))])
    if mode.follows:
        predictor.embeddings.clear()
        began = time.perf_counter()
        followed = predictor.predict(flat, axis="k", propagate=True)
        seconds = time.perf_counter() - began
        note = f"it ended after {len(followed.slices)} slices"
        found.items["propagate"] = Timing.of([seconds], note)
    return found


def curve(case: BenchCase, mode: Mode) -> Found:
    """Seconds after each slice of one box through a deep volume."""
    predictor, found = _ready(mode)
    predictor.set_volume(Volume.load(case.path))
    began = time.perf_counter()
    points: list[tuple[int, float]] = []

    def progress(done: int, total: int, what: str) -> None:
        points.append((done, time.perf_counter() - began))

    predictor.predict(Prompts(boxes=(case.box,)), axis="k", progress=progress)
    found.facts["curve"] = points
    return found


def _ready(mode: Mode) -> tuple[Predictor, Found]:
    """A predictor with an empty cache, and how long it took to get it."""
    began = time.perf_counter()
    model = load_pretrained(mode.checkpoint)
    encoder = choose_runtime(model, mode.runtime, mode.precision)
    found = Found(facts={"load_s": time.perf_counter() - began, "runtime": asdict(encoder.facts)})
    found.facts["encoder_gflop"] = encoder_gflop(model.host)
    return Predictor(model, encoder=encoder, embeddings=EmbeddingCache(_CACHE_BYTES)), found


@torch.inference_mode()
def _parts(
    predictor: Predictor, volume: Volume, case: BenchCase, plan: BenchPlan, found: Found
) -> None:
    """Encoder and decoders by themselves."""
    model = predictor.model
    view = SliceView.of(volume, 2, model.host.facts.input_size)
    shown = Intensity.for_volume(volume)

    def encode() -> ImageFeatures:
        picture = view.image(volume, shown, case.middle)
        return model.features(*predictor.encoder.encode(model.host.prepare(picture)[None]))

    features = encode()
    prompts = Prompts(boxes=(case.section(case.middle),)).on_slice(2, case.middle)
    tensors = prompt_tensors(view, prompts, torch.device("cpu"))
    both = model.card.semantic_is_trained
    found.items["encode"] = timed(encode, plan.slow_rounds + 2)
    found.items["decode"] = timed(
        lambda: model.decode(features, tensors, semantic=both),
        plan.rounds,
        "both decoders" if both else "",
    )
