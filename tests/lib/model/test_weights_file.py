"""Files of torch.save: the weights come out, and nothing in them runs."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segsam.errors import CheckpointError
from segsam.model.weights_file import read_state


def saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def with_pickle(pickled: bytes, like: bytes | None = None) -> bytes:
    """A file of torch.save whose pickle is another one."""
    like = like or saved({"a": torch.arange(4.0)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(like)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("data.pkl") else old.read(name))
    return buffer.getvalue()


class Runs:
    """Unpickling it would call `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


STATE = {
    "float": torch.randn(3, 4),
    "transposed": torch.randn(3, 4).T,
    "slice": torch.randn(10)[3:7],
    "half": torch.randn(2).half(),
    "bfloat": torch.randn(2).bfloat16(),
    "double": torch.randn(2).double(),
    "count": torch.tensor(7),
    "bool": torch.tensor([True, False]),
    "empty": torch.empty(0, 3),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_tensors_of_every_kind_come_out_as_they_went_in(kind: type, protocol: int) -> None:
    found = read_state(saved(kind(STATE), pickle_protocol=protocol), "a.pth")
    assert list(found) == list(STATE)
    for key, value in STATE.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key
        assert found[key].is_contiguous()


def test_tensors_of_one_storage_come_out_apart() -> None:
    whole = torch.arange(6.0)
    found = read_state(saved({"whole": whole, "part": whole[2:4]}), "a.pth")
    found["whole"].zero_()
    assert found["part"].tolist() == [2, 3]


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
def test_the_optimizer_beside_the_weights_is_left_out(wrapper: str) -> None:
    # As in the files of SAM-Med2D and SAM-UNet, which weights-only reading refuses.
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    file = saved(
        {
            wrapper: {f"module.{key}": value for key, value in layer.state_dict().items()},
            "optimizer": optimizer,
            "epoch": 3,
            "best": np.float64(0.5),
            "args": defaultdict(list, {"path": [Path("somewhere")]}),
        }
    )
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(file), weights_only=True)
    found = read_state(file, "a.pth")
    assert list(found) == ["weight", "bias"]
    assert torch.equal(found["weight"], layer.weight)


def test_parameters_count_as_tensors() -> None:
    found = read_state(saved(dict(nn.Linear(3, 2).named_parameters())), "a.pth")
    assert not found["weight"].requires_grad
    assert found["weight"].shape == (2, 3)


@pytest.mark.parametrize("beside_weights", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_file_does_not_run(tmp_path: Path, beside_weights: bool, protocol: int) -> None:
    marker = tmp_path / "ran"
    python = f"open({str(marker)!r}, 'w')"
    attempts = [
        Runs(os.system, f"touch {marker}"),
        Runs(eval, python),  # noqa: S307
        Runs(exec, python),
        Runs(subprocess.call, ["touch", str(marker)]),
        Runs(open, str(marker), "w"),
        Runs(os.mkdir, str(marker)),
        Runs(np.save, str(marker), np.zeros(1)),
    ]
    for evil in attempts:
        weights = {"a": torch.ones(2)}
        value = {"model": weights, "optimizer": evil} if beside_weights else evil
        file = saved(value, pickle_protocol=protocol)
        if beside_weights:
            assert read_state(file, "evil.pth")["a"].tolist() == [1, 1]
        else:
            with pytest.raises(CheckpointError, match=r"Expected plain weights in evil.pth"):
                read_state(file, "evil.pth")
        assert not marker.exists()


def test_what_a_refused_file_holds_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"in evil.pth.* no state dict \((posix|nt).system\)"):
        read_state(saved({"model": Runs(os.system, "true")}), "evil.pth")


@pytest.mark.parametrize(
    "opcodes",
    [
        # GLOBAL, a state, BUILD: an attempt to change what the reader itself uses.
        b"ccollections\nOrderedDict\n}Vupdate\nK\x01sb.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}V__call__\nK\x01sb.",
        b"ctorch._utils\n_rebuild_tensor_v2\nN}V__class__\nK\x01s\x86b.",
        b"ctorch\nFloatStorage\n}Vdtype\nK\x01sb.",
        b"cos\nsystem\n}Vsystem\nK\x01sb.",
        b"cos\nsystem\n.",
        b"Vtext\n.",
        b"}.",
        b"N.",
        b"",
        b"\x80\x02",
    ],
)
def test_odd_pickles_are_refused_and_change_nothing(opcodes: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"Expected (plain weights|a state dict)"):
        read_state(with_pickle(opcodes), "odd.pth")
    assert read_state(saved({"a": torch.ones(2)}), "a.pth")["a"].tolist() == [1, 1]


def tensor_pickle(offset: object, size: object, stride: object, key: object = "0") -> bytes:
    """The pickle of {"a": a tensor described so, over a storage of four numbers}."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            return value[1:] if isinstance(value, tuple) and value[:1] == ("stored",) else None

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            storage = ("stored", "storage", torch.FloatStorage, key, "cpu", 4)
            return torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, None)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"a": Tensor()})
    return with_pickle(buffer.getvalue())


def test_the_made_up_file_is_one_that_loads() -> None:
    found = read_state(tensor_pickle(1, (3,), (1,)), "a.pth")
    assert found["a"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "made",
    [
        (0, (5,), (1,)),
        (2, (3,), (1,)),
        (0, (2, 2), (3, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (1 << 40,), (0,)),
        (0, (2, 2), (1,)),
        (0, ("2",), (1,)),
        (0, (2.0,), (1,)),
        (0, (2,), (1,), "../../../etc/passwd"),
        (0, (2,), (1,), 0),
    ],
)
def test_tensors_outside_their_storage_are_refused(made: tuple[Any, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"Expected plain weights in a.pth"):
        read_state(tensor_pickle(*made), "a.pth")


def test_a_compressed_file_is_refused() -> None:
    content, buffer = saved({"a": torch.zeros(9)}), io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match=r"Expected plain weights in bomb.pth"):
        read_state(buffer.getvalue(), "bomb.pth")


def test_the_other_byte_order_is_refused() -> None:
    content = saved({"a": torch.zeros(9)})
    assert b"little" in content
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(CheckpointError, match=r"Expected plain weights in big.pth"):
        read_state(buffer.getvalue(), "big.pth")


@pytest.mark.parametrize(
    "value", [{"epoch": 3}, {}, [torch.zeros(2)], torch.zeros(2), {"model": 1}]
)
def test_files_without_a_state_dict_are_refused(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"Expected a state dict of tensors in other.pth"):
        read_state(saved(value), "other.pth")


def test_damaged_files_are_read_or_refused() -> None:
    content = saved({"model": STATE, "optimizer": torch.optim.SGD([torch.zeros(2)], lr=0.1)})
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        try:
            read_state(bytes(damaged[: rng.integers(4, len(content) + 200)]), "damaged.pth")
        except CheckpointError:
            refused += 1
    assert refused > 100
