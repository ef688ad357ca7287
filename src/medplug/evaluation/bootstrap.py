"""BCa bootstrap intervals from values in resamples of samples or groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from medplug.evaluation.analytic import one_sided
from medplug.evaluation.intervals import IntervalSettings, Units, rows_at_once, weight_matrices

_BLOCKS = 200  # units of the jackknife are thrown together to at most so many

Figures = dict[tuple[str, str], np.ndarray]  # by what and name: [R] or [R, K]


def left_out_blocks(drawn: Units, seed: int) -> np.ndarray:
    """Weights ``[B, N]`` that leave out one block of units each; blocks are drawn at random."""
    blocks = min(drawn.count, _BLOCKS)
    of_unit = np.random.default_rng(seed).permutation(drawn.count) % blocks
    return (of_unit[drawn.codes][None, :] != np.arange(blocks)[:, None]).astype(np.float64)


def acceleration(deviations: np.ndarray) -> float:
    """The acceleration from how much each unit raises the figure, ``[U]``; 0 where nothing moves it.

    Blocks of units serve as well as units: their skewness falls as the root of their size, as their number does.
    """
    deviations = deviations[np.isfinite(deviations)]
    if len(deviations) == 0:
        return 0.0
    deviations = deviations - deviations.mean()
    scale = float((deviations**2).sum()) ** 1.5
    return float((deviations**3).sum()) / (6 * scale) if scale > 0 else 0.0


def bca_interval(
    value: float,
    resampled: np.ndarray,
    skew: float,
    drawn: Units,
    settings: IntervalSettings,
    bounds: tuple[float, float],
    extreme: int,
) -> dict[str, Any]:
    """The bias-corrected and accelerated interval of one figure.

    Args:
        value: the figure.
        resampled: ``[R]`` its values in the resamples, NaN where undefined.
        skew: the acceleration.
        drawn: the units.
        settings: confidence and seed.
        bounds: of the figure.
        extreme: of how many units a one-sided bound is made where the figure stands at a bound in every resample.

    Returns:
        ``low``, ``high``, ``method``; ``undefined_resamples`` where some were left out. ``low`` and ``high`` are None,
        with an ``interval_reason``, where there are fewer than two units, where more than half of the resamples are
        undefined, where no resample moves the figure, or where nearly all move it to the same side: BCa then has
        nothing to go by, and its ends would lie beyond the figure itself.

    The levels are spread by Student's t and ``sqrt(U / (U - 1))``, since a resample of U units is too narrow by that much
    (Hesterberg 2015). Reference: Efron, Better bootstrap confidence intervals, 1987.
    """
    method = (
        f"{100 * settings.confidence:g} % BCa bootstrap over {drawn.count} {drawn.word}, {settings.resamples} resamples"
    )
    if drawn.count < 2:
        return _none(method, f"an interval needs at least two {drawn.word}, there is {drawn.count}")
    defined = resampled[~np.isnan(resampled)]
    missing = len(resampled) - len(defined)
    note = {"undefined_resamples": missing} if missing else {}
    if 2 * missing > len(resampled):
        return {**_none(method, f"undefined in {missing} of {len(resampled)} resamples"), **note}
    if np.ptp(defined) <= 1e-12 * max(1.0, abs(value)):
        if bounds == (0.0, 1.0) and value in bounds:
            return {**one_sided(value, extreme, settings, method), **note}
        return {**_none(method, "no resample moves it: too few samples, or the metric ignores weights"), **note}
    close = 1e-12 * max(1.0, abs(value))
    below = float((defined < value - close).mean() + (np.abs(defined - value) <= close).mean() / 2)
    bias = float(ndtri(np.clip(below, 1 / (len(defined) + 1), 1 - 1 / (len(defined) + 1))))
    tail = (1 + settings.confidence) / 2
    wide = float(stdtrit(drawn.count - 1, tail)) * np.sqrt(drawn.count / (drawn.count - 1))
    levels = [float(ndtr(bias + (bias + z) / max(1e-3, 1 - skew * (bias + z)))) for z in (-wide, wide)]
    low, high = np.quantile(defined, levels)
    if not low - close <= value <= high + close:
        side = "below" if below > 0.5 else "above"
        share = f"{100 * max(below, 1 - below):.1f} % of the resamples lie {side} it"
        return {**_none(method, f"{share}: the figure depends on sample size too much for a bootstrap"), **note}
    return {"low": float(low), "high": float(high), "method": method, **note}


def _none(method: str, reason: str) -> dict[str, Any]:
    return {"low": None, "high": None, "method": method, "interval_reason": reason}


def resample(
    call: Callable[[np.ndarray], Figures], drawn: Units, settings: IntervalSettings, classes: int
) -> tuple[Figures, Figures]:
    """Figures in the resamples and without each block of units: ``{name: [R, ...]}`` and ``{name: [B, ...]}``.

    ``call`` computes all figures for weights ``[r, N]``.
    """
    if drawn.count < 2:
        return {}, {}
    parts = [call(weights) for weights in weight_matrices(drawn, settings, classes)]
    resampled = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows = rows_at_once(len(drawn.codes), classes)
    blocks = left_out_blocks(drawn, settings.seed)
    cut = [call(blocks[i : i + rows]) for i in range(0, len(blocks), rows)]
    return resampled, {name: np.concatenate([part[name] for part in cut]) for name in cut[0]}
