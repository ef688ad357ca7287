"""Scores, intervals, curves, calibration and decisions from predictions; usable without a run.

>>> from medplug import evaluation
>>> evaluation.wilson(8, 10, 0.95)[0].round(3)
np.float64(0.49)

Names are imported when they are first used, so that a process that only predicts pays for nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medplug.evaluation.aggregate import by_group
    from medplug.evaluation.calibration import calibration_analysis
    from medplug.evaluation.calibration_fit import fit_calibration
    from medplug.evaluation.clinical import clinical_analysis
    from medplug.evaluation.comparison import compare
    from medplug.evaluation.conformal import fit_conformal
    from medplug.evaluation.curves import curves_analysis
    from medplug.evaluation.foreign import match, read_labels, read_predictions
    from medplug.evaluation.intervals import IntervalSettings
    from medplug.evaluation.mistakes import mistakes_analysis
    from medplug.evaluation.proportions import wilson
    from medplug.evaluation.scores import score
    from medplug.evaluation.subgroups import subgroup_scores
    from medplug.evaluation.thresholds import choose_thresholds
    from medplug.values import Predictions

_PLACES = {
    "IntervalSettings": "medplug.evaluation.intervals",
    "Predictions": "medplug.values",
    "by_group": "medplug.evaluation.aggregate",
    "calibration_analysis": "medplug.evaluation.calibration",
    "choose_thresholds": "medplug.evaluation.thresholds",
    "clinical_analysis": "medplug.evaluation.clinical",
    "compare": "medplug.evaluation.comparison",
    "curves_analysis": "medplug.evaluation.curves",
    "fit_calibration": "medplug.evaluation.calibration_fit",
    "fit_conformal": "medplug.evaluation.conformal",
    "match": "medplug.evaluation.foreign",
    "mistakes_analysis": "medplug.evaluation.mistakes",
    "read_labels": "medplug.evaluation.foreign",
    "read_predictions": "medplug.evaluation.foreign",
    "score": "medplug.evaluation.scores",
    "subgroup_scores": "medplug.evaluation.subgroups",
    "wilson": "medplug.evaluation.proportions",
}

__all__ = [
    "IntervalSettings",
    "Predictions",
    "by_group",
    "calibration_analysis",
    "choose_thresholds",
    "clinical_analysis",
    "compare",
    "curves_analysis",
    "fit_calibration",
    "fit_conformal",
    "match",
    "mistakes_analysis",
    "read_labels",
    "read_predictions",
    "score",
    "subgroup_scores",
    "wilson",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
