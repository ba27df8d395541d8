"""Facts about a fetched series that its NIfTI file cannot hold: modality, display, planes, notes.

They are kept beside the file, so that a series is shown, sliced and annotated like the DICOM files
that it came from.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field
from typing_extensions import Self

from segsam.errors import SegSamError
from segsam.imaging.volume import Volume
from segsam.system.atomic import write_bytes
from segsam_app.records import LaxRecord

logger = logging.getLogger(__name__)


class SeriesFacts(LaxRecord):
    """Facts in the headers of a series beyond voxels and geometry."""

    modality: Annotated[str, Field(max_length=64)] | None = None
    is_shown_inverted: bool = False
    slice_axis: Annotated[int, Field(ge=0, le=2)] | None = None
    notes: tuple[Annotated[str, Field(max_length=2000)], ...] = ()

    @classmethod
    def of(cls, volume: Volume) -> Self:
        """Return the facts about a volume that was read from DICOM."""
        return cls(
            modality=volume.modality,
            is_shown_inverted=volume.is_shown_inverted,
            slice_axis=volume.slice_axis,
            notes=volume.notes,
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the facts in a file; None if it is missing or damaged (which is logged)."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, SegSamError) as error:
            logger.warning("the facts about a series cannot be read: %s", error)
            return None

    def save(self, path: Path) -> None:
        """Write the facts. Raises OutputError."""
        write_bytes(path, self.to_json().encode())

    def added_to(self, volume: Volume) -> Volume:
        """Return the volume, which was read from the NIfTI file of the series, with the facts."""
        return replace(
            volume,
            modality=self.modality,
            is_shown_inverted=self.is_shown_inverted,
            slice_axis=self.slice_axis,
            notes=(*self.notes, *volume.notes),
        )
