"""What decisions cost on the test part: by the most probable class, and by the least expected cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.evaluation.bootstrap import acceleration, bca_interval
from medplug.evaluation.costs import named
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.fitted import cases, labels
from medplug.evaluation.intervals import IntervalSettings, Units, weight_matrices
from medplug.values import Predictions

_EQUAL = "the two rules decide alike on every sample"


def cost_analysis(test: Predictions, rules: DecisionRules, settings: IntervalSettings) -> dict[str, Any]:
    """What a decision costs on average, in the layout of ``analysis.json``.

    Costs per case depend on how frequent the classes are: these hold for the shares of the test part. Intervals are BCa
    bootstrap over samples, or over groups where samples share them; the two rules are compared on the same resamples. Of
    mistakes that cost much and are so rare that 200 samples hold less than one of them, no interval can know: there 93 % of
    nominal 95 % intervals hold the true cost (benchmark ``coverage``).

    Args:
        test: multi-class, with targets; samples with an unknown label do not count.
        rules: with ``costs``.
        settings: of the intervals.
    """
    assert rules.costs is not None
    known, drawn = cases(test)
    truth = labels(test)[known].argmax(1)
    p = np.asarray(test.probabilities, np.float64)[known]
    usual, chosen = p.argmax(1), rules.by_costs(p).argmax(1)
    k, per_case = len(test.classes), rules.costs[truth]  # [n, K]: what each decision would have cost
    rows = np.arange(len(truth))
    plain, least = per_case[rows, usual], per_case[rows, chosen]
    always = int(per_case.mean(0).argmin()) if len(truth) else 0
    bootstrap = _Bootstrap.of(np.stack([plain, least, least - plain, per_case[:, always]], 1), drawn, settings)
    highest = float(rules.costs.max())
    calibrated = rules.calibration is not None and rules.calibration.method != "none"
    cells = np.bincount(k * truth + chosen, minlength=k * k).reshape(k, k)
    return {
        "matrix": named(rules.costs, test.classes),
        "probabilities": "calibrated" if calibrated else "uncalibrated",
        "test": {
            "n": len(truth),
            "unit": drawn.word,
            "units": drawn.count,
            "most_probable": bootstrap.figure(0, (0.0, highest)),
            "least_cost": bootstrap.figure(1, (0.0, highest)),
            "difference": bootstrap.figure(2, (-highest, highest)),
            "always": {**bootstrap.figure(3, (0.0, highest)), "decision": test.classes[always]},
            "changed": int((usual != chosen).sum()),
            "confusion": cells.tolist(),
        },
    }


class _Bootstrap:
    """Means of columns ``[N, C]`` with all that their intervals need."""

    def __init__(
        self, columns: np.ndarray, resampled: np.ndarray, sums: np.ndarray, drawn: Units, settings: IntervalSettings
    ) -> None:
        self._columns, self._resampled, self._sums = columns, resampled, sums
        self._drawn, self._settings = drawn, settings

    @classmethod
    def of(cls, columns: np.ndarray, drawn: Units, settings: IntervalSettings) -> _Bootstrap:
        parts = [
            (weights @ columns) / weights.sum(1, keepdims=True)
            for weights in (weight_matrices(drawn, settings) if drawn.count > 1 else ())
        ]
        resampled = np.concatenate(parts) if parts else np.empty((0, columns.shape[1]))
        deviations = columns - columns.mean(0) if len(columns) else columns
        sums = np.stack([np.bincount(drawn.codes, column, drawn.count) for column in deviations.T], 1)
        return cls(columns, resampled, sums, drawn, settings)

    def figure(self, c: int, bounds: tuple[float, float]) -> dict[str, Any]:
        """The mean of a column; ``bounds`` are the least and the largest value that it could have."""
        if not len(self._columns):
            return {"value": None, "reason": "no known labels in the test split"}
        value = float(self._columns[:, c].mean())
        if bounds[0] < 0 and not self._columns[:, c].any():
            return {"value": 0.0, "low": None, "high": None, "interval_reason": _EQUAL}
        # In units of the largest cost, so that a mean at its bound gets a one-sided interval as shares do.
        scale = bounds[1]
        found = bca_interval(
            value / scale, self._resampled[:, c] / scale, acceleration(self._sums[:, c] / scale), self._drawn,
            self._settings, (min(bounds[0], 0.0) / scale, 1.0), self._drawn.count,
        )  # fmt: skip
        scaled = {key: None if found[key] is None else found[key] * scale for key in ("low", "high")}
        return {"value": value, **found, **scaled}
