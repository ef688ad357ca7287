"""Checks of schedules, on phases of one step and of many."""

from __future__ import annotations

import numpy as np

from medplug.testing.checks import Case, Check, check, require

_LENGTHS = (1, 2, 7, 100)
_MANY = 100


def _shares(case: Case, steps: int) -> np.ndarray:
    """The shares ``[steps]`` of a phase, compiled and for all steps at once."""
    import jax
    import jax.numpy as jnp

    def compute() -> np.ndarray:
        schedule = case.obj(steps)
        return np.asarray(jax.jit(jax.vmap(lambda step: jnp.asarray(schedule(step))))(jnp.arange(steps)))

    return case.once(f"shares of {steps}", compute)


@check("return a function of the step, such as lambda step: ..., from the call with the number of steps")
def gives_a_function(case: Case) -> None:
    """The call with a number of steps gives a function."""
    found = case.obj(_MANY)
    require(callable(found), f"a phase of {_MANY} steps gave {type(found).__name__}, not a function of the step")


@check("return one float32 for one step, without an axis; use jax.numpy and jnp.where instead of math and Python's if")
def shape_and_dtype(case: Case) -> None:
    """A traced int32 step gives one float32."""
    import jax
    import jax.numpy as jnp

    out = jax.eval_shape(case.obj(_MANY), jax.ShapeDtypeStruct((), jnp.int32))
    shape, dtype = np.shape(out), getattr(out, "dtype", type(out).__name__)
    require(shape == (), f"one step gave a share of shape {list(shape)}")
    require(dtype == jnp.float32, f"the share is {dtype}, not float32")


@check("clip to [0, 1]; guard divisions by the steps of a part of the phase, which may be none")
def stays_in_range(case: Case) -> None:
    """Shares are finite and within [0, 1], for phases of 1, 2, 7 and 100 steps."""
    for steps in _LENGTHS:
        shares = _shares(case, steps)
        require(np.isfinite(shares).all(), f"a phase of {steps} steps has shares that are not finite")
        low, high = float(shares.min()), float(shares.max())
        require(low >= 0 and high <= 1 + 1e-6, f"a phase of {steps} steps has shares from {low:g} to {high:g}")


@check("compute each share from its step alone: no counter, no randomness, no state")
def the_step_decides(case: Case) -> None:
    """Single steps, in any order and uncompiled, have the shares of the whole phase."""
    for steps in (1, 7):
        shares, schedule = _shares(case, steps), case.obj(steps)
        for step in (*reversed(range(steps)), steps - 1):
            one = float(schedule(step))
            require(
                abs(one - shares[step]) < 1e-5, f"step {step} of {steps} has {one:g} alone, {shares[step]:g} in a row"
            )


@check("divide by the largest share: learning_rate is said to be the peak", semantic=True)
def reaches_its_peak(case: Case) -> None:
    """In a phase of 100 steps the share comes to 0.9 at least."""
    top = float(_shares(case, _MANY).max())
    require(top >= 0.9, f"the largest share is {top:g}")


CHECKS: tuple[Check, ...] = (gives_a_function, shape_and_dtype, stays_in_range, the_step_decides, reaches_its_peak)
