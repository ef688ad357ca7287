"""Runs beside each other on the same samples: figures, paired differences, tests with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from scipy.stats import binomtest, chi2

from medplug.contracts.metric import Metric
from medplug.errors import DataError, UsageError
from medplug.evaluation.analytic import standard_error
from medplug.evaluation.bootstrap import acceleration, bca_interval
from medplug.evaluation.intervals import IntervalSettings, Units, units
from medplug.evaluation.scores import class_reasons, score
from medplug.evaluation.uncertainty import Evidence, gather, how
from medplug.values import Predictions

EXACT_BELOW = 25  # discordant samples: McNemar's test is exact below, chi-squared from there on
_NAMED = 5  # samples in the message of an error

_Test = tuple[dict[str, Any], float | None, str]  # bounds, p, method


def compare(
    predictions: Mapping[str, Predictions], metrics: Mapping[str, Metric], settings: IntervalSettings
) -> dict[str, Any]:
    """Figures of runs on the same test samples, the differences of each two of them, and tests.

    Args:
        predictions: of at least two runs, by name, with targets. Samples are matched by name and classes by name.
        metrics: by name.
        settings: of the intervals.

    Returns:
        ``"runs"``, ``"n"``, ``"unit"`` (``"samples"`` or ``"groups"``) and ``"units"``;

        ``"metrics"``: ``{METRIC: {RUN: figure}}``, macro where a metric has a value per class; ``"beside"``: ``{METRIC:
        {CLASS: {RUN: figure}}}`` of those. Metrics whose mean over classes says nothing stand in ``"beside"`` only;

        ``"pairs"``: ``[{"a", "b", "metric", "difference": figure of a - b, "p", "p_holm", "method"}]``. ``p`` is of
        the hypothesis that the two are equally good, None where it cannot be told. ``p_holm`` is corrected by Holm's
        method over the pairs of runs of that metric, not over metrics;

        ``"gain"``: ``{METRIC: {RUN: figure}}``, by how much each further run is better than the first one (worse where
        negative), as a difference in the good direction of the metric; ``"over"`` names the first. Metrics with an
        ``ideal`` value have no such direction, and no gain;

        ``"correction"``: a sentence.

    Raises:
        UsageError: fewer than two runs.
        DataError: no labels; samples, classes or labels that differ.

    The paired tests: for metrics whose ``influence`` gives an interval ("logit", "normal") the contrast of
    influences, which for the AUC is the test of DeLong et al. (Biometrics 44, 1988); for a share of samples ("wilson",
    one value) McNemar's; else a bootstrap over units that weighs both runs alike. Where samples share groups the first
    two use sums within groups (Obuchowski, Statistics in Medicine 17, 1998).
    """
    runs = aligned(predictions)
    names, first = list(runs), next(iter(runs.values()))
    drawn = units(len(first.samples), first.groups)
    told = set(score(first, metrics)["macro"])  # which also says what is wrong with metrics and labels
    evidence = {
        name: gather(metrics, np.asarray(run.targets), run.probabilities, _thresholds(run), drawn, settings)
        for name, run in runs.items()
    }
    answers = {m: _Answers.of(runs, {r: evidence[r][m] for r in names}, drawn, settings) for m in metrics if m in told}
    reasons = class_reasons(np.asarray(first.targets), "test")
    pairs: list[dict[str, Any]] = []
    for name, found in answers.items():
        tests = [{"a": a, "b": b, "metric": name, **found.pair(a, b)} for a, b in combinations(names, 2)]
        for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
            pairs.append(test | {"p_holm": corrected})
    return {
        "runs": names,
        "n": len(first.samples),
        "unit": drawn.word,
        "units": drawn.count,
        "metrics": {
            m: {run: _overall(found.found[run], first.classes) for run in names} for m, found in answers.items()
        },
        "beside": {
            m: {
                c: {run: evidence[run][m].figure(i, reasons[i] or metric.undefined) for run in names}
                for i, c in enumerate(first.classes)
            }
            for m, metric in metrics.items()
            if evidence[names[0]][m].value.ndim
        },
        "pairs": pairs,
        "gain": {
            m: _gains(m, metric, names, pairs)
            for m, metric in metrics.items()
            if m in told and not hasattr(metric, "ideal")
        },
        "correction": (
            f"p (Holm) is corrected over the {len(names) * (len(names) - 1) // 2} pairs of runs of each metric; "
            "that there are several metrics is not corrected for."
        ),
    }


def _overall(one: Evidence, classes: Sequence[str]) -> dict[str, Any]:
    """The figure of a metric with one value, or the mean over the classes."""
    if not one.value.ndim:
        return one.figure(None, one.metric.undefined)
    excluded = [c for c, v in zip(classes, one.value, strict=True) if np.isnan(v)]
    return {**one.mean(np.ones(len(classes))), "excluded": excluded}


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values corrected by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    None stands for a test that could not be made, and does not count as one.

    >>> holm([0.01, None, 0.03, 0.02])
    [0.03, None, 0.04, 0.04]
    """
    made = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(made):
        largest = max(largest, min(1.0, p * (len(made) - rank)))
        corrected[i] = largest
    return corrected


def aligned(predictions: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """The predictions of all runs with the samples, classes and groups in the order of the first.

    Groups of a run hold for those that have none.

    Raises:
        UsageError, DataError: see :func:`compare`.
    """
    if len(predictions) < 2:
        raise UsageError(f"a comparison needs at least two runs, got {len(predictions)}")
    reference, first = next(iter(predictions.items()))
    found = {name: _like(first, reference, run, name) for name, run in predictions.items()}
    groups, owner = None, ""
    for name, run in found.items():
        if run.groups is None:
            continue
        if groups is None:
            groups, owner = run.groups, name
        elif not np.array_equal(units(len(groups), groups).codes, units(len(groups), run.groups).codes):
            raise DataError(
                f"{owner} and {name} put the same samples into different groups, so that it is not known which of them are "
                "independent; compare predictions with the same groups"
            )
    return {name: replace(run, groups=groups, columns={}) for name, run in found.items()}


def _like(first: Predictions, reference: str, run: Predictions, name: str) -> Predictions:
    """``run`` with the samples and classes of ``first``."""
    if run.targets is None or first.targets is None:
        raise DataError(f"{name if run.targets is None else reference}: there are no labels to compare with")
    if run.task != first.task or set(run.classes) != set(first.classes):
        raise DataError(
            f"{name} is {run.task} with the classes {', '.join(run.classes)}; {reference} is {first.task} with "
            f"{', '.join(first.classes)}: only answers to the same question can be compared"
        )
    rows = {sample: row for row, sample in enumerate(run.samples)}
    if len(rows) < len(run.samples):
        twice = [s for row, s in enumerate(run.samples) if rows[s] != row]
        raise DataError(f"{name}: {_listed(twice)} more than once")
    there = set(first.samples)
    absent, new = [s for s in first.samples if s not in rows], [s for s in rows if s not in there]
    for lacking, of in ((absent, name), (new, reference)):
        if lacking:
            raise DataError(
                f"{name} and {reference} are not of the same samples: {_listed(lacking)} missing from {of}; runs with the same "
                "data and the same split.seed have the same test part"
            )
    order = np.array([rows[s] for s in first.samples], np.int64)
    columns = [run.classes.index(c) for c in first.classes]
    targets = np.asarray(run.targets, np.float32)[order][:, columns]
    other = np.asarray(first.targets, np.float32)
    differ = ~((targets == other) | (np.isnan(targets) & np.isnan(other))).all(1)
    if differ.any():
        wrong = [first.samples[i] for i in np.flatnonzero(differ)]
        raise DataError(f"{name} and {reference} have different labels: {_listed(wrong)} labelled otherwise")
    groups = None if run.groups is None else np.asarray(run.groups)[order]
    return replace(
        first, probabilities=np.asarray(run.probabilities, np.float64)[order][:, columns], targets=other, groups=groups
    )


def _listed(samples: Sequence[str]) -> str:
    shown = ", ".join(samples[:_NAMED])
    more = f" and {len(samples) - _NAMED} more" if len(samples) > _NAMED else ""
    return f"{shown}{more} {'is' if len(samples) == 1 else 'are'}"


@dataclass
class _Answers:
    """One metric of all runs: its values, and what its paired test needs.

    Attributes:
        kind: ``"contrast"``, ``"mcnemar"`` or ``"bootstrap"``.
        found: by run.
        right: by run ``[N]``, whether each sample is right (NaN: it does not count); for McNemar's test only.
    """

    kind: str
    found: dict[str, Evidence]
    right: dict[str, np.ndarray]
    drawn: Units
    settings: IntervalSettings

    @classmethod
    def of(
        cls, runs: Mapping[str, Predictions], found: dict[str, Evidence], drawn: Units, settings: IntervalSettings
    ) -> _Answers:
        one = next(iter(found.values()))
        kind, right = "bootstrap", {}
        if how(one.metric) in ("logit", "normal"):
            if all(_is_complete(e) for e in found.values()):
                kind = "contrast"
        elif how(one.metric) == "wilson" and one.value.ndim == 0:
            right = {name: _right(one.metric, run) for name, run in runs.items()}
            if all(_is_share(right[name], e.value) for name, e in found.items()):
                kind = "mcnemar"
        return cls(kind, found, right, drawn, settings)

    def pair(self, a: str, b: str) -> dict[str, Any]:
        """Difference, p and method of two runs."""
        ends = self.found[a], self.found[b]
        both = ~np.isnan(ends[0].value) & ~np.isnan(ends[1].value)
        if not both.any():
            reason = "no class has a figure in both runs" if both.ndim else ends[0].metric.undefined
            return {"difference": {"value": None, "reason": reason}, "p": None, "method": "none"}
        value = float(np.mean((ends[0].value - ends[1].value)[both]))
        if self.drawn.count < 2:
            reason = f"an interval needs at least two {self.drawn.word}, there is {self.drawn.count}"
            bounds, p, method = {"low": None, "high": None, "interval_reason": reason}, None, "none"
        elif self.kind == "mcnemar":
            bounds, p, method = self._mcnemar(self.right[a], self.right[b], value)
        elif self.kind == "contrast":
            bounds, p, method = self._contrast(*ends, both, value)
        else:
            bounds, p, method = self._bootstrap(*ends, both, value)
        if method != "none":
            method = f"{method}, {self.drawn.count} {self.drawn.word}"
        note = {} if both.all() else {"classes": int(both.sum())}  # those that both runs have a figure of
        return {"difference": {"value": value, **bounds, "method": method, **note}, "p": p, "method": method}

    def _contrast(self, a: Evidence, b: Evidence, both: np.ndarray, value: float) -> _Test:
        assert a.sums is not None and b.sums is not None  # noqa: PT018
        difference = a.sums - b.sums
        error, freedom = standard_error(difference[:, both].mean(1) if both.ndim else difference, self.drawn)
        if self.drawn.word == "samples":
            # The normal test as published: in four designs of 2,000 simulations each (10/50 and 40/115) it rejects 1.7
            # to 5.1 % of equal pairs at a level of 5 %; with Student's t, as for single figures, 0.9 to 4.2 %.
            freedom = np.inf
        variance = getattr(a.metric, "variance", "")
        method = f"{variance + ' ' if variance else ''}contrast of influences"
        return (*_normal(value, error, freedom, self.settings.confidence), method)

    def _mcnemar(self, a: np.ndarray, b: np.ndarray, value: float) -> _Test:
        known = ~np.isnan(a)
        a, b = a[known], b[known]
        n, more, less = len(a), int((a > b).sum()), int((a < b).sum())
        effect, freedom = 1.0, np.inf
        if self.drawn.word == "groups":
            codes = np.unique(self.drawn.codes[known], return_inverse=True)[1]
            count = max(int(codes.max()) + 1, 2)
            sums = np.bincount(codes, a - b)
            spread = float(((a - b - value) ** 2).sum())
            centred = np.bincount(codes, a - b - value)
            # Without any discordant sample nothing shows how groups hang together: each counts as one sample.
            effect = max(1.0, float(centred @ centred) / spread * count / (count - 1)) if spread > 0 else n / count
            freedom = count - 1
            together = float(sums @ sums)
            p = float(chi2.sf(sums.sum() ** 2 / together, 1)) if together > 0 else 1.0
            method = "McNemar's test with sums within groups (Durkalski et al. 2003)"
        elif more + less < EXACT_BELOW:
            p = float(binomtest(more, more + less).pvalue) if more + less else 1.0
            method = f"McNemar's exact test, {more} and {less} discordant"
        else:
            p = float(chi2.sf((more - less) ** 2 / (more + less), 1))
            method = f"McNemar's test, {more} and {less} discordant"
        return _bonett_price(more / effect, less / effect, n / effect, freedom, self.settings.confidence), p, method

    def _bootstrap(self, a: Evidence, b: Evidence, both: np.ndarray, value: float) -> _Test:
        method = f"paired BCa bootstrap, {self.settings.resamples} resamples"
        if a.resampled is None or a.cut is None or b.resampled is None or b.cut is None:
            return {"low": None, "high": None, "interval_reason": "nothing was resampled"}, None, method
        resampled = _macro_difference(a.resampled, b.resampled, both)
        # Leaving a unit out lowers the figure by what the unit raised it.
        skew = acceleration(-_macro_difference(a.cut, b.cut, both))
        found = bca_interval(value, resampled, skew, self.drawn, self.settings, (-np.inf, np.inf), 0)
        if found["low"] is None:
            alike = value == 0 and bool((resampled == 0).all())
            return found, 1.0 if alike else None, method
        return found, bootstrap_p(resampled, value, skew, self.drawn.count), method


def bootstrap_p(resampled: np.ndarray, value: float, skew: float, count: int) -> float:
    """The two-sided p value of "no difference": 1 less the confidence at which the BCa interval ends at 0.

    Args:
        resampled: ``[R]`` differences in the resamples; NaN does not count.
        value: the difference.
        skew: the acceleration.
        count: of units, for Student's t as in :func:`medplug.evaluation.bootstrap.bca_interval`.

    Reference: Efron, Journal of the American Statistical Association 82, 1987, solved for the level.
    """
    defined = resampled[~np.isnan(resampled)]
    least = 1 / (len(defined) + 1)  # what so many resamples can tell

    def level(of: float) -> float:
        alike = np.abs(defined - of) <= 1e-12
        below = ((defined < of) & ~alike).mean() + alike.mean() / 2
        return float(ndtri(np.clip(below, least, 1 - least)))

    bias = level(value)
    away = level(0.0) - bias
    z = away / (1 + skew * away) - bias
    return float(np.clip(2 * stdtr(count - 1, -abs(z) / np.sqrt(count / (count - 1))), least, 1))


def _normal(value: float, error: float, freedom: float, confidence: float) -> tuple[dict[str, Any], float | None]:
    if error == 0:
        reason = "the two runs differ in no sample" if value == 0 else "its samples show no variance"
        return {"low": None, "high": None, "interval_reason": reason}, 1.0 if value == 0 else None
    tail = (1 + confidence) / 2
    exact = np.isinf(freedom)
    half = float(ndtri(tail) if exact else stdtrit(freedom, tail)) * error
    score = -abs(value) / error
    p = float(2 * (ndtr(score) if exact else stdtr(freedom, score)))
    return {"low": value - half, "high": value + half}, p


def _bonett_price(more: float, less: float, n: float, freedom: float, confidence: float) -> dict[str, Any]:
    """The interval of a paired difference of shares (Bonett and Price 2012; Fagerland et al. 2014 recommend it)."""
    tail = (1 + confidence) / 2
    z = float(ndtri(tail) if np.isinf(freedom) else stdtrit(freedom, tail))
    one, other = (more + 1) / (n + 2), (less + 1) / (n + 2)
    half = z * np.sqrt((one + other - (one - other) ** 2) / (n + 2))
    return {"low": float(max(-1.0, one - other - half)), "high": float(min(1.0, one - other + half))}


def _macro_difference(a: np.ndarray, b: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Differences ``[R]`` of figures ``[R]`` or ``[R, K]``, the mean over the classes that count and are defined."""
    difference = a - b
    if difference.ndim == 1:
        return difference
    difference = difference[:, both]
    there = ~np.isnan(difference)
    count = there.sum(1)
    return np.where(count > 0, np.where(there, difference, 0).sum(1) / np.maximum(count, 1), np.nan)


def _is_complete(one: Evidence) -> bool:
    """Whether every defined figure has influences."""
    return one.sums is not None and not np.isnan(np.where(np.isnan(one.value), 0, one.sums)).any()


def _right(metric: Metric, run: Predictions) -> np.ndarray:
    """The metric of each sample alone ``[N]``: 1 right, 0 wrong, NaN where it does not count."""
    targets, thresholds = np.asarray(run.targets), _thresholds(run)
    rows = [slice(i, i + 1) for i in range(len(run.samples))]
    return np.array([metric(targets[i], run.probabilities[i], None, thresholds) for i in rows], np.float64)


def _thresholds(run: Predictions) -> np.ndarray | None:
    return np.full(len(run.classes), 0.5) if run.task == "multilabel" else None


def _is_share(right: np.ndarray, value: np.ndarray) -> bool:
    known = right[~np.isnan(right)]
    return len(known) > 0 and bool(np.isin(known, (0, 1)).all()) and bool(np.isclose(known.mean(), value))


def _gains(
    metric_name: str, metric: Metric, names: Sequence[str], pairs: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """How much better each run is than the first: minus the difference first - run, turned to the good direction."""
    gains = {}
    for pair in pairs:
        if pair["metric"] != metric_name or pair["a"] != names[0]:
            continue
        figure = dict(pair["difference"])
        if figure["value"] is not None and metric.higher_is_better:
            figure["value"] = -figure["value"]
            low, high = figure.get("low"), figure.get("high")
            figure["low"], figure["high"] = (None, None) if low is None or high is None else (-high, -low)
        gains[pair["b"]] = {**figure, "over": names[0]}
    return gains
