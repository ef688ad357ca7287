"""Evaluating finished runs: again, on other data, against each other, and what predict tells beside probabilities."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from medplug import api, load_run
from medplug.errors import DataError, RunError, UsageError
from medplug.evaluation.foreign import match, read_labels, read_predictions
from medplug.evaluation.sheets import LabelTable
from medplug.evaluation.tables import PredictionTable
from medplug.plugins import Component, component, param
from medplug.runs import folder as names
from medplug.runs.evaluating import of_decisions
from medplug.testing.fakes import Memory


@pytest.fixture
def run(pipeline, tmp_path):
    """A finished run on 120 images, with 24 for validation and as many for the test."""
    return pipeline(settings={"reader.samples": 120}).fit("memory", out=tmp_path / "run")


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_everything_is_decided_on_validation_and_written_down(run):
    found = json.loads((run.folder / names.DECISION).read_text())
    assert found["thresholds"]["fitted_on"]["n"] == len(rows(run.folder / names.PREDICTIONS["validation"]))
    analysis = json.loads((run.folder / names.ANALYSIS).read_text())
    assert {
        "curves",
        "operating",
        "calibration",
        "thresholds",
        "clinical",
        "conformal",
        "novelty",
        "mistakes",
        "confusion",
    } <= set(analysis)
    figures = run.metrics["test"]
    assert figures["independence"]["level"] in ("image", "group (given)")
    assert set(figures["thresholds"]["macro"]) < set(figures["macro"]) or figures["thresholds"]["macro"]
    assert "simple_auc" not in figures["thresholds"]["macro"]  # it sees more than decisions
    head = (run.folder / names.TABLES / "metrics.csv").read_text().splitlines()[0]
    assert head.replace('"', "").startswith("part,level,average,class,metric,value,low,high,method")


def test_evaluating_again_changes_nothing_but_what_is_asked(run):
    before = {p.name: p.read_text() for p in run.folder.glob("*.json")}
    assert run.evaluate() == json.loads(before["metrics.json"])
    assert (run.folder / "decision.json").read_text() == before["decision.json"]
    assert json.loads((run.folder / "analysis.json").read_text()) == json.loads(before["analysis.json"])
    run.evaluate(settings={"evaluation.thresholds": "sensitivity", "evaluation.target": 0.95})
    changed = json.loads((run.folder / "decision.json").read_text())
    assert changed["thresholds"]["rule"] == {"name": "sensitivity", "parameters": {"target": 0.95}}
    figures = json.loads((run.folder / "metrics.json").read_text())
    assert figures["test"]["macro"] == json.loads(before["metrics.json"])["test"]["macro"]


def test_the_report_is_written_again_from_files_alone(run):
    page = (run.folder / names.REPORT).read_text()
    (run.folder / names.REPORT).unlink()
    assert load_run(run.folder, plugins=run._registry).write_report() == run.folder / names.REPORT
    assert (run.folder / names.REPORT).read_text() == page


def test_predict_tells_the_decision_and_flags_noise(run, rng):
    images = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(5)]
    found = run.predict(images)
    assert set(found.columns) >= {"medplug:decision"}
    assert all(len(column) == 5 for column in found.columns.values())
    assert set(found.columns["medplug:decision"]) <= set(run.classes)
    expected = run.decision.decide(found.probabilities)
    assert found.columns["medplug:decision"] == [run.classes[i] for i in expected.argmax(1)]


def test_predict_in_parts_equals_predict_at_once(run, rng):
    images = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(7)]
    whole, parts = run.predict(images, batch_size=32), run.predict(images, batch_size=2)
    np.testing.assert_allclose(whole.probabilities, parts.probabilities, atol=1e-6)
    assert whole.samples == parts.samples


def test_images_of_a_patient_become_one_prediction(run, rng):
    images = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(4)]
    found = run.predict(images, groups={"0": "a", "1": "a", "2": "b", "3": "b"})
    together = run.by_group(found)
    assert together.samples == ("a", "b")
    np.testing.assert_allclose(together.probabilities[0], found.probabilities[:2].mean(0))
    assert "medplug:decision" in together.columns
    with pytest.raises(DataError, match="3 of 4 images have no group, such as 1"):
        run.predict(images, groups={"0": "a"})


def test_other_data_get_a_folder_of_their_own(run, tmp_path):
    figures = run.evaluate("memory", out=tmp_path / "other", settings={"reader.samples": 120, "reader.use": "memory"})
    assert run.evaluated_into == tmp_path / "other"
    assert figures["test"]["n"] == 120
    assert figures["test"]["independence"]["level"] == "unknown"
    checks = json.loads((tmp_path / "other" / names.CHECKS).read_text())
    [seen] = [f for f in checks["findings"] if f["check"] == "seen_before"]
    assert seen["level"] == "warning"  # the same images were trained on
    table = rows(tmp_path / "other" / names.PREDICTIONS["test"])
    assert len(table) == 120
    assert "medplug:decision" in table[0]
    assert "Training" not in (tmp_path / "other" / names.REPORT).read_text().split("<main>")[0]


@component
class Sheet:
    """Reads the same images as ``memory``, under another name and with other parameters."""

    many: int = param("number of images", default=30)

    def can_read(self, source):
        return 1.0 if source == "sheet" else 0.0

    def index(self, source):
        return Memory(samples=self.many).index("memory")

    def load(self, uri):
        return Memory().load(uri)


def test_other_data_may_need_another_reader(run, tmp_path, fakes):
    """The parameters of the run's reader are not handed to it; those that the user sets are."""
    fakes.add(Component("reader", "sheet", f"{__name__}:Sheet", "Sheets."), "sheets", "1")
    figures = run.evaluate("sheet", out=tmp_path / "one")
    assert figures["test"]["n"] == 30
    figures = run.evaluate("sheet", out=tmp_path / "two", settings={"reader.many": 45, "evaluation.subgroups": "sex"})
    assert figures["test"]["n"] == 45  # and a column that these data do not have is a warning


def test_a_class_that_the_run_does_not_know_is_named(run, tmp_path):
    labels = ["class0", "elsewhere"]
    from medplug.runs.elsewhere import aligned
    from medplug.values import Index

    index = Index(("a", "b"), ("a", "b"), np.eye(2), tuple(labels))
    with pytest.raises(DataError, match=r"'elsewhere' is none of the run's \(class0, class1, class2\)"):
        aligned(index, run.card, "other.csv")
    fewer = aligned(Index(("a", "b"), ("a", "b"), np.eye(2), ("class2", "class0")), run.card, "other.csv")
    np.testing.assert_array_equal(fewer.targets, [[0, 0, 1], [1, 0, 0]])


def test_a_damaged_decision_says_what_to_do(run):
    (run.folder / names.DECISION).write_text('{"format": 1}')
    with pytest.raises(RunError, match="medplug evaluate RUN"):
        _ = load_run(run.folder, plugins=run._registry).decision
    (run.folder / names.DECISION).unlink()
    with pytest.raises(RunError, match="cannot be read"):
        _ = load_run(run.folder, plugins=run._registry).decision


def test_a_run_without_decisions_gets_them_again_as_the_message_says(run, rng):
    before = json.loads((run.folder / names.DECISION).read_text())
    for name in (names.DECISION, names.REFERENCE, names.ANALYSIS):
        (run.folder / name).unlink(missing_ok=True)
    opened = load_run(run.folder, plugins=run._registry)
    with pytest.raises(RunError, match="medplug evaluate"):
        opened.write_report()
    opened.evaluate()
    after = json.loads((run.folder / names.DECISION).read_text())
    novelty = after.pop("novelty")  # which needs the training images
    before.pop("novelty")
    assert after == before
    assert "predict flags no image" in novelty["skipped"]
    assert json.loads((run.folder / names.ANALYSIS).read_text())["novelty"]["skipped"] == novelty["skipped"]
    for _ in range(2):  # and so it stays when the run is evaluated again
        assert f"Nothing is flagged: {novelty['skipped']}" in (run.folder / names.REPORT).read_text()
        assert "flags none as unlike the training images" in (run.folder / names.CARD).read_text()
        load_run(run.folder, plugins=run._registry).evaluate()
    found = opened.predict([rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)])
    assert "medplug:decision" in found.columns
    assert "medplug:unlike_training" not in found.columns


def test_predict_applies_what_was_decided_last(run):
    assert run.decision.thresholds is not None
    run.evaluate(settings={"evaluation.thresholds": "none"})
    assert run.decision.thresholds is None


def test_the_report_tells_the_confidence_that_the_figures_have(run):
    assert "95\u00a0%" in (run.folder / names.REPORT).read_text()
    run.evaluate(settings={"evaluation.confidence": 0.8})
    for _ in range(2):  # the second time it is written from files alone
        page = (run.folder / names.REPORT).read_text()
        assert "80\u00a0%" in page
        assert "95\u00a0%" not in page
        load_run(run.folder, plugins=run._registry).write_report()
    assert json.loads((run.folder / names.MANIFEST).read_text())["evaluated_with"] == {"confidence": 0.8}
    run.evaluate()
    assert "evaluated_with" not in json.loads((run.folder / names.MANIFEST).read_text())
    assert "95\u00a0%" in (run.folder / names.REPORT).read_text()


def test_a_column_of_subgroups_that_is_not_there_is_told_before_anything_changes(run, pipeline, tmp_path):
    before = (run.folder / names.DECISION).read_text()
    with pytest.raises(UsageError, match="no metadata column 'sex'"):
        run.evaluate(settings={"evaluation.subgroups": "sex", "evaluation.thresholds": "none"})
    assert (run.folder / names.DECISION).read_text() == before
    with pytest.raises(UsageError, match="no metadata column 'sex'"):
        pipeline(settings={"evaluation.subgroups": "sex"}).fit("memory", out=tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_class_named_like_our_columns_is_refused_before_training(pipeline, tmp_path, rng):
    images = [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(20)]
    with pytest.raises(DataError, match="cannot be called 'medplug:x'"):
        pipeline().fit(images, ["medplug:x", "y"] * 10, out=tmp_path / "never")


class OwnMetric:
    """The share of right classes, by a class that no registry knows."""

    tasks = ("multiclass",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def __call__(self, targets, probabilities, sample_weight=None, thresholds=None):
        return float(np.average(probabilities.argmax(1) == targets.argmax(1), weights=sample_weight))


def test_instances_of_metrics_outlive_changed_settings(pipeline, fakes, tmp_path):
    run = pipeline(metrics=[OwnMetric()]).fit("memory", out=tmp_path / "run")
    assert set(run.evaluate(settings={"evaluation.thresholds": "none"})["test"]["macro"]) == {"OwnMetric"}
    opened = load_run(run.folder, plugins=fakes)
    assert opened.write_report() == run.folder / names.REPORT
    with pytest.raises(UsageError, match=r"OwnMetric was an instance .* metric\.use"):
        opened.evaluate()
    assert set(opened.evaluate(settings={"metric.use": "simple_auc"})["test"]["macro"]) == {"simple_auc"}


def test_a_faultless_ranking_is_no_decision(fakes):
    """Perfect predictions have the same area as their decisions; the block of thresholds leaves it out all the same."""
    metrics = {name: fakes.make("metric", name) for name in ("simple_auc", "simple_accuracy")}
    for task in ("multiclass", "multilabel"):
        assert set(of_decisions(task, ("a", "b", "c"), metrics)) == {"simple_accuracy"}


def test_two_runs_are_compared_on_the_same_images(pipeline, fakes, tmp_path):
    for seed in (0, 1):
        pipeline(seed=seed, settings={"split.seed": 3}).fit("memory", out=tmp_path / f"seed{seed}")
    found = api.compare_runs(
        [tmp_path / "seed0", tmp_path / "seed1"], out=tmp_path / "both", plugins=fakes, recipe="fake",
        settings={"evaluation.resamples": 50},
    )  # fmt: skip
    assert found["runs"] == ["seed0", "seed1"]
    [pair] = [p for p in found["pairs"] if p["metric"] == "simple_auc"]
    a, b = (found["metrics"]["simple_auc"][r]["value"] for r in found["runs"])
    assert pair["difference"]["value"] == pytest.approx(a - b)
    assert {p.name for p in (tmp_path / "both").iterdir()} == {
        "comparison.json", "comparison.csv", "comparison.pairs.csv", "comparison.html",
    }  # fmt: skip
    page = (tmp_path / "both" / "comparison.html").read_text()
    assert "seed0 − seed1" in page.replace("<bdi>", "").replace("</bdi>", "")
    other = pipeline(seed=2, settings={"split.seed": 4}).fit("memory", out=tmp_path / "other")
    with pytest.raises(DataError, match="seed0"):
        api.compare_runs([tmp_path / "seed0", other.folder], out=tmp_path / "no", plugins=fakes, recipe="fake")
    with pytest.raises(UsageError, match="at least two"):
        api.compare_runs([tmp_path / "seed0"], out=tmp_path / "no", plugins=fakes, recipe="fake")


def test_bare_predictions_get_the_same_files(fakes, tmp_path, rng):
    truth = rng.integers(0, 2, 60)
    p = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99)
    lines = ["sample,sick,well,medplug:decision"]
    lines += [f"{i},{p[i]},{1 - p[i]},sick" for i in range(60)]
    (tmp_path / "preds.csv").write_text("\n".join(lines))
    told = ["sample,label,patient,sex"] + [
        f"{i},{'sick' if truth[i] else 'well'},{i // 2},{'fm'[i % 2]}" for i in range(60)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(told))
    tables = read_predictions(tmp_path / "preds.csv"), read_labels(tmp_path / "labels.csv")
    figures = api.evaluate_predictions(
        *tables, out=tmp_path / "out", groups=["patient"], plugins=fakes, recipe="fake",
        settings={"evaluation.resamples": 50},
    )  # fmt: skip
    from sklearn.metrics import roc_auc_score

    assert figures["test"]["per_class"]["sick"]["simple_auc"]["value"] == pytest.approx(roc_auc_score(truth, p))
    assert figures["test"]["unit"] == "groups"
    analysis = json.loads((tmp_path / "out" / names.ANALYSIS).read_text())
    assert [r["name"] for r in analysis["subgroups"]["sex"]["rows"]] == ["f", "m"]
    assert "thresholds" not in analysis
    assert (tmp_path / "out" / names.REPORT).exists()
    agree = match(*tables, groups=["patient"])[0]
    assert agree.classes == ("sick", "well")


def test_tables_need_no_file(fakes, tmp_path):
    predictions = PredictionTable(
        ("a", "b", "c", "d"), ("x", "y"), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    )
    labels = LabelTable(("a", "b", "c", "d"), {"label": ["x", "y", "y", "y"]})
    figures = api.evaluate_predictions(
        predictions, labels, out=tmp_path / "out", plugins=fakes, recipe="fake", settings={"evaluation.resamples": 50}
    )
    assert figures["test"]["per_class"]["x"]["few"] is True


def test_predicting_imports_no_scikit_learn(run):
    """A process that only predicts does not pay for the statistics of an evaluation."""
    code = (
        "import sys, numpy as np\n"
        "from medplug import load_run\n"
        "from medplug.testing.fakes import fake_registry\n"
        f"run = load_run({str(run.folder)!r}, plugins=fake_registry())\n"
        "found = run.predict([np.zeros((40, 40, 3), np.uint8)])\n"
        "assert found.columns['medplug:decision'], found\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] == 'sklearn')[:3])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_probabilities_with_two_decimals_are_decided_by_the_largest(tmp_path, rng):
    """Eight rounded probabilities sum to 0.96 or 1.04; they are still those of one class a sample."""
    pytest.importorskip("medplug_standard")
    from sklearn.metrics import matthews_corrcoef

    p, names_ = rng.dirichlet(np.ones(8), 200).round(2), tuple("abcdefgh")
    assert np.abs(p.sum(1) - 1).max() > 0.01
    truth = np.arange(200) % 8
    tables = (
        PredictionTable(tuple(map(str, range(200))), names_, p),
        LabelTable(tuple(map(str, range(200))), {"label": [names_[c] for c in truth]}),
    )
    figures = api.evaluate_predictions(
        *tables, out=tmp_path / "out", metrics=["accuracy", "mcc", "log_loss"],
        settings={"evaluation.resamples": 50, "rendering.figures": "svg"},
    )["test"]["macro"]  # fmt: skip
    assert figures["accuracy"]["value"] == pytest.approx((p.argmax(1) == truth).mean())
    assert figures["mcc"]["value"] == pytest.approx(matthews_corrcoef(truth, p.argmax(1)))
    losses = -np.log(np.maximum(p[np.arange(200), truth], np.finfo(float).eps))
    assert figures["log_loss"]["value"] == pytest.approx(losses.mean())
