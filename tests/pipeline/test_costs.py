"""Costs of mistakes in a run: refused before training, used by predict, told beside the most probable class."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from medplug import api, load_run
from medplug.errors import UsageError
from medplug.evaluation.sheets import LabelTable
from medplug.evaluation.tables import PredictionTable
from medplug.runs import folder as names

COSTS = ["class0 -> class1 = 10", "class2 -> * = 3"]


@pytest.fixture
def run(pipeline, tmp_path):
    return pipeline(settings={"reader.samples": 120, "evaluation.costs": COSTS}).fit("memory", out=tmp_path / "run")


def read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def test_wrong_costs_end_a_run_before_its_training(pipeline, tmp_path):
    for wrong, message in (("class0 -> class9 = 2", "no class 'class9'"), ("class0 -> class0 = 2", "a right decision")):
        with pytest.raises(UsageError, match=message):
            pipeline(settings={"evaluation.costs": wrong}).fit("memory", out=tmp_path / "never")
        assert not (tmp_path / "never").exists()


def test_costs_decide_and_the_headline_figures_stay(run, pipeline, tmp_path, rng):
    plain = pipeline(settings={"reader.samples": 120}).fit("memory", out=tmp_path / "plain")
    with_costs, without = read(run.folder, names.METRICS)["test"], read(plain.folder, names.METRICS)["test"]
    assert {key: with_costs[key] for key in without} == without
    assert set(with_costs) - set(without) == {"costs"}
    assert "costs" not in read(plain.folder, names.ANALYSIS)
    matrix = [[0, 10, 1], [1, 0, 1], [3, 3, 0]]
    stored = read(run.folder, names.DECISION)["costs"]
    assert [list(row.values()) for row in stored.values()] == matrix
    found = run.predict([rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(6)])
    calibrated = run.decision.calibration.apply(found.probabilities)
    expected = [run.classes[d] for d in (calibrated @ np.array(matrix)).argmin(1)]
    assert found.columns["medplug:decision"] == expected


def test_the_test_part_tells_what_decisions_cost(run):
    told = read(run.folder, names.ANALYSIS)["costs"]
    test = run.predictions("test")
    costs = np.array([list(row.values()) for row in told["matrix"].values()])
    truth = test.targets.argmax(1)
    value = costs[truth, test.probabilities.argmax(1)].mean()
    assert told["test"]["most_probable"]["value"] == pytest.approx(value)
    decided = np.array(told["test"]["confusion"])
    assert decided.sum() == len(truth)
    assert told["test"]["least_cost"]["value"] == pytest.approx((decided * costs).sum() / len(truth))
    page, card = (run.folder / names.REPORT).read_text("utf-8"), (run.folder / names.CARD).read_text("utf-8")
    block = page[page.index("<h3>Decisions by costs") : page.index("<h3>Threshold explorer")]
    assert [float(c) for c in re.findall(r"<b>([\d.]+)</b></div></td>", block)][:9] == costs.ravel().tolist()
    assert "predict decides by costs" in page
    assert "class0 decided as class1 10" in card
    with (run.folder / names.TABLES / "cost_matrix.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["truth"], r["decided"], float(r["cost"]), int(r["n"])) for r in rows] == [
        (t, d, costs[i, j], decided[i, j]) for i, t in enumerate(run.classes) for j, d in enumerate(run.classes)
    ]


def test_costs_can_change_after_training_and_hold_for_other_data(run, tmp_path):
    run.evaluate(settings={"evaluation.costs": "class1 -> class0 = 5"})
    again = load_run(run.folder, plugins=run._registry)
    assert again.decision.costs[1].tolist() == [5, 0, 1]
    again.evaluate("memory", out=tmp_path / "other", settings={"reader.samples": 120, "reader.use": "memory"})
    assert read(tmp_path / "other", names.ANALYSIS)["costs"]["matrix"]["class1"]["class0"] == 5
    with pytest.raises(UsageError, match=r"evaluation\.costs is decided on by the run itself.*medplug evaluate"):
        again.evaluate("memory", out=tmp_path / "no", settings={"evaluation.costs": "class1 -> class0 = 7"})
    assert not (tmp_path / "no").exists()
    run.evaluate(settings={"evaluation.costs": ""})
    assert read(run.folder, names.DECISION)["costs"] is None
    assert "costs" not in read(run.folder, names.ANALYSIS)
    assert not (run.folder / names.TABLES / "costs.csv").exists()
    with pytest.raises(UsageError, match="no class 'x'"):
        run.evaluate(settings={"evaluation.costs": "x -> class0 = 5"})


def test_bare_predictions_take_costs_at_their_word(fakes, tmp_path, rng):
    p = rng.dirichlet(np.ones(3), 90)
    truth = np.arange(90) % 3
    tables = (
        PredictionTable(tuple(map(str, range(90))), ("a", "b", "c"), p),
        LabelTable(tuple(map(str, range(90))), {"label": ["abc"[c] for c in truth]}),
    )
    how = {"plugins": fakes, "recipe": "fake"}
    settings = {"evaluation.resamples": 50, "evaluation.costs": ["a -> b = 4"]}
    figures = api.evaluate_predictions(*tables, out=tmp_path / "out", settings=settings, **how)
    found = read(tmp_path / "out", names.ANALYSIS)["costs"]
    assert found["probabilities"] == "uncalibrated"
    costs = np.array([[0, 4, 1], [1, 0, 1], [1, 1, 0]])
    decided = (p @ costs).argmin(1)
    assert found["test"]["least_cost"]["value"] == pytest.approx(costs[truth, decided].mean())
    assert figures["test"]["costs"]["macro"]["simple_accuracy"]["value"] == pytest.approx((decided == truth).mean())
    assert "none were calibrated" in (tmp_path / "out" / names.REPORT).read_text("utf-8")
    with pytest.raises(UsageError, match="no class 'd'"):
        api.evaluate_predictions(*tables, out=tmp_path / "no", settings={"evaluation.costs": ["a -> d = 4"]}, **how)
