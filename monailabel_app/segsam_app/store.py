"""The study folder: MONAI Label's local data store, which tells when an image arrives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.datastore.local import LocalDatastore


class Store(LocalDatastore):
    """`LocalDatastore` with MONAI Label's settings; `on_image` is called with the file of every
    new image.
    """

    def __init__(self, folder: str, *, on_image: Callable[[Path], None]) -> None:
        self._on_image = on_image
        super().__init__(
            folder,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep the image and announce it."""
        image_id = super().add_image(image_id, image_filename, image_info)
        self._on_image(Path(self.get_image_uri(image_id)))
        return image_id
