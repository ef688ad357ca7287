"""What is started, what is not repeated, and what is recorded."""

import dataclasses
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import running
from benchmarks.experiments import Data, Experiment, RunPlan, Source, Thumbnail
from benchmarks.family import BenchmarkError, MissingDataError, Options
from benchmarks.records import environment, read_records
from benchmarks.running import command, differences, settings_of, with_options


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A run of the fakes."""
    from medplug import Pipeline
    from medplug.progress import Reporter
    from medplug.testing.fakes import fake_registry

    settings = {"training.epochs": 2, "training.frozen_epochs": 1, "evaluation.resamples": 50}
    out = tmp_path_factory.mktemp("run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(out.parent / "cache"))
        pipeline = Pipeline(recipe="fake", settings=settings, plugins=fake_registry(), reporter=Reporter(quiet=True))
        return pipeline.fit("memory", out=out).folder


@pytest.fixture
def started(monkeypatch, experiment, finished_run):
    """Commands instead of processes: each leaves a finished run, or, after ``fail``, an exit code."""
    plain = dataclasses.replace(experiment, thumbnail=None, features=False)
    calls = SimpleNamespace(words=[], code=0)

    def process(words, **options):
        calls.words.append(words)
        if calls.code == 0:
            shutil.copytree(finished_run, words[words.index("--out") + 1], dirs_exist_ok=True)
        return subprocess.CompletedProcess(words, calls.code)

    monkeypatch.setattr(running, "experiments", lambda: {"toy": plain})
    monkeypatch.setattr(running, "subprocess", SimpleNamespace(run=process))
    return calls


def test_the_command_says_everything(experiment, tmp_path):
    words = command(experiment, tmp_path / "a b", tmp_path / "run", 7)
    assert words == [
        sys.executable, "-m", "medplug", "run", str(tmp_path / "a b"), "--out", str(tmp_path / "run"), "--seed", "7",
        "--architecture", "tiny_net", "--size", "16", "--budget", "5", "--set", "reader.x=a b",
    ]  # fmt: skip


def test_options_replace_the_plan(experiment, tmp_path):
    changed = with_options(experiment, Options(None, tmp_path, seeds=(5,), budget=1.5, size=32))
    assert (changed.run.seeds, changed.run.budget, changed.run.size) == ((5,), 1.5, 32)
    assert with_options(experiment, Options(None, tmp_path)) == experiment
    assert settings_of(changed, 5)["budget"] == 1.5


def test_each_seed_runs_once(started, options):
    running.run("toy", options)
    running.run("toy", options)
    assert [words[words.index("--seed") + 1] for words in started.words] == ["0", "1"]
    records = read_records(options.out)
    assert [(r["benchmark"], r["seed"]) for r in records] == [("toy", 0), ("toy", 1)]


def test_the_record_is_of_the_run(started, options, finished_run):
    running.run("toy", dataclasses.replace(options, seeds=(0,)))
    [record] = read_records(options.out)
    metrics = json.loads((finished_run / "metrics.json").read_text())["test"]
    assert record["macro"]["simple_auc"]["value"] == metrics["macro"]["simple_auc"]["value"]
    assert record["images"]["test"] == metrics["n"]
    assert sum(record["images"].values()) == 60
    assert record["epochs"] == 2
    assert record["notes"] == []
    assert record["floors"] == {}
    assert record["machine"] == environment()


def test_records_hold_no_path(started, options, tmp_path):
    running.run("toy", options)
    text = "".join(path.read_text() for path in options.out.glob("*/*/*.json"))
    assert text
    assert str(tmp_path) not in text
    assert sys.prefix not in text


def test_an_unfinished_run_is_resumed_if_it_was_planned(started, options):
    options = dataclasses.replace(options, seeds=(0,))
    folder = options.out / "toy" / "seed-0" / "run"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("seed = 0")
    running.run("toy", options)
    assert started.words[0][-1] == "--resume"


def test_an_unplanned_run_starts_anew(started, options):
    options = dataclasses.replace(options, seeds=(0,))
    folder = options.out / "toy" / "seed-0" / "run"
    folder.mkdir(parents=True)
    (folder / "left.txt").write_text("")
    running.run("toy", options)
    assert "--resume" not in started.words[0]
    assert not (folder / "left.txt").exists()


def test_other_settings_need_another_folder(started, options):
    running.run("toy", options)
    with pytest.raises(BenchmarkError, match="other settings"):
        running.run("toy", dataclasses.replace(options, size=32))
    assert len(started.words) == 2


def test_a_run_that_failed_at_once_may_be_tried_with_other_settings(started, options):
    started.code = 2
    with pytest.raises(BenchmarkError):
        running.run("toy", options)
    started.code = 0
    running.run("toy", dataclasses.replace(options, budget=9))
    assert {r["settings"]["budget"] for r in read_records(options.out)} == {9}


def test_failures_are_told(started, options, tmp_path):
    started.code = 2
    with pytest.raises(BenchmarkError, match="toy, seed 0: medplug run ended with exit code 2"):
        running.run("toy", options)
    assert read_records(options.out) == []
    with pytest.raises(MissingDataError):
        running.run("toy", dataclasses.replace(options, data=tmp_path))


def test_unexpected_counts_are_noted(experiment):
    expected = dict(experiment.data.classes)
    assert differences(experiment, 60, expected) == []
    assert differences(experiment, 59, {**expected, "class1": 19}) == [
        "59 usable images of 60 expected",
        "classes: class1 19 of 20",
    ]
    assert differences(experiment, 60, {"class0": 20, "class1": 20, "other": 20}) == [
        "classes: class2 0 of 20, other 20 of 0"
    ]


@pytest.mark.slow
def test_a_real_run_with_its_floors(tmp_path, monkeypatch):
    from PIL import Image

    pytest.importorskip("medplug_standard")
    pytest.importorskip("medplug_efficientnet")
    rng = np.random.default_rng(0)
    stripes = 60 * (
        np.arange(64) // 4 % 2
    )  # the classes differ in brightness, for pixels, and in texture, for features
    for name, level in (("bright", 150), ("striped", 40 + stripes)):
        (tmp_path / "data" / "toy" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(rng.normal(level, 20, (64, 64)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / "toy" / name / f"{number}.png")
    settings = {"training.epochs": 2, "training.frozen_epochs": 1, "evaluation.resamples": 50}
    experiment = Experiment(
        "toy", "Toy", "small", Source("https://example.org", "", "", ""),
        Data("toy", "multiclass", 60, {"bright": 30, "striped": 30}),
        RunPlan(seeds=(0,), architecture="efficientnet_lite0", size=64, settings=settings), Thumbnail(8, "rgb"), features=True,
    )  # fmt: skip
    monkeypatch.setattr(running, "experiments", lambda: {"toy": experiment})
    running.run("toy", Options(tmp_path / "data", tmp_path / "out"))
    [record] = read_records(tmp_path / "out")
    assert record["floors"]["thumbnails"]["roc_auc"] == 1.0
    assert record["floors"]["features"]["roc_auc"] == 1.0
    ours = record["macro"]["roc_auc"]["value"]
    assert record["floors"]["features"]["difference"]["value"] == pytest.approx(ours - 1, abs=1e-9)
    assert record["epochs"] == 2
