"""What is resampled, and how: bootstrap weights of samples, or of groups where samples are not independent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medplug.errors import ParameterError

_MEMORY = 64 * 2**20  # bytes of weights at once


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
        resamples: bootstrap samples, at least 1.
        confidence: nominal coverage, between 0 and 1.
        seed: of the NumPy generator; the same seed gives the same resamples.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ParameterError(f"resamples must be at least 1, got {self.resamples}")
        if not 0 < self.confidence < 1:
            raise ParameterError(f"confidence must lie between 0 and 1, got {self.confidence:g}")
        if self.seed < 0:
            raise ParameterError(f"seed must be at least 0, got {self.seed}")


@dataclass(frozen=True)
class Units:
    """What is drawn: samples, or groups of samples that stay together.

    Attributes:
        codes: ``[N]`` int64, the unit of each sample.
        count: number of units.
        word: ``"samples"`` or ``"groups"``.
    """

    codes: np.ndarray
    count: int
    word: str


def units(n: int, groups: np.ndarray | None) -> Units:
    """The units of ``n`` samples; a sample whose group is an empty string is a unit of its own."""
    if groups is None:
        return Units(np.arange(n), n, "samples")
    names = np.asarray(groups).astype(str)
    if names.shape != (n,):
        raise ValueError(f"groups must be [{n}], one name per sample, got {list(names.shape)}")
    # A tuple key keeps ungrouped samples apart from any group, whatever its name.
    keys = [("", i) if name == "" else (name, -1) for i, name in enumerate(names.tolist())]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    codes = np.array([numbers[key] for key in keys], np.int64)
    return Units(codes, len(numbers), "samples" if len(numbers) == n else "groups")


def bootstrap_weights(drawn: Units, settings: IntervalSettings) -> Iterator[np.ndarray]:
    """``settings.resamples`` weight vectors ``[N]`` float64: how often the unit of each sample was drawn.

    Each draws as many units as there are, with replacement, so that all samples of a unit share one weight
    and the weights of the units sum to their number.
    """
    for weights in weight_matrices(drawn, settings):
        yield from weights


def weight_matrices(drawn: Units, settings: IntervalSettings, classes: int = 1) -> Iterator[np.ndarray]:
    """The same weights, ``[r, N]`` a few resamples at a time; ``[r, N, classes]`` then takes at most 64 MB."""
    generator = np.random.default_rng(settings.seed)
    rows = rows_at_once(len(drawn.codes), classes)
    for start in range(0, settings.resamples, rows):
        r = min(rows, settings.resamples - start)
        picked = generator.integers(0, drawn.count, (r, drawn.count)) + drawn.count * np.arange(r)[:, None]
        # The histogram of uniform draws is the multinomial, ten times faster than Generator.multinomial.
        counts = np.bincount(picked.ravel(), minlength=r * drawn.count).reshape(r, drawn.count)
        yield counts[:, drawn.codes].astype(np.float64)


def rows_at_once(n: int, classes: int) -> int:
    """How many float64 weightings of ``n`` samples, times ``classes``, fit in the memory that is meant for them."""
    return max(1, _MEMORY // (8 * max(1, n) * max(1, classes)))
