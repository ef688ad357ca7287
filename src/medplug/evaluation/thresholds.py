"""Thresholds chosen on the validation part, and what they are worth.

A class is called from its threshold on, ``p >= t``, of the probabilities of the network as they are, not of calibrated
ones. A threshold lies halfway between the two neighbouring predictions that it parts.

References: Youden 1950; van Rijsbergen 1979 (F-beta); Efron and Tibshirani 1993, chapter 17 (optimism).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medplug.errors import ParameterError
from medplug.evaluation.fitted import cases, counted, fitted_on, labels, plural, repeated
from medplug.evaluation.intervals import IntervalSettings, Units, bootstrap_weights
from medplug.evaluation.proportions import share
from medplug.values import Predictions, Task

_FEW, _SOME = 10, 50
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Rule:
    """How the best cut is known.

    Attributes:
        name: ``"youden"``: sensitivity + specificity is highest. ``"f_beta"``: F-beta is. ``"sensitivity"``: at least
            ``target``, and then specificity is highest; ``"specificity"``: the reverse. ``"cost"``: the validation part's
            ``miss_cost`` for each missed sample and ``alarm_cost`` for each false alarm are lowest together.
        target: share.
        beta: weight of sensitivity against precision.
        miss_cost: one number, or one for each class by name.
        alarm_cost: likewise.
    """

    name: str
    target: float = 0.9
    beta: float = 1.0
    miss_cost: float | Mapping[str, float] = 1.0
    alarm_cost: float | Mapping[str, float] = 1.0

    def __post_init__(self) -> None:
        if self.name not in _PARAMETERS:
            raise ParameterError(f"the rule of thresholds must be {', '.join(_PARAMETERS)}, got {self.name!r}")
        if not 0 < self.target <= 1:
            raise ParameterError(f"target must lie between 0 and 1, got {self.target:g}")
        costs = [v for c in (self.miss_cost, self.alarm_cost) for v in (c.values() if isinstance(c, Mapping) else [c])]
        if not self.beta > 0 or not all(cost > 0 for cost in costs):
            raise ParameterError("beta and the costs of misses and false alarms must be above 0")

    def check(self, classes: tuple[str, ...]) -> None:
        """That costs by name are given for each class and no other."""
        for cost in (self.miss_cost, self.alarm_cost):
            if isinstance(cost, Mapping) and set(cost) != set(classes):
                raise ParameterError(f"costs must be given for each of {', '.join(classes)}, got {', '.join(cost)}")

    def parameters(self) -> dict[str, Any]:
        """Those that the rule looks at, as plain values."""
        values = {key: getattr(self, key) for key in _PARAMETERS[self.name]}
        return {key: dict(value) if isinstance(value, Mapping) else float(value) for key, value in values.items()}

    def worth(self, hits: np.ndarray, alarms: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """What each cut is worth, and what decides between equals; ``hits`` and ``alarms`` fall over the cuts ``[C]``."""
        positives, negatives = hits[0], alarms[0]
        sensitivity, specificity = hits / positives, 1 - alarms / negatives
        if self.name == "youden":
            return sensitivity + specificity, np.zeros_like(hits)
        if self.name == "f_beta":
            square = self.beta**2
            return (1 + square) * hits / (hits + alarms + square * positives), np.zeros_like(hits)
        if self.name == "cost":
            miss, alarm = (c[name] if isinstance(c, Mapping) else c for c in (self.miss_cost, self.alarm_cost))
            return -(miss * (positives - hits) + alarm * alarms), np.zeros_like(hits)
        wanted, other = (sensitivity, specificity) if self.name == "sensitivity" else (specificity, sensitivity)
        return np.where(wanted >= self.target - _ROUNDING, other, -1), wanted


_PARAMETERS: dict[str, tuple[str, ...]] = {
    "none": (), "youden": (), "f_beta": ("beta",), "sensitivity": ("target",), "specificity": ("target",),
    "cost": ("miss_cost", "alarm_cost"),
}  # fmt: skip


def choose_thresholds(
    validation: Predictions,
    rule: str = "youden",
    *,
    target: float = 0.9,
    beta: float = 1.0,
    miss_cost: float | Mapping[str, float] = 1.0,
    alarm_cost: float | Mapping[str, float] = 1.0,
    confidence: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """The thresholds of each class by ``rule``, in the layout of ``analysis.json`` but for ``test``.

    Each class is taken against the rest. In a multi-class task with two classes the threshold is chosen for the second
    one, to which the rule and its parameters then refer; the first gets 1 less it. ``low`` and ``high`` are percentiles
    of the threshold over bootstrap resamples of the validation part (by group where samples share groups); ``optimism``
    is by how much sensitivity and specificity on the resamples exceed those on the whole part at the same threshold, on
    average. A class without positive or without negative samples gets none, with a reason.

    Args:
        validation: with targets; unknown labels (NaN) do not count.
        rule: see :class:`Rule`, also for the parameters; ``"none"`` chooses nothing.
        target: of ``sensitivity`` and ``specificity``.
        beta: of ``f_beta``.
        miss_cost: of ``cost``.
        alarm_cost: of ``cost``.
        confidence: of all intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ParameterError: no such rule, or a parameter out of range.
        DataError: no labels.
    """
    chosen = Rule(rule, target, beta, miss_cost, alarm_cost)
    chosen.check(validation.classes)
    known, drawn = cases(validation)
    found: dict[str, Any] = {
        "rule": {"name": rule, "parameters": chosen.parameters()},
        "fitted_on": fitted_on(drawn),
        "skipped": None,
        "per_class": {},
    }
    if rule == "none":
        return found
    p, y = np.asarray(validation.probabilities, np.float64)[known], labels(validation)[known]
    settings = IntervalSettings(resamples, confidence, seed)
    pair = validation.task == "multiclass" and len(validation.classes) == 2
    if pair:
        found["rule"]["chosen_for"] = validation.classes[1]
    for c, name in enumerate(validation.classes):
        if not (pair and c == 0):
            found["per_class"][name] = _of_class(chosen, name, p[:, c], y[:, c], drawn, settings)
    if pair:
        first, second = validation.classes
        found["per_class"] = {first: _mirrored(found["per_class"][second], first), second: found["per_class"][second]}
    if all(entry["value"] is None for entry in found["per_class"].values()):
        found["skipped"] = f"no class has positive and negative samples in the validation part ({counted(drawn)})."
    return found


def threshold_report(test: Predictions, chosen: Mapping[str, Any], confidence: float = 0.95) -> dict[str, Any]:
    """``chosen`` with what its thresholds are worth in ``test``, each class against the rest at its own threshold.

    Figures have Wilson intervals, clustered where samples share groups. Classes without a threshold get no ``test``.
    """
    known, drawn = cases(test)
    p, y = np.asarray(test.probabilities, np.float64)[known], labels(test)[known]
    codes = drawn.codes if repeated(drawn) else None
    limits = [chosen["per_class"].get(name, {}).get("value") for name in test.classes]
    called = called_from(p, np.array([np.inf if limit is None else limit for limit in limits]), test.task)
    entries = {}
    for c, name in enumerate(test.classes):
        entry = dict(chosen["per_class"].get(name, {}))
        if entry.get("value") is not None:
            there = ~np.isnan(y[:, c])
            groups = None if codes is None else codes[there]
            entry["test"] = _figures(called[there, c], y[there, c] >= 0.5, groups, confidence, "test")
        if entry:
            entries[name] = entry
    return {**chosen, "per_class": entries}


def called_from(p: np.ndarray, limits: np.ndarray, task: Task) -> np.ndarray:
    """Which classes of ``p`` ``[N, K]`` reach their threshold ``[K]``, each against the rest, ``[N, K]`` bool.

    Of two classes of a multi-class task it is always one: the second from its threshold on, as runs decide.
    """
    if task == "multiclass" and len(limits) == 2 and np.isfinite(limits[1]):
        second = p[:, 1] >= limits[1]
        return np.stack([~second, second], axis=1)
    return p >= limits


def best_cut(p: np.ndarray, y: np.ndarray, weight: np.ndarray, rule: Rule, name: str) -> float:
    """The threshold of one class from rising ``p`` ``[n]``, labels ``[n]`` bool and weights ``[n]`` above 0.

    Of cuts that are worth the same the one in the widest gap is taken. Calling all and calling none are cuts too.
    """
    starts = np.flatnonzero(np.append(True, p[1:] != p[:-1]))
    values = p[starts]
    hits, alarms = (_from_here_on(np.add.reduceat(weight * kind, starts)) for kind in (y, ~y))
    worth, other = rule.worth(hits, alarms, name)
    best = np.flatnonzero(worth >= worth.max() - _ROUNDING * max(1, abs(worth.max())))
    best = best[other[best] >= other[best].max() - _ROUNDING]
    edges = np.concatenate([[min(0.0, values[0])], values, [max(1.0, values[-1])]])
    cut = best[np.argmax((edges[1:] - edges[:-1])[best])]
    low, high = edges[cut], edges[cut + 1]
    if cut == len(values):
        return float((low + high) / 2) if high > low else float(np.nextafter(high, 2))
    middle = (low + high) / 2
    return float(middle if middle > low or cut == 0 else high)  # neighbours in float64 have nothing between them


def _from_here_on(counts: np.ndarray) -> np.ndarray:
    return np.append(np.cumsum(counts[::-1])[::-1], 0.0)


def _of_class(
    rule: Rule, name: str, p: np.ndarray, y: np.ndarray, drawn: Units, settings: IntervalSettings
) -> dict[str, Any]:
    known = np.flatnonzero(~np.isnan(y))
    known = known[np.argsort(p[known], kind="stable")]
    p, truth, codes = p[known], y[known] >= 0.5, drawn.codes[known]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    counts = {"positives": positives, "negatives": negatives}
    if positives == 0 or negatives == 0:
        reason = _lacking(positives, negatives)
        return {
            "value": None, "reason": reason, "low": None, "high": None, **counts, "expected": {},
            "trust": f"No threshold was chosen: {reason}. Decisions on {name} are made as without thresholds.",
        }  # fmt: skip
    t = best_cut(p, truth, np.ones(len(p)), rule, name)
    groups = codes if repeated(drawn) else None
    expected = _figures(p >= t, truth, groups, settings.confidence, "validation", ("sensitivity", "specificity"))
    interval = _resampled(rule, name, p, truth, known, drawn, settings)
    units_of = [len(np.unique(codes[side])) for side in (truth, ~truth)]
    told = _trust(name, counts, units_of, expected, interval.get("optimism"))
    return {"value": t, **interval, **counts, "expected": expected, "trust": told}


def _resampled(
    rule: Rule,
    name: str,
    p: np.ndarray,
    truth: np.ndarray,
    rows: np.ndarray,
    drawn: Units,
    settings: IntervalSettings,
) -> dict[str, Any]:
    """``low``, ``high``, ``method`` and ``optimism`` over resamples that have both kinds of samples."""
    method = f"{100 * settings.confidence:g} % percentile bootstrap over {plural(drawn.count, drawn.word[:-1])}"
    limits, gains = [], []
    for weights in bootstrap_weights(drawn, settings) if drawn.count > 1 else ():
        weight = weights[rows]
        there = weight > 0
        some, kinds = weight[there], truth[there]
        if kinds.all() or not kinds.any():
            continue
        t = best_cut(p[there], kinds, some, rule, name)
        limits.append(t)
        seen = _rates(p[there] >= t, kinds, some)
        gains.append(np.subtract(seen, _rates(p >= t, truth, np.ones(len(p)))))
    if 2 * len(limits) < settings.resamples:
        reason = f"{len(limits)} of {settings.resamples} resamples have positive and negative samples"
        return {"low": None, "high": None, "method": method, "interval_reason": reason}
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(limits, [tail, 1 - tail])
    optimism = dict(zip(("sensitivity", "specificity"), np.mean(gains, axis=0).tolist(), strict=True))
    return {
        "low": float(low),
        "high": float(high),
        "method": f"{method}, {len(limits)} resamples",
        "optimism": optimism,
    }


def _rates(called: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    hits, rejections = (weight * (truth & called)).sum(), (weight * ~(truth | called)).sum()
    return float(hits / (weight * truth).sum()), float(rejections / (weight * ~truth).sum())


def _figures(
    called: np.ndarray,
    truth: np.ndarray,
    codes: np.ndarray | None,
    confidence: float,
    part: str,
    wanted: tuple[str, ...] = ("sensitivity", "specificity", "ppv", "npv"),
) -> dict[str, Any]:
    """Shares of samples ``[n]`` as figures."""
    shares = {
        "sensitivity": (truth, called, "no positive samples"),
        "specificity": (~truth, ~called, "no negative samples"),
        "ppv": (called, truth, "no sample reaches the threshold"),
        "npv": (~called, ~truth, "no sample stays below the threshold"),
    }
    found: dict[str, Any] = {}
    for key in wanted:
        among, right, reason = shares[key]
        if among.any():
            found[key] = share(right[among], None if codes is None else codes[among], confidence)
        else:
            found[key] = {"value": None, "reason": f"{reason} in the {part} split"}
    return found


def _lacking(positives: int, negatives: int) -> str:
    kind = "known labels" if positives == negatives else "positive samples" if positives == 0 else "negative samples"
    return f"no {kind} in the validation split"


def _mirrored(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entry of the first of two classes from that of the second."""
    found = dict(entry)
    found |= {"positives": entry["negatives"], "negatives": entry["positives"]}
    if entry["value"] is None:
        found["reason"] = _lacking(entry["negatives"], entry["positives"])
        found["trust"] = (
            f"No threshold was chosen: {found['reason']}. Decisions on {name} are made as without thresholds."
        )
        return found
    low, high = entry["low"], entry["high"]
    found |= {
        "value": 1 - entry["value"],
        "low": None if high is None else 1 - high,
        "high": None if low is None else 1 - low,
    }
    other = {"sensitivity": "specificity", "specificity": "sensitivity"}
    for key in ("expected", "optimism"):
        if key in entry:
            found[key] = {side: entry[key][other[side]] for side in other}
    found["trust"] = "This is the threshold of the other class, seen from this one."
    return found


def _trust(
    name: str,
    counts: Mapping[str, int],
    units_of: list[int],
    expected: Mapping[str, Any],
    optimism: Mapping[str, float] | None,
) -> str:
    """How far a threshold from so few samples can be trusted, as sentences.

    Simulated, AUC 0.92: with 10 positives and 40 negatives Youden's index is claimed to be 0.77 and is 0.64; a threshold
    for a sensitivity of 95 % gives 75 to 100 % when set on 10 positives, 92 to 97 % when set on 200.
    """
    sides = []
    for count, groups, word in zip(counts.values(), units_of, ("with", "without"), strict=True):
        of_groups = f" ({plural(groups, 'group')})" if groups < count else ""
        sides.append(f"{plural(count, 'sample')}{of_groups} {word} {name}")
    told = [f"Chosen from {sides[0]} and {sides[1]}."]
    least = min(units_of)
    if least < _FEW:
        told.append("That is too few to rely on it: another validation part would give quite another threshold.")
    elif least < _SOME:
        told.append("That is few: another validation part would give a different threshold.")
    told.append(
        "On new cases the "
        + " and the ".join(
            f"{key} may be anywhere from {f['low']:.2f} to {f['high']:.2f}" for key, f in expected.items()
        )
        + "."
    )
    if optimism is not None and sum(optimism.values()) >= 0.005:
        total = sum(optimism.values())
        told.append(
            f"What validation shows is too good by about {total:.2f}, sensitivity and specificity taken together."
        )
    return " ".join(told)
