"""What the checks find, in words for the user and in values for ``checks.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from medplug.values import Skipped

_NAMED = 5  # so many examples stand in a message; checks.json has all

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checks.

    Attributes:
        check: what was looked for.
        level: ``ok``, ``note``, ``warning``, or ``error`` where the settings say that the data must not be used.
        text: a sentence for the user.
        names: all samples concerned.
        details: figures behind the sentence, as JSON can hold them.
    """

    check: str
    level: Level
    text: str
    names: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckReport:
    """All findings, what was left out, and which samples are the same picture.

    Attributes:
        findings: in the order they were made.
        skipped: files and rows that take no part.
        identical: ``[N]`` int64: samples with the same number are pixel-identical; every sample has one.
        alike: ``[N]`` int64: samples with the same number must share a part of the split: they are pixel-identical, or
            near-duplicates in a cluster that can be believed.
        fingerprint: hash of pixels and labels.
    """

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    identical: np.ndarray
    fingerprint: str
    alike: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.alike) != len(self.identical):
            object.__setattr__(self, "alike", self.identical)

    def of_level(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def unusable(self, strict: bool = False) -> str:
        """Why the data must not be used, empty if they may: the first error, or with ``strict`` the first warning."""
        errors, warnings = self.of_level("error"), self.of_level("warning")
        if errors:
            return errors[0].text
        return f"--strict: {warnings[0].text}" if strict and warnings else ""

    def to_json(self) -> dict[str, Any]:
        """The content of ``checks.json``."""
        return {
            "fingerprint": self.fingerprint,
            "findings": [asdict(f) for f in self.findings],
            "skipped": [asdict(s) for s in self.skipped],
        }


def number(n: int, noun: str) -> str:
    """``1 image``, ``1,200 images``, ``2 classes``."""
    plural = (
        noun if n == 1 else noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    )
    return f"{n:,} {plural}"


def some(names: Sequence[str], most: int = _NAMED) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def joined(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
