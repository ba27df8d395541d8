"""Publishes versions until it is stopped: `python -m tests.app.publisher FOLDER CHECKPOINT`."""

from __future__ import annotations

import itertools
import sys
from functools import partial
from pathlib import Path

import torch

import segsam.model.checkpoint as checkpoint_module
from segsam.model import load_pretrained, read_card, save_checkpoint
from segsam_app.versions.line import open_line
from segsam_app.versions.record import VersionRecord
from segsam_app.versions.shelf import Versions

from ...lib.conftest import TinyHost


def publish(
    line: Versions, checkpoint: Path, *, promoted: bool, shift: float = 0.5
) -> VersionRecord:
    """A version whose weights are a little off those of the checkpoint."""
    model = load_pretrained(checkpoint)
    with torch.no_grad():
        model.host.mask_decoder.iou_token.weight += shift
    card = read_card(checkpoint)

    def described(version: str, sha256: str) -> VersionRecord:
        return VersionRecord(id=version, why="a test", promoted=promoted, sha256=sha256, cases=1)

    return line.publish(lambda path: save_checkpoint(model, path, card), described)


def main() -> None:
    folder, checkpoint = map(Path, sys.argv[1:])
    checkpoint_module.HOSTS = {"tiny": TinyHost}
    line = open_line(folder, str(checkpoint))
    again = partial(publish, line, checkpoint, promoted=True)
    with line.training():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for number in itertools.count():
            again(shift=number)


if __name__ == "__main__":
    main()
