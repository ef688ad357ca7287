"""The comparison with rivals, on fakes: which rows are made, on which split, and that none is made twice."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.comparing import compare, layout, neighbours, plan, rivals
from benchmarks.comparing.plan import Row
from benchmarks.family import BenchmarkError
from benchmarks.records import read_records

# ---------------------------------------------------------------- the plan


def test_the_plan_is_what_was_asked_for(nothing):
    rows = plan.rows(nothing)
    short = [r for r in rows if (r.minutes, r.size) == (5, 128)]
    pairs = {(r.set, r.seed) for r in short}
    three, one = ("ultrasound", "dermatoscopy", "ct"), ("xray", "mri", "retina")
    assert pairs == {(s, seed) for s in three for seed in (0, 1, 2)} | {(s, 0) for s in one}
    assert len(short) == len(pairs) * 4
    long = [r for r in rows if (r.minutes, r.size) == (20, 192)]
    assert {(r.rival, r.set, r.seed) for r in long} == {
        (rival, "ultrasound", seed) for rival in ("standard", "features") for seed in (0, 1, 2)
    }
    assert len(rows) == len(short) + len(long) == len(set(rows))


def test_options_make_slices(nothing):
    slice_ = dataclasses.replace(nothing, sets=("ct", "mri"), seeds=(0, 1), rivals=("torch",))
    assert [(r.set, r.seed) for r in plan.rows(slice_)] == [("ct", 0), ("mri", 0), ("ct", 1)]
    assert {(r.minutes, r.size) for r in plan.rows(dataclasses.replace(nothing, budget=20))} == {(20, 192)}
    trial = plan.rows(dataclasses.replace(nothing, budget=0.5, size=64, sets=("ultrasound",), seeds=(0,)))
    assert [(r.rival, r.minutes, r.size) for r in trial] == [(rival, 0.5, 64) for rival in plan.RIVALS]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rivals": ("keras",)}, "'keras'"),
        ({"sets": ("endoscopy",)}, "known are ultrasound"),
        ({"sets": ("mri",), "seeds": (2,)}, "seed 0 only"),
    ],
)
def test_a_slice_without_rows_is_an_error(nothing, change, words):
    with pytest.raises(BenchmarkError, match=words):
        plan.rows(dataclasses.replace(nothing, **change))


def test_rivals_of_one_split_stand_together_with_the_standard_first(nothing):
    groups = list(plan.together(plan.rows(nothing)))
    for group in groups:
        assert group[0].rival == "standard"
        assert len({(r.set, r.seed, r.minutes, r.size) for r in group}) == 1
    assert len(groups) == 15


def test_sets_are_those_of_the_small_experiments():
    for name in plan.SETS:
        experiment = plan.experiment_of(name)
        assert experiment.run.architecture == plan.BACKBONE
        assert experiment.data.path.split("/")[0] == name
    with pytest.raises(BenchmarkError, match="no set 'x'"):
        plan.experiment_of("x")


# ---------------------------------------------------------------- the split


@pytest.mark.slow
def test_the_split_is_the_one_of_a_run(truth, toy, fakes, quiet, tmp_path):
    from medplug import Pipeline

    settings = {**toy.run.settings, "training.epochs": 1, "training.frozen_epochs": 0, "evaluation.resamples": 50}
    run = Pipeline(recipe="fake", settings=settings, plugins=fakes, reporter=quiet, seed=3).fit(
        "memory", out=tmp_path / "run"
    )
    assert (run.folder / "split.csv").read_text() == truth.file.read_text()
    assert [len(truth.rows(part)) for part in ("train", "validation", "test")] == [30, 12, 18]
    groups = truth.answers("test")[1]
    assert len(set(groups)) == 9
    predictions = run.predictions("test")
    rows = [truth.row_of[name] for name in predictions.samples]
    np.testing.assert_array_equal(truth.table.targets[rows], predictions.targets)
    found = truth.probabilities(run.folder / "predictions.csv", "test")
    order = [predictions.samples.index(truth.table.samples[r]) for r in truth.rows("test")]
    np.testing.assert_array_equal(found, predictions.probabilities[order])


def test_a_split_is_laid_out_once(truth, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "prepared", lambda *a, **k: pytest.fail("was made again"))
    again = layout.lay_out(toy, "memory", 3, tmp_path / "split")
    assert (again.table.samples, again.split_hash) == (truth.table.samples, truth.split_hash)


def test_predictions_are_put_into_the_order_of_the_split(truth, tmp_path, rng):
    from medplug.evaluation.tables import write_predictions
    from medplug.values import Predictions

    rows = truth.rows("test")
    values = rng.random((len(rows), 3))
    shuffled, columns = rng.permutation(len(rows)), [2, 0, 1]
    names = tuple(truth.table.samples[rows[i]] for i in shuffled)
    classes = tuple(truth.classes[c] for c in columns)
    given = Predictions(names, values[shuffled][:, columns], np.zeros((len(rows), 3)), classes, "multiclass")
    write_predictions(tmp_path / "p.csv", given)
    np.testing.assert_array_equal(truth.probabilities(tmp_path / "p.csv", "test"), values)
    with pytest.raises(BenchmarkError, match="not those of the validation part"):
        truth.probabilities(tmp_path / "p.csv", "validation")


# ---------------------------------------------------------------- the family


@pytest.fixture
def family(monkeypatch, truth, toy, nothing):
    """Rivals that answer at once: the better one sharpens the truth more."""
    made, caches = [], []

    def answer(job):
        made.append(job.row)
        caches.append([Path(os.environ[name]) for name in ("MEDPLUG_CACHE", "JAX_COMPILATION_CACHE_DIR")])
        assert [list(folder.glob("*")) for folder in caches[-1]] == [[], []]
        skill = {"standard": 1.0, "paper": 0.2, "features": 0.6, "torch": 0.8}[job.row.rival]
        noise = np.random.default_rng(job.row.seed)
        parts = []
        for part in ("validation", "test"):
            logits = skill * truth.answers(part)[0] + noise.normal(0, 0.5, truth.answers(part)[0].shape)
            parts.append(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
        rivals.write_parts(job, *parts)
        return {"epochs": 3, "training_minutes": 4.9, "model": "m"}

    monkeypatch.setattr(rivals, "run_rival", answer)
    monkeypatch.setattr(rivals.Job, "prepared", lambda self: None)
    monkeypatch.setattr(layout, "lay_out", lambda *a, **k: truth)
    monkeypatch.setattr(compare, "experiment_of", lambda name: SimpleNamespace(find=lambda root: Path("memory")))
    return SimpleNamespace(
        made=made, caches=caches, options=dataclasses.replace(nothing, budget=5, sets=("ct",), seeds=(0,))
    )


def test_finished_rows_are_not_repeated(family):
    compare.run("compare", dataclasses.replace(family.options, rivals=("standard", "torch")))
    compare.run("compare", family.options)
    assert [r.rival for r in family.made] == ["standard", "torch", "paper", "features"]
    records = {r["rival"]: r for r in read_records(family.options.out)}
    assert "difference" not in records["standard"]
    for rival in ("paper", "features", "torch"):
        value = records["standard"]["test_auc"] - records[rival]["test_auc"]
        assert records[rival]["difference"]["value"] == pytest.approx(value)
    row = records["torch"]
    assert (row["set"], row["seed"], row["minutes"], row["size"]) == ("ct", 0, 5, 128)
    assert row["images"] == {"train": 30, "validation": 12, "test": 18}
    assert {"commit", "cpus", "date"} <= set(row["machine"])
    assert row["seconds"] >= 0


def test_every_row_starts_as_on_a_new_machine(family, monkeypatch):
    monkeypatch.setenv("MEDPLUG_CACHE", "mine")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    compare.run("compare", family.options)
    assert len({cache for cache, _ in family.caches}) == 4
    assert not any(folder.exists() for caches in family.caches for folder in caches)
    assert os.environ["MEDPLUG_CACHE"] == "mine"
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_again_repeats_the_slice_and_renews_differences(family):
    compare.run("compare", family.options)
    before = {r["rival"]: r for r in read_records(family.options.out)}
    path = Row("standard", "ct", 0, 5, 128).place(family.options.out) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "test_auc": 0.123}))
    compare.run("compare", dataclasses.replace(family.options, again=True, rivals=("standard", "paper")))
    assert [r.rival for r in family.made[4:]] == ["standard", "paper"]
    after = {r["rival"]: r for r in read_records(family.options.out)}
    assert after["paper"]["difference"] == before["paper"]["difference"]


def test_rows_that_are_kept_with_the_code_count_as_finished(family):
    compare.run("compare", family.options)
    family.options.results.write_text(json.dumps(read_records(family.options.out)))
    shutil.rmtree(family.options.out)
    compare.run("compare", family.options)
    assert len(family.made) == 4
    kept = [r for r in json.loads(family.options.results.read_text()) if r["rival"] != "torch"]
    family.options.results.write_text(json.dumps(kept))
    compare.run("compare", family.options)  # PyTorch is measured against predictions, which are gone
    assert [r.rival for r in family.made[4:]] == ["standard", "torch"]


def test_other_splits_are_not_compared(family):
    compare.run("compare", dataclasses.replace(family.options, rivals=("standard", "torch")))
    path = Row("torch", "ct", 0, 5, 128).place(family.options.out) / "result.json"
    record = json.loads(path.read_text())
    del record["difference"]
    path.write_text(json.dumps({**record, "split_hash": "other"}))
    with pytest.raises(BenchmarkError, match="have other splits"):
        compare.run("compare", family.options)


def test_the_list_tells_what_is_finished(family, nothing):
    assert "5 minutes at 128 px: 0 of 48 rows are finished" in compare.describe("compare", nothing)
    compare.run("compare", family.options)
    words = compare.describe("compare", family.options)
    assert "5 minutes at 128 px: 4 of 48 rows are finished" in words
    assert "20 minutes at 192 px: 0 of 6" in words


def test_neighbours_are_what_others_took(monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    monkeypatch.setattr(neighbours, "_STAT", stat)
    monkeypatch.setattr(neighbours.os, "sysconf", lambda name: 100)
    usage = iter([(1.0, 2.0), (5.0, 0.0), (11.0, 2.0), (65.0, 10.0)])  # own and children's: before 8 s, after 88 s
    each = (SimpleNamespace(ru_utime=user, ru_stime=system) for user, system in usage)
    monkeypatch.setattr(neighbours.resource, "getrusage", lambda who: next(each))
    stat.write_text("cpu  1000 0 1000 5000 500 0 0 0 300 0\ncpu0 1\n")
    found = neighbours.Neighbours()
    stat.write_text("cpu  9000 0 3000 14500 1000 0 0 500 900 0\ncpu0 1\n")  # busy: 80 + 20 + 5 s of 205
    assert found.share() == pytest.approx((105 - 80) / 205)
    stat.unlink()
    assert neighbours.Neighbours().share() is None
