"""Rules on validation losses, as pure functions of the history, so that a resumed run meets the same decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medplug.config.settings import TrainingSettings


def plateau_share(settings: TrainingSettings, losses: Sequence[float]) -> float:
    """What a rate is multiplied by after the losses of a phase's finished epochs."""
    return settings.plateau_factor ** plateau_cuts(losses, settings.plateau_patience, settings.plateau_min_delta)


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
    """Whether a phase ends: ``patience`` epochs have passed without a new best one."""
    if patience == 0 or not losses:
        return False
    best = min(range(len(losses)), key=lambda i: losses[i])
    return len(losses) - 1 - best >= patience
