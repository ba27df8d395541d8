"""`segsam models`: hosts, cards and packed checkpoints, on a checkpoint small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.testing

from segsam.cli.models import app
from segsam.errors import CheckpointError, OutputError
from segsam.model import load_pretrained, read_card


def run(*arguments: object) -> str:
    done = typer.testing.CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_hosts_are_listed_when_nothing_else_is_asked_for(tmp_path: Path) -> None:
    assert "litemedsam" in run("--json", tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text())["hosts"]
    assert "sam_med2d" in run("list")


class TestCard:
    def test_it_is_printed_or_written(self, standin: Path, tmp_path: Path) -> None:
        printed = run("card", standin)
        assert "# Model card: a stand-in" in printed
        run("card", standin, "-o", tmp_path / "card.md", "--json", tmp_path / "card.json")
        assert (tmp_path / "card.md").read_text().startswith("# Model card: a stand-in")
        assert json.loads((tmp_path / "card.json").read_text())["name"] == "a stand-in"

    def test_official_weights_have_none(self) -> None:
        with pytest.raises(CheckpointError, match="Official weights of a host have no card"):
            run("card", "litemedsam")


class TestPack:
    @pytest.fixture
    def evaluation(self, tmp_path: Path) -> Path:
        record: dict[str, Any] = {"prompt": "box", "average": {"dsc": 80.0}, "seed": 0}
        path = tmp_path / "box.json"
        path.write_text(json.dumps(record | {"modalities": {}, "datasets": {}}))
        return path

    def test_a_checkpoint_with_its_facts(
        self, standin: Path, tmp_path: Path, evaluation: Path
    ) -> None:
        (tmp_path / "facts.yaml").write_text(
            "name: packed\nlimits: [Fails here.]\nprompts_trained: [box, point]\n"
        )
        target = tmp_path / "packed.safetensors"
        printed = run(
            *("pack", standin, target, "--facts", tmp_path / "facts.yaml"),
            *("--evaluation", evaluation, "--json", tmp_path / "card.json"),
        )
        card = read_card(target)
        assert (card.name, card.limits, card.half) == ("packed", ("Fails here.",), True)
        assert card.results["box"]["average"] == {"dsc": 80.0}
        assert card.sha256 in printed
        assert target.stat().st_size < 40e6
        assert load_pretrained(target).card.prompts_trained == ("box", "point")

    @pytest.mark.parametrize(
        ("facts", "sentence"),
        [
            ("host: sam", "fields of a card that can be set .* got host"),
            ("- a list", "Expected fields of a card in facts.yaml"),
            (
                "{",
                r"facts in facts.yaml as YAML: it is damaged, or its content has another form\.$",
            ),
            ("a: !x 1", r"as YAML: it is damaged, or its content has another form\.$"),
            ("name: a\nname: b", "as YAML: the key 'name' comes twice"),
        ],
    )
    def test_wrong_facts_are_refused(
        self, standin: Path, tmp_path: Path, facts: str, sentence: str
    ) -> None:
        (tmp_path / "facts.yaml").write_text(facts)
        with pytest.raises(CheckpointError, match=sentence):
            run("pack", standin, tmp_path / "p.safetensors", "--facts", tmp_path / "facts.yaml")
        assert not (tmp_path / "p.safetensors").exists()

    def test_another_evaluation_is_refused(self, standin: Path, tmp_path: Path) -> None:
        (tmp_path / "e.json").write_text("{}")
        with pytest.raises(CheckpointError, match=r"what segsam evaluate --json writes in e.json"):
            run("pack", standin, tmp_path / "p.safetensors", "--evaluation", tmp_path / "e.json")

    def test_data_want_their_split(self, standin: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="Expected the split of the data sets too"):
            run("pack", standin, tmp_path / "p.safetensors", "--data", tmp_path)

    def test_the_source_is_not_replaced(self, standin: Path) -> None:
        with pytest.raises(OutputError, match=r"would replace standin.safetensors"):
            run("pack", standin, standin)


class TestAverage:
    def test_the_mean_of_a_checkpoint_with_itself(self, standin: Path, tmp_path: Path) -> None:
        twin, target = tmp_path / "twin.safetensors", tmp_path / "mean.safetensors"
        twin.write_bytes(standin.read_bytes())
        twin.with_suffix(".json").write_bytes(standin.with_suffix(".json").read_bytes())
        printed = run("average", standin, twin, "-o", target, "--json", tmp_path / "card.json")
        assert "mean.safetensors: the mean of" in printed
        mean, one = (load_pretrained(path).state_dict() for path in (target, standin))
        assert all(torch.equal(value, one[name]) for name, value in mean.items())
        card = json.loads((tmp_path / "card.json").read_text())
        assert card["sha256"] == read_card(target).sha256

    def test_no_source_is_replaced(self, standin: Path) -> None:
        with pytest.raises(OutputError, match=r"mean would replace standin.safetensors"):
            run("average", standin, standin, "-o", standin)
