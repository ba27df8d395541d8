"""The demo's questions to the server, one after the other, and what is kept of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from segsam.datasets.sample import Sample
from segsam.demo.checking import GeometryCheck, check_geometry, dice, read_labels
from segsam.demo.naming import Named
from segsam.demo.prompting import (
    Organ,
    centre_of,
    organs_in,
    ours,
    section_box,
    stock,
    widest_slice,
    with_negative,
)
from segsam.demo.report import Answer
from segsam.demo.timing import Timings, measure
from segsam.imaging.volume import Volume
from segsam.prompting.prompts import Box, Prompts
from segsam.remote.client import HOST_ALONE, MODEL, Client, Reply, decode_mask
from segsam.remote.server import ServerError
from segsam.system.atomic import replacing

_AXIAL = 2


@dataclass(frozen=True)
class Case:
    """The CT that is sent, and the organs on it."""

    sample: Sample
    volume: Volume
    organs: tuple[Organ, ...]

    @classmethod
    def of(cls, sample: Sample) -> Case:
        """Read the sample."""
        labels = read_labels(sample.labels)
        return cls(sample, Volume.load(sample.image), organs_in(labels, sample.organs))

    def others(self, *names: str) -> tuple[Organ, ...]:
        """Organs of the sample that are not in the table."""
        return organs_in(read_labels(self.sample.labels), self.sample.organs, names)

    def organ(self, name: str) -> Organ:
        """One of the organs."""
        return next(organ for organ in self.organs if organ.name == name)


@dataclass(eq=False)
class Served:
    """What came back so far."""

    folder: Path
    by_host: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Organ -> mask of the host alone, slice by slice."""
    by_section: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of the default checkpoint, slice by slice."""
    followed: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of the default checkpoint, followed through the box."""
    names: dict[str, Named] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    """Categories that the default checkpoint was trained to name."""
    seconds: dict[str, float] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    geometry: list[GeometryCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def keep(
        self, reply: Reply, name: str, sent: Path, *, listen: bool = True
    ) -> NDArray[np.bool_]:
        """Write the returned label volume, check where it lies, and give its mask (i, j, k)."""
        if listen:
            self.listen(reply)
        if reply.file is None:
            raise ServerError(f"A label volume was asked for ({name}), and none came.")
        ending = ".nii.gz" if reply.file_name.endswith(".nii.gz") else ".nrrd"
        path = self.folder / f"{name}{ending}"
        with replacing(path, ending) as partial:
            partial.write_bytes(reply.file)
        self.geometry.extend(check_geometry(path, sent))
        return np.asarray(read_labels(path) != 0)

    def listen(self, reply: Reply) -> None:
        """Keep the sentences for the user, each once."""
        self.notes += [note for note in reply.params["notes"] if note not in self.notes]


class Asking:
    """One session on the server with the sample CT in it."""

    def __init__(self, client: Client, case: Case, console: Console, folder: Path) -> None:
        self.case = case
        facts = client.info()["models"][MODEL].get("checkpoint", {})
        self.served = Served(folder, trained=tuple(facts.get("categories", ())))
        self._client = client
        self._console = console
        self._session = client.open_session(case.sample.image)

    def all(self) -> Timings:
        """A 2D box, 3D boxes, a negative point, the stock dialect; then the clock."""
        self.box_on_a_slice()
        self.boxes_in_3d()
        self.negative_point()
        self.stock_dialect()
        self._console.print("Measuring clicks on slices that nobody has touched")
        pair = self.case.others("hip_right", "hip_left")
        timings = measure(self._client, self._session, pair, self._untouched())
        self._client.close_session(self._session)
        return timings

    def box_on_a_slice(self) -> None:
        """A 2D box; the answer is JSON with the mask inside."""
        organ = self.case.organ("kidney_right")
        index = widest_slice(organ, _AXIAL)
        reply = self._ask(ours(Prompts(boxes=(_section(organ, index),)), "slice"))
        self.served.listen(reply)
        shape = self.case.volume.shape_ijk
        mask = decode_mask(reply.params["mask"], shape)
        told = tuple(reply.params["mask"]["shape_ijk"]) if reply.params["mask"] else shape
        check = GeometryCheck("2D box (JSON)", "JSON", told == shape, f"shape {told}")
        self.served.geometry.append(check)
        overlap = dice(mask[:, :, index], organ.mask[:, :, index])
        self._answered(
            f"2D box, {organ.title}, slice k = {index}",
            f"{Named.of(reply, index).in_words}, {int(mask.sum())} pixels, Dice {overlap:.3f} on "
            f"that slice, {reply.seconds:.2f} s",
        )

    def boxes_in_3d(self) -> None:
        """A 3D box for every organ, in both of its meanings.

        Without propagation its section is the prompt on each slice that it crosses, as with
        LiteMedSAM itself (and once by the host alone, to be held against it); with it the object is
        followed from the middle slice inside the box.
        """
        for organ in self.case.organs:
            box = Prompts(boxes=(organ.box,))
            with self._console.status(f"3D box, {organ.title}: the server encodes and decodes"):
                sections = self._ask(ours(box, "volume"))
                followed = self._ask(ours(box, "volume", propagate=True))
                host = self._client.infer(self._session, ours(box, "volume"), HOST_ALONE)
            name, sent, served = organ.name, self.case.sample.image, self.served
            served.by_section[name] = served.keep(sections, f"{name}_sections", sent)
            served.followed[name] = served.keep(followed, name, sent)
            served.by_host[name] = served.keep(host, f"{name}_litemedsam", sent, listen=False)
            served.names[name] = Named.of(followed, widest_slice(organ, _AXIAL))
            served.seconds[name] = followed.seconds
            self._console.print(
                f"  3D box, {organ.title}: {len(sections.params['slices'])} slices "
                f"({sections.params['encoded_slices']} new), {sections.seconds:.1f} s; followed "
                f"from its middle: {served.names[name].in_words}, "
                f"{int(served.followed[name].sum()):,} voxels, {followed.seconds:.1f} s",
                soft_wrap=True,
            )

    def negative_point(self) -> None:
        """A box around the liver, with and without a click that takes the kidney out."""
        liver, kidney = self.case.organ("liver"), self.case.organ("kidney_right")
        index = widest_slice(kidney, _AXIAL)
        box = _section(liver, index)
        point = centre_of(kidney, _AXIAL, index)
        plain = self._ask(ours(Prompts(boxes=(box,)), "slice"))
        before = decode_mask(plain.params["mask"], self.case.volume.shape_ijk)
        reply = self._ask(ours(with_negative(box, point), "volume"))
        after = self.served.keep(reply, "liver_without_kidney", self.case.sample.image)
        inside = "outside the mask" if not after[point] else "still in the mask"
        self._answered(
            f"box with a negative point, liver, slice k = {index}",
            f"{int(before.sum())} pixels without the point, {int(after.sum())} with it; "
            f"the point is {inside}",
        )

    def stock_dialect(self) -> None:
        """The same as 3D Slicer's unchanged MONAI Label module sends, in two file formats."""
        organ = self.case.organ("spleen")
        for extension in (".nrrd", ".nii.gz"):
            payload = stock(organ, self.case.volume.affine_ras, extension)
            reply = self._ask(payload)
            mask = self.served.keep(reply, f"stock_{organ.name}", self.case.sample.image)
            names = ", ".join(reply.params["label_names"])
            self._answered(
                f"stock module's payload, {organ.title}, {extension}",
                f"{int(mask.sum()):,} voxels in the segment {names}, by the model "
                f"{Named.of(reply).in_words}, Dice {dice(mask, organ.mask):.3f}, "
                f"{reply.seconds:.2f} s",
            )

    def _ask(self, payload: dict[str, object]) -> Reply:
        return self._client.infer(self._session, payload)

    def _answered(self, request: str, found: str) -> None:
        self.served.answers.append(Answer(request, found))
        self._console.print(f"  {request}: {found}", soft_wrap=True)

    def _untouched(self) -> Iterator[int]:
        """Axial slices that no organ's box reaches."""
        boxes = [organ.box for organ in self.case.organs]
        for index in range(self.case.volume.shape_ijk[_AXIAL]):
            if not any(box.spans(_AXIAL, index) for box in boxes):
                yield index


def _section(organ: Organ, index: int) -> Box:
    box = section_box(organ, _AXIAL, index)
    if box is None:
        raise ServerError(f"The sample's {organ.title} is not on slice {index}.")
    return box
