"""A bar on standard error for work that takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY = 1.0  # seconds before a bar appears


@contextmanager
def shown(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """What to call with the bytes done and their total, or None where it is unknown."""
    bar = _Bar(title)
    try:
        yield bar
    finally:
        bar.close()


class _Bar:
    def __init__(self, title: str) -> None:
        self._title = title
        self._start = time.monotonic()
        self._open: tuple[Progress, TaskID] | None = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._open is None:
            if time.monotonic() - self._start < DELAY:
                return
            self._open = self._begin()
        bar, task = self._open
        bar.update(task, completed=done, total=total)

    def close(self) -> None:
        if self._open is not None:
            self._open[0].stop()

    def _begin(self) -> tuple[Progress, TaskID]:
        from rich import progress
        from rich.console import Console

        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        bar.start()
        return bar, bar.add_task(self._title, total=None)
