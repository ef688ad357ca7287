"""Splits that can be believed: whole groups stay together, classes keep their shares, names and order are irrelevant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.data.split.aucmedi import aucmedi_split
from medplug.data.split.drawing import Drawing
from medplug.data.split.files import HASH_LENGTH, parts_from_file, split_hash
from medplug.data.split.options import split_choices, split_name
from medplug.data.split.proof import CLUSTERS, Independence, independence, proof_line, shared_units
from medplug.data.split.units import group_columns, group_of
from medplug.values import Index, Split

__all__ = [
    "CLUSTERS",
    "HASH_LENGTH",
    "Independence",
    "aucmedi_split",
    "group_columns",
    "group_of",
    "independence",
    "make_split",
    "make_splits",
    "parts_from_file",
    "proof_line",
    "shared_units",
    "split_choices",
    "split_hash",
    "split_name",
]


def make_split(index: Index, alike: np.ndarray, keys: Sequence[str], settings: SplitSettings, seed: int) -> Split:
    """The split that the settings choose: by default a hold-out set, else one fold.

    Args:
        index: the samples; their given split is kept unless ``settings.given`` pools it.
        alike: ``[N]`` int64: samples with the same number show the same picture and stay together.
        keys: N hashes of the samples' pixels. They decide the draw, so that neither the order of listing nor the names
            matter; names decide between samples with the same pixels.
        settings: method, shares, folds, what to do about groups and given parts.
        seed: used where the settings name none.

    Raises:
        UsageError: settings that contradict each other or the data.
        DataError: a part would be empty, training would hold one class, or ``settings.file`` does not fit the data.
    """
    return Drawing(index, alike, keys, settings, seed).split(settings)


def make_splits(
    index: Index, alike: np.ndarray, keys: Sequence[str], settings: SplitSettings, seed: int
) -> list[Split]:
    """All splits that the settings describe, in the order of :func:`split_choices`; see :func:`make_split`.

    Within one repeat every sample is tested once: in ``folds`` folds, or with the value of ``leave_out`` that it has.
    """
    drawing = Drawing(index, alike, keys, settings, seed)
    return [drawing.split(choice) for choice in split_choices(index, settings)]
