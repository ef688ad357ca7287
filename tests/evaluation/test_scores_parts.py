"""Averages, companions and broken contracts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from interval_cases import Area, Mean, Right, drawn, predictions

from medplug.errors import ContractError
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import score
from medplug.values import Predictions


class Named(Mean):
    """Three classes' values that are known beforehand, with a micro figure and a companion."""

    vectorised = False

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        found = weight @ (targets * (probabilities.argmax(1) == targets.argmax(1))[:, None])
        whole = weight @ targets
        return np.where(whole > 0, found / np.where(whole > 0, whole, 1), np.nan)

    def micro(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> float:
        return Right()(targets, probabilities, sample_weight)

    def companion(self, targets: Any, probabilities: Any, thresholds: Any = None) -> dict[str, Any]:
        return {"half": np.array([0.5, np.nan, 0.25]), "sure": np.array([0.2, 0.4, 0.9]), "p": np.full(3, 0.5)}


def three() -> Predictions:
    labels = np.array([0] * 8 + [1] * 2 + [2] * 2)
    answers = np.array([0] * 6 + [1] * 2 + [1, 2] + [2, 2])
    p = np.full((12, 3), 0.1)
    p[np.arange(12), answers] = 0.8
    return Predictions(tuple("abcdefghijkl"), p, np.eye(3, dtype=np.float32)[labels], ("x", "y", "z"), "multiclass")


def test_macro_weighted_and_micro_by_hand() -> None:
    found = score(three(), {"m": Named()}, intervals=IntervalSettings(60))
    assert found["macro"]["m"]["value"] == pytest.approx((6 / 8 + 1 / 2 + 1) / 3)
    assert found["weighted"]["m"]["value"] == pytest.approx((6 + 1 + 2) / 12)
    assert found["micro"]["m"]["value"] == pytest.approx(9 / 12)
    assert found["per_class"]["x"]["m"]["companion"] == {"half": 0.5, "sure": 0.2, "p": 0.5}
    assert found["per_class"]["y"]["m"]["companion"] == {"half": None, "sure": 0.4, "p": 0.5}
    assert found["macro"]["m"]["companion"] == {"half": None, "sure": pytest.approx(0.5)}  # p values have no mean
    assert found["weighted"]["m"]["companion"] == {
        "half": None,
        "sure": pytest.approx((8 * 0.2 + 2 * 0.4 + 2 * 0.9) / 12),
    }
    assert [found["per_class"][c].get("few") for c in "xyz"] == [True, True, True]
    json.dumps(found, allow_nan=False)


def test_ten_positives_are_not_few() -> None:
    truth = np.repeat([True, False], [9, 10])
    found = score(predictions(np.zeros(19), truth), {"m": Right()})["per_class"]
    assert found == {"no": {"n": 10}, "yes": {"n": 9, "few": True}}


def test_a_perfect_macro_is_bounded_by_its_rarest_class() -> None:
    labels = np.repeat([0, 1, 2], [3, 8, 20])
    targets = np.eye(3, dtype=np.float32)[labels]
    found = Predictions(tuple(map(str, range(31))), 0.1 + 0.7 * targets, targets, ("x", "y", "z"), "multiclass")
    figure = score(found, {"m": Area()}, intervals=IntervalSettings())["macro"]["m"]
    assert (figure["value"], figure["high"], figure["one_sided"]) == (1.0, 1.0, True)
    assert figure["low"] == pytest.approx(0.05 ** (1 / 3))


def test_metrics_without_a_meaningful_mean_have_none() -> None:
    class Alone(Named):
        average = False

    found = score(three(), {"m": Alone()}, intervals=IntervalSettings(60))
    assert found["macro"] == found["weighted"] == found["micro"] == {}
    assert found["per_class"]["z"]["m"]["value"] == 1.0


@pytest.mark.parametrize("kind", ["logit", "wilson", "guess"])
def test_an_interval_that_nothing_is_there_for_is_refused(kind: str) -> None:
    class Broken(Mean):
        interval = kind

    scores, truth = drawn()
    with pytest.raises(ContractError, match=kind if kind == "guess" else "needs a method"):
        score(predictions(scores, truth), {"broken": Broken()}, intervals=IntervalSettings())
