"""The preprocessors of a run: those of images, then those of batches, and where in an image the network looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medplug.contracts.architecture import Preprocessing
from medplug.data.decode import DecodeOptions, Named, apply_step
from medplug.errors import ContractError, UsageError
from medplug.params import parameters

STAGES = ("image", "batch")
Region = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class BatchStep:
    """One batch preprocessor.

    Attributes:
        name: its reference.
        step: the component.
        target: what it has to deliver.
        edge: the edge of the images that it is given, pixels.
    """

    name: str
    step: Any
    target: Preprocessing
    edge: int


@dataclass(frozen=True)
class Preprocessors:
    """All preprocessors in order, each with its reference.

    Attributes:
        made: (reference, component) pairs.
        target: what the network takes: that of its architecture, with the edge of the run.

    Raises:
        UsageError: one of images follows one of batches.
        ContractError: a stage that does not exist.
    """

    made: tuple[Named, ...]
    target: Preprocessing

    def __post_init__(self) -> None:
        later, seen = "", dict[str, Any]()
        for name, step in self.made:
            if seen.setdefault(name, step) != step:
                raise UsageError(
                    f"preprocess.use: {name} stands there twice with different parameters, which a configuration cannot hold"
                )
            if step.stage not in STAGES:
                raise ContractError(f"preprocessor {name}: stage must be 'image' or 'batch', got {step.stage!r}")
            if step.stage == "batch":
                later = name
            elif later:
                raise UsageError(
                    f"preprocess.use: {_bare(name)} works on single images and {_bare(later)} on batches, which comes after "
                    f"all that is done to single images: name {_bare(name)} first"
                )

    @property
    def batch(self) -> tuple[BatchStep, ...]:
        """The preprocessors of batches, each with the edge that it is given and the one that it has to deliver."""
        steps: list[BatchStep] = []
        wanted = self.target.size
        for name, step in reversed(self.made):
            if step.stage == "batch":
                edge = step.input_size(wanted) if hasattr(step, "input_size") else wanted
                steps.insert(0, BatchStep(name, step, replace(self.target, size=wanted), edge))
                wanted = edge
        return tuple(steps)

    @property
    def decode(self) -> DecodeOptions:
        """How single images are prepared: larger than the network's input where a batch preprocessor wants it."""
        batch = self.batch
        target = replace(self.target, size=batch[0].edge if batch else self.target.size)
        images = tuple((name, step) for name, step in self.made if step.stage == "image")
        return DecodeOptions(target.size, target.channels, images, target)

    def input_shape(self, spatial: int) -> tuple[int, ...]:
        """``(*S, C)`` of the network's input."""
        return (*(self.target.size,) * spatial, self.target.channels)

    def to_json(self) -> list[dict[str, Any]]:
        """References and parameters, in order."""
        return [{"use": name, "parameters": parameters(step)} for name, step in self.made]

    def ground(self, pixels: np.ndarray, kept: np.ndarray, where: str = "") -> np.ndarray:
        """What a map of the network's input is drawn on: the image in its own resolution, cut to what the network saw.

        Args:
            pixels: ``[*S, C]`` as the reader gave it.
            kept: ``[size, …, channels]`` uint8, what the image preprocessors made of it: drawn on where one of them
                moves content without saying where to.
            where: the image's name, for errors.

        Returns:
            Pixels of the depth of the input; what lies outside of the image is black.
        """
        pixels, region = self._seen(pixels, kept, where)
        return cut(pixels, region)

    def mask_to_input(self, mask: np.ndarray, pixels: np.ndarray, kept: np.ndarray, where: str = "") -> np.ndarray:
        """A mask of an image, brought the way of its pixels to the network's input: nearest neighbours, empty outside.

        Args:
            mask: ``[*S]`` bool.
            pixels: ``[*S, C]`` as the reader gave them.
            kept: ``[size, …, channels]`` uint8, what the image preprocessors made of them.
            where: the image's name, for errors.

        Returns:
            ``[size, …]`` bool.

        Raises:
            UsageError: a preprocessor moves the content of images without saying where to.
        """
        ground, region = self._seen(pixels, kept, where)
        if ground is not pixels:
            raise UsageError(
                f"{where}: the mask cannot follow the image, since a preprocessor that changes the size of images has no "
                "method region"
            )
        found = mask
        for axis, (low, high) in enumerate(region):
            at = np.floor(low + (np.arange(self.target.size) + 0.5) * (high - low) / self.target.size).astype(int)
            inside = (at >= 0) & (at < mask.shape[axis])
            found = np.take(found, np.clip(at, 0, mask.shape[axis] - 1), axis)
            found = found & inside.reshape([-1 if i == axis else 1 for i in range(mask.ndim)])
        return found

    def _seen(self, pixels: np.ndarray, kept: np.ndarray, where: str) -> tuple[np.ndarray, Region]:
        """Pixels, and the region of them that the network sees: the image's own, or ``kept``, see :meth:`ground`."""
        decode = self.decode
        assert decode.steps is not None
        frame = _Frame(pixels.shape[:-1])
        found = pixels
        for name, step in decode.steps:
            before, found = found, apply_step(name, step, found, decode.target or self.target, where)
            if not frame.follow(step, before.shape, found.shape[:-1], decode.target or self.target):
                pixels, frame = kept, _Frame(kept.shape[:-1])
                break
        channels, spatial = kept.shape[-1], kept.ndim - 1
        for one in self.batch:
            after = (one.target.size,) * spatial
            if not frame.follow(one.step, (*(one.edge,) * spatial, channels), after, one.target):
                raise ContractError(
                    f"the preprocessor {one.name} changes the size of images, so it needs a method region"
                )
        return pixels, frame.region


class _Frame:
    """The place of an image in the image that it was made of."""

    def __init__(self, spatial: Sequence[int]) -> None:
        self.region: Region = tuple((0.0, float(n)) for n in spatial)

    def follow(self, step: Any, shape: tuple[int, ...], after: tuple[int, ...], target: Preprocessing) -> bool:
        """Go on to the result of a preprocessor; False where it does not say how that lies in its input."""
        if not hasattr(step, "region"):
            return after == shape[:-1]
        inner = step.region(shape, target)
        scale = [(high - low) / n for (low, high), n in zip(self.region, shape[:-1], strict=True)]
        self.region = tuple(
            (outer[0] + s * low, outer[0] + s * high)
            for outer, s, (low, high) in zip(self.region, scale, inner, strict=True)
        )
        return True


def cut(pixels: np.ndarray, region: Region) -> np.ndarray:
    """A region of an image, to whole pixels; what lies outside of the image is black."""
    bounds = [(round(low), max(round(low) + 1, round(high))) for low, high in region]
    spatial = pixels.shape[:-1]
    if all(b == (0, n) for b, n in zip(bounds, spatial, strict=True)):
        return pixels
    result = np.zeros((*(high - low for low, high in bounds), pixels.shape[-1]), pixels.dtype)
    inside = [(max(low, 0), min(high, n)) for (low, high), n in zip(bounds, spatial, strict=True)]
    if all(low < high for low, high in inside):
        to = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(inside, bounds, strict=True))
        result[to] = pixels[tuple(slice(a, b) for a, b in inside)]
    return result


def _bare(reference: str) -> str:
    return reference.rpartition(":")[2]
