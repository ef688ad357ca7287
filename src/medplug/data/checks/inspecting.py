"""All checks in their order, and what becomes of the data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from medplug.config.settings import CheckSettings
from medplug.data.checks import classes, copies, kept, near, pixels
from medplug.data.checks.labels import leaking_columns
from medplug.data.checks.report import CheckReport, Finding
from medplug.data.checks.shortcut import shortcut
from medplug.data.checks.telling import units_in_folds
from medplug.data.facts import ImageFacts
from medplug.errors import DataError
from medplug.values import Index, Skipped


def check_data(
    index: Index, facts: Sequence[ImageFacts], thumbs: np.ndarray, settings: CheckSettings, key: str = ""
) -> tuple[Index, np.ndarray, CheckReport]:
    """Leave out what cannot be used and report on the rest.

    Args:
        index: N samples.
        facts: N, of the same samples in the same order.
        thumbs: ``[N, 32, 32]`` uint8, their grey thumbnails.
        settings: what is looked at and what is done about it.
        key: of the store that facts and thumbnails are from; what was found is kept beside them. Without one the data
            are looked through in any case.

    Returns:
        The index of what is left, the rows of the given one that it has (``[M]`` int64), and all findings.

    Raises:
        DataError: data that the settings call unusable (``conflicts = "error"`` …); with ``strict`` at the first warning.
    """
    index, rows, report = inspect_data(index, facts, thumbs, settings, key)
    if report.unusable(settings.strict):
        raise DataError(report.unusable(settings.strict))
    return index, rows, report


def inspect_data(
    index: Index, facts: Sequence[ImageFacts], thumbs: np.ndarray, settings: CheckSettings, key: str = ""
) -> tuple[Index, np.ndarray, CheckReport]:
    """As :func:`check_data`, but data that are unusable have a finding of level ``error`` instead of raising one."""
    place = kept.place_of(key, index, facts, settings)
    found = kept.read(place, index) if place is not None else None
    if found is None:
        found = _inspect(index, facts, thumbs, settings)
        if place is not None:
            kept.write(place, found)
    return found


def _inspect(index: Index, facts: Sequence[ImageFacts], thumbs: np.ndarray, settings: CheckSettings) -> kept.Found:
    look = _Look(index, facts, thumbs, settings)
    look.findings += pixels.skipped_by_reader(index)
    for check in (pixels.unreadable, pixels.constant, pixels.two_valued):
        look.apply(*check(look.index, look.facts, settings))
    identical, alike = look.compare()
    if len(look.index):
        look.describe(alike)
    data = fingerprint(look.index, look.facts)
    report = CheckReport(tuple(look.findings), look.index.skipped, identical, data, alike)
    return look.index, look.rows, report


def fingerprint(index: Index, facts: Sequence[ImageFacts]) -> str:
    """A hash of pixels and labels that depends neither on their order nor on names, which may be salted hashes."""
    rows = sorted(
        f"{fact.pixels}\0{np.nan_to_num(target, nan=-1).tolist()}"
        for fact, target in zip(facts, index.targets, strict=True)
    )
    return hashlib.sha256("\n".join((*index.classes, *rows)).encode("utf-8", "surrogatepass")).hexdigest()


class _Look:
    """What is left of the data while they are looked through."""

    def __init__(self, index: Index, facts: Sequence[ImageFacts], thumbs: np.ndarray, settings: CheckSettings) -> None:
        self.index, self.facts, self.thumbs, self.settings = index, tuple(facts), thumbs, settings
        self.rows = np.arange(len(index))
        self.findings: list[Finding] = []

    def apply(self, findings: list[Finding], bad: list[Skipped]) -> np.ndarray:
        """Add findings and leave samples out; returns the rows that are kept, of those that there were."""
        self.findings += findings
        names = {skipped.name for skipped in bad}
        left = np.flatnonzero([name not in names for name in self.index.samples])
        if bad:
            self.index = self.index.leave_out(bad)
            self.facts = tuple(self.facts[row] for row in left)
            self.thumbs, self.rows = self.thumbs[left], self.rows[left]
        return left

    def compare(self) -> tuple[np.ndarray, np.ndarray]:
        """(identical, alike) of what is left after comparing all images with each other."""
        identical = copies.numbered([fact.pixels for fact in self.facts])
        together = self.settings.duplicates == "together"
        if together:
            self.findings += copies.copies(self.index, self.facts, identical)
        alike, near_ones = identical if together else np.arange(len(self.index)), []
        if self.settings.near != "ignore":
            near_ones, alike = copies.near_duplicates(self.index, self.thumbs, identical, alike, self.settings)
        left = self.apply(*copies.conflicts(self.index, identical, self.settings))
        self.findings += near_ones
        identical = identical if together else np.arange(len(identical))
        return _renumbered(identical[left]), _renumbered(alike[left])

    def describe(self, alike: np.ndarray) -> None:
        """Findings on what is left, which leave nothing out."""
        settings, units = self.settings, independent_units(self.index, alike)
        if settings.classes == "report":
            self.findings += classes.class_sizes(self.index, units)
        if settings.groups == "report":
            self.findings += classes.groups(self.index)
        folds = units_in_folds(units, self.index.targets, [fact.pixels for fact in self.facts])
        if settings.shortcut == "report":
            self.findings += shortcut(self.index, self.facts, units, folds)
        if settings.leaks == "report":
            self.findings += leaking_columns(self.index, units, folds)


def independent_units(index: Index, alike: np.ndarray) -> np.ndarray:
    """``[N]`` int64: samples that share a number are not independent: of one group, or the same picture.

    The column of sites does not count here: it would make one unit of a hospital.
    """
    columns = [alike.astype(str), *(np.asarray(c) for name, c in index.groups.items() if name != index.site)]
    first = [copies.numbered(["" if v is None else str(v) for v in column.tolist()]) for column in columns]
    rows = np.arange(len(index))
    return near.clusters(len(index), np.concatenate(first), np.concatenate([rows] * len(first)))


def _renumbered(numbers: np.ndarray) -> np.ndarray:
    """The same classes of rows, each numbered by its first row."""
    _, first, place = np.unique(numbers, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)
