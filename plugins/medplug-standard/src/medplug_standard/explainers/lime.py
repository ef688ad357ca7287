"""Local interpretable model-agnostic explanations, over superpixels."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.superpixels import segment_grid, superpixels
from medplug_standard.explainers.variants import scores_of_variants


@component
class Lime:
    """LIME (Ribeiro, Singh & Guestrin 2016): a linear model of the score by which superpixels of the image are shown.

    Each sample shows a random half of the superpixels, the rest is 0, the mean once standardised; the first shows all. A ridge
    regression of the scores on what was shown, weighted by how near a sample is to the image, gives each superpixel a weight,
    and the map paints it with that: positive where showing it speaks for the class. Near is ``exp(-d^2 / (2 width^2))`` with
    the cosine distance ``d = 1 - sqrt(share of superpixels shown)``, as in the authors' code.
    """

    samples: int = param(
        "random choices of superpixels an image; noise falls with the root of the number (the authors' code takes 1000)",
        default=500,
        ge=2,
    )
    segments: int = param("superpixels, about", default=50, ge=2)
    compactness: float = param(
        "how much places count beside colours in superpixels; high values give squares", default=0.4, gt=0
    )
    width: float = param("of the kernel; high values count all samples alike", default=0.25, gt=0)
    alpha: float = param("strength of the ridge penalty", default=1.0, gt=0)
    score: Score = param("what the linear model is of", default="probability")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32 at the size of the images, for ``classes`` ``[B, T]`` int32.

        What is shown of an image is drawn from its own key. The cost: one pass through the network for each sample,
        whatever the number of targets.
        """
        segments = superpixels(images, self.segments, self.compactness)
        count = int(np.prod(segment_grid(images.shape[1:-1], self.segments)))
        return self._painted(network, images, classes, segments, choices(keys, self.samples, count))

    def _painted(
        self, network: NetworkView, images: jax.Array, classes: jax.Array, segments: jax.Array, shown: jax.Array
    ) -> jax.Array:
        """Maps from superpixels ``[B, *S]`` int32, and which of K of them each of N samples shows, ``[B, N, K]`` bool."""

        def sample(number: jax.Array) -> jax.Array:
            visible = jax.vmap(lambda z, s: z[s])(shown[:, number], segments)
            return jnp.where(visible[..., None], images, 0)

        scores = scores_of_variants(network, classes, self.score, shown.shape[1], sample)
        weights = self._kept(linear_model(shown, segments, scores, self.width, self.alpha))
        return jax.vmap(lambda w, s: w[:, s])(weights, segments)

    def _kept(self, weights: jax.Array) -> jax.Array:
        """The weights ``[B, T, K]`` that are painted."""
        return weights


@component
class LimePro(Lime):
    """LIME, with only the superpixels that speak most for the class: the highest positive weights, all others 0."""

    top: int = param("superpixels that are shown, at most", default=5, ge=1)

    def _kept(self, weights: jax.Array) -> jax.Array:
        return jnp.where((weights > 0) & (_ranks(-weights) < self.top), weights, 0)


@component
class LimeCon(Lime):
    """LIME, with only the superpixels that speak most against the class: the lowest weights as positive values, all others 0."""

    against = True

    top: int = param("superpixels that are shown, at most", default=5, ge=1)

    def _kept(self, weights: jax.Array) -> jax.Array:
        return jnp.where((weights < 0) & (_ranks(weights) < self.top), -weights, 0)


def _ranks(values: jax.Array) -> jax.Array:
    """The place of each value in its ascending row, from 0; of equal ones the first comes first."""
    return jnp.argsort(jnp.argsort(values, axis=-1), axis=-1)


@partial(jax.jit, static_argnames=("samples", "count"))
def choices(keys: jax.Array, samples: int, count: int) -> jax.Array:
    """Which of ``count`` superpixels each sample shows, ``[B, samples, count]`` bool: the first all, the others a half."""
    drawn = jax.lax.map(lambda key: jax.random.bernoulli(key, 0.5, (samples, count)), keys)
    return drawn.at[:, 0].set(True)


@jax.jit
def linear_model(shown: jax.Array, segments: jax.Array, scores: jax.Array, width: float, alpha: float) -> jax.Array:
    """The weight of each superpixel, ``[B, T, K]`` float32; 0 where it has no pixels.

    Args:
        shown: which of K superpixels each of N samples shows, ``[B, N, K]`` bool.
        segments: the superpixel of each pixel, ``[B, *S]`` int32.
        scores: of the samples, ``[N, B, T]`` float32.
        width, alpha: as in :class:`Lime`.
    """
    there = jax.vmap(lambda s: jnp.zeros(shown.shape[2], bool).at[s.reshape(-1)].set(True))(segments)
    z = (shown & there[:, None]).astype(jnp.float32)
    distance = 1 - jnp.sqrt(z.sum(2) / there.sum(1)[:, None])
    nearness = jnp.exp(-(distance**2) / (2 * width**2))
    return jax.vmap(ridge, (0, 1, 0, None))(z, scores, nearness, alpha)


def ridge(z: jax.Array, y: jax.Array, weights: jax.Array, alpha: float) -> jax.Array:
    """Coefficients ``[T, K]`` of the linear models of ``y`` ``[N, T]`` by ``z`` ``[N, K]``, with an intercept.

    They minimise ``sum_n weights_n (y_n - b - w z_n)^2 + alpha |w|^2``, in closed form; the intercept is not penalised.
    """
    share = (weights / weights.sum())[:, None]
    z, y = z - (share * z).sum(0), y - (share * y).sum(0)
    weighted = (weights[:, None] * z).T
    with jax.default_matmul_precision("highest"):
        return jax.scipy.linalg.solve(weighted @ z + alpha * jnp.eye(z.shape[1]), weighted @ y, assume_a="pos").T
