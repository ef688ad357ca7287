"""Each switch of training, and some of pixels and maps, changes what it says; mostly in whole runs of the fakes.

Where only the course of the validation loss matters, it is scripted: the epochs are real, the losses are given.
"""

import csv
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.config.settings import RenderingSettings
from medplug.data.batches import Loader
from medplug.explain.colormaps import colours
from medplug.explain.overlay import render_map
from medplug.model.network import weight_arrays
from medplug.pipeline import prepare
from medplug.testing.fakes import TinyNet
from medplug.train.checkpoint import Checkpoints
from medplug.train.epoch import Epoch

UNCLIPPED = {"training.gradient_clip": 0.0}


@pytest.fixture
def script(monkeypatch):
    """``script([...])``: the validation loss of each epoch, from the first one on."""

    def install(losses):
        monkeypatch.setattr(Epoch, "_validation", lambda self: (float(losses[self.number - 1]), {}))

    return install


@pytest.fixture
def weights(monkeypatch):
    """Kernel and bias of the head after each epoch, as they are saved."""
    found, original = [], Checkpoints.save

    def spy(self, state, best, progress):
        found.append({str(path[0]): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state.head["head"])})
        return original(self, state, best, progress)

    monkeypatch.setattr(Checkpoints, "save", spy)
    return found


def column(run, name):
    return [row[name] for row in run.history]


# ---------------------------------------------------------------- phases


def test_early_stopping_counts_each_phase_for_itself(pipeline, tmp_path, script):
    """Phase one is never beaten; phase two has its own best (epoch 5) and stops two epochs after it."""
    script([0.5, 0.2, 0.3, 0.9, 0.6, 0.7, 0.8, 0.1, 0.1])
    settings = {"training.frozen_epochs": 3, "training.epochs": 9, "training.early_stopping": 2}
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    assert column(run, "phase") == ["frozen"] * 3 + ["full"] * 4


def test_the_plateau_counts_each_phase_for_itself(pipeline, tmp_path, script):
    """A cut in phase one does not lower the rate of phase two, and epochs of phase one are not waited for again."""
    script([0.5, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9])
    settings = {
        **UNCLIPPED, "training.frozen_epochs": 4, "training.epochs": 8, "training.early_stopping": 0,
        "training.frozen_learning_rate": 1e-4, "training.learning_rate": 1e-5,
        "training.plateau_patience": 2, "training.plateau_minimum": 1e-7,
    }  # fmt: skip
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    assert column(run, "learning_rate") == pytest.approx([1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5, 1e-6])


@pytest.mark.parametrize(("tested", "epoch"), [("best", 2), ("last", 4)])
def test_the_best_epoch_of_both_phases_or_the_last(pipeline, tmp_path, script, weights, tested, epoch):
    """The best is one of phase one; a frozen network can be the one that is tested."""
    script([0.5, 0.2, 0.9, 0.4])
    settings = {
        **UNCLIPPED, "training.frozen_epochs": 2, "training.epochs": 4, "training.early_stopping": 0,
        "training.tested_weights": tested,
    }  # fmt: skip
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    assert run.card.tested_epoch == epoch
    found = weight_arrays(run.network.module)["head/kernel"]
    assert [np.array_equal(found, w["kernel"]) for w in weights] == [n == epoch for n in (1, 2, 3, 4)]


def test_phase_two_begins_with_fresh_moments(pipeline, tmp_path, weights):
    """Adam's first step has the length of the rate in every parameter whose gradient is not tiny; later ones do not."""
    settings = {
        **UNCLIPPED, "training.frozen_epochs": 4, "training.epochs": 6, "training.batch_size": 64,
        "training.last_batch": "keep", "training.frozen_learning_rate": 0.05, "training.learning_rate": 0.001,
        "optimizer.epsilon": 1e-12,
    }  # fmt: skip
    pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    lengths = [np.abs(after["bias"] - before["bias"]) for before, after in pairwise(weights)]
    np.testing.assert_allclose(lengths[3], 0.001, rtol=1e-3)
    assert not np.allclose(lengths[4], 0.001, rtol=1e-3)


# ---------------------------------------------------------------- batches and pixels


@pytest.mark.parametrize("shuffle", ["samples", "batches"])
def test_members_of_batches(pipeline, tmp_path, monkeypatch, shuffle):
    """``batches``: the same members in each epoch, in the order of the split; the incomplete batch is trained on."""
    epochs, original = [], Loader.epoch

    def spy(self, epoch, **options):
        epochs.append([])
        for batch in original(self, epoch, **options):
            epochs[-1].append(tuple(sorted(image.tobytes() for image in batch.images)))
            yield batch

    monkeypatch.setattr(Loader, "epoch", spy)
    settings = {"training.shuffle": shuffle, "training.last_batch": "keep", "training.epochs": 2}
    pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    first, second = epochs
    assert sorted(map(len, first)) == [4, 16, 16]  # 36 of 60 images are for training
    assert sorted(sum(first, ())) == sorted(sum(second, ()))
    assert (set(first) == set(second)) == (shuffle == "batches")


def test_dropping_the_incomplete_batch(pipeline, tmp_path):
    """The next epoch draws new batches, so that no image is left out for good."""
    kept, dropped = (
        pipeline(settings={"training.last_batch": option}).fit("memory", out=tmp_path / option)
        for option in ("keep", "drop")
    )
    assert column(kept, "loss") != column(dropped, "loss")


def test_augmented_validation(pipeline, tmp_path):
    """The same training, but another validation loss."""
    settings = {"augment.mirror.probability": 1.0, "training.epochs": 1, "training.early_stopping": 0}
    clean, augmented = (
        pipeline(settings={**settings, "training.augment_validation": option}).fit("memory", out=tmp_path / str(option))
        for option in (False, True)
    )
    assert column(clean, "loss") == column(augmented, "loss")
    assert column(clean, "validation_loss") != column(augmented, "validation_loss")


def test_antialias_changes_the_pixels(pipeline, fakes, quiet):
    def images(**settings):
        config = pipeline(settings={"reader.size": 40, "data.size": 16, **settings}).config()
        return np.asarray(prepare(config, "memory", TinyNet(), fakes, quiet).store.take(np.arange(20)), float)

    smooth, plain = (images(**{"preprocess.fit.antialias": option}) for option in (True, False))
    np.testing.assert_array_equal(smooth, images())
    assert plain.std() > 1.1 * smooth.std()  # without a filter the noise is not averaged


class Seen:
    """An augmenter that is handed what it should: it lets the images of one size and of whole levels pass."""

    def __call__(self, key, images):
        levels = images * 255
        whole = jnp.abs(levels - jnp.round(levels)).max() < 1e-3
        inside = (images.min() >= 0) & (images.max() <= 1)
        return jnp.where(whole & inside & (images.shape[1:3] == (16, 16)), images, jnp.nan)


def test_images_are_resized_before_augmentation_and_standardised_after(pipeline, tmp_path):
    """Else the loss would not be finite, which stops a run."""
    settings = {"reader.size": 40, "data.size": 16, "training.epochs": 1}
    run = pipeline(augmenters=[Seen()], settings=settings).fit("memory", out=tmp_path / "run")
    plain = pipeline(augmenters=[], settings=settings).fit("memory", out=tmp_path / "plain")
    assert column(run, "loss") == pytest.approx(column(plain, "loss"))


def test_the_published_scaling_adds_its_epsilon_to_the_range():
    """A map whose range is that epsilon reaches the middle of the colours; a usual one reaches their end."""
    settings = RenderingSettings(rectify=False, scaling="minmax", alpha=1.0, constant_alpha=True)
    image = np.zeros((1, 2, 1), np.uint8)

    def top(width):
        return np.asarray(render_map(np.array([[-width, 0.0]]), image, settings).picture)[0, 1] / 255

    np.testing.assert_allclose(top(1e-8), colours(np.array(0.5), "magma"), atol=1 / 255)
    np.testing.assert_allclose(top(1.0), colours(np.array(1.0), "magma"), atol=1 / 255)


# ---------------------------------------------------------------- the loss and the optimizer


class CountOfFirstClass:
    """A loss whose value is the number of positives of class 0 that it was told."""

    tasks = ("multiclass",)

    def __call__(self, logits, targets, class_counts):
        return class_counts[0, 0] + 0 * logits.sum(1)


def test_class_counts_are_those_of_the_training_part_in_validation_too(pipeline, tmp_path):
    run = pipeline(loss=CountOfFirstClass(), settings={"training.epochs": 1}).fit("memory", out=tmp_path / "run")
    rows = list(csv.DictReader((run.folder / "split.csv").open()))
    trained = sum(row["split"] == "train" and row["label"] == "class0" for row in rows)
    assert 0 < trained < sum(row["label"] == "class0" for row in rows)
    assert column(run, "loss") == column(run, "validation_loss") == [trained]
