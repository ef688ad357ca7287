"""Classes that are too small to be split or estimated, groups, and given splits that tear groups apart."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from medplug.data.checks.report import Finding, joined, number, some
from medplug.values import SPLITS, Index

_FEW = 10  # fewer independent samples of a class cannot be estimated with any precision
_PARTS = len(SPLITS)
_FOLDS = 5  # of the usual cross-validation


def class_sizes(index: Index, units: np.ndarray) -> list[Finding]:
    """One finding for each class with fewer than ten independent samples (patients, where they are known), in words.

    Args:
        index: the samples.
        units: ``[N]``; samples of one unit are not independent.
    """
    findings = []
    smallest = math.inf
    for k, name in enumerate(index.classes):
        rows = np.flatnonzero(np.nan_to_num(index.targets[:, k]) >= 0.5)
        groups = len(np.unique(units[rows]))
        smallest = min(smallest, groups)
        if groups < _FEW:
            names = tuple(index.samples[row] for row in rows.tolist())
            findings.append(Finding("classes", "warning", _words(name, len(rows), groups), names, {"class": name}))
        if index.task == "multilabel" and len(rows) and not (index.targets[:, k] < 0.5).any():
            text = f"label {name!r} has no sample that is known to be without it: nothing tells it from others"
            findings.append(Finding("classes", "warning", text, details={"class": name}))
    if not findings:
        what = "label" if index.task == "multilabel" else "class"
        independent = "" if len(np.unique(units)) == len(units) else " (images of one group count once)"
        text = f"every {what} has at least {int(smallest):,} independent images{independent}"
        findings.append(Finding("classes", "ok", text))
    return findings


def _words(name: str, images: int, groups: int) -> str:
    if images == 0:
        return f"class {name!r} has no image; its figures stay undefined"
    if images == 1:
        return (
            f"class {name!r} has one image: it can be trained on or tested, not both; its test figures stay undefined, "
            "and those of all classes together leave it out"
        )
    of = "" if groups == images else f" of only {number(groups, 'group')}"
    if groups < _PARTS:
        text = f"class {name!r} has {images:,} images{of}: too few for training, validation and test; one part goes without"
    elif groups < _FOLDS:
        text = f"class {name!r} has only {images:,} images{of}: one or two for a test, and too few for {_FOLDS}-fold cross-validation"
    else:
        text = f"class {name!r} has only {images:,} images{of}"
    # Clopper and Pearson's lower bound of n right ones of n
    return f"{text}; even with all of them tested and right, its sensitivity would only be known to exceed {0.025 ** (1 / groups):.0%}"


def groups(index: Index) -> list[Finding]:
    """What is known of patients; and which of them a given split tears apart."""
    if not index.groups:
        text = (
            "no groups are known: if several images show one patient, they may lie on both sides of the split, and results "
            "look better than they are; name a group column where there is one"
        )
        return [Finding("groups", "note", text)]
    findings = []
    for name, column in index.groups.items():
        values, counts = np.unique(np.asarray(column)[np.asarray(column) != ""], return_counts=True)
        how = "guessed" if name in index.guessed else "given"
        text = f"groups {name!r} ({how}): {len(values):,}, of up to {number(int(counts.max(initial=0)), 'image')}"
        details = {
            "column": name,
            "guessed": name in index.guessed,
            "groups": len(values),
            "largest": int(counts.max(initial=0)),
        }
        findings.append(Finding("groups", "note" if how == "guessed" else "ok", text, details=details))
        findings += _torn(index, name)
    return findings


def _torn(index: Index, name: str) -> list[Finding]:
    if index.splits is None:
        return []
    column, part = np.asarray(index.groups[name]), np.asarray(index.splits)
    members = {p: set(column[(part == p) & (column != "")].tolist()) for p in SPLITS}
    shared = {pair: members[pair[0]] & members[pair[1]] for pair in combinations(SPLITS, 2)}
    shared = {pair: values for pair, values in shared.items() if values}
    if not shared:
        return []
    torn = sorted(set().union(*shared.values()))
    where = joined([f"{len(values):,} in {a} and {b}" for (a, b), values in shared.items()])
    rows = np.flatnonzero(np.isin(column, torn))
    text = f"the given split tears {number(len(torn), 'group')} of {name!r} apart ({where}): {some(torn)}"
    details = {"column": name, "shared": {f"{a}/{b}": len(values) for (a, b), values in shared.items()}, "groups": torn}
    return [Finding("given_split", "warning", text, tuple(index.samples[r] for r in rows.tolist()), details)]
