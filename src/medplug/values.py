"""The frozen values that the stages hand to each other. Arrays are NumPy, shapes stand in the docstrings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from medplug.errors import ContractError

Task = Literal["multiclass", "multilabel"]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or row that was left out, and why.

    Attributes:
        name: of the file or row.
        reason: in words.
        lost: whether it was meant to take part, as a row whose file is missing was and a hidden file was not. What is
            lost is warned about, and ``--strict`` ends at it.
    """

    name: str
    reason: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What the publisher says of a data set; empty where nothing is known.

    Attributes:
        title: its name, as in ``"ISIC 2019"``.
        licence: under which it may be used.
        citation: what to cite.
        url: the publisher's page.
    """

    title: str = ""
    licence: str = ""
    citation: str = ""
    url: str = ""


@dataclass(frozen=True)
class Index:
    """The samples of a data set; what a reader returns.

    Attributes:
        samples: N unique names, the path relative to the data folder where there is one.
        uris: N strings that the reader's ``load`` understands.
        targets: ``[N, K]`` float32: one-hot (multi-class) or multi-hot (multi-label), NaN for unknown.
        classes: K names.
        task: ``"multiclass"`` (softmax; binary is two classes) or ``"multilabel"`` (sigmoid).
        groups: columns by name, each ``[N]`` str: patient, lesion, site … Samples that share any of them
            stay in one split; an empty string is no group.
        metadata: further columns by name, each ``[N]``.
        splits: ``[N]`` of ``"train"``, ``"validation"``, ``"test"`` or ``""``; None where none are given.
        skipped: what was left out.
        notes: guesses and choices, as sentences for the user.
        site: the column, of ``groups`` or ``metadata``, that tells where a sample comes from (hospital, scanner);
            empty where none does.
        guessed: the columns of ``groups`` that were guessed (from file names, say) and not told by the data.
        about: what the publisher says of the data set.
    """

    samples: tuple[str, ...]
    uris: tuple[str, ...]
    targets: np.ndarray
    classes: tuple[str, ...]
    task: Task = "multiclass"
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    metadata: Mapping[str, np.ndarray] = field(default_factory=dict)
    splits: np.ndarray | None = None
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    site: str = ""
    guessed: tuple[str, ...] = ()
    about: About = About()

    def __post_init__(self) -> None:
        n, k = len(self.samples), len(self.classes)
        targets = np.asarray(self.targets, np.float32)
        object.__setattr__(self, "targets", targets)
        columns = {**self.groups, **self.metadata, "uris": self.uris}
        if self.splits is not None:
            columns["splits"] = self.splits
        wrong = [name for name, column in columns.items() if len(column) != n]
        if targets.shape != (n, k):
            raise ContractError(f"Index.targets must be [{n}, {k}] (samples, classes), got {list(targets.shape)}")
        if wrong:
            raise ContractError(f"Index: {', '.join(wrong)} must have {n} entries, one per sample")
        if len(set(self.samples)) != n:
            raise ContractError("Index.samples must be unique")
        if len(set(self.classes)) != k:
            raise ContractError(f"Index.classes must be unique, got {list(self.classes)}")
        if self.task not in ("multiclass", "multilabel"):
            raise ContractError(f"Index.task must be 'multiclass' or 'multilabel', got {self.task!r}")
        if self.site and self.site not in {**self.groups, **self.metadata}:
            raise ContractError(f"Index.site is {self.site!r}, which is no column of groups or metadata")
        if set(self.guessed) - set(self.groups):
            raise ContractError(f"Index.guessed names {list(self.guessed)}, of which some are no columns of groups")
        known = targets[~np.isnan(targets)]
        if known.size and (known.min() < 0 or known.max() > 1):
            raise ContractError("Index.targets must lie in [0, 1], or be NaN for unknown")
        if self.task == "multiclass" and n and not np.allclose(targets.sum(1), 1):
            raise ContractError("Index.targets of a multi-class task must sum to 1 in each row")
        unknown = set(self.splits.tolist()) - {*SPLITS, ""} if self.splits is not None else set()
        if unknown:
            raise ContractError(f"Index.splits holds {sorted(unknown)}; allowed are {', '.join(SPLITS)} and ''")

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: Any) -> Index:
        """The index of some rows, an integer array or a mask; the rest is dropped without a word."""
        rows = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            samples=tuple(self.samples[i] for i in rows),
            uris=tuple(self.uris[i] for i in rows),
            targets=self.targets[rows],
            groups={name: np.asarray(column)[rows] for name, column in self.groups.items()},
            metadata={name: np.asarray(column)[rows] for name, column in self.metadata.items()},
            splits=None if self.splits is None else np.asarray(self.splits)[rows],
        )

    def leave_out(self, skipped: list[Skipped]) -> Index:
        """The index without the named samples, which are added to ``skipped``."""
        names = {s.name for s in skipped}
        kept = self.take(np.array([name not in names for name in self.samples], bool))
        return replace(kept, skipped=(*self.skipped, *skipped))

    def class_counts(self) -> np.ndarray:
        """``[K, 2]`` float32: known positives and negatives of each class."""
        known = ~np.isnan(self.targets)
        positives = np.where(known, self.targets, 0).sum(0)
        return np.stack([positives, known.sum(0) - positives], axis=1).astype(np.float32)

    def label_text(self, row: int) -> str:
        """The label of one sample in words: the class, or the present labels joined by ``+``."""
        present = [c for c, t in zip(self.classes, self.targets[row], strict=True) if t >= 0.5]
        return "+".join(present)


@dataclass(frozen=True)
class Split:
    """Rows of an index by part: each an int64 array, in the order of use."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> np.ndarray:
        """The rows of ``"train"``, ``"validation"`` or ``"test"``."""
        return getattr(self, name)

    def names(self, n: int) -> list[str]:
        """The part of each of ``n`` samples; empty where a sample is in none."""
        names = [""] * n
        for part in SPLITS:
            for row in self.part(part):
                names[row] = part
        return names


@dataclass(frozen=True)
class Predictions:
    """What a network says of a split.

    Attributes:
        samples: N names.
        probabilities: ``[N, K]`` float64; rows sum to 1 in multi-class tasks.
        targets: ``[N, K]`` float32, or None where no labels are known.
        classes: K names.
        task: as in :class:`Index`.
        groups: one name per sample: samples with the same one are not independent.
        columns: further columns of the table, N texts each, under reserved names (``medplug:decision`` …).
    """

    samples: tuple[str, ...]
    probabilities: np.ndarray
    targets: np.ndarray | None
    classes: tuple[str, ...]
    task: Task
    groups: np.ndarray | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
