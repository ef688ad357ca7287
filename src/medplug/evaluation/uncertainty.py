"""What the figures of each metric are made of, and the interval of each of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medplug.contracts.metric import Metric
from medplug.errors import ContractError
from medplug.evaluation.analytic import normal_interval, unit_sums, wilson_interval
from medplug.evaluation.bootstrap import Figures, acceleration, bca_interval, resample
from medplug.evaluation.intervals import IntervalSettings, Units

INTERVALS = ("bootstrap", "logit", "normal", "wilson")


@dataclass(frozen=True)
class Sides:
    """How many units hold the positives, and the negatives, of each class.

    Attributes:
        least: ``[K]`` the smaller of the two numbers, at least 1: of so many units a one-sided bound is made.
        crowding: ``[K]`` samples per unit, on the side where there are more of them.
    """

    least: np.ndarray
    crowding: np.ndarray

    @classmethod
    def of(cls, targets: np.ndarray, drawn: Units) -> Sides:
        """From targets ``[N, K]``; unknown labels are on neither side."""
        sides = (targets >= 0.5, targets < 0.5)
        held = np.array([[len(np.unique(drawn.codes[column])) for column in side.T] for side in sides])
        samples = np.array([side.sum(0) for side in sides])
        return cls(np.maximum(held.min(0), 1), (samples / np.maximum(held, 1)).max(0).clip(1))


@dataclass
class Evidence:
    """A metric's value on some predictions, with what its intervals are made of.

    Attributes:
        metric: the metric.
        value: ``()`` or ``[K]`` float64.
        drawn: the units.
        sides: how the samples of each class lie in units.
        settings: None where no interval is wanted.
        micro: the figure over all classes together; None where the metric has none.
        sums: influence of the units, ``[U]`` or ``[U, K]``; None where the metric tells none.
        trials: ``()`` or ``[K]``; None where the metric tells none.
        resampled, cut: values in the resamples and without each block of units, ``[R, ...]`` and ``[B, ...]``.
        micro_resampled, micro_cut: the same of ``micro``.
        companion: what is to be read beside the figure.
    """

    metric: Metric
    value: np.ndarray
    drawn: Units
    sides: Sides
    settings: IntervalSettings | None = None
    micro: float | None = None
    sums: np.ndarray | None = None
    trials: np.ndarray | None = None
    resampled: np.ndarray | None = None
    cut: np.ndarray | None = None
    micro_resampled: np.ndarray | None = None
    micro_cut: np.ndarray | None = None
    companion: dict[str, np.ndarray] = field(default_factory=dict)

    def figure(self, c: int | None, reason: str) -> dict[str, Any]:
        """The figure of a class, or (None) the single value."""
        value = float(self.value if c is None else self.value[c])
        if np.isnan(value):
            return {"value": None, "reason": reason}
        if self.settings is None:
            return {"value": value}
        found = {"value": value, **self._interval(value, c, self.settings)}
        return {**found, **_beside({name: v if v.ndim == 0 else v[c] for name, v in self.companion.items()})}

    def mean(self, weight: np.ndarray) -> dict[str, Any]:
        """The mean over the classes with a defined value, weighted by ``weight`` ``[K]``.

        Companions are averaged alike, but for one called ``p``: p values have no mean that is a p value.
        """
        share = np.where(np.isnan(self.value), 0, weight)
        if not share.sum():
            return {"value": None, "reason": "undefined for every class"}
        share = share / share.sum()
        used = share > 0
        value, share = float(self.value[used] @ share[used]), share[used]
        if self.settings is None:
            return {"value": value}
        beside = {
            n: v if v.ndim == 0 else v[used] @ share for n, v in self.companion.items() if v.ndim == 0 or n != "p"
        }
        return {"value": value, **self._interval_of_mean(value, used, share, self.settings), **_beside(beside)}

    def _interval_of_mean(
        self, value: float, used: np.ndarray, share: np.ndarray, settings: IntervalSettings
    ) -> dict[str, Any]:
        """Of a mean over the classes ``used`` ``[K]`` bool: from summed influences, that is with their covariance."""
        if self.drawn.count < 2:
            return _nothing(self.drawn)
        sums = None if self.sums is None else self.sums[:, used] @ share
        extreme = int(self.sides.least[used].min())
        if how(self.metric) in ("logit", "normal") and sums is not None and not np.isnan(sums).any():
            return self._normal(value, sums, extreme, settings)
        assert self.resampled is not None
        assert self.cut is not None
        columns = self.resampled[:, used]
        missing = np.isnan(columns)
        incomplete = int((missing.any(1) & ~missing.all(1)).sum())
        found = self._bootstrap(value, _mean(columns, share), _mean(self.cut[:, used], share), sums, extreme, settings)
        return {**found, **({"incomplete_resamples": incomplete} if incomplete else {})}

    def micro_figure(self) -> dict[str, Any]:
        """The figure over all classes together."""
        if self.micro is None or np.isnan(self.micro):
            return {"value": None, "reason": self.metric.undefined}
        if self.settings is None:
            return {"value": self.micro}
        if self.micro_resampled is None or self.micro_cut is None:
            return {"value": self.micro, **_nothing(self.drawn)}
        return {
            "value": self.micro,
            **self._bootstrap(self.micro, self.micro_resampled, self.micro_cut, None, self.drawn.count, self.settings),
        }

    def _interval(self, value: float, c: int | None, settings: IntervalSettings) -> dict[str, Any]:
        sums = None if self.sums is None else self.sums if c is None else self.sums[:, c]
        extreme = self.drawn.count if c is None else int(self.sides.least[c])
        if self.drawn.count < 2:
            return _nothing(self.drawn)
        kind, grouped = how(self.metric), self.drawn.word == "groups"
        there = sums is not None and not np.isnan(sums).any()
        if kind == "wilson" and self.trials is not None and (there or not grouped):
            trials = float(self.trials if c is None else self.trials[c])
            crowding = len(self.drawn.codes) / self.drawn.count if c is None else float(self.sides.crowding[c])
            return wilson_interval(value, trials, sums if grouped else None, crowding, settings)
        if kind in ("logit", "normal") and sums is not None and there:
            return self._normal(value, sums, extreme, settings)
        assert self.resampled is not None
        assert self.cut is not None
        resampled, cut = (self.resampled, self.cut) if c is None else (self.resampled[:, c], self.cut[:, c])
        return self._bootstrap(value, resampled, cut, sums, extreme, settings)

    def _normal(self, value: float, sums: np.ndarray, extreme: int, settings: IntervalSettings) -> dict[str, Any]:
        name = getattr(self.metric, "variance", "")
        kind, (low, high) = how(self.metric), self.metric.bounds
        return normal_interval(value, sums, self.drawn, settings, kind, name, extreme, (low, high))

    def _bootstrap(
        self,
        value: float,
        resampled: np.ndarray,
        cut: np.ndarray,
        sums: np.ndarray | None,
        extreme: int,
        settings: IntervalSettings,
    ) -> dict[str, Any]:
        # Leaving a unit out lowers the figure by what the unit raised it.
        skew = acceleration(-cut) if sums is None or np.isnan(sums).any() else acceleration(sums)
        low, high = self.metric.bounds
        return bca_interval(value, resampled, skew, self.drawn, settings, (low, high), extreme)


def how(metric: Metric) -> str:
    """How the metric wants its intervals made."""
    kind = getattr(metric, "interval", "bootstrap")
    if kind not in INTERVALS:
        raise ContractError(f"{type(metric).__name__}.interval must be one of {', '.join(INTERVALS)}, got {kind!r}")
    return kind


def gather(
    metrics: Mapping[str, Metric],
    targets: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray | None,
    drawn: Units,
    settings: IntervalSettings | None,
) -> dict[str, Evidence]:
    """Values of all metrics, and with ``settings`` what their intervals need; all share the same resamples."""
    arrays = (targets, probabilities)
    sides = Sides.of(targets, drawn)
    found: dict[str, Evidence] = {}
    for name, metric in metrics.items():
        value = _call(name, metric, *arrays, None, thresholds)
        found[name] = one = Evidence(metric, value, drawn, sides, settings)
        if hasattr(metric, "micro") and value.ndim and settings is not None:
            one.micro = float(_numbers(name, metric.micro(*arrays, None, thresholds), ()))  # type: ignore[attr-defined]
        if settings is not None:
            _further(name, one, *arrays, thresholds)
    if settings is not None and drawn.count > 1:
        _resample(found, targets, probabilities, thresholds, drawn, settings)
    return found


def _further(
    name: str, one: Evidence, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None
) -> None:
    """Influence, trials and companions, where the metric has them."""
    metric, shape = one.metric, one.value.shape
    arrays = (targets, probabilities, thresholds)
    if hasattr(metric, "influence"):
        influence = _numbers(name, metric.influence(*arrays), (len(targets), *shape), keep_nan=True)  # type: ignore[attr-defined]
        one.sums = unit_sums(influence, one.drawn)
    elif how(metric) in ("logit", "normal"):
        raise ContractError(f"metric {name!r}: interval = {how(metric)!r} needs a method influence")
    if hasattr(metric, "trials"):
        one.trials = _numbers(name, metric.trials(*arrays), shape)  # type: ignore[attr-defined]
    elif how(metric) == "wilson":
        raise ContractError(f"metric {name!r}: interval = 'wilson' needs a method trials")
    if hasattr(metric, "companion"):
        given = metric.companion(*arrays)  # type: ignore[attr-defined]
        one.companion = {
            key: _numbers(f"{name}.{key}", v, () if np.ndim(v) == 0 else shape) for key, v in given.items()
        }


def _resample(
    found: Mapping[str, Evidence],
    targets: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray | None,
    drawn: Units,
    settings: IntervalSettings,
) -> None:
    wanted = {name for name, one in found.items() if _needs_resamples(one)}
    pooled = {name: getattr(one.metric, "micro", None) for name, one in found.items() if one.micro is not None}
    if not wanted and not pooled:
        return

    def call(weights: np.ndarray) -> Figures:
        values: Figures = {}
        for name, one in found.items():
            given = (getattr(one.metric, "vectorised", False), targets, probabilities, weights, thresholds)
            if name in wanted:
                values["value", name] = _many(name, one.metric, one.value.shape, *given)
            if name in pooled:
                values["micro", name] = _many(name, pooled[name], (), *given)
        return values

    resampled, cut = resample(call, drawn, settings, targets.shape[1])
    for name, one in found.items():
        if name in wanted:
            one.resampled, one.cut = resampled["value", name], cut["value", name]
        if name in pooled:
            one.micro_resampled, one.micro_cut = resampled["micro", name], cut["micro", name]


def _needs_resamples(one: Evidence) -> bool:
    """Whether any figure of the metric is left without a formula."""
    kind = how(one.metric)
    complete = one.sums is not None and not np.isnan(np.where(np.isnan(one.value), 0, one.sums)).any()
    if kind == "wilson":
        averaged = one.value.ndim > 0 and getattr(one.metric, "average", True)
        return averaged or (one.drawn.word == "groups" and not complete)
    return kind == "bootstrap" or not complete


def _many(
    name: str,
    function: Any,
    shape: tuple[int, ...],
    vectorised: bool,
    targets: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    thresholds: np.ndarray | None,
) -> np.ndarray:
    """The values for weights ``[r, N]``, at once where the metric can."""
    if vectorised:
        return _numbers(name, function(targets, probabilities, weights, thresholds), (len(weights), *shape))
    return np.stack([_numbers(name, function(targets, probabilities, row, thresholds), shape) for row in weights])


def _call(
    name: str,
    metric: Metric,
    targets: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None,
    thresholds: np.ndarray | None,
) -> np.ndarray:
    """The metric's value as a float64 array of shape () or [K]; infinite counts as undefined."""
    try:
        value = np.asarray(metric(targets, probabilities, weights, thresholds), np.float64)
    except Exception as error:
        error.add_note(f"while computing metric {name!r}")
        raise
    k = targets.shape[1]
    if value.shape not in ((), (k,)):
        raise ContractError(f"metric {name!r} must return a float or [{k}] values, got shape {list(value.shape)}")
    return np.where(np.isfinite(value), value, np.nan)


def _numbers(name: str, given: Any, shape: tuple[int, ...], *, keep_nan: bool = False) -> np.ndarray:
    values = np.asarray(given, np.float64)
    if values.shape != shape:
        raise ContractError(f"metric {name!r} must return numbers of shape {list(shape)}, got {list(values.shape)}")
    return values if keep_nan else np.where(np.isfinite(values), values, np.nan)


def _mean(columns: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The weighted mean of each row over its defined columns."""
    there = ~np.isnan(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without any defined column stays NaN
        return np.where(there, columns, 0) @ share / (there @ share)


def _beside(values: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Companions as they stand in a figure; nothing where there are none."""
    told = {name: None if np.isnan(v) else float(v) for name, v in values.items()}
    return {"companion": told} if told else {}


def _nothing(drawn: Units) -> dict[str, Any]:
    reason = f"an interval needs at least two {drawn.word}, there is {drawn.count}"
    return {"low": None, "high": None, "interval_reason": reason}
