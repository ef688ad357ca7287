"""Images that cannot be used, or show nothing: unreadable, of one single colour, masks that their pixels betray."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from medplug.config.settings import CheckSettings
from medplug.data.checks.report import Finding, number, some
from medplug.data.facts import ImageFacts
from medplug.values import Index, Skipped

Found = tuple[list[Finding], list[Skipped]]
"""Findings, and samples that take no part because of them."""


def skipped_by_reader(index: Index) -> list[Finding]:
    """One finding for each reason for which the reader left files or rows out, and its notes."""
    by_reason: dict[str, list[Skipped]] = defaultdict(list)
    for skipped in index.skipped:
        by_reason[skipped.reason].append(skipped)
    findings = [
        Finding(
            "skipped",
            "warning" if any(s.lost for s in group) else "note",
            f"{number(len(group), 'file')} left out ({reason}): {some([s.name for s in group])}",
            tuple(s.name for s in group),
        )
        for reason, group in by_reason.items()
    ]
    return findings + [Finding("reader", "note", note) for note in index.notes]


def unreadable(index: Index, facts: Sequence[ImageFacts], settings: CheckSettings) -> Found:
    """Images that cannot be decoded, truncated ones among them: left out, or an error."""
    bad = [Skipped(n, f.error, lost=True) for n, f in zip(index.samples, facts, strict=True) if f.error]
    if not bad:
        return [Finding("readable", "ok", f"all {len(index):,} images can be read")], []
    names = tuple(s.name for s in bad)
    examples = some([f"{s.name} ({s.reason})" for s in bad])
    reasons = Counter(s.reason.partition(":")[0] for s in bad)
    details = {"reasons": dict(reasons.most_common())}
    if settings.unreadable == "error":
        text = f"{number(len(bad), 'image')} cannot be read: {examples}. Mend or remove them, or leave them out with checks.unreadable=leave_out"
        return [Finding("readable", "error", text, names, details)], bad  # the others are still looked at
    text = f"{number(len(bad), 'file')} cannot be read and {'is' if len(bad) == 1 else 'are'} left out: {examples}"
    return [Finding("readable", "warning", text, names, details)], bad


def constant(index: Index, facts: Sequence[ImageFacts], settings: CheckSettings) -> Found:
    """Images of one single colour show nothing; they are left out unless most images are such."""
    names = tuple(n for n, f in zip(index.samples, facts, strict=True) if f.constant)
    if not names:
        return [Finding("constant", "ok", "no image is of one single colour")], []
    what = f"{number(len(names), 'image')} of one single colour: {some(names)}"
    if 2 * len(names) >= len(index):
        return [Finding("constant", "warning", f"{what}; that are so many that they are kept", names)], []
    if settings.constant == "keep":
        return [Finding("constant", "warning", f"{what}; kept", names)], []
    text = f"{what}; left out, since they show nothing (checks.constant=keep keeps them)"
    return [Finding("constant", "warning", text, names)], [Skipped(n, "of one single colour") for n in names]


def two_valued(index: Index, facts: Sequence[ImageFacts], settings: CheckSettings) -> Found:
    """Images with two values only are masks where the others are pictures; where most are such, they are the data."""
    names = tuple(n for n, f in zip(index.samples, facts, strict=True) if f.values == 2)
    if not names:
        return [], []
    what = f"{number(len(names), 'image')} with two values only, as masks have: {some(names)}"
    if 2 * len(names) >= len(index):
        text = (
            f"{len(names):,} of {len(index):,} images have two values only; they are taken for the data, not for masks"
        )
        return [Finding("two_valued", "note", text, names)], []
    if settings.two_valued == "keep":
        return [Finding("two_valued", "warning", f"{what}; kept", names)], []
    text = f"{what}; left out (checks.two_valued=keep keeps them)"
    return [Finding("two_valued", "warning", text, names)], [
        Skipped(n, "two values only, as masks have") for n in names
    ]
