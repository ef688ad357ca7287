"""Calibration maps against independent fits, and reliability figures against hand-worked ones and scikit-learn."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from medplug.errors import DataError, ParameterError
from medplug.evaluation.calibration import (
    CalibrationFit,
    calibration_analysis,
    fit_calibration,
    recalibration,
    reliability_bins,
)
from medplug.evaluation.calibration_fit import negative_log_likelihood
from medplug.values import Predictions


def many(n: int = 600, k: int = 3, *, temperature: float = 1.0, seed: int = 0, groups: int = 0) -> Predictions:
    """Labels drawn from softmax(z); the network says softmax(z * temperature), so that this is the best temperature."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (n, k))
    labels = (rng.random((n, 1)) > np.cumsum(softmax(z, axis=1), axis=1)[:, :-1]).sum(1)
    named = np.array([f"p{i % groups}" for i in range(n)]) if groups else None
    targets = np.eye(k, dtype=np.float32)[labels]
    classes = tuple(f"c{i}" for i in range(k))
    return Predictions(
        tuple(map(str, range(n))), softmax(z * temperature, axis=1), targets, classes, "multiclass", named
    )


def labelled(n: int = 600, k: int = 3, *, temperature: float = 1.0, seed: int = 0, unknown: float = 0.0) -> Predictions:
    rng = np.random.default_rng(seed)
    z = rng.normal(-0.5, 1.5, (n, k))
    targets = (rng.random((n, k)) < expit(z)).astype(np.float32)
    targets[rng.random((n, k)) < unknown] = np.nan
    classes = tuple(f"c{i}" for i in range(k))
    return Predictions(tuple(map(str, range(n))), expit(z * temperature), targets, classes, "multilabel")


@pytest.mark.parametrize("make", [many, labelled])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(make: Any, temperature: float) -> None:
    found = fit_calibration(make(6000, temperature=temperature)).parameters["temperature"]
    assert found == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_the_temperature_is_where_the_derivative_of_the_likelihood_is_zero(unknown: float) -> None:
    """An independent formula of the derivative, and a root finder instead of a minimiser."""
    p = many(200, temperature=1.7, seed=3)
    z, y = np.log(p.probabilities), np.asarray(p.targets, np.float64)
    slope = lambda b: ((softmax(b * z, axis=1) - y) * z).sum()  # noqa: E731
    assert fit_calibration(p).parameters["temperature"] == pytest.approx(1 / brentq(slope, 0.05, 20), rel=1e-5)
    q = labelled(200, temperature=1.7, seed=3, unknown=unknown)
    z, y = logit(q.probabilities), np.asarray(q.targets, np.float64)
    slope = lambda b: np.nansum((expit(b * z) - y) * z)  # noqa: E731
    assert fit_calibration(q).parameters["temperature"] == pytest.approx(1 / brentq(slope, 0.05, 20), rel=1e-5)


def test_the_temperature_is_applied_to_log_probabilities() -> None:
    fit = CalibrationFit("temperature", "multiclass", ("a", "b", "c"), {"temperature": 2.0})
    p = np.array([[0.64, 0.32, 0.04]])
    assert fit.apply(p) == pytest.approx(np.sqrt(p) / np.sqrt(p).sum())
    labels = CalibrationFit("temperature", "multilabel", ("a", "b"), {"temperature": 2.0})
    assert labels.apply(np.array([[0.8, 0.5]])) == pytest.approx(np.array([[2 / 3, 0.5]]))  # odds 4 become 2


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_zeros_and_ones_are_survived(task: Any) -> None:
    fit = CalibrationFit("temperature", task, ("a", "b"), {"temperature": 3.0})
    found = fit.apply(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert ((found > 0) & (found < 1)).all()
    assert found.sum(1) == pytest.approx(1)  # by symmetry for labels too


@pytest.mark.parametrize("make", [many, labelled])
def test_the_likelihoods_gradient_is_that_of_differences(make: Any) -> None:
    p = make(7, seed=2)
    z, y = np.random.default_rng(1).normal(size=(7, 3)), np.asarray(p.targets, np.float64)
    _, gradient = negative_log_likelihood(z, y, p.task)
    for i in range(7):
        for j in range(3):
            up, down = z.copy(), z.copy()
            up[i, j] += 1e-6
            down[i, j] -= 1e-6
            ends = [negative_log_likelihood(v, y, p.task)[0] for v in (up, down)]
            assert gradient[i, j] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


def test_vector_scaling_of_labels_is_a_logistic_regression_of_each() -> None:
    p = labelled(800, temperature=2.0, unknown=0.2)
    fit = fit_calibration(p, "vector")
    assert p.targets is not None
    for c in range(3):
        known = ~np.isnan(p.targets[:, c])
        reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        reference.fit(logit(p.probabilities[known, c, None]), p.targets[known, c])
        assert fit.parameters["scale"][c] == pytest.approx(reference.coef_[0, 0], abs=2e-3)
        assert fit.parameters["bias"][c] == pytest.approx(reference.intercept_[0], abs=2e-3)
        expected = reference.predict_proba(logit(p.probabilities[:, c, None]))[:, 1]
        assert fit.apply(p.probabilities)[:, c] == pytest.approx(expected, abs=2e-3)


def test_vector_scaling_of_classes_undoes_scales_and_biases() -> None:
    """What log p was scaled and moved by is found again, up to noise; the loss is that of the true probabilities."""
    p = many(8000)
    truth = p.probabilities
    bent = softmax(np.log(truth) * [2.0, 1.0, 1.5] + [0.5, -0.5, 0.0], axis=1)
    fitted = fit_calibration(replace(p, probabilities=bent), "vector").apply(bent)
    assert log_loss(p.targets, fitted) < log_loss(p.targets, truth) + 0.002
    assert log_loss(p.targets, bent) > log_loss(p.targets, truth) + 0.03


@pytest.mark.parametrize("make", [many, labelled])
def test_isotonic_regression_is_scikit_learns(make: Any) -> None:
    p, new = make(400, temperature=2.0), make(300, temperature=2.0, seed=9)
    fit = fit_calibration(p, "isotonic")
    expected = np.empty((300, 3))
    for c in range(3):
        model = IsotonicRegression(y_min=1 / 402, y_max=401 / 402, out_of_bounds="clip")
        expected[:, c] = model.fit(p.probabilities[:, c], p.targets[:, c]).predict(new.probabilities[:, c])
    if p.task == "multiclass":
        expected /= expected.sum(1, keepdims=True)
    assert fit.apply(new.probabilities) == pytest.approx(expected, abs=1e-12)


def test_too_few_cases_are_told() -> None:
    assert fit_calibration(many(49)).method == "none"
    assert "at least 50 samples" in str(fit_calibration(many(49)).skipped)
    assert fit_calibration(many(50)).method == "temperature"
    for method in ("vector", "isotonic"):
        few = fit_calibration(many(299), method)  # type: ignore[arg-type]
        assert few.method == "none"
        assert "at least 300" in str(few.skipped)
        assert fit_calibration(many(300), method).method == method  # type: ignore[arg-type]


def test_groups_are_the_cases() -> None:
    found = fit_calibration(many(200, groups=40))
    assert found.method == "none"
    assert "50 groups with labels, the validation part has 200 samples of 40 groups" in str(found.skipped)
    assert found.fitted_on == {"part": "validation", "n": 200, "unit": "groups", "units": 40}


def test_none_is_nothing() -> None:
    p = many(100)
    fit = fit_calibration(p, "none")
    assert (fit.method, fit.skipped) == ("none", None)
    assert np.array_equal(fit.apply(p.probabilities), p.probabilities)


def test_faultless_and_hopeless_validation_parts_have_no_temperature() -> None:
    p = many(100)
    assert p.targets is not None
    sure = 0.9 * p.targets.astype(float) + 0.1 * (1 - p.targets) / 2
    assert "without a mistake" in str(fit_calibration(replace(p, probabilities=sure)).skipped)
    assert "do not follow" in str(
        fit_calibration(replace(p, targets=1 - np.roll(sure, 1, 1).round(), probabilities=np.roll(sure, 1, 1))).skipped
    )


def test_absent_classes_have_no_map_of_their_own() -> None:
    p = many(400)
    q = Predictions(
        p.samples, np.concatenate([p.probabilities * 0.99, np.full((400, 1), 0.01)], axis=1),
        np.concatenate([p.targets, np.zeros((400, 1))], axis=1), (*p.classes, "rare"), "multiclass",
    )  # fmt: skip
    for method in ("vector", "isotonic"):
        assert "only one kind of rare" in str(fit_calibration(q, method).skipped)  # type: ignore[arg-type]
    assert fit_calibration(q).method == "temperature"


def test_wrong_use_is_told() -> None:
    with pytest.raises(ParameterError, match="calibration must be"):
        fit_calibration(many(60), "platt")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no labels"):
        fit_calibration(replace(many(60), targets=None))
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        fit_calibration(many(60)).apply(np.ones((2, 4)))


@pytest.mark.parametrize("method", ["none", "temperature", "vector", "isotonic"])
@pytest.mark.parametrize("make", [many, labelled])
def test_json_keeps_every_bit(make: Any, method: Any) -> None:
    fit = fit_calibration(make(400, temperature=1.3), method)
    again = CalibrationFit.from_json(json.loads(json.dumps(fit.to_json())))
    assert again == fit
    p = make(50, seed=5).probabilities
    assert np.array_equal(again.apply(p), fit.apply(p))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "magic"}, {"parameters": {}}, {"parameters": {"temperature": -1.0}}, {"parameters": {"temperature": "x"}},
        {"method": "vector", "parameters": {"scale": [1.0], "bias": [0.0]}},
        {"method": "isotonic", "parameters": {"x": [[0.0]] * 3, "y": [[0.0], [1.0], []]}},
    ],
)  # fmt: skip
def test_damaged_json_is_refused(change: dict[str, Any]) -> None:
    values = fit_calibration(many(60)).to_json()
    with pytest.raises((KeyError, TypeError, ValueError)):
        CalibrationFit.from_json({**values, **change})


def test_bins_worked_by_hand() -> None:
    predicted = np.repeat([0.1, 0.2, 0.6, 0.9], [6, 4, 5, 5])
    happened = np.array([0] * 6 + [1, 0, 0, 0] + [1, 1, 1, 0, 0] + [1] * 5)
    bins = reliability_bins(predicted, happened)  # 20 samples: two bins
    assert [b["n"] for b in bins] == [10, 10]
    assert bins[0]["predicted"] == pytest.approx(0.14)
    assert [b["observed"] for b in bins] == pytest.approx([0.1, 0.8])
    assert [(b["low"], b["high"]) for b in bins] == [(0.1, 0.4), (0.4, 0.9)]
    assert bins[0]["observed_low"] == pytest.approx(0.0179, abs=1e-4)  # Wilson of 1 in 10
    assert bins[0]["observed_high"] == pytest.approx(0.4042, abs=1e-4)


def test_equal_predictions_share_a_bin() -> None:
    predicted = np.concatenate([np.full(95, 0.3), np.linspace(0.4, 0.9, 5)])
    bins = reliability_bins(predicted, np.zeros(100))
    assert sum(b["n"] for b in bins) == 100
    assert bins[0]["n"] == 95
    assert len(reliability_bins(np.full(50, 0.2), np.ones(50))) == 1


def test_unknown_and_few_outcomes() -> None:
    assert reliability_bins(np.array([0.2, 0.3]), np.array([np.nan, np.nan])) == []
    (one,) = reliability_bins(np.array([0.2, 0.3]), np.array([np.nan, 1.0]))
    assert (one["n"], one["predicted"], one["observed"]) == (1, 0.3, 1.0)


def test_bins_of_groups_are_wider() -> None:
    rng = np.random.default_rng(0)
    happened = np.repeat(rng.integers(0, 2, 10), 10)
    predicted = rng.random(100)
    plain, grouped = (
        reliability_bins(predicted, happened, codes) for codes in (None, np.repeat(np.arange(10), 10) % 3)
    )
    width = lambda bins: np.mean([b["observed_high"] - b["observed_low"] for b in bins])  # noqa: E731
    assert width(grouped) > width(plain)


def test_slope_and_intercept_are_those_of_logistic_regressions() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(-1, 2, 500)
    y = rng.random(500) < expit(0.6 * x + 0.4)
    found = recalibration(expit(x), y.astype(float))
    slope = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(x[:, None], y).coef_[0, 0]
    assert found["slope"]["value"] == pytest.approx(slope, abs=1e-5)
    intercept = brentq(lambda a: (expit(a + x) - y).sum(), -10, 10, xtol=1e-13)
    assert found["intercept"]["value"] == pytest.approx(intercept, abs=1e-9)


def test_slope_of_extreme_predictions_converges() -> None:
    """Newton steps from a far start overshoot without halving."""
    p = np.array([1e-9] * 50 + [1 - 1e-9] * 50 + [0.4, 0.6])
    y = np.array([0.0] * 48 + [1, 1] + [1.0] * 49 + [0] + [1, 0])
    found = recalibration(p, y)
    x = np.log(np.clip(p, 1e-7, 1 - 1e-7) / np.clip(1 - p, 1e-7, 1))
    slope = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5000).fit(x[:, None], y).coef_[0, 0]
    assert found["slope"]["value"] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize(
    ("p", "y", "slope", "intercept"),
    [
        ([0.2, 0.8], [np.nan, np.nan], "no sample has a known label", "no sample"),
        ([0.2, 0.8], [1, 1], "all known labels are positive", "all known"),
        ([0.2], [0], "all known labels are negative", "all known"),
        ([0.2, 0.2], [0, 1], "all predictions are alike", None),
        ([0.2, 0.3, 0.9], [0, 0, 1], "separates", None),
        ([0.2, 0.3, 0.3, 0.9], [1, 1, 0, 0], "separates", None),
    ],
)
def test_undefined_slopes_have_reasons(p: Any, y: Any, slope: str, intercept: str | None) -> None:
    found = recalibration(np.array(p), np.array(y, float))
    assert found["slope"]["value"] is None
    assert slope in found["slope"]["reason"]
    if intercept is None:
        assert np.isfinite(found["intercept"]["value"])
    else:
        assert intercept in found["intercept"]["reason"]


def slow_ece(p: np.ndarray, y: np.ndarray) -> float:
    """Ten bins of equally many samples, for predictions without ties whose number is a multiple of ten."""
    order = np.argsort(p)
    return float(np.mean([abs(y[rows].mean() - p[rows].mean()) for rows in order.reshape(10, -1)]))


def test_figures_of_classes_are_those_of_scikit_learn_and_plain_loops() -> None:
    p = many(200, temperature=2.0)
    assert p.targets is not None
    before = calibration_analysis(p, None)["before"]
    assert before["log_loss"]["value"] == pytest.approx(log_loss(p.targets, p.probabilities))
    each = [brier_score_loss(p.targets[:, c], p.probabilities[:, c]) for c in range(3)]
    assert before["brier"]["value"] == pytest.approx(np.mean(each))
    eces = [slow_ece(p.probabilities[:, c], p.targets[:, c]) for c in range(3)]
    assert before["ece"]["value"] == pytest.approx(np.mean(eces))
    right = p.probabilities.argmax(1) == p.targets.argmax(1)
    assert before["top_label_ece"]["value"] == pytest.approx(slow_ece(p.probabilities.max(1), right))
    assert sum(b["n"] for b in before["top_label"]) == 200


def test_figures_of_labels_leave_out_what_is_unknown() -> None:
    p = labelled(300, unknown=0.4)
    assert p.targets is not None
    before = calibration_analysis(p, None)["before"]
    losses, briers = [], []
    for c in range(3):
        known = ~np.isnan(p.targets[:, c])
        losses.append(log_loss(p.targets[known, c], p.probabilities[known, c]))
        briers.append(brier_score_loss(p.targets[known, c], p.probabilities[known, c]))
        assert sum(b["n"] for b in before["per_class"][f"c{c}"]["bins"]) == known.sum()
    assert before["log_loss"]["value"] == pytest.approx(np.mean(losses))
    assert before["brier"]["value"] == pytest.approx(np.mean(briers))
    assert before["top_label"] is None


@pytest.mark.parametrize("make", [many, labelled])
def test_ece_of_calibrated_predictions_is_its_null_value(make: Any) -> None:
    """The null mean is that of fresh labels; p is uniform where calibration holds and small where it does not."""
    eces, nulls, ps = [], [], []
    for seed in range(30):
        ece = calibration_analysis(make(150, seed=seed), None)["before"]["ece"]
        eces.append(ece["value"])
        nulls.append(ece["null"])
        ps.append(ece["p"])
    assert np.mean(eces) == pytest.approx(np.mean(nulls), rel=0.1)
    assert 0.3 < np.mean(ps) < 0.7
    assert calibration_analysis(make(600, temperature=3.0), None)["before"]["ece"]["p"] < 0.01


def test_calibration_mends_what_it_was_fitted_on() -> None:
    validation, test = many(600, temperature=3.0, seed=1), many(600, temperature=3.0, seed=2)
    found = calibration_analysis(test, fit_calibration(validation))
    assert found["fit"]["method"] == "temperature"
    assert found["after"]["log_loss"]["value"] < found["before"]["log_loss"]["value"] - 0.1
    assert found["after"]["ece"]["value"] < found["before"]["ece"]["value"] / 2
    for c in test.classes:
        assert found["before"]["per_class"][c]["slope"]["value"] < 0.5
        assert found["after"]["per_class"][c]["slope"]["value"] == pytest.approx(1, abs=0.3)
    json.dumps(found, allow_nan=False)


def test_nothing_fitted_has_no_after() -> None:
    for fit in (None, fit_calibration(many(20)), fit_calibration(many(100), "none")):
        assert calibration_analysis(many(30), fit)["after"] is None
    assert "no validation predictions" in calibration_analysis(many(30), None)["fit"]["skipped"]


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("make", [many, labelled])
def test_tiny_test_parts(make: Any, n: int) -> None:
    found = calibration_analysis(make(n), fit_calibration(make(100)))
    json.dumps(found, allow_nan=False)
    assert (found["before"]["ece"]["value"] is None) == (n == 0)
    assert found["before"]["per_class"]["c0"]["slope"]["value"] is None


def test_groups_are_named_beside_the_null_value() -> None:
    assert "independent" in calibration_analysis(many(60, groups=12), None)["before"]["ece"]["note"]
    assert "note" not in calibration_analysis(many(60), None)["before"]["ece"]


def test_log_softmax_is_what_the_likelihood_means() -> None:
    p = many(20)
    z = np.random.default_rng(0).normal(size=(20, 3)) * 50
    value, _ = negative_log_likelihood(z, np.asarray(p.targets, np.float64), "multiclass")
    assert value == pytest.approx(-(log_softmax(z, axis=1) * p.targets).sum() / 20)


def test_faultless_labels_have_no_temperature() -> None:
    p = labelled(100, unknown=0.2)
    assert p.targets is not None
    sure = np.where(p.targets >= 0.5, 0.7, 0.3)
    assert "without a mistake" in str(fit_calibration(replace(p, probabilities=sure)).skipped)
    sure[np.flatnonzero(p.targets[:, 0] >= 0.5)[0], 0] = 0.3
    assert fit_calibration(replace(p, probabilities=sure)).method == "temperature"


@pytest.mark.parametrize("make", [many, labelled])
def test_separated_validation_parts_have_no_vector_scaling(make: Any) -> None:
    p = make(400)
    sure = np.where(p.targets >= 0.5, 0.5, 0.25)
    assert "almost without a mistake" in str(fit_calibration(replace(p, probabilities=sure), "vector").skipped)
