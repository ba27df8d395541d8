"""The state dict in a file of `torch.save`, read so that nothing in the file can run.

Published files hold more than weights: SAM-Med2D's and SAM-UNet's keep a whole optimizer object,
which PyTorch's own weights-only reader refuses. Here only tensors and plain containers are built;
whatever else a file names becomes an inert stand-in that is never used. Tensors outside the state
dict are not even read.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pickle import Unpickler, UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segsam.errors import CheckpointError

_ZIP_MAGIC = b"PK\x03\x04"
"""How every file of torch.save begins since 2020; older ones are bare pickles."""
_WRAPPERS = ("model", "state_dict")
_STORAGES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_UNREADABLE = (
    UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a damaged or hostile file makes the reader raise (found by damaging files at random)."""


def read_state(content: bytes, file_name: str) -> dict[str, Tensor]:
    """The weights in the bytes of a `.pth` file, by name.

    A state dict may be the file itself, or stand in it under "model" or "state_dict"; a prefix
    "module." of distributed training is taken off. `file_name` is for the messages.

    Raises:
        CheckpointError: not a file of torch.save, damaged, or without a state dict.
    """
    if not content.startswith(_ZIP_MAGIC):
        raise CheckpointError(
            f"Expected a file written by torch.save in {file_name}, got something else."
        )
    try:
        with _Archive(content) as archive:
            strangers, named = archive.named_tensors()
            if named is not None:
                return {key: archive.tensor(entry) for key, entry in named.items()}
    except _UNREADABLE as error:
        raise CheckpointError(
            f"Expected plain weights in {file_name}, got a file that cannot be read as such "
            f"({type(error).__name__})."
        ) from error
    if strangers:
        raise CheckpointError(
            f"Expected plain weights in {file_name}, got a file that holds something else and no "
            f"state dict ({strangers[0]})."
        )
    raise CheckpointError(f"Expected a state dict of tensors in {file_name}.")


class _Storage(NamedTuple):
    """Numbers of one kind in one entry of the archive."""

    dtype: torch.dtype
    key: str
    length: int


class _Entry(NamedTuple):
    """Where a tensor is: not yet read."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _StorageType(NamedTuple):
    dtype: torch.dtype


class _PlainDict(dict[Any, Any]):
    """In place of an OrderedDict; attributes are not restored."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Leave it out."""


class _Inert:
    """In place of everything that is not weights: takes all it is told and does nothing."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> _Inert:
        """Whatever the arguments."""
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> _Inert:
        return self

    def __setstate__(self, state: object) -> None:
        """Leave it out."""

    def __setitem__(self, key: object, value: object) -> None:
        """Leave it out."""

    def append(self, _: object) -> None:
        """Leave it out."""

    def extend(self, _: object) -> None:
        """Leave it out."""

    def add(self, _: object) -> None:
        """Leave it out."""


class _RebuildTensor:
    """What a file calls for each tensor: storage, offset, size, stride, and what is not needed."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Entry:
        places = (offset, *size, *stride)
        plain = isinstance(storage, _Storage) and all(type(place) is int for place in places)
        if not plain or min(places) < 0 or len(size) != len(stride):
            raise UnpicklingError("a tensor that is described in no known way")
        return _Entry(storage, offset, tuple(size), tuple(stride))


class _RebuildParameter:
    """What a file calls for each parameter: its tensor, and what is not needed."""

    __slots__ = ()

    def __call__(self, data: Any, *_: object) -> Any:
        return data


class _Reader(Unpickler):  # noqa: S301 — it looks up no name of the file's
    """An unpickler that can build nothing but the classes above."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.strangers: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the file stands for: the file's own meaning is never looked up."""
        if (module, name) == ("collections", "OrderedDict"):
            return _PlainDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _RebuildParameter()
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        self.strangers.append(f"{module}.{name}")
        return _Inert

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a file points to."""
        _, kind, key, _, count = pid
        if not isinstance(kind, _StorageType) or type(key) is not str or type(count) is not int:
            raise UnpicklingError("a storage that is described in no known way")
        return _Storage(kind.dtype, key, count)


class _Archive:
    """The zip file: one pickle, and one entry of raw numbers for each storage."""

    def __init__(self, content: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        roots = [name for name in self._zip.namelist() if name.count("/") == 1]
        (pickled,) = (name for name in roots if name.endswith("/data.pkl"))
        self._root = pickled.removesuffix("data.pkl")
        if f"{self._root}byteorder" in roots and self._raw("byteorder") != b"little":
            raise UnpicklingError("numbers of another byte order")

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def named_tensors(self) -> tuple[list[str], dict[str, _Entry] | None]:
        """(what the file names besides weights, the state dict if there is one)."""
        reader = _Reader(io.BytesIO(self._raw("data.pkl")))
        loaded = reader.load()
        for wrapper in _WRAPPERS:
            if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
                loaded = loaded[wrapper]
        if not isinstance(loaded, dict) or not loaded:
            return reader.strangers, None
        if not all(isinstance(entry, _Entry) for entry in loaded.values()):
            return reader.strangers, None
        named = {str(key).removeprefix("module."): entry for key, entry in loaded.items()}
        return reader.strangers, named

    def tensor(self, entry: _Entry) -> Tensor:
        """Read one tensor, with a memory of its own."""
        storage, offset, size, stride = entry
        steps = (step * (length - 1) for step, length in zip(stride, size, strict=True))
        elements = math.prod(size)
        if elements and (offset + sum(steps) >= storage.length or elements > storage.length):
            raise UnpicklingError("a tensor that is larger than its storage")
        if not elements:
            return torch.empty(size, dtype=storage.dtype)
        raw = bytearray(self._raw(f"data/{storage.key}"))
        numbers = torch.frombuffer(raw, dtype=storage.dtype, count=storage.length)
        return numbers.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)

    def _raw(self, name: str) -> bytes:
        """An entry's bytes; torch.save stores them as they are, so nothing can unfold."""
        info = self._zip.getinfo(self._root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnpicklingError("a compressed entry")
        return self._zip.read(info)
