"""Which test images are explained, and for which class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medplug.config.settings import RenderingSettings
from medplug.errors import DataError
from medplug.values import Predictions


@dataclass(frozen=True, order=True)
class Example:
    """One map to make.

    Attributes:
        shown_for: the class that the image stands for, an index.
        row: of the predictions.
        explained: the class to explain, an index.
    """

    shown_for: int
    row: int
    explained: int


def select_examples(predictions: Predictions, settings: RenderingSettings, *, seed: int) -> tuple[Example, ...]:
    """Images drawn at random for each class that has one, and the class to explain in each.

    ``settings.images`` per class, ordered by class; classes without a positive sample get none. An image that carries
    several labels is drawn for a second class only where no other is left. The most probable class
    is explained, or with ``explained="label"`` the image's own; in multi-label tasks always the label for which the
    image was drawn. With ``every_label`` (multi-label tasks) ``settings.images`` images are drawn from the whole split
    and every class is explained in each.

    The draw depends on the seed and the names of the samples, not on their order.
    """
    if predictions.targets is None:
        raise DataError("test images cannot be chosen by class: these predictions have no labels")
    multilabel = predictions.task == "multilabel"
    everything = range(len(predictions.classes))
    by_name = np.array(sorted(range(len(predictions.samples)), key=predictions.samples.__getitem__), np.int64)
    if multilabel and settings.every_label:
        rows = _draw(by_name, set(), settings.images, np.random.default_rng(seed))
        return tuple(Example(c, row, c) for row in rows for c in everything)
    examples: list[Example] = []
    used: set[int] = set()
    for c in everything:
        candidates = by_name[predictions.targets[by_name, c] >= 0.5]
        # A generator for each class: another class more or less does not change the draw of this one.
        for row in _draw(candidates, used, settings.images, np.random.default_rng([seed, c])):
            used.add(row)
            predicted = not multilabel and settings.explained == "predicted"
            explained = int(predictions.probabilities[row].argmax()) if predicted else c
            examples.append(Example(c, row, explained))
    return tuple(examples)


def confident_errors(predictions: Predictions, count: int) -> tuple[Example, ...]:
    """The wrong decisions with the highest probability, the surest first, and the class that was taken for right.

    In multi-label tasks a wrong decision is a label predicted with 0.5 or more that is known to be absent.
    """
    if predictions.targets is None:
        raise DataError("errors cannot be told: these predictions have no labels")
    absent = predictions.targets < 0.5  # unknown labels (NaN) compare as False
    p = predictions.probabilities
    decided = p >= 0.5 if predictions.task == "multilabel" else p == p.max(1, keepdims=True)
    wrong = [(float(p[row, c]), predictions.samples[row], int(row), int(c)) for row, c in np.argwhere(decided & absent)]
    first = sorted(wrong, key=lambda w: (-w[0], w[1]))[:count]
    return tuple(Example(c, row, c) for _, _, row, c in first)


def _draw(candidates: np.ndarray, used: set[int], count: int, generator: np.random.Generator) -> list[int]:
    shuffled = generator.permutation(candidates).tolist()
    return sorted(shuffled, key=lambda row: row in used)[:count]  # a stable sort: fresh images first
