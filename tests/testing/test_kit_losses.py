"""The kit catches broken losses, and lets correct ones pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import component, param
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import SimpleBinaryCrossEntropy, SimpleCrossEntropy
from medplug.testing.instances import draw_instances

Array = jax.Array


def entropy(logits: Array, targets: Array) -> Array:
    return -(targets * jax.nn.log_softmax(logits)).sum(1)


@component
class MeanOfBatch:
    """Returns one value for the whole batch."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, targets).mean()


@component
class BatchStatistics:
    """Scales each row by the others."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        rows = entropy(logits, targets)
        return rows / (1 + rows.mean())


@component
class DividedByBatch:
    """Takes the mean on behalf of the engine."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, targets) / len(logits)


@component
class LogOfSoftmax:
    """Underflows: the softmax of -80 is 0 in float32."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return -(targets * jnp.log(jax.nn.softmax(logits))).sum(1)


@component
class WrongSign:
    """Rewards what it should punish."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return -entropy(logits, targets)


@component
class CountsErrors:
    """Has no gradient."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return (logits.argmax(1) != targets.argmax(1)).astype(jnp.float32)


@component
class DividesByCounts:
    """Weighs classes by the inverse of their count, without a guard."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, targets) * (targets / class_counts[:, 0]).sum(1)


@component
class UsesNumpy:
    """Leaves JAX."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Any:
        shifted = np.asarray(logits) - np.max(logits, axis=1, keepdims=True)
        return -np.sum(targets * (shifted - np.log(np.exp(shifted).sum(1, keepdims=True))), axis=1)


@component
class PythonIf:
    """Branches on a value."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        rows = entropy(logits, targets)
        return rows if rows.max() > 1 else 2 * rows


@component
class SwappedArguments:
    """Has its arguments in another order."""

    tasks = ("multiclass",)

    def __call__(self, targets: Array, logits: Array, class_counts: Array) -> Array:
        return entropy(logits, targets)


@component
class HalfPrecision:
    """Returns bfloat16."""

    tasks = ("multiclass",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, targets).astype(jnp.bfloat16)


@component
class MasksTooLate:
    """Multiplies NaN targets away only at the end: 0 times NaN is NaN."""

    tasks = ("multilabel",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        each = targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits)
        return -jnp.where(jnp.isnan(targets), 0, each).sum(1)


@component
class UnknownIsNegative:
    """Takes an unknown label for an absent finding."""

    tasks = ("multilabel",)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        y = jnp.nan_to_num(targets)
        return -(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits)).sum(1)


@component
class NoTasks:
    """Does not say what it is for."""

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, targets)


MUTANTS = [
    (MeanOfBatch, "shape_and_dtype"),
    (BatchStatistics, "rows_independent"),
    (DividedByBatch, "rows_independent"),
    (LogOfSoftmax, "finite_at_extremes"),
    (WrongSign, "right_beats_wrong"),
    (CountsErrors, "a_gradient_step_lowers_it"),
    (DividesByCounts, "empty_class_is_finite"),
    (UsesNumpy, "shape_and_dtype"),
    (PythonIf, "shape_and_dtype"),
    (SwappedArguments, "keeps_the_protocol"),
    (HalfPrecision, "shape_and_dtype"),
    (MasksTooLate, "unknown_labels_add_nothing"),
    (UnknownIsNegative, "unknown_labels_add_nothing"),
    (NoTasks, "declares_tasks"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_loss_fails(mutant: type, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, kind="loss")
    assert check in caught.value.report.failed
    assert f"{check} [default]" in str(caught.value)
    assert "->" in str(caught.value)


@pytest.mark.parametrize("loss", [SimpleCrossEntropy, SimpleBinaryCrossEntropy])
def test_a_correct_loss_passes(loss: type) -> None:
    report = check_component(loss)
    assert report.ok
    assert {"finite_at_extremes", "rows_independent", "right_beats_wrong"} <= set(report.passed)


@component
class ClippedAtZero:
    """Focal loss with a NaN gradient at gamma = 0, which its default hides: the derivative of 0 ** gamma."""

    tasks = ("multiclass",)
    gamma: float = param("how strongly easy samples are down-weighted", default=2.0, ge=0, le=5)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        logp = jax.nn.log_softmax(logits)
        return -(targets * jnp.clip(1 - jnp.exp(logp), 0, 1) ** self.gamma * logp).sum(1)


def test_drawn_parameters_find_what_the_default_hides() -> None:
    assert check_component(ClippedAtZero, draw=0).ok
    with pytest.raises(ConformanceError) as caught:
        check_component(ClippedAtZero)
    assert caught.value.report.failed == ("finite_at_extremes",)
    assert "drawn gamma=" in str(caught.value)


@component
class Smoothed:
    """Cross-entropy with label smoothing: near 1, an over-confident right answer costs more than no answer."""

    tasks = ("multiclass",)
    smoothing: float = param("share of the target that is spread evenly", default=0.0, ge=0, lt=1)

    def __call__(self, logits: Array, targets: Array, class_counts: Array) -> Array:
        return entropy(logits, (1 - self.smoothing) * targets + self.smoothing / logits.shape[1])


def test_semantic_checks_spare_drawn_parameters() -> None:
    assert check_component(Smoothed).ok
    assert check_component(Smoothed(smoothing=0.9)).ok
    Smoothed.examples = ({"smoothing": 0.9},)
    try:
        with pytest.raises(ConformanceError) as caught:
            check_component(Smoothed)
        assert caught.value.report.failed == ("right_beats_wrong",)
    finally:
        del Smoothed.examples


def test_parameters_are_drawn_within_their_bounds_and_the_same_each_time() -> None:
    first = draw_instances(ClippedAtZero, 10)
    assert len(set(first)) == 10
    assert first == draw_instances(ClippedAtZero, 10)
    gammas = [one.gamma for one in first]
    assert 0.0 in gammas
    assert 5.0 in gammas
    assert all(0 <= g <= 5 for g in gammas)
