"""All analyses of a test part beside its metrics: the content of ``analysis.json``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from medplug.config.settings import EvaluationSettings
from medplug.contracts.metric import Metric
from medplug.evaluation.calibration import calibration_analysis
from medplug.evaluation.clinical import clinical_analysis
from medplug.evaluation.conformal import conformal_analysis
from medplug.evaluation.costing import cost_analysis
from medplug.evaluation.curves import confusion_matrix, curves_analysis, label_decisions, operating_table
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.mistakes import mistakes_analysis
from medplug.evaluation.novelty import novelty_analysis
from medplug.evaluation.subgroups import subgroup_scores
from medplug.evaluation.thresholds import threshold_report
from medplug.values import Predictions

HEADLINES = 4  # metrics of subgroups: every further one is a further chance of a large gap


def analyse(
    test: Predictions,
    metrics: Mapping[str, Metric],
    settings: EvaluationSettings,
    intervals: IntervalSettings,
    rules: DecisionRules,
    *,
    validation: Predictions | None = None,
    metadata: Mapping[str, np.ndarray] | None = None,
    energy: np.ndarray | None = None,
    features: np.ndarray | None = None,
) -> dict[str, Any]:
    """Curves, calibration, thresholds, clinical use, subgroups, trust and mistakes; ``docs/files.md`` has every key.

    Args:
        test: with targets.
        metrics: by name; subgroups get the first :data:`HEADLINES` of them.
        settings: which analyses, with which parameters.
        intervals: how intervals are made.
        rules: what was decided on validation, before the test part was looked at.
        validation: the part that the rules come from; None where there is none.
        metadata: columns by name, ``[N]``, for subgroups.
        energy, features: of the test samples, ``[N]`` and ``[N, D]``; None where only probabilities are known.
    """
    limits = rules.threshold_array()
    found: dict[str, Any] = {
        "curves": curves_analysis(test, intervals),
        "operating": operating_table(test, limits, settings.confidence),
        "calibration": calibration_analysis(test, rules.calibration, confidence=settings.confidence),
        "clinical": clinical_analysis(test, intervals, prevalences=settings.prevalences, thresholds=limits),
        "mistakes": mistakes_analysis(test, validation),
    }
    if test.task == "multiclass":
        found["confusion"] = confusion_matrix(test).tolist()
    else:
        found["decisions"] = label_decisions(test).tolist()
    if rules.thresholds is not None:
        found["thresholds"] = threshold_report(test, rules.thresholds, settings.confidence)
    if rules.costs is not None:
        found["costs"] = cost_analysis(test, rules, intervals)
    if rules.conformal is not None:
        found["conformal"] = conformal_analysis(test, rules.conformal, settings.confidence)
    told = rules.novelty is not None and rules.novelty.skipped is not None
    if rules.novelty is not None and (told or (energy is not None and features is not None)):
        found["novelty"] = novelty_analysis(test, rules.novelty, features, energy, settings.confidence)
    if metadata or set(settings.subgroups) - {"all"}:
        found["subgroups"] = subgroup_scores(
            test, metadata or {}, dict(islice(metrics.items(), HEADLINES)), intervals, columns=settings.subgroups
        )
    return found
