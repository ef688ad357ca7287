"""Columns of the data that give the label away: they must never be an input of a network.

A column leaks where one of its values belongs to a single class far more often than chance allows (in HAM10000 every lesion
that was only followed up is a naevus), where it tells the class nearly always, or where it describes the file or how the
label came about rather than the patient and tells anything. Other columns that tell something (age, site on the body) are
noted: they may be medicine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import lgamma
from typing import Any

import numpy as np

from medplug.data.checks.report import Finding, joined, some
from medplug.data.checks.telling import (
    MISSING,
    OTHER,
    Column,
    Separation,
    column_of,
    separation,
    table_scores,
    tells,
    without_gaps,
)
from medplug.values import Index

_NEARLY = 0.9  # an AUC from which a column tells the label, whatever it is
_PURE, _LEAST = 0.01, 0.05  # chance of a pure value after correction; share of images that it must cover
_RARE = 0.5  # texts of which more than this share occur once are looked at by their form
_OF_FILES = re.compile(
    r"(^|_)(file|filename|path|url|uri|format|mode|mime|encoding|extension|width|height|size|rows|columns|bytes|bits|"
    r"dpi|quality|compression|type|reader|annotator|labell?er|labell?ed_by|source)($|_)"
)
"""Names of columns that describe the file or the making of the label. ``dx_type`` is the classic."""


@dataclass(frozen=True)
class Leak:
    """What one column tells.

    Attributes:
        name: of the column.
        form: what of its texts was looked at: empty, or ``ending``, ``beginning``, ``length``.
        told: its AUC in cross-validation.
        tells: whether that is worth a word, and no chance.
        pure: (value, class, images) where a value belongs to one class alone, the commonest such value.
    """

    name: str
    form: str
    told: Separation
    tells: bool
    pure: tuple[str, str, int] | None = None

    @property
    def leaks(self) -> bool:
        """Whether it must be kept away from networks."""
        plain = re.sub(r"[^0-9a-z]+", "_", self.name.lower())
        return self.pure is not None or (self.tells and (self.told.value >= _NEARLY or bool(_OF_FILES.search(plain))))

    def words(self) -> str:
        """The column and what it tells."""
        of = f", by its {self.form}" if self.form else ""
        auc = [] if np.isnan(self.told.value) else [f"AUC {self.told.value:.2f}"]
        value = [f"{self.pure[0]!r} is always {self.pure[1]}, {self.pure[2]:,} images"] if self.pure else []
        return f"{self.name!r} ({'; '.join(auc + value)}{of})"


def leaking_columns(index: Index, units: np.ndarray, folds: np.ndarray) -> list[Finding]:
    """Findings on the metadata of the index and its site; nothing where there are none."""
    columns: dict[str, Sequence[Any]] = {name: list(values) for name, values in index.metadata.items()}
    if index.site and index.site not in columns:
        columns[index.site] = list(index.groups[index.site])
    found = [leak for name, values in columns.items() if (leak := look(name, values, index, units, folds))]
    found.sort(key=lambda leak: (-np.nan_to_num(leak.told.value), leak.name))
    details = {leak.name: _json(leak) for leak in found}
    bad = [leak for leak in found if leak.leaks]
    more = [leak for leak in found if leak.tells and not leak.leaks]
    findings = []
    if bad:
        text = f"{_columns(bad)} {'gives' if len(bad) == 1 else 'give'} the label away and must never be an input: {some([b.words() for b in bad])}"
        findings.append(Finding("leaks", "warning", text, details=details))
    if more:
        text = (
            f"{_columns(more)} {'tells' if len(more) == 1 else 'tell'} something of the label without any picture: "
            f"{some([m.words() for m in more])}; by disease, or by how the data were gathered"
        )
        findings.append(Finding("metadata", "note", text, details={} if bad else details))
    if found and not findings:
        text = f"no column of the data gives the label away ({joined([repr(c.name) for c in found])})"
        findings.append(Finding("leaks", "ok", text, details=details))
    return findings


def look(name: str, values: Sequence[Any], index: Index, units: np.ndarray, folds: np.ndarray) -> Leak | None:
    """What one column tells, in the first form that leaks or else the one that tells most; None where it never differs."""
    leaks = []
    for form, column in _forms(name, values).items():
        if not column.varies:
            continue
        score = partial(_table, column.codes, folds)
        told = separation(score(index.targets), index.targets, units)
        matters = tells(told, score, index.targets, units, folds)
        leaks.append(Leak(name, form, told, matters, _purest(column, index, units)))
    first = next((leak for leak in leaks if leak.leaks), None)
    return first or max(leaks, key=lambda leak: np.nan_to_num(leak.told.value), default=None)


def _table(codes: np.ndarray, folds: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return table_scores(codes, targets, folds)


def _forms(name: str, values: Sequence[Any]) -> Mapping[str, Column]:
    column = column_of(name, values)
    rare = column.levels.index(OTHER) if OTHER in column.levels else -1
    if np.mean(column.codes == rare) < _RARE:
        return {"": column}
    texts = [str(value) for value in without_gaps(values)]
    return {
        "ending": column_of(name, [_ending(t) for t in texts]),
        "beginning": column_of(name, [re.match(r"[^\W\d_]*|", t).group()[:12] or t[:1] for t in texts]),  # type: ignore[union-attr]
        "length": column_of(name, [len(t) if t else None for t in texts]),
    }


def _ending(text: str) -> str:
    found = re.search(r"\.(\w{1,5})$", text)
    return f".{found[1].lower()}" if found else text[-1:]


def _purest(column: Column, index: Index, units: np.ndarray) -> tuple[str, str, int] | None:
    """The commonest value that belongs to one class alone, if chance would hardly make it.

    The chance that all n units with a value are among the c units of a class, of N, is hypergeometric:
    C(c, n) / C(N, n); it is multiplied by the number of values and classes that were looked at.
    """
    _, unit = np.unique(units, return_inverse=True)
    total = int(unit.max()) + 1
    common = np.flatnonzero(np.bincount(column.codes) >= max(_LEAST * len(index), 1))
    values = [v for v in common.tolist() if column.levels[v] not in (MISSING, OTHER)]
    best: tuple[str, str, int] | None = None
    for k, name in enumerate(index.classes):
        positive = index.targets[:, k] >= 0.5
        of_class = len(np.unique(unit[positive]))
        for value in values:
            here = column.codes == value
            images = int(here.sum())
            if not positive[here].all() or of_class == total:
                continue
            n = len(np.unique(unit[here]))
            chance = np.exp(_log_choose(of_class, n) - _log_choose(total, n)) * len(values) * len(index.classes)
            if chance < _PURE and (best is None or images > best[2]):
                best = (column.levels[value], name, images)
    return best


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _columns(leaks: Sequence[Leak]) -> str:
    return f"{len(leaks)} column{'' if len(leaks) == 1 else 's'} of the data"


def _json(leak: Leak) -> dict[str, Any]:
    told = {"auc": leak.told.value, "low": leak.told.low, "high": leak.told.high}
    figures = {key: None if np.isnan(value) else round(value, 4) for key, value in told.items()}
    pure = None if leak.pure is None else dict(zip(("value", "class", "images"), leak.pure, strict=True))
    return {**figures, "form": leak.form, "pure": pure, "leaks": leak.leaks}
