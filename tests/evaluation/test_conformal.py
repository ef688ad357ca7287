"""Conformal sets: quantiles by hand, coverage by simulation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from medplug.errors import DataError, ParameterError
from medplug.evaluation.conformal import ConformalFit, conformal_analysis, fit_conformal, least_cases, quantile
from medplug.values import Predictions


def classified(labels: np.ndarray, p: np.ndarray, groups: Any = None) -> Predictions:
    k = p.shape[1]
    return Predictions(
        tuple(map(str, range(len(p)))), p, np.eye(k, dtype=np.float32)[labels], tuple(f"c{c}" for c in range(k)),
        "multiclass", groups,
    )  # fmt: skip


def drawn(rng: np.random.Generator, n: int, shares: Any = (0.5, 0.3, 0.2)) -> Predictions:
    """Classes of unequal difficulty and frequency, and over-confident probabilities."""
    k = len(shares)
    labels = rng.choice(k, n, p=shares)
    z = rng.normal(size=(n, k)) + np.linspace(2.5, 0.8, k)[labels, None] * np.eye(k)[labels]
    return classified(labels, softmax(2 * z, axis=1))


def covered(fit: ConformalFit, test: Predictions) -> np.ndarray:
    assert test.targets is not None
    return fit.sets(test.probabilities)[np.arange(len(test.samples)), test.targets.argmax(1)]


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.8, 4), (0.5, 1), (0.99, 99)])
def test_the_fewest_cases(coverage: float, least: int) -> None:
    assert least_cases(coverage) == least
    assert math.ceil((least + 1) * coverage - 1e-9) <= least
    assert math.ceil(least * coverage - 1e-9) > least - 1


def test_the_quantile_is_the_ranked_score() -> None:
    rng = np.random.default_rng(0)
    for n in (9, 10, 19, 20, 57):
        scores = rng.random(n)
        for coverage in (0.8, 0.9):
            rank = math.ceil(round((n + 1) * coverage, 9))
            assert quantile(scores, np.ones(n), coverage) == np.sort(scores)[rank - 1]
    assert quantile(np.arange(9.0), np.ones(9), 0.9) == 8
    assert quantile(np.arange(8.0), np.ones(8), 0.9) is None
    assert quantile(np.zeros(0), np.zeros(0), 0.9) is None


def test_samples_weigh_by_their_mass() -> None:
    """Splitting a sample in parts changes nothing; eight groups are too few, however many samples they have."""
    rng = np.random.default_rng(1)
    scores = rng.random(30)
    sizes = rng.integers(1, 6, 30)
    parts = np.repeat(np.arange(30), sizes)
    assert quantile(scores[parts], 1 / sizes[parts], 0.9) == quantile(scores, np.ones(30), 0.9)
    assert quantile(rng.random(80), np.full(80, 0.1), 0.9) is None
    # Two groups of two: the mass reaches 0.6 of 2 + 1 with the last score, 0.5 of it with the third.
    assert quantile(np.array([0.1, 0.9, 0.2, 0.8]), np.full(4, 0.5), 0.6) == 0.9
    assert quantile(np.array([0.1, 0.9, 0.2, 0.8]), np.full(4, 0.5), 0.5) == 0.8


def test_sets_worked_by_hand() -> None:
    fit = ConformalFit(0.9, "multiclass", ("a", "b", "c"), "class-conditional", (0.5, 0.8, None))
    found = fit.sets(np.array([[0.5, 0.2, 0.3], [0.49, 0.19, 0.32], [0.9, 0.1, 0.0]]))
    assert found.tolist() == [[True, True, True], [False, False, True], [True, False, True]]


def test_coverage_is_the_nominal_one_on_average() -> None:
    """400 draws of calibration and test cases; the exact expectation is ceil((n + 1) 0.9) / (n + 1)."""
    rng = np.random.default_rng(0)
    n, found = 25, []
    for _ in range(400):
        fit = fit_conformal(drawn(rng, n, (0.86, 0.07, 0.07)), 0.9)
        if fit.method == "marginal":
            found.append(covered(fit, drawn(rng, 100, (0.86, 0.07, 0.07))).mean())
    assert len(found) > 390
    expected = math.ceil(26 * 0.9) / 26
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(len(found)))


def test_coverage_holds_within_each_class() -> None:
    rng = np.random.default_rng(1)
    rows: list[list[float]] = []
    expected: list[list[float]] = []
    for _ in range(300):
        calibration, test = drawn(rng, 150), drawn(rng, 300)
        fit = fit_conformal(calibration, 0.9)
        if fit.method != "class-conditional":
            continue
        right, labels = covered(fit, test), test.targets.argmax(1)
        counts = calibration.targets.sum(0)
        rows.append([right[labels == c].mean() for c in range(3)])
        expected.append([math.ceil((m + 1) * 0.9 - 1e-9) / (m + 1) for m in counts])
    assert len(rows) > 290
    error = 4 * np.std(rows, axis=0) / math.sqrt(len(rows))
    assert (np.abs(np.mean(rows, axis=0) - np.mean(expected, axis=0)) < error).all()


def test_marginal_sets_do_not_cover_the_hard_class() -> None:
    """What the class-conditional ones are for: the check above can fail."""
    rng = np.random.default_rng(2)
    pool = drawn(rng, 4000)
    common = fit_conformal(pool, 0.9)
    q = quantile(1 - pool.probabilities[pool.targets >= 0.5], np.ones(4000), 0.9)
    marginal = replace(common, quantiles=(q,) * 3)
    test = drawn(rng, 6000)
    labels = test.targets.argmax(1)
    assert covered(marginal, test).mean() == pytest.approx(0.9, abs=0.02)
    assert covered(marginal, test)[labels == 2].mean() < 0.85
    assert covered(common, test)[labels == 2].mean() == pytest.approx(0.9, abs=0.03)


def test_coverage_of_grouped_cases_is_that_of_a_sample_of_a_new_group() -> None:
    """Groups of unequal sizes whose larger ones are harder: images taken as cases would be off."""

    def grouped(rng: np.random.Generator, count: int) -> tuple[Predictions, np.ndarray]:
        sizes = rng.choice([1, 8], count)
        codes = np.repeat(np.arange(count), sizes)
        ease = np.where(sizes == 1, 3.0, 1.0) + rng.normal(0, 1, count)
        labels = rng.integers(0, 2, len(codes))
        z = (ease[codes] + 0.5 * rng.normal(size=len(codes))) * np.where(labels == 1, 1, -1)
        p = np.stack([expit(-z), expit(z)], 1)
        return classified(labels, p, np.array([f"p{c}" for c in codes])), codes

    rng, found, plain = np.random.default_rng(3), [], []
    for _ in range(300):
        calibration, _ = grouped(rng, 60)
        test, codes = grouped(rng, 60)
        first = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        found.append(covered(fit_conformal(calibration, 0.9), test)[first].mean())
        plain.append(covered(fit_conformal(replace(calibration, groups=None), 0.9), test)[first].mean())
    assert 0.895 < np.mean(found) < 0.925
    assert np.mean(plain) > np.mean(found) + 0.01


def labelled(rng: np.random.Generator, n: int, shares: Any) -> Predictions:
    y = rng.random((n, len(shares))) < np.asarray(shares)
    p = expit(rng.normal(size=y.shape) + 2.0 * y - 1)
    classes = tuple(f"c{c}" for c in range(len(shares)))
    return Predictions(tuple(map(str, range(n))), p, y.astype(np.float32), classes, "multilabel")


def test_present_labels_are_covered_label_by_label() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(200):
        fit = fit_conformal(labelled(rng, 150, (0.5, 0.2)), 0.9)
        test = labelled(rng, 400, (0.5, 0.2))
        sets, y = fit.sets(test.probabilities), test.targets >= 0.5
        rows.append([sets[y[:, c], c].mean() for c in range(2)])
    assert np.mean(rows, axis=0) == pytest.approx([0.905, 0.91], abs=0.015)


def test_rare_labels_are_in_each_set_and_told() -> None:
    rng = np.random.default_rng(5)
    p = labelled(rng, 200, (0.5, 0.0))
    p.targets[:8, 1] = 1
    p.targets[8:40, 1] = np.nan
    fit = fit_conformal(p, 0.9)
    assert fit.quantiles[1] is None
    assert fit.sets(p.probabilities)[:, 1].all()
    assert any("c1: present in fewer than 9 samples" in note for note in fit.notes)
    assert any("quantile of its own" in note for note in fit.notes)
    p.targets[8, 1] = 1
    assert fit_conformal(p, 0.9).quantiles[1] is not None


def test_too_few_cases_of_a_class_or_of_all() -> None:
    rng = np.random.default_rng(6)
    labels = np.array([0] * 20 + [1] * 8)
    p = softmax(rng.normal(size=(28, 2)), axis=1)
    fit = fit_conformal(classified(labels, p), 0.9)
    assert fit.method == "marginal"
    assert fit.quantiles[0] == fit.quantiles[1] == quantile(1 - p[np.arange(28), labels], np.ones(28), 0.9)
    assert any("c1: fewer than 9 samples" in note for note in fit.notes)
    assert (
        fit_conformal(classified(np.append(labels, 1), np.append(p, p[:1], axis=0)), 0.9).method == "class-conditional"
    )
    skipped = fit_conformal(classified(labels[:8], p[:8]), 0.9)
    assert "needs 9 samples, the validation part has 8 samples" in str(skipped.skipped)
    with pytest.raises(ValueError, match="no conformal sets"):
        skipped.sets(p)
    none = labelled(rng, 30, (0.0, 0.0))
    assert "no label is present in 9" in str(fit_conformal(none, 0.9).skipped)


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_validation_parts_are_skipped(n: int) -> None:
    fit = fit_conformal(drawn(np.random.default_rng(0), n))
    assert fit.method == "none"
    assert fit.skipped is not None


def test_the_note_says_that_coverage_is_optimistic() -> None:
    fit = fit_conformal(drawn(np.random.default_rng(0), 200))
    assert any("optimistic" in note for note in fit.notes)
    grouped = fit_conformal(
        replace(drawn(np.random.default_rng(0), 400), groups=np.array([f"p{i % 200}" for i in range(400)]))
    )
    assert any("new group" in note for note in grouped.notes)
    assert grouped.calibrated_on["units"] == 200


def test_analysis_counts() -> None:
    fit = ConformalFit(0.9, "multiclass", ("c0", "c1", "c2"), "class-conditional", (0.5, 0.7, 0.6))
    p = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7], [0.45, 0.29, 0.26]])
    found = conformal_analysis(classified(np.array([0, 0, 2, 1]), p), fit)["test"]
    assert found["sizes"] == [1, 2, 1, 0]
    assert found["mean_size"] == 1.0
    assert found["coverage"]["value"] == 0.5
    assert [found["per_class"][c]["value"] for c in fit.classes] == [0.5, 0.0, 1.0]
    assert found["coverage"]["low"] < 0.5 < found["coverage"]["high"]


def test_analysis_of_labels_leaves_out_unknown_ones() -> None:
    fit = ConformalFit(0.9, "multilabel", ("a", "b"), "class-conditional", (0.5, 0.5))
    y = np.array([[1, np.nan], [0, 1], [np.nan, np.nan], [1, 0]], np.float32)
    p = np.array([[0.9, 0.9], [0.9, 0.4], [0.1, 0.1], [0.6, 0.1]])
    test = Predictions(tuple("wxyz"), p, y, ("a", "b"), "multilabel")
    found = conformal_analysis(test, fit)["test"]
    assert found["n"] == 3
    assert found["coverage"]["value"] == pytest.approx(2 / 3)
    assert found["per_class"]["a"]["value"] == 1
    assert found["per_class"]["b"]["value"] == 0


def test_analysis_without_labels_samples_or_sets() -> None:
    rng = np.random.default_rng(0)
    fit, test = fit_conformal(drawn(rng, 100)), drawn(rng, 20)
    assert conformal_analysis(replace(test, targets=None), fit)["test"] is None
    assert conformal_analysis(drawn(rng, 0), fit)["test"] is None
    assert conformal_analysis(None, fit)["test"] is None
    assert conformal_analysis(test, fit_conformal(drawn(rng, 3)))["test"] is None
    one = conformal_analysis(drawn(rng, 1), fit)
    assert sum(one["test"]["sizes"]) == 1
    absent = [f for f in one["test"]["per_class"].values() if f["value"] is None]
    assert len(absent) == 2
    json.dumps(one, allow_nan=False)


def test_json_keeps_every_bit() -> None:
    rng = np.random.default_rng(7)
    for fit in (
        fit_conformal(drawn(rng, 100)),
        fit_conformal(drawn(rng, 3)),
        fit_conformal(labelled(rng, 60, (0.5, 0.01))),
    ):
        again = ConformalFit.from_json(json.loads(json.dumps(fit.to_json(), allow_nan=False)))
        assert again == fit


def test_wrong_use_is_told() -> None:
    p = drawn(np.random.default_rng(0), 50)
    with pytest.raises(ParameterError, match="coverage"):
        fit_conformal(p, 1.0)
    with pytest.raises(DataError, match="no labels"):
        fit_conformal(replace(p, targets=None))
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        fit_conformal(p).sets(np.ones((2, 2)))
