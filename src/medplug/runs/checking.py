"""The checks of ``medplug check``: everything that a run finds out before training, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medplug.config import Config
from medplug.data.checks import CheckReport, Finding, inspect_data
from medplug.data.grouping import with_guessed_groups
from medplug.data.source import Source, check_classes, read_source
from medplug.data.split import independence, make_split, proof_line, shared_units
from medplug.data.store import open_facts
from medplug.errors import DataError
from medplug.plugins.registry import Registry
from medplug.progress import Reporter
from medplug.values import SPLITS, Index, Split


@dataclass(frozen=True)
class Checked:
    """What was found in a data set.

    Attributes:
        source: where the samples come from.
        index: the samples that are left.
        report: all findings.
        split: the parts that a run would make; None where the data cannot be used.
        problem: why the data cannot be used, as a sentence; empty where they can.
        keys: the hash of each sample's pixels.
    """

    source: Source
    index: Index
    report: CheckReport
    split: Split | None
    problem: str = ""
    keys: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 for data that are clean or have warnings, 2 for unusable ones."""
        return 2 if self.problem else 0

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        if self.problem:
            return f"unusable: {self.problem}"
        warnings = sum(finding.level == "warning" for finding in self.lines())
        if not warnings:
            return "usable: nothing was found that speaks against training on these data"
        count = "1 warning" if warnings == 1 else f"{warnings} warnings"
        return f"usable, with {count}: read them before you believe any result"

    def lines(self) -> list[Finding]:
        """The findings, and after them what the split would be."""
        return [*self.report.findings, *self._of_split()]

    def to_json(self) -> dict[str, Any]:
        """The findings, and the outcome."""
        return {
            "source": self.source.typed,
            "reader": self.source.name,
            "images": len(self.index),
            "classes": _counts(self.index),
            "verdict": self.verdict,
            "usable": not self.problem,
            **self.report.to_json(),
            "split_notes": [] if self.split is None else list(self.split.notes),
        }

    def _of_split(self) -> list[Finding]:
        if self.split is None:
            return []
        found = [Finding("split", "warning", note) for note in self.split.notes]
        sizes = ", ".join(f"{part} {len(self.split.part(part)):,}" for part in SPLITS)
        shared = shared_units(self.index, self.split, self.report.alike)
        level = "warning" if any(shared.values()) else "ok"
        independent = independence(self.index, self.split, self.report.alike).level
        text = f"a run would split them into {sizes}; shared between parts: {proof_line(shared)}; independence: {independent}"
        return [*found, Finding("split", level, text)]


def check_source(data: Any, config: Config, registry: Registry, reporter: Reporter) -> Checked:
    """Read, decode and check a data set, and try to split it.

    Args:
        data: DATA as the user typed it, or (name, reader, argument) for a reader that exists already.
        config: its sections ``reader``, ``data``, ``checks`` and ``split`` count.
        registry: knows readers.
        reporter: shows progress.

    Raises:
        DataError: DATA cannot be read at all.
    """
    source = read_source(data, config, registry)
    store = open_facts(source.reader, source.name, source.index.uris, config.data.threads, reporter, source.argument)
    index = with_guessed_groups(source.index, config.split)
    index, kept, report = inspect_data(index, store.facts, store.thumbs, config.checks, store.key)
    problem, split = report.unusable(config.checks.strict), None
    keys = tuple(store.facts[row].pixels for row in kept.tolist())
    try:
        check_classes(index, source.typed)
        split = make_split(index, report.alike, keys, config.split, config.seed)
    except DataError as error:
        problem = problem or str(error)
    return Checked(source, index, report, split, problem, keys)


def _counts(index: Index) -> Mapping[str, int]:
    return {name: int(n) for name, n in zip(index.classes, index.class_counts()[:, 0], strict=True)}
