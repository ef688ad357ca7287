"""Batches in a reproducible order, gathered from the memory map ahead of their use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import grain
import numpy as np

from medplug.data.sampling import Sampling
from medplug.data.store.pixelstore import PixelStore
from medplug.seeds import child_seed

_PREFETCH = 3  # batches; grain's own default of 500 would hold gigabytes


class Batch(NamedTuple):
    """One batch on its way to the device, or on it already.

    Attributes:
        images: ``[B, *S, C]`` uint8.
        targets: ``[B, K]`` float32, NaN for unknown.
        mask: ``[B]`` float32: 1 for a sample, 0 for padding; always on the host.
    """

    images: Any
    targets: Any
    mask: np.ndarray


@dataclass(frozen=True)
class Loader:
    """The samples of one split as batches.

    The order of an epoch is an array made with NumPy (3 µs a batch); grain iterates over it and reads ahead in a thread
    (60 µs a batch, where its own shuffling would cost 750).

    Attributes:
        store: the decoded images.
        targets: ``[N, K]`` of all samples in the store.
        rows: which samples, in their order.
        batch_size: images per batch.
        seed: decides the order of training batches.
        sampling: how often a training epoch draws each of the rows; None draws each once.
    """

    store: PixelStore
    targets: np.ndarray
    rows: np.ndarray
    batch_size: int
    seed: int = 0
    sampling: Sampling | None = None

    def __len__(self) -> int:
        return (len(self.rows) + self.batch_size - 1) // self.batch_size

    def steps(self, last_batch: str) -> int:
        """Training steps of one epoch."""
        return len(self) if last_batch == "keep" else max(1, len(self.rows) // self.batch_size)

    def epoch(self, epoch: int, *, shuffle: str, last_batch: str, start: int = 0) -> Iterator[Batch]:
        """Training batches of one epoch. They depend on the seed and the epoch alone, so a resumed run meets the same ones.

        Args:
            epoch: its number.
            shuffle: ``"samples"`` draws new batches each epoch; ``"batches"`` keeps their members and shuffles their
                order.
            last_batch: ``"keep"`` yields the incomplete batch at its own size, ``"drop"`` does not.
            start: so many batches were seen already.
        """
        seed = child_seed(self.seed, "order", epoch)
        drop = last_batch == "drop" and len(self.rows) >= self.batch_size
        if self.sampling is not None:
            batches = self._cut(self.sampling.draw(seed), drop)
        elif shuffle == "samples":
            batches = self._cut(np.random.default_rng(seed).permutation(len(self.rows)), drop)
        else:
            batches = self._cut(np.arange(len(self.rows)), drop)
            batches = [batches[i] for i in np.random.default_rng(seed).permutation(len(batches))]
        yield from self._iterate(batches[start:], pad=False)

    def once(self) -> Iterator[Batch]:
        """All samples once, in their order; the last batch is padded with its first image, and masked."""
        yield from self._iterate(self._cut(np.arange(len(self.rows)), drop=False), pad=True)

    def first(self) -> Batch:
        """A full-sized batch for measuring, repeating samples where there are too few."""
        return self._gather(np.resize(np.arange(len(self.rows)), self.batch_size), pad=False)

    def class_counts(self) -> np.ndarray:
        """``[K, 2]`` float32: known positives and negatives as a training epoch shows them, in the mean."""
        targets = self.targets[self.rows]
        sampling = self.sampling or Sampling(np.ones(len(targets)), np.zeros(len(targets), np.int64))
        return sampling.class_counts(targets)

    def _cut(self, order: np.ndarray, drop: bool) -> list[np.ndarray]:
        """Positions in ``rows`` to those of each batch."""
        size = self.batch_size
        stop = len(order) - len(order) % size if drop else len(order)
        return [order[at : at + size] for at in range(0, stop, size)]

    def _iterate(self, batches: Sequence[np.ndarray], pad: bool) -> Iterator[Batch]:
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCH)
        found = grain.MapDataset.source(batches).map(lambda local: _ahead(self._gather(local, pad)))
        yield from found.to_iter_dataset(options)

    def _gather(self, local: np.ndarray, pad: bool) -> Batch:
        mask = np.ones(len(local), np.float32)
        if pad and len(local) < self.batch_size:
            missing = self.batch_size - len(local)
            local = np.concatenate([local, np.full(missing, local[0])])
            mask = np.concatenate([mask, np.zeros(missing, np.float32)])
        rows = self.rows[local]
        return Batch(self.store.take(rows), self.targets[rows], mask)


def _ahead(batch: Batch) -> Batch:
    """The batch with its copy to an accelerator begun; on a CPU there is nothing to copy to."""
    import jax

    if jax.default_backend() == "cpu":
        return batch
    return batch._replace(images=jax.device_put(batch.images), targets=jax.device_put(batch.targets))


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
