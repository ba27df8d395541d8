"""Configuration of a training run; every number that the paper does not give is a field."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from segsam.categories import MODALITIES
from segsam.datasets.splits import DEFAULT_PATIENT
from segsam.errors import TrainingError
from segsam.model import find_variant
from segsam.model.config import HeadName
from segsam.system.records import ByName, Number, Record, Several
from segsam.training.loss_weights import LossWeights, Weight

Share: TypeAlias = Annotated[Number, Field(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Field(ge=0)]


class TrainConfig(Record):
    """One run. The paper says: Adam, 15 epochs, rate halved at epochs 5 and 10, 32 images on each
    of 4 GPUs, 5 random masks per image, points or one box for each (section 4.1).

    Every way to build one raises TrainingError for data sets or shards that are missing, an unknown
    key, a value of another type or out of range; CheckpointError for an unknown variant or a choice
    that its model does not have.
    """

    refusal: ClassVar[type[TrainingError]] = TrainingError

    out: str = Field(min_length=1, description="Folder of the run.")
    datasets: Several[str] = Field(
        default=(), description="Folders with dataset.json, images/ and labels/."
    )
    shards: str = Field(
        default="",
        description="Shards of `segsam train --shards-to`, in place of `datasets`. Their split, "
        "limits and copies apply.",
    )

    variant: str = Field(default="segsam", description="A name of `segsam.model.VARIANTS`.")
    host: str = Field(
        default="litemedsam",
        description="Name or path that `load_pretrained` takes. From a SEG-SAM checkpoint the "
        "host's weights are used, and all weights if variant and configuration are the same.",
    )
    adapt: bool = Field(
        default=False, description="Start a host that extends SAM from SAM's own weights."
    )
    categories: Literal["data", "all", "grown"] = Field(
        default="data",
        description="Categories of the model: the names in the `data`, or `all` of the vocabulary. "
        "A SEG-SAM checkpoint as `host` keeps its own; with `grown` it gets the new names of the "
        "data in addition, each of which starts as a mean of similar ones.",
    )
    head: HeadName = Field(
        default="dense",
        description="How a semantic mask is read from its token; the paper does not say.",
    )
    grid: int = Field(
        default=0, ge=0, description="Side of the decoders' grid in cells; 0 for the host's own."
    )
    model: ByName[str | int | float | bool] = Field(
        default_factory=dict, description="Other choices of `SemanticConfig`, by name."
    )

    epochs: Number = Field(
        default=15.0,
        ge=0,
        description="Passes over the training slices, if `steps` is 0; 0 with `dense_steps` or "
        "`fit_classes: all` trains that alone.",
    )
    steps: int = Field(default=0, ge=0, description="Optimiser steps; 0 uses `epochs`.")
    minutes: Number = Field(
        default=0.0,
        ge=0,
        description="Time of learning, after which the run ends with its next step; 0 for no "
        "limit.",
    )
    images_per_step: int = Field(
        default=8, ge=1, description="Batch size; the paper's 128 need its 4 GPUs."
    )
    prompts_per_image: int = Field(
        default=5, ge=1, description="Objects drawn from each image, with replacement."
    )
    balance: Share = Field(
        default=1.0,
        description="Data sets are drawn in proportion to their number of slices to this power: 1 "
        "as they come, 0 all alike.",
    )
    shares: ByName[Weight] = Field(
        default_factory=dict,
        description="How often each data set is drawn, by name, in place of `balance`; a data set "
        "without a name here is not drawn.",
    )
    learning_rate: Number = Field(
        default=1e-4,
        ge=1e-12,
        le=1,
        description="Lost in the paper; this is SAM-Med2D's, whose other settings it shares.",
    )
    host_learning_rate: Share = Field(
        default=0.0,
        description="Rate of the host's pretrained prompt encoder and mask decoder; 0 for "
        "`learning_rate`.",
    )
    encoder_learning_rate: Share = Field(
        default=0.0,
        description="Rate of the host's image encoder; 0 leaves it frozen, so that each slice is "
        "encoded once. A trained encoder encodes each slice that is drawn, several times the work.",
    )
    halve_at: Several[Share] = Field(
        default=(1 / 3, 2 / 3),
        description="Fractions of the run at which the rate is halved: epochs 5 and 10 of 15.",
    )
    warmup_steps: int = Field(
        default=0, ge=0, description="Steps in which the rate rises from 0 linearly."
    )
    weight_decay: Share = Field(
        default=0.0, description="Decoupled weight decay (AdamW); 0 is Adam."
    )
    clip_norm: Number = Field(
        default=0.0, ge=0, description="Largest norm of the gradient of all weights; 0 for none."
    )
    weight_average: Number = Field(
        default=0.0,
        ge=0,
        le=0.999999,
        description="Decay of the moving average of the weights, such as 0.999. The average is "
        "what is validated and saved. 0 for the weights themselves.",
    )
    loss: ByName[Number] = Field(
        default_factory=dict, description="Changes to the variant's `LossWeights`, by name."
    )

    point_share: Share = Field(
        default=0.5,
        description="Fraction of images prompted with points, the others with boxes; the paper "
        "does not say.",
    )
    points: int = Field(
        default=1,
        ge=1,
        description="Points per object, of those prompted with points; the paper does not say.",
    )
    jitter_px: Number = Field(
        default=5.0,
        ge=0,
        description="How far each side of a box may move, in pixels, at most half of the box; as "
        "SAM-Med2D's.",
    )
    loose_share: Share = Field(
        default=0.0,
        description="Fraction of images prompted with boxes that get loose ones, as the sections "
        "of a 3D box are.",
    )
    loose_by: Number = Field(
        default=0.5,
        ge=0,
        description="How far each side of a loose box may lie outside, as a fraction of the box.",
    )
    neighbour_share: Share = Field(
        default=0.0,
        description="Fraction of images prompted with boxes that get boxes as propagation makes "
        "them from the neighbouring slice's mask.",
    )
    neighbour_by: Number = Field(
        default=0.1,
        ge=0,
        description="How far a side of such a box moves on average, in either direction, as a "
        "fraction of the box.",
    )
    end_share: Share = Field(
        default=0.0,
        description="Fraction of the draws from slices beside an object's end (`end_slices_of`) "
        "that ask for what has ended, with nothing to draw.",
    )
    unlabelled_share: Share = Field(
        default=0.0,
        description="Fraction of images prompted with boxes on places without a label, which are "
        "none of the categories. They teach names alone.",
    )
    teacher: str = Field(
        default="",
        description="Model, such as litemedsam, whose masks in boxes on places without a label are "
        "a second target, so that what the host could do is not forgotten.",
    )
    teacher_boxes_of: ByName[Count] = Field(
        default_factory=dict, description="Such boxes for each slice, by data set."
    )
    teacher_share: Share = Field(
        default=0.0, description="Fraction of the draws of such slices that ask for them."
    )
    volumes_of: Several[str] = Field(
        default=(),
        description="Modalities, such as CT, whose images come as volumes and get loose and "
        "neighbours' boxes; empty for all.",
    )
    correction_rounds: int = Field(
        default=0,
        ge=0,
        description="Rounds after the first answer, with clicks into the error and the previous "
        "mask.",
    )
    correction_share: Share = Field(
        default=1.0, description="Fraction of steps that have correction rounds."
    )
    points_per_round: Several[Annotated[int, Field(ge=1)]] = Field(
        default=(1, 3, 5, 9),
        min_length=1,
        description="Numbers of clicks that an object may get in a round; SAM-Med2D's.",
    )
    mask_share: Share = Field(
        default=0.5,
        description="Fraction of rounds that come with the previous mask: a server that keeps no "
        "state has clicks alone.",
    )

    seed: int = Field(
        default=0,
        ge=0,
        le=2**31,
        description="Seed of the split, the new weights, the order of slices and the prompts.",
    )
    split: str = Field(
        default="", description="Split file with the held-out cases; empty to make a split."
    )
    validation_share: Number = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="Fraction of each data set's patients in the validation part of a split that "
        "is made; 0 for none.",
    )
    test_share: Number = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="Likewise of the test part, which training does not touch.",
    )
    patient: str = Field(
        default=DEFAULT_PATIENT,
        description="Regular expression that finds the patient in a case's name; the whole name "
        "where it finds nothing.",
    )
    slices_per_volume: int = Field(
        default=0,
        ge=0,
        description="Most slices per volume, evenly spread over those with an object; 0 for all.",
    )
    slices_per_volume_of: ByName[Count] = Field(
        default_factory=dict, description="The same for single data sets, by name."
    )
    augmented_copies_of: ByName[Count] = Field(
        default_factory=dict,
        description="Number of augmented copies of every training slice, by name of the data set.",
    )
    upright_copies_of: ByName[Count] = Field(
        default_factory=dict,
        description="Likewise of CT pictures that lie spine up in flat contrast: turned, "
        "stretched, then augmented (all but the first).",
    )
    mirrored_copies_of: ByName[Count] = Field(
        default_factory=dict,
        description="Likewise of pictures without an orientation, such as of skin or endoscopy: "
        "mirrored with left and right exchanged in names, then augmented (all but the first).",
    )
    windowed_copies_of: ByName[Count] = Field(
        default_factory=dict,
        description="Likewise of the slices of CT volumes, in other grey-value windows, as other "
        "people's exports have.",
    )
    end_slices_of: ByName[Count] = Field(
        default_factory=dict,
        description="Number of slices of each volume just beyond the ends of its objects that are "
        "used in addition, by name of the data set.",
    )
    all_axes_of: Several[str] = Field(
        default=(),
        description="Names of data sets whose volumes are cut across all three axes; their voxels "
        "should be about as long as wide.",
    )
    augment_share: Share = Field(
        default=0.0,
        description="Fraction of the draws that are augmented anew. Needs a trained encoder: "
        "stored embeddings belong to one picture.",
    )
    embeddings: str = Field(
        default="",
        description="Folder of cached embeddings that several runs may share; empty for one in "
        "`out`.",
    )

    dense_steps: Count = Field(
        default=0,
        description="Steps of the dense head, which finds objects without prompts, after those of "
        "the decoders. 0 trains none; a checkpoint's own stays as it is.",
    )
    dense_minutes: Number = Field(
        default=0, ge=0, description="Longest time of the dense head's steps; 0 for no limit."
    )
    dense_images: int = Field(
        default=16,
        ge=1,
        description="Images in each of these steps. With `balance` below 1, those that show a rare "
        "category come more often (not from shards).",
    )
    dense_rate: Number = Field(
        default=1e-3, ge=1e-12, le=1, description="Largest learning rate of the dense head."
    )
    dense_beside: bool = Field(
        default=True,
        description="Whether the head also learns from the two slices beside each one, which it "
        "reads in volumes. They are encoded for it: up to three times as many slices, if a run "
        "uses few of each volume.",
    )

    fit_classes: Literal["new", "all"] = Field(
        default="new",
        description="Categories whose class weights are fitted by regression after the steps: "
        "those that are `new` to the model, or `all`, which names more of what is rare.",
    )
    example_slices: int = Field(
        default=400,
        ge=0,
        description="Training slices, taken evenly from the data sets, of whose objects the memory "
        "of examples is chosen at the end; 0 for a checkpoint without one.",
    )
    validate_every: int = Field(
        default=0,
        ge=0,
        description="Steps between validations, of which the best is saved; 0 for one at the end.",
    )
    validation_slices: int = Field(
        default=200,
        ge=1,
        description="Most validation slices, taken evenly from the data sets.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="Validations without a better one after which the run ends; 0 for never.",
    )
    checkpoint_every: int = Field(default=200, ge=1, description="Steps between checkpoints.")
    tensorboard: bool = Field(default=True, description="Log for TensorBoard beside the CSV files.")
    device: str = Field(
        default="auto",
        description="Where to compute: auto is a GPU if there is one; else cpu, cuda, cuda:1.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="Precision of matrix products; weights and optimiser state are float32.",
    )
    encoding: Literal["exact", "fast"] = Field(
        default="exact",
        description="How the embeddings that the decoders learn from are computed: exact, or fast "
        "as a server with that precision computes them, which then loses nothing by it.",
    )
    threads: int = Field(
        default=0, ge=0, description="Processor threads; 0 leaves the setting unchanged."
    )

    @model_validator(mode="after")
    def _check_together(self) -> TrainConfig:
        """Refuse fields that do not fit each other, or the model."""
        if bool(self.datasets) == bool(self.shards):
            raise TrainingError(
                "Expected at least one folder in datasets, or shards in its place, got "
                f"{'both' if self.shards else 'neither'}."
            )
        if self.loose_share + self.neighbour_share > 1:
            raise TrainingError(
                "Expected loose_share and neighbour_share to be 1 together at most, got "
                f"{self.loose_share} and {self.neighbour_share}."
            )
        if self.validation_share + self.test_share >= 1:
            raise TrainingError(
                "Expected validation_share and test_share to leave patients for training, below 1 "
                f"together, got {self.validation_share} and {self.test_share}."
            )
        unknown = [name for name in self.volumes_of if name not in MODALITIES]
        if unknown:
            raise TrainingError(
                f"Expected modalities of {', '.join(MODALITIES)} in volumes_of, got {unknown[0]!r}."
            )
        if self.augment_share and not self.encoder_learning_rate:
            raise TrainingError(
                "Expected encoder_learning_rate above 0 with augment_share, got 0: the embeddings "
                "of a frozen encoder are stored, each for one picture. Use augmented_copies_of."
            )
        needed = (self.teacher, self.teacher_boxes_of, self.teacher_share)
        if any(needed) and not (all(needed) and self.datasets):
            raise TrainingError(
                "Expected teacher, teacher_boxes_of and teacher_share together, in a run on "
                "datasets, got some of them."
            )
        self.loss_weights()
        find_variant(self.variant).configured(**self.model_choices())
        return self

    @property
    def reads_beside(self) -> bool:
        """True if the slices beside those of the training part are used."""
        return self.dense_beside and self.dense_steps > 0

    def loss_weights(self) -> LossWeights:
        """Return the loss weights of the variant with the changes in `loss`."""
        return LossWeights.of(find_variant(self.variant), **self.loss)

    def model_choices(self) -> dict[str, Any]:
        """Return the choices of `SemanticConfig` that `build_variant` takes."""
        grid = {"grid": self.grid} if self.grid else {}
        dense = {"dense_head": True} if self.dense_steps else {}
        return {"head": self.head} | grid | dict(self.model) | dense
