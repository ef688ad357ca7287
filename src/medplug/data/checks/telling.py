"""How well values tell the label: columns as levels, folds of whole units, an AUC with its interval, and chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medplug.seeds import child_seed

FOLDS = 5
FEWEST = 10
"""Units that a class needs, and its complement too: with fewer, the interval of an AUC means nothing."""

FLOOR = 0.6
"""AUC from which telling is worth a word. Chance is 0.5; 0.6 is what a single feature reaches whose means in two classes
differ by 0.36 standard deviations, and gains of a few hundredths are what publications argue about."""

_SHUFFLES, _CHANCE = 199, 0.01  # so many shuffles of the labels, of which one may do as well
_CLEAR = 5.0  # standard errors from 0.5 beyond which shuffles are not needed
_LEVELS = 10  # into which numbers are cut
_SPIKE = 0.02  # a number this common is a level of its own, such as the width of one scanner's images
_PRIOR = 2.0  # pseudo-samples of the label's own shares in each level
_Z = 1.96
MISSING, OTHER = "(missing)", "(rare)"


@dataclass(frozen=True)
class Column:
    """One property of the samples as levels.

    Attributes:
        name: of the property.
        codes: ``[N]`` int64, the level of each sample.
        levels: names of the levels.
        numbers: ``[N]`` float64, standardised, gaps filled by 0; None where the property is no number.
    """

    name: str
    codes: np.ndarray
    levels: tuple[str, ...]
    numbers: np.ndarray | None = None

    @property
    def varies(self) -> bool:
        """Whether it differs between samples."""
        return len(np.unique(self.codes)) > 1

    def take(self, rows: np.ndarray) -> Column:
        """The column of some samples."""
        return replace(self, codes=self.codes[rows], numbers=None if self.numbers is None else self.numbers[rows])


def column_of(name: str, values: Sequence[Any]) -> Column:
    """A column from texts or numbers, with None, NaN and empty texts for gaps."""
    cells = without_gaps(values)
    numbers = _numbers(cells)
    if numbers is None:
        return _text_column(name, ["" if c == "" else str(c) for c in cells])
    return _number_column(name, numbers)


def without_gaps(values: Sequence[Any]) -> list[Any]:
    """The values, with an empty text for None and NaN."""
    return ["" if value is None or (isinstance(value, float) and np.isnan(value)) else value for value in values]


def _numbers(cells: Sequence[Any]) -> np.ndarray | None:
    try:
        return np.array([float("nan") if c == "" else float(c) for c in cells])
    except ValueError:
        return None


def _text_column(name: str, cells: list[str]) -> Column:
    counts = Counter(cells)
    kept = sorted(v for v, n in counts.items() if n > 1 and v)
    levels = (*kept, MISSING, OTHER)
    place = {v: i for i, v in enumerate(levels)}
    codes = [place[MISSING] if not c else place.get(c, place[OTHER]) for c in cells]
    return Column(name, np.array(codes, np.int64), levels)


def _number_column(name: str, numbers: np.ndarray) -> Column:
    gaps = ~np.isfinite(numbers)
    known = numbers[~gaps]
    values, counts = np.unique(known, return_counts=True)
    spikes = values if len(values) <= _LEVELS else values[counts >= max(2, _SPIKE * len(numbers))]
    rest = known[~np.isin(known, spikes)]
    edges = np.unique(np.quantile(rest, np.linspace(0, 1, _LEVELS + 1)[1:-1])) if len(rest) else np.zeros(0)
    codes = np.searchsorted(edges, numbers, side="right")
    levels = [f"{low:g} to {high:g}" for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True)]
    for value in spikes:
        codes[numbers == value] = len(levels)
        levels.append(f"{value:g}")
    codes[gaps] = len(levels)
    scale = np.log(numbers) if len(known) and known.min() > 0 else numbers
    spread = np.std(scale[~gaps]) if len(known) else 0.0
    filled = np.where(gaps, 0.0, (scale - np.mean(scale[~gaps])) / spread) if spread > 0 else np.zeros(len(numbers))
    return Column(name, codes.astype(np.int64), (*levels, MISSING), filled)


# ---------------------------------------------------------------- folds


def units_in_folds(units: np.ndarray, targets: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """``[N]`` fold numbers: whole units, each kind of label spread evenly, whatever the order of the samples.

    Args:
        units: ``[N]`` int64; samples of one unit stay in one fold.
        targets: ``[N, K]``.
        keys: ``[N]`` texts that draw the order, hashes of the pixels.
    """
    _, unit = np.unique(units, return_inverse=True)
    count = int(unit.max()) + 1 if len(unit) else 0
    sums = np.zeros((count, targets.shape[1]))
    np.add.at(sums, unit, np.nan_to_num(targets))
    sizes = np.bincount(unit, minlength=count)
    kinds = np.unique(sums > 0.5 * sizes[:, None], axis=0, return_inverse=True)[1].ravel()
    first = [""] * count
    for u, key in zip(unit.tolist(), keys, strict=True):
        first[u] = min(first[u] or key, key)
    fold = np.zeros(count, np.int64)
    order = sorted(range(count), key=lambda u: (kinds[u], -sizes[u], first[u]))
    fold[order] = np.arange(count) % FOLDS  # one deal after the other: a kind begins where the last one ended
    return fold[unit]


# ---------------------------------------------------------------- scores


def table_scores(codes: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Out-of-fold log ratios ``[N, K]``: how much commoner a class is at the sample's level than altogether.

    Shares of each level come from the other folds, drawn towards the shares of all samples by two pseudo-samples.
    """
    scores = np.zeros(targets.shape)
    levels = int(codes.max()) + 1 if len(codes) else 0
    known = ~np.isnan(targets)
    positive = np.nan_to_num(targets)
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        counts = np.zeros((2, levels, targets.shape[1]))
        np.add.at(counts[0], codes[train], positive[train])
        np.add.at(counts[1], codes[train], known[train].astype(float))
        prior = positive[train].sum(0) / np.maximum(known[train].sum(0), 1)
        share = (counts[0] + _PRIOR * prior) / (counts[1] + _PRIOR)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(share) - np.log(prior)
        scores[test] = np.nan_to_num(ratio, nan=0.0, neginf=-50.0)[codes[test]]
    return scores


@dataclass(frozen=True)
class Separation:
    """A macro-averaged AUC, one class against the rest, with its standard error.

    Attributes:
        value, error: NaN where no class has enough samples.
        classes: columns of the targets that it is the mean over.
    """

    value: float
    error: float
    classes: tuple[int, ...]

    @property
    def low(self) -> float:
        """Lower bound of the 95 % interval."""
        return max(self.value - _Z * self.error, 0.0)

    @property
    def high(self) -> float:
        """Upper bound of the 95 % interval."""
        return min(self.value + _Z * self.error, 1.0)


def separation(scores: np.ndarray, targets: np.ndarray, units: np.ndarray) -> Separation:
    """Macro AUC of scores ``[N, K]`` and its interval, which takes units (patients) and not images for independent.

    The variance is DeLong's (1988) written as the mean square of each sample's influence, summed within units before it is
    squared, as Obuchowski (1997) does for clustered data; the influences of several classes are averaged.
    """
    _, unit = np.unique(units, return_inverse=True)
    total, used, values = np.zeros(int(unit.max()) + 1 if len(unit) else 0), [], []
    for k in range(targets.shape[1]):
        positive, negative = np.flatnonzero(targets[:, k] >= 0.5), np.flatnonzero(targets[:, k] < 0.5)
        if min(len(np.unique(unit[positive])), len(np.unique(unit[negative]))) < FEWEST:
            continue
        # Rounded, so that samples with the same properties have the same score on every machine.
        a, b = np.round(scores[positive, k], 9), np.round(scores[negative, k], 9)
        of_a, of_b = _share_below(a, b), 1 - _share_below(b, a)
        value = float(of_a.mean())
        np.add.at(total, unit[positive], (of_a - value) / len(a))
        np.add.at(total, unit[negative], (of_b - value) / len(b))
        used.append(k)
        values.append(value)
    if not used:
        return Separation(np.nan, np.nan, ())
    m = len(total)
    error = float(np.sqrt((total**2).sum() * m / max(m - 1, 1))) / len(used)
    return Separation(float(np.mean(values)), error, tuple(used))


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each value the share of ``others`` below it, equal ones counting half."""
    ordered = np.sort(others)
    below, upto = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + upto) / (2 * len(others))


def tells(
    found: Separation,
    scores: Callable[[np.ndarray], np.ndarray],
    targets: np.ndarray,
    units: np.ndarray,
    folds: np.ndarray,
) -> bool:
    """Whether an AUC is large enough to matter, and more than chance.

    The spread of a cross-validated AUC is larger than the formula for given scores says (by half, measured on shuffled
    labels), since all folds learn from the same samples. So it is compared with what the same classifier reaches on shuffled
    labels: units trade theirs within a fold, which keeps shares and patients as they are.

    Args:
        found: of ``scores(targets)``.
        scores: from targets ``[N, K]`` to out-of-fold scores ``[N, K]``.
        targets, units, folds: of the N samples.
    """
    if not found.value >= FLOOR:
        return False
    if found.value - 0.5 > _CLEAR * found.error:
        return True
    better = 0
    for shuffled in _shuffles(targets, units, folds):
        better += separation(scores(shuffled), shuffled, units).value >= found.value
        if (better + 1) / (_SHUFFLES + 1) > _CHANCE:
            return False
    return True


def _shuffles(targets: np.ndarray, units: np.ndarray, folds: np.ndarray) -> Iterator[np.ndarray]:
    """The targets with the labels of units traded within folds; a unit that is larger repeats those of the smaller one."""
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = np.argsort(unit, kind="stable")
    starts = np.cumsum(sizes) - sizes
    member = np.empty(len(unit), np.int64)
    member[order] = np.arange(len(unit)) - starts[unit[order]]
    fold_of = np.zeros(len(sizes), np.int64)
    fold_of[unit] = folds
    generator = np.random.default_rng(child_seed(0, "checks"))
    for _ in range(_SHUFFLES):
        other = np.arange(len(sizes))
        for fold in np.unique(fold_of):
            here = np.flatnonzero(fold_of == fold)
            other[here] = generator.permutation(here)
        source = other[unit]
        yield targets[order[starts[source] + member % sizes[source]]]
