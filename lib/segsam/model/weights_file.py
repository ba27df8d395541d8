"""Reading of the state dict in a file of `torch.save`, without running any code of the file.

Published files contain more than weights: SAM-Med2D's and SAM-UNet's have a whole optimizer object,
which PyTorch's own weights-only reader refuses. Here only tensors and plain containers are built;
every other class that a file names becomes a placeholder without behaviour. Tensors outside the
state dict are not even read.
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
"""First bytes of every file of torch.save since 2020; older ones are bare pickles."""
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
"""Errors that a damaged or hostile file causes (found by damaging files at random)."""


def read_state(content: bytes, file_name: str) -> dict[str, Tensor]:
    """Read the weights in the bytes of a `.pth` file, by name.

    The state dict may be the whole file, or be in it under "model" or "state_dict"; the prefix
    "module." of distributed training is removed. `file_name` is for the messages.

    Raises:
        CheckpointError: not a file of torch.save, damaged, or without a state dict.
    """
    if not content.startswith(_ZIP_MAGIC):
        raise CheckpointError(
            f"Expected a file written by torch.save in {file_name}, got something else."
        )
    try:
        with _Archive(content) as archive:
            unknown, named = archive.named_tensors()
            if named is not None:
                return {key: archive.tensor(entry) for key, entry in named.items()}
    except _UNREADABLE as error:
        raise CheckpointError(
            f"Expected plain weights in {file_name}, got a file that cannot be read as such "
            f"({type(error).__name__})."
        ) from error
    if unknown:
        raise CheckpointError(
            f"Expected plain weights in {file_name}, got a file that holds something else and no "
            f"state dict ({unknown[0]})."
        )
    raise CheckpointError(f"Expected a state dict of tensors in {file_name}.")


class _Storage(NamedTuple):
    """Numbers of one type in one entry of the archive."""

    dtype: torch.dtype
    key: str
    length: int


class _Entry(NamedTuple):
    """Location of a tensor that is not read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _StorageType(NamedTuple):
    dtype: torch.dtype


class _PlainDict(dict[Any, Any]):
    """Replacement of an OrderedDict; attributes are not restored."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignore it."""


class _Placeholder:
    """Replacement of everything that is not weights: accepts every call and does nothing."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> _Placeholder:
        """Accept any arguments."""
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> _Placeholder:
        return self

    def __setstate__(self, state: object) -> None:
        """Ignore it."""

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore it."""

    append = extend = add = __setstate__


class _RebuildTensor:
    """Function that a file calls for each tensor: storage, offset, size, stride, others unused."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Entry:
        numbers = (offset, *size, *stride)
        plain = isinstance(storage, _Storage) and all(type(number) is int for number in numbers)
        if not plain or min(numbers) < 0 or len(size) != len(stride):
            raise UnpicklingError("a tensor in an unknown format")
        return _Entry(storage, offset, tuple(size), tuple(stride))


class _RebuildParameter:
    """Function that a file calls for each parameter: its tensor, others unused."""

    __slots__ = ()

    def __call__(self, data: Any, *_: object) -> Any:
        return data


class _Reader(Unpickler):  # noqa: S301 — it never imports a name of the file
    """Unpickler that can build nothing but the classes above."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.unknown: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return our replacement of a name in the file; the name itself is never imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return _PlainDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _RebuildParameter()
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        self.unknown.append(f"{module}.{name}")
        return _Placeholder

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a file refers to."""
        _, kind, key, _, count = pid
        if not isinstance(kind, _StorageType) or type(key) is not str or type(count) is not int:
            raise UnpicklingError("a storage in an unknown format")
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
        """Return the names in the file besides weights, and the state dict if there is one."""
        reader = _Reader(io.BytesIO(self._raw("data.pkl")))
        loaded = reader.load()
        for wrapper in _WRAPPERS:
            if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
                loaded = loaded[wrapper]
        if not isinstance(loaded, dict) or not loaded:
            return reader.unknown, None
        if not all(isinstance(entry, _Entry) for entry in loaded.values()):
            return reader.unknown, None
        named = {str(key).removeprefix("module."): entry for key, entry in loaded.items()}
        return reader.unknown, named

    def tensor(self, entry: _Entry) -> Tensor:
        """Read one tensor into memory of its own.

        A damaged or hostile file may describe a tensor that is larger than its storage; it must not
        be read beyond its end.
        """
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
        """Read an entry's bytes. torch.save does not compress, so no archive bomb is possible."""
        info = self._zip.getinfo(self._root + name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnpicklingError("a compressed entry")
        return self._zip.read(info)
