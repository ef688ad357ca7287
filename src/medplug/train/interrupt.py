"""Ctrl-C ends training after the step that runs; a second one ends the process."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from medplug.progress import Reporter


class Interruption:
    """Within ``with``, SIGINT is noted instead of raised. Outside of the main thread signals are left alone.

    Attributes:
        asked: whether somebody wants training to end.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.asked = False
        self._reporter = reporter
        self._before: Any = None
        self._ours = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interruption:
        if self._ours:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            signal.signal(signal.SIGINT, self._before)
            raise KeyboardInterrupt
        self.asked = True
        self._reporter.warn("stopping after this step; what there is will be evaluated (Ctrl-C again stops at once)")
