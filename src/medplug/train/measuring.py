"""What a step costs, measured before the first real one: seconds, bytes, and how many images at once fit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader
from medplug.progress import Reporter
from medplug.train.memory import fitting_micro_batch, free_memory, program_memory, told_smaller
from medplug.train.phases import shares
from medplug.train.plan import Situation, StepCost, with_one_solved
from medplug.train.step import micro_batch_size

_RUNS = 4  # of a step, at most; the first one is not counted
_SAMPLED = 100  # steps of a schedule that is looked at
_ENOUGH = 2.0  # seconds after which two runs are enough


class Trial(NamedTuple):
    """A compiled function, and what makes arguments for it anew: it may reuse their memory."""

    function: Any
    arguments: Callable[[], tuple[Any, ...]]


class Measurable(Protocol):
    """What a trainer shows of itself."""

    settings: TrainingSettings
    train: Loader
    validation: Loader
    schedule: Any
    deadline: float | None
    reporter: Reporter

    def trial(self, phase: str, micro_batch: int | None = None) -> Trial:
        """A training step of a phase that takes ``micro_batch`` images at once; None takes what the settings say."""
        ...

    def validation_trial(self) -> Trial:
        """A step of validation."""
        ...


def step_costs(
    trainer: Measurable, micro_batches: Mapping[str, int], batch: int, free: int | None
) -> dict[str, StepCost]:
    """Compile and run a few training steps of each phase, on copies of the variables.

    Where a step is too large for the memory, fewer images go through the network at once; that is found out by compiling
    alone, before anything runs.

    Args:
        trainer: shows its steps.
        micro_batches: phases, with the images at once that they would take if memory did not count.
        batch: images of a step.
        free: bytes that are free.

    Raises:
        UsageError: not even one image at a time fits.
    """
    found = {}
    for phase, micro in micro_batches.items():
        programs: dict[int, tuple[Trial, int | None, float]] = {}

        def memory(size: int, phase: str = phase, programs: Any = programs) -> int | None:
            began = time.perf_counter()
            trial = trainer.trial(phase, size)
            # the jitted function keeps what is compiled here: a later call does not compile again
            needed = program_memory(trial.function.lower(*trial.arguments()).compile())
            programs[size] = (trial, needed, time.perf_counter() - began)
            return needed

        fits = fitting_micro_batch(memory, free, batch, micro)
        trial, needed, compiling = programs[fits]
        found[phase] = StepCost(seconds_of(trial), needed, fits, compiling)
    return found


def look_around(trainer: Measurable, budget: float | None) -> Situation:
    """Everything that the rules of a plan look at; nothing of the trainer changes.

    Args:
        trainer: shows its steps; its reporter is told where a batch must be cut because of the memory.
        budget: minutes that the user gave.
    """
    settings, batch = with_one_solved(trainer.settings), trainer.train.batch_size
    frozen = min(settings.frozen_epochs, settings.epochs)
    phases = [phase for phase, n in (("frozen", frozen), ("full", settings.epochs - frozen)) if n]
    wanted = {phase: micro_batch_size(settings, phase == "frozen", batch) or batch for phase in phases}
    free = free_memory()
    steps = step_costs(trainer, wanted, batch, free)
    for phase, cost in steps.items():
        if cost.micro_batch < wanted[phase]:
            live = phase == "full" and settings.batch_norm == "batch"
            trainer.reporter.warn(f"phase {phase}: {told_smaller(batch, wanted[phase], cost.micro_batch, live)}")
    validation = len(trainer.validation) * seconds_of(trainer.validation_trial())
    return Situation(
        images=len(trainer.train.rows),
        batch=batch,
        micro_batches=wanted,
        steps=steps,
        steps_per_epoch=trainer.train.steps(settings.last_batch),
        validation=validation,
        views=settings.views if settings.head == "solve" else 1,
        free_memory=free,
        falls=ends_low(trainer.schedule),
        budget=budget,
        left=None if trainer.deadline is None else trainer.deadline - time.monotonic(),
    )


def ends_low(schedule: Any) -> bool:
    """Whether the rates of a schedule component end below half of their peak, so that its end must not be cut off."""
    found = shares(schedule, _SAMPLED)
    return bool(found[-1] < found.max() / 2)


def seconds_of(trial: Trial) -> float:
    """Seconds of one call: the median of up to three after a first one, which compiles or warms up."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) < _RUNS and sum(taken[1:]) < _ENOUGH):
        arguments = jax.block_until_ready(trial.arguments())
        began = time.perf_counter()
        jax.block_until_ready(trial.function(*arguments))
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])
