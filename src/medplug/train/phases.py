"""A phase of training: which epochs, which rate at each step, and what its epochs are compared by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from medplug.config.settings import TrainingSettings
from medplug.errors import ContractError
from medplug.train.pace import Course
from medplug.train.plateau import plateau_share

PHASES = ("frozen", "full")


@dataclass(frozen=True)
class Phase:
    """One of the two phases.

    Attributes:
        name: ``frozen`` or ``full``.
        first, last: numbers of its epochs.
        steps: of one epoch.
        peak: its highest rate.
    """

    name: str
    first: int
    last: int
    steps: int
    peak: float

    @property
    def frozen(self) -> bool:
        """Whether only the head is trained."""
        return self.name == "frozen"

    def course(self) -> Course:
        """All steps of all its epochs, as planned at first."""
        return Course(self.steps * max(0, self.last - self.first + 1))

    def step(self, epoch: int, step: int = 0) -> int:
        """The number of an epoch's step within the phase, from 0."""
        return (epoch - self.first) * self.steps + step


def shares(schedule: Any, steps: int) -> np.ndarray:
    """Shares of the peak rate ``[steps]`` float64 that a component gives to a phase of so many steps.

    Raises:
        ContractError: they are not ``[steps]`` finite numbers from 0 up.
    """
    found = np.asarray(jax.vmap(schedule(max(1, steps)))(np.arange(steps, dtype=np.int32)), np.float64)
    if found.shape != (steps,) or not np.isfinite(found).all() or (found < 0).any():
        raise ContractError(
            f"the schedule {type(schedule).__name__} must give one finite share of the peak rate, 0 or more, a step"
        )
    return found


def cut_by_plateau(settings: TrainingSettings, rate: float, losses: list[float]) -> float:
    """The rate after the cuts that the plateau rule makes; never raised, never below the rule's lowest."""
    if settings.plateau_patience == 0:
        return rate
    return max(min(settings.plateau_minimum, rate), rate * plateau_share(settings, losses))


def worth(row: dict[str, Any], monitor: str, greater: bool) -> float:
    """What a finished epoch is compared by: lower is better; an undefined figure is the worst."""
    value = float(row[f"validation_{monitor}"])
    if math.isnan(value):
        return math.inf
    return -value if greater else value
