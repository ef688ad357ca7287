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
from medplug.evaluation.fitted import plural
from medplug.evaluation.intervals import units
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
        quantile: share of the validation part within each limit.
        limits: ``{"energy", "neighbours"}``: an input is flagged above either; empty where skipped.
        medians: of the two scores on the validation part: what is usual.
        fitted_on: ``{"part", "n"}``, where the limits come from.
        expected: share of inputs like the validation part that are flagged all the same: at least ``low`` (both scores
            flag the same ones), at most ``high`` (each flags others).
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
            dict(values["fitted_on"]), dict(values["expected"]), skipped,
        )  # fmt: skip


def fit_novelty(
    train_features: np.ndarray,
    validation_features: np.ndarray,
    validation_energy: np.ndarray,
    *,
    quantile: float = 0.99,
    k: int = 10,
    seed: int = 0,
) -> NoveltyFit:
    """Keep a sample of training features, and set the limits on the validation part.

    Training images cannot set them: they are their own nearest neighbours, and the network has learned them. Each limit
    is the ``ceil((n + 1) quantile)``-th smallest score of n validation images, or the largest where they are too few;
    a share of ``(n + 1 - rank) / (n + 1)`` of further images like them then lies beyond it.

    Args:
        train_features: ``[M, D]``; a random sample of at most 2,000 rows is kept.
        validation_features: ``[N, D]``.
        validation_energy: ``[N]``.
        quantile: between 0 and 1.
        k: which nearest neighbour counts; the last one where there are fewer training images.
        seed: of the sample.
    """
    if not 0 < quantile < 1 or k < 1:
        raise ParameterError(f"quantile must lie between 0 and 1 and k be at least 1, got {quantile:g} and {k}")
    train, n = np.asarray(train_features), len(validation_features)
    part = {"part": "validation", "n": n}
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
    rank = min(n, math.ceil((n + 1) * quantile - 1e-9))
    beyond = (n + 1 - rank) / (n + 1)
    return NoveltyFit(
        reference,
        k,
        quantile,
        {key: float(np.sort(values)[rank - 1]) for key, values in scores.items()},
        {key: float(np.median(values)) for key, values in scores.items()},
        part,
        {"low": beyond, "high": min(1.0, 2 * beyond)},
    )


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
