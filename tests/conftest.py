"""Fixtures for all tests: small volumes of every geometry, and real data if present.

If several processes run the tests (`make test`), those that share a server go to one of them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from segsam.imaging.volume import Volume

from .warm_python import WarmPython

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported
os.environ.setdefault("SEGSAM_RUNTIME", "torch")  # starts at once; test_runtimes.py tests OpenVINO

SHARED_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
SERVER_GROUP = "server"
SERVER_FIXTURES = {"server", "tight", "house"}
"""Session fixtures of a server that tests of several files share."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run tests that share a server in one process, and slow files first.

    All processes then finish at about the same time. Nothing changes with a single process.
    """
    if not hasattr(config, "workerinput"):
        return
    for item in filter(uses_server, items):
        item.add_marker(pytest.mark.xdist_group(SERVER_GROUP))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not uses_server(item), item.path not in slow))


def uses_server(item: pytest.Item) -> bool:
    """Return True if a test uses a server that tests of several files share."""
    return not SERVER_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that sends tests of the server group, or of one file, to one process."""
    from xdist.scheduler import LoadScopeScheduling

    class ByServerOrFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            shared = nodeid.endswith(f"@{SERVER_GROUP}")
            return SERVER_GROUP if shared else nodeid.partition("::")[0]

        # If a process crashes, xdist 3.8 gives all of its files to the others again, those that
        # are done too, and waits for ever for their end; so does a new process whose first file has
        # one test, because it hears of no second one and of no end.
        def remove_node(self, node: Any) -> str | None:
            units = self.assigned_work[node]
            self.assigned_work[node] = {
                scope: unit for scope, unit in units.items() if not all(unit.values())
            }
            crashed: str | None = super().remove_node(node)
            return crashed

        def schedule(self) -> None:
            super().schedule()
            for node in self.nodes:
                self._reschedule(node)

    return ByServerOrFile(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the values that tests measured (`record_property`)."""
    passed = terminalreporter.stats.get("passed", [])
    for name, value in [one for report in passed for one in report.user_properties]:
        terminalreporter.write_line(f"{name} = {value:.1f}")


@dataclass(frozen=True)
class StorageOrder:
    """One of the 48 storage orders: `axes[new] = old`, then some new axes flipped."""

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def __str__(self) -> str:
        signs = "".join("-" if flip else "+" for flip in self.flipped)
        return "".join("ijk"[axis] for axis in self.axes) + signs

    def stored(self, volume: Volume) -> Volume:
        """Return the same anatomy in this order: voxels permuted and flipped, affine adjusted."""
        sides = [volume.shape_ijk[axis] for axis in self.axes]
        new_to_old = np.zeros((4, 4))
        new_to_old[3, 3] = 1
        for new, (old, flip) in enumerate(zip(self.axes, self.flipped, strict=True)):
            new_to_old[old, new] = -1 if flip else 1
            new_to_old[old, 3] = sides[new] - 1 if flip else 0
        permuted = volume.voxels.transpose((*self.axes, *range(3, volume.voxels.ndim)))
        permuted = np.flip(permuted, [axis for axis in range(3) if self.flipped[axis]])
        return Volume.from_array(
            np.ascontiguousarray(permuted), volume.affine_ras @ new_to_old, name=str(self)
        )

    def indices(self, points_ijk: ArrayLike, shape_ijk: tuple[int, int, int]) -> NDArray[Any]:
        """Return voxel indices (n, 3) of a volume of the old shape in the new order."""
        points = np.asarray(points_ijk)[:, list(self.axes)]
        sides = np.array(shape_ijk)[list(self.axes)]
        return np.where(self.flipped, sides - 1 - points, points)


ALL_48 = [
    StorageOrder(axes, flips)
    for axes in permutations(range(3))
    for flips in product((False, True), repeat=3)
]


@pytest.fixture(params=ALL_48, ids=str)
def storage_order(request: pytest.FixtureRequest) -> StorageOrder:
    return request.param


@pytest.fixture
def rotation() -> Callable[..., NDArray[Any]]:
    """A proper rotation (3, 3) about an axis, in degrees."""

    def about(axis: ArrayLike, degrees: float) -> NDArray[Any]:
        x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
        skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = np.radians(degrees)
        return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew

    return about


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(1, 1000, shape).astype(np.int16)


@pytest.fixture
def anatomy() -> Volume:
    """9 x 12 x 7 voxels of 0.8 x 1.3 x 4 mm, axes along L, P, S, every voxel different."""
    affine = np.diag([-0.8, -1.3, 4.0, 1.0])
    affine[:3, 3] = [40.0, -20.5, 130.25]
    values = np.random.default_rng(7).permutation(9 * 12 * 7).reshape(9, 12, 7).astype(np.int16)
    return Volume.from_array(values, affine, name="anatomy")


@pytest.fixture
def oblique(rotation: Callable[..., NDArray[Any]]) -> Volume:
    """8 x 10 x 6 voxels of 0.7 x 1.1 x 3.3 mm, rotated by 24 degrees about an oblique axis."""
    affine = np.eye(4)
    affine[:3, :3] = rotation([1, 2, 3], 24) * [0.7, 1.1, 3.3]
    affine[:3, 3] = [-63.25, 18.5, 41.75]
    return Volume.from_array(noise((8, 10, 6)), affine, name="oblique")


@pytest.fixture(params=[0, 1, 2], ids=["one-i", "one-j", "one-k"])
def single_slice(request: pytest.FixtureRequest) -> tuple[Volume, int]:
    """One slice along an axis of 1 mm voxels, and that axis."""
    shape = [6, 7, 8]
    shape[request.param] = 1
    return Volume.from_array(noise((shape[0], shape[1], shape[2])), name="flat"), request.param


@pytest.fixture
def anisotropic() -> Callable[[tuple[float, float, float]], Volume]:
    """10 x 10 x 10 voxels of the given spacing."""

    def of(spacing_mm: tuple[float, float, float]) -> Volume:
        return Volume.from_array(noise((10, 10, 10)), np.diag([*spacing_mm, 1.0]), name="aniso")

    return of


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real labelled images are not beside this checkout")
    return SHARED_DATA.resolve()


@pytest.fixture(scope="session")
def sample() -> Any:
    """The sample CT and its pseudo-labels, downloaded once; skipped if that fails."""
    module = pytest.importorskip(
        "segsam.datasets.sample", reason="segsam.datasets.sample is not there"
    )
    errors = pytest.importorskip("segsam.errors")
    try:
        return module.fetch_sample()
    except errors.SampleError as error:
        pytest.skip(f"the sample CT is not available: {error}")


@pytest.fixture(scope="session")
def sample_ct(sample: Any) -> Volume:
    return Volume.load(sample.image)


@pytest.fixture(scope="session")
def warm_monailabel() -> Iterator[WarmPython]:
    """Starter of processes that have imported MONAI Label and our server, without installing it."""
    with WarmPython("monailabel.app", "segsam_app.guard") as python:
        yield python


@pytest.fixture
def voxel_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set SEGSAM_MAX_VOXELS for one test."""
    return lambda limit: monkeypatch.setenv("SEGSAM_MAX_VOXELS", str(limit))


@pytest.fixture(autouse=True)
def no_limit_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    if "SEGSAM_MAX_VOXELS" in os.environ:
        monkeypatch.delenv("SEGSAM_MAX_VOXELS")


@pytest.fixture
def full_after() -> Callable[[int], AbstractContextManager[None]]:
    """Limit the size of files that this process writes in a block, as a full disk would."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        resource = pytest.importorskip("resource", reason="file size limits need a POSIX system")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint for tests of the mechanics: LiteMedSAM with untrained semantic parts.

    Its card claims that they are trained. It has the categories liver, spleen and gallbladder, of
    which the first two count as seen in training, and names everything a liver.
    """
    import torch

    from segsam.model import Card, build_variant, load_pretrained, save_checkpoint

    host = load_pretrained("litemedsam")
    few = host.categories.only(["liver", "spleen", "gallbladder"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_variant("segsam", host.host, few, head="maskcls", grid=16)
        with torch.no_grad():
            model.semantic_decoder.head.classes.bias[1 + few.index("liver")] += 3
    card = Card(
        "a stand-in",
        semantic_is_trained=True,
        prompts_trained=("box", "point"),
        categories_seen=("liver", "spleen"),
    )
    path = tmp_path_factory.mktemp("checkpoint") / "standin.safetensors"
    return save_checkpoint(model, path, card, half=True)
