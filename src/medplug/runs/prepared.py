"""The data of a run, ready for training, and the files that tell of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medplug.data.checks import CheckReport
from medplug.data.preprocess import Preprocessors
from medplug.data.source import Source
from medplug.data.split import shared_units, split_hash
from medplug.data.store import PixelStore
from medplug.files import write_json
from medplug.runs import folder as names
from medplug.runs.independence import split_independence
from medplug.values import Index, Split


@dataclass(frozen=True)
class Prepared:
    """The data of a run, ready for training: what is left of the source's index, its pixels, what was found, who goes where."""

    source: Source
    index: Index
    store: PixelStore
    report: CheckReport
    split: Split
    preprocessors: Preprocessors

    @property
    def keys(self) -> tuple[str, ...]:
        """The hash of each sample's pixels."""
        return tuple(fact.pixels for fact in self.store.facts)

    @property
    def split_hash(self) -> str:
        """The hash of who is in which part."""
        return split_hash(self.keys, self.split.names(len(self.index)))

    @property
    def independence(self) -> dict[str, str]:
        """How independent the test part is: ``level`` and ``text``."""
        return split_independence(self.index, self.split, self.report.alike)

    def write(self, folder: Path) -> None:
        """Write ``checks.json`` and ``split.csv``."""
        found = {
            "split_notes": list(self.split.notes),
            "shared_between_parts": shared_units(self.index, self.split, self.report.alike),
            "split_hash": self.split_hash,
            "independence": self.independence,
            "site": self.index.site,
            "guessed_groups": list(self.index.guessed),
        }
        write_json(folder / names.CHECKS, {**self.report.to_json(), **found})
        names.write_split(folder / names.SPLIT, self.index, self.split, self.keys)
