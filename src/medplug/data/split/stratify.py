"""Units to parts, so that every part gets its share of every label."""

from __future__ import annotations

import numpy as np

_MOVES = 500  # improvements tried at most; a handful is the rule
_WORK = 30_000_000  # units times moves: a bound on the time that many units take
_PAIRS = 4_000_000  # pairs of units compared at once
_ENTITLED = 1 / 3  # of a sample: a part that should have so much of a label gets one sample of it, if it can be spared
_STARVING = 1 / 2  # of its size: a part that lacks more comes before parts that would go without a label
_DIGITS = 9  # beyond these, figures differ between machines


def stratify(content: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The part of each unit.

    Units of one image with one label are dealt out exactly: every label is within one sample of its share. Before them,
    units of several images or labels are placed by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, *On
    the stratification of multi-label data*) of whole units: the rarest label first, each unit to the part that wants
    that label most. Greedy placement is far off where units are large, so it is followed by moves and exchanges of
    units, as long as one brings the parts nearer to their shares.

    Args:
        content: ``[U, L + 1]``: samples of each label in each unit, and the unit's samples; in the order of placement.
        shares: ``[P]``, summing to 1.

    Returns:
        ``[U]`` int64, from 0 to P - 1.
    """
    part = np.full(len(content), -1)
    labels = content[:, :-1].sum(1)
    single = (content[:, -1] == 1) & bool(
        (labels == content[:, -1]).all()
    )  # of one label each; never in multi-label tasks
    wanted = shares[:, None] * content.sum(0)
    _place(content, np.flatnonzero(~single), shares, wanted, part)
    _deal(content, np.flatnonzero(single), shares, wanted, part)
    _spare(content, shares, part)
    if not single.all():
        _move(content, shares, part)
        _exchange(content, shares, part)
    return part


def _place(content: np.ndarray, units: np.ndarray, shares: np.ndarray, wanted: np.ndarray, part: np.ndarray) -> None:
    """Iterative stratification of some units; ``wanted`` ``[P, L + 1]`` is counted down."""
    waiting = np.zeros(len(content), bool)
    waiting[units] = True
    size = content.shape[1] - 1
    while waiting.any():
        left = content[waiting, :-1].sum(0)
        label = int(np.argmin(np.where(left > 0, left, np.inf))) if left.any() else size
        for unit in np.flatnonzero(waiting & (content[:, label] > 0)).tolist():
            most = np.lexsort((shares, wanted[:, size].round(_DIGITS), wanted[:, label].round(_DIGITS)))[-1]
            part[unit] = most
            wanted[most] -= content[unit]
            waiting[unit] = False


def _deal(content: np.ndarray, units: np.ndarray, shares: np.ndarray, wanted: np.ndarray, part: np.ndarray) -> None:
    """Deal out units of one sample with one label: whole numbers next to the wanted ones, the rarest label first.

    What rounding takes from a part of one label it is given back of the next, so that sizes come out right too.
    """
    label_of = content[units, :-1].argmax(1)
    counts = np.bincount(label_of, minlength=content.shape[1] - 1)
    owed = wanted[:, -1] - sum((_fair(wanted[:, k], n, shares) for k, n in enumerate(counts.tolist())), np.zeros(1))
    for label in np.argsort(counts, kind="stable").tolist():
        if counts[label] == 0:
            continue
        fair = _fair(wanted[:, label], int(counts[label]), shares)
        empty = (wanted[:, label] >= shares * content[:, label].sum() - 1e-9) & (fair >= _ENTITLED)
        given = _round(fair, owed, empty, owed > np.maximum(1, _STARVING * shares * content[:, -1].sum()))
        mine = units[label_of == label]
        part[mine] = np.repeat(np.arange(len(shares)), given)
        wanted[:, label] -= given
        wanted[:, -1] -= given
        owed = owed + fair - given


def _fair(wanted: np.ndarray, n: int, shares: np.ndarray) -> np.ndarray:
    """``n`` samples by what the parts still want; by their shares where none wants any."""
    positive = wanted.clip(0)
    return n * positive / positive.sum() if positive.sum() > 1e-9 else n * shares


def _round(fair: np.ndarray, owed: np.ndarray, empty: np.ndarray, starving: np.ndarray) -> np.ndarray:
    """Whole numbers with the sum of ``fair``, each less than one away from it."""
    given = np.floor(fair + 1e-9).astype(int)
    rest = (fair - given).round(_DIGITS)
    for number in range(round(fair.sum()) - given.sum()):
        first = given.sum() == 0 and number == 0  # the only sample of a label goes to the largest part
        keys = (owed, rest) if first else ((rest + owed).round(_DIGITS), empty, starving, rest > 0)
        chosen = np.lexsort(keys)[-1]
        given[chosen] += 1
        rest[chosen], empty[chosen] = 0, False
    return given


def _gaps(content: np.ndarray, shares: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much every part has of each label beyond its share ``[P, L + 1]``, and how a square of it weighs."""
    total = content.sum(0)
    has = np.stack([content[part == p].sum(0) for p in range(len(shares))])
    weight = np.where(total > 0, 1 / (shares[:, None] * np.maximum(total, 1)), 0)
    return has - shares[:, None] * total, weight


def _move(content: np.ndarray, shares: np.ndarray, part: np.ndarray) -> None:
    """Move single units while that lowers the weighted squares of all gaps, the best move first."""
    gaps, weight = _gaps(content, shares, part)
    units = np.arange(len(content))
    own = content**2 @ weight.T
    for _ in range(min(_MOVES, _WORK // len(content))):
        slope = content @ (2 * gaps * weight).T
        change = (own[units, part] - slope[units, part])[:, None] + slope + own
        change[units, part] = 0
        change[_last(content, shares, part)] = 0
        unit, to = np.unravel_index(np.argmin(change.round(_DIGITS)), change.shape)
        if change[unit, to] > -1e-6:
            return
        gaps[part[unit]] -= content[unit]
        gaps[to] += content[unit]
        part[unit] = to


def _last(content: np.ndarray, shares: np.ndarray, part: np.ndarray) -> np.ndarray:
    """``[U]`` bool: units that are the only ones of their part with some label, or the only ones at all."""
    bears = (content > 0).astype(np.int64)
    counts = np.stack([bears[part == p].sum(0) for p in range(len(shares))])
    return (bears * (counts[part] == 1)).any(1)


def _exchange(content: np.ndarray, shares: np.ndarray, part: np.ndarray) -> None:
    """Exchange units between two parts while that lowers the same sum."""
    gaps, weight = _gaps(content, shares, part)
    for _ in range(min(_MOVES, _WORK // len(content))):
        best: tuple[float, int, int] = (-1e-6, 0, 0)
        free = ~_last(content, shares, part)
        for a in range(len(shares)):
            for b in range(a + 1, len(shares)):
                found = _best_exchange(content, part, gaps, weight, free, a, b)
                best = found if found[0] < best[0] else best
        _, u, v = best
        if u == v:
            return
        gaps[part[u]] += content[v] - content[u]
        gaps[part[v]] += content[u] - content[v]
        part[u], part[v] = part[v], part[u]


def _best_exchange(
    content: np.ndarray, part: np.ndarray, gaps: np.ndarray, weight: np.ndarray, free: np.ndarray, a: int, b: int
) -> tuple[float, int, int]:
    """(change, unit of a, unit of b); no change where there are too many pairs to look at."""
    mine, theirs = np.flatnonzero(free & (part == a)), np.flatnonzero(free & (part == b))
    if len(mine) * len(theirs) > _PAIRS or len(mine) == 0 or len(theirs) == 0:
        return 0.0, 0, 0
    slope = 2 * (gaps[a] * weight[a] - gaps[b] * weight[b])
    both = weight[a] + weight[b]
    x, y = content[mine], content[theirs]
    change = (x**2 @ both - x @ slope)[:, None] + (y**2 @ both + y @ slope)[None] - 2 * (x * both) @ y.T
    i, j = np.unravel_index(np.argmin(change.round(_DIGITS)), change.shape)
    return float(change[i, j].round(_DIGITS)), int(mine[i]), int(theirs[j])


def _spare(content: np.ndarray, shares: np.ndarray, part: np.ndarray) -> None:
    """Give parts without a label, or without any unit, one unit of a part that has more than its share and another one."""
    gaps, _ = _gaps(content, shares, part)
    total = content.sum(0)
    size = content.shape[1] - 1
    for label in [*np.argsort(total[:-1], kind="stable").tolist(), size]:
        for empty in np.argsort(-shares, kind="stable").tolist():
            bearers = content[:, label] > 0
            units = np.bincount(part[bearers], minlength=len(shares))
            if units[empty] or shares[empty] * total[label] < _ENTITLED:
                continue
            donors = (units > 1) & ((gaps[:, label] > 1e-9) | (label == size))
            if not donors.any():
                continue
            donor = np.lexsort((gaps[:, label].round(_DIGITS), donors))[-1]
            candidates = np.flatnonzero(bearers & (part == donor))
            unit = candidates[np.argmin(content[candidates, -1])]
            part[unit] = empty
            gaps[donor] -= content[unit]
            gaps[empty] += content[unit]
