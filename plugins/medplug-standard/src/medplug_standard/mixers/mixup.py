"""Mixup: weighted sums of two images."""

from __future__ import annotations

import jax

from medplug.plugins import component, param
from medplug_standard.mixers.pairs import mix_rows, own_shares, partners


@component
class Mixup:
    """Adds two images of the batch in random shares, and their targets alike (Zhang et al. 2018).

    Each image has a share of its own, drawn from Beta(alpha, alpha): for a small alpha most are near 0 or 1.
    """

    alpha: float = param("of the Beta distribution of shares; 1 draws all shares alike", default=0.2, ge=0.01, le=100)
    p: float = param("probability that an image is mixed with another", default=1.0, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images ``[B, *S, C]`` float32 and targets ``[B, K]`` float32, both as weighted sums of two rows."""
        pair_key, share_key = jax.random.split(key)
        other = partners(pair_key, len(images))
        share = own_shares(share_key, len(images), self.alpha, self.p)
        return mix_rows(images, other, share), mix_rows(targets, other, share)
