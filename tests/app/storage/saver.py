"""A process that starts savers: `python saver.py`, then one line of JSON for each on its standard
input, [REPORT, FOLDER, LABELS, IMAGE, ...].

A saver is forked, so that importing the store is paid for once. It saves labels of the images until
it is killed; LABELS holds 1.nii.gz, 2.nii.gz, .... Into the named pipe REPORT it writes its process
id, then a line for each save that was acknowledged: the image, the version, its SHA-256.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path

from segsam_app.storage.store import Store


def save_endlessly(report: str, folder: str, labels: str, *images: str) -> None:
    files = sorted(Path(labels).iterdir())
    store = Store(folder, on_image=lambda _: None)
    with Path(report).open("w", buffering=1) as pipe:
        pipe.write(f"{os.getpid()}\n")
        for image, file in zip(itertools.cycle(images), itertools.cycle(files)):
            version = store.save(image, file, "final", {"client_id": "saver"})
            pipe.write(f"{image} {version.number} {version.sha256}\n")


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # killed savers leave no zombies
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if os.fork() == 0:
            save_endlessly(*json.loads(line))


if __name__ == "__main__":
    main()
