"""Evaluating predictions into a folder: the same figures, analyses and tables for runs, other data and other tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from medplug.config.config import from_assignments
from medplug.config.settings import EvaluationSettings
from medplug.contracts.metric import Metric
from medplug.errors import RunError, UsageError
from medplug.evaluation.aggregate import GroupPredictions, by_group
from medplug.evaluation.analysis import analyse
from medplug.evaluation.calibration_fit import fit_calibration
from medplug.evaluation.conformal import fit_conformal
from medplug.evaluation.costs import cost_matrix
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.evaluation.novelty import fit_novelty, no_novelty
from medplug.evaluation.scores import score
from medplug.evaluation.subgroups import chosen_columns
from medplug.evaluation.tables import write_predictions
from medplug.evaluation.thresholds import choose_thresholds
from medplug.evaluation.tidy import write_tidy
from medplug.files import atomic, read_json, write_json
from medplug.params import parameters
from medplug.progress import Reporter
from medplug.runs import folder as names
from medplug.seeds import child_seed
from medplug.values import Predictions, Task

CHANGED = "evaluated_with"  # key of the manifest: settings of the last evaluation that are not those of the run
_LOST = (
    "its limits went with decision.json, and come from features of the training images, which only training makes again: until "
    "then predict flags no image."
)
_DECIDING = ("calibration", "thresholds", "target", "beta", "miss_cost", "alarm_cost", "costs", "coverage", "novelty")
_TRIED = 20  # random samples per class on which metrics are tried


@dataclass(frozen=True)
class Part:
    """Predictions of one part, with what else is known of its samples.

    Attributes:
        predictions: with targets.
        metadata: columns by name, ``[N]``.
        energy: ``[N]`` of the network's logits, or None where only probabilities are known.
        features: ``[N, D]``, or None.
    """

    predictions: Predictions
    metadata: Mapping[str, np.ndarray] = field(default_factory=dict)
    energy: np.ndarray | None = None
    features: np.ndarray | None = None


def evaluate_into(
    folder: Path,
    test: Part,
    metrics: Mapping[str, Metric],
    settings: EvaluationSettings,
    *,
    seed: int,
    independence: Mapping[str, str],
    rules: DecisionRules,
    validation: Part | None,
    reporter: Reporter,
    novelty: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``analysis.json``, ``tables/`` and, where samples share groups, their predictions.

    Args:
        folder: gets the files.
        test: what is evaluated.
        metrics: by name.
        settings: of intervals and analyses.
        seed: of the bootstrap.
        independence: ``level`` and ``text`` of how independent the test samples are of the training samples.
        rules: what was decided on validation, before the test part was looked at.
        validation: the part that the rules come from; None where there is none.
        reporter: tells what happens.
        novelty: that part of an earlier ``analysis.json``, kept where features are not at hand.

    Returns:
        The content of ``metrics.json``.
    """
    chosen_columns(test.metadata, settings.subgroups)  # a name that is not there is told before anything slow
    reporter.say("scoring, with intervals")
    intervals = IntervalSettings(settings.resamples, settings.confidence, child_seed(seed, "bootstrap"))
    figures = {"test": _scores(test.predictions, metrics, settings, intervals, rules)}
    figures["test"]["independence"] = dict(independence)
    if validation is not None:
        figures["validation"] = score(validation.predictions, metrics, intervals=intervals, split="validation")
    analysis = analyse(
        test.predictions, metrics, settings, intervals, rules,
        validation=None if validation is None else validation.predictions,
        metadata=test.metadata, energy=test.energy, features=test.features,
    )  # fmt: skip
    if novelty is not None:
        analysis.setdefault("novelty", dict(novelty))
    write_json(folder / names.METRICS, figures)
    write_json(folder / names.ANALYSIS, analysis)
    write_tidy(folder / names.TABLES, figures, analysis)
    groups = grouped(test.predictions, settings)
    if groups is not None:
        for left_out in groups.left_out:
            reporter.warn(f"group {left_out.name} is left out of the figures of groups: {left_out.reason}")
        write_predictions(folder / names.GROUPS, groups)
    return figures


def grouped(predictions: Predictions, settings: EvaluationSettings) -> GroupPredictions | None:
    """One prediction per group, or None where no two samples share one, or no group has labels that agree."""
    if units(len(predictions.samples), predictions.groups).word == "samples":
        return None
    found = by_group(predictions, settings.aggregate)
    return found if found.samples else None


def _scores(
    test: Predictions,
    metrics: Mapping[str, Metric],
    settings: EvaluationSettings,
    intervals: IntervalSettings,
    rules: DecisionRules,
) -> dict[str, Any]:
    figures = score(test, metrics, intervals=intervals)
    groups = grouped(test, settings)
    if groups is not None:
        figures["groups"] = {**score(groups, metrics, intervals=intervals), "aggregate": settings.aggregate}
    blocks = {}
    if rules.thresholds is not None and rules.thresholds["skipped"] is None:
        blocks["thresholds"] = rules.by_thresholds(test.probabilities)
    if rules.costs is not None:
        blocks["costs"] = rules.by_costs(test.probabilities)
    some = of_decisions(test.task, test.classes, metrics) if blocks else {}
    for name, decided in blocks.items():
        figures[name] = score(replace(test, probabilities=decided.astype(np.float64)), some, intervals=intervals)
    return figures


def of_decisions(task: Task, classes: tuple[str, ...], metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics that see decisions alone: their figures stay the same when probabilities become 0 and 1.

    They are tried on random predictions, because those of a test part may be faultless, where a ranking and decisions
    are worth the same.
    """
    rng, k = np.random.default_rng(0), len(classes)
    n = _TRIED * k
    p, truth = rng.dirichlet(np.ones(k), n), np.arange(k) == (np.arange(n) % k)[:, None]
    hard = np.arange(k) == p.argmax(1)[:, None]
    if task == "multilabel":
        p = rng.random((n, k))
        truth, hard = rng.random((n, k)) < 0.5, p >= 0.5
    samples = tuple(map(str, range(n)))
    before, after = (
        score(Predictions(samples, values.astype(np.float64), truth.astype(np.float32), classes, task), metrics)
        for values in (p, hard)
    )
    same = {name for name in metrics if _values(before, name) == _values(after, name)}
    return {name: metric for name, metric in metrics.items() if name in same}


def _values(scores: Mapping[str, Any], name: str) -> list[Any]:
    """All figures of one metric, rounded beyond doubt."""
    entries = [scores["macro"].get(name, {}), *(entry.get(name, {}) for entry in scores["per_class"].values())]
    values = [entry.get("value") for entry in entries]
    return [None if v is None else round(v, 9) for v in values]


def decide(
    validation: Part,
    reference: np.ndarray | None,
    settings: EvaluationSettings,
    seed: int,
    before: DecisionRules | None = None,
) -> DecisionRules:
    """What the validation part decides: calibration, thresholds, prediction sets, limits of novelty.

    Args:
        validation: predictions with labels, and where novelty is wanted energy and features.
        reference: ``[M, D]`` features of training images, or None.
        settings: which rules.
        seed: of the bootstrap of the thresholds.
        before: rules of the same network, whose limits of novelty are kept where there is no reference.
    """
    found = validation.predictions
    thresholds = None
    if settings.thresholds != "none":
        thresholds = choose_thresholds(
            found, settings.thresholds, target=settings.target, beta=settings.beta, miss_cost=settings.miss_cost,
            alarm_cost=settings.alarm_cost, confidence=settings.confidence, seed=seed,
        )  # fmt: skip
    novelty = None if before is None else before.novelty
    if reference is not None and validation.features is not None and validation.energy is not None:
        novelty = fit_novelty(reference, validation.features, validation.energy, groups=found.groups, seed=seed)
    elif before is None and settings.novelty:
        novelty = no_novelty(_LOST)
    return DecisionRules(
        found.task,
        found.classes,
        fit_calibration(found, settings.calibration),
        thresholds,
        fit_conformal(found, settings.coverage),
        novelty,
        cost_matrix(settings.costs, found.classes, found.task),
    )


def refuse_rules(settings: Mapping[str, Any], folder: Path) -> None:
    """That no setting would change, for other data, what a run has decided on its own validation part.

    Raises:
        UsageError: one would, and would do nothing there.
    """
    given = from_assignments(settings).get("evaluation", {})
    for name in _DECIDING:
        if name in given:
            raise UsageError(
                f"evaluation.{name} is decided on by the run itself, and holds for other data as it is; change it first: "
                f"medplug evaluate {folder} --set evaluation.{name}=..."
            )


def note_changes(folder: Path, run: EvaluationSettings, used: EvaluationSettings) -> None:
    """Write into the manifest with which other settings than those of the run its figures were made."""
    manifest, planned = read_json(folder / names.MANIFEST), parameters(run)
    manifest.pop(CHANGED, None)
    changed = {name: value for name, value in parameters(used).items() if value != planned[name]}
    write_json(folder / names.MANIFEST, {**manifest, **({CHANGED: changed} if changed else {})})


def save_rules(folder: Path, rules: DecisionRules) -> None:
    """Write ``decision.json``, and the features of training images beside it, each atomically."""
    arrays = {} if rules.novelty is None else rules.novelty.to_arrays()
    if arrays:
        with atomic(folder / names.REFERENCE, "wb") as stream:
            stream.write(save(arrays))
    write_json(folder / names.DECISION, rules.to_json())


def read_rules(folder: Path) -> DecisionRules:
    """Read what :func:`save_rules` wrote.

    Raises:
        RunError: it is missing, damaged, or of another version.
    """
    path, reference = folder / names.DECISION, None
    try:
        values = read_json(path)
        if (folder / names.REFERENCE).exists():
            reference = load_file(folder / names.REFERENCE)["reference"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}); write it anew: medplug evaluate {folder}") from None
    return DecisionRules.from_json(values, reference, str(path))
