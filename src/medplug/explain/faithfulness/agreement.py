"""Agreement between maps."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from medplug.errors import ContractError


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation ``[N]`` float64 between maps ``[N, *S]`` of the same images; equal values share their mean rank.

    NaN where one of the two maps is constant or holds a value that is not finite.

    Raises:
        ContractError: the shapes differ.

    Reference: Spearman 1904, "The proof and measurement of association between two things".
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim < 2:
        raise ContractError(f"maps to compare must be of one shape [N, *S], got {list(a.shape)} and {list(b.shape)}")
    return pearson(*(rankdata(x.reshape(len(x), -1), axis=1, nan_policy="propagate") for x in (a, b)))


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation ``[N]`` float64 along the rows of ``[N, V]``; NaN where a row is constant or not finite."""
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    spread = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    found = np.full(len(a), np.nan)
    np.divide((a * b).sum(1), spread, out=found, where=spread > 0)
    return np.clip(found, -1, 1)
