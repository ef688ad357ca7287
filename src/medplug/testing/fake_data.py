"""Fakes of the stages before training, and of what watches it: a reader of drawn images, preprocessors and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import DataError, ImageError, Index, Preprocessing, component, param, resize, to_channels

_PARTS = ("train", "train", "train", "validation", "test")


@component
class Memory:
    """Images that are drawn from their own name: noise, and a bright square at a place that belongs to the class.

    The source is ``memory`` or a whole number, the seed. Nothing is read from disk.
    """

    samples: int = param("number of images", default=60, ge=1)
    classes: int = param("number of classes", default=3, ge=1, le=9)
    size: int = param("edge, pixels; volumes have half of it as depth", default=16, ge=8)
    channels: Literal[1, 3] = param("channels of the images", default=1)
    task: Literal["multiclass", "multilabel"] = param("one class per image, or any number", default="multiclass")
    contrast: float = param(
        "brightness of the square above the noise; 0 makes the classes alike", default=0.5, ge=0, le=0.5
    )
    group_size: int = param("images per patient; 0 for no groups", default=0, ge=0)
    given_splits: bool = param("whether images come with a split", default=False)
    volumes: bool = param("whether images have three spatial axes", default=False)
    unknown: float = param("share of labels that are unknown, in multi-label tasks", default=0.0, ge=0, lt=1)
    pixels: Literal["uint8", "uint16", "float32"] = param("how pixels are stored", default="uint8")

    def can_read(self, source: str) -> float:
        """1 for the word ``memory``."""
        return 1.0 if source == "memory" else 0.0

    def index(self, source: str) -> Index:
        """The samples, as many of each class as the numbers allow."""
        if source not in ("memory", "") and not source.isdecimal():
            raise DataError(f"{source!r} is no source of images in memory; write 'memory' or a whole number")
        rng = np.random.default_rng(int(source) if source.isdecimal() else 0)
        labels = rng.permutation(np.arange(self.samples) % self.classes)
        targets = np.eye(self.classes, dtype=np.float32)[labels]
        if self.task == "multilabel":
            targets = np.maximum(targets, rng.random(targets.shape) < 0.3).astype(np.float32)
        seeds = rng.integers(0, 2**31, self.samples)
        bits = ["".join("1" if t else "0" for t in row) for row in targets]
        if self.task == "multilabel" and self.unknown:
            targets[rng.random(targets.shape) < self.unknown] = np.nan
        numbers = range(self.samples)
        return Index(
            samples=tuple(f"image{i:04d}.png" for i in numbers),
            uris=tuple(f"{seed}:{word}" for seed, word in zip(seeds, bits, strict=True)),
            targets=targets,
            classes=tuple(f"class{k}" for k in range(self.classes)),
            task=self.task,
            groups={"patient": np.array([f"p{i // self.group_size}" for i in numbers])} if self.group_size else {},
            splits=np.array([_PARTS[i % len(_PARTS)] for i in numbers]) if self.given_splits else None,
        )

    def load(self, uri: str) -> np.ndarray:
        """The image of one name, ``[*S, C]``."""
        seed, _, bits = uri.partition(":")
        if not seed.isdecimal() or set(bits) - {"0", "1"} or not bits:
            raise ImageError(f"{uri!r} is no image in memory")
        rng = np.random.default_rng(int(seed))
        shape = (*((self.size // 2,) if self.volumes else ()), self.size, self.size, self.channels)
        image = rng.uniform(0, 0.5, shape)
        third = self.size // 3
        for k, bit in enumerate(bits):
            row, column = divmod(k, 3)
            if bit == "1":
                image[..., row * third : (row + 1) * third, column * third : (column + 1) * third, :] += self.contrast
        if self.pixels == "float32":
            return image.astype(np.float32)
        return np.round(image * np.iinfo(self.pixels).max).astype(self.pixels)


@component
class Fit:
    """Stretches an image to the size and channels that are wanted."""

    stage = "image"

    antialias: bool = param("filter when shrinking", default=True)

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to ``[size, …, channels]`` of the same depth."""
        return resize(to_channels(pixels, target.channels), target.size, self.antialias)

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> tuple[tuple[float, float], ...]:
        """All of the image."""
        return tuple((0.0, float(n)) for n in shape[:-1])


@component
class Shift:
    """Brings images to the values that the weights were trained with."""

    stage = "batch"

    def __call__(self, images: jax.Array, target: Preprocessing, key: jax.Array | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` in [0, 1] to images that are centred as the architecture says."""
        return target.standardise(images)


@component
class Mirror:
    """Reverses the last spatial axis of an image, by chance."""

    probability: float = param("share of images that are mirrored", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` to the same."""
        coins = jax.random.bernoulli(key, self.probability, (len(images),))
        return jnp.where(coins.reshape(-1, *(1,) * (images.ndim - 1)), images[..., ::-1, :], images)


@component
class Recorder:
    """Writes one line per event into a file of the run's folder."""

    file: str = param("name of the file", default="events.txt")

    def _write(self, run: Any, line: str) -> None:
        with (Path(run.folder) / self.file).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def run_started(self, run: Any) -> None:
        """A run begins."""
        self._write(run, "run_started")

    def epoch_ended(self, run: Any, epoch: int, metrics: dict[str, float]) -> None:
        """An epoch is over."""
        self._write(run, f"epoch_ended {epoch} {','.join(sorted(metrics))}")

    def checkpoint_saved(self, run: Any, epoch: int) -> None:
        """A checkpoint was written."""
        self._write(run, f"checkpoint_saved {epoch}")

    def evaluated(self, run: Any, split: str) -> None:
        """A split was evaluated."""
        self._write(run, f"evaluated {split}")

    def run_ended(self, run: Any) -> None:
        """The run is done."""
        self._write(run, "run_ended")

    def run_failed(self, run: Any, error: str) -> None:
        """The run broke off."""
        self._write(run, f"run_failed {error}")
