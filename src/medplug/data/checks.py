"""What is looked at before anything is trained: unreadable, constant, duplicated and contradictory images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from medplug.config.settings import CheckSettings
from medplug.data.store import PixelStore
from medplug.errors import DataError
from medplug.values import Index, Skipped

_NAMED = 5  # so many examples stand in a message; checks.json has all
_FEW = 10  # a class with fewer samples cannot be estimated with any precision


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checks.

    Attributes:
        check: what was looked for.
        level: ``ok``, ``note`` or ``warning``.
        text: a sentence for the user.
        names: the samples concerned.
    """

    check: str
    level: Literal["ok", "note", "warning"]
    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """All findings, what was left out, and which samples are the same picture.

    Attributes:
        findings: in the order they were made.
        skipped: files and rows that take no part.
        identical: ``[N]`` int64: samples with the same number are pixel-identical; every sample has one.
    """

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    identical: np.ndarray
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """The content of ``checks.json``."""
        return {
            "fingerprint": self.fingerprint,
            "findings": [asdict(f) for f in self.findings],
            "skipped": [asdict(s) for s in self.skipped],
        }


def check_data(index: Index, store: PixelStore, settings: CheckSettings) -> tuple[Index, PixelStore, CheckReport]:
    """Leave out what cannot be used and report on the rest.

    Raises:
        DataError: with ``conflicts = "error"``, or with ``strict`` at the first warning.
    """
    findings = [*_skipped_by_reader(index)]
    findings += [Finding("reader", "note", note) for note in index.notes]
    bad = [Skipped(n, f.error) for n, f in zip(index.samples, store.facts, strict=True) if f.error]
    if bad:
        findings.append(
            Finding(
                "readable",
                "warning",
                f"{_count(bad)} cannot be read and {_are(bad)} left out: {_examples(bad)}",
                _names(bad),
            )
        )
    else:
        findings.append(Finding("readable", "ok", f"all {len(index)} images can be read"))
    index, store = _without(index, store, bad)
    findings += _constant(index, store)
    index, store, more = _conflicts(index, store, settings)
    findings += more
    if settings.duplicates == "together":
        identical = _identical(store)
        findings += _duplicates(index, identical)
    else:
        identical = np.arange(len(index))
    findings += _class_sizes(index)
    report = CheckReport(tuple(findings), index.skipped, identical, fingerprint(index, store))
    warning = next((f for f in report.findings if f.level == "warning"), None)
    if settings.strict and warning:
        raise DataError(f"--strict: {warning.text}")
    return index, store, report


def fingerprint(index: Index, store: PixelStore) -> str:
    """A hash of names, pixels and labels that does not depend on their order."""
    rows = sorted(
        f"{name}\0{fact.pixels}\0{np.nan_to_num(target, nan=-1).tolist()}"
        for name, fact, target in zip(index.samples, store.facts, index.targets, strict=True)
    )
    return hashlib.sha256("\n".join((*index.classes, *rows)).encode()).hexdigest()


def _without(index: Index, store: PixelStore, skipped: list[Skipped]) -> tuple[Index, PixelStore]:
    if not skipped:
        return index, store
    names = {s.name for s in skipped}
    kept = np.array([i for i, name in enumerate(index.samples) if name not in names], int)
    view = PixelStore(_Rows(store.images, kept), tuple(store.facts[i] for i in kept), store.thumbs[kept])  # type: ignore[arg-type]
    return index.leave_out(skipped), view


class _Rows:
    """Some rows of a memory map, without copying them."""

    def __init__(self, images: Any, rows: np.ndarray) -> None:
        self._images, self._rows = images, rows
        self.shape = (len(rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._images[self._rows[rows]]


def _skipped_by_reader(index: Index) -> list[Finding]:
    by_reason: dict[str, list[Skipped]] = defaultdict(list)
    for skipped in index.skipped:
        by_reason[skipped.reason].append(skipped)
    return [
        Finding(
            "skipped",
            "warning" if any(s.lost for s in group) else "note",
            f"{_count(group)} left out ({reason}): {_examples(group, reasons=False)}",
            _names(group),
        )
        for reason, group in by_reason.items()
    ]


def _constant(index: Index, store: PixelStore) -> list[Finding]:
    names = tuple(n for n, f in zip(index.samples, store.facts, strict=True) if f.constant)
    if not names:
        return []
    return [
        Finding("constant", "warning", f"{_number(len(names), 'image')} of one single colour: {_some(names)}", names)
    ]


def _identical(store: PixelStore) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(f.pixels, len(numbers)) for f in store.facts], np.int64)


def _conflicts(index: Index, store: PixelStore, settings: CheckSettings) -> tuple[Index, PixelStore, list[Finding]]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, fact in enumerate(store.facts):
        rows_of[fact.pixels].append(row)
    conflicting = [
        rows
        for rows in rows_of.values()
        if any(not np.array_equal(index.targets[r], index.targets[rows[0]], equal_nan=True) for r in rows)
    ]
    if not conflicting:
        return index, store, []
    texts = ["; ".join(f"{index.samples[r]} is {index.label_text(r) or 'none'}" for r in rows) for rows in conflicting]
    text = f"{_number(len(conflicting), 'picture')} with pixel-identical copies under different labels: {_some(tuple(texts))}"
    names = tuple(index.samples[r] for rows in conflicting for r in rows)
    if settings.conflicts == "error":
        raise DataError(f"{text}. Correct the labels, or leave the images out with checks.conflicts=leave_out")
    if settings.conflicts == "keep":
        return index, store, [Finding("conflicts", "warning", f"{text}; kept as they are", names)]
    bad = [Skipped(name, "pixel-identical to an image with another label") for name in names]
    index, store = _without(index, store, bad)
    return index, store, [Finding("conflicts", "warning", f"{text}; all of them are left out", names)]


def _duplicates(index: Index, identical: np.ndarray) -> list[Finding]:
    _, first, counts = np.unique(identical, return_index=True, return_counts=True)
    groups = int((counts > 1).sum())
    if not groups:
        return [Finding("duplicates", "ok", "no two images are pixel-identical")]
    surplus = int((counts[counts > 1] - 1).sum())
    repeated = set(identical[first[counts > 1]].tolist())
    names = tuple(n for n, g in zip(index.samples, identical, strict=True) if int(g) in repeated)
    text = f"{_number(groups, 'picture')} more than once ({_number(surplus, 'surplus image')}); copies share a split"
    return [Finding("duplicates", "note", text, names)]


def _class_sizes(index: Index) -> list[Finding]:
    found = []
    for name, (positives, _) in zip(index.classes, index.class_counts(), strict=True):
        if positives == 0:
            found.append(Finding("classes", "warning", f"class {name!r} has no image; its figures stay undefined"))
        elif positives == 1:
            found.append(
                Finding(
                    "classes",
                    "warning",
                    f"class {name!r} has one image: it can be trained on or tested, not both; its test figures stay undefined",
                )
            )
        elif positives < _FEW:
            text = f"class {name!r} has only {int(positives)} images; its figures will say little"
            found.append(Finding("classes", "warning", text))
    return found


def _number(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _count(group: list[Skipped]) -> str:
    return _number(len(group), "file")


def _are(group: list[Skipped]) -> str:
    return "is" if len(group) == 1 else "are"


def _names(group: list[Skipped]) -> tuple[str, ...]:
    return tuple(s.name for s in group)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _examples(group: list[Skipped], reasons: bool = True) -> str:
    return _some(tuple(f"{s.name} ({s.reason})" if reasons else s.name for s in group))
