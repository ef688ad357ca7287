"""Batches: every sample once, in an order that the seed and the epoch decide."""

import numpy as np
import pytest

from medplug.data.batches import Loader
from medplug.data.store.pixelstore import PixelStore
from medplug.errors import DataError


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


def test_another_seed_is_another_order(loader):
    other = Loader(loader.store, loader.targets, loader.rows, 8, seed=4)
    options = {"shuffle": "samples", "last_batch": "keep"}
    assert ids(loader.epoch(1, **options)) != ids(other.epoch(1, **options))


def test_fixed_batches_keep_their_members_in_another_order(loader):
    first, other = (ids(loader.epoch(e, shuffle="batches", last_batch="keep")) for e in (1, 2))
    assert first != other
    assert {tuple(b) for b in first} == {tuple(b) for b in other}
    assert (5, 6, 7, 8, 9, 10, 11, 12) in {tuple(b) for b in first}


def test_the_incomplete_batch(loader):
    assert [len(b) for b in ids(loader.epoch(1, shuffle="samples", last_batch="drop"))] == [8, 8, 8, 8]
    assert sorted(len(b) for b in ids(loader.epoch(1, shuffle="samples", last_batch="keep"))) == [5, 8, 8, 8, 8]
    assert (loader.steps("drop"), loader.steps("keep")) == (4, 5)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("last_batch", ["drop", "keep"])
def test_the_plan_counts_the_steps_that_come(loader, count, last_batch):
    short = Loader(loader.store, loader.targets, loader.rows[:count], 8)
    for shuffle in ("samples", "batches"):
        assert len(ids(short.epoch(1, shuffle=shuffle, last_batch=last_batch))) == short.steps(last_batch)


@pytest.mark.parametrize("shuffle", ["samples", "batches"])
@pytest.mark.parametrize("start", [0, 2, 4])
def test_an_epoch_goes_on_in_the_middle(loader, shuffle, start):
    options = {"shuffle": shuffle, "last_batch": "drop"}
    assert ids(loader.epoch(3, **options, start=start)) == ids(loader.epoch(3, **options))[start:]


def test_once_is_in_order_padded_and_masked(loader):
    batches = list(loader.once())
    assert sum(ids(batches), []) == list(range(5, 42))
    assert [len(b.mask) for b in batches] == [8] * 5
    assert batches[-1].mask.tolist() == [1] * 5 + [0] * 3


def test_first_is_a_full_batch_of_few_samples(loader):
    few = Loader(loader.store, loader.targets, loader.rows[:3], 8)
    assert ids([few.first()]) == [[5, 6, 7, 5, 6, 7, 5, 6]]


def test_no_more_than_a_few_batches_are_read_ahead(loader, monkeypatch):
    taken = []
    real = PixelStore.take
    monkeypatch.setattr(PixelStore, "take", lambda self, rows: taken.append(len(rows)) or real(self, rows))
    wide = Loader(loader.store, loader.targets, np.resize(loader.rows, 400), 1)
    batches = wide.once()
    next(batches)
    batches.close()
    assert len(taken) < 12


def test_an_error_while_gathering_reaches_the_loop(loader, monkeypatch):
    def damaged(self, rows):
        raise DataError("the cache is damaged")

    monkeypatch.setattr(PixelStore, "take", damaged)
    with pytest.raises(DataError, match="the cache is damaged"):
        next(loader.once())
