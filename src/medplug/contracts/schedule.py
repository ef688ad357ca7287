"""The contract of schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import optax


@runtime_checkable
class Schedule(Protocol):
    """How the learning rate moves through a phase of training, as a share of the phase's peak rate.

    A pure function of the step and of the number of steps, so that a resumed run goes on with the same rates. What
    depends on losses (plateaus, early stopping) does not belong here. A phase that is stopped early ends before its
    last step.
    """

    def __call__(self, steps: int) -> optax.Schedule:
        """For a phase of ``steps`` steps, 1 or more: a function from a 0-based step to a share of the peak rate.

        The step is an int or an int32 array without axes, perhaps traced; the share is one float32 in [0, 1]. It
        should reach 1 somewhere.
        """
        ...
