"""SEG-SAM: promptable segmentation of medical images that also names the segmented structures.

Example:

    volume = segsam.Volume.load("ct.nii.gz")
    predictor = segsam.Predictor.from_pretrained()
    predictor.set_volume(volume)
    box = segsam.Box((90, 60, 25), (150, 120, 40))
    result = predictor.predict(segsam.Prompts(boxes=[box]))
    result.save("liver.nii.gz")

Names are imported at first use. `import segsam` is therefore fast, and the command line can set up
the process before PyTorch is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segsam.categories import Categories
    from segsam.errors import SegSamError
    from segsam.imaging.volume import Volume
    from segsam.model import SegSam, load_pretrained
    from segsam.prediction.embeddings import EmbeddingCache
    from segsam.prediction.predictor import Predictor
    from segsam.prediction.result import Result
    from segsam.prompting.prompts import Box, Point, Prompts

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

_MODULE_OF = {
    "Box": "prompting.prompts",
    "Categories": "categories",
    "EmbeddingCache": "prediction.embeddings",
    "Point": "prompting.prompts",
    "Predictor": "prediction.predictor",
    "Prompts": "prompting.prompts",
    "Result": "prediction.result",
    "SegSam": "model",
    "SegSamError": "errors",
    "Volume": "imaging.volume",
    "load_pretrained": "model",
}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'segsam' has no attribute {name!r}")
    return getattr(import_module(f"segsam.{module}"), name)


def __dir__() -> list[str]:
    return __all__
