"""One epoch: its steps, then the validation split."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader, Waiting
from medplug.progress import Reporter
from medplug.train.checkpoint import Progress, Unfinished
from medplug.train.clock import Clock
from medplug.train.guard import DivergedError, LossWatch
from medplug.train.interrupt import Interruption
from medplug.train.pace import Course
from medplug.train.phases import Phase, cut_by_plateau
from medplug.train.plan import Plan
from medplug.train.state import TrainState
from medplug.train.step import sequence_key
from medplug.train.update import average_decay, evaluated

_TRAIN, _VALIDATE = 0, 1  # streams of random numbers
_TOLD = 3  # figures on the line of an epoch


class StoppedError(Exception):
    """Somebody stopped training in the middle of an epoch; its progress is written down."""


@dataclass
class Running:
    """What changes while training runs.

    Attributes:
        progress: how far it is.
        state: the variables, with moments and average.
        best: the variables of the best epoch.
    """

    progress: Progress
    state: TrainState
    best: TrainState

    def rows(self, phase: str) -> list[dict[str, Any]]:
        """The finished epochs of a phase."""
        return [row for row in self.progress.history if row["phase"] == phase]

    def take(self, other: Running) -> None:
        """Go on from somewhere else."""
        self.progress, self.state, self.best = other.progress, other.state, other.best


@dataclass
class Epoch:
    """The next epoch of a phase, ready to run.

    Attributes:
        phase: which one.
        running: its state and its courses move on; its history does not.
        shares: of the peak rate, ``[planned steps of the phase]``.
        step, validate: the compiled functions.
        key: of all randomness in training.
        settings, train, validation, score, reporter: as of the trainer.
        interruption, clock: looked at after every step; there is no clock where there is no budget.
        plan: tells the time that is left of the whole training; None where a run goes on that was planned before.
    """

    phase: Phase
    running: Running
    shares: np.ndarray
    step: Callable[..., Any]
    validate: Callable[..., Any]
    key: jax.Array
    settings: TrainingSettings
    train: Loader
    validation: Loader
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    reporter: Reporter
    interruption: Interruption
    clock: Clock | None = None
    plan: Plan | None = None

    def __post_init__(self) -> None:
        progress = self.running.progress
        self.number = progress.epoch + 1
        self._done = progress.unfinished or Unfinished(0, [], [])
        self._watch = LossWatch(self.settings.explosion, progress.reference)
        self._waiting = Waiting()

    def run(self) -> dict[str, Any]:
        """Train on all batches that are left of it, then validate; the row of the history.

        Raises:
            DivergedError: a loss is not finite, or has exploded.
            StoppedError: somebody wants to end; ``running.progress`` says where.
        """
        began, images = time.perf_counter(), -sum(self._done.sizes)
        rate = self._train()
        trained = time.perf_counter() - began
        images += sum(self._done.sizes)
        loss, figures = self._validation()
        row = {
            "epoch": self.number,
            "phase": self.phase.name,
            "loss": float(np.average(self._done.losses, weights=self._done.sizes)),
            "validation_loss": loss,
            **{f"validation_{name}": value for name, value in figures.items()},
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - began, 3),
            "images_per_second": round(images / trained, 2),
            "input_wait": round(self._waiting.seconds / trained, 4),
        }
        self.reporter.say(f"{line_of(row, self.phase.last)}  {self._left(row['seconds'])}")
        return row

    def _left(self, seconds: float) -> str:
        """How long training goes on if each epoch takes as long as this one."""
        epochs = max(0, self._course.total - self.phase.step(self.number + 1)) / self.phase.steps
        if self.plan is None:
            return f"{_clock(epochs * seconds)} left in this phase"
        return f"{_clock(self.plan.left(self.phase.name, epochs, seconds))} left"

    def _train(self) -> float:
        """All steps that are left; the rate of the last one."""
        phase, running, done = self.phase, self.running, self._done
        start, before = done.step, phase.step(self.number)
        batches = self.train.epoch(
            self.number, shuffle=self.settings.shuffle, last_batch=self.settings.last_batch, start=start
        )
        past = [row["validation_loss"] for row in running.rows(phase.name)]
        decay = jnp.float32(average_decay(self.settings.ema, self._course.planned))
        rate, last, began = 0.0, None, time.monotonic()
        with self.reporter.task(f"{phase.name} epoch {self.number}/{phase.last}", phase.steps - start, "steps") as task:
            for number, batch in enumerate(self._waiting.watch(batches), start=start):
                rate = self._rate(before + number, past)
                key = sequence_key(self.key, (_TRAIN, self.number, number))
                running.state, loss = self.step(
                    running.state, batch.images, batch.targets, key, jnp.float32(rate), decay
                )
                done.sizes.append(len(batch.mask))
                if last is not None:  # the one before: waiting for the newest would idle the device
                    task.advance(note=f"loss {self._see(last):.4f}")
                last = loss
                if self.clock is not None:
                    began, seconds = time.monotonic(), time.monotonic() - began
                    self._course = self.clock.look(self._course, before + number + 1, seconds)
                if before + number + 1 == self._course.total:
                    break
                if self.interruption.asked and number + 1 < phase.steps:
                    self._see(last)
                    running.progress.unfinished = done
                    raise StoppedError
        self._see(last)
        return rate

    @property
    def _course(self) -> Course:
        return self.running.progress.courses[self.phase.name]

    @_course.setter
    def _course(self, course: Course) -> None:
        self.running.progress.courses[self.phase.name] = course

    def _rate(self, step: int, past: list[float]) -> float:
        """The rate of a step of the phase."""
        peak = self.phase.peak * self.running.progress.rate_factor
        return cut_by_plateau(self.settings, peak * self.shares[self._course.position(step)], past)

    def _see(self, loss: Any) -> float:
        """The loss of the next step that is seen, as a number."""
        value, done = float(loss), self._done
        done.step += 1
        self._watch.see(value, f"step {done.step} of epoch {self.number}")
        done.losses.append(value)
        if self.running.progress.reference is None:
            self._watch.learn(done.losses)
            self.running.progress.reference = self._watch.reference
        return value

    def _validation(self) -> tuple[float, dict[str, float]]:
        state = evaluated(self.running.state)
        return validated(self.validate, state, self.validation, self.key, self.number, self.score)


def validated(
    validate: Callable[..., Any],
    state: TrainState,
    loader: Loader,
    key: jax.Array,
    epoch: int,
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> tuple[float, dict[str, float]]:
    """Mean loss and figures of the validation split.

    Raises:
        DivergedError: the loss is not finite.
    """
    losses, parts = [], []
    for step, batch in enumerate(loader.once()):
        values, probabilities = validate(
            state, batch.images, batch.targets, sequence_key(key, (_VALIDATE, epoch, step))
        )
        real = batch.mask > 0
        losses.append(np.asarray(values)[real])
        parts.append(np.asarray(probabilities, np.float64)[real])
    loss = float(np.concatenate(losses).mean())
    if not math.isfinite(loss):
        raise DivergedError(f"the validation loss of epoch {epoch} is {loss}")
    return loss, score(loader.targets[loader.rows], np.concatenate(parts))


def line_of(row: dict[str, Any], last: int) -> str:
    """What is said of an epoch: the losses and the first few figures; the history has all."""
    named = [k for k in row if k.startswith("validation_") and k != "validation_loss"]
    figures = [f"{k.removeprefix('validation_')} {row[k]:.3f}" for k in named[:_TOLD]]
    return (
        f"{row['phase']:>6} {row['epoch']:>3}/{last}  loss {row['loss']:.4f}  validation {row['validation_loss']:.4f}  "
        f"{'  '.join(figures)}  {row['images_per_second']:.0f} images/s  waiting {100 * row['input_wait']:.0f} %"
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
