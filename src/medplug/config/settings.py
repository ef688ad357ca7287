"""Every setting that is not a component's parameter: its type, bounds, default and one line of help.

The numbers here are what a recipe may leave out; the shipped recipes state them all.
"""

from __future__ import annotations

from typing import Literal

from medplug.errors import ParameterError
from medplug.params import component, param


@component
class DataSettings:
    """How pixels reach the network."""

    size: int | None = param("edge of the input in pixels; none takes the architecture's own", default=None, ge=16)
    mismatch: Literal["error", "warn"] = param(
        "images that reach the network in another range than its weights were trained with: an error, or a warning",
        default="error",
    )
    threads: int = param("threads that decode images", default=4, ge=1, le=64)


@component
class CheckSettings:
    """What happens before any training, and what is done about findings."""

    strict: bool = param("end with exit code 2 at the first warning", default=False)
    unreadable: Literal["leave_out", "error"] = param(
        "images that cannot be decoded, truncated ones among them", default="leave_out"
    )
    constant: Literal["leave_out", "keep"] = param(
        "images of one single colour, unless most images are such", default="leave_out"
    )
    two_valued: Literal["leave_out", "keep"] = param(
        "images with two values only, as masks have, unless most images are such", default="leave_out"
    )
    duplicates: Literal["together", "ignore"] = param(
        "pixel-identical images: keep them in one split, or do not look", default="together"
    )
    conflicts: Literal["leave_out", "error", "keep"] = param(
        "pixel-identical images under different labels", default="leave_out"
    )
    near: Literal["together", "report", "ignore"] = param(
        "images that look the same, also mirrored or turned: keep their clusters in one split, only report them, or do "
        "not look",
        default="together",
    )
    near_correlation: float = param(
        "correlation of 32 x 32 grey thumbnails above which two images look the same", default=0.995, ge=0.95, lt=1
    )
    classes: Literal["report", "ignore"] = param("classes that are too small to estimate anything", default="report")
    groups: Literal["report", "ignore"] = param("groups, and those that a given split tears apart", default="report")
    shortcut: Literal["report", "ignore"] = param(
        "whether files alone, and averages of their pixels, tell the class", default="report"
    )
    leaks: Literal["report", "ignore"] = param("metadata columns that give the label away", default="report")


@component
class SplitSettings:
    """Which samples train, choose and test."""

    method: Literal["stratified", "aucmedi"] = param(
        "stratified over whole groups, or AUCMEDI's sampling_split to the sample", default="stratified"
    )
    train: float = param("share for training", default=0.7, gt=0, lt=1)
    validation: float = param("share for choosing the weights", default=0.1, gt=0, lt=1)
    test: float = param("share for the test", default=0.2, gt=0, lt=1)
    seed: int | None = param("seed of the split; none follows the run's seed", default=None, ge=0)
    groups: Literal["respect", "given", "none"] = param(
        "samples of one group stay in one part: groups that the data name and those guessed from file names, "
        "only the named ones, or none of them",
        default="respect",
    )
    given: Literal["keep", "pool"] = param(
        "a split that comes with the data: keep its parts, or pool all and split anew", default="keep"
    )
    file: str | None = param(
        "a table with columns sample and split, such as the split.csv of a run, that says who is in which part",
        default=None,
    )
    folds: int = param(
        "divide into so many folds, of which one is the test part; 0 is one hold-out set", default=0, ge=0
    )
    fold: int = param("the fold, or value of leave_out, that this run tests, from 1", default=1, ge=1)
    leave_out: str | None = param(
        "a column whose values (sites, groups) are left out for the test one by one; COLUMN=VALUE leaves out that one",
        default=None,
    )
    inner_folds: int = param(
        "divide what is not tested into so many folds, of which one is the validation part; 0 takes one by its share",
        default=0,
        ge=0,
    )
    inner_fold: int = param("the inner fold that this run validates on, from 1", default=1, ge=1)
    repeats: int = param("how often everything is drawn anew", default=1, ge=1)
    repeat: int = param("the drawing that this run takes, from 1", default=1, ge=1)


@component
class TrainingSettings:
    """The two phases of training: the head on frozen features, then all layers."""

    epochs: int = param("epochs of both phases together, at most", default=40, ge=1)
    head: Literal["steps", "solve"] = param(
        "phase one: steps of the optimiser over images, or the head solved on features that are computed once",
        default="steps",
    )
    frozen_epochs: int = param("epochs of phase one, in which only the head learns; solving it is one", default=5, ge=0)
    views: int = param(
        "of each image when the head is solved: the plain one, and augmented ones", default=1, ge=1, le=64
    )
    batch_size: int = param("images per step", default=32, ge=1)
    micro_batch: int | None = param(
        "images at once, gradients being accumulated over the batch; live batch statistics then see so many. none cuts where "
        "the result stays the same: to 4 on a CPU",
        default=None,
        ge=1,
    )
    learning_rate: float = param("peak rate of phase two", default=3e-4, gt=0)
    frozen_learning_rate: float = param("peak rate of phase one", default=1e-3, gt=0)
    layer_decay: float = param(
        "factor of phase two's rate from each stage of the network to the one before; 1 is one rate for all",
        default=1.0,
        gt=0,
        le=1,
    )
    gradient_clip: float = param("largest global norm of a gradient; 0 does not clip", default=1.0, ge=0)
    ema: float = param(
        "average the weights over this share of a phase's steps (exponentially) and keep the average; 0 does not",
        default=0.0,
        ge=0,
        le=1,
    )
    batch_norm: Literal["batch", "frozen"] = param(
        "statistics of phase two; in phase one they never move", default="frozen"
    )
    shuffle: Literal["samples", "batches"] = param(
        "new batches each epoch, or the same batches in another order", default="samples"
    )
    sampling: Literal["uniform", "square_root", "balanced", "weighted"] = param(
        "how often an epoch draws a sample: each once; classes by the square root of their size; all classes alike; or in "
        "proportion to a column of the data",
        default="uniform",
    )
    sampling_column: str | None = param("metadata column with the weights of weighted sampling", default=None)
    last_batch: Literal["drop", "keep"] = param("the incomplete batch at the end of a training epoch", default="drop")
    augment_validation: bool = param("augment the validation images too", default=False)
    early_stopping: int = param(
        "epochs without a better monitored figure before a phase ends; 0 never", default=12, ge=0
    )
    plateau_patience: int = param(
        "epochs without a better validation loss before the rate falls; 0 never", default=0, ge=0
    )
    plateau_factor: float = param("what the rate is multiplied by on a plateau", default=0.1, gt=0, lt=1)
    plateau_min_delta: float = param("a smaller gain counts as none on a plateau", default=1e-4, ge=0)
    plateau_minimum: float = param("the lowest rate on a plateau", default=1e-7, ge=0)
    monitor: str = param(
        "validation figure that chooses the best epoch and ends phases early: loss, or the name of one of the run's metrics",
        default="loss",
    )
    tested_weights: Literal["best", "last"] = param("weights of the best epoch, or the last ones", default="best")
    divergence: Literal["stop", "go_back"] = param(
        "a loss that is no number or explodes ends the run, or goes back to the last good epoch with half the rate",
        default="stop",
    )
    explosion: float = param(
        "the smoothed loss explodes at so many times that of the first steps; 0 never", default=100.0, ge=0
    )

    def __post_init__(self) -> None:
        if (self.sampling == "weighted") != (self.sampling_column is not None):
            raise ParameterError("sampling=weighted and sampling_column=NAME need each other")
        if self.sampling != "uniform" and self.shuffle == "batches":
            raise ParameterError(
                f"sampling={self.sampling} draws new batches each epoch, which shuffle=batches forbids"
            )


@component
class EvaluationSettings:
    """How figures get their intervals, and what is decided on the validation part."""

    resamples: int = param("bootstrap resamples", default=1000, ge=50)
    confidence: float = param("coverage that the intervals aim at", default=0.95, gt=0.5, lt=1)
    calibration: Literal["auto", "none", "temperature", "vector", "isotonic"] = param(
        "calibrated probabilities, fitted on validation and told beside the plain ones; auto is temperature scaling",
        default="auto",
    )
    thresholds: Literal["none", "youden", "f_beta", "sensitivity", "specificity", "cost"] = param(
        "rule that chooses the thresholds of the decisions on validation", default="youden"
    )
    target: float = param("sensitivity or specificity that those rules of thresholds keep", default=0.9, gt=0, lt=1)
    beta: float = param("weight of sensitivity against precision in the rule f_beta", default=1.0, gt=0)
    miss_cost: float = param("cost of a missed case in the rule cost", default=1.0, gt=0)
    alarm_cost: float = param("cost of a false alarm in the rule cost", default=1.0, gt=0)
    costs: tuple[str, ...] = param(
        "costs of mistakes between classes, as 'ill -> well = 10' (true -> decided; * is every other class; else 1): the class "
        "with the least expected cost is decided for; empty: thresholds decide",
        default=(),
    )
    coverage: float = param("share of cases whose conformal set should hold the label", default=0.9, gt=0.5, lt=1)
    novelty: bool = param("keep what tells inputs that are unlike the training images", default=True)
    prevalences: tuple[float, ...] = param(
        "prevalences at which predictive values are told", default=(0.01, 0.1, 0.5), gt=0, lt=1
    )
    subgroups: tuple[str, ...] = param(
        "metadata columns whose subgroups get figures of their own; all takes every column that has few values",
        default=("all",),
    )
    aggregate: Literal["mean", "median", "max"] = param(
        "how the images of a group (patient) become one prediction", default="mean"
    )


@component
class RenderingSettings:
    """How maps are drawn over images."""

    images: int = param("explained test images per class", default=1, ge=1)
    errors: int = param("most confident errors on test images that are explained", default=12, ge=0)
    explained: Literal["predicted", "label"] = param(
        "the class that a map explains in multi-class tasks: the most probable one, or the sample's label",
        default="predicted",
    )
    every_label: bool = param(
        "multi-label tasks: images from the whole split, with one map for every class", default=False
    )
    style: Literal["overlay", "contour"] = param(
        "colours over the image, or lines around what reaches each of the levels", default="overlay"
    )
    levels: tuple[float, ...] = param(
        "levels of the contours, as shares of the upper end of the scale", default=(0.25, 0.5, 0.75), gt=0, lt=1
    )
    scale: Literal["image", "shared"] = param(
        "each map has its own scale, or all maps of a class that are made together share one", default="image"
    )
    rectify: bool = param("show only evidence for the class (ReLU), as Grad-CAM is defined", default=True)
    scaling: Literal["max", "minmax"] = param("what a map is divided by: its maximum, or its range", default="max")
    colormap: Literal["magma", "jet"] = param("colours of a map", default="magma")
    alpha: float = param("opacity of the map at its maximum", default=0.6, gt=0, le=1)
    figures: Literal["png", "svg"] = param(
        "the report's figures as files: SVG and PNG (300 dpi, a few seconds), or SVG alone", default="png"
    )
    constant_alpha: bool = param("the same opacity everywhere, also where a map is zero", default=False)

    def __post_init__(self) -> None:
        if self.style == "contour" and not self.levels:
            raise ParameterError("style=contour needs levels, such as levels=0.25,0.5,0.75")


@component
class FaithfulnessSettings:
    """How `medplug explain RUN --faithfulness` measures how far maps can be believed."""

    methods: tuple[str, ...] = param("explainers to compare, beside the run's own", default=())
    images: int = param("test images that every method is measured on", default=32, ge=2)
    measures: tuple[
        Literal["deletion", "insertion", "road", "correlation", "infidelity", "max_sensitivity", "randomisation"], ...
    ] = param(
        "what is measured; where a map lies, and whether it finds a known mask, is measured in any case",
        default=("deletion", "insertion", "road", "correlation", "infidelity", "max_sensitivity", "randomisation"),
    )
    steps: int = param("parts in which an image is taken away or put back", default=16, ge=2, le=256)
    costly_images: int = param(
        "images, at most, for all but deletion and insertion; half of them for max_sensitivity and randomisation, which make "
        "maps again",
        default=8,
        ge=2,
    )
    probe_images: int = param(
        "test images, at most, in the probes for shortcuts; 0 leaves the probes out", default=5000, ge=0
    )


SECTIONS: dict[str, type] = {
    "data": DataSettings,
    "checks": CheckSettings,
    "split": SplitSettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "rendering": RenderingSettings,
    "faithfulness": FaithfulnessSettings,
}
