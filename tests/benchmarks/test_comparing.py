"""The comparison with rivals, on fakes: which rows are made, what they are given, and what is computed of them."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import cli
from benchmarks.comparing import compare, layout, neighbours, pairing, plan, rivals, tables
from benchmarks.comparing.plan import Row
from benchmarks.experiments import RunPlan
from benchmarks.family import BenchmarkError, Options
from benchmarks.floors import macro_auc, paired_interval
from benchmarks.records import read_records

ROW = Row("standard", "ultrasound", 0, 5, 128)
SETTINGS = {
    "reader.use": "memory", "reader.samples": 60, "reader.group_size": 2, "architecture.weights": "fixed",
    "split.train": 0.5, "split.validation": 0.2, "split.test": 0.3,
}  # fmt: skip


@pytest.fixture
def toy(experiment):
    """The fakes' images as an experiment."""
    return dataclasses.replace(
        experiment, run=RunPlan(seeds=(0,), architecture="tiny_net", size=16, settings=SETTINGS)
    )  # fmt: skip


@pytest.fixture
def truth(toy, fakes, tmp_path):
    return layout.lay_out(toy, "memory", 3, tmp_path / "split", fakes, "fake")


@pytest.fixture
def job(toy, truth, fakes, tmp_path):
    place = tmp_path / "row"
    place.mkdir()
    return rivals.Job(ROW, toy, "memory", truth, place, tmp_path / "peers", fakes, "fake")


@pytest.fixture
def nothing(tmp_path):
    """Options without data; nothing was run before."""
    return Options(None, tmp_path / "out", results=tmp_path / "RESULTS.json")


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

    settings = {**SETTINGS, "training.epochs": 1, "training.frozen_epochs": 0, "evaluation.resamples": 50}
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


# ---------------------------------------------------------------- rivals


@pytest.fixture
def process(monkeypatch):
    """Commands instead of processes; ``act`` says what they do, ``code`` how they end."""
    calls = SimpleNamespace(words=[], act=lambda words: None, code=0, says="")

    def run(words, *, stdout, **options):
        calls.words.append(words)
        calls.act(words)
        stdout.write(calls.says)
        return subprocess.CompletedProcess(words, calls.code)

    monkeypatch.setattr(rivals, "subprocess", SimpleNamespace(run=run, STDOUT=None))
    return calls


def option(words, name):
    return words[words.index(name) + 1]


def settings_in(words):
    return dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")


def leave_a_run(words):
    folder = Path(option(words, "--out"))
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"training_ended_after_seconds": 90}')
    (folder / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    shutil.copyfile(option(words, "--split"), folder / "split.csv")
    for name in ("predictions.csv", "predictions.validation.csv"):
        (folder / name).write_text(name)


@pytest.mark.parametrize("rival", ["standard", "paper"])
def test_medplug_gets_the_split_and_the_minutes(job, process, rival):
    process.act = leave_a_run
    (job.place / "run" / "old").mkdir(parents=True)
    told = rivals.run_rival(dataclasses.replace(job, row=ROW.of(rival)))
    [words] = process.words
    assert words[:4] == [sys.executable, "-m", "medplug", "run"]
    assert [option(words, f"--{name}") for name in ("recipe", "size", "budget", "seed", "split")] == [
        rival, "128", "5", "0", str(job.truth.file),
    ]  # fmt: skip
    settings = settings_in(words)
    assert settings["reader.use"] == "memory"
    assert ("architecture.hidden" in settings) == (rival == "paper")
    assert told == {"epochs": 2, "training_minutes": 1.5, "model": f"tiny_net, recipe {rival}"}
    assert (job.place / "predictions.validation.csv").read_text() == "predictions.validation.csv"
    assert not (job.place / "run" / "checkpoints").exists()
    assert not (job.place / "run" / "old").exists()


def test_a_run_with_other_parts_is_refused(job, process):
    def act(words):
        leave_a_run(words)
        path = Path(option(words, "--out")) / "split.csv"
        path.write_text(path.read_text().replace(",train,", ",test,", 1))

    process.act = act
    with pytest.raises(BenchmarkError, match="the parts are not those of"):
        rivals.run_rival(job)


def test_what_medplug_is_told_beside_training_is_known(job, process):
    """All settings of both recipes' commands exist."""
    pytest.importorskip("medplug_standard")
    pytest.importorskip("medplug_efficientnet")
    from medplug import Pipeline
    from medplug.plugins.registry import registry

    process.act = leave_a_run
    experiment = plan.experiment_of("ct")
    for rival in ("standard", "paper"):
        rivals.run_rival(dataclasses.replace(job, row=ROW.of(rival), experiment=experiment, source="ct/labels.csv"))
        words = process.words[-1]
        config = Pipeline(recipe=rival, architecture=plan.BACKBONE, settings=settings_in(words)).config()
        config.check_components(registry())
        assert config.uses("reader") == ("csv",)
        assert config.split.method == "stratified"  # the other one takes no file


def test_a_process_that_fails_is_quoted(job, process):
    process.code, process.says = 1, "no such weights"
    with pytest.raises(BenchmarkError, match=r"log\.txt: no such weights"):
        rivals.run_rival(job)


@pytest.fixture
def features(job):
    told = rivals.run_rival(dataclasses.replace(job, row=dataclasses.replace(ROW.of("features"), size=16)))
    return told, {
        part: job.truth.probabilities(job.place / f, part) for part, f in rivals.run_files.PREDICTIONS.items()
    }


def test_features_are_tuned_on_validation_and_never_see_the_test(job, features, fakes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    from benchmarks.floors import pooled_features

    told, found = features
    made, architecture = layout.prepared(job.experiment, "memory", 3, 16, plugins=fakes, recipe="fake")
    x, targets = pooled_features(architecture, layout.pictures(made, job.truth), 3), job.truth.table.targets
    train, held, test = (job.truth.rows(part) for part in ("train", "validation", "test"))

    def fit(c, rows):
        scaler = StandardScaler().fit(x[rows])
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        model.fit(scaler.transform(x[rows]), targets[rows].argmax(1))
        return lambda wanted: model.predict_proba(scaler.transform(x[wanted]))

    scores = [macro_auc(targets[held], fit(c, train)(held)) for c in rivals.CS]
    best = rivals.CS[scores.index(max(scores))]
    assert f"(C={best:.3g})" in told["model"]
    np.testing.assert_allclose(found["validation"], fit(best, train)(held), atol=1e-6)
    np.testing.assert_allclose(found["test"], fit(best, np.concatenate([train, held]))(test), atol=1e-6)


def test_torch_gets_all_it_needs_and_its_answer_is_kept(job, process, monkeypatch):
    rows = {part: job.truth.rows(part) for part in ("validation", "test")}
    answer = {part: np.full((len(rows[part]), 3), 1 / 3) for part in rows}
    monkeypatch.setattr(rivals, "python_of", lambda requirements, home: home / requirements.stem / "python")
    monkeypatch.setattr(rivals, "hand_over", lambda job, path: path.write_text("handed"))
    process.act = lambda words: np.savez(words[3], **answer)
    process.says = 'epoch 1: {}\n{"epochs": 7, "training_minutes": 4.9}\n'
    told = rivals.run_rival(dataclasses.replace(job, row=ROW.of("torch")))
    [words] = process.words
    assert words[0] == str(job.peers / "torch" / "python")
    assert words[4:] == ["5", "0", "multiclass"]
    assert (told["epochs"], told["training_minutes"]) == (7, 4.9)
    for part, file in rivals.run_files.PREDICTIONS.items():
        np.testing.assert_array_equal(job.truth.probabilities(job.place / file, part), answer[part])
    assert not list(job.place.glob("*.npz"))


def test_kernels_are_laid_out_as_in_torch(rng):
    kernel, matrix = rng.normal(size=(3, 5, 2, 7)), rng.normal(size=(2, 7))
    assert rivals._to_torch(kernel)[6, 1, 2, 4] == kernel[2, 4, 1, 6]
    np.testing.assert_array_equal(rivals._to_torch(matrix), matrix.T)
    np.testing.assert_array_equal(rivals._to_torch(matrix[0]), matrix[0])


@pytest.mark.slow
def test_torch_is_handed_the_start_of_a_run(job, monkeypatch):
    pytest.importorskip("medplug_efficientnet")
    from medplug.plugins.registry import registry
    from medplug_efficientnet.architecture import weights_path
    from medplug_efficientnet.convert import source_names
    from medplug_efficientnet.plan import LITE0

    job = dataclasses.replace(job, row=dataclasses.replace(ROW, size=16))
    made, _ = job.prepared()
    backbone = registry().make("architecture", plan.BACKBONE)
    three = SimpleNamespace(
        index=made.index, store=SimpleNamespace(take=lambda rows: np.repeat(made.store.take(rows), 3, 3))
    )
    monkeypatch.setattr(rivals.Job, "prepared", lambda self: (three, backbone))
    rivals.hand_over(job, job.place / "handed.npz")
    handed = np.load(job.place / "handed.npz")
    from medplug.plugins import read_weights

    stored = read_weights(weights_path("imagenet")).arrays
    for name in source_names(LITE0).values():
        np.testing.assert_array_equal(handed[f"weights:{name}"], stored[name])
    assert handed["weights:_fc.weight"].shape == (3, 1280)
    assert handed["logits"].shape == (4, 3)
    np.testing.assert_array_equal(handed["images"].shape, (60, 16, 16, 3))
    assert [len(handed[part]) for part in ("train", "validation", "test")] == [30, 12, 18]


# ---------------------------------------------------------------- differences


def test_the_difference_of_a_pair_is_that_of_the_floors(rng):
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 90)]
    ours, theirs = targets + rng.normal(0, 0.7, (90, 3)), targets + rng.normal(0, 1.2, (90, 3))
    groups = np.repeat(np.arange(45), 2).astype(str)
    found = pairing.auc_difference(targets, ours, theirs, groups)
    interval = paired_interval(targets, ours, theirs, groups)
    assert found["value"] == interval["value"]
    assert found["error"] == pytest.approx((interval["high"] - interval["low"]) / 3.92, rel=0.1)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_losses_are_scikit_learns(rng, task):
    from sklearn.metrics import log_loss

    logits = rng.normal(size=(50, 3))
    if task == "multiclass":
        targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 50)]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert pairing.losses(targets, p).mean() == pytest.approx(log_loss(targets.argmax(1), p))
        return
    targets, p = (rng.random((50, 3)) < 0.4).astype(np.float32), 1 / (1 + np.exp(-logits))
    expected = np.mean([log_loss(t, q, labels=[0, 1]) for t, q in zip(targets.T, p.T, strict=True)])
    assert pairing.losses(targets, p).mean() == pytest.approx(expected)
    hidden = targets.copy()
    hidden[0, 1:] = np.nan
    assert pairing.losses(hidden, p)[0] == pytest.approx(-np.log(p[0, 0] if targets[0, 0] else 1 - p[0, 0]))


def test_the_error_of_a_loss_is_that_of_a_mean(rng):
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 400)]
    ours, theirs = (1 / (1 + np.exp(-rng.normal(size=(400, 1)))) for _ in range(2))
    ours, theirs = (np.hstack([1 - p, p]) for p in (ours, theirs))
    found = pairing.loss_difference(targets, ours, theirs, None)
    each = pairing.losses(targets, ours) - pairing.losses(targets, theirs)
    assert found["value"] == pytest.approx(each.mean())
    assert found["error"] == pytest.approx(each.std() / 20, rel=0.1)


def test_pooled_intervals_have_the_variances_of_both_levels():
    values, errors = np.array([0.01, 0.03, -0.02, 0.05, 0.0, 0.02]), np.array([0.01, 0.02, 0.03, 0.01, 0.02, 0.02])
    found = pairing.pooled([{"value": v, "error": e} for v, e in zip(values, errors, strict=True)])
    assert (found["value"], found["pairs"]) == (pytest.approx(0.015), 6)
    both = np.sqrt((values.var() + np.mean(errors**2)) / 6)
    assert (found["high"] - found["low"]) / 3.92 == pytest.approx(both, rel=0.05)
    assert (found["pairs_high"] - found["pairs_low"]) / 3.92 == pytest.approx(values.std() / np.sqrt(6), rel=0.05)
    alone = pairing.pooled([{"value": 0.1, "error": 0.02}])
    assert [alone["low"], alone["high"]] == pytest.approx([0.1 - 0.0392, 0.1 + 0.0392], abs=2e-3)
    assert alone["pairs_low"] == alone["pairs_high"] == 0.1


# ---------------------------------------------------------------- the family


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(pairing, "RESAMPLES", 500)


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


# ---------------------------------------------------------------- the table


def record(rival="features", name="ct", seed=0, auc=0.9, difference=None, minutes=5, size=128, error=0.01):
    machine = {
        "platform": "Linux-x",
        "cpus": 2,
        "python": "3.11",
        "medplug": "0.1",
        "commit": "abc",
        "date": "2026-01-01",
    }
    head = {"family": "compare", "benchmark": f"compare-{rival}-{name}-{minutes}", "seed": seed, "rival": rival}
    figures = {"test_auc": auc, "validation_auc": 0.8, "epochs": 9, "training_minutes": 4.9, "seconds": 320.0}
    more = {} if difference is None else {"difference": {"value": difference, "error": error}}
    return {
        **head,
        **figures,
        **more,
        "set": name,
        "minutes": minutes,
        "size": size,
        "others": 0.02,
        "machine": machine,
    }


def rows_of(text, first):
    lines = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_pooled_row_says_how_many_pairs_and_where_the_interval_lies(nothing):
    found = [record(seed=s, difference=d) for s, d in enumerate((0.05, 0.06, 0.04))]
    worse = [record("torch", seed=s, difference=d) for s, d in enumerate((0.05, -0.06, 0.01))]
    text = tables.comparison([*found, *worse, record("standard", auc=0.95)], nothing)
    [features], [torch] = rows_of(text, "features"), rows_of(text, "torch")
    assert features[2:4] == ["3", "+0.0500"]
    assert features[-1] == "above 0"
    assert torch[-1] == "**not above 0**"


def test_a_rival_that_is_hard_to_beat_has_its_own_condition(nothing):
    found = [record(auc=0.96, difference=-0.01, name="ct"), record(auc=0.975, difference=-0.004, name="mri")]
    text = tables.comparison([*found, record(auc=0.98, difference=-0.006, name="xray")], nothing)
    last = {row[0]: row[-1] for name in ("ct", "mri", "xray") for row in rows_of(text, name)[:1]}
    assert last["ct"] == "-0.010"
    assert last["mri"] == "-0.004 (rival >= 0.97: not lower by more than 0.005)"
    assert last["xray"] == "-0.006 (rival >= 0.97: **lower** by more than 0.005)"


@pytest.mark.parametrize(("value", "word"), [(0.0201, "reached"), (0.0199, "**missed**")])
def test_the_long_rows_have_a_gap(nothing, value, word):
    long = [record(name="ultrasound", seed=s, difference=value, minutes=20, size=192) for s in range(3)]
    text = tables.comparison([*long, record(difference=0.5)], nothing)
    assert f"over 3 seeds: {value:+.4f} (asked for: +0.02; {word})" in text
    assert text.count("Mean gap") == 1


def test_rows_of_a_trial_are_told_apart_and_old_differences_are_told(nothing):
    old = record(difference=0.1)
    old["difference"]["standard"] = {"test_auc": 0.7, "commit": "old"}
    text = tables.comparison([old, record("standard", auc=0.9), record(minutes=0.5, size=64)], nothing)
    assert "### 0.5 minutes, 64 px (a trial)" in text
    assert "the difference is to an earlier run of `standard` (commit old)" in text
    assert "python -m benchmarks compare" in tables.comparison([], nothing)


def test_rows_with_neighbours_stand_out(nothing):
    text = tables.comparison([record(), {**record(name="mri"), "others": 0.061}], nothing)
    assert [rows_of(text, name)[-1][-4] for name in ("ct", "mri")] == ["2", "**6**"]


def test_the_command_line_makes_slices(monkeypatch, tmp_path):
    ran = []
    family = SimpleNamespace(names=compare.names, run=lambda name, options: ran.append(options))
    monkeypatch.setattr(cli, "FAMILIES", {"compare": family})
    words = ["--minutes", "0.5", "--size", "64", "--sets", "ct,mri", "--seeds", "0", "--rivals", "torch", "--again"]
    assert cli.main(["compare", "--out", str(tmp_path), *words]) == 0
    [options] = ran
    assert (options.budget, options.size, options.sets, options.seeds) == (0.5, 64, ("ct", "mri"), (0,))
    assert (options.rivals, options.again) == (("torch",), True)
