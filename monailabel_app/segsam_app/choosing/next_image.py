"""Next image to annotate: the first choice of a strategy that can be opened."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from segsam.errors import VolumeError
from segsam_app.choosing.refused import RefusedImages
from segsam_app.errors import BusyError, PacsAwayError, PacsError, PacsSlowError
from segsam_app.inference.engine import Engine

_SEARCH_SECONDS = 30.0


def next_image(
    strategy: Strategy,
    request: dict[str, Any],
    store: Datastore,
    engine: Engine,
    refused: RefusedImages,
) -> dict[str, Any]:
    """Return {"id", "why", "score", "path", "notes"} of an image that was opened; {} if none can be
    opened.

    Those that cannot are added to `refused`, so that the strategy chooses another one. Raises
    `BusyError` if that takes long, and `PacsError` if the DICOMweb server cannot be reached.
    """
    end = time.monotonic() + _SEARCH_SECONDS
    while choice := strategy(request, store):
        image_id, path = str(choice["id"]), None
        try:
            path = Path(store.get_image_uri(image_id))
            volume = engine.volume(path)
            return {**choice, "path": str(path), "notes": list(volume.notes)}
        except (PacsAwayError, PacsSlowError):
            raise
        except (VolumeError, PacsError) as error:
            refused.add(image_id, path, error)
        if time.monotonic() > end:
            raise BusyError(
                "many images cannot be opened, and the search for one that can goes on with the "
                "next request; GET /segsam/health names some"
            )
    return {}
