"""Costs of mistakes in multi-class tasks: a full matrix, and the decision with the least expected cost.

A label has two decisions only, and their two costs come down to a threshold: for those there is the rule ``cost`` of
:mod:`medplug.evaluation.thresholds`.

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
ARROW = "->"
_ROUNDING = 1e-12
_FORM = (
    f"costs look like 'TRUE {ARROW} DECIDED = COST', as in 'ill {ARROW} well = 10' (on the command line in quotation marks: a "
    "shell takes > for a file to write to)"
)


def cost_matrix(entries: Sequence[str], classes: Sequence[str], task: Task) -> np.ndarray | None:
    """The costs ``[K, K]`` float64 of ``evaluation.costs``: rows are the true classes, columns the decided ones.

    Args:
        entries: ``"TRUE -> DECIDED = COST"``: what it costs to decide for DECIDED where TRUE is right. ``*`` is every class
            but the one on the other side; an entry with two names goes before one with a ``*``. A mistake without an
            entry costs 1; right decisions cost nothing.
        classes: K names.
        task: of the data.

    Returns:
        None where there are no entries.

    Raises:
        UsageError: another form, an unknown class, a cost that is no number from 0 on, a cost of a right decision, two
            costs of one mistake, costs that are all 0, or a multi-label task.
    """
    if not entries:
        return None
    if task == "multilabel":
        raise UsageError(
            "evaluation.costs is for tasks with one class per image. A label has two costs only, of a miss and of a false "
            "alarm, which come down to a threshold: set evaluation.thresholds=cost, evaluation.miss_cost and evaluation.alarm_cost"
        )
    if EVERY in classes:
        raise UsageError(
            f"evaluation.costs: a class is called {EVERY!r}, which stands for every class there; rename it"
        )
    given: dict[tuple[str, str], float] = {}
    for entry in entries:
        pair, cost = _read(entry, classes)
        if pair in given:
            raise UsageError(f"evaluation.costs: two costs of {pair[0]} {ARROW} {pair[1]}; keep one of them")
        given[pair] = cost
    found = np.zeros((len(classes), len(classes)))
    for t, truth in enumerate(classes):
        for d, decided in enumerate(classes):
            if t != d:
                found[t, d] = _cost_of(truth, decided, given)
    if not found.any():
        raise UsageError("evaluation.costs: every mistake costs 0, so that no decision is better than another one")
    return found


def _read(entry: str, classes: Sequence[str]) -> tuple[tuple[str, str], float]:
    """The two names of an entry, and its cost."""
    names, _, number = entry.rpartition("=")
    parts = names.split(ARROW)
    if len(parts) < 2:
        raise UsageError(f"evaluation.costs: {entry!r} cannot be read; {_FORM}")
    # A class may have an arrow in its name: every place is tried.
    pairs = [(ARROW.join(parts[:i]).strip(), ARROW.join(parts[i:]).strip()) for i in range(1, len(parts))]
    known = [pair for pair in pairs if all(name in (*classes, EVERY) for name in pair)]
    if not known:
        wrong = next(name for name in pairs[0] if name not in (*classes, EVERY))
        raise UsageError(
            f"evaluation.costs: {entry!r}: there is no class {wrong!r}{did_you_mean(wrong, classes)} (classes: {', '.join(classes)})"
        )
    truth, decided = known[0]
    try:
        cost = float(number)
    except ValueError:
        raise UsageError(f"evaluation.costs: {entry!r}: {number.strip()!r} is no number; {_FORM}") from None
    if not 0 <= cost < math.inf:
        raise UsageError(f"evaluation.costs: {entry!r}: a cost is a number from 0 on")
    if truth == decided:
        raise UsageError(
            f"evaluation.costs: {entry!r}: a right decision costs nothing, and has no entry; costs are of mistakes"
        )
    return (truth, decided), cost


def _cost_of(truth: str, decided: str, given: Mapping[tuple[str, str], float]) -> float:
    """The cost of one mistake: its own, else that of all mistakes with such a truth or decision, else 1."""
    if (truth, decided) in given:
        return given[truth, decided]
    wide = {given[pair] for pair in ((truth, EVERY), (EVERY, decided)) if pair in given}
    if len(wide) > 1:
        raise UsageError(
            f"evaluation.costs: {truth} {ARROW} {EVERY} and {EVERY} {ARROW} {decided} give {truth} {ARROW} {decided} two costs; "
            "give it one of its own"
        )
    return wide.pop() if wide else 1.0


def expected_costs(probabilities: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """What each decision costs on average, ``[N, K]``, where classes have the probabilities ``[N, K]``."""
    return np.asarray(probabilities, np.float64) @ costs


def least_cost(probabilities: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The class ``[N]`` int64 with the least expected cost; of equal ones the most probable, then the first."""
    p = np.asarray(probabilities, np.float64)
    expected = expected_costs(p, costs)
    close = expected <= expected.min(1, keepdims=True) + _ROUNDING * costs.max()
    return np.where(close, p, -1.0).argmax(1)


def named(costs: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """``{TRUE: {DECIDED: cost}}``, which cannot be read the wrong way round."""
    return {truth: dict(zip(classes, row, strict=True)) for truth, row in zip(classes, costs.tolist(), strict=True)}


def from_names(values: Mapping[str, Any], classes: Sequence[str]) -> np.ndarray:
    """The inverse of :func:`named`.

    Raises:
        KeyError, TypeError, ValueError: the values are no such costs.
    """
    found = np.array([[float(values[truth][decided]) for decided in classes] for truth in classes], np.float64)
    if not (np.isfinite(found) & (found >= 0)).all() or found.diagonal().any() or not found.any():
        raise ValueError("costs must be numbers from 0 on, not all of them 0, and 0 for right decisions")
    return found


def told_costs(matrix: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, float]]:
    """The mistakes ``(true, decided, cost)``, the dearest first."""
    found = [(t, d, cost) for t, row in matrix.items() for d, cost in row.items() if t != d]
    return sorted(found, key=lambda entry: -entry[2])
