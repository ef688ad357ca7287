"""Gradients on the way from a baseline to the image: integrated, or at random places."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.gradients import SAMPLES, Asked, Draw, gaussian, over_channels, over_variants
from medplug_standard.explainers.halves import SCORE
from medplug_standard.explainers.variants import blurred

Baseline = Literal["mean", "darkest", "blurred"]
Rule = Literal["gauss_legendre", "midpoint"]

BASELINE = (
    "the image without evidence, from which the way starts. mean: the colour that standardising subtracts (0); darkest: "
    "the least value of each channel of the image; blurred: the image behind a Gaussian blur of a tenth of its edges"
)
_BLUR = 0.1


def baseline_images(images: jax.Array, baseline: Baseline) -> jax.Array:
    """The image without evidence for each of ``[B, *S, C]``, of the same shape.

    ``mean`` is 0: in standardised images the mean colour of what the weights were trained on, or of the image itself
    where each is standardised on its own. ``darkest`` is black wherever an image has black, and gives black
    surroundings no part in the map; nor can it show that something is dark. ``blurred`` keeps the large structure, so
    that the map is of what is smaller than a tenth of the image (Sturmfels, Lundberg and Lee 2020).
    """
    if baseline == "mean":
        return jnp.zeros_like(images)
    if baseline == "darkest":
        darkest = images.min(tuple(range(1, images.ndim - 1)), keepdims=True)
        return jnp.broadcast_to(darkest, images.shape)
    return blurred(images, [_BLUR * edge for edge in images.shape[1:-1]])


def steps_of(rule: Rule, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in [0, 1] and their weights, which sum to 1, both ``[steps]`` float32."""
    if rule == "midpoint":
        return (np.arange(steps, dtype=np.float32) + 0.5) / steps, np.full(steps, 1 / steps, np.float32)
    places, weights = np.polynomial.legendre.leggauss(steps)
    return ((places + 1) / 2).astype(np.float32), (weights / 2).astype(np.float32)


@component
class IntegratedGradients:
    """Integrated gradients (Sundararajan, Taly and Yan 2017), summed over the channels of a pixel.

    ``(image - baseline) * mean of the gradient on the straight way from the baseline to the image``. The map of a class
    sums to the score of the image less that of the baseline, but for the error of the integration rule;
    :meth:`completeness_error` measures it.
    """

    score: Score = param(SCORE, default="logit")
    steps: int = param("places on the way at which the gradient is taken", default=48, ge=1)
    baseline: Baseline = param(BASELINE, default="mean")
    rule: Rule = param("where the places are: gauss_legendre, or the middles of equal parts", default="gauss_legendre")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, signed, as large as the images.

        ``keys`` are not used. The cost: ``steps`` passes through the network, and as many backward passes for each of
        the T targets.
        """
        start = baseline_images(images, self.baseline)
        way = images - start
        places, weights = map(jnp.asarray, steps_of(self.rule, self.steps))

        def on_the_way(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
            return start + _spread(places[numbers], 1 + images.ndim) * way, weights[numbers]

        def add(total: jax.Array, each: jax.Array, weight: jax.Array) -> jax.Array:
            return total + (_spread(weight, each.ndim) * each).sum(0)

        asked = Asked(network, images, classes, self.score)
        mean = over_variants(asked, self.steps, on_the_way, add, asked.zeros())
        return over_channels(jnp.add, way[:, None] * mean)

    def completeness_error(
        self, network: NetworkView, images: jax.Array, classes: jax.Array, maps: jax.Array
    ) -> jax.Array:
        """How far ``maps`` ``[B, T, *S]`` are from complete: ``[B, T]`` float32, at least 0.

        ``|sum of the map - difference| / |difference|``, where the difference is the score of the image less that of
        the baseline. Below 0.01 the steps were enough. Where the two scores are all but equal the figure is large
        whatever the steps. The cost: two passes through the network.
        """

        def scores(x: jax.Array) -> jax.Array:
            return network.scores(network.logits(x), classes, self.score)

        difference = scores(images) - scores(baseline_images(images, self.baseline))
        gap = jnp.abs(maps.reshape(*classes.shape, -1).sum(2) - difference)
        return gap / jnp.maximum(jnp.abs(difference), jnp.finfo(jnp.float32).tiny)


@component
class GradientShap:
    """Gradient SHAP, or expected gradients (Lundberg and Lee 2017; Erion et al. 2021), summed over the channels of a pixel.

    The mean, over random baselines and random places on the straight way from there to the image, of ``(image -
    baseline) * gradient``. Baselines are noise around the chosen one. The places are drawn one from each of
    ``samples`` equal parts of the way, which has the same mean as places from all of it, and less spread.
    """

    score: Score = param(SCORE, default="logit")
    samples: int = param(SAMPLES, default=32, ge=1)
    baseline: Baseline = param(BASELINE, default="mean")
    noise: float = param(
        "standard deviation of the noise around the baseline, as a share of each image's range of values",
        default=0.1,
        ge=0,
    )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, signed, as large as the images.

        The cost: ``samples`` passes through the network, and as many backward passes for each of the T targets.
        """
        for_noise, for_places = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        noise, middle = gaussian(for_noise, images, self.noise), baseline_images(images, self.baseline)

        def places(numbers: jax.Array) -> jax.Array:
            def one(number: jax.Array, key: jax.Array) -> jax.Array:
                return (number + jax.random.uniform(jax.random.fold_in(key, number))) / self.samples

            return jax.vmap(lambda number: jax.vmap(lambda key: one(number, key))(for_places))(numbers)

        asked = Asked(network, images, classes, self.score)
        return expected_gradients(asked, self.samples, lambda numbers: middle + noise(numbers), places)


def expected_gradients(asked: Asked, samples: int, baselines: Draw, places: Draw) -> jax.Array:
    """The mean over ``samples`` draws of ``(image - baseline) * gradient``, summed over channels: ``[B, T, *S]``.

    Baselines are drawn as ``[n, B, *S, C]``, places on the way as ``[n, B]`` in [0, 1]; 0 is the baseline.
    """
    images = asked.images

    def on_the_way(numbers: jax.Array) -> tuple[jax.Array, jax.Array]:
        start, share = baselines(numbers), places(numbers)
        way = images - start
        return start + share.reshape(*share.shape, *(1,) * (images.ndim - 1)) * way, way

    def add(total: jax.Array, each: jax.Array, way: jax.Array) -> jax.Array:
        return total + (way[:, :, None] * each).sum(0)

    return over_channels(jnp.add, over_variants(asked, samples, on_the_way, add, asked.zeros())) / samples


def _spread(values: jax.Array, axes: int) -> jax.Array:
    """``[n]`` to ``[n, 1, ...]`` with so many axes."""
    return values.reshape(-1, *(1,) * (axes - 1))
