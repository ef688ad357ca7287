"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl

_HERE = "medplug_standard"
_COMPONENTS = (
    ("reader", "folder", "readers.folder:Folder", "a folder of class folders, or of split folders with them", ()),
    ("reader", "csv", "readers.table:Csv", "a CSV file with image names and labels", ("multilabel", "groups")),
    ("reader", "phantoms", "readers.phantoms:Phantoms", "draws ultrasound-like images with labels", ("demo",)),
    ("augmenter", "horizontal_flip", "augmenters.flips:HorizontalFlip", "mirrors left to right", ("geometry", "3d")),
    ("augmenter", "vertical_flip", "augmenters.flips:VerticalFlip", "mirrors top to bottom", ("geometry", "3d")),
    ("augmenter", "flip", "augmenters.flips:Flip", "mirrors horizontally, vertically or both ways", ("geometry", "3d")),
    ("augmenter", "rotate90", "augmenters.flips:Rotate90", "turns by 0, 90, 180 or 270 degrees", ("geometry", "3d")),
    ("augmenter", "brightness", "augmenters.intensity:Brightness", "lightens or darkens", ("colour", "3d")),
    ("augmenter", "contrast", "augmenters.intensity:Contrast", "stretches or compresses grey values", ("colour", "3d")),
    ("augmenter", "saturation", "augmenters.colour:Saturation", "makes colours stronger or paler", ("colour", "3d")),
    ("augmenter", "hue", "augmenters.colour:Hue", "turns colours around the colour circle", ("colour", "3d")),
    ("augmenter", "scale", "augmenters.scale:Scale", "zooms in or out", ("geometry", "3d")),
    ("loss", "cross_entropy", "losses.cross_entropy:CrossEntropy", "softmax cross-entropy", ("multiclass",)),
    ("loss", "binary_cross_entropy", "losses.cross_entropy:BinaryCrossEntropy", "sigmoid cross-entropy of each label",
     ("multilabel",)),
    ("loss", "focal", "losses.focal:Focal", "softmax cross-entropy; easy samples count less",
     ("multiclass", "imbalance")),
    ("loss", "multilabel_focal", "losses.focal:MultilabelFocal", "sigmoid cross-entropy; easy labels count less",
     ("multilabel", "imbalance")),
    ("metric", "accuracy", "metrics.accuracy:Accuracy", "share of samples that are wholly right", ()),
    ("metric", "balanced_accuracy", "metrics.accuracy:BalancedAccuracy", "accuracy in which each class counts alike",
     ("imbalance",)),
    ("metric", "accuracy_ovr", "metrics.accuracy:AccuracyOvr", "(TP + TN) / N of each class against the rest",
     ("published",)),
    ("metric", "f1", "metrics.rates:F1", "harmonic mean of precision and sensitivity, of each class", ()),
    ("metric", "sensitivity", "metrics.rates:Sensitivity", "share of a class's samples that are found", ()),
    ("metric", "specificity", "metrics.rates:Specificity", "share of the other samples that are left alone", ()),
    ("metric", "roc_auc", "metrics.roc_auc:RocAuc", "area under the ROC curve of each class against the rest", ()),
    ("explainer", "grad_cam", "explainers.grad_cam:GradCam", "features weighted by the gradient of the class's score",
     ("3d",)),
)  # fmt: skip
_RECIPES = (
    ("standard", "the default: clean validation, best checkpoint tested, groups respected"),
    ("paper", "Mayer et al.'s pipeline as it was run, each of its quirks a named switch"),
    ("demo", "a few minutes on phantoms, without a download"),
)


@hookimpl
def medplug_components() -> Iterator[Component]:
    """The components of this distribution."""
    for kind, name, target, summary, tags in _COMPONENTS:
        yield Component(kind, name, f"{_HERE}.{target}", summary, tags=tags)
    for name, summary in _RECIPES:
        yield Component("recipe", name, f"{_HERE}:recipes/{name}.toml", summary)
