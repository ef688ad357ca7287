"""What else ran on the machine meanwhile: rows are comparable only where nothing did."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # fields of the first line after its name: idle, and idle while a disk works


class Neighbours:
    """Counts from its making on; only processes that this one has waited for count as its own."""

    def __init__(self) -> None:
        self._before = _seconds()

    def share(self) -> float | None:
        """The share of all processors' time that others took, 0 to 1, other guests of the host included; None but on Linux.

        The kernel counts in hundredths of a second, so a little noise is left.
        """
        now = _seconds()
        if now is None or self._before is None:
            return None
        total, busy, own = (after - before for after, before in zip(now, self._before, strict=True))
        return max(0.0, busy - own) / total if total > 0 else 0.0


def _seconds() -> tuple[float, float, float] | None:
    """Of all processors together: all time, time in which they were busy, and that of this process and its children."""
    if not _STAT.exists():
        return None
    ticks = [int(word) for word in _STAT.read_text("ascii").splitlines()[0].split()[1:9]]  # guests stand in user's
    per_second = os.sysconf("SC_CLK_TCK")
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return sum(ticks) / per_second, sum(t for i, t in enumerate(ticks) if i not in _IDLE) / per_second, own
