"""JSON files of the study: base of the stored records, and placeholders for folders in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from segsam.errors import StudyError
from segsam.research.json_files import read_object
from segsam.system.atomic import write_bytes
from segsam.system.folders import make_folder
from segsam.system.records import Record

_FORMAT = 1
_DECIMALS = 6
AnyStored = TypeVar("AnyStored", bound="StoredRecord")


class StoredRecord(Record):
    """Base of the records that are stored in the folder of results. Invalid files raise
    StudyError.
    """

    refusal: ClassVar[type[StudyError]] = StudyError

    @classmethod
    def read(cls: type[AnyStored], path: Path) -> AnyStored:
        """Read a file that `write` wrote; raises StudyError for any other."""
        content = read_object(path, StudyError)
        if content.pop("format", None) != _FORMAT:
            raise StudyError(f"Expected format {_FORMAT} in {path.name}.")
        try:
            return cls.model_validate(content)
        except StudyError as error:
            raise StudyError(f"In {path.name}: {error}") from error

    def write(self, path: Path) -> Path:
        """Write the file, unless it already has this content; raises OutputError."""
        make_folder(path.parent)
        # Rounded, so that the files stay small and readable.
        content = {"format": _FORMAT} | map_leaves(self.model_dump(), _rounded)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_bytes(path, text.encode())
        return path


def map_leaves(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return plain values with `change` applied to all that is no mapping and no sequence."""
    if isinstance(value, Mapping):
        return {str(key): map_leaves(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_leaves(item, change) for item in value]
    return change(value)


def insert_folders(value: Any, folders: Mapping[str, str]) -> Any:
    """Return plain values with `{name}` replaced by the folder of that name in every text."""

    def inserted(leaf: Any) -> Any:
        if isinstance(leaf, str):
            for name, folder in folders.items():
                leaf = leaf.replace(f"{{{name}}}", folder)
        return leaf

    return map_leaves(value, inserted)


def remove_folders(value: Any, folders: Mapping[str, str]) -> Any:
    """Return plain values with each folder replaced by `{name}`; reverses `insert_folders`."""
    longest_first = sorted(folders.items(), key=lambda item: -len(item[1]))

    def removed(leaf: Any) -> Any:
        if isinstance(leaf, str):
            for name, folder in longest_first:
                leaf = leaf.replace(folder, f"{{{name}}}")
        return leaf

    return map_leaves(value, removed)


def _rounded(leaf: Any) -> Any:
    return round(leaf, _DECIMALS) if isinstance(leaf, float) else leaf
