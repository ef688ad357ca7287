"""What the report is made of: plain values, so that any run folder can be turned into a page again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from medplug.values import Task


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
        original, overlay: pictures in any format that Pillow reads; an empty overlay means that there is no map.
        low, high: the raw values at the two ends of the colour scale.
        evidence: whether the map has any positive value.
        alarms: sentences about what is wrong with the map.
        shared_scale: whether the scale is that of all maps of the class.
        against: whether positive values speak against the class, not for it.
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
    alarms: Sequence[str] = ()
    shared_scale: bool = False
    against: bool = False


@dataclass(frozen=True)
class ChecklistItem:
    """One item of a reporting guideline.

    Attributes:
        guideline: its name, such as ``"CLAIM 2024"``.
        number: of the item, as printed there.
        topic: what the item asks for, in words of our own.
        status: ``"filled"`` from the run, ``"not recorded"`` by it, or left to the ``"authors"``.
        value: what fills it, or what the authors have to say.
    """

    guideline: str
    number: str
    topic: str
    status: Literal["filled", "not recorded", "authors"]
    value: str = ""


@dataclass(frozen=True)
class ReportFacts:
    """Everything that stands in a report. Only the first three must be there: a section without facts is left out.

    Attributes:
        title: of the page.
        task, classes: as in ``Predictions``.
        metrics: the content of ``metrics.json``; its ``"test"`` part is shown.
        analysis: the content of ``analysis.json``.
        split_sizes: samples by part (``"train"``, ``"validation"``, ``"test"``).
        split_counts: positives by part and class.
        independence: a sentence that says what training and test images may have in common.
        independence_level: the same in a word or two: ``"image"``, ``"group (guessed)"``, ``"group (given)"``,
            ``"site"`` or ``"unknown"``.
        split_notes: further sentences on the split.
        checks: the content of ``checks.json``: ``findings`` and ``skipped``.
        history: rows with ``epoch`` (from 1), ``phase``, ``loss`` and ``validation_loss``; other columns are not shown.
        tested_epoch: the epoch whose weights were tested.
        confusion: counts ``[K][K]`` of the most probable classes, rows are the true classes; None in multi-label
            tasks. Where it is None, ``analysis["confusion"]`` is taken if it is there.
        decisions: true positives, false positives, false negatives and true negatives of each label, ``[K][4]``;
            None in multi-class tasks. Where it is None, ``analysis["decisions"]`` is taken if it is there.
        thresholds: of those decisions, ``[K]``; None is 0.5.
        explanations: ordered as they are shown.
        errors: pictures of the most confident errors, the worst first.
        faithfulness: the content of ``faithfulness.json``.
        faithfulness_pictures: the pictures that it names.
        colour_scale: colours of the maps, lowest value first, as ``"#rrggbb"``.
        confidence: that the intervals aim at.
        readings: metrics in plain words, by name: what completes "the model …". ``{value}`` stands for
            the figure in percent, ``{one}`` and ``{other}`` for "an image of …" and its counterpart.
        manifest: the content of ``manifest.json``.
        config: the content of ``config.toml``.
        checklists: items of reporting guidelines, in the order of each.
    """

    title: str
    task: Task
    classes: tuple[str, ...]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    analysis: Mapping[str, Any] = field(default_factory=dict)
    split_sizes: Mapping[str, int] = field(default_factory=dict)
    split_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    independence: str = ""
    independence_level: str = "unknown"
    split_notes: Sequence[str] = ()
    checks: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    tested_epoch: int | None = None
    confusion: Sequence[Sequence[int]] | None = None
    decisions: Sequence[Sequence[int]] | None = None
    thresholds: Sequence[float] | None = None
    explanations: Sequence[ExplainedImage] = ()
    errors: Sequence[ExplainedImage] = ()
    faithfulness: Mapping[str, Any] = field(default_factory=dict)
    faithfulness_pictures: Mapping[str, bytes] = field(default_factory=dict)
    colour_scale: Sequence[str] = ()
    confidence: float = 0.95
    readings: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    checklists: Sequence[ChecklistItem] = ()

    @property
    def test(self) -> Mapping[str, Any]:
        """Scores of the test part; empty where there are none."""
        return self.metrics.get("test") or {}

    @property
    def confusion_counts(self) -> Sequence[Sequence[int]] | None:
        """Counts ``[K][K]`` of a multi-class task, from the facts or the analysis."""
        return self.confusion if self.confusion is not None else self.analysis.get("confusion")

    @property
    def decision_counts(self) -> Sequence[Sequence[int]] | None:
        """Counts ``[K][4]`` of a multi-label task, from the facts or the analysis."""
        return self.decisions if self.decisions is not None else self.analysis.get("decisions")

    @property
    def word(self) -> str:
        """What the task calls one column: ``"label"`` in multi-label tasks, else ``"class"``."""
        return "label" if self.task == "multilabel" else "class"
