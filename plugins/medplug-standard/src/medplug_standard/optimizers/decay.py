"""Which parameters decay."""

from __future__ import annotations

from typing import Any

import jax


def decays(params: Any) -> Any:
    """Matrices and kernels decay; norms and biases, which have one axis, do not."""
    return jax.tree.map(lambda p: p.ndim > 1, params)
