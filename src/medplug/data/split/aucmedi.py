"""AUCMEDI's way of splitting, identical to the sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.values import Index


def aucmedi_split(index: Index, shares: np.ndarray, seed: int) -> list[np.ndarray]:
    """AUCMEDI's ``sampling_split`` (stratified, sample by sample, groups ignored), identical to the sample.

    It peels parts off one after the other with scikit-learn's ``StratifiedShuffleSplit``, whose *test* side
    becomes the part. Labels go in one-hot, which scikit-learn sorts as strings, hence the reversed order.
    Multi-label tasks use iterative stratification (PyPI's ``iterative-stratification``). Unlike all other methods it
    depends on the order in which the samples are listed.
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
