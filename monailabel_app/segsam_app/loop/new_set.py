"""Session that measures first labels of a new set: labelled volumes are saved, one training after
another follows, and the other volumes are segmented without prompts.

for 4, 12, ... labelled volumes:  labels --the server learns names--> found by name
                                  --a training--> first labels, boxes, points
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console

from segsam.demo.checking import dice, read_labels
from segsam.remote.client import Client, Reply, ServerError
from segsam.remote.masks import decode_mask
from segsam.system.atomic import write_json
from segsam_app.loop.references import Kind, Reference
from segsam_app.loop.session import dice_by_prompt, wait_for_training

_POLL_SECONDS = 2.0
_LEARNING_SECONDS = 7200.0
"""Longest wait until the server has learnt the names of the labels."""

ByName = dict[str, dict[str, float]]
"""Volume -> name of a structure -> Dice in percent."""


ByValue = Mapping[str, NDArray[np.bool_]]
"""Name of a structure -> its mask (i, j, k)."""


@dataclass(frozen=True)
class Plan:
    """Numbers of labelled volumes, in ascending order, settings of the trainings, and whether boxes
    and points are measured.
    """

    counts: Sequence[int]
    settings: Mapping[str, Any]
    prompts: bool = False


class NewSet:
    """One annotator, one server, and a set of volumes whose findings are kept in a file, from which
    a session that was stopped goes on.

    Args:
        client: of the server.
        pid: of the server's process.
        labelled: volumes to label, in this order.
        measured: volumes that are never labelled.
        file: JSON of the findings.
        console: for a line for each step.
    """

    def __init__(
        self,
        client: Client,
        pid: int,
        labelled: Sequence[Reference],
        measured: Sequence[Reference],
        *,
        file: Path,
        console: Console,
    ) -> None:
        self._client, self._server, self._console = client, psutil.Process(pid), console
        self._labelled, self._measured, self._file = labelled, measured, file
        self._done: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}

    def run(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """Do all steps; `folder` gets the label files. Raises ServerError."""
        self._step("new names", self._new_names)
        has_new_names = bool(self._done["new names"]["result"])
        if not has_new_names:
            self._step("0 first labels", self._first_labels_of_all)
        if plan.prompts:
            self._step("0 prompted", self._prompted)
        for before, count in zip((0, *plan.counts), plan.counts, strict=False):
            self._step(f"{count} saved", partial(self._save, before, count, folder))
            self._step(f"{count} learnt", self._wait_until_learnt)
            if has_new_names:
                self._step(f"{count} by name", self._found_of_all)
            self._step(f"{count} training", partial(self._train, plan.settings))
            self._step(f"{count} first labels", self._first_labels_of_all)
            if plan.prompts:
                self._step(f"{count} prompted", self._prompted)
        return self._done

    def _new_names(self) -> list[str]:
        """Return the names of the set that the server's model does not have."""
        models = self._client.info()["models"]
        known = set(models["segsam"]["checkpoint"]["categories"])
        return sorted({name for one in self._measured for name in one.names.values()} - known)

    def _step(self, name: str, work: Callable[[], Any]) -> None:
        """Do a step that was not done before, and keep its result with its seconds."""
        if name in self._done:
            return
        start, used = time.monotonic(), self._processor_seconds()
        result = work()
        seconds = round(time.monotonic() - start, 1)
        used = round(self._processor_seconds() - used, 1)
        self._done[name] = {"result": result, "seconds": seconds, "processor_seconds": used}
        write_json(self._file, self._done)
        self._console.print(f"{name}: {seconds:.0f} s; {_in_words(result)}", soft_wrap=True)

    def _processor_seconds(self) -> float:
        """Return the processor time of the server's process with the children that have ended."""
        times = self._server.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _save(self, before: int, count: int, folder: Path) -> list[str]:
        for number, one in enumerate(self._labelled[before:count], start=before):
            file, names = one.save_labels(folder, number)
            self._client.save_label(one.name, file, names)
        return [one.name for one in self._labelled[before:count]]

    def _wait_until_learnt(self) -> list[dict[str, Any]]:
        """Wait until the server has learnt from all labels; return the names that it learnt."""
        end = time.monotonic() + _LEARNING_SECONDS
        while (known := self._client.memory("GET"))["learning"]:
            if time.monotonic() > end:
                raise ServerError(f"Nothing was learnt within {_LEARNING_SECONDS:.0f} s.")
            time.sleep(_POLL_SECONDS)
        return [{"name": one["name"], "learnt": one["learnt"]} for one in known["names"]]

    def _train(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        version = wait_for_training(self._client, settings, self._console)
        self._client.use_version(version["id"])  # measured even if it was not promoted
        keys = ("id", "promoted", "why", "notes", "metrics", "evidence")
        return {key: version.get(key) for key in keys} | {"training": self._client.training()}

    def _prompted(self) -> dict[Kind, dict[str, float]]:
        return dice_by_prompt(self._client, self._measured)

    def _first_labels_of_all(self) -> ByName:
        return self._dice_of_all(self._first_labels)

    def _found_of_all(self) -> ByName:
        return self._dice_of_all(self._found)

    def _dice_of_all(self, segment: Callable[[Reference], ByValue]) -> ByName:
        return {one.name: self._dice_of(one, segment(one)) for one in self._measured}

    def _dice_of(self, reference: Reference, masks: ByValue) -> dict[str, float]:
        """Return the Dice of each structure of a volume; 0 for one that was not found."""
        found = {}
        for value, name in reference.names.items():
            truth = reference.labels == value
            if truth.any():
                mask = masks.get(name)
                found[name] = 0.0 if mask is None else round(100 * dice(mask, truth), 1)
        return found

    def _first_labels(self, reference: Reference) -> ByValue:
        reply = self._client.first_labels(reference.name, {"result_extension": ".nii.gz"})
        names = dict(reply.params["label_names"])
        labels = _labels_of(reply)
        return {name: labels == value for name, value in names.items()}

    def _found(self, reference: Reference) -> ByValue:
        params = {"find": sorted(set(reference.names.values())), "result": "region"}
        reply = self._client.infer_image(reference.name, params).params
        shape = reference.labels.shape
        return {one["name"]: decode_mask(one["mask"], shape) for one in reply["objects"]}


def _labels_of(reply: Reply) -> NDArray[np.integer[Any]]:
    """Return the label volume (i, j, k) in a reply."""
    if reply.file is None:
        raise ServerError("Expected a label file in the reply, got none.")
    with tempfile.TemporaryDirectory(prefix="segsam-first-") as folder:
        file = Path(folder) / "labels.nii.gz"
        file.write_bytes(reply.file)
        return np.asarray(read_labels(file))


def mean(found: ByName) -> float:
    """Return the mean over all structures of all volumes."""
    return float(np.mean([value for one in found.values() for value in one.values()]))


def _in_words(result: Any) -> str:
    if isinstance(result, dict) and result and all(isinstance(x, dict) for x in result.values()):
        return f"mean {mean(result):.1f}"
    if isinstance(result, dict):
        return str(result.get("why", ""))
    return ", ".join(str(one) for one in result)
