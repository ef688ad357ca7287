"""Progress on the terminal: live bars where there is one, plain lines where there is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
_PLAIN_EVERY = 15.0  # seconds between two lines of one task where output is no terminal


@dataclass
class Reporter:
    """Where a run tells what it does. ``quiet`` silences all but warnings."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    quiet: bool = False

    def say(self, text: str) -> None:
        """One line of news."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """One line that must not be missed."""
        self.console.print(f"warning: {text}", style="yellow", markup=False)

    @contextmanager
    def task(self, title: str, total: int, unit: str = "") -> Iterator[Task]:
        """A task of ``total`` steps; ``advance`` it."""
        if self.quiet or not self.console.is_terminal:
            yield _PlainTask(self, title, total, unit)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console, transient=True
        ) as bars:
            yield _BarTask(bars, bars.add_task(title, total=total, note=unit))

    def track(self, items: Iterable[T], title: str, total: int, unit: str = "") -> Iterator[T]:
        """Iterate and show progress."""
        with self.task(title, total, unit) as task:
            for item in items:
                yield item
                task.advance()


class Task:
    """One task with progress."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Some steps are done; ``note`` replaces the text behind the count."""


class _BarTask(Task):
    def __init__(self, bars: Progress, task: Any) -> None:
        self._bars, self._task = bars, task

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.advance(self._task, steps)
        if note:
            self._bars.update(self._task, note=note)


class _PlainTask(Task):
    def __init__(self, reporter: Reporter, title: str, total: int, unit: str) -> None:
        self._reporter, self._title, self._total, self._unit = reporter, title, total, unit
        self._done, self._said = 0, time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        if time.monotonic() - self._said > _PLAIN_EVERY:
            self._said = time.monotonic()
            self._reporter.say(f"  {self._title}: {self._done}/{self._total} {self._unit} {note}".rstrip())


def quiet_reporter() -> Reporter:
    """A reporter that only warns."""
    return Reporter(quiet=True)


def stdout_console() -> Console:
    """The console for results that a user may pipe elsewhere."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)
