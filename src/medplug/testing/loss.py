"""Checks of losses.

All numbers go through one compiled function of one shape per instance, so that drawn parameters cost one
compilation each. Inputs are fixed: the parameters vary, the arrays do not.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require

TASKS = ("multiclass", "multilabel")
_K = 3
_LEVELS = (-80.0, 0.0, 80.0)  # logits of ±80 under- and overflow exp in float32
_COUNTS = np.array([[30, 30], [20, 40], [10, 50]], np.float32)
_EMPTY = np.array([[0, 60], [60, 0], [0, 0]], np.float32)
_TARGETS = {
    "multiclass": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.3, 0.2]], np.float32),
    "multilabel": np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0.5, 0.2, 1]], np.float32),
}


def _tasks(case: Case) -> tuple[str, ...]:
    tasks = getattr(case.obj, "tasks", ())
    if not isinstance(tasks, tuple) or not tasks or not set(tasks) <= set(TASKS):
        raise NotApplicable("without valid tasks it is not known what the loss is for")
    return tasks


def _extreme(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``[108, 3]``, all combinations of the levels, for each of the targets."""
    logits = np.array(list(product(_LEVELS, repeat=_K)), np.float32)
    targets = _TARGETS[task]
    return np.repeat(logits, len(targets), axis=0), np.tile(targets, (len(logits), 1))


def _ordinary(task: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Logits and hard targets of the same shape as :func:`_extreme`."""
    rng = np.random.default_rng(seed)
    rows = len(_TARGETS[task]) * len(_LEVELS) ** _K
    targets = np.eye(_K)[rng.integers(0, _K, rows)] if task == "multiclass" else rng.integers(0, 2, (rows, _K))
    return rng.normal(0, 2, (rows, _K)).astype(np.float32), targets.astype(np.float32)


def _evaluate(case: Case, logits: np.ndarray, targets: np.ndarray, counts: np.ndarray = _COUNTS) -> tuple[Any, Any]:
    """Losses ``[B]`` and the gradient of their sum ``[B, K]``, as NumPy arrays."""
    import jax

    def compile_() -> Any:
        loss = case.obj
        return jax.jit(lambda x, t, c: (loss(x, t, c), jax.grad(lambda y: loss(y, t, c).sum())(x)))

    values, gradient = case.once("compiled", compile_)(logits, targets, counts)
    values = np.asarray(values)
    if values.shape != (len(logits),):
        raise CheckError(f"the losses of {len(logits)} rows have shape {list(values.shape)}")
    return values, np.asarray(gradient)


@check('set the class attribute tasks = ("multiclass",), ("multilabel",) or both, without an annotation', cheap=True)
def declares_tasks(case: Case) -> None:
    """``tasks`` says whether the loss is for exclusive classes, independent labels, or both."""
    tasks = getattr(case.obj, "tasks", None)
    require(isinstance(tasks, tuple) and tasks and set(tasks) <= set(TASKS), f"tasks is {tasks!r}")


@check("return one float32 value per row, [B], without mean or sum over the batch; use jax.numpy only")
def shape_and_dtype(case: Case) -> None:
    """Logits ``[B, K]`` give float32 ``[B]``, for several B and K, traced."""
    import jax
    import jax.numpy as jnp

    for b, k in ((5, _K),) if case.drawn else ((1, 2), (5, 2), (5, 7)):
        logits = jax.ShapeDtypeStruct((b, k), jnp.float32)
        out = jax.eval_shape(case.obj, logits, logits, jax.ShapeDtypeStruct((k, 2), jnp.float32))
        require(getattr(out, "shape", None) == (b,), f"logits [{b}, {k}] gave {out}, not [{b}]")
        require(out.dtype == jnp.float32, f"the losses are {out.dtype}, not float32")


@check("work with log_softmax or log_sigmoid of the logits; never log(softmax(x)); keep powers away from 0")
def finite_at_extremes(case: Case) -> None:
    """Value and gradient are finite for all combinations of logits -80, 0 and 80."""
    for task in _tasks(case):
        logits, targets = _extreme(task)
        values, gradient = _evaluate(case, logits, targets)
        _require_finite(f"logits of ±80 ({task})", logits, targets, values, gradient)


@check("compute each loss from its own row: no mean, standardisation or ranking over the batch, no division by B")
def rows_independent(case: Case) -> None:
    """A row's loss and gradient are the same in any batch, and alone."""
    import jax.numpy as jnp

    for task in _tasks(case):
        logits, targets = _ordinary(task)
        others, other_targets = _ordinary(task, seed=2)
        others[0], other_targets[0] = logits[0], targets[0]
        values, gradient = _evaluate(case, logits, targets)
        changed, changed_gradient = _evaluate(case, others, other_targets)
        _require_close(f"the loss of a row changes with the other rows ({task})", values[0], changed[0])
        _require_close(f"the gradient of a row changes with the other rows ({task})", gradient[0], changed_gradient[0])
        alone = case.obj(jnp.asarray(logits[:1]), jnp.asarray(targets[:1]), jnp.asarray(_COUNTS))
        _require_close(
            f"the loss of a row changes with the size of the batch ({task})", values[0], np.asarray(alone)[0]
        )


@check("use jax.numpy only and jnp.where instead of Python's if; no NumPy, no randomness, no state")
def compiled_equals_eager(case: Case) -> None:
    """The compiled loss gives what the loss gives without compilation."""
    import jax.numpy as jnp

    for task in _tasks(case):
        logits, targets = _ordinary(task)
        eager = np.asarray(case.obj(jnp.asarray(logits), jnp.asarray(targets), jnp.asarray(_COUNTS)))
        _require_close(f"jit and eager differ ({task})", _evaluate(case, logits, targets)[0], eager)


@check(
    "replace NaN targets before they enter the arithmetic (jnp.where inside, not only at the end), and add 0 for them"
)
def unknown_labels_add_nothing(case: Case) -> None:
    """NaN targets cost nothing, have no gradient, and let nothing else become NaN."""
    if "multilabel" not in _tasks(case):
        raise NotApplicable("unknown labels occur in multi-label tasks only")
    logits, targets = _ordinary("multilabel")
    rng = np.random.default_rng(3)
    unknown = rng.random(targets.shape) < 0.3
    unknown[0] = True
    targets[unknown] = np.nan
    values, gradient = _evaluate(case, logits, targets)
    _require_finite("unknown labels", logits, targets, values, gradient)
    require(values[0] == 0, f"a row without a known label costs {values[0]:g}, not 0")
    require(not gradient[unknown].any(), "the gradient at unknown labels is not 0")
    moved, _ = _evaluate(case, np.where(unknown, -logits, logits), targets)
    _require_close("the loss changes with the logit of an unknown label", values, moved)


@check("guard divisions by class_counts: a class may have no positives, no negatives, or neither")
def empty_class_is_finite(case: Case) -> None:
    """Classes without positives, without negatives, or without either are no trouble."""
    for task in _tasks(case):
        logits, targets = _ordinary(task)
        values, gradient = _evaluate(case, logits, targets, _EMPTY)
        _require_finite(f"class_counts {_EMPTY.tolist()} ({task})", logits, targets, values, gradient)


@check(
    "make the loss differentiable in the logits (no argmax, no rounding), and smaller where the network is better",
    semantic=True,
)
def a_gradient_step_lowers_it(case: Case) -> None:
    """A small step against the gradient lowers the mean loss."""
    for task in _tasks(case):
        logits, targets = _ordinary(task)
        values, gradient = _evaluate(case, logits, targets)
        largest = float(np.abs(gradient).max())
        require(largest > 0, f"the gradient is 0 everywhere ({task})")
        after, _ = _evaluate(case, (logits - 0.05 * gradient / largest).astype(np.float32), targets)
        require(
            after.mean() < values.mean(),
            f"a step against the gradient changed {values.mean():g} to {after.mean():g} ({task})",
        )


@check("check the sign, and the order of (logits, targets)", semantic=True)
def right_beats_wrong(case: Case) -> None:
    """A right answer costs less than none, and none less than a wrong one, in each row."""
    for task in _tasks(case):
        _, targets = _ordinary(task)
        right = (6 * targets - 3).astype(np.float32)
        wrong = np.roll(right, 1, axis=1) if task == "multiclass" else -right
        good, none, bad = (_evaluate(case, x, targets)[0] for x in (right, 0 * right, wrong))
        require((good < none).all(), f"a right answer costs {good.max():g}, no answer {none.min():g} ({task})")
        require((none < bad).all(), f"no answer costs {none.max():g}, a wrong one {bad.min():g} ({task})")


def _require_finite(
    what: str, logits: np.ndarray, targets: np.ndarray, values: np.ndarray, gradient: np.ndarray
) -> None:
    for word, finite in (("loss", np.isfinite(values)), ("gradient", np.isfinite(gradient).all(1))):
        if not finite.all():
            row = int(np.argmin(finite))
            found = f"logits {logits[row].tolist()} and targets {np.round(targets[row], 2).tolist()}"
            raise CheckError(f"{what}: the {word} is not finite for {found}")


def _require_close(what: str, a: np.ndarray, b: np.ndarray) -> None:
    if not np.allclose(a, b, rtol=1e-4, atol=1e-5):
        place = int(np.argmax(np.abs(np.ravel(a - b))))
        raise CheckError(f"{what}: {np.ravel(a)[place]:g} and {np.ravel(b)[place]:g}")


CHECKS: tuple[Check, ...] = (
    declares_tasks,
    shape_and_dtype,
    finite_at_extremes,
    rows_independent,
    compiled_equals_eager,
    unknown_labels_add_nothing,
    empty_class_is_finite,
    a_gradient_step_lowers_it,
    right_beats_wrong,
)
