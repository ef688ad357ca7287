"""Telling observers what happens in a run, so that none of them can break it."""

from __future__ import annotations

import copy
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pluggy

from medplug.errors import did_you_mean
from medplug.plugins.records import Problem

_PROJECT = "medplug_observer"
_spec = pluggy.HookspecMarker(_PROJECT)
_FAILURES_ALLOWED = 3
EVENTS = ("run_started", "epoch_ended", "checkpoint_saved", "evaluated", "run_ended", "run_failed")


class _Spec:
    """The events; pluggy hands each observer only the arguments that its method names."""

    @_spec
    def run_started(self, run: Any) -> None: ...

    @_spec
    def epoch_ended(self, run: Any, epoch: int, metrics: dict[str, float]) -> None: ...

    @_spec
    def checkpoint_saved(self, run: Any, epoch: int, path: str) -> None: ...

    @_spec
    def evaluated(self, run: Any, split: str, metrics: dict[str, Any]) -> None: ...

    @_spec
    def run_ended(self, run: Any, metrics: dict[str, Any]) -> None: ...

    @_spec
    def run_failed(self, run: Any, error: str) -> None: ...


class _Manager(pluggy.PluginManager):
    """Every public method named after an event is an implementation; no marker is asked of authors."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if name in EVENTS and callable(getattr(plugin, name, None)):
            return pluggy.HookimplOpts(
                wrapper=False, hookwrapper=False, optionalhook=False, tryfirst=False, trylast=False, specname=None
            )
        return None


def _copies(arguments: dict[str, Any]) -> dict[str, Any]:
    """Copies of what an observer could change."""
    return {key: copy.deepcopy(value) for key, value in arguments.items() if isinstance(value, (dict, list))}


class Events:
    """Delivers events to observers, in their configured order.

    An observer that raises is reported and goes on; after three failures it is switched off for the
    rest of the run. ``problems`` holds what went wrong, ``seconds`` the time each observer took.
    """

    def __init__(self, observers: Sequence[tuple[str, Any]] = ()) -> None:
        self.problems: list[Problem] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._failures: Counter[str] = Counter()
        self._managers: list[tuple[str, _Manager]] = []
        for name, observer in observers:
            manager = _Manager(_PROJECT)
            manager.add_hookspecs(_Spec)
            try:
                manager.register(observer)
            except pluggy.PluginValidationError as error:
                cause = str(error).splitlines()[-1]
                self.problems.append(Problem(name, "", "observer", "registration", cause, "switched off for this run"))
                continue
            for method in (m for m in vars(type(observer)) if not m.startswith("_") and m not in EVENTS):
                if hint := did_you_mean(method, EVENTS):
                    self.problems.append(Problem(name, "", "observer", method, f"is no event{hint}"))
            self._managers.append((name, manager))

    def emit(self, event: str, **arguments: Any) -> None:
        """Call one event on every observer that listens to it."""
        for name, manager in self._managers:
            if self._failures[name] >= _FAILURES_ALLOWED:
                continue
            started = time.perf_counter()
            try:
                getattr(manager.hook, event)(**{**arguments, **_copies(arguments)})
            except (Exception, SystemExit) as error:  # an observer watches; whatever it does, the run goes on
                self._failures[name] += 1
                off = self._failures[name] >= _FAILURES_ALLOWED
                hint = "switched off for this run" if off else ""
                self.problems.append(Problem(name, "", "observer", event, f"{type(error).__name__}: {error}", hint))
            finally:
                self.seconds[name] += time.perf_counter() - started
