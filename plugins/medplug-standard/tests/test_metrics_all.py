"""What holds for every metric: weights, many weightings at once, influence, undefined figures."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from metric_helpers import CASES, EVERY, IDS, sample, smooth

from medplug_standard import plugin
from medplug_standard.metrics.ece import Ece, TopLabelEce
from medplug_standard.metrics.operating import SensitivityAtSpecificity, SpecificityAtSensitivity
from medplug_standard.metrics.roc_auc import RocAuc, RocAucOvo

DATA = {"tied": sample, "smooth": smooth}


def test_every_metric_is_here() -> None:
    offered = {record.target.rpartition(":")[2] for record in plugin.medplug_components() if record.kind == "metric"}
    assert offered == {type(metric).__name__ for metric in EVERY}


@pytest.mark.parametrize(("metric", "task"), CASES, ids=IDS)
def test_many_weightings_are_each_by_itself(metric: Any, task: str) -> None:
    targets, probabilities, _ = sample(task, 3, n=50, unknown=0.1)
    weights = np.random.default_rng(0).integers(0, 3, (70, 50)).astype(float)
    weights[5] = 0
    weights[6, targets[:, 1] > 0.5] = 0  # a class is gone
    got = metric(targets, probabilities, weights)
    one_by_one = np.array([metric(targets, probabilities, row) for row in weights])
    assert got.shape == one_by_one.shape
    np.testing.assert_allclose(got, one_by_one, rtol=1e-9, atol=1e-12)
    if hasattr(metric, "micro"):
        one_by_one = [metric.micro(targets, probabilities, row) for row in weights]
        assert all(isinstance(value, float) for value in one_by_one)
        np.testing.assert_allclose(metric.micro(targets, probabilities, weights), one_by_one, rtol=1e-12)


@pytest.mark.parametrize(("metric", "task"), CASES, ids=IDS)
def test_a_weight_is_a_repetition(metric: Any, task: str) -> None:
    for make in DATA.values():
        targets, probabilities = make(task, 9, n=60, unknown=0.1)[:2]
        times = np.random.default_rng(1).integers(0, 4, len(targets))
        repeated = metric(np.repeat(targets, times, 0), np.repeat(probabilities, times, 0))
        np.testing.assert_allclose(metric(targets, probabilities, times), repeated, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(metric(targets, probabilities, 0.3 * times), repeated, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("metric", "task"), CASES, ids=IDS)
def test_nothing_warns_and_nothing_is_undefined_but_by_nan(metric: Any, task: str) -> None:
    targets, probabilities, _ = sample(task, 4, n=30)
    only = np.zeros_like(targets)
    only[:, 0] = 1
    gone = targets.copy()
    if task == "multilabel":
        gone[:, 2] = np.nan
    low, high = metric.bounds
    shape = np.shape(metric(targets, probabilities))
    cases = {
        "one class only": (only, probabilities),
        "one sample": (targets[:1], probabilities[:1]),
        "unknown class": (gone, probabilities),
        "no weight": (targets, probabilities, np.zeros(30)),
        "same scores": (targets, np.full_like(probabilities, 1 / probabilities.shape[1])),
        "hard scores": (targets, np.where(probabilities >= probabilities.max(1, keepdims=True), 1.0, 0.0)),
    }
    for name, arrays in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = np.asarray(metric(*arrays))
            if hasattr(metric, "influence"):
                rows = metric.influence(*arrays[:2], None)
                assert not np.isinf(rows).any(), name
            for extra in ("trials", "companion"):
                if hasattr(metric, extra):
                    getattr(metric, extra)(*arrays[:2], None)
        assert not np.isinf(got).any(), name
        assert np.all(np.isnan(got) | ((got >= low) & (got <= high))), name
        if name in ("one class only", "no weight", "unknown class"):
            assert got.shape == shape, name
        if name == "no weight":
            assert np.isnan(got).all()
        if name == "unknown class" and got.shape and task == "multilabel":
            np.testing.assert_array_equal(np.isnan(got), [False, False, True, False])


@pytest.mark.parametrize("metric", [m for m, task in CASES if task == "multilabel"], ids=str)
def test_probabilities_of_unknown_labels_do_not_matter(metric: Any) -> None:
    targets, probabilities = smooth("multilabel", 5, 80, unknown=0.2)
    other = np.where(np.isnan(targets), 1 - probabilities, probabilities)
    np.testing.assert_allclose(metric(targets, probabilities), metric(targets, other), rtol=1e-12)


@pytest.mark.parametrize(("metric", "task"), CASES, ids=IDS)
def test_figures_do_not_depend_on_the_order_of_samples(metric: Any, task: str) -> None:
    arrays = sample(task, 8, unknown=0.1)
    copies = [a.copy() for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    order = np.random.default_rng(0).permutation(len(arrays[0]))
    np.testing.assert_allclose(metric(*arrays), metric(*(a[order] for a in arrays)), rtol=1e-9, atol=1e-12)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


INFLUENCED = [(m, t) for m, t in CASES if not isinstance(m, (SensitivityAtSpecificity, SpecificityAtSensitivity))]
INFLUENCED_IDS = [f"{metric}-{task}" for metric, task in INFLUENCED]


@pytest.mark.parametrize("thresholds", [None, np.array([0.3, 0.45, 0.6])], ids=["plain", "thresholds"])
@pytest.mark.parametrize(("metric", "task"), INFLUENCED, ids=INFLUENCED_IDS)
def test_influence_is_the_derivative_by_the_weight(metric: Any, task: str, thresholds: np.ndarray | None) -> None:
    """Against differences of the figure itself; DeLong's has m and m - 1 in it and is compared with its own formula."""
    n, step = 48, 1e-4
    # Of 48 samples none lies across the end of one of ten bins, where a weight would move it to the other side.
    targets, probabilities = smooth(task, 23, n, unknown=0 if isinstance(metric, (Ece, TopLabelEce)) else 0.1)
    rows = metric.influence(targets, probabilities, thresholds)
    value = metric(targets, probabilities, None, thresholds)
    assert rows.shape == (n, *np.shape(value))
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows.sum(0), 0, atol=1e-9)
    if rows.ndim == 2:
        assert not rows[np.isnan(targets)].any()
    if isinstance(metric, (RocAuc, RocAucOvo)):
        return
    moved = step * np.eye(n)
    up, down = (metric(targets, probabilities, 1 + sign * moved, thresholds) for sign in (1, -1))
    np.testing.assert_allclose(rows, (up - down) / (2 * step), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("metric", "task"), INFLUENCED, ids=INFLUENCED_IDS)
def test_squares_of_influence_are_the_variance_over_samples(metric: Any, task: str) -> None:
    n = 800
    targets, probabilities = smooth(task, 22, n)
    tolerance = 0.1
    if isinstance(metric, (Ece, TopLabelEce)):
        # Where calibration is perfect the error has a kink and no derivative; and where bins end hangs on the sample.
        probabilities, tolerance = too_extreme(probabilities, task), 0.2
    rng = np.random.default_rng(3)
    weights = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(1500)]).astype(float)
    deviation = metric(targets, probabilities, weights).std(0)
    estimate = np.sqrt((metric.influence(targets, probabilities, None) ** 2).sum(0))
    np.testing.assert_allclose(estimate / deviation, 1, atol=tolerance)


def too_extreme(probabilities: np.ndarray, task: str) -> np.ndarray:
    cubes, others = probabilities**3, (1 - probabilities) ** 3
    return cubes / cubes.sum(1, keepdims=True) if task == "multiclass" else cubes / (cubes + others)


def test_shares_say_of_how_many_samples() -> None:
    targets, probabilities = smooth("multilabel", 24, 90, unknown=0.2)
    found = 0
    for metric, task in CASES:
        if getattr(metric, "interval", "") != "wilson" or task != "multilabel":
            continue
        value, trials = np.asarray(metric(targets, probabilities)), metric.trials(targets, probabilities, None)
        assert np.shape(trials) == value.shape
        successes = value * trials
        np.testing.assert_allclose(successes, successes.round(), atol=1e-6)
        # The delta method of a share is p (1 - p) / n, so that n can be told from the influence.
        rows = metric.influence(targets, probabilities, None)
        np.testing.assert_allclose((rows**2).sum(0), value * (1 - value) / trials, rtol=1e-9)
        found += 1
    assert found == 7
