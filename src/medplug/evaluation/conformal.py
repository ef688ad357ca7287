"""Split conformal prediction: for each case the classes that cannot be ruled out at a chosen coverage.

The score of a case is ``1 - p`` of its class; a class is in the set of a new case where its score is at most the
``ceil((n + 1) coverage)``-th smallest of n calibration cases (Vovk, Gammerman and Shafer 2005; Sadinle, Lei and
Wasserman 2019). With a quantile for each class the coverage holds within each class (Vovk 2012). It holds on average over
new cases that come from where the calibration cases came from, whatever the network does. Where samples share groups only
groups are exchangeable: the samples of a group then share the weight of one case, so that the coverage is, nearly, that
of one sample drawn from a new group (pooled distribution functions of Dunn, Wasserman and Ramdas 2022).

The validation part also chose the weights of the network, so that the coverage stated is slightly optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medplug.errors import ParameterError
from medplug.evaluation.fitted import cases, counted, fitted_on, labels, repeated
from medplug.evaluation.intervals import Units
from medplug.evaluation.proportions import share
from medplug.values import Predictions, Task

_ROUNDING = 1e-9
OPTIMISTIC = (
    "The validation part also chose the weights of the network, so that the coverage stated is slightly optimistic."
)
_GROUPS = (
    "Samples of a group are alike: those of one group share the weight of one case, and the coverage is that of one "
    "sample of a new group."
)
_LABELS = (
    "Each label has a quantile of its own: a label that is present is in the set at the coverage stated; nothing is said "
    "of how many absent ones are."
)
_EMPTY = "A set may be empty: no class is as probable as it should be, and the case deserves a look."


@dataclass(frozen=True)
class ConformalFit:
    """What decides which classes a set holds.

    Attributes:
        coverage: share of cases whose set should hold the true class, or of present labels that should be in it.
        task: as in an index.
        classes: K names.
        method: ``"class-conditional"``, ``"marginal"`` (one quantile for all classes), or ``"none"`` where skipped.
        quantiles: K limits of ``1 - p``; None is no limit: the class is in each set.
        calibrated_on: ``{"part", "n", "unit", "units"}``.
        skipped: why there are no sets, as a sentence; else None.
        notes: what to know of the coverage, as sentences.
    """

    coverage: float
    task: Task
    classes: tuple[str, ...]
    method: str
    quantiles: tuple[float | None, ...]
    calibrated_on: Mapping[str, Any] = field(default_factory=dict)
    skipped: str | None = None
    notes: tuple[str, ...] = ()

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes the set of each case holds, ``[N, K]`` bool.

        Raises:
            ValueError: another number of classes, or there are no sets (``skipped``).
        """
        p = np.asarray(probabilities, np.float64)
        if self.skipped is not None:
            raise ValueError(f"there are no conformal sets: {self.skipped}")
        if p.ndim != 2 or p.shape[1] != len(self.classes):
            raise ValueError(f"probabilities must be [N, {len(self.classes)}], got {list(p.shape)}")
        return 1 - p <= np.array([np.inf if q is None else q for q in self.quantiles], np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which :meth:`from_json` makes an equal fit to the last bit."""
        return {
            "coverage": self.coverage,
            "method": self.method,
            "quantiles": dict(zip(self.classes, self.quantiles, strict=True)),
            "calibrated_on": dict(self.calibrated_on),
            "skipped": self.skipped,
            "notes": list(self.notes),
            "task": self.task,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ConformalFit:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: the values are not such a fit.
        """
        classes = tuple(values["classes"])
        limits = [values["quantiles"][name] for name in classes]
        return cls(
            float(values["coverage"]),
            values["task"],
            classes,
            str(values["method"]),
            tuple(None if limit is None else float(limit) for limit in limits),
            dict(values["calibrated_on"]),
            values["skipped"],
            tuple(values["notes"]),
        )


def least_cases(coverage: float) -> int:
    """The fewest cases from which a quantile is finite: the n with ``ceil((n + 1) coverage) <= n``.

    >>> least_cases(0.9), least_cases(0.95)
    (9, 19)
    """
    return math.ceil(coverage / (1 - coverage) - _ROUNDING)


def fit_conformal(validation: Predictions, coverage: float = 0.9) -> ConformalFit:
    """Calibrate prediction sets on validation predictions.

    Multi-class: a quantile for each class where each has enough cases (nine for 90 %), else one for all. Multi-label: a
    quantile for each label, from the samples in which it is present; a label with too few is in each set. Cases are
    groups where samples share them; a class then has as many cases as its shares of the groups sum to.

    Args:
        validation: with targets; unknown labels (NaN) do not count.
        coverage: between 0 and 1.

    Raises:
        ParameterError: a coverage that is not between 0 and 1.
        DataError: no labels.
    """
    if not 0 < coverage < 1:
        raise ParameterError(f"coverage must lie between 0 and 1, got {coverage:g}")
    known, drawn = cases(validation)
    scores = 1 - np.asarray(validation.probabilities, np.float64)[known]
    positive = _positive(labels(validation)[known], validation.task)
    mass = 1 / np.bincount(drawn.codes, minlength=1)[drawn.codes]
    found = [quantile(scores[rows, c], mass[rows], coverage) for c, rows in enumerate(positive.T)]
    short = [name for name, q in zip(validation.classes, found, strict=True) if q is None]
    notes = [OPTIMISTIC, *([_GROUPS] if repeated(drawn) else []), _EMPTY]
    fit = (coverage, validation.task, validation.classes)
    least, percent = least_cases(coverage), f"{100 * coverage:g} %"
    if validation.task == "multilabel":
        if len(short) == len(found):
            return _skipped(
                *fit, drawn, f"no label is present in {least} or more {drawn.word}, which {percent} coverage needs."
            )
        if short:
            notes.append(
                f"{', '.join(short)}: present in fewer than {least} {drawn.word}, too few to rule them out at {percent}: in each set."
            )
        return ConformalFit(*fit, "class-conditional", tuple(found), fitted_on(drawn), None, (_LABELS, *notes))
    if not short:
        return ConformalFit(*fit, "class-conditional", tuple(found), fitted_on(drawn), None, tuple(notes))
    common = quantile(scores[positive], mass, coverage)
    if common is None:
        return _skipped(
            *fit, drawn, f"{percent} coverage needs {least} {drawn.word}, the validation part has {counted(drawn)}."
        )
    notes.append(
        f"{', '.join(short)}: fewer than {least} {drawn.word}, so that one quantile serves all classes: the coverage holds over "
        "all cases together and may be lower in some classes, mostly in rare ones."
    )
    return ConformalFit(*fit, "marginal", (common,) * len(found), fitted_on(drawn), None, tuple(notes))


def quantile(scores: np.ndarray, mass: np.ndarray, coverage: float) -> float | None:
    """The limit of scores ``[n]`` whose samples weigh ``mass`` ``[n]`` cases each; None where it is infinite.

    It is the score at which the mass reaches ``coverage`` of the whole, a new case of mass 1 beyond all others counted
    among it. Where all weigh 1 it is the ``ceil((n + 1) coverage)``-th smallest score.
    """
    order = np.argsort(scores, kind="stable")
    reached, wanted = np.cumsum(mass[order]), coverage * (mass.sum() + 1) - _ROUNDING
    at = int(np.searchsorted(reached, wanted))
    return float(scores[order[at]]) if at < len(order) else None


def conformal_analysis(test: Predictions | None, fit: ConformalFit, confidence: float = 0.95) -> dict[str, Any]:
    """The sets in the layout of ``analysis.json``, with what they cover in ``test``.

    ``test`` in the result is None where there are no sets, no labels or no samples. In multi-label tasks its coverage is
    the share of the present labels that are in their sets. Intervals are Wilson's, clustered where samples share groups.
    """
    found = {key: value for key, value in fit.to_json().items() if key not in ("task", "classes")}
    found["test"] = None
    if fit.skipped is not None or test is None or test.targets is None or not len(test.samples):
        return found
    known, drawn = cases(test)
    sets = fit.sets(test.probabilities)[known]
    positive = _positive(labels(test)[known], test.task)
    found["test"] = {
        "n": len(sets),
        "coverage": _covered(sets, positive, drawn, confidence),
        "mean_size": float(sets.sum(1).mean()) if len(sets) else None,
        "sizes": np.bincount(sets.sum(1), minlength=len(fit.classes) + 1).tolist(),
        "per_class": {
            name: _covered(sets[:, [c]], positive[:, [c]], drawn, confidence) for c, name in enumerate(fit.classes)
        },
    }
    return found


def _covered(sets: np.ndarray, positive: np.ndarray, drawn: Units, confidence: float) -> dict[str, Any]:
    """The share of positive cells ``[N, ...]`` that their sets hold."""
    rows, _ = np.nonzero(positive)
    if not len(rows):
        return {"value": None, "reason": "no positive samples in the test split"}
    codes = drawn.codes[rows]
    return share(sets[positive], codes if len(np.unique(codes)) < len(codes) else None, confidence)


def _positive(targets: np.ndarray, task: Task) -> np.ndarray:
    """Which class, or which labels, each sample has, ``[N, K]`` bool; NaN is none."""
    if task == "multilabel":
        return targets >= 0.5
    return np.arange(targets.shape[1]) == targets.argmax(1)[:, None]


def _skipped(coverage: float, task: Task, classes: tuple[str, ...], drawn: Units, sentence: str) -> ConformalFit:
    return ConformalFit(coverage, task, classes, "none", (None,) * len(classes), fitted_on(drawn), sentence)
