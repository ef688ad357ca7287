"""What a split may claim: which parts it lacks, what they share, how independent the test part is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from medplug.errors import DataError
from medplug.values import SPLITS, Index, Split

CLUSTERS = "duplicate clusters"
_OFF = 0.05  # of all samples: a part that is so far from its share is spoken of
_KNOWN = 0.9  # of the samples must have a group for the groups to say something of the whole
_NAMED = 5
_LOST = {
    "train": "the network cannot learn {it}",
    "validation": "no threshold and no calibration can be chosen for {it}",
    "test": "the test figures of {it} stay undefined",
}


def images(n: int) -> str:
    """``1 image``, ``2 images``."""
    return f"{n:,} image" if n == 1 else f"{n:,} images"


def shared_units(index: Index, split: Split, alike: np.ndarray) -> dict[str, int]:
    """The proof: how many groups of each kind, and how many clusters of like pictures, lie in more than one part."""
    columns = {**index.groups, CLUSTERS: np.asarray(alike).astype(str)}
    part = np.array(split.names(len(index)))
    return {name: len(_torn(np.asarray(column), part)) for name, column in columns.items()}


def proof_line(shared: Mapping[str, int]) -> str:
    """``0 groups (patient), 0 duplicate clusters``: what :func:`shared_units` has found, in words."""
    groups = {name: n for name, n in shared.items() if name != CLUSTERS}
    if groups and not any(groups.values()):
        told = [f"0 groups ({', '.join(groups)})"]
    else:
        told = [f"{n:,} {'group' if n == 1 else 'groups'} ({name})" for name, n in groups.items()]
    return ", ".join(
        [*told, *(f"{n:,} {name[:-1] if n == 1 else name}" for name, n in shared.items() if name == CLUSTERS)]
    )


def _torn(column: np.ndarray, side: np.ndarray) -> set[str]:
    """The values that lie on more than one side; empty texts are no value and no side."""
    used = (side != "") & (column != "")
    seen: dict[str, str] = {}
    return {
        value
        for value, where in zip(column[used].tolist(), side[used].tolist(), strict=True)
        if seen.setdefault(value, where) != where
    }


# ---------------------------------------------------------------- the level of independence


@dataclass(frozen=True)
class Independence:
    """How independent test samples are of those that the network learned from or was chosen by.

    Attributes:
        level: ``image``, ``group (guessed)``, ``group (given)`` or ``site``.
        groups: the group columns of which no value lies on both sides.
        torn: what lies on both sides, by column, as counts.
        unknown: samples in use without any group.
        site: the column of sites, where no site lies on both sides.
    """

    level: str
    groups: tuple[str, ...] = ()
    torn: tuple[tuple[str, int], ...] = ()
    unknown: int = 0
    site: str = ""


def independence(index: Index, split: Split, alike: np.ndarray) -> Independence:
    """The level that this split of these samples has, whatever its settings promised.

    ``site`` needs a known site of every sample in use, and no site, group or like picture on both sides; ``group`` needs a
    group of nine samples in ten, and no group or like picture on both sides. A group is ``given`` unless all columns were
    guessed.
    """
    side = np.full(len(index), "", "<U7")
    side[split.train], side[split.validation], side[split.test] = "learned", "learned", "test"
    columns = {name: np.asarray(column) for name, column in index.groups.items()}
    torn = {name: len(_torn(column, side)) for name, column in columns.items()}
    torn[CLUSTERS] = len(_torn(np.asarray(alike).astype(str), side))
    found = tuple((name, n) for name, n in torn.items() if n)
    used = side != ""
    grouped = np.any([column != "" for column in columns.values()], 0) if columns else np.zeros(len(index), bool)
    unknown = int((used & ~grouped).sum())
    plain = Independence("image", torn=found, unknown=unknown)
    if found:
        return plain
    site = _site(index)
    if site is not None and (site[used] != "").all() and not _torn(site, side) and len(set(site[used].tolist())) > 1:
        return replace(plain, level="site", groups=tuple(columns), site=index.site)
    if not columns or grouped[used].mean() < _KNOWN:
        return plain
    level = "group (guessed)" if set(columns) <= set(index.guessed) else "group (given)"
    return replace(plain, level=level, groups=tuple(columns))


def _site(index: Index) -> np.ndarray | None:
    if not index.site:
        return None
    column = {**index.metadata, **index.groups}[index.site]
    return np.array(["" if c is None or c != c else str(c) for c in np.asarray(column).tolist()])  # noqa: PLR0124 - NaN


# ---------------------------------------------------------------- what is missing


def check_parts(split: Split, index: Index, shares: np.ndarray | None = None) -> Split:
    """The split with notes on what its parts lack.

    Args:
        split: to be checked.
        index: the samples.
        shares: ``[3]``, what the parts should have; None where nobody asked for shares.

    Raises:
        DataError: a part is empty, or training has fewer than two classes.
    """
    for name in SPLITS:
        if len(split.part(name)) == 0:
            raise DataError(
                f"the {name} part would be empty: {images(len(index))} are too few, or one group holds nearly all of them"
            )
    counts = {name: index.take(split.part(name)).class_counts()[:, 0] for name in SPLITS}
    if index.task == "multiclass" and (counts["train"] > 0).sum() < 2:
        raise DataError(
            f"the training part would hold fewer than two classes: {images(len(index))} are too few, or groups and given "
            "parts leave no choice"
        )
    notes = list(split.notes)
    if shares is not None:
        notes += _off(split, shares)
    there = np.sum(list(counts.values()), 0) > 0
    for name in SPLITS:
        absent = [c for c, n, anywhere in zip(index.classes, counts[name], there, strict=True) if anywhere and n == 0]
        if absent:
            lost = _LOST[name].format(it="it" if len(absent) == 1 else "them")
            notes.append(f"no {name} image of {_some(absent)}: {lost}")
    return replace(split, notes=tuple(notes))


def _off(split: Split, shares: np.ndarray) -> list[str]:
    sizes = np.array([len(split.part(name)) for name in SPLITS])
    got = sizes / sizes.sum()
    if np.abs(got - shares).max() <= _OFF:
        return []
    told = ", ".join(f"{name} {g:.0%} (wanted {w:.0%})" for name, g, w in zip(SPLITS, got, shares, strict=True))
    return [f"groups are too large, or images too few, for the shares that were asked for: {told}"]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
