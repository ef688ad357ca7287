"""What seconds of work reach on the split of a finished run: the floors that training has to beat.

Two models see the same training, validation and test images as the run: logistic regression on thumbnails, and on
the run's architecture with its pretrained weights, frozen. Both are compared with the run by a paired bootstrap.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.experiments import Experiment, Thumbnail
from benchmarks.family import BenchmarkError
from medplug import build_network, load_run
from medplug.contracts.architecture import Features
from medplug.data.decode import resize, to_channels
from medplug.evaluation.intervals import IntervalSettings, Units, bootstrap_weights, units
from medplug.files import read_json
from medplug.pipeline import prepare
from medplug.plugins.registry import Registry, registry
from medplug.progress import quiet_reporter
from medplug.runs import folder as run_files
from medplug.values import Predictions

THUMBNAIL_C = 1e-3
FEATURE_CS = (1e-3, 1e-2)  # inverse strengths of the penalty; the validation part chooses
RESAMPLES = 2000
_BATCH = 32


@dataclass(frozen=True)
class Seen:
    """What a run saw, and what it predicted.

    Attributes:
        images: ``[N, S, S, C]`` uint8, at the run's input size.
        targets: ``[N, K]`` float32, NaN for unknown.
        train, validation, test: rows of the parts; ``test`` in the order of ``predictions``.
        predictions: of the test part, with targets and groups.
        architecture: the run's, with its pretrained weights.
    """

    images: np.ndarray
    targets: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    predictions: Predictions
    architecture: Any


def floors_of(folder: Path, experiment: Experiment, plugins: Registry | None = None) -> dict[str, Any]:
    """The floors that an experiment asks for, beside a finished run.

    Returns:
        By name ``thumbnails`` and ``features``: ``{"model", "roc_auc", "difference": {"value", "low", "high", …}}``. The
        difference is the run's macro AUC minus the floor's.
    """
    seen = read_run(folder, plugins)
    found = {}
    if experiment.thumbnail is not None:
        found["thumbnails"] = _floor(seen, *thumbnail_floor(seen, experiment.thumbnail))
    if experiment.features:
        found["features"] = _floor(seen, *feature_floor(seen))
    return found


def read_run(folder: Path, plugins: Registry | None = None) -> Seen:
    """Open the run's images again (from the cache of decoded images) and its ``split.csv``.

    Raises:
        BenchmarkError: the data have changed since.
    """
    known = registry() if plugins is None else plugins
    run = load_run(folder, plugins=known)
    manifest = read_json(folder / run_files.MANIFEST)
    _, architecture = run.config.make("architecture", known)
    prepared = prepare(run.config, manifest["source"], architecture, known, quiet_reporter())
    if prepared.report.fingerprint != manifest["data_fingerprint"]:
        raise BenchmarkError(f"{folder}: the data have changed since the run; remove the folder and run again")
    table = run_files.read_split(folder / run_files.SPLIT, run.classes)
    predictions = run.predictions("test")
    row_of = {name: row for row, name in enumerate(table.samples)}
    stored = {name: row for row, name in enumerate(prepared.index.samples)}
    part = np.array(table.parts)
    return Seen(
        images=prepared.store.take(np.array([stored[name] for name in table.samples])),
        targets=table.targets,
        train=np.flatnonzero(part == "train"),
        validation=np.flatnonzero(part == "validation"),
        test=np.array([row_of[name] for name in predictions.samples]),
        predictions=predictions,
        architecture=architecture,
    )


def _floor(seen: Seen, model: str, probabilities: np.ndarray) -> dict[str, Any]:
    ours, targets = seen.predictions, seen.targets[seen.test]
    value = macro_auc(targets, probabilities)
    if np.isnan(value):
        raise BenchmarkError("the test part has no class with both positive and negative images: there is no AUC")
    difference = paired_interval(targets, ours.probabilities, probabilities, ours.groups)
    return {"model": model, "roc_auc": value, "difference": difference}


# ---------------------------------------------------------------- the two models


def thumbnail_floor(seen: Seen, thumbnail: Thumbnail) -> tuple[str, np.ndarray]:
    """Logistic regression on thumbnails, trained on training and validation images: its words, and ``[test, K]``."""
    x = thumbnails(seen.images, thumbnail)
    rows = np.concatenate([seen.train, seen.validation])
    probabilities = linear(x, seen.targets, rows, seen.test, THUMBNAIL_C, seen.predictions.task)
    size = f"{thumbnail.edge} x {thumbnail.edge} {thumbnail.colour} pixels"
    return f"logistic regression (C={THUMBNAIL_C:g}) on {size}", probabilities


def feature_floor(seen: Seen) -> tuple[str, np.ndarray]:
    """Logistic regression on frozen features; validation chooses the penalty: its words, and ``[test, K]``."""
    task, targets, held = seen.predictions.task, seen.targets, seen.validation
    x = pooled_features(seen.architecture, seen.images, targets.shape[1])
    scores = [macro_auc(targets[held], linear(x, targets, seen.train, held, c, task)) for c in FEATURE_CS]
    chosen = FEATURE_CS[int(np.argmax(np.nan_to_num(scores)))]  # the stronger penalty where they tie
    probabilities = linear(x, targets, np.concatenate([seen.train, held]), seen.test, chosen, task)
    return f"logistic regression (C={chosen:g}) on {x.shape[1]} frozen features", probabilities


def thumbnails(images: np.ndarray, thumbnail: Thumbnail) -> np.ndarray:
    """Images ``[N, S, S, C]`` uint8 to ``[N, edge * edge * channels]`` float32."""
    channels = 1 if thumbnail.colour == "grey" else 3
    small = [resize(to_channels(image, channels), thumbnail.edge, antialias=True).ravel() for image in images]
    return np.stack(small).astype(np.float32)


def pooled_features(architecture: Any, images: np.ndarray, classes: int) -> np.ndarray:
    """Images ``[N, S, S, C]`` uint8 to the features of the pretrained network, averaged over space, ``[N, D]`` float32."""
    import jax
    from flax import nnx

    network = build_network(architecture, classes=classes, size=images.shape[1])
    graph, state = nnx.split(network.module)

    @jax.jit
    def pooled(state: Any, batch: jax.Array) -> jax.Array:
        features = nnx.merge(graph, state, copy=True).features(network.standardise(batch))
        spatial = features.spatial if isinstance(features, Features) else features
        return spatial.mean(tuple(range(1, spatial.ndim - 1)))

    parts = []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        full = np.resize(batch, (_BATCH, *batch.shape[1:]))  # one shape, one compilation
        parts.append(np.asarray(pooled(state, full), np.float32)[: len(batch)])
    return np.concatenate(parts)


def linear(x: np.ndarray, targets: np.ndarray, train: np.ndarray, rows: np.ndarray, c: float, task: str) -> np.ndarray:
    """Probabilities ``[rows, K]`` of balanced logistic regression on standardised columns.

    Args:
        x: ``[N, D]``.
        targets: ``[N, K]``, NaN for unknown.
        train: rows to learn from.
        rows: rows to predict.
        c: inverse strength of the penalty.
        task: one model of all classes, or in ``multilabel`` tasks one a label.

    A class without an example in ``train`` gets probability 0; a label with one value only, that value.
    """
    scaler = StandardScaler().fit(x[train])
    known, wanted = scaler.transform(x[train]), scaler.transform(x[rows])
    result = np.zeros((len(rows), targets.shape[1]))
    if task == "multiclass":
        model = _regression(c).fit(known, targets[train].argmax(1))
        result[:, model.classes_] = model.predict_proba(wanted)
        return result
    for k, column in enumerate(targets[train].T):
        labelled = ~np.isnan(column)
        values = np.unique(column[labelled])
        if len(values) < 2:
            result[:, k] = values[0] if len(values) else 0
        else:
            result[:, k] = _regression(c).fit(known[labelled], column[labelled]).predict_proba(wanted)[:, 1]
    return result


def _regression(c: float) -> LogisticRegression:
    return LogisticRegression(C=c, class_weight="balanced", max_iter=2000)


# ---------------------------------------------------------------- macro AUC and its paired interval


@dataclass(frozen=True)
class _Ranked:
    """One class, sorted by score once: order of the known samples, starts of runs of equal scores, who is positive."""

    order: np.ndarray
    starts: np.ndarray
    positive: np.ndarray

    @classmethod
    def of(cls, target: np.ndarray, score: np.ndarray) -> _Ranked:
        known = np.flatnonzero(~np.isnan(target))
        order = known[np.argsort(score[known], kind="stable")]
        starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
        return cls(order, starts, target[order] >= 0.5)

    def auc(self, weights: np.ndarray) -> float:
        """The weighted share of pairs in the right order, ties half (Mann-Whitney); NaN without a pair."""
        if not len(self.order):
            return float("nan")
        drawn = weights[self.order]
        positive = np.add.reduceat(drawn * self.positive, self.starts)
        negative = np.add.reduceat(drawn * ~self.positive, self.starts)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative
        return float(positive @ (below + negative / 2) / pairs) if pairs > 0 else float("nan")


def _ranked(targets: np.ndarray, probabilities: np.ndarray) -> list[_Ranked]:
    return [_Ranked.of(t, p) for t, p in zip(targets.T, np.asarray(probabilities, np.float64).T, strict=True)]


def macro_auc(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean over classes of the one-vs-rest ROC AUC, ``[N, K]`` both; classes without a pair are left out."""
    return _mean([one.auc(np.ones(len(targets))) for one in _ranked(targets, probabilities)])


def paired_interval(
    targets: np.ndarray, ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray | None, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """The macro AUC of ``ours`` minus that of ``theirs``, with a 95 % bootstrap interval; see :func:`paired_resamples`."""
    settings = IntervalSettings(resamples=resamples)
    value, resampled, drawn = paired_resamples(targets, ours, theirs, groups, settings)
    return {"value": value, **percentile_interval(resampled, drawn, settings)}


def paired_resamples(
    targets: np.ndarray, ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray | None, settings: IntervalSettings
) -> tuple[float, np.ndarray, Units]:
    """The macro AUC of ``ours`` minus that of ``theirs``: its value, its values in resamples ``[R]``, and what was drawn.

    Both are scored on the same resamples of test samples, or of whole groups; ``[N, K]`` all three, groups ``[N]``.
    """
    drawn = units(len(targets), groups)
    one = np.ones(len(targets))
    pairs = [(a, b) for a, b in zip(_ranked(targets, ours), _ranked(targets, theirs), strict=True)]
    pairs = [(a, b) for a, b in pairs if not np.isnan(a.auc(one))]

    def difference(weights: np.ndarray) -> float:
        return _mean([a.auc(weights) - b.auc(weights) for a, b in pairs])

    resampled = np.array([difference(weights) for weights in bootstrap_weights(drawn, settings)])
    return difference(one), resampled, drawn


def percentile_interval(resampled: np.ndarray, drawn: Units, settings: IntervalSettings) -> dict[str, Any]:
    """The interval of one figure from its values in the resamples, ``[R]`` float64, NaN where undefined.

    Returns ``low``, ``high`` and ``method``; ``undefined_resamples`` where some were left out. ``low`` and
    ``high`` are None, with an ``interval_reason``, where fewer than two units exist or where the figure is undefined
    in more than half of the resamples: what remains would not be a sample of its distribution.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    method = (
        f"{100 * settings.confidence:g} % percentile bootstrap over {drawn.count} {drawn.word}, "
        f"{settings.resamples} resamples"
    )
    if drawn.count < 2:
        reason = f"an interval needs at least two {drawn.word}, there is {drawn.count}"
        return {"low": None, "high": None, "method": method, "interval_reason": reason}
    defined = resampled[~np.isnan(resampled)]
    missing = len(resampled) - len(defined)
    note = {"undefined_resamples": missing} if missing else {}
    if 2 * missing > len(resampled):
        reason = f"undefined in {missing} of {len(resampled)} resamples"
        return {"low": None, "high": None, "method": method, "interval_reason": reason, **note}
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return {"low": float(low), "high": float(high), "method": method, **note}


def _mean(values: list[float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no class with a pair: NaN
        return float(np.nanmean(values)) if values else float("nan")
