"""The state of training on disk (orbax): one complete, atomic checkpoint per save, from which a run goes on bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from medplug.errors import RunError
from medplug.train.pace import Course
from medplug.train.state import TrainState, from_leaves, to_leaves
from medplug.train.update import evaluated

_FORMAT = 2
_KEPT = 2  # the newest one may still be on its way to the disk
_UNFINISHED = ".orbax-checkpoint-tmp"


@dataclass
class Unfinished:
    """What an epoch has done that was stopped in its middle.

    Attributes:
        step: finished steps.
        losses: of those steps.
        sizes: images of those steps.
    """

    step: int
    losses: list[float]
    sizes: list[int]


@dataclass
class Progress:
    """How far training is.

    Attributes:
        saves: checkpoints so far; the number of the newest one.
        epoch: finished epochs.
        phase: ``"frozen"`` or ``"full"``: the phase of the last step, whose moments are stored.
        best_epoch: the best finished epoch so far.
        history: one row per finished epoch.
        unfinished: the epoch after the finished ones, where it was stopped in its middle.
        reference: mean loss of the run's first steps, see :class:`~medplug.train.guard.LossWatch`.
        rate_factor: halved by each return to an earlier state.
        returns: how often training went back to an earlier state because the loss had diverged.
        micro_batch: by phase, where memory did not suffice for what was planned.
        courses: by phase, its steps, fewer than planned where time ran short.
    """

    saves: int = 0
    epoch: int = 0
    phase: str = "frozen"
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    unfinished: Unfinished | None = None
    reference: float | None = None
    rate_factor: float = 1.0
    returns: int = 0
    micro_batch: dict[str, int] = field(default_factory=dict)
    courses: dict[str, Course] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, apart from this object: the loop goes on while they are written."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Progress:
        """The inverse of :meth:`to_json`."""
        unfinished = Unfinished(**tree["unfinished"]) if tree["unfinished"] else None
        courses = {
            phase: Course(found["planned"], tuple((done, total) for done, total in found["changes"]))
            for phase, found in tree["courses"].items()
        }
        return cls(**{**tree, "unfinished": unfinished, "courses": courses})


class Checkpoints:
    """The folder ``checkpoints/`` of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(f"*{_UNFINISHED}*"):  # of a run that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, create=True)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: TrainState, best: TrainState, progress: Progress) -> Path:
        """Store the current and the best variables as the next checkpoint, and tell its place.

        Writing goes on in the background.
        """
        progress.saves += 1
        arrays = {"state": to_leaves(state), "best": to_leaves(best)}
        meta = {"format": _FORMAT, **progress.to_json()}
        items = ocp.args.Composite(arrays=ocp.args.StandardSave(arrays), meta=ocp.args.JsonSave(meta))
        self._manager.save(progress.saves, args=items)
        return self.folder / str(progress.saves)

    def latest(self) -> Progress | None:
        """How far the newest checkpoint is; None where there is none."""
        self._manager.wait_until_finished()
        step = self._manager.latest_step()
        if step is None:
            return None
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        if meta.pop("format", None) != _FORMAT:
            raise RunError(
                f"{self.folder}: written by another version of medplug; start the run anew in another folder"
            )
        return Progress.from_json(meta)

    def restore(self, save: int, template: TrainState) -> tuple[TrainState, TrainState]:
        """(current, best) variables of a checkpoint, in the structure of the template."""
        found = self._manager.restore(save, args=ocp.args.Composite(arrays=ocp.args.StandardRestore()))["arrays"]
        return from_leaves(template, found["state"]), from_leaves(evaluated(template), found["best"])

    def close(self) -> None:
        """Wait for what is still being written."""
        self._manager.wait_until_finished()
        self._manager.close()
