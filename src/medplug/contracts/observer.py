"""The contract of observers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Observer(Protocol):
    """Watches a run. Active only where the configuration names it (``observer.use``); it cannot change or break a run.

    An observer has any of these methods, each with any subset of the arguments shown:

    - ``run_started(run)``
    - ``epoch_ended(run, epoch, metrics)``: after each epoch, ``metrics`` are floats by name
    - ``checkpoint_saved(run, epoch, path)``
    - ``evaluated(run, split, metrics)``: ``metrics`` as in ``metrics.json``
    - ``run_ended(run, metrics)``
    - ``run_failed(run, error)``

    An observer that keeps state is a plain class without parameters and without ``@component``. ``run`` is a frozen record with ``folder``, ``config`` (nested dict) and ``seed``. Values are Python floats and
    NumPy arrays. An observer that raises is reported; after three failures it is switched off for the run.
    """

    def run_started(self, run: Any) -> None:
        """A run begins; its folder and configuration exist."""
        ...
