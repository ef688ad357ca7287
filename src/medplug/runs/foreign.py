"""Predictions of any tool, evaluated like those of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config.config import Config
from medplug.contracts.metric import Metric
from medplug.evaluation.costs import cost_matrix
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.tables import write_predictions
from medplug.files import read_json
from medplug.progress import Reporter
from medplug.report.facts import ReportFacts
from medplug.runs import folder as names
from medplug.runs.evaluating import Part, evaluate_into
from medplug.runs.reporting import counted, readings, with_checklists, write_page
from medplug.values import Predictions

_INDEPENDENCE = {
    "level": "unknown",
    "text": "These predictions come from elsewhere: what their training images share with these is not known here.",
}


def evaluate_foreign(
    folder: Path,
    predictions: Predictions,
    metadata: Mapping[str, np.ndarray],
    notes: Sequence[str],
    title: str,
    metrics: Mapping[str, Metric],
    config: Config,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write figures, analyses, tables and the report of bare predictions; returns the content of ``metrics.json``.

    There is no validation part, so that nothing is calibrated and no threshold chosen; costs, which need none, decide on
    the probabilities as they are.
    """
    costs = cost_matrix(config.evaluation.costs, predictions.classes, predictions.task)
    rules = DecisionRules(predictions.task, predictions.classes, costs=costs)
    figures = evaluate_into(
        folder, Part(predictions, metadata), metrics, config.evaluation, seed=config.seed,
        independence=_INDEPENDENCE, rules=rules, validation=None, reporter=reporter,
    )  # fmt: skip
    write_predictions(folder / names.PREDICTIONS["test"], predictions)
    facts = ReportFacts(
        title=f"{title}: {counted(predictions.task, predictions.classes)}",
        task=predictions.task,
        classes=predictions.classes,
        metrics=figures,
        analysis=read_json(folder / names.ANALYSIS),
        independence=_INDEPENDENCE["text"],
        independence_level=_INDEPENDENCE["level"],
        split_notes=notes,
        readings=readings(metrics),
        confidence=config.evaluation.confidence,
    )
    write_page(folder, with_checklists(facts), config.rendering)
    return figures
