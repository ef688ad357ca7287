"""Gradients of the score with respect to the image: plain, times the image, and over noisy copies of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.halves import SCORE, backward_passes

Draw = Callable[[jax.Array], jax.Array]  # numbers [n] of draws to what is drawn, [n, B, ...]

SAMPLES = "noisy copies of each image; more cost more and are steadier"
NOISE = "standard deviation of the noise, as a share of each image's range of values"


@dataclass(frozen=True)
class Asked:
    """Whose gradients are wanted: the scores of ``classes`` ``[B, T]`` at ``images`` ``[B, *S, C]``."""

    network: NetworkView
    images: jax.Array
    classes: jax.Array
    score: Score

    def gradients(self) -> jax.Array:
        """``[B, T, *S, C]`` float32, from one pass through the network and a backward pass for each target."""
        network = self.network

        def scores(x: jax.Array) -> jax.Array:
            return network.scores(network.logits(x), self.classes, self.score)

        values, pull = jax.vjp(scores, self.images)
        return backward_passes(values, pull, network.at_once).astype(jnp.float32)

    def zeros(self) -> jax.Array:
        """What gathering starts from: ``[B, T, *S, C]`` float32."""
        return jnp.zeros((*self.classes.shape, *self.images.shape[1:]), jnp.float32)


def over_channels(combine: Callable[[jax.Array, jax.Array], jax.Array], values: jax.Array) -> jax.Array:
    """``[..., C]`` to ``[...]``, one channel after the other: XLA's CPU backend is slow to reduce so short an axis."""
    return reduce(combine, (values[..., channel] for channel in range(values.shape[-1])))


def over_variants(
    asked: Asked,
    count: int,
    variants: Callable[[jax.Array], tuple[jax.Array, Any]],
    add: Callable[[Any, jax.Array, Any], Any],
    start: Any,
) -> Any:
    """Gather the gradients at ``count`` variants of each image, so many at a time as ``network.at_once`` allows.

    Args:
        asked: the images, and what is differentiated.
        count: variants of each image.
        variants: the numbers ``[n]`` of variants to these variants ``[n, B, *S, C]``, and what ``add`` wants to know of
            them. What is drawn for a number depends on it alone, and so not on how many are drawn at a time.
        add: what was gathered so far, gradients ``[n, B, T, *S, C]``, and what it wants to know, to what is gathered now.
        start: what is gathered before the first.
    """
    (batch, targets), shape = asked.classes.shape, asked.images.shape[1:]
    most = max(1, asked.network.at_once // batch)
    together = next(n for n in range(min(count, most), 0, -1) if count % n == 0)
    classes = jnp.tile(asked.classes, (together, 1))

    def chunk(gathered: Any, numbers: jax.Array) -> tuple[Any, None]:
        at, known = variants(numbers)
        each = Asked(asked.network, at.reshape(together * batch, *shape), classes, asked.score).gradients()
        return add(gathered, each.reshape(together, batch, targets, *shape), known), None

    return jax.lax.scan(chunk, start, jnp.arange(count).reshape(-1, together))[0]


def gaussian(keys: jax.Array, images: jax.Array, share: float) -> Draw:
    """Numbers ``[n]`` to noise ``[n, B, *S, C]``, whose standard deviation is a share of each image's range of values.

    The noise of an image depends on its own of the ``keys`` ``[B]`` and on the number, on nothing else.
    """
    every = tuple(range(1, images.ndim))
    deviation = share * (images.max(every, keepdims=True) - images.min(every, keepdims=True))

    size = math.prod(images.shape[1:])

    def one(number: jax.Array, key: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(key, number), (size,))  # flat, which compiles five times as fast

    def draw(numbers: jax.Array) -> jax.Array:
        flat = jax.vmap(lambda number: jax.vmap(lambda key: one(number, key))(keys))(numbers)
        return deviation * flat.reshape(-1, *images.shape)

    return draw


def mean_gradient(asked: Asked, samples: int, noise: Draw) -> jax.Array:
    """The mean of the gradient, ``[B, T, *S, C]``, over ``samples`` draws of ``noise`` on the images."""

    def noisy(numbers: jax.Array) -> tuple[jax.Array, None]:
        return asked.images + noise(numbers), None

    def add(total: jax.Array, each: jax.Array, _: None) -> jax.Array:
        return total + each.sum(0)

    return over_variants(asked, samples, noisy, add, asked.zeros()) / samples


def gradient_variance(asked: Asked, samples: int, noise: Draw) -> jax.Array:
    """The variance of the gradient, ``[B, T, *S, C]``: mean squared distance from the mean of ``samples`` draws.

    Chunks are merged by their means and squared distances (Chan, Golub and LeVeque 1983): the mean square less the
    squared mean would lose small variances to rounding.
    """

    def noisy(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
        return asked.images + noise(numbers), numbers[0]  # as many were seen before

    def add(gathered: tuple[jax.Array, jax.Array], each: jax.Array, seen: jax.Array) -> tuple[jax.Array, jax.Array]:
        (mean, squares), new = gathered, len(each)
        own = each.mean(0)
        gap = own - mean
        squares = squares + ((each - own) ** 2).sum(0) + gap**2 * (seen * new / (seen + new))
        return mean + gap * (new / (seen + new)), squares

    return over_variants(asked, samples, noisy, add, (asked.zeros(), asked.zeros()))[1] / samples


@component
class Saliency:
    """Saliency (Simonyan, Vedaldi and Zisserman 2014): the largest absolute gradient over the channels of a pixel.

    It says how much the score moves when the pixel changes, not in which direction: the maps are not negative, and
    evidence against a class looks like evidence for it.
    """

    score: Score = param(SCORE, default="logit")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, at least 0, as large as the images.

        ``keys`` are not used. The cost: one pass through the network, and a backward pass for each of the T targets.
        """
        return over_channels(jnp.maximum, jnp.abs(Asked(network, images, classes, self.score).gradients()))


@component
class InputXGradient:
    """Input x gradient (Shrikumar et al. 2016): each value times its gradient, summed over the channels of a pixel.

    The value is the standardised one, so that a pixel of the mean colour, which standardising subtracts, has none. For a
    linear network the map sums to the score less that of an image of the mean colour; see ``integrated_gradients`` for
    others.
    """

    score: Score = param(SCORE, default="logit")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, signed, as large as the images.

        ``keys`` are not used. The cost: one pass through the network, and a backward pass for each of the T targets.
        """
        return over_channels(jnp.add, images[:, None] * Asked(network, images, classes, self.score).gradients())


@component
class SmoothGrad:
    """SmoothGrad (Smilkov et al. 2017): the mean gradient over noisy copies of the image.

    As in the paper the signed gradients are averaged, and ``reduce`` comes after that. By default it makes a map like
    that of ``saliency``, only steadier, which does not say in which direction the score moves.
    """

    score: Score = param(SCORE, default="logit")
    samples: int = param(SAMPLES, default=32, ge=1)
    noise: float = param(NOISE + " (the paper: 0.1 to 0.2)", default=0.15, ge=0)
    reduce: Literal["absolute", "signed"] = param(
        "absolute: the largest absolute value over the channels of a pixel, as in saliency; signed: their sum, which is "
        "positive where the score rises with the brightness",
        default="absolute",
    )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, as large as the images.

        The cost: ``samples`` times that of ``saliency``.
        """
        noise = gaussian(keys, images, self.noise)
        mean = mean_gradient(Asked(network, images, classes, self.score), self.samples, noise)
        if self.reduce == "signed":
            return over_channels(jnp.add, mean)
        return over_channels(jnp.maximum, jnp.abs(mean))


@component
class VarGrad:
    """VarGrad (Adebayo et al. 2018): the variance of the gradient over noisy copies of the image.

    Summed over the channels of a pixel. The maps are not negative: they say where the sensitivity of the score is
    unsteady, not in which direction the score moves.
    """

    score: Score = param(SCORE, default="logit")
    samples: int = param(SAMPLES, default=32, ge=2)
    noise: float = param(NOISE, default=0.15, gt=0)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, at least 0, as large as the images.

        The cost: ``samples`` times that of ``saliency``.
        """
        noise = gaussian(keys, images, self.noise)
        variance = gradient_variance(Asked(network, images, classes, self.score), self.samples, noise)
        return over_channels(jnp.add, variance)
