"""Every setting that is not a component's parameter: its type, bounds, default and one line of help.

The numbers here are what a recipe may leave out; the shipped recipes state them all.
"""

from __future__ import annotations

from typing import Literal

from medplug.params import component, param


@component
class DataSettings:
    """How pixels reach the network."""

    size: int | None = param("edge of the input in pixels; none takes the architecture's own", default=None, ge=16)
    antialias: bool = param("filter when shrinking; off is plain bilinear sampling, as OpenCV's", default=True)
    threads: int = param("threads that decode images", default=4, ge=1, le=64)


@component
class CheckSettings:
    """What happens before any training, and what is done about findings."""

    strict: bool = param("end with exit code 2 at the first warning", default=False)
    duplicates: Literal["together", "ignore"] = param(
        "pixel-identical images: keep them in one split, or do not look", default="together"
    )
    conflicts: Literal["leave_out", "error", "keep"] = param(
        "pixel-identical images under different labels", default="leave_out"
    )


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


@component
class TrainingSettings:
    """The two phases of training: the head on frozen features, then all layers."""

    epochs: int = param("epochs of both phases together, at most", default=40, ge=1)
    frozen_epochs: int = param("epochs of phase one, in which only the head learns", default=5, ge=0)
    batch_size: int = param("images per step", default=32, ge=1)
    micro_batch: int | None = param(
        "images at once where a batch can be cut without changing the result; none is 4 on a CPU, else the batch",
        default=None,
        ge=1,
    )
    optimizer: Literal["adam", "adamw"] = param(
        "adamw decays weights apart from the gradient, not on norms and biases", default="adamw"
    )
    learning_rate: float = param("peak rate of phase two", default=3e-4, gt=0)
    frozen_learning_rate: float = param("peak rate of phase one", default=1e-3, gt=0)
    weight_decay: float = param("decay of adamw", default=1e-2, ge=0)
    epsilon: float = param("Adam's epsilon", default=1e-8, gt=0)
    gradient_clip: float = param("largest global norm of a gradient; 0 does not clip", default=1.0, ge=0)
    schedule: Literal["constant", "cosine"] = param(
        "rate over a phase; cosine falls to zero at the phase's last step", default="cosine"
    )
    warmup: float = param("share of a phase in which the cosine's rate rises", default=0.1, ge=0, lt=1)
    batch_norm: Literal["batch", "frozen"] = param(
        "statistics of phase two; in phase one they never move", default="frozen"
    )
    shuffle: Literal["samples", "batches"] = param(
        "new batches each epoch, or the same batches in another order", default="samples"
    )
    last_batch: Literal["drop", "keep"] = param("the incomplete batch at the end of a training epoch", default="drop")
    augment_validation: bool = param("augment the validation images too", default=False)
    early_stopping: int = param(
        "epochs without a better validation loss before a phase ends; 0 never", default=12, ge=0
    )
    plateau_patience: int = param(
        "epochs without a better validation loss before the rate falls; 0 never", default=0, ge=0
    )
    plateau_factor: float = param("what the rate is multiplied by on a plateau", default=0.1, gt=0, lt=1)
    plateau_min_delta: float = param("a smaller gain counts as none on a plateau", default=1e-4, ge=0)
    plateau_minimum: float = param("the lowest rate on a plateau", default=1e-7, ge=0)
    tested_weights: Literal["best", "last"] = param(
        "weights with the best validation loss, or the last ones", default="best"
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
    rectify: bool = param("show only evidence for the class (ReLU), as Grad-CAM is defined", default=True)
    scaling: Literal["max", "minmax"] = param("what a map is divided by: its maximum, or its range", default="max")
    colormap: Literal["magma", "jet"] = param("colours of a map", default="magma")
    alpha: float = param("opacity of the map at its maximum", default=0.6, gt=0, le=1)
    figures: Literal["png", "svg"] = param(
        "the report's figures as files: SVG and PNG (300 dpi, a few seconds), or SVG alone", default="png"
    )
    constant_alpha: bool = param("the same opacity everywhere, also where a map is zero", default=False)


SECTIONS: dict[str, type] = {
    "data": DataSettings,
    "checks": CheckSettings,
    "split": SplitSettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "rendering": RenderingSettings,
}
