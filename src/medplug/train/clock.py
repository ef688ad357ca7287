"""Keeps training inside its budget: a phase whose steps no longer fit is shortened, and its schedule still completes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from medplug.progress import Reporter
from medplug.train.pace import Course, Pace, own_share, replan

_TOLD = 0.9  # of the planned steps: nobody needs to hear of smaller cuts


_RESERVE = 0.02  # of the time that a phase begins with: the last epoch may take longer than those before it


@dataclass
class Clock:
    """Looks at the time after each step of a phase.

    Attributes:
        deadline: monotonic time at which training must have ended.
        pace: of the steps of this phase.
        epoch_steps: steps of an epoch.
        epoch_seconds: what an epoch takes beside its steps, as measured before; what is seen counts more.
        later: seconds that are planned for what comes after this phase.
        reporter: is told.
    """

    deadline: float
    pace: Pace
    epoch_steps: int
    epoch_seconds: float
    later: float
    reporter: Reporter
    _between: float | None = field(default=None, init=False)
    _last: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.deadline -= _RESERVE * max(0.0, self.deadline - time.monotonic())

    def look(self, course: Course, done: int, seconds: float) -> Course:
        """The course after one more step, which took ``seconds``: the same one as a rule."""
        self.pace.step(seconds)
        now = time.monotonic()
        if self._last is not None and done % self.epoch_steps == 1 % self.epoch_steps:
            self._between = now - seconds - self._last  # validation, the checkpoint, the first batch
        self._last = now
        step_seconds, longest = self.pace.seconds, course.longest(done)
        slowness = max(1.0, step_seconds / self.pace.measured)  # of validation and of what comes later, too
        epoch_seconds = self.epoch_seconds * slowness if self._between is None else self._between
        left = self._share(now, (longest - done) * step_seconds, done, longest, epoch_seconds, self.later * slowness)
        total = replan(
            left,
            step_seconds,
            done,
            course.total,
            longest=longest,
            epoch_steps=self.epoch_steps,
            epoch_seconds=epoch_seconds,
        )
        if total is None:
            return course
        if not course.changes:
            self.reporter.warn(
                f"there is time for {total} of {course.total} steps of this phase; its learning rate goes all its way in fewer steps, "
                "inside the budget"
            )
        return course.ending(done, total)

    def _share(self, now: float, steps: float, done: int, longest: int, epoch_seconds: float, later: float) -> float:
        """Seconds that this phase may still take; what comes later keeps its share of the time.

        It goes by what the schedule has left, not by the steps that are left of it after a change: else each change would
        call for the next one. A phase is validated once however short it is.
        """
        once = epoch_seconds * (1 + (later > 0))
        own = steps + (-(-longest // self.epoch_steps) - done // self.epoch_steps - 1) * epoch_seconds
        left = self.deadline - now - once
        return epoch_seconds + own_share(left, max(0.0, own), max(0.0, later - epoch_seconds))
