"""The mean of a figure that every image has, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.evaluation.bootstrap import acceleration, bca_interval, left_out_blocks
from medplug.evaluation.intervals import IntervalSettings, units, weight_matrices

ANY = (-np.inf, np.inf)


def mean_figure(
    values: np.ndarray,
    groups: np.ndarray | None,
    settings: IntervalSettings,
    bounds: tuple[float, float] = ANY,
) -> dict[str, Any]:
    """The mean over the images that have a value, with a BCa interval over images, or over groups where there are some.

    Args:
        values: ``[N]`` float64, NaN where an image has none.
        groups: ``[N]`` names; images of one group are drawn together.
        settings: of the bootstrap.
        bounds: of the figure.

    Returns:
        ``value``, ``n``, and ``low``, ``high``, ``method`` as :func:`~medplug.evaluation.bootstrap.bca_interval` gives
        them; ``value`` None, with a ``reason``, where no image has one.
    """
    there = ~np.isnan(values)
    if not there.any():
        return {"value": None, "n": 0, "reason": "no image has a value"}
    v = values[there].astype(np.float64)
    drawn = units(len(v), None if groups is None else groups[there])
    value = float(v.mean())
    resampled = np.concatenate([w @ v / w.sum(1) for w in weight_matrices(drawn, settings)])
    cut = np.empty(0)
    if drawn.count > 1:
        blocks = left_out_blocks(drawn, settings.seed)
        cut = blocks @ v / blocks.sum(1)
    found = bca_interval(value, resampled, acceleration(-cut), drawn, settings, bounds, drawn.count)
    return {"value": value, "n": len(v), **found}
