"""The preprocessors of batches, applied and checked against what the weights were trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.contracts.architecture import Preprocessing
from medplug.data.preprocess import BatchStep, Preprocessors
from medplug.errors import ContractError, MedplugError, UsageError
from medplug.progress import Reporter

_TOLERANCE = 0.3  # of the expected range: z-scores pass where the statistics of ImageNet are expected, -1..1 does not


def prepare(
    images: jax.Array, steps: Sequence[BatchStep] | None, target: Preprocessing, key: jax.Array | None = None
) -> jax.Array:
    """Images ``[B, *S, C]`` float32 in [0, 1] to what the network sees; traced.

    Args:
        images: of the size that the first preprocessor wants.
        steps: in order; None, for networks outside of a run, is what the weights were trained with.
        target: what the network takes.
        key: in training.

    Raises:
        ContractError: a preprocessor fails, or gives something else than float32 images.
        UsageError: the result does not have the size or channels of the network's input.
    """
    if steps is None:
        return target.standardise(images)
    for number, one in enumerate(steps):
        images = _apply(one, images, None if key is None else jax.random.fold_in(key, number))
    wanted = (*(target.size,) * (images.ndim - 2), target.channels)
    if images.shape[1:] != wanted:
        names = ", ".join(one.name for one in steps) or "no preprocessor of batches"
        raise UsageError(f"the network takes {_shape(wanted)}, but gets {_shape(images.shape[1:])} after {names}")
    return images


def _apply(one: BatchStep, images: jax.Array, key: jax.Array | None) -> jax.Array:
    try:
        result = one.step(images, one.target, key)
    except MedplugError:
        raise
    except Exception as error:
        got = f"a batch {list(images.shape)}"
        raise ContractError(f"the preprocessor {one.name} failed on {got}: {type(error).__name__}: {error}") from error
    shape: tuple[int, ...] = getattr(result, "shape", ())
    dtype = getattr(result, "dtype", type(result).__name__)
    if len(shape) != images.ndim or shape[:1] != images.shape[:1] or dtype != jnp.float32:
        raise ContractError(
            f"the preprocessor {one.name} must give as many float32 images as it gets: {list(images.shape)} became "
            f"{dtype} {list(shape)}"
        )
    return result


def check_match(preprocessors: Preprocessors, spatial: int, outcome: str, reporter: Reporter) -> None:
    """Compare what reaches the network with what its weights were trained with.

    Raises:
        UsageError: they differ, and ``outcome`` is not ``"warn"``.
    """
    found = mismatch(preprocessors, spatial)
    if found and outcome == "warn":
        reporter.warn(found)
    elif found:
        raise UsageError(
            f"{found}: change preprocess.use (a preprocessor that standardises as the architecture says fits any weights), "
            "train without weights, or go on nevertheless with data.mismatch=warn"
        )


def mismatch(preprocessors: Preprocessors, spatial: int) -> str:
    """Why images do not reach the network as its weights were trained with them; empty where they do.

    Two images of uniform noise, the second one red, go through the preprocessors of batches: the range of each
    channel and the order of the channels are those that the architecture states, up to a part of the range.
    """
    target = preprocessors.target
    noise = _noise(preprocessors.decode.size, spatial, target.channels)
    made = jax.jit(lambda images: prepare(images, preprocessors.batch, target))(noise)
    found = np.asarray(made, np.float64).reshape(2, -1, target.channels)
    if not np.isfinite(found).all():
        return f"values that reach the network are not finite ({_names(preprocessors)})"
    expected = np.asarray(target.standardise(noise), np.float64).reshape(2, -1, target.channels)
    low, high = expected.min((0, 1)), expected.max((0, 1))
    off = np.abs(np.stack([found.min((0, 1)) - low, found.max((0, 1)) - high])) / (high - low)
    if off.max() > _TOLERANCE:
        return (
            f"the weights were trained with values from {_range(expected)}, but those that reach the network go from "
            f"{_range(found)} ({_names(preprocessors)})"
        )
    means = (found[1].mean(0) - low) / (high - low)
    if target.channels == 3 and means[0] < means[2] - _TOLERANCE / 2:
        return f"the weights were trained with the channels red, green, blue, but they come turned around ({_names(preprocessors)})"
    return ""


def _noise(edge: int, spatial: int, channels: int) -> jax.Array:
    noise = np.random.default_rng(0).random((2, *(edge,) * spatial, channels), np.float32)
    noise = np.clip(1.2 * noise - 0.1, 0, 1)  # so that some pixels are black and some white
    noise[1] /= 2
    noise[1, ..., 0] += 0.5
    return jnp.asarray(noise)


def _names(preprocessors: Preprocessors) -> str:
    names = [one.name.rpartition(":")[2] for one in preprocessors.batch]
    return f"after {', '.join(names)}" if names else "no preprocessor of batches is named"


def _range(values: np.ndarray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape))
