"""Command line `segsam`: one run of each kind in its own process, the others in this one."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from segsam.cli.app import app, main
from segsam.cli.terminal import accept_any_name
from segsam.imaging.volume import Volume
from segsam.model import SegSam, load_pretrained, save_checkpoint
from segsam.model.runtimes import EncoderRunner, RuntimeFacts

from ..made_memory import with_distances

Done = subprocess.CompletedProcess[str]


def in_a_process(*arguments: object) -> Done:
    command = [
        sys.executable,
        "-c",
        "from segsam.cli.app import main; main()",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def segsam(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the same `main` in this process, which saves the seconds of the imports."""

    def run(*arguments: object) -> Done:
        words = ["segsam", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Done(words, code, printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An organ of 60 HU in a body of fat in air, 40 x 36 x 3 voxels with a little noise."""
    i, j, _ = np.indices((40, 36, 3))
    body = (i - 20) ** 2 / 18**2 + (j - 18) ** 2 / 16**2 <= 1
    organ = (i - 18.5) ** 2 / 7**2 + (j - 15.5) ** 2 / 6**2 <= 1
    noise = np.random.default_rng(0).normal(0, 8, body.shape)
    values = (np.where(organ, 60, np.where(body, -100, -1000)) + noise).astype(np.int16)
    path = tmp_path_factory.mktemp("image") / "organ.nii.gz"
    Volume.from_array(values, np.diag([1.5, 1.5, 4, 1])).save(path)
    return path


class TestOutputs:
    @pytest.mark.parametrize(
        ("command", "words", "sentence"),
        [
            ("segment", ["-o", "ct.nii.gz"], "file of its own, but .*ct.nii.gz is read"),
            ("segment", ["-o", "link.nii.gz"], "file of its own, but .*link.nii.gz is read"),
            ("segment", ["-o", "o.nii", "--json", "other.nii.gz"], "ending in .json, got other"),
            ("segment", ["-o", "o.png", "--picture", "o.png"], "file of its own, but .*o.png"),
            ("auto", ["-o", "ct.nii.gz"], "file of its own, but .*ct.nii.gz is read"),
            ("auto", ["-o", "o.nii", "--json", "o.nii"], "ending in .json, got o.nii"),
        ],
    )
    def test_nothing_is_replaced(
        self,
        image: Path,
        tmp_path: Path,
        segsam: Callable[..., Done],
        command: str,
        words: list[str],
        sentence: str,
    ) -> None:
        for name in ("ct.nii.gz", "other.nii.gz"):
            (tmp_path / name).write_bytes(image.read_bytes())
        (tmp_path / "link.nii.gz").hardlink_to(tmp_path / "ct.nii.gz")
        box = ["--box", "12,10,1,25,21,1"] if command == "segment" else []
        paths = [word if word.startswith("-") else tmp_path / word for word in words]
        done = segsam(command, tmp_path / "ct.nii.gz", *box, *paths)
        assert done.returncode != 0
        assert re.search(sentence, " ".join(done.stderr.split())), done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            *("ct.nii.gz", "link.nii.gz", "other.nii.gz"),
        ]
        for path in tmp_path.iterdir():
            assert path.read_bytes() == image.read_bytes()


class TestSegment:
    def test_writes_labels_picture_and_json(self, image: Path, tmp_path: Path) -> None:
        labels, picture, result = (tmp_path / name for name in ("o.nii.gz", "o.png", "o.json"))
        done = in_a_process(
            *("segment", image, "-o", labels, "--box", "12,10,1,25,21,1"),
            *("--picture", picture, "--json", result, "--checkpoint", "litemedsam"),
        )
        assert done.returncode == 0, done.stderr
        back, sent = Volume.load(labels), Volume.load(image)
        assert back.geometry_equals(sent)
        truth = sent.voxels[..., 1] > -20
        found = back.voxels[..., 1] > 0
        assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.9
        assert not back.voxels[..., [0, 2]].any()
        assert picture.stat().st_size > 1000
        value = json.loads(result.read_text())
        assert value["category"] is None
        assert value["prompts"]["boxes"] == [{"min_ijk": [12, 10, 1], "max_ijk": [25, 21, 1]}]
        assert "no trained semantic decoder" in done.stdout

    def test_a_slower_precision_is_noted(
        self,
        segsam: Callable[..., Done],
        image: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        note = "Precision fast takes 896 ms here where exact takes 461: use exact or auto."
        facts = RuntimeFacts("openvino", "fast", "OpenVINO in bf16.", note=note)
        asked: list[str | None] = []

        def choose(model: SegSam, runtime: str | None, precision: str | None) -> EncoderRunner:
            asked.append(precision)
            return EncoderRunner(model).with_runtime(None, facts)

        monkeypatch.setattr("segsam.prediction.predictor.choose_runtime", choose)
        result = tmp_path / "o.json"
        done = segsam(
            *("segment", image, "-o", tmp_path / "o.nii.gz", "--box", "12,10,1,25,21,1"),
            *("--checkpoint", "litemedsam", "--precision", "fast", "--json", result),
        )
        assert done.returncode == 0, done.stderr
        assert asked == ["fast"]
        assert f"Note: {note}" in done.stdout.replace("\n", " ")
        assert note in json.loads(result.read_text())["notes"]

    def test_an_object_without_a_name_has_nearest_names_and_a_reason(
        self, segsam: Callable[..., Done], image: Path, standin: Path, tmp_path: Path
    ) -> None:
        model = load_pretrained(standin)
        liver, spleen = map(model.categories.index, ("liver", "spleen"))
        model = with_distances(model, {liver: 0.6, spleen: 0.9})
        checkpoint = save_checkpoint(model, tmp_path / "m.safetensors", model.card)
        done = segsam(
            *("segment", image, "-o", tmp_path / "o.nii.gz", "--box", "12,10,1,25,21,1"),
            *("--checkpoint", checkpoint, "--json", tmp_path / "o.json"),
        )
        assert done.returncode == 0, done.stderr
        result = json.loads((tmp_path / "o.json").read_text())
        assert (result["category"], result["confidence"]) == (None, None)
        nearest, share = next(iter(result["suggestions"].items()))
        assert 0.005 <= share < 0.5
        assert done.stdout.startswith("object: ")
        assert f"nearest names: {nearest} {share:.0%}" in done.stdout
        assert "Note: Not named: unlike anything that this model has been taught." in done.stdout

    def test_a_trained_checkpoint_names_what_it_found(
        self, segsam: Callable[..., Done], image: Path, standin: Path, tmp_path: Path
    ) -> None:
        done = segsam(
            *("segment", image, "-o", tmp_path / "o.seg.nrrd", "--box", "12,10,1,25,21,1"),
            *("--checkpoint", standin, "--json", tmp_path / "o.json"),
        )
        assert done.returncode == 0, done.stderr
        result = json.loads((tmp_path / "o.json").read_text())
        assert result["category"] == "liver"
        assert f"liver ({result['confidence']:.0%}): " in done.stdout
        assert f"the two decoders agree by {result['agreement']:.0%}; also present: " in done.stdout
        assert b"SCT" in (tmp_path / "o.seg.nrrd").read_bytes()

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (
                ["--box", "12,10,1,25,21"],
                "i0,j0,k0,i1,j1,k1,- (negative), got '12,10,1,25,21'",
            ),
            (["--point", "a,b,c"], "a,b,c"),
            (["--point", "12,10,7"], "(12, 10, 7) is outside the volume of 40x36x3 voxels"),
            (["--box", "25,10,1,12,21,1"], "reversed along i"),
            (["--box", "12,10,1,12,21,1"], "degenerate"),
            ([], "Expected at least one point or box"),
            (["--point", "1,1,1,-"], "negative"),
            (
                ["--point", "12,10,1", "--axis", "x"],
                "Expected an axis auto, i, j, k or all, got 'x'",
            ),
            (["--point", "12,10,1", "--point", "12,10,1,-"], "(12, 10, 1) is positive and negat"),
            (["--point", "12,10,1", "--window", "spleen"], "soft-tissue"),
            (["--point", "12,10,1", "--checkpoint", "sam3"], "litemedsam"),
            (
                ["--point", "12,10,1", "--decoder", "semantic", "--checkpoint", "litemedsam"],
                "with a trained semantic decoder",
            ),
            (["--point", "12,10,1", "--category", "livr"], "liver"),
            (["--point", "12,10,1", "--frame", "2"], "a DICOM file to read frame 2 of, got organ"),
        ],
    )
    def test_refuses_in_one_sentence_with_2_and_writes_nothing(
        self,
        segsam: Callable[..., Done],
        image: Path,
        tmp_path: Path,
        arguments: list[str],
        sentence: str,
    ) -> None:
        done = segsam("segment", image, "-o", tmp_path / "out.nii.gz", *arguments)
        assert done.returncode == 2
        assert sentence in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("output", "picture", "sentence"),
        [
            ("out.xyz", "o.png", "a name ending in .nii.gz"),
            ("missing/out.nii.gz", "o.png", "does not exist; make it first"),
            ("out.nii.gz", "o.jpg", "Expected a name ending in .png, got o.jpg"),
        ],
    )
    def test_bad_targets_are_refused_before_the_work(
        self,
        segsam: Callable[..., Done],
        image: Path,
        tmp_path: Path,
        output: str,
        picture: str,
        sentence: str,
    ) -> None:
        done = segsam(
            *("segment", image, "-o", tmp_path / output, "--point", "12,10,1"),
            *("--picture", tmp_path / picture),
        )
        assert done.returncode == 2
        assert sentence in done.stderr.replace("\n", " ")

    def test_a_missing_image(self, tmp_path: Path) -> None:
        done = in_a_process(
            "segment", tmp_path / "none.nii.gz", "-o", tmp_path / "o.nii", "--point", "1,1,1"
        )
        assert done.returncode == 2
        assert "none.nii.gz" in done.stderr
        assert "Traceback" not in done.stderr


def test_help_suffices(segsam: Callable[..., Done]) -> None:
    done = segsam("segment", "--help")
    assert done.returncode == 0
    for word in ("i,j,k,-", "i0,j0,k0,i1,j1,k1", "--no-propagate", "soft-tissue", "DICOM"):
        assert word in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["convert", "a", "b", "--to", "nope"], "'nope' is not one of 'med2d', 'dataset'"),
        (["evaluate", "a", "--limit", "abc"], "it should be a valid integer"),
        (["study", "run", "a", "--jobs", "0"], "it should be greater than or equal to 1"),
    ],
)
def test_a_wrong_value_of_an_option_is_told_in_our_words(words: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, words)
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())
    assert done.exit_code == 2
    assert f": {sentence}" in text
    assert not re.search("Value error|Input should|unable to parse", text)


def test_help_on_memory_tells_that_no_weights_come_with_it(segsam: Callable[..., Done]) -> None:
    for command in (("segment",), ("batch", "segment")):
        shown = " ".join(segsam(*command, "--help").stdout.replace("│", " ").split())
        assert "--memory" in shown
        assert "weights do not come with this product" in shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--memory"], "on a host with a memory of slices (sam2_tiny, "),
        (["--memory", "--propagate"], "got one on litemedsam; use propagate true"),
        (["--memory", "--no-propagate"], "Expected --memory or --no-propagate, got both."),
    ],
)
def test_memory_without_a_host_that_has_one(
    segsam: Callable[..., Done], image: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    box = ("--box", "10,8,1,27,23,1", "--checkpoint", "litemedsam")
    done = segsam("segment", image, *box, *options, "-o", tmp_path / "out.nii.gz")
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert not (tmp_path / "out.nii.gz").exists()


def test_a_stream_shows_what_it_cannot_hold_as_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    accept_any_name()
    sys.stdout.write("\u753b.nii M\udcfcller\n")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u753b.nii M\\udcfcller\n"  # type: ignore[attr-defined]


def test_version() -> None:
    assert in_a_process("--version").stdout.startswith("segsam 0.")


def test_models_lists_every_host(segsam: Callable[..., Done], tmp_path: Path) -> None:
    done = segsam("models", "--json", tmp_path / "m.json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads((tmp_path / "m.json").read_text())["hosts"]}
    assert set(rows) >= {"litemedsam", "sam", "medsam", "sam_med2d", "med_sa", "sam_unet"}
    assert rows["litemedsam"]["checkpoint"]
    assert rows["sam"]["parameters"] == 93_735_472
    assert rows["litemedsam"]["parameters"] == 9_791_300


def test_categories_as_json(segsam: Callable[..., Done], tmp_path: Path) -> None:
    done = segsam("categories", "--json", tmp_path / "c.json")
    assert done.returncode == 0
    names = [c["name"] for c in json.loads((tmp_path / "c.json").read_text())["categories"]]
    assert "liver" in names
    assert "polyp" in names


def test_other_commands_work_without_the_research_extra(tmp_path: Path) -> None:
    code = """
import sys
for name in ("segsam.research", "sam2", "timm"):
    sys.modules[name] = None  # importing it fails, as if it were not installed
from segsam.cli.app import main
from segsam.cli.terminal import accept_any_name
main()
"""
    command = [sys.executable, "-c", code, "categories", "--json", str(tmp_path / "c.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "c.json").read_text())["categories"]
