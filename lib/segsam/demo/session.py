"""Session of the demo with the server: the requests, and the results that they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from segsam.datasets.sample import Sample
from segsam.demo.checking import GeometryCheck, check_geometry, dice, read_labels
from segsam.demo.naming import ObjectName
from segsam.demo.prompting import (
    Organ,
    centre_of,
    organs_in,
    section_box,
    stock_params,
    widest_slice,
)
from segsam.demo.report import Answer, ClickTimes
from segsam.imaging.volume import Volume
from segsam.prompting.prompts import Box, Point, Prompts
from segsam.remote.client import MODEL, Client, Reply, ServerError, prompt_params
from segsam.remote.masks import decode_mask
from segsam.system.atomic import write_bytes

_AXIAL = 2


@dataclass(frozen=True)
class Case:
    """The CT that is sent, and its organs."""

    sample: Sample
    volume: Volume
    organs: tuple[Organ, ...]

    @classmethod
    def load(cls, sample: Sample) -> Case:
        """Read the CT and its labels."""
        labels = read_labels(sample.labels)
        return cls(sample, Volume.load(sample.image), organs_in(labels, sample.organs))

    def organ(self, name: str) -> Organ:
        """Return one of the organs."""
        return next(organ for organ in self.organs if organ.name == name)


@dataclass(eq=False)
class Served:
    """Results that the server returned so far; the label volumes are in `folder`."""

    folder: Path
    by_section: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Organ -> mask (i, j, k), segmented slice by slice."""
    followed: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Organ -> mask (i, j, k), followed through the box."""
    names: dict[str, ObjectName] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    """Categories that the checkpoint was trained to name."""
    seconds: dict[str, float] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    geometry: list[GeometryCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def store(self, reply: Reply, name: str, sent: Path) -> NDArray[np.bool_]:
        """Write the returned label volume, check its geometry, and return its mask (i, j, k)."""
        if reply.file is None:
            raise ServerError(f"Expected a label volume ({name}), got none.")
        ending = ".nii.gz" if reply.file_name.endswith(".nii.gz") else ".nrrd"
        path = self.folder / f"{name}{ending}"
        write_bytes(path, reply.file)
        self.geometry.extend(check_geometry(path, sent))
        return np.asarray(read_labels(path) != 0)

    def add_notes(self, reply: Reply) -> None:
        """Add the reply's notes for the user, each once."""
        self.notes += [note for note in reply.params["notes"] if note not in self.notes]


class DemoSession:
    """One session on the server with the sample CT."""

    def __init__(self, client: Client, case: Case, console: Console, folder: Path) -> None:
        self.case = case
        checkpoint = client.info()["models"][MODEL].get("checkpoint", {})
        self.served = Served(folder, trained=tuple(checkpoint.get("categories", ())))
        self._client = client
        self._console = console
        self._session = client.open_session(case.sample.image)

    def run(self) -> ClickTimes:
        """Send all requests and close the session; the results are in `served`."""
        clicks = self.box_on_a_slice()
        self.boxes_in_3d()
        self.negative_point()
        self.stock_module()
        self._client.close_session(self._session)
        return clicks

    def box_on_a_slice(self) -> ClickTimes:
        """Send a 2D box twice; the reply is JSON with the mask inside.

        The first time, the server encodes the slice; the second time shows what the next click on
        the same slice costs.
        """
        organ = self.case.organ("kidney_right")
        index = widest_slice(organ, _AXIAL)
        params = prompt_params(Prompts(boxes=(_section(organ, index),)), "slice")
        reply, again = self._infer(params), self._infer(params)
        overhead = again.seconds - again.model_seconds
        clicks = ClickTimes(1e3 * reply.seconds, 1e3 * again.seconds, 1e3 * overhead)
        shape = self.case.volume.shape_ijk
        mask = decode_mask(reply.params["mask"], shape)
        found = tuple(reply.params["mask"]["shape_ijk"]) if reply.params["mask"] else shape
        check = GeometryCheck("2D box (JSON)", "JSON", found == shape, f"shape {found}")
        self.served.geometry.append(check)
        overlap = dice(mask[:, :, index], organ.mask[:, :, index])
        self._add_answer(
            f"2D box, {organ.title}, slice k = {index}",
            f"{ObjectName.from_reply(reply, index).text}, {int(mask.sum())} pixels, "
            f"Dice {overlap:.3f} on that slice; first click {reply.seconds:.2f} s, next click on "
            f"the same slice {clicks.second_ms:.0f} ms",
        )
        return clicks

    def boxes_in_3d(self) -> None:
        """Send a 3D box for every organ, without and with propagation.

        Without propagation, the box's section is the prompt on each slice, as in LiteMedSAM. With
        propagation, the object is followed from the middle slice of the box.
        """
        served, sent = self.served, self.case.sample.image
        for organ in self.case.organs:
            box, name = Prompts(boxes=(organ.box,)), organ.name
            with self._console.status(f"3D box, {organ.title}: the server encodes and decodes"):
                sections = self._infer(prompt_params(box, "volume"))
                followed = self._infer(prompt_params(box, "volume", propagate=True))
            served.by_section[name] = served.store(sections, f"{name}_sections", sent)
            served.followed[name] = served.store(followed, name, sent)
            served.names[name] = ObjectName.from_reply(followed, widest_slice(organ, _AXIAL))
            served.seconds[name] = followed.seconds
            self._console.print(
                f"  3D box, {organ.title}: {len(sections.params['slices'])} slices "
                f"({sections.params['encoded_slices']} new), {sections.seconds:.1f} s; followed "
                f"from its middle: {served.names[name].text}, "
                f"{int(served.followed[name].sum()):,} voxels, {followed.seconds:.1f} s",
                soft_wrap=True,
            )

    def negative_point(self) -> None:
        """Send a box around the liver, without and with a negative point in the kidney."""
        liver, kidney = self.case.organ("liver"), self.case.organ("kidney_right")
        index = widest_slice(kidney, _AXIAL)
        boxes = (_section(liver, index),)
        point = centre_of(kidney, _AXIAL, index)
        plain = self._infer(prompt_params(Prompts(boxes=boxes), "slice"))
        before = decode_mask(plain.params["mask"], self.case.volume.shape_ijk)
        both = Prompts(points=(Point(point, positive=False),), boxes=boxes)
        reply = self._infer(prompt_params(both, "volume"))
        after = self.served.store(reply, "liver_without_kidney", self.case.sample.image)
        place = "outside the mask" if not after[point] else "still in the mask"
        self._add_answer(
            f"box with a negative point, liver, slice k = {index}",
            f"{int(before.sum())} pixels without the point, {int(after.sum())} with it; "
            f"the point is {place}",
        )

    def stock_module(self) -> None:
        """Send what 3D Slicer's unchanged MONAI Label module sends, for two file formats."""
        organ = self.case.organ("spleen")
        for extension in (".nrrd", ".nii.gz"):
            reply = self._infer(stock_params(organ, self.case.volume.affine_ras, extension))
            mask = self.served.store(reply, f"stock_{organ.name}", self.case.sample.image)
            names = ", ".join(reply.params["label_names"])
            self._add_answer(
                f"stock module's request, {organ.title}, {extension}",
                f"{int(mask.sum()):,} voxels in the segment {names}, named by the model as "
                f"{ObjectName.from_reply(reply).text}, Dice {dice(mask, organ.mask):.3f}, "
                f"{reply.seconds:.2f} s",
            )

    def _infer(self, params: dict[str, object]) -> Reply:
        reply = self._client.infer(self._session, params)
        self.served.add_notes(reply)
        return reply

    def _add_answer(self, request: str, found: str) -> None:
        self.served.answers.append(Answer(request, found))
        self._console.print(f"  {request}: {found}", soft_wrap=True)


def _section(organ: Organ, index: int) -> Box:
    box = section_box(organ, _AXIAL, index)
    if box is None:
        raise ServerError(f"The sample's {organ.title} is not on slice {index}.")
    return box
