"""The learning-rate range test: train a little while the rate grows, and see where the loss falls fastest and where it breaks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.data.batches import Batch
from medplug.train.measuring import Measurable, Trial

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
_BROKEN = 4.0  # times the best smoothed loss: the test ends
_MEMORY = 0.9  # share of the running mean that a new loss leaves
_REACH = 0.5  # decades on each side of a rate over which its slope is fitted
_CLEAR = 4.0  # standard errors by which the loss must fall


@dataclass(frozen=True)
class RateSweep:
    """One test, and what follows from it.

    Attributes:
        rates: learning rates of the steps, rising.
        losses: the batch's loss before each step, less what the untouched network loses on it, plus the mean of that: how hard
            a batch is cancels out.
        smoothed: the losses as a local line shows them.
        suggestion: the rate at which the loss falls fastest; None where it does not fall clearly.
        lowest: the rate with the lowest smoothed loss: more is too much.
        broke: the rate at which the test ended because the loss was four times its best or no number; None if it did not.
        reason: why there is no suggestion.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    lowest: float
    broke: float | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; a loss that is no number ends the test and is not among them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def find_rates(trainer: Measurable, phases: Sequence[str], steps: int = STEPS) -> dict[str, RateSweep]:
    """The test for each phase, on copies of the variables and on training images alone.

    Where both phases are asked for, the head is trained for ``steps`` more steps in between, at the rate that was suggested
    for it or else at the settings', because phase two never starts from an untrained head.
    """
    found: dict[str, RateSweep] = {}
    head = None
    for phase in phases:
        found[phase] = sweep(_Steps(trainer, phase, head), exponential_rates(steps=steps))
        if phase == "frozen" and "full" in phases:
            trained = _Steps(trainer, phase)
            for _ in range(steps):
                trained(found[phase].suggestion or trainer.settings.frozen_learning_rate)
            head = trained.state.head
    return found


class _Steps:
    """Trains one batch after the other, epoch after epoch, on a copy of the variables."""

    def __init__(self, trainer: Measurable, phase: str, head: Any = None) -> None:
        trial = trainer.trial(phase)
        self.state, self._untouched = self._begin(trial, head), self._begin(trial, head)
        _, _, _, self._key, _, self._decay = trial.arguments()
        self._step, self._batches, self._done = trial.function, _batches(trainer), 0

    def __call__(self, rate: float) -> tuple[float, float]:
        """One step; the batch's loss before it, and that of the untouched network with the same augmentation."""
        batch, key = next(self._batches), jax.random.fold_in(self._key, self._done)

        def step(state: Any, rate: float) -> tuple[Any, Any]:
            return self._step(state, batch.images, batch.targets, key, jnp.float32(rate), self._decay)

        self.state, loss = step(self.state, rate)
        self._untouched, before = step(self._untouched, 0.0)
        self._done += 1
        return float(loss), float(before)

    @staticmethod
    def _begin(trial: Trial, head: Any) -> Any:
        state = trial.arguments()[0]
        return state if head is None else state._replace(head=jax.tree.map(jnp.copy, head))


def _batches(trainer: Measurable) -> Iterator[Batch]:
    for epoch in itertools.count(1):
        yield from trainer.train.epoch(epoch, shuffle=trainer.settings.shuffle, last_batch="drop")


def exponential_rates(lowest: float = LOWEST, highest: float = HIGHEST, steps: int = STEPS) -> np.ndarray:
    """``[steps]`` float64 rates, each larger than the one before by the same factor."""
    return np.geomspace(lowest, highest, steps)


def sweep(step: Callable[[float], tuple[float, float]], rates: Sequence[float] | np.ndarray) -> RateSweep:
    """The learning-rate range test (Smith 2017, "Cyclical learning rates for training neural networks").

    The test ends when the running mean of the losses is four times its best, or a loss is no number: what comes after
    says nothing, and takes as long.

    Args:
        step: trains one batch at a rate; its loss from before, and the loss on this batch of the network as it was at first.
        rates: rising.
    """
    losses: list[float] = []
    firsts: list[float] = []
    mean, weight, best, broke = 0.0, 0.0, math.inf, None
    for rate in map(float, rates):
        loss, first = step(rate)
        if not math.isfinite(loss):
            broke = rate
            break
        losses.append(loss)
        firsts.append(first)
        mean, weight = _MEMORY * mean + (1 - _MEMORY) * loss, _MEMORY * weight + 1 - _MEMORY
        best = min(best, mean / weight)
        if mean / weight > _BROKEN * best:
            broke = rate
            break
    paired = np.array(losses) - np.array(firsts) + (np.mean(firsts) if firsts else 0.0)
    return _read(tuple(map(float, rates))[: len(losses)], tuple(paired.tolist()), broke)


def _read(rates: tuple[float, ...], losses: tuple[float, ...], broke: float | None) -> RateSweep:
    """The suggestion: the rate of the steepest fall of the loss over the logarithm of the rate.

    It is the rule that fastai's finder (Howard & Gugger 2020) took over from Smith's reading of the curve. The middle of
    the longest valley, fastai's present rule, lies decades too low where the loss falls a little from the first step on,
    as it does when the head already knows something.
    """
    if len(losses) < 3:
        return RateSweep(rates, losses, losses, None, rates[0] if rates else 0.0, broke, "the loss broke at once")
    x, y = np.log10(rates), _without_peaks(np.array(losses))
    level, slope, level_error, slope_error = np.array([_local_line(x, y, at) for at in range(len(x))]).T
    smoothed, low = tuple(level.tolist()), int(level.argmin())
    fall = level[0] - level[: low + 1] - _CLEAR * np.hypot(level_error[: low + 1], level_error[0])
    safe = int((x <= x[low] - _REACH).sum())  # what a slope sees must not reach beyond the lowest loss
    steepness = np.where(slope < -slope_error, -slope, 0.0)[:safe]
    if safe and fall.max() > 0 and steepness.max() > 0:
        return RateSweep(rates, losses, smoothed, rates[int(steepness.argmax())], rates[low], broke)
    reason = "the loss never fell clearly below where it began"
    rising = np.flatnonzero((level > level[0] + _CLEAR * np.hypot(level_error, level_error[0])) & (x > x[low]))
    if len(rising):
        reason += f"; it rises from {rates[int(rising[0])]:.1e} on, so stay well below"
    return RateSweep(rates, losses, smoothed, None, rates[low], broke, reason)


def _without_peaks(y: np.ndarray) -> np.ndarray:
    """Losses cut off above those of the beginning by as much as the lowest lies below: an explosion would hide its surroundings."""
    start = y[: max(1, len(y) // 4)].max()
    return np.minimum(y, start + (start - y.min()))


def _local_line(x: np.ndarray, y: np.ndarray, at: int) -> tuple[float, float, float, float]:
    """Value and slope at ``x[at]`` of the line through the points around it (least squares), and their standard errors."""
    near = np.abs(x - x[at]) <= _REACH + 1e-9
    if near.sum() < 3:
        near[max(0, at - 1) : at + 2] = True
    dx, values = x[near] - x[at], y[near]
    n, centre = len(dx), dx.mean()
    spread = float(((dx - centre) ** 2).sum())
    slope = float(((dx - centre) * values).sum() / spread)
    level = float(values.mean() - slope * centre)
    noise = math.sqrt(float(((values - level - slope * dx) ** 2).sum()) / max(1, n - 2))
    return level, slope, noise * math.sqrt(1 / n + centre**2 / spread), noise / math.sqrt(spread)
