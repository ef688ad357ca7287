"""The plan of a training: fixed rules that turn what was measured into epochs and batches, each with its reason.

The rules are listed in ``docs/plan.md``. Their results become plain values of the configuration, so that a run can be
repeated without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from medplug.config.settings import TrainingSettings
from medplug.errors import UsageError
from medplug.train.memory import gigabytes

MARGIN = (
    0.12  # of the time left that is not planned: neighbours on the machine, checkpoints and the first batches cost too
)
PLANNED = ("epochs", "frozen_epochs", "batch_size", "micro_batch", "early_stopping")  # settings that a plan decides
FROZEN_SHARE = 0.25  # of the time, at most, for phase one
_SOLVED = "the head is solved, on features that are computed once"
_KEPT = f"{100 * MARGIN:.0f} % are kept back for whatever else the machine does"


@dataclass(frozen=True)
class StepCost:
    """One compiled training step.

    Attributes:
        seconds: of a step.
        memory: bytes that it takes; None where the backend does not tell.
        micro_batch: images that go through the network at once.
        compiling: seconds that its compilation took.
    """

    seconds: float
    memory: int | None
    micro_batch: int
    compiling: float


@dataclass(frozen=True)
class Costs:
    """Seconds, measured: one epoch of each phase, validation included.

    Attributes:
        frozen_epoch, full_epoch: 0 where the phase has no epochs.
    """

    frozen_epoch: float
    full_epoch: float

    def training(self, frozen: int, full: int) -> float:
        """Seconds of so many epochs of both phases."""
        return frozen * self.frozen_epoch + full * self.full_epoch


@dataclass(frozen=True)
class Situation:
    """What the rules look at.

    Attributes:
        images: of the training part.
        batch: images of a step.
        micro_batches: by phase, the images at once that would be taken if memory did not count.
        steps: by phase, what was measured of a step; phases without epochs are not in it.
        steps_per_epoch: training steps of an epoch.
        validation: seconds of validating once.
        views: how often phase one passes over the images in an epoch: more than once where features of several views are computed.
        free_memory: bytes; None where they are not known.
        falls: whether the schedule ends at a small share of its peak, so that its end must not be cut off.
        budget: minutes that the user gave; None without.
        left: seconds of them that are left for training; None without.
    """

    images: int
    batch: int
    micro_batches: Mapping[str, int]
    steps: Mapping[str, StepCost]
    steps_per_epoch: int
    validation: float
    views: int = 1
    free_memory: int | None = None
    falls: bool = True
    budget: float | None = None
    left: float | None = None

    @property
    def costs(self) -> Costs:
        """Seconds of an epoch of each phase."""
        frozen, full = (
            passes * self.steps_per_epoch * self.steps[phase].seconds + self.validation if phase in self.steps else 0.0
            for phase, passes in (("frozen", self.views), ("full", 1))
        )
        return Costs(frozen, full)


@dataclass(frozen=True)
class Choice:
    """A value that a rule chose, and why, in one line."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Plan:
    """What training will do, and what it is expected to cost.

    Attributes:
        settings: those of training with all that was chosen.
        situation: what was looked at.
        choices: by setting.
    """

    settings: TrainingSettings
    situation: Situation
    choices: Mapping[str, Choice]

    @property
    def epochs(self) -> dict[str, int]:
        """Epochs of each phase."""
        frozen = min(self.settings.frozen_epochs, self.settings.epochs)
        return {"frozen": frozen, "full": self.settings.epochs - frozen}

    @property
    def expected(self) -> float:
        """Seconds that training takes if nothing ends it sooner."""
        return self.situation.costs.training(*self.epochs.values())

    def left(self, phase: str, epochs: float, seconds: float) -> float:
        """Seconds of training that are left where a phase has ``epochs`` left, and the last one took ``seconds``.

        In phase one the epochs of phase two are counted at their planned seconds times the slowness of this one.
        """
        costs = self.situation.costs
        if phase == "full":
            return epochs * seconds
        slowness = seconds / costs.frozen_epoch if costs.frozen_epoch else 1.0
        return epochs * seconds + self.epochs["full"] * costs.full_epoch * slowness

    def to_json(self) -> dict[str, Any]:
        """The part of ``plan.json`` about time, memory and choices."""
        seen = self.situation
        costs = {"frozen": seen.costs.frozen_epoch, "full": seen.costs.full_epoch}
        phases = {
            phase: {
                "epochs": self.epochs[phase],
                "seconds_per_step": round(cost.seconds, 5),
                "seconds_per_epoch": round(costs[phase], 4),
                "compile_seconds": round(cost.compiling, 2),
                "memory_bytes": cost.memory,
                "micro_batch": cost.micro_batch,
            }
            for phase, cost in seen.steps.items()
        }
        return {
            "phases": phases,
            "steps_per_epoch": seen.steps_per_epoch,
            "validation_seconds": round(seen.validation, 5),
            "free_memory_bytes": seen.free_memory,
            "budget_minutes": seen.budget,
            "seconds_left": None if seen.left is None else round(seen.left, 1),
            "expected_seconds": round(self.expected, 3),
            "choices": {name: vars(choice) for name, choice in self.choices.items()},
        }


def with_one_solved(settings: TrainingSettings) -> TrainingSettings:
    """Settings in which a phase one that is solved counts as what it takes: one epoch."""
    return replace(settings, frozen_epochs=min(settings.frozen_epochs, 1)) if settings.head == "solve" else settings


def make_plan(settings: TrainingSettings, situation: Situation) -> Plan:
    """Apply the rules.

    Raises:
        UsageError: not even one epoch fits the budget.
    """
    settings = with_one_solved(settings)
    choices = {
        **_epochs(settings, situation),
        "batch_size": _batch_size(settings, situation),
        "micro_batch": _micro_batch(settings, situation),
        "early_stopping": _early_stopping(settings, situation),
    }
    chosen = replace(settings, **{name: choice.value for name, choice in choices.items()})
    return Plan(chosen, situation, choices)


def plan_epochs(settings: TrainingSettings, costs: Costs, seconds: float) -> tuple[int, int]:
    """(frozen epochs, epochs of both phases) that fit into ``seconds``; never more than the settings say.

    Raises:
        UsageError: not even one epoch fits.
    """
    usable = seconds * (1 - MARGIN)
    frozen = min(settings.frozen_epochs, settings.epochs)
    if settings.epochs > frozen:
        cheap = max(1, int(usable * FROZEN_SHARE / costs.frozen_epoch)) if frozen else 0
        first = min(frozen, cheap)
        full = min(settings.epochs - first, int((usable - first * costs.frozen_epoch) / costs.full_epoch))
        if full >= 1:
            return first, first + full
    only_frozen = min(frozen, int(usable / costs.frozen_epoch)) if frozen else 0
    if only_frozen >= 1:
        return only_frozen, only_frozen
    need = (costs.frozen_epoch if frozen else costs.full_epoch) / (1 - MARGIN)
    raise UsageError(
        f"the budget leaves {max(seconds, 0):.0f} s for training, but one epoch takes {need:.0f} s; "
        "give more minutes, a smaller --size, or a smaller architecture"
    )


def duration(seconds: float) -> str:
    """Seconds for people: ``0.4 s``, ``45 s``, ``3.2 min``, ``2.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _epochs(settings: TrainingSettings, seen: Situation) -> dict[str, Choice]:
    if seen.left is None:
        frozen = min(settings.frozen_epochs, settings.epochs)
        said = _SOLVED if settings.head == "solve" and frozen else "as the settings say"
        end = (
            f", or {settings.early_stopping} epochs of a phase without a better validation figure"
            if settings.early_stopping
            else ""
        )
        return {
            "epochs": Choice(settings.epochs, f"the settings' limit{end}: no budget was given"),
            "frozen_epochs": Choice(frozen, said),
        }
    costs = seen.costs
    frozen, epochs = plan_epochs(settings, costs, seen.left)
    wanted = min(settings.frozen_epochs, settings.epochs)
    if epochs == settings.epochs:
        why = f"the settings' limit; it takes {duration(costs.training(frozen, epochs - frozen))} of the {duration(seen.left)} left"
    elif epochs == frozen:
        why = f"only the head: not one epoch of all layers ({duration(costs.full_epoch)}) fits the {duration(seen.left)} left"
    else:
        why = f"what fits the {duration(seen.left)} that are left of the budget, of which {_KEPT}"
    said = _SOLVED if settings.head == "solve" and frozen else "as the settings say"
    few = f"an epoch takes {duration(costs.frozen_epoch)}, and phase one gets a quarter of the time at most"
    return {
        "epochs": Choice(epochs, why),
        "frozen_epochs": Choice(frozen, said if frozen in (wanted, epochs) else few),
    }


def _batch_size(settings: TrainingSettings, seen: Situation) -> Choice:
    if seen.batch < settings.batch_size:
        return Choice(seen.batch, f"all {seen.images} training images; the settings' {settings.batch_size} are more")
    return Choice(seen.batch, "as the settings say")


def _micro_batch(settings: TrainingSettings, seen: Situation) -> Choice:
    cut = {p: c for p, c in seen.steps.items() if c.micro_batch < seen.micro_batches[p]}
    if cut:
        phase, cost = min(cut.items(), key=lambda item: item[1].micro_batch)
        before = seen.micro_batches[phase]
        free = gigabytes(seen.free_memory or 0)
        return Choice(
            cost.micro_batch, f"a {phase} step with {before} images at once does not fit the {free} that are free"
        )
    size = min((cost.micro_batch for cost in seen.steps.values()), default=seen.batch)
    if settings.micro_batch is None and settings.batch_norm == "batch" and size < seen.batch:
        return Choice(None, "phase one takes few images at once; batch statistics of phase two need the whole batch")
    if settings.micro_batch is not None:
        return Choice(
            size,
            "as the settings say" if size == settings.micro_batch else "the settings' number, made to divide the batch",
        )
    if size == seen.batch:
        return Choice(size, "the whole batch: it fits, and nothing is gained by cutting it")
    return Choice(size, "few images at once stay in the processor's cache; the result is the same")


def _early_stopping(settings: TrainingSettings, seen: Situation) -> Choice:
    if settings.early_stopping and seen.left is not None and seen.falls:
        return Choice(
            0, "off: the budget ends training, and a schedule that is cut short misses its small rates, which help most"
        )
    if not settings.early_stopping:
        return Choice(0, "off, as the settings say")
    return Choice(
        settings.early_stopping, "as the settings say: so many epochs without a better validation figure end a phase"
    )
