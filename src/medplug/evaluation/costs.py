"""Costs of mistakes in multi-class tasks: a full matrix, and the decision with the least expected cost.

A label has two decisions only, and their two costs are a threshold: the rule ``cost`` of
:mod:`medplug.evaluation.thresholds` is for those.

Reference: Elkan, The foundations of cost-sensitive learning, 2001.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medplug.errors import UsageError, did_you_mean
from medplug.values import Task

EVERY = "*"
_ARROW = "->"
_ROUNDING = 1e-12
_FORM = "costs look like 'TRUE -> DECIDED = COST', such as 'ill -> well = 10'"


def cost_matrix(entries: Sequence[str], classes: Sequence[str], task: Task) -> np.ndarray | None:
    """The costs ``[K, K]`` float64 of ``evaluation.costs``: rows are the true classes, columns the decided ones.

    Args:
        entries: ``"TRUE -> DECIDED = COST"``: what it costs to decide for DECIDED where TRUE is right. ``*`` is every class
            but the one on the other side; an entry with two names goes before one with a ``*``. A mistake without an
            entry costs 1, right decisions cost nothing.
        classes: K names.
        task: of the data.

    Returns:
        None where there are no entries.

    Raises:
        UsageError: another form, an unknown class, a cost that is no number from 0 on, a cost of a right decision, two
            entries for one mistake, costs that are all 0, or a multi-label task.
    """
    if not entries:
        return None
    if task == "multilabel":
        raise UsageError(
            "evaluation.costs is for tasks with one class per image; a label has two costs only, which a threshold settles: "
            "set evaluation.thresholds=cost with evaluation.miss_cost and evaluation.alarm_cost"
        )
    if EVERY in classes:
        raise UsageError(f"evaluation.costs: a class is called {EVERY!r}, which stands for every class there; rename it")
    given: dict[tuple[str, str], float] = {}
    for entry in entries:
        truth, decided, cost = _read(entry, classes)
        if (truth, decided) in given:
            raise UsageError(f"evaluation.costs: there are two costs of {truth} {_ARROW} {decided}; keep one of them")
        given[truth, decided] = cost
    wide = [both for both in given if EVERY in both]
    met = [pair for pair in wide if pair[0] == EVERY and any(other[1] == EVERY for other in wide)]
    found = 1.0 - np.eye(len(classes))
    for t, truth in enumerate(classes):
        for d, decided in enumerate(classes):
            if t != d:
                found[t, d] = _looked_up(given, truth, decided)
    del met
    if not found.any():
        raise UsageError("evaluation.costs: every mistake costs 0, so that no decision is better than another one")
    return found
