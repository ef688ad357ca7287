from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from medplug.errors import ContractError, DataError, UsageError
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import score
from medplug.values import Predictions

QUICK = IntervalSettings(resamples=100)


def test_values_agree_with_scikit_learn(make: Any, metrics: Any) -> None:
    predictions = make()
    result = score(predictions, metrics)
    labels = predictions.targets.argmax(1)
    assert result["n"] == 120
    assert result["macro"]["hits"] == {
        "value": pytest.approx(accuracy_score(labels, predictions.probabilities.argmax(1)))
    }
    aucs = [roc_auc_score(labels == c, predictions.probabilities[:, c]) for c in range(3)]
    recalls = recall_score(labels, predictions.probabilities.argmax(1), average=None)
    for c, name in enumerate(predictions.classes):
        entry = result["per_class"][name]
        assert entry["n"] == (labels == c).sum()
        assert entry["ranking"]["value"] == pytest.approx(aucs[c])
        assert entry["recall"]["value"] == pytest.approx(recalls[c])
        assert "hits" not in entry
    assert result["macro"]["ranking"] == {"value": pytest.approx(np.mean(aucs)), "excluded": []}


def test_shape_of_a_figure_and_json(make: Any, metrics: Any) -> None:
    result = score(make(groups=40), metrics, intervals=QUICK)
    figure = result["macro"]["ranking"]
    assert list(figure) == ["value", "low", "high", "method", "excluded"]
    assert figure["method"] == "95 % BCa bootstrap over 40 groups, 100 resamples"
    json.dumps(result, allow_nan=False)


def test_intervals_contain_the_value_and_shrink_with_more_samples(make: Any, metrics: Any) -> None:
    widths = []
    for n in (60, 960):
        result = score(make(n), metrics, intervals=QUICK)
        figures = [
            *result["macro"].values(),
            *(f for e in result["per_class"].values() for f in e.values() if f != e["n"]),
        ]
        assert all(f["low"] < f["value"] < f["high"] for f in figures)
        widths.append(result["macro"]["ranking"]["high"] - result["macro"]["ranking"]["low"])
    assert 0.15 < widths[1] / widths[0] < 0.45  # a quarter, in theory


def test_interval_agrees_with_the_normal_approximation(make: Any, metrics: Any) -> None:
    figure = score(make(400), metrics, intervals=IntervalSettings())["macro"]["hits"]
    half = 1.96 * np.sqrt(figure["value"] * (1 - figure["value"]) / 400)
    assert figure["low"] == pytest.approx(figure["value"] - half, abs=0.008)
    assert figure["high"] == pytest.approx(figure["value"] + half, abs=0.008)


def test_copies_of_a_sample_in_one_group_do_not_narrow_the_interval(make: Any, metrics: Any) -> None:
    alone = make(60)
    rows = np.repeat(np.arange(60), 5)
    copied = Predictions(
        samples=tuple(f"{i}" for i in range(300)),
        probabilities=alone.probabilities[rows],
        targets=alone.targets[rows],
        classes=alone.classes,
        task="multiclass",
        groups=rows.astype(str),
    )
    by_group = score(copied, metrics, intervals=QUICK)["macro"]["hits"]
    assert by_group == {
        **score(alone, metrics, intervals=QUICK)["macro"]["hits"],
        "method": "95 % BCa bootstrap over 60 groups, 100 resamples",
    }
    by_sample = score(dataclasses.replace(copied, groups=None), metrics, intervals=QUICK)["macro"]["hits"]
    assert by_sample["high"] - by_sample["low"] < 0.7 * (by_group["high"] - by_group["low"])


def test_the_seed_decides(make: Any, metrics: Any) -> None:
    first, again, other = (score(make(), metrics, intervals=dataclasses.replace(QUICK, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def absent(make: Any) -> Predictions:
    """Four classes; the third has no test sample, as if all of them had been left out."""
    predictions = make(k=4)
    keep = predictions.targets[:, 2] == 0
    return dataclasses.replace(
        predictions,
        samples=tuple(s for s, k in zip(predictions.samples, keep, strict=True) if k),
        probabilities=predictions.probabilities[keep],
        targets=predictions.targets[keep],
    )


def test_absent_class_is_null_with_a_reason_and_excluded(make: Any, metrics: Any) -> None:
    result = score(absent(make), metrics, intervals=QUICK)
    reason = {"value": None, "reason": "no positive samples in the test split"}
    assert result["per_class"]["class 2"] == {"n": 0, "few": True, "ranking": reason, "recall": reason}
    defined = [result["per_class"][f"class {c}"]["ranking"]["value"] for c in (0, 1, 3)]
    assert result["macro"]["ranking"]["value"] == pytest.approx(np.mean(defined))
    assert result["macro"]["ranking"]["excluded"] == ["class 2"]
    assert result["macro"]["ranking"]["low"] < np.mean(defined) < result["macro"]["ranking"]["high"]
    assert "incomplete_resamples" not in result["macro"]["ranking"]


def test_multilabel_with_unknown_labels(metrics: Any) -> None:
    nan = np.nan
    targets = np.array([[1, 0, nan, 1, 0], [0, 0, nan, 1, 1], [1, 0, nan, 1, nan], [0, 0, nan, 1, 0]], np.float32)
    probabilities = np.array(
        [[0.9, 0.1, 0.5, 0.4, 0.2], [0.2, 0.2, 0.5, 0.6, 0.7], [0.1, 0.3, 0.5, 0.7, 0.9], [0.05, 0.1, 0.2, 0.8, 0.3]]
    )
    predictions = Predictions(("a", "b", "c", "d"), probabilities, targets, tuple("vwxyz"), "multilabel")
    chosen = {"ranking": metrics["ranking"], "recall": metrics["recall"]}
    result = score(predictions, chosen, thresholds=np.full(5, 0.5), split="validation")
    per_class = result["per_class"]
    assert [per_class[c]["n"] for c in "vwxyz"] == [2, 0, 0, 4, 1]
    assert per_class["v"]["ranking"] == {"value": pytest.approx(0.75)}  # 3 of 4 pairs by hand
    assert per_class["v"]["recall"] == {"value": 0.5}
    assert per_class["w"]["ranking"]["reason"] == "no positive samples in the validation split"
    assert per_class["x"]["ranking"]["reason"] == "no known labels in the validation split"
    assert per_class["y"]["ranking"]["reason"] == "no negative samples in the validation split"
    assert per_class["y"]["recall"] == {"value": 0.75}
    assert per_class["z"]["ranking"] == {"value": pytest.approx(1.0)}  # the unknown sample, scored 0.9, does not count
    assert result["macro"]["ranking"]["excluded"] == ["w", "x", "y"]


def test_rare_class_is_left_out_of_resamples_and_counted(make: Any, metrics: Any) -> None:
    predictions = make(200, 2)
    targets = np.zeros((200, 2), np.float32)
    targets[:, 0] = 1
    targets[7] = [0, 1]  # one positive: absent from a share of (1 - 1/200)^200 = 0.367 of the resamples
    result = score(
        dataclasses.replace(predictions, targets=targets), {"recall": metrics["recall"]}, intervals=IntervalSettings()
    )
    missing = result["per_class"]["class 1"]["recall"]["undefined_resamples"]
    assert 310 < missing < 425
    assert result["macro"]["recall"]["incomplete_resamples"] == missing
    assert "undefined_resamples" not in result["macro"]["recall"]
    assert result["per_class"]["class 1"]["recall"]["low"] is not None


def test_mostly_undefined_has_no_interval(make: Any, metrics: Any) -> None:
    class Fragile:
        tasks, higher_is_better, bounds, undefined = ("multiclass",), True, (0.0, 1.0), "it is fragile"

        def __call__(
            self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None
        ) -> float:
            return 0.5 if sample_weight is None else float("nan")

    figure = score(make(), {"fragile": Fragile()}, intervals=QUICK)["macro"]["fragile"]
    assert (figure["value"], figure["low"], figure["high"]) == (0.5, None, None)
    assert figure["interval_reason"] == "undefined in 100 of 100 resamples"
    assert figure["undefined_resamples"] == 100


def test_one_group_has_no_interval(make: Any, metrics: Any) -> None:
    figure = score(make(groups=1), metrics, intervals=QUICK)["macro"]["ranking"]
    assert figure["value"] is not None
    assert figure["low"] is None
    assert figure["high"] is None
    assert figure["interval_reason"] == "an interval needs at least two groups, there is 1"


def test_undefined_scalar_takes_the_metrics_sentence(make: Any) -> None:
    class Never:
        tasks, higher_is_better, bounds, undefined = ("multiclass",), True, (0.0, 1.0), "never defined"

        def __call__(self, *_: Any, **__: Any) -> float:
            return float("inf")

    assert score(make(), {"never": Never()}, intervals=QUICK)["macro"]["never"] == {
        "value": None,
        "reason": "never defined",
    }


def test_misuse_is_told(make: Any, metrics: Any) -> None:
    predictions = make(4)
    with pytest.raises(DataError, match="test split has no labels"):
        score(dataclasses.replace(predictions, targets=None), metrics)
    empty = dataclasses.replace(
        predictions, samples=(), probabilities=np.zeros((0, 3)), targets=np.zeros((0, 3), np.float32)
    )
    with pytest.raises(DataError, match="validation split is empty"):
        score(empty, metrics, split="validation")
    with pytest.raises(UsageError, match="'hits' is for multiclass tasks"):
        score(dataclasses.replace(predictions, task="multilabel"), metrics)
    with pytest.raises(UsageError, match="cannot be called 'n'"):
        score(predictions, {"n": metrics["hits"]})

    class Wide:
        tasks, higher_is_better, bounds, undefined = ("multiclass",), True, (0.0, 1.0), ""

        def __call__(self, *_: Any) -> np.ndarray:
            return np.zeros(7)

    with pytest.raises(ContractError, match=r"'wide' must return a float or \[3\] values, got shape \[7\]"):
        score(predictions, {"wide": Wide()})


def test_an_exception_names_the_metric(make: Any) -> None:
    class Broken:
        tasks, higher_is_better, bounds, undefined = ("multiclass",), True, (0.0, 1.0), ""

        def __call__(self, *_: Any) -> float:
            raise ZeroDivisionError("inside")

    with pytest.raises(ZeroDivisionError) as caught:
        score(make(), {"broken": Broken()})
    assert caught.value.__notes__ == ["while computing metric 'broken'"]
