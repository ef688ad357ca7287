"""The rules of a run: decisions, columns, and the file."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from medplug.errors import RunError
from medplug.evaluation.calibration import CalibrationFit, fit_calibration
from medplug.evaluation.conformal import ConformalFit, fit_conformal
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.novelty import fit_novelty
from medplug.evaluation.thresholds import choose_thresholds
from medplug.values import Predictions


def chosen(**limits: float | None) -> dict[str, Any]:
    per_class = {name: {"value": t} for name, t in limits.items()}
    return {"rule": {"name": "youden", "parameters": {}}, "skipped": None, "per_class": per_class}


def validation(n: int = 200, k: int = 3, task: Any = "multiclass") -> Predictions:
    rng = np.random.default_rng(0)
    classes = tuple(f"c{i}" for i in range(k))
    if task == "multilabel":
        y = rng.integers(0, 2, (n, k))
        return Predictions(
            tuple(map(str, range(n))), expit(rng.normal(2 * y - 1, 1)), y.astype(np.float32), classes, task
        )
    labels = rng.integers(0, k, n)
    p = softmax(2 * (rng.normal(size=(n, k)) + 1.5 * np.eye(k)[labels]), axis=1)
    return Predictions(tuple(map(str, range(n))), p, np.eye(k, dtype=np.float32)[labels], classes, task)


def whole(task: Any = "multiclass", k: int = 3) -> DecisionRules:
    part, rng = validation(task=task, k=k), np.random.default_rng(1)
    novelty = fit_novelty(rng.normal(size=(50, 8)), rng.normal(size=(200, 8)), rng.normal(size=200))
    return DecisionRules(
        part.task, part.classes, fit_calibration(part), choose_thresholds(part, "youden"), fit_conformal(part), novelty
    )


def test_one_of_many_classes_is_decided_by_the_ratio() -> None:
    rules = DecisionRules("multiclass", ("a", "b", "c"), thresholds=chosen(a=0.6, b=0.3, c=0.1))
    p = np.array([[0.6, 0.3, 0.1], [0.59, 0.36, 0.05], [0.8, 0.15, 0.05], [0.5, 0.3, 0.2]])
    assert rules.decide(p).tolist() == [
        [True, False, False],
        [False, True, False],
        [True, False, False],
        [False, False, True],
    ]


def test_of_two_classes_the_second_is_called_from_its_threshold_on() -> None:
    rules = DecisionRules("multiclass", ("well", "ill"), thresholds=chosen(well=0.7, ill=0.3))
    p = np.array([0.0, 0.29, 0.3, np.nextafter(0.3, 0), 1.0])
    assert rules.decide(np.stack([1 - p, p], 1))[:, 1].tolist() == [False, False, True, False, True]
    assert rules.decide(np.stack([1 - p, p], 1))[:, 0].tolist() == [True, True, False, True, False]


def test_two_classes_at_the_ends_of_the_scale() -> None:
    """All or none called: the ratio of p and t would not say so."""
    p = np.array([[1.0, 0.0], [0.4, 0.6], [0.0, 1.0]])
    everyone = DecisionRules("multiclass", ("a", "b"), thresholds=chosen(a=1.0, b=0.0))
    assert everyone.decide(p)[:, 1].all()
    nobody = DecisionRules("multiclass", ("a", "b"), thresholds=chosen(a=0.0, b=float(np.nextafter(1, 2))))
    assert nobody.decide(p)[:, 0].all()


def test_labels_are_decided_each() -> None:
    rules = DecisionRules("multilabel", ("a", "b", "c"), thresholds=chosen(a=0.2, b=0.8, c=None))
    assert rules.threshold_array() == pytest.approx([0.2, 0.8, 0.5])
    found = rules.decide(np.array([[0.2, 0.79, 0.5], [0.1, 0.9, 0.4]]))
    assert found.tolist() == [[True, False, True], [False, True, False]]


def test_classes_without_a_threshold_are_decided_as_without_thresholds() -> None:
    equal = DecisionRules("multiclass", ("a", "b", "c"), thresholds=chosen(a=0.2, b=0.2, c=None))
    p = softmax(np.random.default_rng(0).normal(size=(200, 3)), axis=1)
    assert np.array_equal(equal.decide(p), DecisionRules("multiclass", ("a", "b", "c")).decide(p))
    mixed = DecisionRules("multiclass", ("a", "b", "c"), thresholds=chosen(a=0.1, b=0.4, c=None))
    assert mixed.threshold_array() == pytest.approx([0.1, 0.4, 0.2])


@pytest.mark.parametrize("limits", [None, {"a": None, "b": None}])
def test_without_thresholds_the_largest_probability_decides(limits: Any) -> None:
    thresholds = None if limits is None else chosen(**limits)
    rules = DecisionRules("multiclass", ("a", "b"), thresholds=thresholds)
    assert rules.threshold_array() is None
    assert rules.decide(np.array([[0.6, 0.4], [0.5, 0.5], [0.4, 0.6]])).tolist() == [
        [True, False],
        [True, False],
        [False, True],
    ]
    labels = DecisionRules("multilabel", ("a", "b"), thresholds=thresholds)
    assert labels.decide(np.array([[0.5, 0.49]])).tolist() == [[True, False]]


def test_columns_say_what_was_decided() -> None:
    rules = whole()
    part, rng = validation(30), np.random.default_rng(2)
    energy, features = rng.normal(size=30), rng.normal(size=(30, 8))
    energy[4] = 99
    found = rules.columns(part, energy, features)
    assert list(found) == [
        "medplug:decision", *(f"medplug:calibrated:c{c}" for c in range(3)), "medplug:conformal",
        "medplug:unlike_training", "medplug:energy", "medplug:neighbours",
    ]  # fmt: skip
    assert all(len(column) == 30 and all(isinstance(text, str) for text in column) for column in found.values())
    assert found["medplug:decision"] == [f"c{c}" for c in rules.decide(part.probabilities).argmax(1)]
    calibrated = np.array([[float(v) for v in found[f"medplug:calibrated:c{c}"]] for c in range(3)]).T
    assert np.array_equal(calibrated, rules.calibration.apply(part.probabilities))
    sets = rules.conformal.sets(part.probabilities)
    assert [text.split("+") if text else [] for text in found["medplug:conformal"]] == [
        [f"c{c}" for c in np.flatnonzero(row)] for row in sets
    ]
    assert found["medplug:unlike_training"][4] == "yes"
    assert "no" in found["medplug:unlike_training"]
    assert found["medplug:energy"][4] == "99"


def test_columns_of_what_was_not_decided_are_left_out() -> None:
    part = validation(30)
    assert list(DecisionRules(part.task, part.classes).columns(part)) == ["medplug:decision"]
    assert "medplug:energy" not in whole().columns(part)
    few = validation(5)
    rules = DecisionRules(
        few.task, few.classes, fit_calibration(few), choose_thresholds(few), fit_conformal(few),
        fit_novelty(np.ones((9, 2)), np.ones((5, 2)), np.ones(5)),
    )  # fmt: skip
    assert list(rules.columns(part, np.ones(30), np.ones((30, 2)))) == ["medplug:decision"]


def test_columns_of_labels_join_several_or_none() -> None:
    rules = DecisionRules(
        "multilabel",
        ("a", "b"),
        conformal=ConformalFit(0.9, "multilabel", ("a", "b"), "class-conditional", (0.7, None)),
    )
    part = Predictions(("x", "y"), np.array([[0.8, 0.6], [0.1, 0.2]]), None, ("a", "b"), "multilabel")
    assert rules.columns(part) == {"medplug:decision": ["a+b", ""], "medplug:conformal": ["a+b", "b"]}


@pytest.mark.parametrize(("task", "k"), [("multiclass", 2), ("multiclass", 3), ("multilabel", 3)])
def test_the_file_keeps_every_bit(task: Any, k: int) -> None:
    rules = whole(task, k)
    text = json.dumps(rules.to_json(), allow_nan=False)
    again = DecisionRules.from_json(json.loads(text), rules.novelty.reference)
    assert json.dumps(again.to_json()) == text
    part, rng = validation(40, k, task), np.random.default_rng(3)
    more = rng.normal(size=40), rng.normal(size=(40, 8))
    assert again.columns(part, *more) == rules.columns(part, *more)
    bare = DecisionRules(task, rules.classes)
    assert DecisionRules.from_json(json.loads(json.dumps(bare.to_json()))).to_json() == bare.to_json()


def spoilt(change: Any) -> dict[str, Any]:
    values = json.loads(json.dumps(whole().to_json()))
    change(values)
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format=2), "another version of medplug"),
        (lambda v: v.pop("format"), "another version of medplug"),
        (lambda v: v.pop("calibration"), "damaged"),
        (lambda v: v.update(calibration=[1]), "damaged"),
        (lambda v: v.update(novelty=[1]), "damaged"),
        (lambda v: v.update(thresholds={"x": 1}), "damaged"),
        (lambda v: v["thresholds"]["per_class"]["c0"].update(value="high"), "damaged"),
        (lambda v: v["thresholds"]["per_class"]["c0"].update(value=7.0), "between 0 and 1"),
        (lambda v: v["calibration"]["parameters"].clear(), "damaged"),
        (lambda v: v["conformal"]["quantiles"].pop("c1"), "damaged"),
        (lambda v: v.update(classes=["c0", "c1"]), "other classes"),
        (lambda v: v.update(task="regression"), "no such task"),
        (lambda v: v["novelty"].update(reference=3), "should hold 3 images"),
    ],
)
def test_damaged_and_foreign_files_are_refused(change: Any, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        DecisionRules.from_json(spoilt(change), whole().novelty.reference, "run/decision.json")
    assert "run/decision.json" in str(caught.value)
    assert "medplug evaluate" in str(caught.value)


def test_files_that_are_no_table_or_lack_the_reference_are_refused() -> None:
    with pytest.raises(RunError, match="no table of values"):
        DecisionRules.from_json([1, 2])
    with pytest.raises(RunError, match="features of training images"):
        DecisionRules.from_json(whole().to_json(), None)


def test_other_numbers_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        whole().decide(np.ones((2, 2)))


APPLY = """
import json, sys
import numpy as np
from medplug.evaluation.decision import DecisionRules
from medplug.values import Predictions
rules = DecisionRules.from_json(json.loads(sys.argv[1]), np.array(json.loads(sys.argv[2]), np.float32))
p = np.full((4, 3), 1 / 3)
columns = rules.columns(Predictions(tuple("wxyz"), p, None, rules.classes, rules.task), np.zeros(4), np.ones((4, 8)))
assert len(columns) == 8, columns
"""


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize(("more", "loaded"), [("", False), ("import sklearn\n", True)])
def test_rules_are_applied_without_scikit_learn(method: Any, more: str, loaded: bool) -> None:
    """The second case shows that the check can fail."""
    rules = whole()
    values = {**rules.to_json(), "calibration": fit_calibration(validation(400), method).to_json()}
    assert CalibrationFit.from_json(values["calibration"]).method == method
    code = APPLY + more + "print(bool({'sklearn', 'jax', 'scipy.optimize'} & set(sys.modules)))"
    arguments = [json.dumps(values), json.dumps(rules.novelty.reference.tolist())]
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(loaded)
