"""From gradients to parameters: clipping, the optimizer, a rate for each layer, and the average of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from medplug.errors import UsageError
from medplug.train.state import Average, TrainState, trainable

_SLOW_START = 10  # the average forgets its beginning: after t steps it reaches back t / 10 at most


@dataclass(frozen=True)
class Update:
    """How the gradients of a phase move its parameters.

    Attributes:
        transformation: clipping, then the optimizer with a rate of one, sign included.
        scales: a factor of the rate for each parameter that the phase trains; None for one for all.
    """

    transformation: optax.GradientTransformation
    scales: Any = None

    def __call__(self, params: Any, grads: Any, moments: Any, rate: jax.Array) -> tuple[Any, Any]:
        """The moved parameters and the optimizer's next state."""
        updates, moments = self.transformation.update(grads, moments, params)
        if self.scales is None:
            return jax.tree.map(lambda p, u: p + rate * u, params, updates), moments
        return jax.tree.map(lambda p, u, s: p + rate * s * u, params, updates, self.scales), moments


def make_update(optimizer: Any, gradient_clip: float, scales: Any = None) -> Update:
    """The update of an optimizer component, after clipping by the global norm where ``gradient_clip`` is not 0."""
    clip = [optax.clip_by_global_norm(gradient_clip)] if gradient_clip else []
    return Update(optax.chain(*clip, optimizer()), scales)


def layer_scales(state: TrainState, stages: tuple[str, ...], decay: float) -> Any:
    """Factors of the rate in phase two: 1 for the head, ``decay`` less for each stage further from it (Clark et al. 2020).

    Args:
        state: its parameters are looked at by name.
        stages: of the network, first to last; each names the submodule that computes it.
        decay: factor from one stage to the one before.

    Raises:
        UsageError: parameters lie outside of the stages, so that nobody knows how deep.
    """
    depth = {name: len(stages) - number for number, name in enumerate(stages)}

    def scale(path: Any, _: Any) -> float:
        name = _name(path[0])
        if name not in depth:
            raise UsageError(
                f"training.layer_decay={decay:g} needs a network whose stages are its submodules, but {name!r} is none of "
                f"{', '.join(stages) or 'its stages (it names none)'}; set it to 1"
            )
        return decay ** depth[name]

    return jax.tree.map(lambda _: 1.0, state.head), jax.tree_util.tree_map_with_path(scale, state.body)


def _name(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", key)))


# ---------------------------------------------------------------- the average of the weights


def start_average(state: TrainState, frozen: bool) -> TrainState:
    """The state with an average that begins at the parameters which a phase trains."""
    head, body = (state.head, None) if frozen else (state.head, state.body)
    return state._replace(average=Average(jnp.zeros((), jnp.int32), *jax.tree.map(jnp.copy, (head, body))))


def average_decay(share: float, steps: int) -> float:
    """The decay whose memory is ``share`` of a phase of so many steps: 0.1 and 1,000 steps give 0.99.

    >>> average_decay(0.1, 1000)
    0.99
    """
    return 1 - 1 / max(1.0, share * steps)


def move_average(state: TrainState, decay: jax.Array) -> TrainState:
    """The state after one more step of the exponential moving average (Polyak and Juditsky 1992); none where there is none."""
    if state.average is None:
        return state
    count, head, body = state.average
    keep = jnp.minimum(decay, (1 + count) / (_SLOW_START + count))
    now = state.head, None if body is None else state.body
    head, body = jax.tree.map(lambda a, p: keep * a + (1 - keep) * p, (head, body), now)
    return state._replace(average=Average(count + 1, head, body))


def evaluated(state: TrainState) -> TrainState:
    """What is validated, kept and tested: averaged parameters where there are, and neither average nor moments."""
    if state.average is not None:
        head, body = state.average.head, state.average.body
        state = state._replace(head=head, body=state.body if body is None else body)
    return state._replace(moments=None, average=None)


def fresh(state: TrainState, update: Update, *, frozen: bool, averaging: bool) -> TrainState:
    """A copy of a state at the start of a phase, with moments and, where wanted, an average."""
    state = jax.tree.map(jnp.copy, evaluated(state))
    state = state._replace(moments=update.transformation.init(trainable(state, frozen)))
    return start_average(state, frozen) if averaging else state
