"""Files of measured objects, .npz or .csv, one row per object; calibration and plots read them.

Columns are the fields of `ObjectScore`, empty (or NaN) where a value is None. An .npz
holds each column as an array of N rows, `class_logits` as (N, K + 1) and the K `categories` by
name, and what a memory of examples is made of, `descriptions` (N, D) and `image_descriptions`
(N, 2 C) in half precision; a .csv holds one column more per class, `logit 0` for "no object" and
`logit <category>`.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsam.categories.segment_names import learnt_name
from segsam.errors import EvaluationError
from segsam.evaluation.records import ObjectScore
from segsam.system.atomic import write_bytes
from segsam.system.reasons import reason_of

TEXTS = ("dataset", "modality", "prompt", "case", "patient", "name")
WHOLE = ("slice", "label", "category", "found", "named")
FRACTIONS = (
    "share",
    "predicted_iou",
    "dsc",
    "mdsc",
    "semantic_dsc",
    "confidence",
    "agreement",
)
_LOGIT, _NO_OBJECT = "logit ", "0"


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Columns of N objects."""

    columns: Mapping[str, NDArray[Any]]
    """Texts, whole numbers and float64 fractions (N,), NaN for None."""
    class_logits: NDArray[np.float32]
    """(N, K + 1), "no object" first, NaN without semantics; (N, 0) if no object has any."""
    categories: tuple[str, ...]
    descriptions: NDArray[np.float32]
    """(N, D) of the objects for a memory of examples; (N, 0) without."""
    image_descriptions: NDArray[np.float32]
    """(N, 2 C) of their images; (N, 0) without."""

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.columns["dataset"])

    @classmethod
    def of(cls, objects: Sequence[ObjectScore], categories: Sequence[str]) -> ObjectTable:
        """Return the objects of an evaluation as columns; `categories` are the checkpoint's."""
        columns: dict[str, NDArray[Any]] = {
            name: np.array([getattr(one, name) for one in objects], dtype=kind)
            for names, kind in ((TEXTS, np.str_), (WHOLE, np.int64), (FRACTIONS, np.float64))
            for name in names
        }
        width = len(categories) + 1 if any(one.class_logits is not None for one in objects) else 0
        logits = np.full((len(objects), width), np.nan, dtype=np.float32)
        for row, one in enumerate(objects):
            if one.class_logits is not None:
                logits[row] = one.class_logits
        return cls(
            columns,
            logits,
            tuple(categories) if width else (),
            _rows([one.description for one in objects]),
            _rows([one.image_description for one in objects]),
        )

    @property
    def has_name(self) -> NDArray[np.bool_]:
        """(N,) False for masks without a name, of which no name is asked."""
        return np.array([bool(learnt_name(name)) for name in self.columns["name"].tolist()], bool)

    def select(self, rows: NDArray[np.bool_]) -> ObjectTable:
        """Return the rows where a mask (N,) is True."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return ObjectTable(
            columns,
            self.class_logits[rows],
            self.categories,
            self.descriptions[rows],
            self.image_descriptions[rows],
        )

    @classmethod
    def joined(cls, tables: Sequence[ObjectTable]) -> ObjectTable:
        """Join tables of one checkpoint; raises EvaluationError if they are of several."""
        if len({table.categories for table in tables}) != 1:
            raise EvaluationError(
                "Expected files of objects of one checkpoint, got different categories."
            )
        if len({table.descriptions.shape[1] for table in tables}) != 1:
            raise EvaluationError(
                "Expected files of objects that all have descriptions (.npz of one version), or "
                "none, got both."
            )
        columns = {
            name: np.concatenate([table.columns[name] for table in tables])
            for name in (*TEXTS, *WHOLE, *FRACTIONS)
        }
        logits, descriptions, images = (
            np.concatenate([getattr(table, name) for table in tables])
            for name in ("class_logits", "descriptions", "image_descriptions")
        )
        return cls(columns, logits, tables[0].categories, descriptions, images)


def _rows(each: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """Return one row per object; (N, 0) if any has none."""
    found = [one for one in each if one is not None]
    if not found or len(found) < len(each):
        return np.zeros((len(each), 0), dtype=np.float32)
    return np.stack(found)


def save_objects(path: Path, objects: Sequence[ObjectScore], categories: Sequence[str]) -> None:
    """Write .npz or .csv, whole or not at all; raises OutputError."""
    table = ObjectTable.of(objects, categories)
    if path.suffix == ".npz":
        content = io.BytesIO()
        np.savez_compressed(
            content,
            **dict(table.columns),
            class_logits=table.class_logits,
            categories=np.array(table.categories, dtype=np.str_),
            descriptions=table.descriptions.astype(np.float16),
            image_descriptions=table.image_descriptions.astype(np.float16),
        )
        write_bytes(path, content.getvalue())
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [_NO_OBJECT, *table.categories] if table.categories else []
    writer.writerow([*table.columns, *(_LOGIT + name for name in names)])
    for row in range(len(table)):
        values = [_cell(column[row]) for column in table.columns.values()]
        writer.writerow([*values, *map(_cell, table.class_logits[row])])
    write_bytes(path, text.getvalue().encode())


def load_objects(path: str | Path) -> ObjectTable:
    """Read what `save_objects` wrote.

    Raises:
        EvaluationError: no such file, or another content.
    """
    path = Path(path)
    try:
        table = _from_npz(path) if path.suffix == ".npz" else _from_csv(path)
    except FileNotFoundError as error:
        raise EvaluationError(f"Expected a file of objects, got no file {path.name}.") from error
    except (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile, csv.Error) as error:
        raise EvaluationError(
            f"Expected the objects that segsam evaluate --objects writes in {path.name}, but "
            f"{reason_of(error)}."
        ) from error
    if len({len(column) for column in (*table.columns.values(), table.class_logits)}) != 1:
        raise EvaluationError(
            f"Expected columns of one length in {path.name}, got different lengths."
        )
    return table


def _from_npz(path: Path) -> ObjectTable:
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in (*TEXTS, *WHOLE, *FRACTIONS)}
        return ObjectTable(
            columns,
            file["class_logits"],
            tuple(file["categories"].tolist()),
            file["descriptions"].astype(np.float32),
            file["image_descriptions"].astype(np.float32),
        )


def _from_csv(path: Path) -> ObjectTable:
    with path.open(encoding="utf-8", newline="") as file:
        heading, *rows = csv.reader(file)
    cells = {name: [row[column] for row in rows] for column, name in enumerate(heading)}
    columns: dict[str, NDArray[Any]] = {name: np.array(cells[name], np.str_) for name in TEXTS}
    columns |= {name: np.array(cells[name], dtype=np.int64) for name in WHOLE}
    columns |= {name: _numbers(cells[name]) for name in FRACTIONS}
    names = [name.removeprefix(_LOGIT) for name in heading if name.startswith(_LOGIT)]
    logits = [_numbers(cells[_LOGIT + name]) for name in names]
    values = np.stack(logits, axis=1) if logits else np.zeros((len(rows), 0))
    none = np.zeros((len(rows), 0), dtype=np.float32)
    return ObjectTable(columns, values.astype(np.float32), tuple(names[1:]), none, none)


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    return np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)


def _cell(value: Any) -> str:
    return "" if isinstance(value, np.floating) and np.isnan(value) else str(value)
