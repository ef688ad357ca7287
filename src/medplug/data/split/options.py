"""What the settings of a split say together, and all the splits that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.errors import UsageError, did_you_mean
from medplug.values import SPLITS, Index


def kept(index: Index, settings: SplitSettings) -> bool:
    """Whether the data bring a split that is kept."""
    return index.splits is not None and settings.given == "keep" and bool(set(index.splits.tolist()) & set(SPLITS))


def check_settings(index: Index, settings: SplitSettings) -> None:
    """Settings that contradict each other, or the data.

    Raises:
        UsageError: with what to change.
    """
    total = settings.train + settings.validation + settings.test
    if abs(total - 1) > 1e-6:
        raise UsageError(f"split.train + split.validation + split.test must be 1, got {total:g}")
    ways = {"split.file": settings.file, "split.folds": settings.folds, "split.leave_out": settings.leave_out}
    chosen = [name for name, value in ways.items() if value]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other: each says which samples are tested")
    if settings.method == "aucmedi":
        more = chosen or [f"split.{k}" for k in ("inner_folds",) if getattr(settings, k)]
        if more:
            raise UsageError(f"{more[0]} cannot go with split.method=aucmedi, which only knows one hold-out set")
        if index.splits is not None and settings.given == "keep":
            raise UsageError("split.method=aucmedi splits anew; with data that bring a split, add split.given=pool")
    if kept(index, settings) and chosen and not settings.file:
        raise UsageError(
            f"the data bring a split, and {chosen[0]} asks for another: add split.given=pool to split anew, or take "
            "split.inner_folds for folds within the given training part"
        )
    for name in ("folds", "inner_folds"):
        if getattr(settings, name) == 1:
            raise UsageError(f"split.{name} must be 0 (none) or at least 2, got 1")
    for one, count in (("fold", _folds(index, settings)), ("inner_fold", settings.inner_folds or 1), ("repeat", settings.repeats)):  # fmt: skip
        number = getattr(settings, one)
        if number > count:
            raise UsageError(f"split.{one} is {number}, but there {'is' if count == 1 else 'are'} only {count}")


def split_choices(index: Index, settings: SplitSettings) -> list[SplitSettings]:
    """The settings of every single split that ``settings`` describe: all repeats, folds and inner folds, in that order."""
    return [
        replace(settings, repeat=repeat, fold=fold, inner_fold=inner)
        for repeat in range(1, settings.repeats + 1)
        for fold in range(1, _folds(index, settings) + 1)
        for inner in range(1, (settings.inner_folds or 1) + 1)
    ]


def split_name(index: Index, settings: SplitSettings) -> str:
    """``repeat-2-fold-3-inner-1``, without what there is only one of; ``split`` where there is one split."""
    counts = {"repeat": settings.repeats, "fold": _folds(index, settings), "inner": settings.inner_folds}
    numbers = {"repeat": settings.repeat, "fold": settings.fold, "inner": settings.inner_fold}
    return "-".join(f"{k}-{n:0{len(str(counts[k]))}}" for k, n in numbers.items() if counts[k] > 1) or "split"


def held_out(index: Index, text: str) -> tuple[str, np.ndarray, Sequence[str]]:
    """What ``split.leave_out`` names: the column, its cells as text ``[N]``, and the values to leave out one by one.

    Raises:
        UsageError: there is no such column or value, or only one value.
    """
    columns = {**index.metadata, **index.groups}
    if index.site:
        columns.setdefault("site", columns[index.site])
    name, equals, value = (text, "", "") if text in columns else text.rpartition("=")
    if name not in columns:
        name = name or text
        raise UsageError(
            f"split.leave_out: there is no column {name!r}{did_you_mean(name, columns)} (columns: {', '.join(columns) or 'none'})"
        )
    cells = np.array([_cell(cell) for cell in np.asarray(columns[name]).tolist()])
    values = sorted({cell for cell in cells.tolist() if cell}, key=_natural)
    if len(values) < 2:
        raise UsageError(f"split.leave_out: column {name!r} has {len(values)} values; at least two are needed")
    if equals and value not in values:
        raise UsageError(f"split.leave_out: column {name!r} has no value {value!r}{did_you_mean(value, values)}")
    return name, cells, [value] if equals else values


def _folds(index: Index, settings: SplitSettings) -> int:
    if settings.leave_out:
        return len(held_out(index, settings.leave_out)[2])
    return settings.folds or 1


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return "" if np.isnan(cell) else f"{cell:g}"
    return "" if cell is None else str(cell).strip()


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
