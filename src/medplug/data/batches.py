"""Batches in a reproducible order, gathered from the memory map ahead of their use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import grain
import numpy as np

from medplug.data.store import PixelStore
from medplug.seeds import child_seed

_PREFETCH = 3  # batches; grain's own default of 500 would hold gigabytes


class Batch(NamedTuple):
    """One batch on its way to the device.

    Attributes:
        images: ``[B, *S, C]`` uint8.
        targets: ``[B, K]`` float32, NaN for unknown.
        mask: ``[B]`` float32: 1 for a sample, 0 for padding.
    """

    images: np.ndarray
    targets: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Loader:
    """The samples of one split as batches.

    Attributes:
        store: the decoded images.
        targets: ``[N, K]`` of all samples in the store.
        rows: which samples, in their order.
        batch_size: images per batch.
        seed: decides the order of training batches.
    """

    store: PixelStore
    targets: np.ndarray
    rows: np.ndarray
    batch_size: int
    seed: int = 0

    def __len__(self) -> int:
        return (len(self.rows) + self.batch_size - 1) // self.batch_size

    def steps(self, last_batch: str) -> int:
        """Training steps of one epoch."""
        return len(self) if last_batch == "keep" else max(1, len(self.rows) // self.batch_size)

    def epoch(self, epoch: int, *, shuffle: str, last_batch: str) -> Iterator[Batch]:
        """Training batches of one epoch. Their order depends on the seed and the epoch alone, so a resumed run meets the same ones.

        ``shuffle="samples"`` draws new batches each epoch; ``"batches"`` keeps their members and shuffles their
        order. ``last_batch="keep"`` yields the incomplete batch at its own size.
        """
        seed = child_seed(self.seed, "order", epoch)
        order = grain.MapDataset.range(len(self.rows))
        drop = last_batch == "drop" and len(self.rows) >= self.batch_size
        if shuffle == "samples":
            batches = order.shuffle(seed=seed).batch(self.batch_size, drop_remainder=drop)
        else:
            batches = order.batch(self.batch_size, drop_remainder=drop).shuffle(seed=seed)
        yield from self._iterate(batches, pad=False)

    def once(self) -> Iterator[Batch]:
        """All samples once, in their order; the last batch is padded with its first image, and masked."""
        yield from self._iterate(grain.MapDataset.range(len(self.rows)).batch(self.batch_size), pad=True)

    def first(self) -> Batch:
        """A full-sized batch for measuring, repeating samples where there are too few."""
        return self._gather(np.resize(np.arange(len(self.rows)), self.batch_size), pad=False)

    def _iterate(self, batches: grain.MapDataset, pad: bool) -> Iterator[Batch]:
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCH)
        yield from batches.map(lambda local: self._gather(local, pad)).to_iter_dataset(options)

    def _gather(self, local: np.ndarray, pad: bool) -> Batch:
        local = np.atleast_1d(local)
        mask = np.ones(len(local), np.float32)
        if pad and len(local) < self.batch_size:
            missing = self.batch_size - len(local)
            local = np.concatenate([local, np.full(missing, local[0])])
            mask = np.concatenate([mask, np.zeros(missing, np.float32)])
        rows = self.rows[local]
        return Batch(self.store.take(rows), self.targets[rows], mask)


@dataclass
class Waiting:
    """How long a loop waited for its input."""

    seconds: float = 0.0

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on and add up the time spent waiting for them."""
        while True:
            started = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield batch
