"""What every family of benchmarks offers to the command line, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]  # see benchmarks.records


class BenchmarkError(Exception):
    """A benchmark cannot go on; the message says why and what to do."""


class MissingDataError(BenchmarkError):
    """The data of a benchmark are not there; the message says where to get them."""


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        data: folder that holds the data sets; None where none was named.
        out: folder of the runs.
        seeds, budget (minutes), size (pixels): instead of those of the benchmark; None keeps them.
        sets, rivals: names, of benchmarks that go over several; None keeps all.
        again: whether to repeat what is finished.
        variants: file of variants of settings; None takes the benchmark's own.
        results: the records that are kept with the code.
    """

    data: Path | None
    out: Path
    seeds: tuple[int, ...] | None = None
    budget: float | None = None
    size: int | None = None
    sets: tuple[str, ...] | None = None
    rivals: tuple[str, ...] | None = None
    again: bool = False
    variants: Path | None = None
    results: Path = Path(__file__).parent / "RESULTS.json"


@dataclass(frozen=True)
class Family:
    """One kind of benchmark.

    Attributes:
        names: all benchmarks of the family, by the group that ``run GROUP`` stands for.
        describe: a benchmark in a few lines, and whether it can run here.
        run: measure, and leave records below ``options.out``.
        section: Markdown of the family's records.
    """

    names: Callable[[], dict[str, list[str]]]
    describe: Callable[[str, Options], str]
    run: Callable[[str, Options], None]
    section: Callable[[Sequence[Record], Options], str]
