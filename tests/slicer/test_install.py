"""The server's own environment: Python found, steps, source fetched, started, stopped."""

from __future__ import annotations

import http.server
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from SEGSAMLib.Server import Install, SourceDownload
from SEGSAMLib.Server.Install import Environment, InstallError
from SEGSAMLib.Server.Process import Process, ProcessError

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 90
NOWHERE = Path("/nowhere")


def lines_until_ended(process: Process) -> list[str]:
    output: list[str] = []
    end = time.monotonic() + TIMEOUT_SECONDS
    while process.is_running:
        assert time.monotonic() < end
        output += process.poll()
        time.sleep(0.02)
    return output + process.poll()


def source_zip(path: Path, name: str = "SEG-SAM-main/") -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}requirements.txt", "")
        packed.writestr(f"{name}monailabel_app/main.py", "")
    return path


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """The files of `tmp_path/site` over HTTP."""
    site = tmp_path / "site"
    site.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(site))  # type: ignore[arg-type]

        def log_message(self, *given: object) -> None:
            """Nobody reads it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class TestFindingPython:
    def test_a_supported_one_is_found_and_slicers_is_not(self) -> None:
        here = Path(sys.executable).resolve()
        environment = {"PATH": str(Path(sys.executable).parent)}
        assert Install.find_python(environment, NOWHERE).resolve() == here
        with pytest.raises(InstallError, match=r"3\.10, 3\.11 or 3\.12"):
            Install.find_python(environment, here.parent)

    def test_without_one_the_sentence_says_where_to_get_it(self, tmp_path: Path) -> None:
        with pytest.raises(InstallError, match=r"python\.org"):
            Install.find_python({"PATH": str(tmp_path)}, NOWHERE)

    def test_what_only_looks_like_python_is_passed_over(self, tmp_path: Path) -> None:
        fake = tmp_path / "python3"
        fake.write_text("#!/bin/sh\nexit 3\n")
        fake.chmod(0o755)
        with pytest.raises(InstallError):
            Install.find_python({"PATH": str(tmp_path)}, NOWHERE)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room enough, however full the disk is on which the tests run."""
    monkeypatch.setattr(Install, "NEEDED_GB", 0)


class TestSteps:
    @pytest.mark.usefixtures("room")
    def test_they_make_an_environment_of_its_own(self, tmp_path: Path) -> None:
        expected = Environment(tmp_path / "environment", ROOT)
        steps = Install.install_steps(expected, Path("/usr/bin/python3"))
        assert steps[0] == ["/usr/bin/python3", "-m", "venv", str(expected.folder)]
        assert all(step[0] == str(expected.python) for step in steps[1:])
        assert str(ROOT / "requirements.txt") in steps[2]

    @pytest.mark.usefixtures("room")
    def test_without_the_source_it_is_fetched_first(self, tmp_path: Path) -> None:
        expected = Environment(tmp_path / "environment", tmp_path / "source")
        first = Install.install_steps(expected, Path("/usr/bin/python3"))[0]
        assert first[1:] == [SourceDownload.__file__, Install.SOURCE_URL, str(expected.source)]

    def test_without_the_room_nothing_begins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Install, "NEEDED_GB", 10_000_000)
        with pytest.raises(InstallError, match="GB left"):
            Install.install_steps(Environment(tmp_path, ROOT), Path(sys.executable))

    @pytest.mark.usefixtures("room")
    def test_they_run_and_pip_installs_into_it(self, tmp_path: Path) -> None:
        """The real steps, on a source that needs nothing, without an index, and with this Python's
        pip in place of the one that the environment gets.
        """
        source = tmp_path / "source"
        (source / "monailabel_app").mkdir(parents=True)
        (source / "monailabel_app" / "main.py").write_text("")
        (source / "requirements.txt").write_text("")
        expected = Environment(tmp_path / "environment", source)
        steps = Install.install_steps(expected, Path(sys.executable))
        venv = [*steps[0], "--without-pip"]
        pip = [sys.executable, *steps[2][1:-1], "--no-index", "--dry-run"]
        process = Process([venv, pip], Install.server_variables(os.environ, ""))
        process.start()
        output = lines_until_ended(process)
        assert process.exit_status == 0, output
        assert expected.python.exists()
        assert not expected.is_ready

    def test_the_server_gets_no_variable_of_slicers_launcher(self) -> None:
        outside = {"PATH": "/bin", "PYTHONHOME": "/slicer", "LD_LIBRARY_PATH": "/slicer/lib"}
        inside = Install.server_variables(outside, "a-token-for-the-tests")
        assert inside["PATH"] == "/bin"
        assert inside["SEGSAM_TOKEN"] == "a-token-for-the-tests"
        assert not {"PYTHONHOME", "LD_LIBRARY_PATH"} & set(inside)

    def test_the_token_is_not_on_the_command_line(self) -> None:
        ready = Environment(ROOT / ".venv", ROOT)
        if not ready.is_ready:
            pytest.skip("the project's own environment is not there: make test")
        command = Install.start_command(ready, NOWHERE, 8123)
        assert command[-4:] == ["--host", "127.0.0.1", "--port", "8123"]
        assert not any("token" in word.lower() for word in command)

    def test_a_server_that_is_not_installed_is_not_started(self, tmp_path: Path) -> None:
        with pytest.raises(InstallError, match="install it first"):
            Install.start_command(Environment(tmp_path, ROOT), tmp_path, 8000)


class TestSource:
    def test_it_is_fetched_and_unpacked(self, website: str, tmp_path: Path) -> None:
        source_zip(tmp_path / "site" / "main.zip")
        target = tmp_path / "base" / "source"
        command = [sys.executable, SourceDownload.__file__, f"{website}/main.zip", str(target)]
        process = Process([command], os.environ)
        process.start()
        output = lines_until_ended(process)
        assert process.exit_status == 0, output
        assert SourceDownload.is_source(target)
        assert sorted(path.name for path in target.parent.iterdir()) == ["source"]

    def test_what_is_not_there_is_said(self, website: str, tmp_path: Path) -> None:
        command = [
            sys.executable,
            SourceDownload.__file__,
            f"{website}/none.zip",
            str(tmp_path / "source"),
        ]
        process = Process([command], os.environ)
        process.start()
        output = lines_until_ended(process)
        assert process.exit_status == 1
        assert "404" in output[-1]

    @pytest.mark.parametrize("name", ["../../evil/", "/evil/"])
    def test_nothing_is_written_outside(self, tmp_path: Path, name: str) -> None:
        archive = source_zip(tmp_path / "bad.zip", name)
        with pytest.raises(SourceDownload.SourceError, match="outside its folder"):
            SourceDownload.unpack(archive, tmp_path / "source")
        assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]

    def test_other_archives_and_no_archives_are_refused(self, tmp_path: Path) -> None:
        other = tmp_path / "other.zip"
        with zipfile.ZipFile(other, "w") as packed:
            packed.writestr("readme.txt", "something else")
        with pytest.raises(SourceDownload.SourceError, match="not the source"):
            SourceDownload.unpack(other, tmp_path / "source")
        other.write_text("<html>")
        with pytest.raises(SourceDownload.SourceError, match="no zip"):
            SourceDownload.unpack(other, tmp_path / "source")


class TestProcess:
    def test_lines_come_while_it_runs_and_the_first_failure_ends_the_row(self) -> None:
        echo = [sys.executable, "-c", "print('one')"]
        fail = [sys.executable, "-c", "import sys; print('two'); sys.exit(4)"]
        process = Process([echo, fail, echo], os.environ)
        process.start()
        output = [line for line in lines_until_ended(process) if not line.startswith("$")]
        assert output == ["one", "two"]
        assert process.exit_status == 4

    def test_it_stops_with_all_that_it_started(self, tmp_path: Path) -> None:
        pid = tmp_path / "pid"
        inner = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
        process = Process([[sys.executable, "-c", outer]], os.environ)
        process.start()
        wait(lambda: pid.exists() and pid.read_text())
        process.stop()
        lines_until_ended(process)
        assert process.is_stopped
        wait(lambda: not Path(f"/proc/{pid.read_text()}").exists())

    def test_a_command_that_is_not_there(self) -> None:
        with pytest.raises(ProcessError, match="could not be started"):
            Process([["/nowhere/python"]], os.environ).start()


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
