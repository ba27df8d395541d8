"""Study folder that this process may only read: its store keeps the index in memory."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from monailabel.config import settings

from segsam_app.storage.index import Index
from segsam_app.storage.label_history import LabelHistory
from segsam_app.storage.reconcile import changed_entries
from segsam_app.storage.scan import FolderContents, FolderScanner
from segsam_app.storage.write_lock import WriteLock

logger = logging.getLogger(__name__)


class ReadOnlyAccess:
    """Part of the store for a folder that it may not write to."""

    _index: Index
    _scanner: FolderScanner
    _write_lock: WriteLock

    def history_of(self, image_id: str, tag: str) -> LabelHistory:
        """Return the history of a label."""
        raise NotImplementedError

    def is_label(self, file: Path, image_id: str, ending: str) -> bool:
        """Return False for a file that is no label of an image with this ending."""
        raise NotImplementedError

    def adopt(self, image_id: str, tag: str, ending: str, endings: set[str]) -> None:
        """Make versions of labels that another program wrote."""
        raise NotImplementedError

    def _scanning(self) -> AbstractContextManager[None]:
        """Adopt labels for a limited time within the block."""
        raise NotImplementedError

    def _adopt_asides(self, contents: FolderContents) -> None:
        """Make versions of labels that gave way to others, or list them."""
        raise NotImplementedError

    def _name_what_is_no_label(self, contents: FolderContents) -> None:
        """List the files among the labels that can be none."""
        raise NotImplementedError

    @property
    def is_read_only(self) -> bool:
        """True if this process may not write to the study folder."""
        return not self._write_lock.is_possible

    def check_writable(self) -> None:
        """Raise `OutputError` if this process may not write to the study folder."""
        self._write_lock.check()

    def _opened_read_only(self, folder: str) -> bool:
        """Set what MONAI Label's constructor sets, without the folders that it makes, and return
        True; False if the folder can be written to.
        """
        if not self.is_read_only:
            return False
        self._datastore_path = folder
        self._datastore_config_path = str(self._index.path)
        self._extensions = list(settings.MONAI_LABEL_DATASTORE_FILE_EXT)
        logger.warning("the study folder can only be read: labels cannot be saved")
        return self._reconciled_in_memory()

    def _reconciled_in_memory(self) -> bool:
        """Bring the index in memory in line with the files, none of which is changed, and return
        True; False if the folder can be written to.
        """
        if not self.is_read_only:
            return False
        self._index.is_read_only = True
        try:
            self._index.catch_up()
            objects = self._index.model.objects
            contents = self._scanner.scan({key: each.image.ext for key, each in objects.items()})
            with self._scanning():
                changed = changed_entries(objects, contents, self, thorough=False)
                self._adopt_asides(contents)
            self._index.remember(changed)
            self._name_what_is_no_label(contents)
        finally:
            self._index.is_read_only = False
        return True
