"""Publishes versions until it is stopped: `-m tests.app.versions.publisher FOLDER CHECKPOINT`."""

from __future__ import annotations

import itertools
import sys
from functools import partial
from pathlib import Path

import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.model import load_pretrained, read_card, save_checkpoint
from segsam_app.versions.folder import VersionFolder
from segsam_app.versions.record import VersionRecord

from ...lib.conftest import TinyHost


def publish(
    versions: VersionFolder, checkpoint: Path, *, promoted: bool, shift: float = 0.5
) -> VersionRecord:
    """A version whose weights are a little off those of the checkpoint."""
    model = load_pretrained(checkpoint)
    with torch.no_grad():
        model.host.mask_decoder.iou_token.weight += shift
    card = read_card(checkpoint)

    def described(version: str, sha256: str) -> VersionRecord:
        return VersionRecord(id=version, why="a test", promoted=promoted, sha256=sha256, cases=1)

    return versions.publish(lambda path: save_checkpoint(model, path, card), described)


def main() -> None:
    folder, checkpoint = map(Path, sys.argv[1:])
    checkpoint_module.HOSTS = {"tiny": TinyHost}
    versions = VersionFolder.open(folder, str(checkpoint))
    again = partial(publish, versions, checkpoint, promoted=True)
    with versions.training_lock():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for number in itertools.count():
            again(shift=number)


if __name__ == "__main__":
    main()
