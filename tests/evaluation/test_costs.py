"""Costs of mistakes: how they are read, and decisions against brute force and worked by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from medplug.errors import RunError, UsageError
from medplug.evaluation.calibration import fit_calibration
from medplug.evaluation.costing import cost_analysis
from medplug.evaluation.costs import cost_matrix, least_cost, named, told_costs
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.thresholds import choose_thresholds
from medplug.values import Predictions

SKIN = ("melanoma", "nevus", "keratosis")


def matrix(*entries: str, classes: tuple[str, ...] = SKIN) -> np.ndarray:
    found = cost_matrix(entries, classes, "multiclass")
    assert found is not None
    return found


def part(p: Any, labels: Any, classes: tuple[str, ...] = SKIN, groups: Any = None) -> Predictions:
    p, targets = np.asarray(p, np.float64), np.eye(len(classes), dtype=np.float32)[labels]
    return Predictions(tuple(map(str, range(len(p)))), p, targets, classes, "multiclass", groups)


# ---------------------------------------------------------------- reading


def test_an_entry_is_a_row_of_the_truth_and_a_column_of_the_decision() -> None:
    assert matrix("melanoma -> nevus = 10").tolist() == [[0, 10, 1], [1, 0, 1], [1, 1, 0]]
    assert matrix("nevus->melanoma=0.5", " keratosis ->  nevus = 0 ").tolist() == [[0, 1, 1], [0.5, 0, 1], [1, 0, 0]]


def test_a_star_is_every_other_class_and_two_names_go_first() -> None:
    assert matrix("melanoma -> * = 10").tolist() == [[0, 10, 10], [1, 0, 1], [1, 1, 0]]
    assert matrix("* -> melanoma = 2", "nevus -> melanoma = 3").tolist() == [[0, 1, 1], [3, 0, 1], [2, 1, 0]]
    both = matrix("melanoma -> * = 10", "* -> nevus = 2", "melanoma -> nevus = 50")
    assert both.tolist() == [[0, 50, 10], [1, 0, 1], [1, 2, 0]]
    assert matrix("melanoma -> * = 4", "* -> nevus = 4")[0].tolist() == [0, 4, 4]


def test_classes_may_have_arrows_and_equals_signs_in_their_names() -> None:
    odd = ("a->b", "c = d", "a")
    assert matrix("a->b -> c = d = 7", classes=odd)[0].tolist() == [0, 7, 1]
    assert matrix("a -> a->b = 7", classes=odd)[2].tolist() == [7, 1, 0]


def test_no_entries_are_no_costs() -> None:
    assert cost_matrix((), SKIN, "multiclass") is None
    assert cost_matrix((), SKIN, "multilabel") is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["melanoma-"], "cannot be read; costs look like 'TRUE -> DECIDED = COST'.*in quotation marks"),
        (["melanoma -> nevus"], "cannot be read|is no number"),
        (["melanoma -> naevus = 2"], "there is no class 'naevus'; did you mean 'nevus'"),
        (["mole -> nevus = 2"], r"there is no class 'mole'.*\(classes: melanoma, nevus, keratosis\)"),
        (["melanoma -> nevus = ten"], "'ten' is no number"),
        (["melanoma -> nevus = -1"], "a number from 0 on"),
        (["melanoma -> nevus = inf"], "a number from 0 on"),
        (["melanoma -> nevus = nan"], "a number from 0 on"),
        (["melanoma -> melanoma = 1"], "a right decision costs nothing"),
        (["melanoma -> nevus = 1", "melanoma->nevus = 1"], "two costs of melanoma -> nevus"),
        (["melanoma -> * = 5", "* -> nevus = 2"], "give melanoma -> nevus two costs"),
        (["melanoma -> * = 0", "nevus -> * = 0", "keratosis -> * = 0"], "every mistake costs 0"),
    ],
)
def test_what_cannot_be_meant_is_told(entries: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cost_matrix(entries, SKIN, "multiclass")


def test_labels_are_sent_to_thresholds() -> None:
    with pytest.raises(UsageError, match=r"evaluation\.thresholds=cost, evaluation\.miss_cost"):
        cost_matrix(["a -> b = 2"], ("a", "b"), "multilabel")
    with pytest.raises(UsageError, match="stands for every class"):
        cost_matrix(["* -> b = 2"], ("*", "b"), "multiclass")


def test_names_survive_the_file() -> None:
    costs = matrix("melanoma -> nevus = 10")
    assert named(costs, SKIN)["melanoma"] == {"melanoma": 0, "nevus": 10, "keratosis": 1}
    assert named(costs, SKIN)["nevus"]["melanoma"] == 1
    assert told_costs(named(costs, SKIN))[0] == ("melanoma", "nevus", 10)
    assert len(told_costs(named(costs, SKIN))) == 6


# ---------------------------------------------------------------- deciding


def test_a_decision_worked_by_hand() -> None:
    # Deciding for melanoma costs 0.7 + 0.1, for nevus 10 times 0.2 and 0.1, for keratosis 0.2 + 0.7.
    assert least_cost(np.array([[0.2, 0.7, 0.1]]), matrix("melanoma -> nevus = 10")).tolist() == [0]
    # With the same cost the other way round: melanoma 7.1, nevus 0.3, keratosis 0.9
    assert least_cost(np.array([[0.2, 0.7, 0.1]]), matrix("nevus -> melanoma = 10")).tolist() == [1]
    # Neither probable class is worth its risk: melanoma 10 * 0.5, nevus 10 * 0.4, keratosis 0.9
    torn = matrix("melanoma -> nevus = 10", "nevus -> melanoma = 10")
    assert least_cost(np.array([[0.4, 0.5, 0.1]]), torn).tolist() == [2]


def test_decisions_are_those_of_exact_sums() -> None:
    """Brute force in fractions: no decision costs less than the one that is made."""
    rng = np.random.default_rng(0)
    for k in (2, 3, 5):
        shares = rng.integers(0, 12, (100, k)) + (np.arange(k) == 0)
        costs = rng.integers(0, 9, (k, k)) * (1 - np.eye(k, dtype=int))
        costs[0, 1] = 3
        decided = least_cost(shares / shares.sum(1, keepdims=True), costs.astype(float))
        for row, found in zip(shares.tolist(), decided.tolist(), strict=True):
            whole = [sum(Fraction(row[t], sum(row)) * int(costs[t, d]) for t in range(k)) for d in range(k)]
            cheapest = [d for d in range(k) if whole[d] == min(whole)]
            assert found == max(cheapest, key=lambda d: (row[d], -d))


def test_equal_costs_decide_for_the_most_probable_class() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(6), 500)
    p[:100] = np.round(p[:100], 1)  # ties, and sums that are not 1
    p = p + 1e-3
    costs = 1.0 - np.eye(6)
    assert np.array_equal(least_cost(p, costs), p.argmax(1))
    some = rng.uniform(0, 5, (6, 6)) * (1 - np.eye(6))
    assert np.array_equal(least_cost(p, some), least_cost(p, 7.5 * some))


@pytest.mark.parametrize(("miss", "alarm"), [(1, 1), (10, 1), (1, 3), (0.2, 0.7)])
def test_two_classes_come_down_to_a_threshold(miss: float, alarm: float) -> None:
    rng = np.random.default_rng(2)
    p = rng.random(1000)
    both = np.stack([1 - p, p], 1)
    costs = matrix(f"ill -> well = {miss}", f"well -> ill = {alarm}", classes=("well", "ill"))
    limit = alarm / (alarm + miss)
    thresholds = {"per_class": {"well": {"value": 1 - limit}, "ill": {"value": limit}}}
    rules = DecisionRules("multiclass", ("well", "ill"), thresholds=thresholds, costs=costs)
    assert np.array_equal(rules.by_costs(both), rules.by_thresholds(both))


@pytest.mark.parametrize("seed", range(8))
def test_the_rule_cost_agrees_where_probabilities_mean_what_they_say(seed: int) -> None:
    """Of 40 images that get j / 20, 2 j are ill: the cheapest threshold on them is the one of the expected costs."""
    rng = np.random.default_rng(seed)
    miss, alarm = rng.uniform(0.1, 10, 2).tolist()  # no threshold falls on a multiple of 1 / 20
    p = np.repeat(np.arange(1, 20) / 20, 40)
    ill = np.concatenate([np.arange(40) < 2 * j for j in range(1, 20)])
    validation = part(np.stack([1 - p, p], 1), ill.astype(int), ("well", "ill"))
    costs = matrix(f"ill -> well = {miss!r}", f"well -> ill = {alarm!r}", classes=("well", "ill"))
    chosen = choose_thresholds(validation, "cost", miss_cost=miss, alarm_cost=alarm, resamples=50)
    rules = DecisionRules("multiclass", ("well", "ill"), thresholds=chosen, costs=costs)
    assert np.array_equal(rules.by_costs(validation.probabilities), rules.by_thresholds(validation.probabilities))


def test_costs_go_before_thresholds_and_see_calibrated_probabilities() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 300)
    sharp = np.exp(4 * (rng.normal(size=(300, 3)) + np.eye(3)[labels]))
    found = part(sharp / sharp.sum(1, keepdims=True), labels)
    calibration, costs = fit_calibration(found), matrix("melanoma -> * = 20")
    assert calibration.parameters["temperature"] > 2
    rules = DecisionRules("multiclass", SKIN, calibration, choose_thresholds(found, resamples=50), costs=costs)
    p = found.probabilities
    expected = least_cost(calibration.apply(p), costs)
    assert not np.array_equal(expected, least_cost(p, costs))
    assert np.array_equal(rules.decide(p).argmax(1), expected)
    assert (rules.decide(p).sum(1) == 1).all()
    assert rules.columns(found)["medplug:decision"] == [SKIN[c] for c in expected]
    plain = DecisionRules("multiclass", SKIN, thresholds=rules.thresholds)
    assert np.array_equal(plain.decide(p), rules.by_thresholds(p))
    with pytest.raises(ValueError, match="no costs"):
        plain.by_costs(p)
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        rules.decide(p[:, :2])


def test_the_file_keeps_costs_and_older_files_have_none() -> None:
    rules = DecisionRules("multiclass", SKIN, costs=matrix("melanoma -> nevus = 10"))
    stored = json.loads(json.dumps(rules.to_json(), allow_nan=False))
    assert stored["costs"]["melanoma"]["nevus"] == 10
    again = DecisionRules.from_json(stored)
    assert np.array_equal(again.costs, rules.costs)
    reordered = {**stored, "costs": {t: dict(reversed(stored["costs"][t].items())) for t in reversed(SKIN)}}
    assert np.array_equal(DecisionRules.from_json(reordered).costs, rules.costs)  # names count, not places
    older = {key: value for key, value in stored.items() if key != "costs"}
    assert DecisionRules.from_json(older).costs is None
    for wrong in (
        {"melanoma": {}},
        {t: dict.fromkeys(SKIN, 1.0) for t in SKIN},
        {t: dict.fromkeys(SKIN, 0.0) for t in SKIN},
    ):
        with pytest.raises(RunError, match="is damaged"):
            DecisionRules.from_json({**stored, "costs": wrong})
    with pytest.raises(RunError, match="one class per image"):
        DecisionRules.from_json({**stored, "task": "multilabel"})


# ---------------------------------------------------------------- what decisions cost


def test_costs_on_the_test_part_by_hand() -> None:
    p = [[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.01, 0.9, 0.09], [0.05, 0.15, 0.8]]
    test = part(p, [0, 1, 0, 1, 2])
    rules = DecisionRules("multiclass", SKIN, costs=matrix("melanoma -> nevus = 10"))
    found = cost_analysis(test, rules, IntervalSettings(200))
    json.dumps(found, allow_nan=False)
    assert found["probabilities"] == "uncalibrated"
    assert found["matrix"]["melanoma"]["nevus"] == 10
    told = found["test"]
    # By the largest probability the melanoma of the first image is missed; by costs the nevus of the second is called one.
    assert told["most_probable"]["value"] == pytest.approx(10 / 5)
    assert told["least_cost"]["value"] == pytest.approx(1 / 5)
    assert told["difference"]["value"] == pytest.approx(-9 / 5)
    assert (told["n"], told["changed"]) == (5, 2)
    assert told["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 1]]
    # Of 2, 2 and 1 images: always melanoma costs 3, always nevus 21, always keratosis 4.
    assert (told["always"]["decision"], told["always"]["value"]) == ("melanoma", pytest.approx(3 / 5))


def sampled(n: int, groups: bool = False, seed: int = 4) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=[0.2, 0.5, 0.3])
    p = np.exp(rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels])
    return part(p / p.sum(1, keepdims=True), labels, groups=np.arange(n).astype(str) if groups else None)


def test_intervals_hold_their_figures_and_groups_count_once() -> None:
    """Each sample three times, in groups of three copies: the figures of the samples alone."""
    single = sampled(60)
    thrice = Predictions(
        tuple(f"{i}/{s}" for i in range(3) for s in single.samples), np.tile(single.probabilities, (3, 1)),
        np.tile(single.targets, (3, 1)), SKIN, "multiclass", np.tile(np.arange(60).astype(str), 3),
    )  # fmt: skip
    rules = DecisionRules("multiclass", SKIN, costs=matrix("melanoma -> * = 10"))
    one, three = (cost_analysis(p, rules, IntervalSettings(300))["test"] for p in (single, thrice))
    assert (three["n"], three["unit"], three["units"]) == (180, "groups", 60)
    for key in ("most_probable", "least_cost", "difference", "always"):
        assert one[key]["low"] < one[key]["value"] < one[key]["high"]
        for end in ("value", "low", "high"):
            assert three[key][end] == pytest.approx(one[key][end])
        assert "60 groups" in three[key]["method"]


def test_no_mistakes_no_samples_and_no_change() -> None:
    perfect = part(np.eye(3)[[0, 1, 2] * 10], [0, 1, 2] * 10)
    rules = DecisionRules("multiclass", SKIN, costs=matrix("melanoma -> nevus = 10"))
    found = cost_analysis(perfect, rules, IntervalSettings(100))["test"]
    assert found["least_cost"]["value"] == found["least_cost"]["low"] == 0
    assert found["least_cost"]["high"] == pytest.approx(
        10 * (1 - 0.05 ** (1 / 30))
    )  # the rule of three, at the dearest
    assert found["least_cost"]["one_sided"] is True
    assert found["difference"] == {
        "value": 0.0, "low": None, "high": None, "interval_reason": "the two rules decide alike on every sample",
    }  # fmt: skip
    unknown = Predictions(("a",), np.array([[0.5, 0.3, 0.2]]), np.full((1, 3), np.nan, np.float32), SKIN, "multiclass")
    empty = cost_analysis(unknown, rules, IntervalSettings(100))["test"]
    json.dumps(empty, allow_nan=False)
    assert empty["least_cost"] == {"value": None, "reason": "no known labels in the test split"}
    single = cost_analysis(part([[0.1, 0.8, 0.1]], [0]), rules, IntervalSettings(100))["test"]
    assert single["most_probable"]["value"] == 10
    assert "at least two samples" in single["most_probable"]["interval_reason"]
