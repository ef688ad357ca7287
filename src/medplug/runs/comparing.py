"""Runs beside each other on the same test images, into a folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medplug.config.settings import EvaluationSettings
from medplug.contracts.metric import Metric
from medplug.evaluation.comparison import compare
from medplug.evaluation.intervals import IntervalSettings
from medplug.files import atomic, write_json, write_text
from medplug.report.comparison import render_comparison
from medplug.seeds import child_seed
from medplug.values import Predictions

TABLE, PAGE, PAIRS, FIGURES = "comparison.json", "comparison.html", "comparison.pairs.csv", "comparison.csv"


def compare_into(
    folder: Path,
    predictions: Mapping[str, Predictions],
    metrics: Mapping[str, Metric],
    settings: EvaluationSettings,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare predictions of the same samples; writes ``comparison.json``, its tables as CSV, and a page.

    Returns:
        The content of ``comparison.json``, see :func:`medplug.evaluation.comparison.compare`.
    """
    intervals = IntervalSettings(settings.resamples, settings.confidence, child_seed(seed, "bootstrap"))
    found = compare(predictions, metrics, intervals)
    write_json(folder / TABLE, found)
    figures = [
        [metric, run, f.get("value"), f.get("low"), f.get("high"), f.get("method"), f.get("reason")]
        for metric, runs in found["metrics"].items()
        for run, f in runs.items()
    ]
    _write(folder / FIGURES, ["metric", "run", "value", "low", "high", "method", "reason"], figures)
    pairs = [
        [p["metric"], p["a"], p["b"], *(p["difference"].get(k) for k in ("value", "low", "high")), p["p"], p["p_holm"],
         p["method"]]
        for p in found["pairs"]
    ]  # fmt: skip
    head = ["metric", "a", "b", "difference", "low", "high", "p", "p_holm", "method"]
    _write(folder / PAIRS, head, pairs)
    write_text(folder / PAGE, render_comparison(found, settings.confidence))
    return found


def _write(path: Path, head: list[str], rows: list[list[Any]]) -> None:
    with atomic(path, errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
