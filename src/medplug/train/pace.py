"""A schedule that always completes: how many steps of a phase still fit, and how it goes on where fewer do than planned."""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass, field

_TRIGGER = 0.98  # of the time left: a course that needs more is shortened
_TARGET = 0.94  # of the time left that a changed course takes, so that the next hiccup does not change it again
_SPARE = 0.9  # of the time left: a shortened course that needs less gets steps back
_STEPS, _SECONDS, _MOST = 32, 20.0, 512  # steps that count for the pace: the last 32, and more up to 20 seconds
_TRUSTED = 2.0  # seconds of steps until which the pace that was measured for the plan counts for the missing ones


@dataclass(frozen=True)
class Course:
    """The steps of one phase, and which step of its schedule each of them takes.

    A schedule is made once, for ``planned`` steps. Where the phase must end sooner, the rest of the schedule is gone
    through faster: real steps then take every second, or every third … of the schedule's, so that rates go on without a
    jump and a cosine still reaches zero after the last real step. A course is plain numbers, and with it a resumed run
    sees the same rates.

    Attributes:
        planned: steps that the schedule is made for.
        changes: (steps done, new number of steps) of each time that the phase was shortened, or got steps back.

    >>> course = Course(10).ending(done=4, total=7)
    >>> course.total, [course.position(step) for step in range(7)]
    (7, [0, 1, 2, 3, 4, 6, 8])
    """

    planned: int
    changes: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> int:
        """Steps that the phase takes."""
        return self.changes[-1][1] if self.changes else self.planned

    def position(self, step: int) -> int:
        """The 0-based step of the schedule for a 0-based step of the phase; strictly rising, ``planned`` at ``total``."""
        at, begun, total = 0, 0, self.planned
        for done, changed in self.changes:
            if done > step:
                break
            at, begun, total = self._on(at, begun, total, done), done, changed
        return self._on(at, begun, total, step)

    def longest(self, done: int) -> int:
        """The most steps that the phase can take after ``done``: as many more as the schedule has left."""
        return done + self.planned - self.position(done)

    def ending(self, done: int, total: int) -> Course:
        """The course that ends after ``total`` steps, of which ``done`` are taken.

        Raises:
            ValueError: it would end before what is done, or have more steps than its schedule.
        """
        if not done <= total <= self.longest(done):
            raise ValueError(f"a course of {self.total} steps of which {done} are done cannot end after {total}")
        return Course(self.planned, (*self.changes, (done, total)))

    def _on(self, at: int, begun: int, total: int, step: int) -> int:
        """From place ``at`` of the schedule, reached after ``begun`` of ``total`` steps, to that of another step."""
        if step >= total:
            return self.planned
        return at + (step - begun) * (self.planned - at) // (total - begun)


def replan(
    left: float,
    step_seconds: float,
    done: int,
    planned: int,
    *,
    longest: int = 0,
    epoch_steps: int = 0,
    epoch_seconds: float = 0.0,
) -> int | None:
    """The new number of steps of a phase whose steps no longer fit into the time; None where nothing needs to change.

    A course that just fits is left alone (98 % of the time may be needed); one that does not is shortened to 94 %, so that
    a change is rarely followed by another one. A course that was shortened gets steps back as soon as it needs less than
    90 %. The less time there is, the fewer steps; never fewer than what is done.

    Args:
        left: seconds until the phase must have ended.
        step_seconds: seconds of a step, as measured so far.
        done: steps that the phase has taken.
        planned: steps that it is to take.
        longest: steps that it may take, where it was shortened before.
        epoch_steps: steps of an epoch; 0 where nothing happens between epochs.
        epoch_seconds: seconds that each epoch takes beside its steps, for validation and the checkpoint.
    """

    def need(total: int) -> float:
        ends = -(-total // epoch_steps) - done // epoch_steps if epoch_steps else 0
        return (total - done) * step_seconds + ends * epoch_seconds

    def fitting(most: int) -> int:
        return done + bisect.bisect_right(range(done, most + 1), left * _TARGET, key=need) - 1

    if done >= planned:
        return None
    if need(planned) > left * _TRIGGER:
        return min(planned - 1, max(done, fitting(planned)))
    if longest > planned and need(planned) < left * _SPARE:
        more = fitting(longest)
        return more if more > planned else None
    return None


def own_share(left: float, own: float, later: float) -> float:
    """The seconds of ``left`` that a phase may take which needs ``own`` seconds, with ``later`` to come after it.

    Both are counted at the same pace, so that a slow machine shortens them alike.
    """
    return left * own / (own + later) if own + later > 0 else left


@dataclass
class Pace:
    """Seconds per step of a machine that others use too.

    Attributes:
        measured: seconds per step that the plan was made with; they count until enough was seen.
    """

    measured: float
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))

    def step(self, seconds: float) -> None:
        """One more step took so long."""
        self._recent.append(seconds)
        while len(self._recent) > _STEPS and sum(self._recent) - self._recent[0] > _SECONDS:
            self._recent.popleft()

    @property
    def seconds(self) -> float:
        """The mean of the last steps without the slowest one: a single hiccup does not make a slow machine."""
        if len(self._recent) < 2:
            return self.measured
        known = sum(self._recent) - max(self._recent)
        missing = max(0.0, _TRUSTED - known)
        return (known + missing) / (len(self._recent) - 1 + missing / self.measured)
