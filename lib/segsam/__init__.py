"""SEG-SAM: promptable segmentation of medical images that names what it finds.

    volume    = segsam.Volume.load("ct.nii.gz") predictor = segsam.Predictor.from_pretrained()
    predictor.set_volume(volume) result    = predictor.predict(segsam.Prompts(boxes=[segsam.Box((90,
    60, 25), (150, 120, 40))])) result.save("liver.nii.gz")

The names are resolved when first used, so that `import segsam` costs nothing and the command line
can set up the process before PyTorch is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsam.categories import Categories
    from segsam.embeddings import EmbeddingCache
    from segsam.errors import SegSamError
    from segsam.model import SegSam, load_pretrained
    from segsam.predictor import Predictor
    from segsam.prompts import Box, Point, Prompts
    from segsam.result import Result
    from segsam.volume import Volume

__all__ = [
    "Box",
    "Categories",
    "EmbeddingCache",
    "Point",
    "Predictor",
    "Prompts",
    "Result",
    "SegSam",
    "SegSamError",
    "Volume",
    "load_pretrained",
]

_HOME = {
    "Box": "prompts",
    "Categories": "categories",
    "EmbeddingCache": "embeddings",
    "Point": "prompts",
    "Predictor": "predictor",
    "Prompts": "prompts",
    "Result": "result",
    "SegSam": "model",
    "SegSamError": "errors",
    "Volume": "volume",
    "load_pretrained": "model",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'segsam' has no attribute {name!r}")
    return getattr(import_module(f"segsam.{home}"), name)


def __dir__() -> list[str]:
    return __all__
