"""What tests of splits share: small indexes, and splits of them."""

import hashlib

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.data.split import make_split, make_splits
from medplug.values import SPLITS, Index

SHARES = (0.7, 0.1, 0.2)


def index_of(labels, groups=None, splits=None, multilabel=False, **more):
    n = len(labels)
    targets = (
        np.asarray(labels, np.float32) if multilabel else np.eye(max(labels) + 1, dtype=np.float32)[np.asarray(labels)]
    )
    names = tuple(f"s{i:06d}" for i in range(n))
    return Index(
        names, names, targets, tuple(f"c{k}" for k in range(targets.shape[1])), "multilabel" if multilabel else "multiclass",
        groups={} if groups is None else {"patient": np.asarray(groups).astype(str)},
        splits=None if splits is None else np.asarray(splits), **more,
    )  # fmt: skip


def keys_of(index):
    """Different pixels for different names."""
    return [hashlib.sha256(name.encode()).hexdigest() for name in index.samples]


def split_of(index, alike=None, seed=0, **options):
    alike = np.arange(len(index)) if alike is None else np.asarray(alike)
    return make_split(index, alike, keys_of(index), SplitSettings(**options), seed)


def splits_of(index, alike=None, seed=0, **options):
    alike = np.arange(len(index)) if alike is None else np.asarray(alike)
    return make_splits(index, alike, keys_of(index), SplitSettings(**options), seed)


def members(index, split):
    return {part: {index.samples[row] for row in split.part(part)} for part in SPLITS}


def deviations(index, split, shares=SHARES):
    """``[3, K]``: how many samples of each class a part has beyond its share."""
    counts = np.stack([index.take(split.part(part)).class_counts()[:, 0] for part in SPLITS])
    return counts - np.outer(shares, index.class_counts()[:, 0])
