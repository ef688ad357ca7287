"""The kit catches broken metrics, and lets correct ones pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from medplug.plugins import component
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import SimpleAccuracy, SimpleAuc

Optional = np.ndarray | None


class Accuracy:
    """What the mutants share: a correct weighted accuracy for exclusive classes."""

    tasks = ("multiclass",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def right(self, targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return (targets.argmax(1) == probabilities.argmax(1)).astype(float)

    def mean(self, values: np.ndarray, weight: Optional) -> float:
        weight = np.ones(len(values)) if weight is None else weight
        return float((values * weight).sum() / weight.sum()) if weight.sum() > 0 else float("nan")


@component
class FailsOnAbsentClass(Accuracy):
    """Recall of each class, which raises where a class does not occur."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> np.ndarray:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        right = self.right(targets, probabilities) * weight
        present = weight @ targets
        if (present == 0).any():
            raise ValueError("a class has no samples")
        return right @ targets / present


@component
class ZeroForAbsent(Accuracy):
    """Counts a class from samples of weight 0 as present, with recall 0."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> np.ndarray:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        right, present = (self.right(targets, probabilities) * weight) @ targets, weight @ targets
        values = right / np.maximum(present, 1e-9)
        return np.where(targets.sum(0) > 0, values, np.nan)


@component
class ChangesInputs(Accuracy):
    """Clips in place."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        np.clip(probabilities, 1e-3, 1 - 1e-3, out=probabilities)
        return self.mean(self.right(targets, probabilities), sample_weight)


@component
class OrderMatters(Accuracy):
    """Weighs late samples more."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        late = np.linspace(1, 2, len(targets))
        return self.mean(self.right(targets, probabilities), late if sample_weight is None else late * sample_weight)


@component
class WrongDirection(Accuracy):
    """An error rate that claims to be better when higher."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        return self.mean(1 - self.right(targets, probabilities), sample_weight)


@component
class Percent(Accuracy):
    """Out of its own bounds."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        return 100 * self.mean(self.right(targets, probabilities), sample_weight)


@component
class OnePerSample(Accuracy):
    """Returns a value for each sample."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> np.ndarray:
        return self.right(targets, probabilities)


@component
class WeightsIgnored(Accuracy):
    """Takes weights and does nothing with them."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        return self.mean(self.right(targets, probabilities), None)


@component
class NoThresholds(Accuracy):
    """Lacks an argument."""

    def __call__(self, targets: np.ndarray, probabilities: np.ndarray, sample_weight: Optional = None) -> float:
        return self.mean(self.right(targets, probabilities), sample_weight)


@component
class Words(Accuracy):
    """Returns a word."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> Any:
        return "good"


@component
class NeedsTwo(Accuracy):
    """Raises for a single sample."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        if len(targets) < 2:
            raise ValueError("two samples are needed")
        return self.mean(self.right(targets, probabilities), sample_weight)


class HammingLike:
    """Share of right labels, at a threshold."""

    tasks = ("multilabel",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def mean(self, right: np.ndarray, known: np.ndarray, sample_weight: Optional) -> float:
        weight = known * (1.0 if sample_weight is None else sample_weight[:, None])
        return float((right * weight).sum() / weight.sum()) if weight.sum() > 0 else float("nan")


@component
class UnknownIsNegative(HammingLike):
    """Takes NaN for the absence of a finding."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        right = (targets > 0.5) == (probabilities >= (0.5 if thresholds is None else thresholds))
        return self.mean(right, np.ones_like(targets), sample_weight)


@component
class OtherDefaultThreshold(HammingLike):
    """Decides at 0.3 where no thresholds are given."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        right = (targets > 0.5) == (probabilities >= (0.3 if thresholds is None else thresholds))
        return self.mean(right, ~np.isnan(targets), sample_weight)


@component
class NoSentence(HammingLike):
    """Does not say what a NaN means."""

    undefined = ""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        right = (targets > 0.5) == (probabilities >= (0.5 if thresholds is None else thresholds))
        return self.mean(right, ~np.isnan(targets), sample_weight)


class Weighted(Accuracy):
    """What the mutants of the optional parts share."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float:
        return self.mean(self.right(targets, probabilities), sample_weight)


@component
class NormalWithoutInfluence(Weighted):
    """Wants an interval that nothing is there for."""

    interval = "normal"


@component
class LoopsWrongly(Weighted):
    """Says that it takes many weightings at once, and adds them up."""

    vectorised = True

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> float | np.ndarray:
        if sample_weight is None or sample_weight.ndim == 1:
            return self.mean(self.right(targets, probabilities), sample_weight)
        return np.full(len(sample_weight), self.mean(self.right(targets, probabilities), sample_weight.sum(0)))


@component
class InfluenceNotScaled(Weighted):
    """Forgets to divide by the number of samples."""

    def influence(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: Optional = None) -> np.ndarray:
        right = self.right(targets, probabilities)
        return right - right.mean()


@component
class CompanionPerSample(Weighted):
    """Lets a value of each sample stand beside the figure."""

    def companion(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: Optional = None) -> dict[str, Any]:
        return {"largest": probabilities.max(1)}


@component
class TrialsOfEachClass(Weighted):
    """Has one figure, and trials of each class."""

    interval = "wilson"

    def trials(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: Optional = None) -> np.ndarray:
        return targets.sum(0)


@component
class UnknownHasInfluence:
    """The share of positives at least a half; its influence counts unknown labels as wrong."""

    tasks = ("multilabel",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the label is known for no sample"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: Optional = None,
        thresholds: Optional = None,
    ) -> np.ndarray:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        known = ~np.isnan(targets)
        total = weight @ known
        right = weight @ (known & (self.found(probabilities, thresholds) == (targets >= 0.5)))
        return np.where(total > 0, right / np.where(total > 0, total, 1), np.nan)

    def influence(self, targets: np.ndarray, probabilities: np.ndarray, thresholds: Optional = None) -> np.ndarray:
        right = (self.found(probabilities, thresholds) == (targets >= 0.5)) & ~np.isnan(targets)
        total = np.maximum((~np.isnan(targets)).sum(0), 1)
        return (right - right.sum(0) / total) / total

    def found(self, probabilities: np.ndarray, thresholds: Optional) -> np.ndarray:
        return probabilities >= (0.5 if thresholds is None else thresholds)


MUTANTS = [
    (CompanionPerSample, "optional_parts_have_their_shapes"),
    (TrialsOfEachClass, "optional_parts_have_their_shapes"),
    (UnknownHasInfluence, "unknown_labels_have_no_influence"),
    (NormalWithoutInfluence, "interval_has_what_it_needs"),
    (LoopsWrongly, "many_weightings_equal_a_loop"),
    (InfluenceNotScaled, "influence_tells_the_variance"),
    (FailsOnAbsentClass, "an_absent_class_is_no_error"),
    (ZeroForAbsent, "weight_zero_is_absence"),
    (ChangesInputs, "inputs_are_untouched"),
    (OrderMatters, "order_does_not_matter"),
    (WrongDirection, "perfect_beats_good_beats_random"),
    (Percent, "keeps_its_bounds"),
    (OnePerSample, "a_float_or_one_per_class"),
    (WeightsIgnored, "weight_equals_repetition"),
    (NoThresholds, "keeps_the_protocol"),
    (Words, "a_float_or_one_per_class"),
    (NeedsTwo, "one_sample_is_no_error"),
    (UnknownIsNegative, "unknown_labels_do_not_count"),
    (OtherDefaultThreshold, "thresholds_are_taken"),
    (NoSentence, "declares_itself"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_metric_fails(mutant: type, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, kind="metric")
    assert check in caught.value.report.failed


ONLY = [
    NeedsTwo, OtherDefaultThreshold, NoSentence, ZeroForAbsent, InfluenceNotScaled, LoopsWrongly, CompanionPerSample,
    TrialsOfEachClass, UnknownHasInfluence,
]  # fmt: skip


@pytest.mark.parametrize("mutant", ONLY)
def test_a_single_fault_is_not_blamed_on_the_rest(mutant: type) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, kind="metric")
    assert caught.value.report.failed == (dict(MUTANTS)[mutant],)


@pytest.mark.parametrize("metric", [SimpleAccuracy, SimpleAuc])
def test_a_correct_metric_passes(metric: type) -> None:
    report = check_component(metric)
    assert report.ok
    words = ("influence", "optional", "vectorised")
    assert all(any(w in o.message for w in words) for o in report.outcomes if o.status == "skipped")
