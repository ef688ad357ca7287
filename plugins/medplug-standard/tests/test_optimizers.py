"""Optimizers against their papers in plain NumPy, and against optax with the rate inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from medplug.plugins import ParameterError
from medplug_standard.optimizers.adaptive import Adafactor, Adam, AdamW, RmsProp
from medplug_standard.optimizers.momentum import Lamb, Lion, Sgd

Pair = tuple[np.ndarray, np.ndarray]
EVERY = [Adam, AdamW, Sgd, Lion, RmsProp, Lamb, Adafactor]


def gradients(steps: int = 4) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    return [{"kernel": rng.normal(0, 3, (3, 2)), "bias": rng.normal(0, 0.1, 2)} for _ in range(steps)]


def start() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"kernel": rng.normal(0, 1, (3, 2)), "bias": rng.normal(0, 1, 2)}


def as_float32(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def walk(optimizer: optax.GradientTransformation, rate: float, steps: int = 4) -> list[Any]:
    """The parameters after each step, as the engine takes it."""
    params, seen = as_float32(start()), []
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for one in gradients(steps):
        updates, state = update(as_float32(one), state, params)
        params = jax.tree.map(lambda p, u: p + rate * u, params, updates)
        seen.append(params)
    return seen


def by_hand(
    step: Callable[[], Callable[[np.ndarray, np.ndarray], np.ndarray]], rate: float, steps: int = 4
) -> Iterator[Any]:
    """The same with a rule of NumPy for each array: (parameters, gradient) to what is taken away at a rate of 1."""
    params, rules = start(), {"kernel": step(), "bias": step()}
    for one in gradients(steps):
        params = {name: p - rate * rules[name](p, one[name]) for name, p in params.items()}
        yield params


def moments(b1: float, b2: float) -> Callable[[np.ndarray], Pair]:
    """Adam's two moments without their bias to zero."""
    m, v, t = 0.0, 0.0, 0

    def move(g: np.ndarray) -> Pair:
        nonlocal m, v, t
        m, v, t = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2, t + 1
        return m / (1 - b1**t), v / (1 - b2**t)

    return move


def adamw(decay: float) -> Any:
    move = moments(0.8, 0.9)

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        m, v = move(g)
        return m / (np.sqrt(v) + 1e-3) + (decay * p if p.ndim > 1 else 0)

    return rule


def sgd(nesterov: bool) -> Any:
    trace = 0.0

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal trace
        trace = g + 0.7 * trace
        return g + 0.7 * trace if nesterov else trace

    return rule


def lion() -> Any:
    m = 0.0

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal m
        way = np.sign(0.6 * m + 0.4 * g)
        m = 0.9 * m + 0.1 * g
        return way + (0.05 * p if p.ndim > 1 else 0)

    return rule


def rms_prop() -> Any:
    v, trace = 0.0, 0.0

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal v, trace
        v = 0.7 * v + 0.3 * g**2
        trace = g / np.sqrt(v + 1e-4) + 0.5 * trace
        return trace

    return rule


def lamb() -> Any:
    inner = adamw(0.1)

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        way = inner(p, g)
        return way * np.linalg.norm(p) / np.linalg.norm(way)

    return rule


def adafactor() -> Any:
    """Algorithm 4 of the paper: row and column means of the squares, update clipping, steps relative to the parameters."""
    row = column = whole = 0.0
    t = 0

    def rule(p: np.ndarray, g: np.ndarray) -> np.ndarray:
        nonlocal row, column, whole, t
        t += 1
        keep = 1 - t**-0.6
        if p.ndim > 1:
            row = keep * row + (1 - keep) * (g**2).mean(1)
            column = keep * column + (1 - keep) * (g**2).mean(0)
            way = g / np.sqrt(np.outer(row, column) / row.mean())
        else:
            whole = keep * whole + (1 - keep) * g**2
            way = g / np.sqrt(whole)
        way /= max(1, np.sqrt((way**2).mean()) / 0.8)
        return way * max(1e-3, np.sqrt((p**2).mean())) + (0.05 * p if p.ndim > 1 else 0)

    return rule


RULES = [
    (Adam(b1=0.8, b2=0.9, eps=1e-3), lambda: adamw(0)),
    (AdamW(b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.1), lambda: adamw(0.1)),
    (Sgd(momentum=0), lambda: lambda p, g: g),
    (Sgd(momentum=0.7), lambda: sgd(False)),
    (Sgd(momentum=0.7, nesterov=True), lambda: sgd(True)),
    (Lion(b1=0.6, b2=0.9, weight_decay=0.05), lion),
    (RmsProp(decay=0.7, eps=1e-4, momentum=0.5), rms_prop),
    (Lamb(b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.1), lamb),
    (Adafactor(min_dim_size_to_factor=2, decay_rate=0.6, clipping_threshold=0.8, weight_decay_rate=0.05), adafactor),
]


@pytest.mark.parametrize(("optimizer", "rule"), RULES, ids=lambda x: str(x) if not callable(x) else "")
def test_steps_are_those_of_the_paper(optimizer: Any, rule: Any) -> None:
    for found, expected in zip(walk(optimizer(), 0.03), by_hand(rule, 0.03), strict=True):
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=2e-4, atol=2e-5)


OPTAX = [
    (AdamW(), lambda mask: optax.adamw(0.02, weight_decay=1e-2, mask=mask)),
    (AdamW(nesterov=True), lambda mask: optax.adamw(0.02, weight_decay=1e-2, mask=mask, nesterov=True)),
    (RmsProp(momentum=0.9, nesterov=True), lambda mask: optax.rmsprop(0.02, momentum=0.9, nesterov=True)),
    (Lamb(), lambda mask: optax.lamb(0.02, weight_decay=1e-2, mask=mask)),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "peer"), OPTAX, ids=lambda x: str(x) if not callable(x) else "")
def test_a_rate_outside_is_a_rate_inside(optimizer: Any, peer: Any) -> None:
    mask = {"kernel": True, "bias": False}
    for found, expected in zip(walk(optimizer(), 0.02), walk(peer(mask), 1.0), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


@pytest.mark.parametrize("cls", EVERY)
def test_the_parameters_of_a_network_are_taken(cls: type) -> None:
    """A state of variables, in a tuple of head and body as the engine has it, and float32 all the way."""
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    params = (nnx.state(layer, nnx.Param), nnx.state(nnx.BatchNorm(2, rngs=nnx.Rngs(0)), nnx.Param))
    optimizer = cls()()
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {x.dtype.name for x in jax.tree.leaves((updates, after))} <= {"float32", "int32"}


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ParameterError, match="nesterov=true needs a momentum above 0"):
        Sgd(momentum=0, nesterov=True)
