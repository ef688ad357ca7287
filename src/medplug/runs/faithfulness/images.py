"""The test images of a finished run, read again, with what is known of where to look in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medplug.data.decode import check_pixels, to_input
from medplug.errors import ContractError, DataError, UsageError
from medplug.files import read_json
from medplug.images import find_mask, load_mask
from medplug.runs.folder import MANIFEST
from medplug.values import Predictions

if TYPE_CHECKING:
    from medplug.runs.run import Run


class TestImages:
    """Images and masks of the test part, by their row in the stored predictions.

    Args:
        run: a finished run.
        masks: a folder of masks with the names of the samples; without it masks are those that the reader knows.

    Raises:
        UsageError: the run was trained on arrays that are gone, or there is no such folder.
        DataError: a test image is no longer there.
    """

    __test__ = False  # its name looks like that of a test

    def __init__(self, run: Run, masks: str | Path | None = None) -> None:
        self._reader = run._run_reader()
        if self._reader is None:
            raise UsageError(
                "this run was trained on arrays, which are not at hand: open it with load_run(…, reader=…)"
            )
        self._masks = None if masks is None else Path(masks)
        if self._masks is not None and not self._masks.is_dir():
            raise UsageError(f"--masks {masks}: no such folder")
        self.predictions: Predictions = run.predictions("test")
        self._preprocessors, self._threads = run.preprocessors, run.config.data.threads
        source = read_json(run.folder / MANIFEST)["argument"]
        index = self._reader.index(source)
        uris = dict(zip(index.samples, index.uris, strict=True))
        gone = [sample for sample in self.predictions.samples if sample not in uris]
        if gone:
            raise DataError(f"{source}: {len(gone)} test images are no longer there, such as {gone[0]}")
        self._uris = [uris[sample] for sample in self.predictions.samples]

    @property
    def marked_by(self) -> str:
        """Who says where to look: a folder, the reader, or nobody."""
        if self._masks is not None:
            return str(self._masks)
        return "reader" if hasattr(self._reader, "mask") else ""

    def load(self, rows: Sequence[int]) -> np.ndarray:
        """The network's input before standardising, ``[n, *S, C]`` uint8."""
        return np.stack([kept for _, kept in self._each(rows)])

    def batches(self, rows: Sequence[int], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows and their images, a few at a time."""
        for start in range(0, len(rows), size):
            part = np.asarray(rows[start : start + size])
            yield part, self.load(part.tolist())

    def with_masks(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Images ``[n, *S, C]`` uint8, and their masks ``[n, *S]`` bool, empty where there is none; None without any.

        Raises:
            ImageError: a mask cannot be read.
            DataError: a mask has another size than its image.
        """
        images, masks = [], []
        for row, (pixels, kept) in zip(rows, self._each(rows), strict=True):
            images.append(kept)
            masks.append(self._mask(row, pixels, kept))
        if not any(mask is not None for mask in masks):
            return np.stack(images), None
        edge, axes = self._preprocessors.target.size, images[0].ndim - 1
        empty = np.zeros((edge,) * axes, bool)
        return np.stack(images), np.stack([empty if mask is None else mask for mask in masks])

    def _each(self, rows: Iterable[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        decode = self._preprocessors.decode

        def one(row: int) -> tuple[np.ndarray, np.ndarray]:
            sample = self.predictions.samples[row]
            pixels = check_pixels(self._reader.load(self._uris[row]), sample)
            return pixels, to_input(pixels, decode, sample)

        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(one, rows)

    def _mask(self, row: int, pixels: np.ndarray, kept: np.ndarray) -> np.ndarray | None:
        sample, mask = self.predictions.samples[row], None
        if self._masks is not None:
            path = find_mask(self._masks, sample)
            mask = None if path is None else load_mask(path)
        elif hasattr(self._reader, "mask"):
            mask = self._reader.mask(self._uris[row])
        if mask is None:
            return None
        if mask.dtype != np.bool_:
            raise ContractError(f"{sample}: a reader's mask must be bool, got {mask.dtype}")
        if mask.shape != pixels.shape[:-1]:
            sizes = " x ".join(map(str, mask.shape)), " x ".join(map(str, pixels.shape[:-1]))
            raise DataError(f"{sample}: its mask has {sizes[0]} pixels, the image {sizes[1]}; make both the same size")
        return self._preprocessors.mask_to_input(mask, pixels, kept, sample)


def choose_rows(
    predictions: Predictions, explained: np.ndarray, count: int, seed: int, first: Iterable[str] = ()
) -> np.ndarray:
    """Rows of images to measure on: those of ``first``, then one of each class in turn, drawn at random.

    Args:
        predictions: with targets.
        explained: ``[N]`` the class that is explained in each image; in multi-label tasks it stands for its label.
        count: how many, at most.
        seed: of the draw, which does not depend on the order of the samples.
        first: names of images that are taken in any case, as far as ``count`` allows.

    Returns:
        ``[n]`` int64, ascending.
    """
    targets = predictions.targets
    single = predictions.task == "multiclass" and targets is not None
    stands_for = targets.argmax(1) if single and targets is not None else explained
    wanted = set(first)
    chosen = [row for row, sample in enumerate(predictions.samples) if sample in wanted][:count]
    by_name = np.array(sorted(range(len(predictions.samples)), key=predictions.samples.__getitem__), np.int64)
    queues: list[list[Any]] = []
    for c in range(len(predictions.classes)):
        own = [row for row in by_name[stands_for[by_name] == c].tolist() if row not in chosen]
        queues.append(np.random.default_rng([seed, c]).permutation(own).astype(int).tolist())
    have = [sum(stands_for[row] == c for row in chosen) for c in range(len(queues))]
    while len(chosen) < count and any(queues):
        c = min((c for c, queue in enumerate(queues) if queue), key=lambda c: (have[c], c))
        chosen.append(queues[c].pop())
        have[c] += 1
    return np.array(sorted(chosen), np.int64)
