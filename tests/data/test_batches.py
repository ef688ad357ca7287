"""Batches: every sample once, in an order that the seed and the epoch decide."""

import numpy as np
import pytest

from medplug.data.batches import Loader
from medplug.data.store import PixelStore


@pytest.fixture
def loader():
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    rows = np.arange(5, 42)  # 37 samples
    return Loader(PixelStore(images), np.eye(50, dtype=np.float32), rows, 8, seed=3)


def ids(batches):
    found = []
    for batch in batches:
        np.testing.assert_array_equal(batch.images[:, 0, 0, 0], batch.targets.argmax(1))
        found.append(batch.targets.argmax(1)[batch.mask > 0].tolist())
    return found


def test_new_batches_each_epoch_but_the_same_for_the_same_epoch(loader):
    options = {"shuffle": "samples", "last_batch": "keep"}
    first, again, other = (ids(loader.epoch(e, **options)) for e in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(sum(first, [])) == list(range(5, 42))
    assert {frozenset(b) for b in first} != {frozenset(b) for b in other}


def test_fixed_batches_keep_their_members_in_another_order(loader):
    first, other = (ids(loader.epoch(e, shuffle="batches", last_batch="keep")) for e in (1, 2))
    assert first != other
    assert {tuple(b) for b in first} == {tuple(b) for b in other}
    assert (5, 6, 7, 8, 9, 10, 11, 12) in {tuple(b) for b in first}


def test_the_incomplete_batch(loader):
    assert [len(b) for b in ids(loader.epoch(1, shuffle="samples", last_batch="drop"))] == [8, 8, 8, 8]
    assert sorted(len(b) for b in ids(loader.epoch(1, shuffle="samples", last_batch="keep"))) == [5, 8, 8, 8, 8]
    assert (loader.steps("drop"), loader.steps("keep")) == (4, 5)


def test_once_is_in_order_padded_and_masked(loader):
    batches = list(loader.once())
    assert sum(ids(batches), []) == list(range(5, 42))
    assert [len(b.mask) for b in batches] == [8] * 5
    assert batches[-1].mask.tolist() == [1] * 5 + [0] * 3
