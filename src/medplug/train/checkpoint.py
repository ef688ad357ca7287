"""The state of training on disk (orbax): one complete, atomic checkpoint per epoch, from which a run goes on bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from medplug.errors import RunError
from medplug.train.state import TrainState, from_leaves, to_leaves

_FORMAT = 1
_KEPT = 2  # the newest one may still be on its way to the disk
_UNFINISHED = ".orbax-checkpoint-tmp"


@dataclass
class Progress:
    """How far training is.

    Attributes:
        epoch: finished epochs.
        phase: ``"frozen"`` or ``"full"``: the phase of the last finished epoch, whose moments are stored.
        best_epoch: the epoch with the lowest validation loss so far.
        history: one row per finished epoch.
    """

    epoch: int = 0
    phase: str = "frozen"
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Checkpoints:
    """The folder ``checkpoints/`` of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(f"*{_UNFINISHED}*"):  # of a run that was killed while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, create=True)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: TrainState, best: TrainState, progress: Progress) -> None:
        """Store the current and the best variables. Writing goes on in the background."""
        arrays = {"state": to_leaves(state), "best": to_leaves(best._replace(moments=None))}
        meta = {
            "format": _FORMAT,
            **vars(progress),
            "history": list(progress.history),
        }  # written while the loop goes on
        items = ocp.args.Composite(arrays=ocp.args.StandardSave(arrays), meta=ocp.args.JsonSave(meta))
        self._manager.save(progress.epoch, args=items)

    def latest(self) -> Progress | None:
        """How far the newest checkpoint is; None where there is none."""
        step = self._manager.latest_step()
        if step is None:
            return None
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        if meta.pop("format", None) != _FORMAT:
            raise RunError(
                f"{self.folder}: written by another version of medplug; start the run anew in another folder"
            )
        return Progress(**meta)

    def restore(self, epoch: int, template: TrainState) -> tuple[TrainState, TrainState]:
        """(current, best) variables of a checkpoint, in the structure of the template."""
        found = self._manager.restore(epoch, args=ocp.args.Composite(arrays=ocp.args.StandardRestore()))["arrays"]
        return from_leaves(template, found["state"]), from_leaves(template._replace(moments=None), found["best"])

    def close(self) -> None:
        """Wait for what is still being written."""
        self._manager.wait_until_finished()
        self._manager.close()
