"""A label that is unknown in a table stays unknown: in batches, in the loss and its gradient, in the metrics."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reader_helpers import put, table

from medplug.testing.fakes import Memory
from medplug_standard.losses.cross_entropy import BinaryCrossEntropy
from medplug_standard.losses.focal import MultilabelFocal
from medplug_standard.metrics.roc_auc import RocAuc
from medplug_standard.readers.table import Csv


@pytest.fixture
def targets(tmp_path: Path) -> np.ndarray:
    """One-hot rows, but for single cells that are empty or -1."""
    put(tmp_path, *(f"{i}.png" for i in range(6)))
    cells = ["1,0,0", "0,1,0", ",0,1", "1,0,", "0,-1,1", "0,1,0"]
    index = Csv().index(table(tmp_path, "image,a,b,c", *(f"{i}.png,{c}" for i, c in enumerate(cells))))
    assert index.task == "multilabel"
    counts = index.class_counts()
    assert counts.tolist() == [[2, 3], [2, 3], [2, 3]]  # the unknown cell of each label counts for neither
    return index.targets


def test_they_are_unknown_in_the_index(targets: np.ndarray) -> None:
    assert np.argwhere(np.isnan(targets)).tolist() == [[2, 0], [3, 2], [4, 1]]


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), BinaryCrossEntropy(class_weight="balanced"), MultilabelFocal()])
def test_the_loss_and_its_gradient_do_not_see_them(targets: np.ndarray, loss: BinaryCrossEntropy) -> None:
    logits = jnp.asarray(np.random.default_rng(0).normal(size=targets.shape), jnp.float32)
    counts = jnp.array([[2.0, 3.0]] * 3)
    unknown = np.isnan(targets)
    moved = jnp.where(unknown, logits + 5, logits)
    given = jnp.asarray(targets)
    np.testing.assert_array_equal(loss(logits, given, counts), loss(moved, given, counts))
    slope = np.asarray(jax.grad(lambda x: loss(x, given, counts).sum())(logits))
    assert np.isfinite(slope).all()
    assert (slope[unknown] == 0).all()
    assert (slope[~unknown] != 0).all()


def test_the_metrics_do_not_see_them(targets: np.ndarray) -> None:
    probabilities = np.random.default_rng(1).random(targets.shape)
    moved = np.where(np.isnan(targets), 1 - probabilities, probabilities)
    metric = RocAuc()
    found = [np.asarray(metric(targets, p, np.ones(len(targets)))) for p in (probabilities, moved)]
    np.testing.assert_array_equal(*found)
    known = ~np.isnan(targets[:, 0])
    positive, negative = probabilities[known & (targets[:, 0] == 1), 0], probabilities[known & (targets[:, 0] == 0), 0]
    by_pairs = (positive[:, None] > negative[None]).mean()
    np.testing.assert_allclose(found[0].ravel()[0], by_pairs)


def test_the_fake_reader_agrees_on_what_unknown_looks_like() -> None:
    assert np.isnan(Memory(task="multilabel", unknown=0.3).index("memory").targets).any()
