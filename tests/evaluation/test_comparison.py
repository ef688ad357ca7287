from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, norm, rankdata, t

from medplug.errors import DataError, UsageError
from medplug.evaluation.comparison import bootstrap_p, compare, holm
from medplug.evaluation.intervals import IntervalSettings
from medplug.values import Predictions

FEW = IntervalSettings(200)
_spec = importlib.util.spec_from_file_location("evaluation_conftest", Path(__file__).with_name("conftest.py"))
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)


class Area(_fixtures.Ranking):
    """With DeLong's structural components by midranks (Sun and Xu 2014)."""

    interval = "logit"
    variance = "DeLong"

    def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> np.ndarray:
        found = np.zeros(targets.shape)
        for c in range(targets.shape[1]):
            known = ~np.isnan(targets[:, c])
            truth, scores = targets[known, c] >= 0.5, probabilities[known, c]
            m, n = truth.sum(), (~truth).sum()
            column = np.full(known.sum(), np.nan)
            if m > 1 and n > 1:
                every = rankdata(scores)
                ten = (every[truth] - rankdata(scores[truth])) / n
                one = 1 - (every[~truth] - rankdata(scores[~truth])) / m
                column[truth] = (ten - ten.mean()) / np.sqrt(m * (m - 1))
                column[~truth] = (one - one.mean()) / np.sqrt(n * (n - 1))
            found[known, c] = column
        return found


class Share(_fixtures.Hits):
    interval = "wilson"

    def trials(self, targets: Any, probabilities: Any, thresholds: Any = None) -> float:
        return float((~np.isnan(targets).any(1)).sum())


class Misses(Share):
    """The share of wrong decisions: less is better, and 0 in a good run."""

    higher_is_better = False

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> float:
        return 1 - super().__call__(targets, probabilities, sample_weight, thresholds)


class Slope(_fixtures.Recall):
    average = False


def decided(right: np.ndarray, groups: Any = None) -> Predictions:
    """Two classes; the first is right wherever it is decided on."""
    p = np.where(right, 0.7, 0.2)
    names = tuple(f"{i}.png" for i in range(len(right)))
    targets = np.tile(np.array([1, 0], np.float32), (len(right), 1))
    return Predictions(names, np.stack([p, 1 - p], 1), targets, ("x", "y"), "multiclass", groups)


def compared(runs: dict[str, Predictions], metrics: dict[str, Any], settings: Any = FEW) -> dict[str, Any]:
    found = compare(runs, metrics, settings)
    json.dumps(found, allow_nan=False)
    return found


def delong(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Difference and its standard error from all pairs, as DeLong et al. wrote it down."""
    psi = [(s[truth][:, None] > s[~truth][None, :]) + 0.5 * (s[truth][:, None] == s[~truth][None, :]) for s in (a, b)]
    ten, one = np.cov([x.mean(1) for x in psi]), np.cov([x.mean(0) for x in psi])
    covariance = ten / truth.sum() + one / (~truth).sum()
    contrast = np.array([1, -1])
    return psi[0].mean() - psi[1].mean(), float(np.sqrt(contrast @ covariance @ contrast))


def test_auc_is_compared_by_delongs_test() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(150) < 0.3
    shared = rng.normal(size=150) + truth
    runs = {}
    for name in "ab":
        p = np.round(1 / (1 + np.exp(-(shared + rng.normal(size=150)))), 2)  # with ties
        targets = np.stack([truth], 1).astype(np.float32)
        runs[name] = Predictions(tuple(map(str, range(150))), p[:, None], targets, ("x",), "multilabel")
    (pair,) = compared(runs, {"auc": Area()})["pairs"]
    value, error = delong(truth, *(runs[name].probabilities[:, 0] for name in "ab"))
    assert pair["difference"]["value"] == pytest.approx(value, abs=1e-12)
    assert pair["difference"]["high"] == pytest.approx(value + 1.959964 * error)
    assert pair["p"] == pytest.approx(2 * norm.sf(abs(value) / error))
    assert "DeLong" in pair["method"]


def test_macro_contrast_holds_the_covariance_of_the_classes(make: Any) -> None:
    """The standard error of a macro difference agrees with that of a bootstrap."""
    a = make(300)
    noise = np.random.default_rng(1).dirichlet([1] * 3, 300)
    b = dataclasses.replace(a, probabilities=0.6 * a.probabilities + 0.4 * noise)
    (pair,) = compared({"a": a, "b": b}, {"auc": Area()})["pairs"]
    rng, differences = np.random.default_rng(2), []
    for _ in range(600):
        weight = np.bincount(rng.integers(0, 300, 300), minlength=300).astype(float)
        differences.append(
            (Area()(a.targets, a.probabilities, weight) - Area()(b.targets, b.probabilities, weight)).mean()
        )
    width = pair["difference"]["high"] - pair["difference"]["low"]
    assert width == pytest.approx(2 * 1.96 * np.std(differences), rel=0.1)


@pytest.mark.parametrize(("more", "less"), [(9, 2), (3, 3), (40, 22), (0, 0), (30, 0)])
def test_accuracy_is_compared_by_mcnemars_test(more: int, less: int) -> None:
    a = np.r_[np.ones(more), np.zeros(less), np.ones(60), np.zeros(20)].astype(bool)
    b = np.r_[np.zeros(more), np.ones(less), np.ones(60), np.zeros(20)].astype(bool)
    (pair,) = compared({"a": decided(a), "b": decided(b)}, {"accuracy": Share()})["pairs"]
    n = len(a)
    assert pair["difference"]["value"] == pytest.approx((more - less) / n)
    if more + less == 0:
        assert pair["p"] == 1
    elif more + less < 25:
        assert pair["p"] == pytest.approx(binomtest(more, more + less, 0.5).pvalue)
        assert "exact" in pair["method"]
    else:
        assert pair["p"] == pytest.approx(chi2.sf((more - less) ** 2 / (more + less), 1))
    assert -1 <= pair["difference"]["low"] < pair["difference"]["value"] < pair["difference"]["high"] <= 1
    if more == 40:  # Wald's interval is about the same where there are so many
        wald = 1.96 * np.sqrt(more + less - (more - less) ** 2 / n) / n
        assert pair["difference"]["high"] - pair["difference"]["low"] == pytest.approx(2 * wald, rel=0.03)


def test_copies_of_images_in_a_group_add_nothing() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(60) < 0.8, rng.random(60) < 0.7
    patients = np.repeat(np.arange(60).astype(str), 4)
    thrice = {"a": decided(np.repeat(a, 4), patients), "b": decided(np.repeat(b, 4), patients)}
    found = compared(thrice, {"accuracy": Share()})
    (single,) = compared({"a": decided(a), "b": decided(b)}, {"accuracy": Share()})["pairs"]
    (pair,) = found["pairs"]
    assert (found["unit"], found["units"], found["n"]) == ("groups", 60, 240)
    more, less = (a & ~b).sum(), (b & ~a).sum()
    assert pair["p"] == pytest.approx(chi2.sf((more - less) ** 2 / (more + less), 1))
    widths = [p["difference"]["high"] - p["difference"]["low"] for p in (single, pair)]
    assert widths[1] / widths[0] == pytest.approx(2.001 / 1.96 * np.sqrt(60 / 59), rel=0.01)


@pytest.mark.parametrize("images", [1, 5])
def test_tests_keep_their_level_where_runs_are_equally_good(images: int) -> None:
    """At a level of 5 % between 1 (accuracy) or 2 (AUC) and 8 % of 300 comparisons are significant."""
    significant = {"accuracy": 0, "auc": 0}
    n = 40 * images if images > 1 else 120
    patient = np.arange(n) // images
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = (rng.random(n) < 0.5)[patient]
        shared = rng.normal(size=n)[patient] if images > 1 else rng.normal(size=n)
        groups = patient.astype(str) if images > 1 else None
        runs = {}
        for name in "ab":
            own = rng.normal(size=n)[patient] if images > 1 else 0  # each run errs on patients of its own
            logit = 1.6 * (2 * truth - 1) + shared + own + rng.normal(size=n)
            p = 1 / (1 + np.exp(-logit))
            targets = np.stack([truth, ~truth], 1).astype(np.float32)
            runs[name] = Predictions(tuple(map(str, range(n))), np.stack([p, 1 - p], 1), targets, ("x", "y"), "multiclass", groups)  # fmt: skip
        for pair in compare(runs, {"accuracy": Share(), "auc": Area()}, FEW)["pairs"]:
            significant[pair["metric"]] += pair["p"] < 0.05
    # McNemar's exact test is conservative where few samples are discordant.
    assert 0.01 <= significant["accuracy"] / 300 <= 0.08
    assert 0.02 <= significant["auc"] / 300 <= 0.08


def test_bootstrap_differences(make: Any, metrics: Any) -> None:
    a, b = make(200, seed=0), make(200, seed=0, strength=0.2)
    found = compared({"a": a, "b": b}, {"recall": metrics["recall"]}, IntervalSettings(1000))
    (pair,) = found["pairs"]
    right_a, right_b = (p.probabilities.argmax(1) == p.targets.argmax(1) for p in (a, b))
    error = (
        np.sqrt(sum((right_a ^ right_b)[a.targets[:, c] == 1].sum() / a.targets[:, c].sum() ** 2 for c in range(3))) / 3
    )
    difference = pair["difference"]
    assert difference["value"] == pytest.approx(
        found["metrics"]["recall"]["a"]["value"] - found["metrics"]["recall"]["b"]["value"]
    )
    assert difference["high"] - difference["low"] == pytest.approx(2 * 1.97 * error, rel=0.15)
    assert (pair["p"] < 0.05) == (difference["low"] > 0)
    assert "bootstrap" in pair["method"]
    (same,) = compared({"a": a, "b": a}, {"recall": metrics["recall"]})["pairs"]
    assert (same["difference"]["value"], same["p"], same["difference"]["low"]) == (0, 1, None)


def test_the_p_value_inverts_the_interval() -> None:
    """A confidence of 1 - p gives an interval that ends at 0."""
    from medplug.evaluation.bootstrap import bca_interval
    from medplug.evaluation.intervals import units

    resampled = np.random.default_rng(0).gamma(9, 0.1, 20000) - 0.4
    for skew in (0.0, 0.05):
        p = bootstrap_p(resampled, 0.5, skew, 80)
        settings = IntervalSettings(20000, 1 - p)
        found = bca_interval(0.5, resampled, skew, units(80, None), settings, (-np.inf, np.inf), 0)
        assert found["low"] == pytest.approx(0, abs=0.005)
    far = bootstrap_p(np.full(99, 1.0), 1.0, 0.0, 80)  # 99 resamples cannot tell more than this
    assert far == pytest.approx(2 * t.cdf(norm.ppf(0.01) * np.sqrt(79 / 80), 79))
    symmetric = np.r_[-np.arange(1, 51), np.arange(1, 51)] / 50
    assert bootstrap_p(symmetric, 0.0, 0.0, 80) == 1


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and no smaller than what goes before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.6, 0.9]) == [None, 1, 1]
    assert holm([]) == []


def test_all_pairs_figures_and_gains(make: Any, metrics: Any) -> None:
    runs = {name: make(90, strength=s) for name, s in (("weak", 0.5), ("good", 3.0), ("fair", 1.5))}
    used = {"auc": Area(), "wrong": Misses(), "slope": Slope(), "hits": metrics["hits"]}
    found = compared(runs, used)
    assert found["runs"] == ["weak", "good", "fair"]
    assert [(p["a"], p["b"]) for p in found["pairs"] if p["metric"] == "auc"] == [
        ("weak", "good"), ("weak", "fair"), ("good", "fair"),
    ]  # fmt: skip
    assert {p["metric"] for p in found["pairs"]} == {"auc", "wrong", "hits"}  # a mean of slopes says nothing
    assert set(found["beside"]) == {"auc", "slope"}
    assert found["beside"]["slope"]["class 1"]["good"]["value"] > 0.8
    assert found["metrics"]["auc"]["good"]["excluded"] == []
    assert found["metrics"]["auc"]["good"]["low"] < found["metrics"]["auc"]["good"]["value"]
    for p in found["pairs"]:
        figures = found["metrics"][p["metric"]]
        assert p["difference"]["value"] == pytest.approx(figures[p["a"]]["value"] - figures[p["b"]]["value"])
        assert p["p_holm"] >= p["p"]
    for metric in ("auc", "wrong", "hits"):  # gains point up for errors as well, and zero divides nothing
        gain = found["gain"][metric]
        assert list(gain) == ["good", "fair"]
        assert gain["good"]["value"] > gain["fair"]["value"] > 0
        assert gain["good"]["low"] < gain["good"]["value"] < gain["good"]["high"]
        assert gain["good"]["over"] == "weak"
    assert "3 pairs of runs of each metric" in found["correction"]


def test_samples_and_classes_are_matched_by_name(make: Any) -> None:
    a, b = make(50, seed=1), make(50, seed=1, strength=2.0)
    order = np.random.default_rng(0).permutation(50)
    mixed = dataclasses.replace(
        b,
        samples=tuple(b.samples[i] for i in order),
        probabilities=b.probabilities[order][:, [2, 0, 1]],
        targets=b.targets[order][:, [2, 0, 1]],
        classes=("class 2", "class 0", "class 1"),
    )
    plain, matched = (compared({"a": a, "b": other}, {"auc": Area()}) for other in (b, mixed))
    assert plain == matched


def test_what_cannot_be_compared(make: Any) -> None:
    a = make(20)
    metrics = {"auc": Area()}
    fewer = dataclasses.replace(a, samples=(*a.samples[:12], *(f"new/{i}" for i in range(8))))
    with pytest.raises(
        DataError, match=r"b and a are not of the same samples: .*/12.png.*/16.png and 3 more are missing from b"
    ):
        compare({"a": a, "b": fewer}, metrics, FEW)
    more = dataclasses.replace(
        a,
        samples=(*a.samples, "new/0"),
        probabilities=np.r_[a.probabilities, a.probabilities[:1]],
        targets=np.r_[a.targets, a.targets[:1]],
    )
    with pytest.raises(DataError, match=r"new/0 is missing from a"):
        compare({"a": a, "b": more}, metrics, FEW)
    turned = a.targets.copy()
    turned[3] = np.roll(turned[3], 1)
    with pytest.raises(DataError, match=rf"different labels: {a.samples[3]} is labelled otherwise"):
        compare({"a": a, "b": dataclasses.replace(a, targets=turned)}, metrics, FEW)
    with pytest.raises(DataError, match="same question"):
        compare({"a": a, "b": dataclasses.replace(a, classes=("p", "q", "r"))}, metrics, FEW)
    with pytest.raises(DataError, match="b: .* more than once"):
        compare({"a": a, "b": dataclasses.replace(a, samples=(a.samples[1], *a.samples[1:]))}, metrics, FEW)
    with pytest.raises(DataError, match="b: there are no labels"):
        compare({"a": a, "b": dataclasses.replace(a, targets=None)}, metrics, FEW)
    with pytest.raises(UsageError, match="at least two runs, got 1"):
        compare({"a": a}, metrics, FEW)


def test_groups_of_one_run_hold_for_all(make: Any) -> None:
    a, grouped = make(60), make(60, groups=12)
    found = compared({"a": a, "b": grouped}, {"auc": Area()})
    assert (found["unit"], found["units"]) == ("groups", 12)
    renamed = dataclasses.replace(grouped, groups=np.array([f"x{g}" for g in grouped.groups]))
    assert compared({"a": renamed, "b": grouped}, {"auc": Area()})["units"] == 12
    with pytest.raises(DataError, match="different groups"):
        compare({"a": grouped, "b": make(60, groups=10)}, {"auc": Area()}, FEW)


def test_absent_classes_unknown_labels_and_one_sample(metrics: Any) -> None:
    targets = np.array([[1, np.nan, 1], [0, np.nan, 1], [1, np.nan, 1], [0, np.nan, np.nan]], np.float32)
    rng = np.random.default_rng(0)
    a = Predictions(tuple("abcd"), rng.random((4, 3)), targets, tuple("xyz"), "multilabel")
    b = dataclasses.replace(a, probabilities=rng.random((4, 3)))
    found = compared({"a": a, "b": b}, {"auc": Area(), "recall": metrics["recall"]})
    auc, recall = found["pairs"]
    assert auc["difference"]["classes"] == 1
    assert found["beside"]["auc"]["z"]["a"]["reason"] == "no negative samples in the test split"
    assert recall["difference"]["classes"] == 2
    nothing = dataclasses.replace(a, targets=np.full_like(targets, np.nan))
    (pair,) = compared({"a": nothing, "b": nothing}, {"auc": Area()})["pairs"]
    assert (pair["difference"]["value"], pair["p"], pair["p_holm"]) == (None, None, None)
    single = decided(np.array([True])), decided(np.array([False]))
    (pair,) = compared(dict(zip("ab", single, strict=True)), {"accuracy": Share()})["pairs"]
    assert (pair["difference"]["value"], pair["difference"]["low"], pair["p"]) == (1, None, None)


def test_a_metric_with_an_ideal_value_has_differences_but_no_gain(make: Any) -> None:
    class Aim(Area):
        ideal = 0.9

    found = compared({"one": make(60, strength=1.0), "two": make(60, strength=2.0, seed=0)}, {"aim": Aim()})
    assert [p["metric"] for p in found["pairs"]] == ["aim"]
    assert found["gain"] == {}
