"""Learning rates as pure functions of the step and of the history, so that a resumed run sees the same ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medplug.config.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, peak: float, step: int, steps: int, losses: Sequence[float]) -> float:
    """The rate of one step of a phase.

    Args:
        settings: schedule, warm-up and plateau rule.
        peak: the phase's peak rate.
        step: 0-based step within the phase.
        steps: planned steps of the phase.
        losses: validation losses of the phase's finished epochs.
    """
    rate = peak if settings.schedule == "constant" else peak * cosine(step, steps, settings.warmup)
    if settings.plateau_patience == 0:
        return rate
    floor = min(settings.plateau_minimum, rate)
    return max(
        floor,
        rate * settings.plateau_factor ** plateau_cuts(losses, settings.plateau_patience, settings.plateau_min_delta),
    )


def cosine(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over a share of the steps, then half a cosine that reaches zero after the last step (Loshchilov & Hutter 2017)."""
    rising = math.floor(steps * warmup)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def plateau_cuts(losses: Sequence[float], patience: int, min_delta: float) -> int:
    """How often a rate has been cut: after each ``patience`` epochs without a loss lower than the best by ``min_delta``."""
    best, waited, cuts = math.inf, 0, 0
    for loss in losses:
        if loss < best - min_delta:
            best, waited = loss, 0
            continue
        waited += 1
        if waited >= patience:
            cuts, waited = cuts + 1, 0
    return cuts


def stops_early(losses: Sequence[float], patience: int) -> bool:
    """Whether a phase ends: ``patience`` epochs have passed without a new best loss."""
    if patience == 0 or not losses:
        return False
    best = min(range(len(losses)), key=lambda i: losses[i])
    return len(losses) - 1 - best >= patience
