"""Training that is stopped, that diverges, and that lacks memory."""

import shutil
import signal
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.errors import TrainingError, UsageError
from medplug.plugins import component
from medplug.testing.fakes import SimpleCrossEntropy
from medplug.train import loop
from medplug.train.epoch import Epoch


@contextmanager
def interrupted_at(monkeypatch, wanted):
    """SIGINT after so many steps of a run, as Ctrl-C sends it."""
    seen, see = [], Epoch._see

    def counted(self, loss):
        seen.append(loss)
        if len(seen) == wanted:
            signal.raise_signal(signal.SIGINT)
        return see(self, loss)

    with monkeypatch.context() as patched:
        patched.setattr(Epoch, "_see", counted)
        yield


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


SETTINGS = {"reader.samples": 90, "training.batch_size": 8, "training.ema": 0.2}  # 6 or 7 steps an epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    from medplug import Pipeline
    from medplug.progress import Reporter
    from medplug.testing.fakes import fake_registry

    settings = {
        "training.epochs": 3, "training.frozen_epochs": 1, "evaluation.resamples": 50, "training.learning_rate": 0.01,
        "training.frozen_learning_rate": 0.01, "split.validation": 0.2, "split.train": 0.6, **SETTINGS,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("whole") / "run"
    return Pipeline(
        recipe="fake", settings=settings, plugins=fake_registry(), reporter=Reporter(quiet=True), seed=0
    ).fit("memory", out=folder)


@pytest.mark.parametrize("step", [9, 16])
def test_a_stopped_run_is_evaluated_and_goes_on_from_its_step(pipeline, uninterrupted, tmp_path, monkeypatch, step):
    out = tmp_path / "run"
    with interrupted_at(monkeypatch, step), pytest.raises(KeyboardInterrupt):
        pipeline(settings=SETTINGS).fit("memory", out=out)
    assert (out / "metrics.json").exists()
    assert weights(out) != weights(uninterrupted.folder)
    run = pipeline(settings=SETTINGS).fit("memory", out=out, resume=True)
    assert weights(out) == weights(uninterrupted.folder)
    losses = [[row["loss"], row["validation_loss"]] for row in run.history]
    assert losses == [[row["loss"], row["validation_loss"]] for row in uninterrupted.history]


def test_a_run_that_is_stopped_in_its_first_epoch_has_nothing_to_evaluate(
    pipeline, uninterrupted, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    with interrupted_at(monkeypatch, 3), pytest.raises(KeyboardInterrupt):
        pipeline(settings=SETTINGS).fit("memory", out=out)
    assert not (out / "metrics.json").exists()
    pipeline(settings=SETTINGS).fit("memory", out=out, resume=True)
    assert weights(out) == weights(uninterrupted.folder)


@component
class Fragile(SimpleCrossEntropy):
    """Is no number once the logits are large."""

    def __call__(self, logits, targets, class_counts):
        return jnp.where(jnp.abs(logits).max() > 20, jnp.nan, super().__call__(logits, targets, class_counts))


def test_a_diverged_loss_ends_the_run(pipeline, tmp_path):
    settings = {**SETTINGS, "training.learning_rate": 30.0}
    with pytest.raises(TrainingError, match=r"the (validation )?loss .* epoch 2.*\(full phase, peak rate 30\); lower"):
        pipeline(settings=settings, loss=Fragile()).fit("memory", out=tmp_path / "run")


def test_or_it_goes_back_with_half_the_rate(pipeline, tmp_path):
    settings = {**SETTINGS, "training.learning_rate": 30.0, "training.divergence": "go_back"}
    with pytest.raises(TrainingError, match=r"also after the rate was halved 5 times"):
        pipeline(settings={**settings, "training.learning_rate": 1e6}, loss=Fragile()).fit("memory", out=tmp_path / "a")
    run = pipeline(settings={**settings, "training.learning_rate": 1.0}, loss=Fragile()).fit(
        "memory", out=tmp_path / "b"
    )
    assert len(run.history) == 3
    assert np.isfinite([row["loss"] for row in run.history]).all()


class Scarce:
    """From the start of training on there is memory for two images at once."""

    def __init__(self):
        self.begun, self.make = False, loop.make_train_step

    def run_started(self):
        self.begun = True

    def make_train_step(self, objective, update, *, frozen, micro_batch):
        step = self.make(objective, update, frozen=frozen, micro_batch=micro_batch)

        def run(*arguments):
            if self.begun and micro_batch > 2:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")
            return step(*arguments)

        run.lower = step.lower
        return run


def test_too_little_memory_means_smaller_micro_batches(pipeline, tmp_path, monkeypatch):
    expected = pipeline(settings={**SETTINGS, "training.micro_batch": 2}).fit("memory", out=tmp_path / "expected")
    scarce = Scarce()
    monkeypatch.setattr(loop, "make_train_step", scarce.make_train_step)
    run = pipeline(settings=SETTINGS, observers=[scarce]).fit("memory", out=tmp_path / "run")
    assert weights(run.folder) == weights(expected.folder)


def test_a_figure_that_nobody_computes_cannot_choose(pipeline, tmp_path):
    with pytest.raises(UsageError, match=r"training.monitor=auc: .* loss, simple_accuracy, simple_auc"):
        pipeline(settings={"training.monitor": "auc"}).fit("memory", out=tmp_path / "run")


def test_the_monitored_figure_chooses_the_epoch(pipeline, tmp_path):
    settings = {**SETTINGS, "training.epochs": 6, "training.monitor": "simple_auc"}
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    found = [row["validation_simple_auc"] for row in run.history]
    assert run.card.tested_epoch == max(i for i, v in enumerate(found, 1) if v == max(found))


def test_a_solved_head_is_one_epoch_and_a_better_start(pipeline, tmp_path, fakes, quiet):
    """Its validation loss is below that of as many steps, phase two goes on from it, and a resumed run is the same."""
    settings = {**SETTINGS, "training.frozen_epochs": 2, "training.views": 3}
    steps = pipeline(settings=settings).fit("memory", out=tmp_path / "steps")
    run = pipeline(settings={**settings, "training.head": "solve"}).fit("memory", out=tmp_path / "run")
    assert [row["phase"] for row in run.history] == ["frozen", "full", "full"]
    assert run.history[0]["validation_loss"] < steps.history[1]["validation_loss"]
    before = weights(run.folder)
    shutil.rmtree(run.folder / "checkpoints" / "3")
    again = pipeline(settings={**settings, "training.head": "solve"}).fit("memory", out=run.folder, resume=True)
    assert weights(again.folder) == before
