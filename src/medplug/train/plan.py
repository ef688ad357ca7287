"""How many epochs fit the time: a few steps are measured, and the plan stands before the first real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from medplug.config.settings import TrainingSettings
from medplug.errors import UsageError

_MARGIN = 0.88  # of the time left: neighbours on the machine, checkpoints and the first batches cost too
_FROZEN_SHARE = 0.25  # of the time, at most, for phase one


@dataclass(frozen=True)
class Costs:
    """Seconds, measured: one epoch of each phase, validation included."""

    frozen_epoch: float
    full_epoch: float


def measure(run: Callable[[], Any], repeats: int = 2) -> float:
    """Seconds of one call after a first one that compiles."""
    jax.block_until_ready(run())
    started = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(run())
    return (time.perf_counter() - started) / repeats


def plan_epochs(settings: TrainingSettings, costs: Costs, seconds: float) -> tuple[int, int]:
    """(frozen epochs, epochs of both phases) that fit into ``seconds``; never more than the settings say.

    Raises:
        UsageError: not even one epoch fits.
    """
    usable = seconds * _MARGIN
    frozen = min(settings.frozen_epochs, settings.epochs)
    cheap = max(1, int(usable * _FROZEN_SHARE / costs.frozen_epoch)) if frozen else 0
    first = min(frozen, cheap)
    full = min(settings.epochs - first, int((usable - first * costs.frozen_epoch) / costs.full_epoch))
    if full >= 1:
        return first, first + full
    only_frozen = min(frozen, int(usable / costs.frozen_epoch)) if frozen else 0
    if only_frozen >= 1:
        return only_frozen, only_frozen
    need = (costs.frozen_epoch if frozen else costs.full_epoch) / _MARGIN
    raise UsageError(
        f"the budget leaves {max(seconds, 0):.0f} s for training, but one epoch takes {need:.0f} s; "
        "give more minutes, a smaller --size, or a smaller architecture"
    )
