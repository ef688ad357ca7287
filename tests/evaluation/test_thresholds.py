"""Thresholds against a search of all cuts, and what is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from medplug.errors import DataError, ParameterError
from medplug.evaluation.thresholds import choose_thresholds, threshold_report
from medplug.values import Predictions


def labelled(truth: Any, p: Any, groups: Any = None) -> Predictions:
    truth, p = np.asarray(truth, np.float32), np.asarray(p, np.float64)
    truth, p = (a[:, None] if a.ndim == 1 else a for a in (truth, p))
    classes = tuple(f"c{i}" for i in range(p.shape[1]))
    names = None if groups is None else np.asarray(groups).astype(str)
    return Predictions(tuple(map(str, range(len(p)))), p, truth, classes, "multilabel", names)


def pair(truth: Any, second: Any) -> Predictions:
    """Two classes, softmax."""
    truth, second = np.asarray(truth), np.asarray(second, np.float64)
    return Predictions(
        tuple(map(str, range(len(second)))), np.stack([1 - second, second], 1), np.eye(2, dtype=np.float32)[truth],
        ("well", "ill"), "multiclass",
    )  # fmt: skip


def noisy(seed: int, n: int = 60, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels and overlapping scores with many ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.35
    return truth, np.round(1 / (1 + np.exp(-rng.normal(1.3 * truth - 0.5, 1))), digits)


def rates(truth: np.ndarray, called: np.ndarray) -> tuple[float, float]:
    return float(called[truth].mean()), float((~called[~truth]).mean())


def every_cut(p: np.ndarray) -> list[np.ndarray]:
    """The decisions of all cuts that can be told apart."""
    return [p >= t for t in [*np.unique(p), np.inf]]


OBJECTIVES = {
    "youden": lambda y, d: sum(rates(y, d)),
    "f_beta": lambda y, d: fbeta_score(y, d, beta=2.0, zero_division=0.0),
    "cost": lambda y, d: -(5 * (y & ~d).sum() + 2 * (~y & d).sum()),
    "sensitivity": lambda y, d: (rates(y, d)[0] >= 0.8 - 1e-12, rates(y, d)[1], rates(y, d)[0]),
    "specificity": lambda y, d: (rates(y, d)[1] >= 0.8 - 1e-12, rates(y, d)[0], rates(y, d)[1]),
}


@pytest.mark.parametrize("rule", OBJECTIVES)
@pytest.mark.parametrize("seed", range(20))
def test_no_cut_is_better(rule: str, seed: int) -> None:
    truth, p = noisy(seed, digits=(1, 2, 12)[seed % 3])
    parameters = {"beta": 2.0, "target": 0.8, "miss_cost": 5.0, "alarm_cost": 2.0}
    t = choose_thresholds(labelled(truth, p), rule, resamples=1, **parameters)["per_class"]["c0"]["value"]
    best = max(OBJECTIVES[rule](truth, d) for d in every_cut(p))
    assert OBJECTIVES[rule](truth, p >= t) == pytest.approx(best)


def test_a_threshold_worked_by_hand() -> None:
    truth = [0, 0, 0, 1, 0, 1, 1]
    p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9]
    entry = choose_thresholds(labelled(truth, p), "youden")["per_class"]["c0"]
    assert entry["value"] == pytest.approx(0.35)  # J = 3/4 there; 2/3 at 0.55
    assert (entry["positives"], entry["negatives"]) == (3, 4)
    assert entry["expected"]["sensitivity"]["value"] == 1
    assert entry["expected"]["specificity"]["value"] == 0.75
    wanted = {"sensitivity": 0.35, "specificity": 0.35, "cost": 0.35, "f_beta": 0.35}
    for rule, t in wanted.items():
        assert choose_thresholds(labelled(truth, p), rule, target=0.7)["per_class"]["c0"]["value"] == pytest.approx(t)
    strict = choose_thresholds(labelled(truth, p), "specificity", target=0.9)["per_class"]["c0"]
    assert strict["value"] == pytest.approx(0.55)
    assert choose_thresholds(labelled(truth, p), "cost", alarm_cost=4.0)["per_class"]["c0"]["value"] == pytest.approx(
        0.55
    )


def test_the_cost_rule_finds_bayes_threshold_of_calibrated_probabilities() -> None:
    """With true probabilities it is alarm / (alarm + miss)."""
    rng = np.random.default_rng(0)
    p = rng.random(60_000)
    found = choose_thresholds(labelled(rng.random(60_000) < p, p), "cost", miss_cost=4.0, resamples=1)
    assert found["per_class"]["c0"]["value"] == pytest.approx(0.2, abs=0.03)


def test_costs_by_class() -> None:
    truth, p = noisy(0)
    both = labelled(np.stack([truth, truth], 1), np.stack([p, p], 1))
    found = choose_thresholds(both, "cost", miss_cost={"c0": 1.0, "c1": 20.0})
    assert found["per_class"]["c1"]["value"] < found["per_class"]["c0"]["value"]
    assert found["rule"]["parameters"] == {"miss_cost": {"c0": 1.0, "c1": 20.0}, "alarm_cost": 1.0}
    with pytest.raises(ParameterError, match="for each of c0, c1"):
        choose_thresholds(both, "cost", miss_cost={"c0": 1.0})


def test_calling_all_and_calling_none_are_cuts() -> None:
    truth, p = [1, 0, 1, 0], [0.2, 0.3, 0.6, 0.7]
    everyone = choose_thresholds(labelled(truth, p), "sensitivity", target=1.0)["per_class"]["c0"]["value"]
    assert everyone == pytest.approx(0.1)
    nobody = choose_thresholds(labelled(truth, p), "specificity", target=1.0)["per_class"]["c0"]["value"]
    assert nobody == pytest.approx(0.85)


@pytest.mark.parametrize("p", [[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5], [0.3, np.nextafter(0.3, 1), 0.3, 0.3]])
def test_cuts_between_neighbours_and_at_the_ends(p: Any) -> None:
    truth = np.array([True, False, True, False])
    for rule, side in (("sensitivity", 0), ("specificity", 1)):
        t = choose_thresholds(labelled(truth, p), rule, target=1.0)["per_class"]["c0"]["value"]
        assert rates(truth, np.asarray(p) >= t)[side] == 1


def test_of_equal_cuts_the_widest_gap_is_taken() -> None:
    entry = choose_thresholds(labelled([0, 1, 0, 1], [0.1, 0.2, 0.7, 0.75]), "youden")["per_class"]["c0"]
    assert entry["value"] == pytest.approx(0.15)  # J = 1/2 both at 0.15 and at 0.725


def test_two_classes_share_one_threshold() -> None:
    truth, p = noisy(3)
    found = choose_thresholds(pair(truth.astype(int), p), "sensitivity", target=0.9)
    well, ill = found["per_class"]["well"], found["per_class"]["ill"]
    alone = choose_thresholds(labelled(truth, p), "sensitivity", target=0.9)["per_class"]["c0"]
    assert list(found["per_class"]) == ["well", "ill"]
    assert found["rule"]["chosen_for"] == "ill"
    assert ill["value"] == alone["value"]
    assert well["value"] == 1 - ill["value"]
    assert (well["low"], well["high"]) == (1 - ill["high"], 1 - ill["low"])
    assert well["expected"]["specificity"] == ill["expected"]["sensitivity"]
    assert well["positives"] == ill["negatives"] == (~truth).sum()


def test_the_test_part_of_two_classes_is_decided_once() -> None:
    """A prediction exactly on the threshold belongs to one class only."""
    chosen = choose_thresholds(pair([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.5]), "youden")
    t = chosen["per_class"]["ill"]["value"]
    found = threshold_report(pair([0, 1, 1], [0.1, t, 0.9]), chosen)["per_class"]
    assert found["ill"]["test"]["sensitivity"]["value"] == found["well"]["test"]["specificity"]["value"] == 1
    assert found["well"]["test"]["ppv"]["value"] == found["ill"]["test"]["npv"]["value"] == 1


def test_the_report_counts_what_the_test_part_shows() -> None:
    truth, p = noisy(1, 200)
    other, q = noisy(2, 150)
    chosen = choose_thresholds(labelled(truth, p), "youden")
    before = json.dumps(chosen)
    test = threshold_report(labelled(other, q), chosen)["per_class"]["c0"]["test"]
    called = q >= chosen["per_class"]["c0"]["value"]
    assert test["sensitivity"]["value"] == pytest.approx(called[other].mean())
    assert test["specificity"]["value"] == pytest.approx((~called[~other]).mean())
    assert test["ppv"]["value"] == pytest.approx(other[called].mean())
    assert test["npv"]["value"] == pytest.approx((~other[~called]).mean())
    assert test["ppv"]["low"] < test["ppv"]["value"] < test["ppv"]["high"]
    assert json.dumps(chosen) == before


def test_shares_of_nothing_have_reasons() -> None:
    chosen = choose_thresholds(labelled([0, 1, 0, 1], [0.1, 0.6, 0.2, 0.9]), "youden")
    low = threshold_report(labelled([0.0, 0.0], [0.1, 0.2]), chosen)["per_class"]["c0"]["test"]
    assert low["sensitivity"] == {"value": None, "reason": "no positive samples in the test split"}
    assert "reaches the threshold" in low["ppv"]["reason"]
    high = threshold_report(labelled([1.0, np.nan], [0.9, 0.2]), chosen)["per_class"]["c0"]["test"]
    assert "stays below the threshold" in high["npv"]["reason"]
    assert high["ppv"]["value"] == 1
    empty = threshold_report(labelled(np.zeros((0, 1)), np.zeros((0, 1))), chosen)["per_class"]["c0"]["test"]
    assert all(figure["value"] is None for figure in empty.values())


def test_classes_without_both_kinds_get_none() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (40, 4)).astype(np.float32)
    truth[:, 1], truth[:, 2], truth[:, 3] = 0, 1, np.nan
    found = choose_thresholds(labelled(truth, rng.random((40, 4))), "youden")
    assert found["skipped"] is None
    reasons = [found["per_class"][f"c{c}"].get("reason") for c in range(4)]
    assert reasons == [
        None, "no positive samples in the validation split", "no negative samples in the validation split",
        "no known labels in the validation split",
    ]  # fmt: skip
    assert "c1 are made as without thresholds" in found["per_class"]["c1"]["trust"]
    report = threshold_report(labelled(truth, rng.random((40, 4))), found)
    assert "test" in report["per_class"]["c0"]
    assert "test" not in report["per_class"]["c1"]
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("truth", [[0, 0, 0], [1]])
def test_one_sided_pairs_are_skipped(truth: Any) -> None:
    found = choose_thresholds(pair(truth, np.linspace(0.2, 0.8, len(truth))), "youden")
    assert "no class has positive and negative samples" in found["skipped"]
    kinds = [entry["reason"].split()[1] for entry in found["per_class"].values()]
    assert kinds == (["negative", "positive"] if truth[0] == 0 else ["positive", "negative"])


def test_no_validation_samples() -> None:
    found = choose_thresholds(labelled(np.zeros((0, 2)), np.zeros((0, 2))), "youden")
    assert "0 samples" in found["skipped"]


def test_none_chooses_nothing() -> None:
    truth, p = noisy(0)
    found = choose_thresholds(labelled(truth, p), "none")
    assert (found["per_class"], found["skipped"]) == ({}, None)
    assert threshold_report(labelled(truth, p), found)["per_class"] == {}


def test_unknown_labels_do_not_count() -> None:
    truth, p = noisy(5)
    more = labelled(np.append(truth.astype(float), [np.nan] * 30), np.append(p, np.linspace(0, 1, 30)))
    plain, found = (choose_thresholds(x, "youden")["per_class"]["c0"] for x in (labelled(truth, p), more))
    assert found == plain


def test_intervals_are_seeded_and_hold_the_threshold() -> None:
    truth, p = noisy(7, 200, 12)
    first, again, other = (
        choose_thresholds(labelled(truth, p), "youden", seed=s)["per_class"]["c0"] for s in (1, 1, 2)
    )
    assert first == again
    assert (first["low"], first["high"]) != (other["low"], other["high"])
    assert first["low"] <= first["value"] <= first["high"]
    assert "200 samples, 200 resamples" in first["method"]


def test_groups_are_drawn_together() -> None:
    """Copies of each sample in a group of its own change nothing; taken as samples they narrow the interval."""
    truth, p = noisy(8, 40, 12)
    plain = choose_thresholds(labelled(truth, p), "sensitivity")["per_class"]["c0"]
    codes = np.repeat([f"p{i}" for i in range(40)], 5)
    grouped = choose_thresholds(labelled(np.repeat(truth, 5), np.repeat(p, 5), codes), "sensitivity")
    entry = grouped["per_class"]["c0"]
    assert (entry["value"], entry["low"], entry["high"]) == pytest.approx((plain["value"], plain["low"], plain["high"]))
    assert grouped["fitted_on"] == {"part": "validation", "n": 200, "unit": "groups", "units": 40}
    assert f"({truth.sum()} groups) with c0" in entry["trust"]
    ungrouped = choose_thresholds(labelled(np.repeat(truth, 5), np.repeat(p, 5)), "sensitivity")["per_class"]["c0"]
    assert ungrouped["high"] - ungrouped["low"] < entry["high"] - entry["low"]


def test_too_few_units_have_no_interval() -> None:
    one_group = choose_thresholds(labelled([0, 1, 1], [0.1, 0.4, 0.8], ["a", "a", "a"]), "youden")["per_class"]["c0"]
    assert (one_group["low"], one_group["high"]) == (None, None)
    assert "resamples have positive and negative" in one_group["interval_reason"]


def test_how_far_a_threshold_can_be_trusted_is_told() -> None:
    few, some, enough = (
        choose_thresholds(labelled(*noisy(3, n, 12)), "youden")["per_class"]["c0"]["trust"] for n in (20, 100, 600)
    )
    assert "too few to rely on it" in few
    assert "That is few" in some
    assert "few" not in enough
    assert "sensitivity may be anywhere from" in enough


def test_optimism_is_what_simulation_shows() -> None:
    """Youden's index on 10 positives and 40 negatives at AUC 0.92: claimed more than what the threshold is worth."""
    rng = np.random.default_rng(0)
    truth = np.arange(50) < 10
    shift = 1.405 * np.sqrt(2)  # AUC 0.92
    new = 1 / (1 + np.exp(-rng.normal(0, 1, 20_000))), 1 / (1 + np.exp(-rng.normal(shift, 1, 20_000)))
    claimed, worth, told = [], [], []
    for _ in range(60):
        p = 1 / (1 + np.exp(-rng.normal(shift * truth, 1)))
        entry = choose_thresholds(labelled(truth, p), "youden", resamples=50)["per_class"]["c0"]
        claimed.append(entry["expected"]["sensitivity"]["value"] + entry["expected"]["specificity"]["value"] - 1)
        worth.append((new[1] >= entry["value"]).mean() - (new[0] >= entry["value"]).mean())
        told.append(sum(entry["optimism"].values()))
    assert np.mean(claimed) == pytest.approx(0.77, abs=0.04)
    assert np.mean(worth) == pytest.approx(0.64, abs=0.04)
    assert 0.4 < np.mean(told) / (np.mean(claimed) - np.mean(worth)) < 1.5


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [("best", {}), ("sensitivity", {"target": 1.2}), ("f_beta", {"beta": 0.0}), ("cost", {"miss_cost": -1.0})],
)
def test_wrong_parameters_are_told(rule: str, parameters: Any) -> None:
    truth, p = noisy(0)
    with pytest.raises(ParameterError):
        choose_thresholds(labelled(truth, p), rule, **parameters)
    with pytest.raises(DataError, match="no labels"):
        choose_thresholds(replace(labelled(truth, p), targets=None), "youden")


def test_values_are_plain() -> None:
    truth, p = noisy(0)
    found = choose_thresholds(labelled(truth, p), "f_beta", beta=2)
    assert found["rule"] == {"name": "f_beta", "parameters": {"beta": 2.0}}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
