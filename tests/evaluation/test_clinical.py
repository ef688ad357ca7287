from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from medplug.errors import DataError, ParameterError
from medplug.evaluation.clinical import clinical_analysis
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.intervals import IntervalSettings
from medplug.values import Predictions

PLAIN = IntervalSettings(100)


def table(tp: int, fp: int, fn: int, tn: int, groups: np.ndarray | None = None) -> Predictions:
    """Two classes with these decisions for the second one."""
    truth = np.r_[np.ones(tp), np.zeros(fp), np.ones(fn), np.zeros(tn)]
    p = np.r_[np.full(tp + fp, 0.8), np.full(fn + tn, 0.1)]
    names = tuple(map(str, range(len(truth))))
    targets = np.stack([1 - truth, truth], 1).astype(np.float32)
    return Predictions(names, np.stack([1 - p, p], 1), targets, ("well", "ill"), "multiclass", groups)


def of(predictions: Predictions, **how: Any) -> dict[str, Any]:
    found = clinical_analysis(predictions, PLAIN, **how)
    json.dumps(found, allow_nan=False)
    return found["rates"]["ill"]


def test_net_benefit_by_hand() -> None:
    curve = clinical_analysis(table(30, 20, 10, 40), PLAIN)["decision_curve"]["ill"]
    at = curve["threshold"].index(0.2)
    # 30 hits and 20 false alarms in 100, at odds of 1 to 4: 0.30 - 0.20 / 4
    assert curve["model"][at] == pytest.approx(0.25)
    assert curve["all"][at] == pytest.approx(0.4 - 0.6 / 4)
    error = np.sqrt((30 * (1 - 0.25) ** 2 + 20 * (-0.25 - 0.25) ** 2 + 50 * 0.25**2) / (100 * 99))
    assert curve["high"][at] - curve["low"][at] == pytest.approx(2 * 1.98422 * error, abs=1e-5)
    late = curve["threshold"].index(0.9)
    assert (curve["model"][late], curve["low"][late], curve["high"][late]) == (0, 0, 0)  # no sample is called ill
    assert curve["prevalence"] == 0.4
    early = curve["threshold"].index(0.05)
    assert curve["model"][early] == pytest.approx(curve["all"][early], abs=1e-6)  # every sample is called ill


def test_net_benefit_counts_a_group_once() -> None:
    """Each sample three times, in groups of three copies: the interval of the samples alone."""
    single = table(15, 10, 5, 20)
    thrice = Predictions(
        tuple(f"{i}/{s}" for i in range(3) for s in single.samples),
        np.tile(single.probabilities, (3, 1)),
        np.tile(single.targets, (3, 1)),
        single.classes,
        single.task,
        np.tile(np.arange(50).astype(str), 3),
    )
    one, three = (clinical_analysis(p, PLAIN) for p in (single, thrice))
    for key in ("model", "low", "high"):
        assert three["decision_curve"]["ill"][key] == pytest.approx(one["decision_curve"]["ill"][key], abs=2e-6)
    a, b = one["rates"]["ill"]["lr_positive"], three["rates"]["ill"]["lr_positive"]
    widths = [np.log(f["high"] / f["low"]) for f in (a, b)]
    assert widths[1] / widths[0] == pytest.approx(2.00958 / 1.95996 * np.sqrt(50 / 49), abs=1e-4)
    assert "50 groups" in b["method"]


def test_likelihood_ratios_by_hand() -> None:
    found = of(table(90, 20, 10, 180))
    assert found["threshold"] is None
    assert found["lr_positive"]["value"] == pytest.approx(0.9 / 0.1)
    half = 1.959964 * np.sqrt(1 / 90 - 1 / 100 + 1 / 20 - 1 / 200)
    assert found["lr_positive"]["low"] == pytest.approx(9 * np.exp(-half))
    assert found["lr_positive"]["high"] == pytest.approx(9 * np.exp(half))
    half = 1.959964 * np.sqrt(1 / 10 - 1 / 100 + 1 / 180 - 1 / 200)
    assert found["lr_negative"]["value"] == pytest.approx(0.1 / 0.9)
    assert found["lr_negative"]["high"] == pytest.approx(np.exp(half) / 9)


@pytest.mark.parametrize("prevalence", [0.02, 0.5, 0.9])
def test_predictive_values_by_bayes(prevalence: float) -> None:
    (at,) = of(table(90, 20, 10, 180), prevalences=[prevalence])["at"]
    ppv = 0.9 * prevalence / (0.9 * prevalence + 0.1 * (1 - prevalence))
    npv = 0.9 * (1 - prevalence) / (0.9 * (1 - prevalence) + 0.1 * prevalence)
    assert at["ppv"]["value"] == pytest.approx(ppv)
    assert at["npv"]["value"] == pytest.approx(npv)
    assert at["number_needed_to_evaluate"]["value"] == pytest.approx(1 / ppv)
    for key in ("ppv", "npv", "number_needed_to_evaluate"):
        assert at[key]["low"] < at[key]["value"] < at[key]["high"]
    assert at["number_needed_to_evaluate"]["high"] == pytest.approx(1 / at["ppv"]["low"])
    # The delta method on the logit scale: d logit(PPV) = d log(sensitivity) - d log(1 - specificity).
    error = np.sqrt(0.1 / 0.9 / 100 + 0.9 / 0.1 / 200)
    odds = ppv / (1 - ppv) * np.exp(1.959964 * error)
    assert at["ppv"]["high"] == pytest.approx(odds / (1 + odds))


def test_empty_cells() -> None:
    found = of(table(18, 0, 2, 40), prevalences=[0.1])
    assert found["lr_positive"]["value"] is None
    assert "no negative sample" in found["lr_positive"]["reason"]
    ppv = found["at"][0]["ppv"]
    assert (ppv["value"], ppv["high"], ppv["one_sided"]) == (1, 1, True)
    assert 0.3 < ppv["low"] < 0.95
    assert found["at"][0]["number_needed_to_evaluate"]["low"] == 1
    found = of(table(20, 5, 0, 35), prevalences=[0.1])
    assert (found["lr_negative"]["value"], found["lr_negative"]["low"], found["lr_negative"]["one_sided"]) == (
        0,
        0,
        True,
    )
    assert 0 < found["lr_negative"]["high"] < 1
    assert found["at"][0]["npv"]["value"] == 1
    found = of(table(0, 0, 5, 10), prevalences=[0.1])
    assert found["lr_positive"] == {"value": None, "reason": "no sample is called so"}
    assert found["at"][0]["ppv"]["value"] is None
    assert found["lr_negative"]["value"] == 1
    found = of(table(0, 4, 5, 10), prevalences=[0.1])
    assert found["at"][0]["ppv"]["value"] == 0
    assert found["at"][0]["number_needed_to_evaluate"]["value"] is None
    assert "infinite" in found["at"][0]["number_needed_to_evaluate"]["reason"]
    found = of(table(5, 10, 0, 0), prevalences=[0.1])
    assert found["lr_negative"]["reason"] == "every sample is called so"


@pytest.mark.parametrize(("sensitivity", "specificity", "m", "n"), [(0.9, 0.9, 40, 120), (0.95, 0.98, 30, 60)])
def test_ppv_covers(sensitivity: float, specificity: float, m: int, n: int) -> None:
    """Nominal 95 % over 600 tables, empty cells among them."""
    rng = np.random.default_rng(0)
    truth = 0.1 * sensitivity / (0.1 * sensitivity + 0.9 * (1 - specificity))
    hits = 0
    for _ in range(600):
        tp, fp = int(rng.binomial(m, sensitivity)), int(rng.binomial(n, 1 - specificity))
        ppv = of(table(tp, fp, m - tp, n - fp), prevalences=[0.1])["at"][0]["ppv"]
        hits += ppv["low"] <= truth <= ppv["high"]
    assert 0.93 <= hits / 600 <= 0.99


def test_a_tie_is_counted_once() -> None:
    """Of two classes one is decided for, the second from its threshold on, as runs decide: never both, never none."""
    p = np.array([0.25, 0.25, 0.25, 0.5, 0.75])
    truth = np.array([1, 0, 0, 1, 1])
    test = Predictions(
        tuple("abcde"), np.stack([1 - p, p], 1), np.eye(2, dtype=np.float32)[truth], ("well", "ill"), "multiclass"
    )
    limits = np.array([0.75, 0.25])
    found = clinical_analysis(test, PLAIN, thresholds=limits, prevalences=[0.5])["rates"]
    chosen = {"per_class": {"well": {"value": 0.75}, "ill": {"value": 0.25}}}
    assert DecisionRules("multiclass", test.classes, thresholds=chosen).decide(test.probabilities)[:, 1].all()
    assert found["ill"]["lr_positive"]["value"] == 1  # all are called ill
    assert found["well"]["lr_positive"] == {"value": None, "reason": "no sample is called so"}
    assert found["well"]["lr_negative"]["value"] == 1


def test_absent_classes_unknown_labels_and_one_sample() -> None:
    targets = np.array([[1, 1, np.nan], [0, 1, np.nan], [np.nan, 1, np.nan]], np.float32)
    probabilities = np.array([[0.9, 0.5, 0.5], [0.6, 0.5, 0.5], [0.3, 0.5, 0.5]])
    predictions = Predictions(tuple("abc"), probabilities, targets, tuple("xyz"), "multilabel")
    found = clinical_analysis(predictions, PLAIN, split="test")
    json.dumps(found, allow_nan=False)
    assert found["decision_curve"]["z"] is None
    assert found["rates"]["z"]["prevalence"] is None
    assert found["rates"]["x"]["threshold"] == 0.5
    assert found["rates"]["y"]["lr_positive"]["reason"] == "no negative samples in the test split"
    assert found["decision_curve"]["x"]["prevalence"] == 0.5
    moved = clinical_analysis(predictions, PLAIN, thresholds=np.array([0.7, 0.5, 0.5]))
    assert moved["rates"]["x"]["at"][0]["ppv"]["value"] == 1
    single = dataclasses.replace(table(1, 0, 0, 0))
    found = clinical_analysis(single, PLAIN)
    json.dumps(found, allow_nan=False)
    assert found["decision_curve"]["ill"]["low"] == [None] * 99
    with pytest.raises(ParameterError, match="between 0 and 1"):
        clinical_analysis(single, PLAIN, prevalences=[0.1, 1])
    with pytest.raises(DataError, match="no labels"):
        clinical_analysis(dataclasses.replace(single, targets=None), PLAIN)
