"""What must stay together, and the order in which it is dealt out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medplug.data.pause import collector_paused
from medplug.seeds import child_seed
from medplug.values import Index


@dataclass(frozen=True)
class Units:
    """The units of some samples, in the order in which they are dealt out: large ones first, equal ones as drawn.

    Attributes:
        rows: ``[M]`` int64, the samples.
        of: ``[M]`` int64, the unit of each.
        content: ``[U, L + 1]`` float64: how many samples of each unit bear each label, and how many there are.
    """

    rows: np.ndarray
    of: np.ndarray
    content: np.ndarray


def group_columns(index: Index, how: str) -> Mapping[str, np.ndarray]:
    """The group columns that ``split.groups`` goes by: all (``respect``), those that the data name (``given``), none."""
    if how == "none":
        return {}
    return {name: column for name, column in index.groups.items() if how != "given" or name not in index.guessed}


def group_of(index: Index, how: str = "respect") -> np.ndarray | None:
    """One number per sample ``[N]``: samples joined by any group column share it; None where there are no groups."""
    columns = group_columns(index, how)
    return components(len(index), columns.values()) if columns else None


def units_of(index: Index, alike: np.ndarray, how: str) -> np.ndarray:
    """One number per sample ``[N]``: what must stay together, through groups, like pictures, and chains of both."""
    return components(len(index), [*group_columns(index, how).values(), np.asarray(alike).astype(str)])


def components(n: int, columns: Iterable[np.ndarray]) -> np.ndarray:
    """The connected components of ``n`` samples that are joined where a column holds the same non-empty value."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in columns:
        first: dict[str, int] = {}
        for row, value in enumerate(np.asarray(column).tolist()):
            if value in ("", None):
                continue
            before = first.setdefault(value, row)
            if before != row:
                a, b = root(before), root(row)
                parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(n)], np.int64)


def labels_of(index: Index) -> np.ndarray:
    """What is to be spread evenly, ``[N, L]`` bool: each class; of labels with gaps the known negatives too."""
    positive = np.nan_to_num(index.targets) >= 0.5
    gaps = np.isnan(index.targets).any(0)
    return np.column_stack([positive, index.targets[:, gaps] < 0.5])


def arrange(index: Index, units: np.ndarray, rows: np.ndarray, keys: Sequence[str], seed: int) -> Units:
    """The units of ``rows`` in the order of the draw.

    A unit is known by the smallest key of its samples, and its place by a hash of that key and the seed: neither the
    order of listing nor the names matter (names decide between equal keys), and a sample more or less leaves the order
    of the others as it is.
    """
    seed = child_seed(seed, "split")
    known: dict[int, tuple[str, str]] = {}
    different, counts = np.unique(units[rows], return_counts=True)
    sizes = dict(zip(different.tolist(), counts.tolist(), strict=True))
    with collector_paused():
        for row, unit in zip(rows.tolist(), units[rows].tolist(), strict=True):
            name = (keys[int(row)], index.samples[int(row)])
            if unit not in known or name < known[unit]:
                known[unit] = name
        order = sorted(known, key=lambda u: (-sizes[u], _drawn(seed, known[u][0]), known[u]))
    number = {unit: i for i, unit in enumerate(order)}
    of = np.array([number[u] for u in units[rows].tolist()], np.int64)
    labels = labels_of(index)[rows]
    content = np.zeros((len(order), labels.shape[1] + 1))
    np.add.at(content, of, np.column_stack([labels, np.ones(len(rows))]))
    return Units(rows, of, content)


def _drawn(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}/{key}".encode(errors="surrogateescape")).digest()[:8]
