"""Whether an input is like the training images at all, applied with NumPy alone.

Two scores, each with a limit from the validation part: the energy of the logits, high where the network makes nothing of
an input (Liu et al. 2020; of labels Wang et al. 2021), and the distance to the k-th nearest of a sample of training images
among their features, brought to length 1 (Sun et al. 2022). An input is flagged where either lies beyond its limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medplug.errors import ParameterError
from medplug.evaluation.conformal import quantile as weighted_rank
from medplug.evaluation.fitted import fitted_on, plural
from medplug.evaluation.intervals import Units, units
from medplug.evaluation.proportions import share
from medplug.values import Predictions

REFERENCE_LIMIT = 2000
LEAST = 20
_SHOWN = 20
_CHUNK = 1024
_EMPTY = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class NoveltyFit:
    """The reference images and the limits.

    Attributes:
        reference: ``[M, D]`` float32, features of training images with length 1.
        neighbours: k.
        quantile: share of images like those of the validation part that should lie within each limit.
        confidence: that so many do, see :func:`fit_novelty`; None where an earlier version made the limits.
        limits: ``{"energy", "neighbours"}``: an input is flagged above either; empty where skipped.
        medians: of the two scores on the validation part: what is usual.
        fitted_on: ``{"part", "n", "unit", "units"}``, where the limits come from.
        expected: share of inputs like the validation part that are flagged all the same: at least ``low``, at most ``high``.
        skipped: why nothing can be flagged, as a sentence; else None.
    """

    reference: np.ndarray
    neighbours: int
    quantile: float
    limits: Mapping[str, float] = field(default_factory=dict)
    medians: Mapping[str, float] = field(default_factory=dict)
    fitted_on: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    skipped: str | None = None
    confidence: float | None = None

    def score(self, features: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances ``[N]`` float64, energies ``[N]`` float64, and which inputs are flagged, ``[N]`` bool.

        Args:
            features: ``[N, D]``, the pooled features of the network.
            energy: ``[N]``.

        Raises:
            ValueError: other features than those of the reference, or nothing can be flagged (``skipped``).
        """
        if self.skipped is not None:
            raise ValueError(f"nothing can be flagged: {self.skipped}")
        distances, energy = self._distances(features), np.asarray(energy, np.float64)
        if energy.shape != distances.shape:
            raise ValueError(f"energy must be [{len(distances)}], one per row of features, got {list(energy.shape)}")
        # Not "above": a score that is not a number is flagged as well.
        usual = (distances <= self.limits["neighbours"]) & (energy <= self.limits["energy"])
        return distances, energy, ~usual

    def excess(self, distances: np.ndarray, energy: np.ndarray) -> np.ndarray:
        """How unlike each input is, ``[N]``: 0 is usual, above 1 is flagged, by the score that says more."""
        return np.maximum(
            *(
                (scores - self.medians[key]) / max(self.limits[key] - self.medians[key], 1e-12)
                for key, scores in (("neighbours", distances), ("energy", energy))
            )
        )

    def _distances(self, features: np.ndarray) -> np.ndarray:
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.reference.shape[1]:
            raise ValueError(f"features must be [N, {self.reference.shape[1]}], got {list(features.shape)}")
        return nearest(unit_length(features), self.reference, self.neighbours)

    def to_json(self) -> dict[str, Any]:
        """Plain values without the reference."""
        return {
            "limits": dict(self.limits),
            "medians": dict(self.medians),
            "neighbours": self.neighbours,
            "reference": len(self.reference),
            "quantile": self.quantile,
            "confidence": self.confidence,
            "fitted_on": dict(self.fitted_on),
            "expected": dict(self.expected),
            "skipped": self.skipped,
        }

    def to_arrays(self) -> dict[str, np.ndarray]:
        """``{"reference": [M, D] float32}`` for a safetensors file; empty where skipped."""
        return {} if self.skipped is not None else {"reference": self.reference}

    @classmethod
    def from_arrays(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> NoveltyFit:
        """The inverse of :meth:`to_json` and :meth:`to_arrays` together.

        Raises:
            KeyError, TypeError, ValueError: the two are not such a fit.
        """
        skipped = values["skipped"]
        reference = _EMPTY if skipped is not None else np.ascontiguousarray(arrays["reference"], np.float32)
        if reference.ndim != 2 or len(reference) != values["reference"]:
            raise ValueError(
                f"the reference should hold {values['reference']} images, got shape {list(reference.shape)}"
            )
        limits = {key: float(value) for key, value in values["limits"].items()}
        medians = {key: float(value) for key, value in values["medians"].items()}
        if skipped is None and not {"energy", "neighbours"} == set(limits) == set(medians):
            raise ValueError("limits and medians must be those of energy and neighbours")
        return cls(
            reference, int(values["neighbours"]), float(values["quantile"]), limits, medians,
            dict(values["fitted_on"]), dict(values["expected"]), skipped, values.get("confidence"),
        )  # fmt: skip


def fit_novelty(
    train_features: np.ndarray,
    validation_features: np.ndarray,
    validation_energy: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    quantile: float = 0.99,
    confidence: float = 0.9,
    k: int = 10,
    seed: int = 0,
) -> NoveltyFit:
    """Keep a sample of training features, and set the limits on the validation part.

    Training images cannot set them: they are their own nearest neighbours, and the network has learned them. Each limit is
    the larger of two:

    - the ``ceil((n + 1) quantile)``-th smallest score of n validation images, or the largest where they are too few, as in
      split conformal prediction. Beyond it lies, whatever the scores look like, a share of ``(n + 1 - rank) / (n + 1)`` of
      further images like them, on average over validation parts;
    - an upper tolerance bound on that quantile of a normal distribution (Hahn and Meeker, Statistical Intervals, 1991): with
      ``confidence`` at least the share ``quantile`` lies below it. Its centre is the median, and its spread that of the scores
      above the median, because energies have a long tail on the other side; it counts as one from n / 2 values.

    The second is there because the first varies too much with few images: beyond the largest of 60 scores lie 1.6 % on
    average, but over 4.8 % in one of twenty validation parts. Of normal scores the second keeps its word in 92 to 95 % (20 to
    1,000 images). Features of a pretrained network and energies of a linear model on them, of six small public sets with 32 to
    198 validation images and 30 splits of each, flagged 0.8 to 7.0 % of the test images by the first alone, in one of ten
    splits over 2 to 14 %; with both it is 0.3 to 1.4 %, and 0.7 to 3.1 %. Photographs, drawn shapes, noise and plain colours
    stayed flagged, but for 1 or 2 % of them in two sets with 32 and 50 validation images.

    Where samples share groups each group weighs as one case, and the bound is that of so many cases.

    Args:
        train_features: ``[M, D]``; a random sample of at most 2,000 rows is kept.
        validation_features: ``[N, D]``.
        validation_energy: ``[N]``.
        groups: ``[N]`` names of the validation images' groups; None where they are independent.
        quantile: between 0 and 1.
        confidence: of the tolerance bound, between 0 and 1.
        k: which nearest neighbour counts; the last one where there are fewer training images.
        seed: of the sample.
    """
    if not 0 < quantile < 1 or not 0 < confidence < 1 or k < 1:
        raise ParameterError(
            f"quantile and confidence must lie between 0 and 1 and k be at least 1, got {quantile:g}, {confidence:g} and {k}"
        )
    train, n = np.asarray(train_features), len(validation_features)
    drawn = units(n, groups)
    part = fitted_on(drawn)
    if n < LEAST or not len(train):
        lack = f"has {plural(n, 'image')}" if n < LEAST else f"has {n:,}, but there are no features of training images"
        sentence = f"limits need at least {LEAST} validation images, the validation part {lack}."
        return NoveltyFit(_EMPTY, k, quantile, fitted_on=part, skipped=sentence)
    rows = np.arange(len(train))
    if len(train) > REFERENCE_LIMIT:
        rows = np.sort(np.random.default_rng(seed).choice(len(train), REFERENCE_LIMIT, replace=False))
    reference, k = unit_length(train[rows]), min(k, len(rows))
    distances = nearest(unit_length(np.asarray(validation_features)), reference, k)
    scores = {"energy": np.asarray(validation_energy, np.float64), "neighbours": distances}
    rank = min(drawn.count, math.ceil((drawn.count + 1) * quantile - 1e-9))
    beyond = (drawn.count + 1 - rank) / (drawn.count + 1)
    return NoveltyFit(
        reference,
        k,
        quantile,
        {key: _limit(values, drawn, quantile, confidence) for key, values in scores.items()},
        {key: float(np.median(values)) for key, values in scores.items()},
        part,
        {"low": 0.0, "high": min(1.0, 2 * beyond)},
        confidence=confidence,
    )


def _limit(scores: np.ndarray, drawn: Units, share_within: float, confidence: float) -> float:
    """The limit of scores ``[n]``, see :func:`fit_novelty`."""
    ranked = weighted_rank(scores, 1 / np.bincount(drawn.codes)[drawn.codes], share_within)
    ranked = float(scores.max()) if ranked is None else ranked
    middle = float(np.median(scores))
    above = scores[scores > middle] - middle
    spread = float(np.sqrt((above**2).mean())) if len(above) else 0.0
    return max(ranked, middle + tolerance_factor(max(drawn.count // 2, 2), share_within, confidence) * spread)


def tolerance_factor(n: int, share_within: float, confidence: float) -> float:
    """By how many standard deviations of n normal values their upper one-sided tolerance bound lies above their mean.

    >>> round(tolerance_factor(10, 0.99, 0.95), 3)
    3.981
    """
    from scipy.stats import nct, norm

    return float(nct.ppf(confidence, n - 1, norm.ppf(share_within) * math.sqrt(n)) / math.sqrt(n))


def no_novelty(why: str) -> NoveltyFit:
    """A fit that flags nothing, and says why in a sentence."""
    return NoveltyFit(_EMPTY, 0, 0.0, skipped=why)


def novelty_analysis(
    test: Predictions | None,
    fit: NoveltyFit,
    features: np.ndarray | None,
    energy: np.ndarray | None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """The limits in the layout of ``analysis.json``, with how many images of ``test`` are flagged.

    ``test`` in the result is None where nothing can be flagged, or where features ``[N, D]`` and energy ``[N]`` are not
    known. ``samples`` are the flagged ones, the most unlike first, at most 20.
    """
    found = fit.to_json()
    found["test"] = None
    if fit.skipped is not None or test is None or energy is None or features is None or not len(test.samples):
        return found
    distances, energies, flagged = fit.score(features, energy)
    order = np.argsort(-np.nan_to_num(fit.excess(distances, energies), nan=np.inf), kind="stable")
    drawn = units(len(flagged), test.groups)
    found["test"] = {
        "flagged": int(flagged.sum()),
        "n": len(flagged),
        "share": share(flagged, drawn.codes if drawn.word == "groups" else None, confidence),
        "samples": [test.samples[i] for i in order if flagged[i]][:_SHOWN],
    }
    return found


def unit_length(features: np.ndarray) -> np.ndarray:
    """Rows ``[N, D]`` float32 brought to Euclidean length 1; rows of zeros stay as they are."""
    features = np.asarray(features, np.float32)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.ascontiguousarray(features / np.where(lengths > 0, lengths, 1))


def nearest(features: np.ndarray, reference: np.ndarray, k: int) -> np.ndarray:
    """The Euclidean distance ``[N]`` float64 of rows ``[N, D]`` to their k-th nearest row of ``[M, D]``, all of length 1."""
    found = np.empty(len(features))
    squares = (reference**2).sum(1)
    for start in range(0, len(features), _CHUNK):
        some = features[start : start + _CHUNK]
        distances = (some**2).sum(1, keepdims=True) + squares - 2 * (some @ reference.T)
        found[start : start + len(some)] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return np.sqrt(np.maximum(found, 0))
