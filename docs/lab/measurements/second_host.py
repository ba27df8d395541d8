"""A second host for the paper's Table 5: LiteMedSAM's prompt parts behind a distilled encoder.

    python docs/lab/measurements/second_host.py RUNS/distil/model.safetensors
        --out RUNS/segsam_fast_host/model.safetensors

`docs/benchmarks/study.yaml` begins its rows `second_host` from the file this writes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from segsam.model import Card, SegSam, load_pretrained, save_checkpoint


def composed(distilled: str, host: str) -> SegSam:
    """A model without semantic parts: the encoder of one checkpoint, the prompt parts of the other.

    The second checkpoint's prompt encoder and mask decoder were trained on its own encoder's
    embeddings, which the distilled one imitates.
    """
    student, teacher = load_pretrained(distilled), load_pretrained(host)
    for part in ("prompt_encoder", "mask_decoder"):
        learnt = getattr(teacher.host, part).state_dict()
        getattr(student.host, part).load_state_dict(learnt)
    return SegSam(student.host, teacher.categories)


def main() -> int:
    """Read the command line, write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("distilled", help="what `segsam distill` wrote")
    parser.add_argument("--host", default="litemedsam", help="whose prompt parts are taken")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write")
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    card = Card(
        name=f"{chosen.host} on a distilled encoder",
        semantic_is_trained=False,
        training_data=(),
        metrics={},
        seed=0,
    )
    written = save_checkpoint(composed(chosen.distilled, chosen.host), chosen.out, card)
    sys.stdout.write(f"{written}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
