"""Checks of optimizers, on a handful of parameters; all steps go through one compiled function per instance."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.testing.checks import Case, Check, check, require

_STEPS, _RATE = 50, 0.02  # together one unit of way: for a sign as for a gradient of 1


def _params() -> dict[str, Any]:
    """A matrix, a bias, a kernel and a single number, all away from zero."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        return (rng.choice([-1, 1], shape) * rng.uniform(0.5, 1.5, shape)).astype(np.float32)

    return {"dense": {"kernel": draw(4, 3), "bias": draw(3)}, "conv": {"kernel": draw(2, 2, 1, 3)}, "scale": draw()}


def _zeros() -> Any:
    import jax

    return jax.tree.map(np.zeros_like, _params())


def _step(case: Case, gradients: Any, state: Any, params: Any) -> tuple[Any, Any]:
    import jax

    # a function of its own: jax would share one trace among instances that call themselves equal
    compiled = case.once("compiled", lambda: jax.jit(lambda g, s, p: case.obj().update(g, s, p)))
    return compiled(gradients, state, params)


def _form(tree: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """Path, shape and dtype of each leaf; what is no array counts with its type."""
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        (jax.tree_util.keystr(path), tuple(getattr(x, "shape", ())), str(getattr(x, "dtype", type(x).__name__)))
        for path, x in leaves
    ]


@check("return an optax.GradientTransformation, such as optax.chain(...); no learning rate as an argument")
def gives_a_transformation(case: Case) -> None:
    """The call takes nothing and gives a pair of functions ``init`` and ``update``."""
    found = case.obj()
    missing = [name for name in ("init", "update") if not callable(getattr(found, name, None))]
    require(not missing, f"{type(found).__name__} has no {' and no '.join(missing)}")


@check("give each parameter an update of its shape and dtype; keep 64-bit numbers and Python's if out of it")
def shape_and_dtype(case: Case) -> None:
    """Updates look like the parameters, with everything traced."""
    import jax

    params = _params()
    updates, _ = jax.eval_shape(lambda p: case.obj().update(p, case.obj().init(p), p), params)
    for (path, shape, dtype), (place, wanted, _) in zip(_form(updates), _form(params), strict=True):
        require(path == place, f"the update of {place} is at {path}")
        require(shape == wanted and dtype == "float32", f"{place} {list(wanted)} float32 got {dtype} {list(shape)}")


@check("keep counts as int32 arrays and moments as float32 arrays from init on; no lists that grow, no Python numbers")
def state_keeps_its_form(case: Case) -> None:
    """The state holds arrays alone; structure, shapes and dtypes are the same after a step."""
    import jax

    params = _params()
    state = case.obj().init(params)
    no_arrays = [x for x in jax.tree.leaves(state) if not isinstance(x, (jax.Array, np.ndarray))]
    require(not no_arrays, f"the state holds {no_arrays[:1]}, which is no array")
    _, after = jax.eval_shape(lambda g, s, p: case.obj().update(g, s, p), params, state, params)
    same = jax.tree.structure(after) == jax.tree.structure(state)
    require(same, "the structure of the state changes with a step")
    for old, new in zip(_form(state), _form(after), strict=True):
        require(old == new, f"{old[0]} of the state was {old[2]} {list(old[1])} and became {new[2]} {list(new[1])}")


@check("add an epsilon to what is divided by; look at the norm of parameters before dividing by it")
def finite_without_a_gradient(case: Case) -> None:
    """Updates stay finite for gradients of zero, for constant ones and for parameters of zero."""
    import jax

    params, zeros = _params(), _zeros()
    ones = jax.tree.map(np.ones_like, zeros)
    for what, gradients, at in (
        ("gradients of zero", zeros, params),
        ("gradients and parameters of zero", zeros, zeros),
        ("parameters of zero", ones, zeros),
    ):
        state = case.obj().init(at)
        for _ in range(3):
            updates, state = _step(case, gradients, state, at)
            for leaf in jax.tree.leaves((updates, state)):
                require(np.isfinite(leaf).all(), f"{what} gave updates or a state that are not finite")


@check(
    "mask the decay: optax.add_decayed_weights(decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params))"
)
def spares_norms_and_biases(case: Case) -> None:
    """Without a gradient, parameters with fewer than two axes stay where they are: no decay of norms and biases."""
    import jax

    params = _params()
    updates, _ = _step(case, _zeros(), case.obj().init(params), params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
        fine = np.ndim(update) > 1 or not np.any(update)
        require(fine, f"{jax.tree_util.keystr(path)} moves by {np.ravel(update)[0]:g} without a gradient")


@check("use jax.numpy only; no NumPy, no state outside of the state")
def compiled_equals_eager(case: Case) -> None:
    """The compiled update is the one that is given without compilation, and the same each time."""
    import jax

    params = jax.tree.map(jax.numpy.asarray, _params())
    state = case.obj().init(params)
    eager, _ = case.obj().update(params, state, params)
    for _ in range(2):
        compiled, _ = _step(case, params, state, params)
        for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(compiled), strict=True):
            require(np.allclose(a, b, rtol=1e-4, atol=1e-6), f"{np.ravel(a)[0]:g} became {np.ravel(b)[0]:g}")


@check("treat each array by itself, with jax.tree.map; do not look at names or nesting", semantic=True)
def the_tree_does_not_matter(case: Case) -> None:
    """The same arrays in a plain list get the same updates."""
    import jax

    params = _params()
    leaves = [jax.numpy.asarray(x) for x in jax.tree.leaves(params)]
    nested, _ = _step(case, params, case.obj().init(params), params)
    flat, _ = case.obj().update(leaves, case.obj().init(leaves), leaves)
    for a, b in zip(jax.tree.leaves(nested), flat, strict=True):
        require(np.allclose(a, b, rtol=1e-4, atol=1e-6), f"an update of {np.ravel(a)[0]:g} became {np.ravel(b)[0]:g}")


@check("give updates that point down, with their sign: optax.chain(..., optax.scale(-1.0))", semantic=True)
def a_quadratic_goes_down(case: Case) -> None:
    """Fifty steps of ``params + 0.02 * updates`` bring the sum of squares down by a fifth at least."""
    import jax

    def total(tree: Any) -> float:
        return sum(float((np.asarray(x, np.float64) ** 2).sum()) for x in jax.tree.leaves(tree))

    params = _params()
    before, state = total(params), case.obj().init(params)
    for _ in range(_STEPS):
        updates, state = _step(case, params, state, params)  # the gradient of half the sum of squares
        params = jax.tree.map(lambda p, u: np.asarray(p + _RATE * u, np.float32), params, updates)
    after = total(params)
    require(
        after < 0.8 * before,
        f"{_STEPS} steps at a rate of {_RATE} changed the sum of squares from {before:g} to {after:g}",
    )


CHECKS: tuple[Check, ...] = (
    gives_a_transformation,
    shape_and_dtype,
    state_keeps_its_form,
    finite_without_a_gradient,
    spares_norms_and_biases,
    compiled_equals_eager,
    the_tree_does_not_matter,
    a_quadratic_goes_down,
)
