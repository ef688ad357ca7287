"""What everything that is fitted on the validation part has in common: its labels, and on how many cases."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.evaluation.intervals import Units, units
from medplug.values import Predictions


def labels(predictions: Predictions) -> np.ndarray:
    """The targets ``[N, K]`` float64, NaN where unknown.

    In multi-class tasks a row is known as a whole or not at all.

    Raises:
        DataError: the predictions have none.
    """
    if predictions.targets is None:
        raise DataError("these predictions have no labels: calibration, thresholds and prediction sets need them")
    found = np.array(predictions.targets, np.float64)
    if predictions.task == "multiclass":
        found[np.isnan(found).any(1)] = np.nan
    return found


def cases(predictions: Predictions) -> tuple[np.ndarray, Units]:
    """The samples with any known label, ``[N]`` bool, and the units (samples, or groups of them) among these."""
    known = np.asarray(~np.isnan(labels(predictions)).all(1))
    groups = None if predictions.groups is None else np.asarray(predictions.groups)[known]
    return known, units(int(known.sum()), groups)


def fitted_on(drawn: Units) -> dict[str, Any]:
    """``{"part": "validation", "n": samples, "unit": "samples" | "groups", "units": count}``."""
    return {"part": "validation", "n": len(drawn.codes), "unit": drawn.word, "units": drawn.count}


def repeated(drawn: Units) -> bool:
    """Whether any unit has more than one sample."""
    return drawn.word == "groups"


def counted(drawn: Units) -> str:
    """``"120 samples"`` or ``"120 samples of 40 groups"``."""
    told = plural(len(drawn.codes), "sample")
    return f"{told} of {plural(drawn.count, 'group')}" if repeated(drawn) else told


def plural(n: int, word: str) -> str:
    """``"1 sample"``, ``"2 samples"``."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"
