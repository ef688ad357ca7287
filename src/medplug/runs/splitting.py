"""The splits of ``medplug split``: all folds of a data set at once, to look at and to keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medplug.config.settings import SplitSettings
from medplug.data.split import make_splits, shared_units, split_choices, split_hash, split_name
from medplug.errors import DataError
from medplug.files import write_json
from medplug.params import parameters
from medplug.runs.checking import Checked
from medplug.runs.folder import write_split
from medplug.runs.independence import split_independence
from medplug.values import SPLITS, Split

SUMMARY = "splits.json"


@dataclass(frozen=True)
class Splits:
    """All splits that the settings describe, of data that were checked.

    Attributes:
        checked: the samples, and what was found in them.
        seed: of the draw.
        settings: of each split: its repeat, fold and inner fold.
        splits: one of each.
    """

    checked: Checked
    seed: int
    settings: tuple[SplitSettings, ...]
    splits: tuple[Split, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """``fold-1``, ``repeat-2-fold-1-inner-3`` … of each, or ``split``."""
        return tuple(split_name(self.checked.index, settings) for settings in self.settings)

    def describe(self) -> list[dict[str, Any]]:
        """Of each split its name, hash, sizes, class counts, notes, what parts share, and its level of independence."""
        index, alike, keys = self.checked.index, self.checked.report.alike, self.checked.keys
        return [
            {
                "name": name,
                "hash": split_hash(keys, split.names(len(index))),
                "independence": split_independence(index, split, alike),
                "shared_between_parts": shared_units(index, split, alike),
                "sizes": {part: len(split.part(part)) for part in SPLITS},
                "counts": {
                    part: dict(
                        zip(index.classes, index.take(split.part(part)).class_counts()[:, 0].astype(int).tolist(), strict=True)
                    )
                    for part in SPLITS
                },
                "notes": list(split.notes),
            }
            for name, split in zip(self.names, self.splits, strict=True)
        ]  # fmt: skip

    def write(self, folder: Path) -> list[Path]:
        """Write one ``NAME.csv`` a split, which ``medplug run --split`` takes, and ``splits.json``; returns their paths."""
        paths = [folder / f"{name}.csv" for name in self.names]
        for path, split in zip(paths, self.splits, strict=True):
            write_split(path, self.checked.index, split, self.checked.keys)
        settings = {k: v for k, v in parameters(self.settings[0]).items() if k not in ("repeat", "fold", "inner_fold")}
        found = {"source": self.checked.source.typed, "seed": self.seed, "split": settings, "splits": self.describe()}
        write_json(folder / SUMMARY, found)
        return [*paths, folder / SUMMARY]


def split_checked(checked: Checked, settings: SplitSettings, seed: int) -> Splits:
    """All splits of data that were checked.

    Raises:
        DataError: the data cannot be used, or not be split in this way.
    """
    if checked.problem:
        raise DataError(f"{checked.source.typed}: {checked.problem}")
    index, report = checked.index, checked.report
    splits = make_splits(index, report.alike, checked.keys, settings, seed)
    return Splits(checked, seed, tuple(split_choices(index, settings)), tuple(splits))
