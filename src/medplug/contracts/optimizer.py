"""The contract of optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import optax


@runtime_checkable
class Optimizer(Protocol):
    """Turns gradients into steps of the parameters: an optax gradient transformation, made for a learning rate of 1.

    The sign is included: the engine adds ``rate * updates`` to the parameters, where the rate is the phase's peak
    times the schedule, cut on a plateau and lower in earlier layers where the settings say so. A rate of its own, a
    schedule, clipping of the global norm and averages of the weights do not belong here: the engine has them.

    Parameters and gradients are float32 arrays in any pytree, whose form must not matter; each phase begins with
    ``init``. The state is a pytree of arrays; its structure, shapes and dtypes never change, for it goes into
    checkpoints. Weight decay, if any, is part of the updates (decoupled: Loshchilov & Hutter 2019) and spares
    parameters with fewer than two axes, as norms and biases have. Updates of zero gradients are finite.
    """

    def __call__(self) -> optax.GradientTransformation:
        """``init(params) -> state`` and ``update(gradients, state, params) -> (updates, state)``, pure and traceable.

        Updates have the structure, shapes and dtypes of the parameters.
        """
        ...
