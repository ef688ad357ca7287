"""Class activation maps from one pass through the network: by gradients at the features, and by the features alone.

In the formulas ``A_k`` is channel k of the features, ``G_k`` the gradient of the score with respect to it, ``p`` a
place, and P their number. Maps are raw: where a paper ends in ReLU, that of the whole map belongs to rendering.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.halves import SCORE, STAGE, flat_places, gradient_maps, spatial_part

_ROUNDING = 1e-6  # of a float32 sum, as a share of the summed sizes: below this only rounding is left


@component
class GradCamPlusPlus:
    """Grad-CAM++ (Chattopadhay et al. 2018): weights in which the places that raise the score count, whatever their number.

    ``w_k = sum_p a_k(p) ReLU(G_k(p))`` with ``a = G^2 / (2 G^2 + S_k G^3) = 1 / (2 + S_k G)``, where ``S_k = sum_p A_k(p)``: the
    paper's closed form, which needs first derivatives only because what it differentiates twice and thrice is
    ``exp(score)``. The factor ``exp(score)`` of its weights is left out: it is the same for a whole map, and overflows.
    Where the denominator is zero, the weight is. The form is exact for a score that is piecewise linear in the features (as
    a logit is behind ReLUs), and meant for features that are not negative.
    """

    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the network, and a pass back to the stage for each of the T targets.
        """
        return gradient_maps(network, images, classes, self.stage, self.score, _plus_plus)


@component
class HiResCam:
    """HiResCAM (Draelos and Carin 2020): features times their own gradient, ``sum_k A_k G_k``, place by place.

    Without the averaging of Grad-CAM a place is only shown where the score itself depends on it; for a pooled, linear
    head the two are equal. Where the rest of the network is linear, the map sums to the score less its constant.
    """

    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the network, and a pass back to the stage for each of the T targets.
        """
        return gradient_maps(network, images, classes, self.stage, self.score, lambda f, g: (f * g).sum(2))


@component
class XGradCam:
    """XGrad-CAM (Fu et al. 2020): each channel weighted with its gradient where the channel is strong.

    ``w_k = sum_p A_k(p) G_k(p) / S_k`` with ``S_k = sum_p A_k(p)``, so that the map sums to ``sum_k sum_p A_k G_k``: as that of
    HiResCAM, and where the rest of the network is linear to the score less its constant (the paper's axiom of
    conservation). Meant for features that are not negative; where a sum is zero up to rounding, the weight is zero.
    """

    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the network, and a pass back to the stage for each of the T targets.
        """
        return gradient_maps(network, images, classes, self.stage, self.score, _by_share)


@component
class LayerCam:
    """LayerCAM (Jiang et al. 2021): features times the positive part of their gradient, ``sum_k A_k ReLU(G_k)``.

    The ReLU is the method's own: it makes maps of early stages clear, where averaged gradients say little.
    """

    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the network, and a pass back to the stage for each of the T targets.
        """

        def combine(features: jax.Array, gradient: jax.Array) -> jax.Array:
            return (features * jax.nn.relu(gradient)).sum(2)

        return gradient_maps(network, images, classes, self.stage, self.score, combine)


@component
class EigenCam:
    """Eigen-CAM (Muhammad and Yeasin 2020): the features on their first principal axis, whatever the class.

    The features of an image are a matrix of P places and D channels; the map is their product with its first right singular
    vector. A singular vector has no sign of its own: here the map's values, weighted with the length of the
    features at each place, sum to something positive, so that strong features are positive. With features
    that are not negative no value of the map is, unless it is ``centred``.
    """

    class_specific = False

    stage: str | None = param(STAGE, default=None)
    centred: bool = param(
        "the mean of each channel is taken away first, so that the map shows where features differ most; "
        "the paper does not",
        default=False,
    )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, the same for all T; ``keys`` are not used.

        The cost: one pass through the network, and the eigenvectors of a matrix of edge ``min(P, D)``.
        """
        spatial = spatial_part(network.features(images, self.stage))
        flat = flat_places(spatial)
        found = _first_component(flat - flat.mean(1, keepdims=True) if self.centred else flat)
        strength = jnp.linalg.norm(flat, axis=2)
        maps = jnp.where((found * strength).sum(1, keepdims=True) < 0, -found, found)
        maps = maps.reshape(len(images), 1, *spatial.shape[1:-1])
        return jnp.broadcast_to(maps, (*classes.shape, *maps.shape[2:]))


def _plus_plus(features: jax.Array, gradient: jax.Array) -> jax.Array:
    below = 2 + features.sum(1, keepdims=True) * gradient
    alpha = jnp.where(jnp.abs(below) > _ROUNDING, 1 / below, 0)
    return jnp.einsum("bd,bpd->bp", (alpha * jax.nn.relu(gradient)).sum(1), features)


def _by_share(features: jax.Array, gradient: jax.Array) -> jax.Array:
    total, size = features.sum(1), jnp.abs(features).sum(1)
    weights = jnp.where(jnp.abs(total) > _ROUNDING * size, (features * gradient).sum(1) / total, 0)
    return jnp.einsum("bd,bpd->bp", weights, features)


def _first_component(flat: jax.Array) -> jax.Array:
    """``[B, P, D]`` on the first right singular vector of each: ``[B, P]``, of any sign.

    It is the eigenvector of ``flat^T flat``, or follows from that of ``flat flat^T``, whichever is smaller.
    """
    with jax.default_matmul_precision("highest"):
        if flat.shape[1] < flat.shape[2]:
            left = jnp.linalg.eigh(jnp.einsum("bpd,bqd->bpq", flat, flat))[1][..., -1]
            axis = jnp.einsum("bpd,bp->bd", flat, left)
            length = jnp.linalg.norm(axis, axis=1, keepdims=True)
            axis = jnp.where(length > 0, axis / length, 0)
        else:
            axis = jnp.linalg.eigh(jnp.einsum("bpd,bpe->bde", flat, flat))[1][..., -1]
        return jnp.einsum("bpd,bd->bp", flat, axis)
