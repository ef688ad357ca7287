"""What is compared: rivals, sets and seeds, at which size and in how many minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from benchmarks.experiments import Experiment, experiments
from benchmarks.family import BenchmarkError, Options

STANDARD = "standard"
RIVALS = {
    STANDARD: "medplug, recipe `standard`",
    "paper": "medplug, recipe `paper`",
    "features": "logistic regression on frozen features",
    "torch": "fine-tuning in plain PyTorch",
}
"""By name, in words. All start from the same weights of the same backbone."""

BACKBONE = "efficientnet_lite0"


@dataclass(frozen=True)
class Plan:
    """One budget.

    Attributes:
        minutes: of wall time for each row.
        size: edge of the images in pixels.
        seeds: of each set; a seed decides the split and everything random.
        rivals: names of :data:`RIVALS`.
    """

    minutes: float
    size: int
    seeds: Mapping[str, tuple[int, ...]]
    rivals: tuple[str, ...]


_SEEDS = {
    "ultrasound": (0, 1, 2), "dermatoscopy": (0, 1, 2), "ct": (0, 1, 2), "xray": (0,), "mri": (0,), "retina": (0,),
}  # fmt: skip
PLANS = (Plan(5, 128, _SEEDS, tuple(RIVALS)), Plan(20, 192, {"ultrasound": (0, 1, 2)}, (STANDARD, "features")))
SETS = tuple(_SEEDS)


@dataclass(frozen=True)
class Row:
    """One training: ``rival`` on the split of ``set`` that ``seed`` draws."""

    rival: str
    set: str
    seed: int
    minutes: float
    size: int

    @property
    def benchmark(self) -> str:
        """The name in records, and of the folder; the seed stands beside it."""
        return f"compare-{self.rival}-{self.set}-{self.minutes:g}min-{self.size}px"

    def place(self, out: Path) -> Path:
        """The folder of the row."""
        return out / self.benchmark / f"seed-{self.seed}"

    def of(self, rival: str) -> Row:
        """The row of another rival on the same images."""
        return replace(self, rival=rival)


def experiment_of(name: str) -> Experiment:
    """The data of a set: those of the small experiment of this name.

    Raises:
        BenchmarkError: there is no such set.
    """
    found = experiments().get(f"small_{name}")
    if found is None:
        raise BenchmarkError(f"there is no set {name!r}; the sets are {', '.join(SETS)}")
    return found


def plans(options: Options) -> list[Plan]:
    """The plans that the options leave: other minutes, or another size, than any plan has are put into the first one."""
    found = [
        plan
        for plan in PLANS
        if options.budget in (None, plan.minutes) and options.size in (None, plan.size)
    ]  # fmt: skip
    if found:
        return found
    first = PLANS[0]
    return [replace(first, minutes=options.budget or first.minutes, size=options.size or first.size)]


def rows(options: Options) -> list[Row]:
    """The planned rows among the sets, seeds and rivals that the user named: seed by seed, all rivals of a set together.

    Raises:
        BenchmarkError: a rival or a set is not known, or nothing is left.
    """
    for words, known in ((options.rivals or (), RIVALS), (options.sets or (), SETS)):
        wrong = sorted(set(words) - set(known))
        if wrong:
            raise BenchmarkError(f"there is no {wrong[0]!r} here; known are {', '.join(known)}")
    found = [
        Row(rival, name, seed, plan.minutes, plan.size)
        for plan in plans(options)
        for seed in sorted({seed for seeds in plan.seeds.values() for seed in seeds})
        for name, seeds in plan.seeds.items()
        for rival in plan.rivals
        if seed in seeds
        and _named(seed, options.seeds)
        and _named(name, options.sets)
        and _named(rival, options.rivals)
    ]
    if not found:
        raise BenchmarkError("no planned row is left: xray, mri and retina have seed 0 only; widen --sets or --seeds")
    return found


def together(found: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows of one set, seed and budget, one list after the other."""
    for _, group in groupby(found, key=lambda row: row.of(STANDARD)):
        yield list(group)


def _named(one: object, chosen: Sequence[object] | None) -> bool:
    return chosen is None or one in chosen
