from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from medplug.errors import DataError, UsageError
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.subgroups import subgroup_scores
from medplug.values import Predictions

FEW = IntervalSettings(60)


class Error:
    """The share of wrong decisions: less is better."""

    tasks = ("multiclass",)
    higher_is_better = False
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> float:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        wrong = targets.argmax(1) != probabilities.argmax(1)
        return float((weight * wrong).sum() / weight.sum()) if weight.sum() else float("nan")


def scored(predictions: Any, metrics: Any, **columns: Any) -> dict[str, Any]:
    found = subgroup_scores(predictions, {k: np.asarray(v) for k, v in columns.items()}, metrics, FEW)
    json.dumps(found, allow_nan=False)
    return found


def names(found: dict[str, Any]) -> list[tuple[str, int]]:
    return [(row["name"], row["n"]) for row in found["rows"]]


def test_rows_are_the_scores_of_their_samples(make: Any, metrics: Any) -> None:
    predictions = make(90)
    sex = np.array(["f", "m", ""] * 30)
    found = scored(predictions, metrics, sex=sex)["sex"]
    assert names(found) == [("f", 30), ("m", 30), ("missing", 30)]
    for row, value in zip(found["rows"], ("f", "m", ""), strict=True):
        part = sex == value
        expected = accuracy_score(predictions.targets[part].argmax(1), predictions.probabilities[part].argmax(1))
        assert row["macro"]["hits"]["value"] == pytest.approx(expected)
        assert row["macro"]["hits"]["low"] <= expected <= row["macro"]["hits"]["high"]
        assert (row["suppressed"], row["units"]) == (False, 30)
    assert "9 figures (3 subgroups, 3 metrics)" in found["note"]


def test_a_gap_allows_for_its_ends_being_picked(make: Any, metrics: Any) -> None:
    """Of three equal subgroups the arms are those of two, times Tukey's range over that of one pair (tables: 3.314, 2.772)."""
    one = make(120, seed=3)
    thrice = Predictions(
        tuple(f"{i}{s}" for i in range(3) for s in one.samples), np.tile(one.probabilities, (3, 1)),
        np.tile(one.targets, (3, 1)), one.classes, one.task,
    )  # fmt: skip
    sites = np.repeat(["a", "b", "c"], 120)
    three = scored(thrice, metrics, site=sites)["site"]
    figure = three["rows"][0]["macro"]["hits"]
    arms = np.hypot(figure["high"] - figure["value"], figure["value"] - figure["low"])
    assert three["gap"]["hits"]["high"] == pytest.approx(arms * 3.314 / 2.772, rel=1e-3)
    assert "the ends of 3 (Tukey's studentized range)" in three["gap"]["hits"]["method"]


def test_worst_and_gap_by_hand(make: Any, metrics: Any) -> None:
    predictions = make(200, 2)
    site = np.where(np.arange(200) < 100, "a", "b")
    wrong = np.r_[np.arange(200) % 100 < 10][:100].tolist() + (np.arange(100) < 40).tolist()
    labels = predictions.targets.argmax(1)
    decided = np.where(wrong, 1 - labels, labels)
    predictions = dataclasses.replace(predictions, probabilities=np.eye(2)[decided] * 0.8 + 0.1)
    found = scored(predictions, {"hits": metrics["hits"], "error": Error()}, site=site)["site"]
    assert found["worst"] == {"hits": "b", "error": "b"}
    rows = {row["name"]: row["macro"] for row in found["rows"]}
    for name, gap in found["gap"].items():
        assert (gap["best"], gap["worst"]) == ("a", "b")
        assert gap["value"] == pytest.approx(0.3)
        good, bad = (rows["a"][name], rows["b"][name]) if name == "hits" else (rows["b"][name], rows["a"][name])
        expected = 0.3 - np.sqrt((good["value"] - good["low"]) ** 2 + (bad["high"] - bad["value"]) ** 2)
        assert gap["low"] == pytest.approx(expected)
        # The interval of a difference of two shares, as every textbook has it, is about as wide.
        wald = 1.96 * np.sqrt(0.1 * 0.9 / 100 + 0.4 * 0.6 / 100)
        assert gap["high"] - gap["low"] == pytest.approx(2 * wald, rel=0.2)


def test_ages_are_banded(make: Any, metrics: Any) -> None:
    predictions = make(100)
    ages = np.r_[np.full(10, 17.5), np.full(20, 18), np.full(30, 59.9), np.full(30, 60), np.full(9, 95), [np.nan]]
    found = scored(predictions, {"hits": metrics["hits"]}, Age=ages, patient_age=ages.astype(str), stage=ages)
    expected = [("0-17", 10), ("18-39", 20), ("40-59", 30), ("60-79", 30), ("80+", 9), ("missing", 1)]
    assert names(found["Age"]) == names(found["patient_age"]) == expected
    assert [row["suppressed"] for row in found["Age"]["rows"]] == [False] * 4 + [True] * 2
    assert [row["macro"] for row in found["Age"]["rows"]][4:] == [{}, {}]
    assert "2 of 6 subgroups" in found["Age"]["note"]
    assert names(found["stage"])[0] == ("17.5", 10)  # few values are categories


def test_numbers_are_banded_at_readable_quartiles(make: Any, metrics: Any) -> None:
    predictions = make(200)
    weight = np.random.default_rng(0).normal(70, 12, 200)
    found = scored(predictions, {"hits": metrics["hits"]}, weight=weight, age_days=np.arange(200) % 100 + 5000)
    assert [n for _, n in names(found["weight"])] == pytest.approx([50] * 4, abs=3)
    assert names(found["weight"])[0][0] == f"up to {np.quantile(weight, 0.25):.3g}"
    assert [name for name, _ in names(found["age_days"])] == [
        "up to 5020", "over 5020 up to 5050", "over 5050 up to 5070", "over 5070",
    ]  # fmt: skip


def test_what_tells_nothing_is_left_out_with_a_note(make: Any, metrics: Any) -> None:
    predictions = make(60)
    found = scored(
        predictions,
        metrics,
        patient=[f"p{i}" for i in range(60)],
        accession=np.arange(60) + 1000,
        one=["x"] * 60,
        none=[""] * 60,
    )
    assert all(part["rows"] == [] and part["worst"] == {} for part in found.values())
    assert "names rather than subgroups" in found["patient"]["note"]
    assert "names rather than subgroups" in found["accession"]["note"]
    assert "all samples are of one subgroup, x" in found["one"]["note"]
    assert "no values" in found["none"]["note"]
    assert {gap["value"] for part in found.values() for gap in part["gap"].values()} == {None}


def test_rare_categories_are_pooled(make: Any, metrics: Any) -> None:
    predictions = make(300)
    site = np.array([f"site {i % 10:02d}" if i < 200 else f"rare {i % 25:02d}" for i in range(300)])
    found = scored(predictions, {"hits": metrics["hits"]}, site=site)["site"]
    assert len(found["rows"]) == 12
    assert names(found)[-1] == ("other (24 values)", 96)
    assert sum(row["n"] for row in found["rows"]) == 300


def test_absent_classes_are_told(make: Any, metrics: Any) -> None:
    predictions = make(120)
    label = predictions.targets.argmax(1)
    part = np.where(label == 0, "only the first", "others")
    found = scored(predictions, {"ranking": metrics["ranking"]}, part=part)["part"]
    assert found["rows"][0]["macro"]["ranking"]["value"] is None
    assert found["worst"] == {}
    assert found["gap"]["ranking"]["value"] is None
    assert "over other classes" in found["note"]


def test_columns_are_chosen(make: Any, metrics: Any) -> None:
    predictions = make(40, groups=10)
    columns = {"sex": np.array(["f", "m"] * 20), "site": np.array(["a", "b"] * 20)}
    assert list(subgroup_scores(predictions, columns, metrics, FEW)) == ["sex", "site"]
    found = subgroup_scores(predictions, columns, metrics, FEW, columns=["site"])
    assert list(found) == ["site"]
    assert all(row["units"] <= 10 for row in found["site"]["rows"])
    with pytest.raises(UsageError, match="'sitee'.*did you mean 'site'"):
        subgroup_scores(predictions, columns, metrics, FEW, columns=["sitee"])
    with pytest.raises(DataError, match="'sex' has 3 entries"):
        subgroup_scores(predictions, {"sex": np.array(["f"] * 3)}, metrics, FEW)
    with pytest.raises(DataError, match="no labels"):
        subgroup_scores(dataclasses.replace(predictions, targets=None), columns, metrics, FEW)
    assert subgroup_scores(predictions, {}, metrics, FEW) == {}
