"""What the report is made of: plain values, so that any run folder can be turned into a page again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medplug.values import Task

Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class ExplainedImage:
    """One test image with the map of one class.

    Attributes:
        shown_for: the class that the image stands for.
        sample: its name.
        labels: the classes that it is labelled with.
        explained: the class that the map explains.
        probability: the predicted probability of that class, 0 to 1.
        method: the explainer.
        original, overlay: pictures in any format that Pillow reads.
        low, high: the raw values at the two ends of the colour scale.
        evidence: whether the map has any positive value.
    """

    shown_for: str
    sample: str
    labels: tuple[str, ...]
    explained: str
    probability: float
    method: str
    original: bytes
    overlay: bytes
    low: float
    high: float
    evidence: bool = True


@dataclass(frozen=True)
class ReportFacts:
    """Everything that stands in a report.

    Attributes:
        title: of the page.
        task, classes: as in ``Predictions``.
        metrics: the content of ``metrics.json``; its ``"test"`` part is shown.
        split_sizes: samples by part (``"train"``, ``"validation"``, ``"test"``).
        split_counts: positives by part and class.
        independence: a sentence that says what training and test images may have in common.
        split_notes: further sentences on the split.
        checks: the content of ``checks.json``: ``findings`` and ``skipped``.
        history: rows with ``epoch`` (from 1), ``phase``, ``loss`` and ``validation_loss``; other columns are not shown.
        tested_epoch: the epoch whose weights were tested.
        roc: for each class the false and true positive rates of its curve, or None where there is none.
        confusion: counts ``[K][K]``, rows are the true classes; None in multi-label tasks.
        decisions: true positives, false positives, false negatives and true negatives of each class, ``[K][4]``;
            None in multi-class tasks.
        thresholds: of those decisions, ``[K]``.
        explanations: ordered as they are shown.
        colour_scale: colours of the maps, lowest value first, as ``"#rrggbb"``.
        confidence: that the intervals aim at.
        readings: metrics in plain words, by name: what completes "the model …". ``{value}`` stands for
            the figure in percent, ``{one}`` and ``{other}`` for "an image of …" and its counterpart.
        manifest: the content of ``manifest.json``.
        config: the content of ``config.toml``.
    """

    title: str
    task: Task
    classes: tuple[str, ...]
    metrics: Mapping[str, Any]
    split_sizes: Mapping[str, int]
    split_counts: Mapping[str, Mapping[str, int]]
    independence: str
    split_notes: Sequence[str] = ()
    checks: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    tested_epoch: int | None = None
    roc: Mapping[str, Curve | None] = field(default_factory=dict)
    confusion: Sequence[Sequence[int]] | None = None
    decisions: Sequence[Sequence[int]] | None = None
    thresholds: Sequence[float] | None = None
    explanations: Sequence[ExplainedImage] = ()
    colour_scale: Sequence[str] = ()
    confidence: float = 0.95
    readings: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
