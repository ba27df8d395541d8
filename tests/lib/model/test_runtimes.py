"""OpenVINO computes what PyTorch does, is chosen where it can be, and is never silently wrong."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segsam.categories import Categories
from segsam.errors import RuntimeChoiceError
from segsam.imaging.volume import Volume
from segsam.model import SegSam, load_pretrained
from segsam.model.hosts import SamUnet, VitSizes
from segsam.model.runtimes import EncoderRunner, choose_runtime, choosing
from segsam.prediction.embeddings import EmbeddingCache
from segsam.prediction.predictor import Predictor
from segsam.prompting.prompts import Box, Prompts

openvino_only = pytest.mark.skipif(
    choosing.importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lite() -> SegSam:
    return load_pretrained("litemedsam")


@pytest.fixture
def model(lite: SegSam, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> SegSam:
    """LiteMedSAM, loaded once; one export for the module."""
    monkeypatch.setenv("SEGSAM_CACHE", str(cache_dir))
    for name in ("SEGSAM_RUNTIME", "SEGSAM_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    return lite


@pytest.fixture(scope="module")
def exact(lite: SegSam, cache_dir: Path) -> EncoderRunner:
    """What is chosen when nothing was asked for, compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGSAM_CACHE", str(cache_dir))
        return choose_runtime(lite, env={})


@pytest.fixture
def small(five_categories: Categories) -> SegSam:
    """A host whose decoder wants finer maps beside the embedding."""
    torch.manual_seed(0)
    sizes = VitSizes(input_size=64, dim=32, depth=4, heads=2, global_blocks=(0, 1, 2, 3))
    made = SegSam(SamUnet(sizes, residual_blocks=(1, 1, 1, 1)), five_categories)
    return made.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand((2, 3, 256, 256), generator=torch.Generator().manual_seed(1))


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@openvino_only
def test_exact_equals_pytorch(model: SegSam, exact: EncoderRunner, images: Tensor) -> None:
    from segsam.model.runtimes.openvino_encoder import EXACT_TOLERANCE

    with torch.inference_mode():
        wanted, _ = model.host.encode(images)
    assert (exact.facts.runtime, exact.facts.precision) == ("openvino", "exact")
    found, detail = exact.encode(images)
    beside, _ = exact.encode(images, alongside=True)
    assert detail is None
    assert apart(found, wanted) <= EXACT_TOLERANCE
    assert apart(beside, wanted) <= EXACT_TOLERANCE
    assert exact.encoder_id == EncoderRunner(model).encoder_id, "PyTorch's embeddings are equal"


@openvino_only
def test_a_thread_of_lower_priority_is_recognised() -> None:
    from segsam.model.runtimes.openvino_encoder import _has_low_priority
    from segsam.system.process import lower_thread_priority

    found: list[tuple[bool, bool]] = []
    thread = threading.Thread(
        target=lambda: found.append((lower_thread_priority(), _has_low_priority()))
    )
    thread.start()
    thread.join()
    assert found[0][0] == found[0][1]
    assert not _has_low_priority()


@openvino_only
def test_fast_is_near_and_has_embeddings_of_its_own(model: SegSam, images: Tensor) -> None:
    with torch.inference_mode():
        wanted, _ = model.host.encode(images)
    try:
        encoder = choose_runtime(model, precision="fast", compare=False)
    except RuntimeChoiceError as refusal:
        pytest.skip(str(refusal))
    found, _ = encoder.encode(images)
    assert encoder.facts.precision == "fast"
    assert float(torch.linalg.norm(found - wanted) / torch.linalg.norm(wanted)) < 0.1
    assert encoder.encoder_id not in ("", EncoderRunner(model).encoder_id)


@openvino_only
@pytest.mark.parametrize("damaged", ["encoder.bin", "encoder.xml", "reference.npz"])
def test_damaged_files_are_made_anew(
    damaged: str, small: SegSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segsam.model.runtimes.exporting import exported_encoder

    monkeypatch.setenv("SEGSAM_CACHE", str(tmp_path))
    exported = exported_encoder(small.host, EncoderRunner(small).encoder_id)
    path = exported.model.with_name(damaged)
    path.write_bytes(bytes(path.stat().st_size))  # weights of zero load, and are wrong
    encoder = choose_runtime(small, "openvino")
    assert encoder.facts.runtime == "openvino"
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert apart(encoder.encode(image)[0], small.host.encode(image)[0]) < 1e-4


@openvino_only
def test_a_mask_is_the_same_by_either_runtime(model: SegSam, exact: EncoderRunner) -> None:
    y, x = np.mgrid[:64, :64]
    ball = 200.0 * ((y - 30) ** 2 + (x - 34) ** 2 < 200)
    voxels = (np.repeat(ball[..., None], 5, axis=2) + np.arange(5)).astype(np.float32)
    volume = Volume.from_array(voxels, np.diag([1.0, 1, 4, 1]))
    prompts = Prompts(boxes=[Box((14, 18, 0), (46, 50, 4))])

    def labels(encoder: EncoderRunner) -> np.ndarray:
        predictor = Predictor(model, encoder=encoder, embeddings=EmbeddingCache())
        predictor.set_volume(volume)
        return predictor.predict(prompts).labels

    by_torch = labels(choose_runtime(model, "torch"))
    assert exact.facts.runtime == "openvino"
    by_openvino = labels(exact)
    assert by_torch.any()
    assert (by_torch != by_openvino).sum() <= 0.001 * by_torch.sum()


@openvino_only
def test_what_stands_beside_the_embedding_comes_too(
    small: SegSam, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSAM_CACHE", str(cache_dir))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        wanted = small.host.encode(image)
    encoder = choose_runtime(small, "openvino")
    assert encoder.facts.runtime == "openvino"
    found = encoder.encode(image)
    assert wanted[1] is not None
    assert found[1] is not None
    assert apart(found[0], wanted[0]) < 1e-4
    assert apart(found[1], wanted[1]) < 1e-4


class TestChoosing:
    def test_the_users_word_wins(self, model: SegSam) -> None:
        encoder = choose_runtime(model, "torch")
        assert encoder.facts.runtime == "torch"
        assert choose_runtime(model, env={"SEGSAM_RUNTIME": "torch"}).facts.runtime == "torch"
        assert encoder.threads == 1

    def test_without_openvino_it_is_torch_and_says_why(
        self, model: SegSam, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: None)
        facts = choose_runtime(model).facts
        assert facts.runtime == "torch"
        assert "not installed" in facts.why
        with pytest.raises(RuntimeChoiceError, match="not installed"):
            choose_runtime(model, "openvino")

    def test_fast_needs_openvino(self, model: SegSam) -> None:
        with pytest.raises(RuntimeChoiceError, match="fast is OpenVINO's"):
            choose_runtime(model, "torch", "fast")

    @openvino_only
    def test_an_encoder_that_learns_stays_with_torch(self, model: SegSam) -> None:
        weight = next(model.host.image_encoder.parameters())
        weight.requires_grad_(True)
        try:
            assert "not frozen" in choose_runtime(model).facts.why
        finally:
            weight.requires_grad_(False)

    @pytest.mark.parametrize(
        ("choice", "sentence"),
        [
            ({"runtime": "onnx"}, "Expected one of auto, .* as runtime, got 'onnx'"),
            ({"precision": "int4"}, "Expected one of exact, fast, auto as precision, got 'int4'"),
        ],
    )
    def test_unknown_words_are_refused(
        self, model: SegSam, choice: dict[str, str], sentence: str
    ) -> None:
        with pytest.raises(RuntimeChoiceError, match=sentence):
            choose_runtime(model, **choice)
