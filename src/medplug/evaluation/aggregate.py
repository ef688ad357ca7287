"""From predictions of images to predictions of groups (patients)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medplug.errors import UsageError
from medplug.evaluation.intervals import units
from medplug.values import Predictions, Skipped

_HOW: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "median": np.median}


@dataclass(frozen=True)
class GroupPredictions(Predictions):
    """Predictions with one row a group.

    Attributes:
        images: of each group, N numbers.
        left_out: groups whose images have different labels, and why.
    """

    images: tuple[int, ...] = ()
    left_out: tuple[Skipped, ...] = ()


def by_group(predictions: Predictions, how: Literal["mean", "max", "median"] = "mean") -> GroupPredictions:
    """One prediction per group, in the order in which groups first occur.

    Args:
        predictions: of images; a sample without a group is a group of its own, named as the sample.
        how: how the probabilities of the images of a group become one. ``"max"`` suits a finding that one image is
            enough to show.

    Returns:
        Predictions whose samples are the groups, without ``groups`` and ``columns``. Multi-class probabilities are
        divided by their sum (or are all alike where it is 0). The label is that of the images with a known one. Where
        those differ, a multi-class group is left out and told in ``left_out``; in multi-label tasks a label is present
        if it is so in any image, and unknown if it is so in all.

    Raises:
        UsageError: an unknown ``how``.
    """
    if how not in _HOW:
        raise UsageError(f"images of a group are put together by {', '.join(_HOW)}, not by {how!r}")
    drawn = units(len(predictions.samples), predictions.groups)
    order = np.argsort(drawn.codes, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(drawn.codes[order])) + 1) if len(order) else []
    names = _names(predictions, rows)
    kept, left_out, targets = [], [], []
    for number, (name, images) in enumerate(zip(names, rows, strict=True)):
        if predictions.targets is not None:
            label = _label(np.asarray(predictions.targets[images], np.float32), predictions)
            if isinstance(label, str):
                left_out.append(Skipped(name, f"its {len(images)} images have different labels: {label}", lost=True))
                continue
            targets.append(label)
        kept.append(number)
    probabilities = np.empty((len(kept), len(predictions.classes)))
    for at, number in enumerate(kept):
        probabilities[at] = _HOW[how](predictions.probabilities[rows[number]], axis=0)
    if predictions.task == "multiclass":
        total = probabilities.sum(1, keepdims=True)
        probabilities = np.where(total > 0, probabilities / np.where(total > 0, total, 1), 1 / len(predictions.classes))
    return GroupPredictions(
        tuple(names[number] for number in kept),
        probabilities,
        None if predictions.targets is None else np.reshape(targets, probabilities.shape).astype(np.float32),
        predictions.classes,
        predictions.task,
        images=tuple(len(rows[number]) for number in kept),
        left_out=tuple(left_out),
    )


def _names(predictions: Predictions, rows: list[np.ndarray]) -> list[str]:
    """A name for each group; a lone sample that is called like a group says that it is one."""
    groups = [""] * len(predictions.samples) if predictions.groups is None else predictions.groups.tolist()
    taken = set(groups)
    names = []
    for first in (int(images[0]) for images in rows):
        name = str(groups[first])
        if not name:
            name = predictions.samples[first]
            while name in taken:
                name += " (image)"
            taken.add(name)
        names.append(name)
    return names


def _label(targets: np.ndarray, predictions: Predictions) -> np.ndarray | str:
    """The label ``[K]`` of a group from those of its images, or the classes that contradict each other."""
    unknown = np.isnan(targets)
    if predictions.task == "multilabel":
        present = np.where(unknown, -1, targets).max(0)
        return np.where(unknown.all(0), np.nan, present)
    known = targets[~unknown.any(1)]
    if len(known) == 0:
        return np.full(targets.shape[1], np.nan)
    classes = np.unique(known.argmax(1))
    if len(classes) > 1:
        return ", ".join(predictions.classes[c] for c in classes)
    return known.mean(0)
