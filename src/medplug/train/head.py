"""The classifier on frozen features, solved in seconds: all samples at once, with the penalty that validates best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from medplug.train.state import TrainState, merge
from medplug.train.step import Objective

STRENGTHS = tuple(float(x) for x in np.logspace(0, -5, 11))
"""Strengths of the penalty that are tried, from strong to weak, in units of the features' mean variance."""
_WORSE = 3  # strengths in a row that validate worse, after which weaker ones are not tried
_ITERATIONS = 200  # of one strength; the next one starts where it ended
_TOLERANCE = 1e-6  # relative gain of the penalised loss below which an iteration is the last


@dataclass(frozen=True)
class SolvedHead:
    """What :func:`solve_head` found.

    Attributes:
        head: parameters of the classifier, as in a training state.
        l2: the strength that was chosen.
        loss: mean loss of the training samples, without the penalty.
        validation_loss: of the validation samples.
        tried: (strength, training loss, validation loss) of each that was tried.
    """

    head: Any
    l2: float
    loss: float
    validation_loss: float
    tried: tuple[tuple[float, float, float], ...]


def solve_head(
    objective: Objective,
    state: TrainState,
    features: Any,
    targets: np.ndarray,
    weights: np.ndarray,
    validation: tuple[Any, np.ndarray],
    strengths: tuple[float, ...] = STRENGTHS,
) -> SolvedHead:
    """The head's parameters with the least mean loss plus ``l2 / 2`` times their squared kernels; biases are free.

    Every strength is solved by L-BFGS (Liu & Nocedal 1989), from the solution of the stronger one before. The network is in
    eval mode: nothing is dropped.

    Args:
        objective: its loss and structure count.
        state: its head is where the search begins.
        features: of N training samples, as :func:`~medplug.train.features.features_of` gives them.
        targets: ``[N, K]`` float32, NaN for unknown.
        weights: ``[N]``, how much each sample counts; scaled here to a mean of 1.
        validation: features and targets of the validation samples, by whose mean loss the strength is chosen.
        strengths: from strong to weak, in units of the mean variance of the features.
    """
    start, rebuild = ravel_pytree(state.head)
    sizes = jnp.concatenate([jnp.full(leaf.size, float(leaf.ndim > 1)) for leaf in jax.tree.leaves(state.head)])
    scaled = jnp.asarray(weights / weights.mean(), jnp.float32)

    def losses(head: Any, features: Any, targets: jax.Array) -> jax.Array:
        module = merge(objective.modes.evaluate, state._replace(head=head))
        return objective.loss(module.classify(features).astype(jnp.float32), targets, objective.class_counts)

    @jax.jit
    def plain(flat: jax.Array, features: Any, targets: jax.Array, weights: jax.Array) -> jax.Array:
        return (weights * losses(rebuild(flat), features, targets)).mean()

    @jax.jit
    def penalised(flat: jax.Array, l2: jax.Array, features: Any, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        def total(flat: jax.Array) -> jax.Array:
            return plain(flat, features, targets, scaled) + l2 / 2 * (sizes * flat**2).sum()

        return jax.value_and_grad(total)(flat)

    held, wanted = jax.tree.map(jnp.asarray, validation)
    even = jnp.ones(len(wanted))
    features, targets = jax.tree.map(jnp.asarray, (features, targets))
    unit = float(np.mean([np.var(np.asarray(f), axis=0).mean() for f in jax.tree.leaves(features)])) or 1.0
    options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE}
    flat, best, tried, worse = np.asarray(start, np.float64), None, [], 0
    for strength in strengths:
        l2 = np.float32(strength * unit)

        def objective_of(x: np.ndarray, l2: Any = l2) -> tuple[float, np.ndarray]:
            value, gradient = penalised(jnp.asarray(x, jnp.float32), l2, features, targets)
            return float(value), np.asarray(gradient, np.float64)

        flat = minimize(objective_of, flat, jac=True, method="L-BFGS-B", options=options).x
        now = jnp.asarray(flat, jnp.float32)
        found = float(plain(now, features, targets, scaled)), float(plain(now, held, wanted, even))
        tried.append((strength, *found))
        if best is None or found[1] < best[1][1]:
            best, worse = (strength, found, now), 0
            continue
        worse += 1
        if worse == _WORSE:
            break
    assert best is not None
    strength, (loss, validation_loss), solution = best
    return SolvedHead(rebuild(solution), strength, loss, validation_loss, tuple(tried))
