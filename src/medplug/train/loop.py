"""The two phases of training, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader, Waiting
from medplug.errors import TrainingError
from medplug.model.network import BuiltNetwork
from medplug.plugins.events import Events
from medplug.progress import Reporter
from medplug.seeds import child_seed
from medplug.train.checkpoint import Checkpoints, Progress
from medplug.train.plan import Costs, measure
from medplug.train.schedule import learning_rate, stops_early
from medplug.train.state import TrainState, split_network, write_back
from medplug.train.step import (
    Objective,
    make_optimizer,
    make_train_step,
    make_validate_step,
    micro_batch_size,
    sequence_key,
    trainable,
)

_TRAIN, _VALIDATE = 0, 1  # streams of random numbers
PHASES = ("frozen", "full")


@dataclass(frozen=True)
class FitResult:
    """What training leaves.

    Attributes:
        history: one row per epoch: phase, losses, rate, metrics, seconds, images per second, share of waiting.
        best_epoch: the epoch with the lowest validation loss.
        tested_epoch: the epoch whose weights the network now holds.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    tested_epoch: int


@dataclass
class Trainer:
    """Trains one network.

    Attributes:
        network: is changed in place.
        train, validation: the loaders.
        augmenters, loss: components.
        class_counts: ``[K, 2]`` of the training split.
        task: multiclass or multilabel.
        settings: both phases.
        seed: decides augmentation, dropout and the order of samples.
        score: (targets, probabilities) of the validation split to figures by name, for the history.
        deadline: monotonic time at which training must have ended; None for no limit.
    """

    network: BuiltNetwork
    train: Loader
    validation: Loader
    augmenters: tuple[Any, ...]
    loss: Any
    class_counts: np.ndarray
    task: str
    settings: TrainingSettings
    seed: int
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    reporter: Reporter
    events: Events = field(default_factory=Events)
    run: Any = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        modes, self._start = split_network(self.network, self.settings.batch_norm)
        counts = jnp.asarray(self.class_counts, jnp.float32)
        objective = Objective(modes, self.network.prepare, self.augmenters, self.loss, counts, self.task)
        self._optimizer = make_optimizer(self.settings)
        self._steps = {
            phase: make_train_step(
                objective,
                self._optimizer,
                frozen=phase == "frozen",
                micro_batch=micro_batch_size(self.settings, phase == "frozen", self.train.batch_size),
            )
            for phase in PHASES
        }
        self._validate = make_validate_step(objective, self.settings.augment_validation)
        self._key = jax.random.key(child_seed(self.seed, "training"))

    # ------------------------------------------------------------ measuring

    def costs(self) -> Costs:
        """Seconds per epoch, from a few steps on copies of the variables."""
        batch = self.train.first()
        key, rate = self._key, jnp.zeros(())

        def one_step(phase: str) -> Callable[[], Any]:
            state = self._fresh(self._start, phase)
            return lambda: self._steps[phase](jax.tree.map(jnp.copy, state), batch.images, batch.targets, key, rate)[1]

        seconds = {p: measure(one_step(p)) for p in PHASES if p == "full" or self.settings.frozen_epochs}
        first = next(self.validation.once())
        validating = len(self.validation) * measure(
            lambda: self._validate(self._start, first.images, first.targets, key)[0]
        )
        steps = self.train.steps(self.settings.last_batch)
        return Costs(seconds.get("frozen", 0.0) * steps + validating, seconds["full"] * steps + validating)

    # ------------------------------------------------------------ training

    def fit(self, checkpoints: Checkpoints, resume: bool = False) -> FitResult:
        """Train both phases and leave the tested weights in the network."""
        progress, state, best = Progress(), self._start, self._start
        found = checkpoints.latest() if resume else None
        if found is not None:
            template = self._fresh(self._start, found.phase)
            progress = found
            state, best = checkpoints.restore(found.epoch, template)
            self.reporter.say(f"resuming after epoch {found.epoch}")
        try:
            for phase in PHASES:
                state, best = self._phase(phase, state, best, progress, checkpoints)
        finally:
            checkpoints.close()
        tested = progress.best_epoch if self.settings.tested_weights == "best" else progress.epoch
        write_back(self.network, best if tested == progress.best_epoch else state)
        return FitResult(progress.history, progress.best_epoch, tested)

    def _phase(
        self, phase: str, state: TrainState, best: TrainState, progress: Progress, checkpoints: Checkpoints
    ) -> tuple[TrainState, TrainState]:
        last = self.settings.epochs
        if phase == "frozen":
            last = min(last, self.settings.frozen_epochs)
        rows = [r for r in progress.history if r["phase"] == phase]
        started = bool(rows)
        if phase == "frozen" and progress.phase == "full":
            return state, best
        while not stops_early([r["validation_loss"] for r in rows], self.settings.early_stopping):
            epoch = progress.epoch + 1
            if epoch > last or self._out_of_time(rows, epoch, last):
                break
            if not started:
                state, started = self._fresh(state, phase), True
            state, row = self._epoch(phase, epoch, last, state, rows)
            rows.append(row)
            progress.history.append(row)
            progress.epoch, progress.phase = epoch, phase
            losses = [r["validation_loss"] for r in progress.history]
            if row["validation_loss"] <= min(losses):
                progress.best_epoch, best = epoch, jax.tree.map(jnp.copy, state._replace(moments=None))
            checkpoints.save(state, best, progress)
            figures = {k: v for k, v in row.items() if isinstance(v, float)}
            self.events.emit("epoch_ended", run=self.run, epoch=epoch, metrics=figures)
            self.events.emit("checkpoint_saved", run=self.run, epoch=epoch, path=str(checkpoints.folder / str(epoch)))
        return state, best

    def _fresh(self, state: TrainState, phase: str) -> TrainState:
        state = jax.tree.map(jnp.copy, state._replace(moments=None))
        return state._replace(moments=self._optimizer.init(trainable(state, phase == "frozen")))

    def _epoch(
        self, phase: str, epoch: int, last: int, state: TrainState, rows: list[dict[str, Any]]
    ) -> tuple[TrainState, dict[str, Any]]:
        began, waiting = time.perf_counter(), Waiting()
        steps = self.train.steps(self.settings.last_batch)
        first_epoch = epoch - len(rows)
        planned = steps * (last - first_epoch + 1)
        peak = self.settings.frozen_learning_rate if phase == "frozen" else self.settings.learning_rate
        past = [r["validation_loss"] for r in rows]
        losses, sizes, rate = [], [], peak
        batches = self.train.epoch(epoch, shuffle=self.settings.shuffle, last_batch=self.settings.last_batch)
        title = f"{phase} epoch {epoch}/{last}"
        with self.reporter.task(title, steps, "steps") as task:
            for step, batch in enumerate(waiting.watch(batches)):
                rate = learning_rate(self.settings, peak, len(rows) * steps + step, planned, past)
                key = sequence_key(self._key, (_TRAIN, epoch, step))
                state, loss = self._steps[phase](state, batch.images, batch.targets, key, jnp.float32(rate))
                losses.append(loss)
                sizes.append(len(batch.mask))
                if len(losses) > 1:  # the one before: waiting for the newest would idle the device
                    task.advance(note=f"loss {float(losses[-2]):.4f}")
        values = np.array([float(v) for v in losses])
        if not np.isfinite(values).all():
            step = int(np.argmin(np.isfinite(values)))
            raise TrainingError(
                f"the loss was {values[step]} at step {step + 1} of epoch {epoch} ({phase} phase, rate {rate:g}); "
                "lower training.learning_rate, or look at the images and labels"
            )
        trained = time.perf_counter() - began
        validation_loss, figures = self._validation(state, epoch)
        row = {
            "epoch": epoch,
            "phase": phase,
            "loss": float(np.average(values, weights=sizes)),
            "validation_loss": validation_loss,
            **{f"validation_{name}": value for name, value in figures.items()},
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - began, 3),
            "images_per_second": round(sum(sizes) / trained, 2),
            "input_wait": round(waiting.seconds / trained, 4),
        }
        self.reporter.say(_line(row, last))
        return state, row

    def _validation(self, state: TrainState, epoch: int) -> tuple[float, dict[str, float]]:
        losses, parts = [], []
        for step, batch in enumerate(self.validation.once()):
            key = sequence_key(self._key, (_VALIDATE, epoch, step))
            values, probabilities = self._validate(state, batch.images, batch.targets, key)
            real = batch.mask > 0
            losses.append(np.asarray(values)[real])
            parts.append(np.asarray(probabilities, np.float64)[real])
        loss = float(np.concatenate(losses).mean())
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss of epoch {epoch} is {loss}; lower training.learning_rate")
        targets = self.validation.targets[self.validation.rows]
        return loss, self.score(targets, np.concatenate(parts))

    def _out_of_time(self, rows: list[dict[str, Any]], epoch: int, last: int) -> bool:
        if self.deadline is None or epoch == 1:
            return False
        if time.monotonic() + min((r["seconds"] for r in rows), default=0.0) <= self.deadline:
            return False
        self.reporter.warn(
            f"the machine is slower than measured: the budget ends training before epoch {epoch} of {last}"
        )
        return True


def _line(row: dict[str, Any], last: int) -> str:
    figures = [
        f"{k.removeprefix('validation_')} {v:.3f}"
        for k, v in row.items()
        if k.startswith("validation_") and k != "validation_loss"
    ]
    left = max(0, last - row["epoch"]) * row["seconds"]
    return (
        f"{row['phase']:>6} {row['epoch']:>3}/{last}  loss {row['loss']:.4f}  validation {row['validation_loss']:.4f}  "
        f"{'  '.join(figures)}  {row['images_per_second']:.0f} images/s  waiting {100 * row['input_wait']:.0f} %  {_clock(left)} left in this phase"
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
