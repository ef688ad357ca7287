"""The rivals of the comparison, on fakes: what each is given, and what is kept of its answer."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.comparing import layout, plan, rivals
from benchmarks.comparing.plan import Row
from benchmarks.family import BenchmarkError
from benchmarks.floors import macro_auc

ROW = Row("standard", "ultrasound", 0, 5, 128)


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
