"""A process that saves labels until it is stopped: `python saver.py FOLDER LABELS IMAGE... `.

LABELS holds 1.nii.gz, 2.nii.gz, ...; each save that was acknowledged is one line of output: the
image, the version, its SHA-256.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from segsam_app.store import Store


def main() -> None:
    folder, labels, *images = sys.argv[1:]
    files = sorted(Path(labels).iterdir())
    store = Store(folder, on_image=lambda _: None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    rounds = zip(itertools.cycle(images), itertools.cycle(files))
    for image, file in rounds:
        version = store.save(image, file, "final", {"client_id": "saver"})
        sys.stdout.write(f"{image} {version.number} {version.sha256}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
