"""`segsam categories`: list, search, check and add, and their refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

import segsam.model.checkpoint as checkpoint_module
from segsam.categories import Categories
from segsam.categories.additions import additions_path, append_to_file, free_colour
from segsam.cli.categories import app
from segsam.errors import CategoryError, OutputError
from segsam.model import Card, Host, SegSam, load_pretrained, save_checkpoint

TEXTS = (
    *("--texture", "Uniform dark fluid."),
    *("--shape", "A small round sac."),
    *("--position", "Behind the knee."),
)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def json_of(tmp_path: Path, *args: object) -> Any:
    """Return what a command that succeeds writes with --json."""
    target = tmp_path / "answer.json"
    result = run(*args, "--json", target)
    assert result.exit_code == 0, result.output
    return json.loads(target.read_text())


@pytest.fixture
def saved(
    tiny_host: Host, five_categories: Categories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setattr(checkpoint_module, "HOSTS", {"tiny": type(tiny_host)})
    model = SegSam(tiny_host, five_categories, semantics=True, text=True)
    return save_checkpoint(model, tmp_path / "model.safetensors", Card("a test"))


@pytest.fixture
def endpoint(embeddings_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment of an endpoint whose model made the test checkpoint's embeddings."""
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_URL", embeddings_server.url)
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_MODEL", "made up for a test")
    return embeddings_server


@pytest.mark.parametrize("args", [(), ("list",)])
def test_listing_is_what_happens_by_default(tmp_path: Path, args: tuple[str, ...]) -> None:
    answer = json_of(tmp_path, *args)
    assert [record["name"] for record in answer["categories"]] == list(Categories.load().names)
    output = run(*args).output
    assert "10200004 Liver" in output
    assert "285 categories" in output


def test_search_shows_what_it_found(tmp_path: Path) -> None:
    answer = json_of(tmp_path, "search", "hepar")
    assert [record["name"] for record in answer["categories"]] == ["liver"]
    assert "0 categories" in run("search", "no such thing").output


def test_a_checkpoint_lists_its_own(saved: Path, tmp_path: Path) -> None:
    answer = json_of(tmp_path, "list", "--checkpoint", saved)
    assert [record["name"] for record in answer["categories"]][:2] == ["liver", "spleen"]
    assert len(answer["categories"]) == 5


def test_the_shipped_categories_pass_the_check(tmp_path: Path) -> None:
    assert json_of(tmp_path, "check") == {"categories": 285, "problems": []}


def test_check_ends_with_1_and_says_why(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "answer.json"
    result = run("check", "--checkpoint", saved, "--json", target)
    assert result.exit_code == 1
    assert "liver: the texture has 5 characters" in result.output
    assert "liver: no modality is given" in json.loads(target.read_text())["problems"][3]


def test_a_category_is_added_to_a_file(endpoint: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    options = ("--provider", "endpoint", "--file", file)
    names = ("--synonym", "popliteal cyst", "--synonym", "BC", "--modality", "MR")
    answer = json_of(tmp_path, "add", "Baker's cyst", *TEXTS, *names, *options)
    assert (answer["index"], answer["embedding_model"]) == (285, "made up for a test")
    assert (answer["checkpoint"], answer["nearest"]) == (None, {})
    run("add", "other cyst", *TEXTS, "--colour", "1,2,3", *options)
    own = Categories.load(file)
    assert own.names == ("Baker's cyst", "other cyst")
    assert own.items[0].modalities == ("MR",)
    assert len(own.items[1].modalities) == 9
    assert own.colour("other cyst") == (1, 2, 3)
    assert own.dimension == 12
    listed = json_of(tmp_path, "search", "popliteal", "--file", file)["categories"]
    assert listed == [own.items[0].to_record()] == [answer["category"]]
    assert json_of(tmp_path, "check", "--file", file)["categories"] == 287


def test_a_category_is_added_to_a_checkpoint(endpoint: Any, saved: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown.safetensors"
    answer = json_of(
        tmp_path, "add", "cyst", *TEXTS, "--provider", "endpoint", "--checkpoint", saved,
        "--out", grown,
    )  # fmt: skip
    assert answer["index"] == 5
    assert len(answer["nearest"]) == 3
    assert answer["checkpoint"] == str(grown)
    model = load_pretrained(grown)
    assert model.categories.names[5] == "cyst"
    beside = Categories.load(additions_path(grown))
    assert answer["file"] == str(tmp_path / "grown.categories.yaml")
    assert beside.names == ("cyst",)
    assert (beside.text_embeddings[0] == model.categories.text_embeddings[5]).all()
    tokens = "semantic_decoder.presence.tokens"
    old, new = (load_pretrained(path).state_dict()[tokens] for path in (saved, grown))
    assert torch.equal(new[:5], old)


def test_another_encoder_than_the_checkpoints_is_refused(
    endpoint: Any, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_MODEL", "text-embedding-3-small")
    grown = tmp_path / "grown.safetensors"
    options = ("--provider", "endpoint", "--checkpoint", saved, "--out", grown)
    result = run("add", "cyst", *TEXTS, *options)
    assert isinstance(result.exception, CategoryError)
    assert "were embedded by made up for a test (12 numbers)" in str(result.exception)
    assert not list(tmp_path.glob("grown*"))
    assert endpoint.requests == []


def test_one_file_keeps_one_encoder(
    endpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--provider", "endpoint", "--file", tmp_path / "mine.yaml")
    assert run("add", "cyst", *TEXTS, *options).exit_code == 0
    monkeypatch.setenv("SEGSAM_EMBEDDINGS_MODEL", "another")
    result = run("add", "other cyst", *TEXTS, *options)
    assert isinstance(result.exception, CategoryError)
    assert "would be by another; embeddings of two encoders" in str(result.exception)
    assert Categories.load(tmp_path / "mine.yaml").names == ("cyst",)


@pytest.mark.parametrize(
    ("args", "refusal", "sentence"),
    [
        (("cyst", *TEXTS), OutputError, "Expected a file for the category: --file FILE"),
        (("cyst", *TEXTS, "--out", "x.safetensors"), OutputError, "belong together"),
        (("cyst", *TEXTS, "--checkpoint", "x.safetensors"), OutputError, "belong together"),
        (("cyst", *TEXTS, "--file", "none/x.yaml"), OutputError, "The folder of none/x.yaml"),
        (("Liver", *TEXTS, "--file", "x.yaml"), CategoryError, "is already one of 'liver'"),
        (("cyst", *TEXTS[:5], "below", "--file", "x.yaml"), CategoryError, "not a sentence"),
        (
            ("cyst", *TEXTS, "--file", "x.yaml", "--colour", "red"),
            CategoryError,
            "a colour as red,green,blue from 0 to 255, got 'red'",
        ),
        (
            ("cyst", *TEXTS, "--file", "x.yaml", "--colour", "1,2,999"),
            CategoryError,
            "is not three numbers from 0 to 255",
        ),
        (
            ("cyst", *TEXTS, "--file", "x.yaml", "--modality", "photo"),
            CategoryError,
            "'photo' is not one of the modalities",
        ),
        (("cyst", *TEXTS, "--file", "x.yaml", "--provider", "x"), CategoryError, "'local' or"),
    ],
)
def test_refusals_leave_nothing_behind(
    args: tuple[str, ...],
    refusal: type[Exception],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("add", *args)
    assert isinstance(result.exception, refusal), result.output
    assert sentence in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_answer_needs_a_folder(tmp_path: Path) -> None:
    result = run("list", "--json", tmp_path / "none" / "answer.json")
    assert isinstance(result.exception, OutputError)
    assert "make it first" in str(result.exception)


def test_free_colours_are_far_from_the_others() -> None:
    items = Categories.load().items
    colour = free_colour(items)
    assert min(sum(abs(a - b) for a, b in zip(colour, i.colour, strict=True)) for i in items) > 40
    assert free_colour(items) == colour


def test_a_file_of_another_length_is_refused(five_categories: Categories, tmp_path: Path) -> None:
    item, rows = five_categories.items[0], five_categories.text_embeddings
    path = append_to_file(tmp_path / "mine.yaml", item, rows[0], "m")
    with pytest.raises(CategoryError, match=r"by m \(12 numbers\), the new one .* m \(3 numbers\)"):
        append_to_file(path, five_categories.items[1], rows[1][:3], "m")
