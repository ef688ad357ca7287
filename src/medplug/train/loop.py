"""The two phases of training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader
from medplug.errors import TrainingError
from medplug.model.network import BuiltNetwork
from medplug.plugins.events import Events
from medplug.progress import Reporter
from medplug.seeds import child_seed
from medplug.train.checkpoint import Checkpoints, Progress
from medplug.train.clock import Clock
from medplug.train.epoch import Epoch, Running, StoppedError, line_of, validated
from medplug.train.guard import DivergedError
from medplug.train.interrupt import Interruption
from medplug.train.measuring import Trial
from medplug.train.memory import is_out_of_memory, smaller_micro_batch, told_smaller
from medplug.train.pace import Pace
from medplug.train.phases import PHASES, Phase, shares, worth
from medplug.train.plan import Plan
from medplug.train.plateau import stops_early
from medplug.train.solving import solved_epoch
from medplug.train.state import TrainState, split_network, write_back
from medplug.train.step import Objective, make_train_step, make_validate_step, micro_batch_size
from medplug.train.update import Update, evaluated, fresh, layer_scales, make_update

_RETURNS = 5  # so often training goes back to an earlier state before it gives up


@dataclass(frozen=True)
class FitResult:
    """What training leaves.

    Attributes:
        history: one row per epoch: phase, losses, rate, metrics, seconds, images per second, share of waiting.
        best_epoch: the best epoch, by the figure that the settings name.
        tested_epoch: the epoch whose weights the network now holds; 0 where none was finished.
        stopped: whether somebody stopped training before its end.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    tested_epoch: int
    stopped: bool = False


@dataclass
class Trainer:
    """Trains one network.

    Attributes:
        network: is changed in place.
        train, validation: the loaders.
        optimizer, schedule, loss: components.
        augmenters, mixers: components, in order.
        class_counts: ``[K, 2]`` of the training split.
        task: multiclass or multilabel.
        settings: both phases.
        seed: decides augmentation, dropout and the order of samples.
        score: (targets, probabilities) of the validation split to figures by name, for the history.
        greater: names of the figures of which more is better.
        deadline: monotonic time at which training must have ended; None for no limit.
        plan: what was planned, if anything was.
    """

    network: BuiltNetwork
    train: Loader
    validation: Loader
    optimizer: Any
    schedule: Any
    augmenters: tuple[Any, ...]
    mixers: tuple[Any, ...]
    loss: Any
    class_counts: np.ndarray
    task: str
    settings: TrainingSettings
    seed: int
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    reporter: Reporter
    greater: frozenset[str] = frozenset()
    events: Events = field(default_factory=Events)
    run: Any = None
    deadline: float | None = None
    plan: Plan | None = None

    def __post_init__(self) -> None:
        modes, self._start = split_network(self.network, self.settings.batch_norm)
        counts = jnp.asarray(self.class_counts, jnp.float32)
        self._objective = Objective(
            modes, self.network.prepare, self.augmenters, self.loss, counts, self.task, self.mixers
        )
        self._updates = {phase: self._update(phase) for phase in PHASES}
        self._micro = {
            phase: micro_batch_size(self.settings, phase == "frozen", self.train.batch_size) for phase in PHASES
        }
        self._steps: dict[tuple[str, int], Callable[..., Any]] = {}
        self._validate = make_validate_step(self._objective, self.settings.augment_validation)
        self._key = jax.random.key(child_seed(self.seed, "training"))

    def _update(self, phase: str) -> Update:
        decay = self.settings.layer_decay
        scales = None
        if phase == "full" and decay != 1:
            scales = layer_scales(self._start, self.network.module.stages, decay)
        return make_update(self.optimizer, self.settings.gradient_clip, scales)

    def _step(self, phase: str, micro: int) -> Callable[..., Any]:
        """The compiled step of a phase."""
        if (phase, micro) not in self._steps:
            self._steps[phase, micro] = make_train_step(
                self._objective, self._updates[phase], frozen=phase == "frozen", micro_batch=micro
            )
        return self._steps[phase, micro]

    def _fresh(self, state: TrainState, phase: str) -> TrainState:
        return fresh(state, self._updates[phase], frozen=phase == "frozen", averaging=self.settings.ema > 0)

    # ------------------------------------------------------------ measuring

    def trial(self, phase: str, micro_batch: int | None = None) -> Trial:
        """The compiled step of a phase, with arguments on which it may be tried: nothing of the run changes."""
        micro = self._micro[phase] if micro_batch is None else micro_batch
        batch, nothing = self.train.first(), jnp.zeros(())
        return Trial(
            self._step(phase, micro),
            lambda: (self._fresh(self._start, phase), batch.images, batch.targets, self._key, nothing, nothing),
        )

    def validation_trial(self) -> Trial:
        """The same of a batch of the validation split."""
        batch = next(self.validation.once())
        return Trial(self._validate, lambda: (self._start, batch.images, batch.targets, self._key))

    def follow(self, plan: Plan) -> None:
        """Train as planned: with its settings, and with what it measured of steps."""
        self.settings, self.plan = plan.settings, plan
        batch = self.train.batch_size
        self._micro = {p: micro_batch_size(plan.settings, p == "frozen", batch) or batch for p in PHASES}

    # ------------------------------------------------------------ training

    def fit(self, checkpoints: Checkpoints, resume: bool = False) -> FitResult:
        """Train both phases and leave the tested weights in the network."""
        running = Running(Progress(), self._start, self._start)
        if resume and checkpoints.latest() is not None:
            running = self._saved(checkpoints)
            self.reporter.say(f"resuming after epoch {running.progress.epoch}{_steps_more(running.progress)}")
        try:
            with Interruption(self.reporter) as interruption:
                for name in PHASES:
                    self._phase(name, running, checkpoints, interruption)
        finally:
            checkpoints.close()
        progress = running.progress
        tested = progress.best_epoch if self.settings.tested_weights == "best" else progress.epoch
        write_back(self.network, running.best if tested == progress.best_epoch else evaluated(running.state))
        return FitResult(progress.history, progress.best_epoch, tested, interruption.asked)

    def _phase(self, name: str, running: Running, checkpoints: Checkpoints, interruption: Interruption) -> None:
        progress = running.progress
        if name == "frozen" and progress.saves and progress.phase == "full":
            return
        phase = self._planned(name, progress)
        if name == "frozen" and self.settings.head == "solve":
            if phase.last and not progress.epoch:
                self._solve(phase, running, checkpoints, interruption)
            return
        progress.courses.setdefault(name, phase.course())
        clock = self._clock(phase)
        while not interruption.asked and not self._ended(phase, running):
            if not (progress.saves and progress.phase == name):
                running.state = self._fresh(running.state, name)
            try:
                row = self._epoch(phase, running, interruption, clock)
            except StoppedError:
                progress.phase = name
                checkpoints.save(running.state, running.best, progress)
                return
            except Exception as error:
                running.take(self._after(error, phase, running, checkpoints))
                progress = running.progress
                progress.courses.setdefault(name, phase.course())
                continue
            self._finished(phase, row, running, checkpoints)

    def _solve(self, phase: Phase, running: Running, checkpoints: Checkpoints, interruption: Interruption) -> None:
        """Phase one as a single epoch: features once, then the best head on them."""
        row = solved_epoch(
            self._objective, running, self.train, self.validation, self.settings.views, self._key, self._validated,
            self.reporter, lambda: interruption.asked,
        )  # fmt: skip
        if row is None:  # stopped before there was a head
            return
        running.state = self._fresh(running.state, phase.name)
        self.reporter.say(line_of(row, phase.last))
        self._finished(phase, row, running, checkpoints)

    def _validated(self, state: TrainState, epoch: int) -> tuple[float, dict[str, float]]:
        return validated(self._validate, state, self.validation, self._key, epoch, self.score)

    def _planned(self, name: str, progress: Progress) -> Phase:
        """The epochs of a phase: those after the ones of the phase before it."""
        last = self.settings.epochs
        if name == "frozen":
            last = min(last, self.settings.frozen_epochs)
            last = min(last, 1) if self.settings.head == "solve" else last
        before = [r for r in progress.history if r["phase"] != name]
        peak = self.settings.frozen_learning_rate if name == "frozen" else self.settings.learning_rate
        return Phase(name, len(before) + 1, last, self.train.steps(self.settings.last_batch), peak)

    def _ended(self, phase: Phase, running: Running) -> bool:
        progress = running.progress
        if phase.step(progress.epoch + 1) >= progress.courses[phase.name].total:
            return True
        return stops_early([self._worth(row) for row in running.rows(phase.name)], self.settings.early_stopping)

    def _clock(self, phase: Phase) -> Clock | None:
        """What keeps a phase inside the budget; phase two then needs what was planned for it."""
        seen = None if self.plan is None else self.plan.situation
        if self.deadline is None or seen is None or phase.name not in seen.steps:  # without epochs nothing is measured
            return None
        later = (self.settings.epochs - phase.last) * seen.costs.full_epoch if phase.frozen else 0.0
        pace = Pace(seen.steps[phase.name].seconds)
        return Clock(self.deadline, pace, phase.steps, seen.validation, later, self.reporter)

    def _epoch(self, phase: Phase, running: Running, interruption: Interruption, clock: Clock | None) -> dict[str, Any]:
        progress = running.progress
        part = shares(self.schedule, progress.courses[phase.name].planned)
        epoch = Epoch(
            phase, running, part, self._step(phase.name, self._micro[phase.name]), self._validate, self._key, self.settings, self.train,
            self.validation, self.score, self.reporter, interruption, clock, self.plan,
        )  # fmt: skip
        return epoch.run()

    def _finished(self, phase: Phase, row: dict[str, Any], running: Running, checkpoints: Checkpoints) -> None:
        """Write an epoch down, keep its weights if they are the best, save, tell."""
        progress = running.progress
        progress.history.append(row)
        progress.epoch, progress.phase, progress.unfinished = row["epoch"], phase.name, None
        if self._worth(row) <= min(self._worth(r) for r in progress.history):
            progress.best_epoch = progress.epoch
            running.best = jax.tree.map(jnp.copy, evaluated(running.state))
        place = checkpoints.save(running.state, running.best, progress)
        figures = {k: v for k, v in row.items() if isinstance(v, float)}
        self.events.emit("epoch_ended", run=self.run, epoch=progress.epoch, metrics=figures)
        self.events.emit("checkpoint_saved", run=self.run, epoch=progress.epoch, path=str(place))

    def _worth(self, row: dict[str, Any]) -> float:
        return worth(row, self.settings.monitor, self.settings.monitor in self.greater)

    # ------------------------------------------------------------ when something went wrong

    def _saved(self, checkpoints: Checkpoints) -> Running:
        """The newest checkpoint; where there is none, the beginning."""
        found = checkpoints.latest()
        if found is None:
            return Running(Progress(), self._start, self._start)
        self._micro |= found.micro_batch
        return Running(found, *checkpoints.restore(found.saves, self._fresh(self._start, found.phase)))

    def _after(self, error: Exception, phase: Phase, running: Running, checkpoints: Checkpoints) -> Running:
        """Where training goes on after a failed epoch: the newest checkpoint, with a smaller rate or micro-batch.

        Raises:
            TrainingError: the loss has diverged, and the settings do not want another try, or there were enough.
        """
        saved = None
        if isinstance(error, DivergedError):
            self._give_up_or_warn(str(error), phase, running.progress)
            saved = self._saved(checkpoints)
            saved.progress.rate_factor = running.progress.rate_factor / 2
            saved.progress.returns = running.progress.returns + 1
        elif is_out_of_memory(error):
            smaller = self._smaller(phase.name, error)
            saved = self._saved(checkpoints)
            saved.progress.micro_batch[phase.name] = self._micro[phase.name] = smaller
        if saved is None:
            raise error
        return saved

    def _give_up_or_warn(self, reason: str, phase: Phase, progress: Progress) -> None:
        rate = phase.peak * progress.rate_factor
        key = "training.frozen_learning_rate" if phase.frozen else "training.learning_rate"
        if self.settings.divergence == "stop":
            raise TrainingError(
                f"{reason} ({phase.name} phase, peak rate {rate:g}); lower {key}, set training.divergence=go_back, or look "
                "at the images and labels"
            )
        if progress.returns >= _RETURNS:
            raise TrainingError(
                f"{reason} ({phase.name} phase), also after the rate was halved {_RETURNS} times; look at the images and "
                f"labels, and lower {key} much"
            )
        self.reporter.warn(f"{reason}; going back to epoch {progress.epoch} with half the rate (peak {rate / 2:g})")

    def _smaller(self, phase: str, error: Exception) -> int:
        batch = self.train.batch_size
        now = self._micro[phase] or batch
        smaller = smaller_micro_batch(batch, now)
        if smaller is None:
            raise TrainingError(
                f"the memory does not suffice for one image at a time ({error}); give a smaller --size or architecture"
            ) from error
        live = phase == "full" and self.settings.batch_norm == "batch"
        self.reporter.warn(told_smaller(batch, now, smaller, live))
        return smaller


def _steps_more(progress: Progress) -> str:
    return "" if progress.unfinished is None else f" and {progress.unfinished.step} steps of the next one"
