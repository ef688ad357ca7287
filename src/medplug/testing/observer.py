"""Checks of observers: they listen to events that exist, and get through a run."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

from medplug.errors import did_you_mean
from medplug.plugins.events import EVENTS, Events
from medplug.testing.checks import Case, Check, check, require

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "run_started": ("run",),
    "epoch_ended": ("run", "epoch", "metrics"),
    "checkpoint_saved": ("run", "epoch", "path"),
    "evaluated": ("run", "split", "metrics"),
    "run_ended": ("run", "metrics"),
    "run_failed": ("run", "error"),
}


def _methods(obj: Any) -> dict[str, Any]:
    return {name: getattr(obj, name) for name in dir(obj) if not name.startswith("_") and callable(getattr(obj, name))}


@check("name at least one method after an event: " + ", ".join(EVENTS), cheap=True)
def listens_to_an_event(case: Case) -> None:
    """It has a method named after an event, and none that is misspelt."""
    methods = _methods(case.obj)
    unheard = [f"{name!r}{hint}" for name in methods if name not in EVENTS and (hint := did_you_mean(name, EVENTS))]
    require(not unheard, f"no event is called {', '.join(unheard)}")
    require(any(name in EVENTS for name in methods), "it has no method named after an event")


@check(
    "take any of the arguments of an event by their names, without others: `medplug plugins show observer`", cheap=True
)
def takes_known_arguments(case: Case) -> None:
    """Its methods take only arguments that the events have."""
    for name, method in _methods(case.obj).items():
        if name in EVENTS:
            unknown = [a for a in inspect.signature(method).parameters if a not in _ARGUMENTS[name]]
            require(not unknown, f"{name} takes {', '.join(unknown)}; there is only {', '.join(_ARGUMENTS[name])}")


@check("read what is handed over and write into run.folder; an observer that raises is switched off")
def gets_through_a_run(case: Case) -> None:
    """A short run with all events, undefined figures among them, lets it raise nothing."""
    folder = case.folder() / "run"
    folder.mkdir(exist_ok=True)
    run = SimpleNamespace(folder=folder, config={"training": {"epochs": 2}, "loss": {"use": "a_loss"}}, seed=0)
    losses = {"loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.7}
    scores = {
        "n": 3,
        "macro": {"accuracy": {"value": 0.7, "low": 0.5, "high": 0.9, "method": "bootstrap"}},
        "per_class": {},
    }
    scores["macro"]["roc_auc"] = {"value": None, "reason": "one class only"}  # type: ignore[index]
    events = Events([("observer", case.obj)])
    events.emit("run_started", run=run)
    for epoch in (1, 2):
        events.emit("epoch_ended", run=run, epoch=epoch, metrics=dict(losses))
        events.emit("checkpoint_saved", run=run, epoch=epoch, path=str(folder / "checkpoints"))
    events.emit("evaluated", run=run, split="test", metrics=dict(scores))
    events.emit("run_ended", run=run, metrics={"test": dict(scores)})
    events.emit("run_failed", run=run, error="TrainingError: the loss is not finite")
    require(not events.problems, "; ".join(f"{p.subject}: {p.cause}" for p in events.problems))


CHECKS: tuple[Check, ...] = (listens_to_an_event, takes_known_arguments, gets_through_a_run)
