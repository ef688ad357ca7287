"""Intervals from influence and Wilson's, against independent implementations and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interval_cases import Area, Mean, Right, clustered, drawn, predictions, wins
from scipy import stats

from medplug.evaluation.analytic import standard_error, unit_sums
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.evaluation.proportions import design_effect, share, wilson
from medplug.evaluation.scores import score
from medplug.values import Predictions


def test_delong_on_the_logit_scale_by_hand() -> None:
    scores, truth = drawn()
    won = wins(scores, truth)
    area, m, n = won.mean(), truth.sum(), (~truth).sum()
    variance = won.mean(1).var(ddof=1) / m + won.mean(0).var(ddof=1) / n
    rows = Area().influence(*[np.eye(2)[truth.astype(int)], np.stack([-scores, scores], 1)])[:, 1]
    squares = rows**2
    freedom = 2 * squares.sum() ** 2 / ((squares**2).sum() - squares.sum() ** 2 / len(rows))
    half = stats.t.ppf(0.975, np.clip(freedom, 15, m + n - 1)) * np.sqrt(variance) / (area * (1 - area))
    middle = np.log(area / (1 - area))
    figure = score(predictions(scores, truth), {"area": Area()}, intervals=IntervalSettings())["per_class"]["yes"][
        "area"
    ]
    assert figure["value"] == pytest.approx(area)
    assert figure["low"] == pytest.approx(1 / (1 + np.exp(half - middle)))
    assert figure["high"] == pytest.approx(1 / (1 + np.exp(-half - middle)))
    assert figure["method"].startswith("95 % DeLong interval on the logit scale, 80 samples, Student's t")


def test_macro_uses_the_covariance_of_the_classes() -> None:
    """With two classes the areas are the same number, so that the mean is as uncertain as either."""
    scores, truth = drawn()
    found = score(predictions(scores, truth), {"area": Area()}, intervals=IntervalSettings())
    one, macro = found["per_class"]["yes"]["area"], found["macro"]["area"]
    assert (macro["low"], macro["high"]) == pytest.approx((one["low"], one["high"]))


def test_perfect_separation_has_a_one_sided_bound_from_the_smaller_side() -> None:
    truth = np.repeat([True, False], [5, 40])
    figure = score(predictions(np.where(truth, 2.0, -2.0), truth), {"area": Area()}, intervals=IntervalSettings())
    found = figure["per_class"]["yes"]["area"]
    assert (found["value"], found["high"], found["one_sided"]) == (1.0, 1.0, True)
    assert found["low"] == pytest.approx(0.05 ** (1 / 5))


def test_a_single_positive_falls_back_to_resampling() -> None:
    truth = np.repeat([True, False], [1, 40])
    scores = np.r_[0.5, np.random.default_rng(0).normal(size=40)]
    found = score(predictions(scores, truth), {"area": Area()}, intervals=IntervalSettings(200))["per_class"]["yes"][
        "area"
    ]
    assert "BCa" in found["method"]
    assert found["undefined_resamples"] > 0


def test_inverted_labels_raise_a_question() -> None:
    scores, truth = drawn()
    warnings = score(predictions(-scores, truth), {"area": Area()})["warnings"]
    assert len(warnings) == 2
    assert "inverted?" in warnings[0]
    assert not score(predictions(scores, truth), {"area": Area()})["warnings"]


def test_groups_of_one_are_no_groups() -> None:
    scores, truth = drawn()
    alone = predictions(scores, truth, np.array([f"p{i}" for i in range(len(truth))]))
    for metric in (Area(), Right(), Mean()):
        plain = score(predictions(scores, truth), {"m": metric}, intervals=IntervalSettings(100))
        assert score(alone, {"m": metric}, intervals=IntervalSettings(100)) == plain


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_copies_in_groups_tell_as_much_as_one_of_each(copies: int, seed: int) -> None:
    """k copies of every sample, kept together, leave the sum over groups and the degrees of freedom as they were."""
    scores, truth = drawn(12, 30, seed)
    rows = Area().influence(np.eye(2)[truth.astype(int)], np.stack([-scores, scores], 1))[:, 1]
    repeated, codes = np.repeat(rows / copies, copies), np.repeat(np.arange(len(rows)), copies)
    together = units(len(codes), codes.astype(str))
    one, freedom = standard_error(rows, units(len(rows), None))
    many, same_freedom = standard_error(unit_sums(repeated, together), together)
    assert many == pytest.approx(one * np.sqrt(len(rows) / (len(rows) - 1)))
    assert same_freedom == pytest.approx(freedom)


def test_groups_sum_their_influence_by_hand() -> None:
    """The variance of 20 patients' sums, G / (G - 1) times, against a loop over patients."""
    found = clustered()
    rows = Area().influence(found.targets, found.probabilities)[:, 1]
    sums = np.array([rows[found.groups == name].sum() for name in np.unique(found.groups)])
    error = np.sqrt((sums**2).sum() * 20 / 19)
    freedom = 2 * (sums**2).sum() ** 2 / ((sums**4).sum() - (sums**2).sum() ** 2 / 20)
    figure = score(found, {"area": Area()}, intervals=IntervalSettings())["per_class"]["yes"]["area"]
    odds = np.log(figure["value"] / (1 - figure["value"]))
    half = stats.t.ppf(0.975, np.clip(freedom, 15, 19)) * error / (figure["value"] * (1 - figure["value"]))
    expected = stats.logistic.cdf([odds - half, odds + half])
    assert (figure["low"], figure["high"]) == pytest.approx(tuple(expected))
    assert "20 groups" in figure["method"]


def test_degrees_of_freedom_lie_between_fifteen_and_one_less_than_the_units() -> None:
    few, many = np.r_[1.0, -1.0, np.zeros(98)], np.tile([1.0, -1.0], 50)
    hundred = units(100, None)
    assert standard_error(few, hundred) == pytest.approx((np.sqrt(2), 15))  # Satterthwaite says 2.04
    assert standard_error(many, hundred) == pytest.approx((10, 99))
    assert standard_error(few[:8], units(8, None)) == pytest.approx((np.sqrt(2), 7))
    some = np.r_[np.tile([1.0, -1.0], 10), np.zeros(80)]
    assert standard_error(some, hundred)[1] == pytest.approx(2 * 20**2 / (20 - 20**2 / 100))


def test_order_changes_no_formula() -> None:
    found = clustered()
    order = np.random.default_rng(5).permutation(80)
    shuffled = Predictions(
        tuple(found.samples[i] for i in order), found.probabilities[order], found.targets[order], found.classes,
        found.task, found.groups[order],
    )  # fmt: skip
    for metric in (Area(), Right()):
        first, second = (score(p, {"m": metric}, intervals=IntervalSettings())["macro"]["m"] for p in (found, shuffled))
        assert {k: second[k] for k in ("low", "high")} == pytest.approx({k: first[k] for k in ("low", "high")})


def test_names_of_groups_say_nothing() -> None:
    found = clustered()
    renamed = replace(found, groups=np.array([f"{len(g)} {g[::-1]}" for g in found.groups]))
    chosen = {"area": Area(), "right": Right(), "mean": Mean()}
    assert score(renamed, chosen, intervals=IntervalSettings(50)) == score(
        found, chosen, intervals=IntervalSettings(50)
    )


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 10), (10, 10), (95, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_as_scipy_has_it(k: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(k, n).proportion_ci(confidence, "wilson")
    assert wilson(k, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)
    figure = share(np.arange(n) < k, None, confidence)
    assert (figure["low"], figure["high"]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_not_a_number() -> None:
    assert np.isnan(wilson(0, 0, 0.95)).all()
    assert share(np.zeros(0, bool), None, 0.95) == {"value": None, "reason": "no sample counts"}


def test_accuracy_gets_wilson() -> None:
    scores, truth = drawn()
    right = int(((scores > 0) == truth).sum())  # at 0 the first class wins
    expected = stats.binomtest(right, len(truth)).proportion_ci(0.95, "wilson")
    figure = score(predictions(scores, truth), {"right": Right()}, intervals=IntervalSettings())["macro"]["right"]
    assert (figure["low"], figure["high"]) == pytest.approx((expected.low, expected.high))
    assert figure["method"] == "95 % Wilson interval, n = 80"


def test_design_effect_of_identical_copies_is_their_number() -> None:
    """Four copies of each of n outcomes: the variance is n / (n - 1) times that of n samples, hence the effect."""
    outcomes = np.array([1.0, 0, 1, 1, 0, 1, 0, 1, 1, 1])
    residuals = np.repeat(outcomes - outcomes.mean(), 4)
    effect, count = design_effect(residuals, np.repeat(np.arange(10), 4))
    assert count == 10
    assert effect == pytest.approx(4 * 10 / 9)
    assert design_effect(np.zeros(40), np.repeat(np.arange(10), 4)) == (4.0, 10)


def test_a_metric_and_a_list_of_outcomes_have_the_same_clustered_interval() -> None:
    """One from influence, one from outcomes; Wilson's formula with 80 / effect samples and t of 19 is written out."""
    found = clustered()
    right = found.probabilities.argmax(1) == found.targets.argmax(1)
    figure = score(found, {"right": Right()}, intervals=IntervalSettings())["macro"]["right"]
    p = right.mean()
    sums = np.array([(right - p)[found.groups == name].sum() for name in np.unique(found.groups)])
    assert (sums != 0).all()
    effect = (sums**2).sum() / (80 * p * (1 - p)) * 20 / 19
    n, t = 80 / effect, stats.t.ppf(0.975, 19)
    assert effect > 1.2
    roots = np.roots([n + t**2, -(2 * n * p + t**2), n * p**2])  # of n (p - x)² = t² x (1 - x)
    assert (figure["low"], figure["high"]) == pytest.approx(tuple(sorted(roots)))
    alone = share(right, np.repeat(np.arange(20), 4), 0.95)
    assert (figure["low"], figure["high"]) == pytest.approx((alone["low"], alone["high"]))


def test_clustered_share_is_wider_and_says_so() -> None:
    right = np.repeat(np.arange(30) % 5 > 0, 6)
    codes = np.repeat(np.arange(30), 6)
    plain, grouped = share(right, None, 0.95), share(right, codes, 0.95)
    assert grouped["high"] - grouped["low"] > 2 * (plain["high"] - plain["low"])
    assert "in 30 groups" in grouped["method"]


def test_a_perfect_share_counts_groups_not_samples() -> None:
    """All of 12 images are right, but they show 3 patients; 40 others with an image each do not help them."""

    class Found(Right):
        def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
            weight = np.ones(len(targets)) if sample_weight is None else sample_weight
            with np.errstate(invalid="ignore"):  # resamples without a class
                return (weight * self._right(targets, probabilities)) @ targets / (weight @ targets)

        def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
            n = targets.sum(0)
            return targets * (self._right(targets, probabilities)[:, None] - self(targets, probabilities)) / n

        def trials(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
            return targets.sum(0)

    truth = np.repeat([True, False], [12, 40])
    groups = np.array([f"p{i // 4}" for i in range(12)] + [f"n{i}" for i in range(40)])
    found = predictions(np.where(truth, 1.0, -1.0), truth, groups)
    figure = score(found, {"m": Found()}, intervals=IntervalSettings(50))["per_class"]["yes"]["m"]
    t = stats.t.ppf(0.975, 2)
    assert figure["low"] == pytest.approx(1 / (1 + t**2 / 3))  # Wilson's bound where all of 3 are right
    assert figure["high"] == 1


def test_a_grouped_share_without_influence_is_resampled() -> None:
    class Plain(Right):
        influence = property()  # hasattr says no

    found = clustered()
    figure = score(found, {"m": Plain()}, intervals=IntervalSettings(100))["macro"]["m"]
    assert "BCa bootstrap over 20 groups" in figure["method"]
    alone = score(replace(found, groups=None), {"m": Plain()}, intervals=IntervalSettings(100))["macro"]["m"]
    assert "Wilson" in alone["method"]
    assert alone["high"] - alone["low"] < figure["high"] - figure["low"]
