"""Splits that can be believed: whole groups stay together, classes keep their shares, the order of files is irrelevant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.errors import DataError
from medplug.seeds import child_seed
from medplug.values import SPLITS, Index, Split


def make_split(index: Index, identical: np.ndarray, settings: SplitSettings, seed: int) -> Split:
    """Divide the samples.

    Args:
        index: the samples; their given split is kept unless ``settings.given`` pools it.
        identical: ``[N]``: samples with the same number are the same picture and stay together.
        settings: method, shares, what to do about groups and given parts.
        seed: used where the settings name none.

    Raises:
        DataError: a part would be empty.
    """
    shares = np.array([settings.train, settings.validation, settings.test])
    if abs(shares.sum() - 1) > 1e-6:
        raise DataError(f"split.train + split.validation + split.test must be 1, got {shares.sum():g}")
    seed = settings.seed if settings.seed is not None else seed
    given = index.splits is not None and settings.given == "keep"
    if settings.method == "aucmedi":
        if given:
            raise DataError("split.method=aucmedi splits anew; with data that bring a split, add split.given=pool")
        parts = aucmedi_split(index, shares, seed)
        return _checked(Split(parts[0], parts[1], parts[2]), index)
    units = _units(index, identical, respect=settings.groups != "none")
    if given and set(np.asarray(index.splits).tolist()) & set(SPLITS):
        return _checked(_given_split(index, units, shares, seed), index)
    assigned = _assign(index, units, np.arange(len(index)), shares, seed)
    train, validation, test = (np.flatnonzero(assigned == i) for i in range(3))
    return _checked(Split(train, validation, test), index)


def independence(index: Index, settings: SplitSettings) -> str:
    """How independent test samples are of training samples, in one word: ``group`` or ``image``."""
    return "group" if index.groups and settings.groups != "none" and settings.method != "aucmedi" else "image"


def shared_units(index: Index, split: Split, identical: np.ndarray) -> dict[str, int]:
    """The proof: how many groups of each kind, and how many pictures, lie in more than one part."""
    part = np.array(split.names(len(index)))
    columns = {**{name: np.asarray(c) for name, c in index.groups.items()}, "identical pictures": identical.astype(str)}
    shared = {}
    for name, column in columns.items():
        used = (part != "") & (column != "")
        pairs = set(zip(column[used].tolist(), part[used].tolist(), strict=True))
        shared[name] = len(pairs) - len({value for value, _ in pairs})
    return shared


def group_of(index: Index, respect: bool = True) -> np.ndarray | None:
    """One number per sample: samples joined by any group column share it; None where there are no groups."""
    if not index.groups or not respect:
        return None
    return _components(len(index), index.groups.values())


def _units(index: Index, identical: np.ndarray, respect: bool) -> np.ndarray:
    """One number per sample: what must stay together, through groups, pictures, and chains of both."""
    columns = [identical.astype(str), *(index.groups.values() if respect else ())]
    return _components(len(index), columns)


def _components(n: int, columns: Iterable[np.ndarray]) -> np.ndarray:
    parent = np.arange(n)

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
            a, b = root(first.setdefault(value, row)), root(row)
            parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(n)])


def _assign(index: Index, units: np.ndarray, rows: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Iterative stratification (Sechidis et al. 2011) of whole units: ``[N]`` part numbers, -1 outside ``rows``.

    The rarest label comes first; each of its units goes to the part that still wants that label most. Large
    units go before small ones, since they are the hardest to place. For single images of one class this
    keeps every class within one sample of its share.
    """
    labels = np.nan_to_num(index.targets[rows]) >= 0.5
    _, local = np.unique(units[rows], return_inverse=True)
    order = _stable_order(index, rows, local, seed)
    content = np.zeros((local.max() + 1, labels.shape[1] + 1))
    np.add.at(content, local, np.column_stack([labels, np.ones(len(rows))]))
    wanted = shares[:, None] * content.sum(0)
    part = np.full(len(content), -1)
    waiting = dict.fromkeys(order)
    while waiting:
        left = content[list(waiting)][:, :-1].sum(0)
        label = int(np.argmin(np.where(left > 0, left, np.inf))) if left.any() else labels.shape[1]
        for unit in [u for u in waiting if content[u, label] > 0]:
            choice = max(
                range(len(shares)), key=lambda p: (round(wanted[p, label], 9), round(wanted[p, -1], 9), shares[p])
            )
            part[unit] = choice
            wanted[choice] -= content[unit]
            del waiting[unit]
    result = np.full(len(index), -1)
    result[rows] = part[local]
    return result


def _stable_order(index: Index, rows: np.ndarray, local: np.ndarray, seed: int) -> list[int]:
    """Units from large to small, equal sizes in an order drawn by the seed and the units' names."""
    names: dict[int, str] = {}
    for row, unit in zip(rows, local, strict=True):
        name = index.samples[row]
        names[int(unit)] = min(names.setdefault(int(unit), name), name)
    sizes = np.bincount(local)
    by_name = sorted(names, key=names.__getitem__)
    shuffled = np.random.default_rng(child_seed(seed, "split")).permutation(by_name)
    return sorted((int(u) for u in shuffled), key=lambda u: -sizes[u])


def _given_split(index: Index, units: np.ndarray, shares: np.ndarray, seed: int) -> Split:
    """Keep the given test part; what shares a unit with it leaves training; missing parts are carved from training."""
    part = np.asarray(index.splits).astype("<U10")  # wide enough for "validation"
    part[part == ""] = "train"
    notes = []
    for kept, cleaned in (("test", ("train", "validation")), ("validation", ("train",))):
        taken = set(units[part == kept].tolist())
        leaks = np.isin(part, cleaned) & np.array([u in taken for u in units], bool)
        if leaks.any():
            notes.append(
                f"{int(leaks.sum())} given {'/'.join(cleaned)} images share a group or a picture with the given {kept} part and are left out"
            )
            part[leaks] = ""
    missing = [name for name in ("validation", "test") if not (part == name).any()]
    if missing:
        carve = np.array(
            [1 - sum(shares[SPLITS.index(m)] for m in missing), *(shares[SPLITS.index(m)] for m in missing)]
        )
        if missing == ["validation"]:
            carve = np.array([shares[0], shares[1]]) / (shares[0] + shares[1])
        rows = np.flatnonzero(part == "train")
        if len(rows) == 0:
            raise DataError("the given split has no training samples; use split.given=pool to split anew")
        assigned = _assign(index, units, rows, carve, seed)
        for number, name in enumerate(missing, start=1):
            part[assigned == number] = name
        notes.append(f"the data bring no {' and no '.join(missing)} part; it is carved from training")
    return Split(*(np.flatnonzero(part == name) for name in SPLITS), notes=tuple(notes))


def aucmedi_split(index: Index, shares: np.ndarray, seed: int) -> list[np.ndarray]:
    """AUCMEDI's ``sampling_split`` (stratified, sample by sample, groups ignored), identical to the sample.

    It peels parts off one after the other with scikit-learn's ``StratifiedShuffleSplit``, whose *test* side
    becomes the part. Labels go in one-hot, which scikit-learn sorts as strings, hence the reversed order.
    Multi-label tasks use iterative stratification (PyPI's ``iterative-stratification``).
    """
    rest, used, parts = np.arange(len(index)), 0.0, []
    for share in shares[:-1]:
        taken = share / (1.0 - used)
        splitter, labels = _shuffle_split(index, taken, seed)
        keep, chosen = next(splitter.split(rest, labels[rest]))
        parts.append(rest[chosen])
        rest = rest[keep]
        used += share
    return [*parts, rest]


def _shuffle_split(index: Index, taken: float, seed: int) -> tuple[Any, np.ndarray]:
    sizes = {"n_splits": 1, "random_state": seed, "train_size": 1.0 - taken, "test_size": taken}
    if index.task == "multiclass":
        from sklearn.model_selection import StratifiedShuffleSplit

        return StratifiedShuffleSplit(**sizes), len(index.classes) - 1 - index.targets.argmax(1)
    try:
        from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
    except ImportError:
        raise DataError(
            "split.method=aucmedi on a multi-label task needs: pip install iterative-stratification"
        ) from None
    return MultilabelStratifiedShuffleSplit(**sizes), np.nan_to_num(index.targets).astype(int)


def _checked(split: Split, index: Index) -> Split:
    for name in SPLITS:
        if len(split.part(name)) == 0:
            raise DataError(
                f"the {name} part would be empty: {len(index)} images are too few, or one group holds nearly all of them"
            )
    counts = index.take(split.train).class_counts()
    if index.task == "multiclass" and (counts[:, 0] > 0).sum() < 2:
        raise DataError("the training part would hold fewer than two classes; check the groups and the given split")
    return split
