"""Checks of metrics: NumPy on the host, so that all of them together take milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require

TASKS = ("multiclass", "multilabel")
INTERVALS = ("bootstrap", "logit", "normal", "wilson")
_N = 200
_NOISE = {"perfect": 0.0, "good": 0.8, "random": None}


def _tasks(case: Case) -> tuple[str, ...]:
    tasks = getattr(case.obj, "tasks", ())
    if not isinstance(tasks, tuple) or not tasks or not set(tasks) <= set(TASKS):
        raise NotApplicable("without valid tasks it is not known what the metric is for")
    return tasks


def _data(task: str, quality: str = "good", k: int = 3, n: int = _N) -> tuple[np.ndarray, np.ndarray]:
    """Targets ``[N, K]`` float32 and probabilities ``[N, K]`` float64, all classes present."""
    rng = np.random.default_rng(k)
    single = task == "multiclass"
    targets = np.eye(k)[rng.permutation(np.arange(n) % k)] if single else (rng.random((n, k)) < 0.4).astype(float)
    noise = _NOISE[quality]
    scores = rng.normal(0, 1, (n, k)) if noise is None else 4 * (targets - 0.5) + 2.5 * noise * rng.normal(0, 1, (n, k))
    if quality == "perfect":
        scores = 12 * (targets - 0.5)
    odds = np.exp(scores)
    return targets.astype(np.float32), odds / odds.sum(1, keepdims=True) if single else odds / (1 + odds)


def _values(case: Case, k: int, *arrays: Any) -> np.ndarray:
    """What the metric says, as ``[1]`` or ``[K]`` float64."""
    out = case.obj(*arrays)
    if isinstance(out, np.ndarray):
        require(
            out.shape == (k,), f"an array of shape {list(out.shape)} for {k} classes; a float or [{k}] is asked for"
        )
        require(
            np.issubdtype(out.dtype, np.floating), f"an array of {out.dtype}; floats are asked for, undefined is NaN"
        )
    else:
        require(
            isinstance(out, (float, np.floating)),
            f"returned {type(out).__name__}; a float or an array [K] is asked for",
        )
    return np.atleast_1d(np.asarray(out, np.float64))


def _macro(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _require_in_bounds(case: Case, values: np.ndarray, what: str) -> None:
    low, high = case.obj.bounds
    outside = values[(values < low - 1e-9) | (values > high + 1e-9)]
    require(not outside.size, f"{what}: {outside[:1]} lies outside the bounds ({low:g}, {high:g})")


def _require_same(a: np.ndarray, b: np.ndarray, what: str) -> None:
    require(a.shape == b.shape and np.allclose(a, b, rtol=1e-7, atol=1e-9, equal_nan=True), f"{what}: {a} and {b}")


@check("set the class attributes tasks, higher_is_better, bounds and undefined, without annotations", cheap=True)
def declares_itself(case: Case) -> None:
    """``tasks``, ``higher_is_better``, ``bounds`` and ``undefined`` are there and make sense."""
    tasks, bounds = getattr(case.obj, "tasks", None), getattr(case.obj, "bounds", None)
    require(isinstance(tasks, tuple) and tasks and set(tasks) <= set(TASKS), f"tasks is {tasks!r}")
    require(isinstance(getattr(case.obj, "higher_is_better", None), bool), "higher_is_better is not True or False")
    require(isinstance(bounds, tuple) and len(bounds) == 2 and bounds[0] < bounds[1], f"bounds is {bounds!r}")
    sentence = getattr(case.obj, "undefined", "")
    require(isinstance(sentence, str) and sentence.strip(), "undefined is not a sentence that explains a NaN")


@check("return a Python float, or an array [K] of floats with one value per class")
def a_float_or_one_per_class(case: Case) -> None:
    """The result is a float or ``[K]`` floats, and defined on ordinary data."""
    for task in _tasks(case):
        for k in (2, 3, 5):
            values = _values(case, k, *_data(task, k=k))
            require(not np.isnan(values).all(), f"NaN on ordinary data of {k} classes ({task})")


@check("state the true bounds, (0, 1) for a share; do not scale to percent")
def keeps_its_bounds(case: Case) -> None:
    """Perfect, good and random predictions stay within ``bounds``."""
    for task in _tasks(case):
        for quality in _NOISE:
            _require_in_bounds(case, _values(case, 3, *_data(task, quality)), f"{quality} predictions ({task})")


@check("check higher_is_better, and the order of (targets, probabilities)", semantic=True)
def perfect_beats_good_beats_random(case: Case) -> None:
    """Better predictions give better figures, in the direction of ``higher_is_better``."""
    if hasattr(case.obj, "ideal"):
        raise NotApplicable("a metric with an ideal value is neither better when higher nor when lower")
    sign = 1 if case.obj.higher_is_better else -1
    for task in _tasks(case):
        perfect, good, random = (sign * _macro(_values(case, 3, *_data(task, q))) for q in _NOISE)
        shown = f"perfect {sign * perfect:g}, good {sign * good:g}, random {sign * random:g} ({task})"
        require(perfect >= good > random, f"higher_is_better is {case.obj.higher_is_better}, but {shown}")


@check("let no value depend on where a sample stands")
def order_does_not_matter(case: Case) -> None:
    """Shuffled samples give the same figure."""
    for task in _tasks(case):
        targets, probabilities = _data(task)
        order = np.random.default_rng(5).permutation(len(targets))
        swapped = _values(case, 3, targets[order], probabilities[order])
        _require_same(_values(case, 3, targets, probabilities), swapped, f"shuffled samples change it ({task})")


@check("multiply every count by sample_weight; None means 1 for each sample")
def weight_equals_repetition(case: Case) -> None:
    """A weight of n equals the sample n times; no weights equal weights of 1."""
    for task in _tasks(case):
        targets, probabilities = _data(task)
        times = np.random.default_rng(6).integers(1, 4, len(targets))
        weighted = _values(case, 3, targets, probabilities, times.astype(np.float64))
        repeated = _values(case, 3, np.repeat(targets, times, 0), np.repeat(probabilities, times, 0))
        _require_same(weighted, repeated, f"weights and repetitions differ ({task})")
        plain, ones = (
            _values(case, 3, targets, probabilities),
            _values(case, 3, targets, probabilities, np.ones(len(targets))),
        )
        _require_same(plain, ones, f"weights of 1 change it ({task})")


@check("a sample of weight 0 must not count anywhere, neither in a numerator, nor in whether a class occurs")
def weight_zero_is_absence(case: Case) -> None:
    """A weight of 0 equals the absence of the sample, also where it empties a class."""
    for task in _tasks(case):
        targets, probabilities = _data(task)
        kept = np.random.default_rng(7).random(len(targets)) < 0.5
        kept &= targets[:, 2] < 0.5  # the last class is left without positives
        weighted = _values(case, 3, targets, probabilities, kept.astype(np.float64))
        _require_same(
            weighted, _values(case, 3, targets[kept], probabilities[kept]), f"weights of 0 and absence differ ({task})"
        )


@check("return NaN where a class has no samples; raise nothing, and no value out of bounds")
def an_absent_class_is_no_error(case: Case) -> None:
    """Classes that do not occur raise nothing and give NaN or a value within bounds."""
    for task in _tasks(case):
        targets, probabilities = _data(task)
        rows = targets[:, 1] < 0.5
        _require_in_bounds(
            case, _values(case, 3, targets[rows], probabilities[rows]), f"a class without positives ({task})"
        )
        everywhere = (
            np.zeros_like(targets) if task == "multilabel" else np.eye(3, dtype=np.float32)[np.zeros(len(targets), int)]
        )
        _require_in_bounds(case, _values(case, 3, everywhere, probabilities), f"the same labels for all ({task})")


@check("return NaN where one sample is not enough; raise nothing")
def one_sample_is_no_error(case: Case) -> None:
    """A single sample raises nothing and gives NaN or a value within bounds."""
    for task in _tasks(case):
        targets, probabilities = _data(task)
        _require_in_bounds(case, _values(case, 3, targets[:1], probabilities[:1]), f"one sample ({task})")


@check("leave out unknown labels (NaN) class by class; they must not turn the figure to NaN")
def unknown_labels_do_not_count(case: Case) -> None:
    """NaN labels are left out, whatever their probabilities are."""
    if "multilabel" not in _tasks(case):
        raise NotApplicable("unknown labels occur in multi-label tasks only")
    targets, probabilities = _data("multilabel")
    unknown = np.random.default_rng(8).random(targets.shape) < 0.2
    targets[unknown] = np.nan
    values = _values(case, 3, targets, probabilities)
    require(not np.isnan(values).any(), f"20 % of the labels are unknown, and the metric says {values}")
    other = _values(case, 3, targets, np.where(unknown, 1 - probabilities, probabilities))
    _require_same(values, other, "probabilities at unknown labels change it")


@check("copy before you sort, clip or fill: the arrays belong to the engine")
def inputs_are_untouched(case: Case) -> None:
    """Read-only inputs are enough, and stay as they are."""
    for task in _tasks(case):
        arrays = (*_data(task), np.ones(_N), np.full(3, 0.4))
        before = [a.copy() for a in arrays]
        for array in arrays:
            array.flags.writeable = False
        _values(case, 3, *arrays)
        if any(not np.array_equal(a, b) for a, b in zip(arrays, before, strict=True)):
            raise CheckError(f"an input array was changed ({task})")


@check("take thresholds[K] for multi-label decisions; None means 0.5 for each class")
def thresholds_are_taken(case: Case) -> None:
    """``thresholds`` are accepted, and 0.5 is what their absence means in multi-label tasks."""
    for task in _tasks(case):
        data = _data(task)
        for level in (0.1, 0.9):
            _require_in_bounds(
                case, _values(case, 3, *data, None, np.full(3, level)), f"thresholds of {level} ({task})"
            )
        if task == "multilabel":
            half = _values(case, 3, *data, None, np.full(3, 0.5))
            _require_same(_values(case, 3, *data), half, "thresholds of 0.5 and none differ")


@check("set interval to bootstrap, logit, normal or wilson; logit and normal need influence, wilson needs trials")
def interval_has_what_it_needs(case: Case) -> None:
    """``interval`` is one of the four, and the methods that it needs are there."""
    kind = getattr(case.obj, "interval", "bootstrap")
    require(kind in INTERVALS, f"interval is {kind!r}; it must be one of {', '.join(INTERVALS)}")
    needed = {"logit": "influence", "normal": "influence", "wilson": "trials"}.get(kind)
    require(needed is None or hasattr(case.obj, needed), f"interval is {kind!r}, but there is no method {needed}")


@check("influence gives [N] or [N, K], trials a float or [K], companion a dict of those, micro a float; NaN, no errors")
def optional_parts_have_their_shapes(case: Case) -> None:
    """``micro``, ``influence``, ``trials`` and ``companion`` give what the contract says, whatever the labels are."""
    parts = [part for part in ("micro", "influence", "trials", "companion") if hasattr(case.obj, part)]
    if not parts:
        raise NotApplicable("there are no optional methods")
    for task in _tasks(case):
        targets, probabilities = _data(task)
        rows = targets[:, 1] < 0.5
        sets = {
            "ordinary data": (targets, probabilities),
            "a class without positives": (targets[rows], probabilities[rows]),
            "one sample": (targets[:1], probabilities[:1]),
        }
        for name, data in sets.items():
            for part in parts:
                try:
                    _require_part(case, part, *data)
                except CheckError as failure:
                    raise CheckError(f"{failure} ({name}, {task})") from None


def _require_part(case: Case, part: str, targets: np.ndarray, probabilities: np.ndarray) -> None:
    shape = np.shape(case.obj(targets, probabilities))
    arguments = (None, None) if part == "micro" else (None,)
    given = getattr(case.obj, part)(targets, probabilities, *arguments)
    if part == "companion":
        require(isinstance(given, dict), f"companion returned {type(given).__name__}; {{NAME: number}} is asked for")
        for key, beside in given.items():
            require(
                isinstance(key, str) and np.shape(beside) in ((), shape),
                f"companion {key!r} has the shape {np.shape(beside)}; a float or the metric's {shape} is asked for",
            )
        return
    asked = {"micro": (), "influence": (len(targets), *shape), "trials": shape}[part]
    require(np.shape(given) == asked, f"{part} returned the shape {np.shape(given)}; {asked} is asked for")


@check("let the influence of a sample be 0 where its label is unknown")
def unknown_labels_have_no_influence(case: Case) -> None:
    """Rows of unknown labels are 0, and the others do not turn to NaN."""
    if "multilabel" not in _tasks(case) or not hasattr(case.obj, "influence"):
        raise NotApplicable("there is no method influence, or labels are always known")
    targets, probabilities = _data("multilabel")
    unknown = np.random.default_rng(8).random(targets.shape) < 0.2
    targets[unknown] = np.nan
    rows = np.asarray(case.obj.influence(targets, probabilities, None), np.float64)
    require(not np.isnan(rows).any(), "20 % of the labels are unknown, and influence holds NaN")
    beside = rows[unknown] if rows.shape == targets.shape else rows[unknown.all(1)]
    require((beside == 0).all(), f"influence of unknown labels is {beside[beside != 0][:1]}")


@check("with vectorised = True, compute along the last axis of sample_weight: [R, N] gives [R] or [R, K]")
def many_weightings_equal_a_loop(case: Case) -> None:
    """``[R, N]`` weights give what R calls give."""
    if not getattr(case.obj, "vectorised", False):
        raise NotApplicable("vectorised is not set")
    rng = np.random.default_rng(9)
    for task in _tasks(case):
        data = _data(task)
        rows = rng.integers(0, 3, (4, len(data[0]))).astype(np.float64)
        calls = [("the metric", case.obj), *([("micro", case.obj.micro)] if hasattr(case.obj, "micro") else [])]
        for name, call in calls:
            one_by_one = np.stack([np.asarray(call(*data, row), np.float64) for row in rows])
            _require_same(
                np.asarray(call(*data, rows), np.float64),
                one_by_one,
                f"{name}: many weightings and a loop differ ({task})",
            )


@check("scale influence so that its squares sum to the variance of the figure, and let it sum to 0", semantic=True)
def influence_tells_the_variance(case: Case) -> None:
    """Influence values sum to 0, and their squares to the variance that resampling shows, within a factor of four."""
    if not hasattr(case.obj, "influence"):
        raise NotApplicable("there is no method influence")
    rng = np.random.default_rng(10)
    for task in _tasks(case):
        targets, probabilities = _data(task)
        rows = np.asarray(case.obj.influence(targets, probabilities), np.float64).reshape(len(targets), -1)
        weights = rng.multinomial(len(targets), np.full(len(targets), 1 / len(targets)), 300).astype(np.float64)
        values = np.stack([np.atleast_1d(np.asarray(case.obj(targets, probabilities, w), np.float64)) for w in weights])
        require(rows.shape[1] == values.shape[1], f"influence has {rows.shape[1]} columns for {values.shape[1]} values")
        for c in range(rows.shape[1]):
            if np.isnan(rows[:, c]).any() or np.isnan(values[:, c]).any():
                continue
            told, seen = float((rows[:, c] ** 2).sum()), float(values[:, c].var())
            require(
                abs(rows[:, c].sum()) <= 1e-6 + 0.05 * told**0.5, f"influence of value {c} does not sum to 0 ({task})"
            )
            require(
                seen / 4 <= told <= 4 * seen or max(told, seen) < 1e-12,
                f"influence of value {c} says a variance of {told:.3g}, resampling {seen:.3g} ({task})",
            )


CHECKS: tuple[Check, ...] = (
    declares_itself,
    a_float_or_one_per_class,
    keeps_its_bounds,
    perfect_beats_good_beats_random,
    order_does_not_matter,
    weight_equals_repetition,
    weight_zero_is_absence,
    an_absent_class_is_no_error,
    one_sample_is_no_error,
    unknown_labels_do_not_count,
    inputs_are_untouched,
    thresholds_are_taken,
    interval_has_what_it_needs,
    optional_parts_have_their_shapes,
    unknown_labels_have_no_influence,
    many_weightings_equal_a_loop,
    influence_tells_the_variance,
)
