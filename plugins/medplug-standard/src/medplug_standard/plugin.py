"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl

_HERE = "medplug_standard"
_COMPONENTS = (
    ("reader", "folder", "readers.folder:Folder", "a folder of class folders, or of split folders with them", ()),
    ("reader", "csv", "readers.table:Csv", "a CSV, TSV or Excel file with image names and labels",
     ("multilabel", "groups")),
    ("reader", "json", "readers.jsonlabels:Json", "a JSON file with image names and labels", ("multilabel", "groups")),
    ("reader", "arrays", "readers.arrays:Arrays", "images and labels in .npz or .npy files", ("multilabel", "groups")),
    ("reader", "phantoms", "readers.phantoms:Phantoms", "draws ultrasound-like images with labels", ("demo",)),
    ("preprocessor", "channels", "preprocessors.channels:Channels", "grey to RGB and back, as the network takes it", ("3d",)),
    ("preprocessor", "resize", "preprocessors.resize:Resize", "to the network's size: stretched, padded or cropped", ("3d",)),
    ("preprocessor", "padding", "preprocessors.padding:Padding", "a border: to a square, or to given edges", ("3d",)),
    ("preprocessor", "crop", "preprocessors.crop:Crop", "the middle of an image", ("3d",)),
    ("preprocessor", "random_crop", "preprocessors.crop:RandomCrop", "a part at random in training, else the middle", ("3d",)),
    ("preprocessor", "clip", "preprocessors.clip:Clip", "grey values to a window, per channel if wanted", ("colour", "3d")),
    ("preprocessor", "colour_constancy", "preprocessors.colour_constancy:ColourConstancy", "white light, by shades of grey",
     ("colour",)),
    ("preprocessor", "standardize", "preprocessors.standardize:Standardize",
     "to the values that the weights were trained with", ("colour", "3d")),
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
    ("metric", "f_beta", "metrics.rates:FBeta", "F1 in which sensitivity counts beta times", ()),
    ("metric", "sensitivity", "metrics.rates:Sensitivity", "share of a class's samples that are found", ()),
    ("metric", "specificity", "metrics.rates:Specificity", "share of the other samples that are left alone", ()),
    ("metric", "precision", "metrics.rates:Precision", "share of right ones among the samples given a class (PPV)", ()),
    ("metric", "npv", "metrics.rates:Npv", "share of right ones among the samples not given a class", ()),
    ("metric", "mcc", "metrics.agreement:Mcc", "Matthews' correlation of labels and decisions", ("imbalance",)),
    ("metric", "cohen_kappa", "metrics.agreement:CohenKappa", "agreement beyond chance, plain, linear or quadratic",
     ("ordinal",)),
    ("metric", "mean_absolute_error", "metrics.ordinal:MeanAbsoluteError", "steps between ordered classes",
     ("multiclass", "ordinal")),
    ("metric", "adjacent_accuracy", "metrics.ordinal:AdjacentAccuracy", "share of samples at most a class off",
     ("multiclass", "ordinal")),
    ("metric", "roc_auc", "metrics.roc_auc:RocAuc", "area under the ROC curve of each class against the rest", ()),
    ("metric", "roc_auc_ovo", "metrics.roc_auc:RocAucOvo", "mean area over all pairs of classes (Hand and Till)",
     ("multiclass", "imbalance")),
    ("metric", "partial_auc", "metrics.roc_auc:PartialAuc", "area where false positives are few, or sensitivity high",
     ()),
    ("metric", "average_precision", "metrics.average_precision:AveragePrecision",
     "area under the precision-recall curve of each class", ()),
    ("metric", "sensitivity_at_specificity", "metrics.operating:SensitivityAtSpecificity",
     "highest sensitivity at a required specificity", ()),
    ("metric", "specificity_at_sensitivity", "metrics.operating:SpecificityAtSensitivity",
     "highest specificity at a required sensitivity", ()),
    ("metric", "log_loss", "metrics.probabilities:LogLoss", "mean -log p of what is true", ("calibration",)),
    ("metric", "brier", "metrics.probabilities:Brier", "mean squared error of the probabilities", ("calibration",)),
    ("metric", "ece", "metrics.ece:Ece", "expected calibration error of each class, beside that of chance",
     ("calibration",)),
    ("metric", "top_label_ece", "metrics.ece:TopLabelEce", "expected calibration error of the largest probability",
     ("multiclass", "calibration")),
    ("metric", "calibration_slope", "metrics.recalibration:CalibrationSlope",
     "1 where predictions are neither too extreme nor too timid", ("calibration",)),
    ("metric", "calibration_intercept", "metrics.recalibration:CalibrationIntercept",
     "0 where classes are as frequent as predicted", ("calibration",)),
    ("metric", "hamming_loss", "metrics.multilabel:HammingLoss", "share of wrong decisions about each label",
     ("multilabel",)),
    ("metric", "jaccard", "metrics.multilabel:Jaccard", "overlap of true and predicted labels of a sample",
     ("multilabel",)),
    ("metric", "label_ranking_average_precision", "metrics.multilabel:LabelRankingAveragePrecision",
     "how far true labels rank above others", ("multilabel",)),
    ("metric", "coverage_error", "metrics.multilabel:CoverageError", "labels to take until all true ones are there",
     ("multilabel",)),
    ("metric", "ranking_loss", "metrics.multilabel:RankingLoss", "share of label pairs in the wrong order",
     ("multilabel",)),
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
