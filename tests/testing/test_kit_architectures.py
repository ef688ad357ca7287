"""The kit catches broken architectures, and lets correct ones pass."""

from __future__ import annotations

import socket
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from medplug.plugins import Preprocessing, WeightsError, component, param
from medplug.testing import check_component
from medplug.testing.checks import Case, Outcome, run_check
from medplug.testing.fakes import TinyNet, TinyNetwork
from medplug.testing.runner import checks_of

SHAPE = (8, 8, 1)


def outcome(architecture: Any, check: str, **fixtures: Any) -> Outcome:
    """One check alone: the others would compile for nothing."""
    case = Case(architecture, "architecture", fixtures={"input_shape": SHAPE, **fixtures})
    return next(run_check(c, case) for c in checks_of("architecture") if c.name == check)


class Softmax(TinyNetwork):
    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        return jax.nn.softmax(super().classify(features, metadata, stage))


class StuckNorm(TinyNetwork):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        width = self.stem_norm.num_features
        self.stem_norm = nnx.BatchNorm(width, momentum=1.0, rngs=nnx.Rngs(0))


class BatchNormInEval(TinyNetwork):
    def _late(self, early: jax.Array) -> jax.Array:
        return nnx.relu(self.body_norm(self.body(early), use_running_average=False))


class DeadLayer(TinyNetwork):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unused = nnx.Linear(2, 2, rngs=nnx.Rngs(0))


class StopsGradient(TinyNetwork):
    def _late(self, early: jax.Array) -> jax.Array:
        return super()._late(jax.lax.stop_gradient(early))


class OtherWay(TinyNetwork):
    def __call__(self, images: jax.Array, metadata: Any = None) -> jax.Array:
        return self.classify(2 * self.features(images))


class DropoutInEval(TinyNetwork):
    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        features = self._late(features) if stage == "stem" else features
        return self.head(self.dropout(features.mean((1, 2)), deterministic=False))


class WrongStage(TinyNetwork):
    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        return super().classify(features, metadata, stage=None if features.shape[-1] > 8 else stage) * (
            2 if stage else 1
        )


class NoMetadata(TinyNetwork):
    def classify(self, features: Any, stage: str | None = None) -> jax.Array:  # type: ignore[override]
        return super().classify(features, None, stage)


def make(name: str, network: type) -> type:
    """An architecture that builds another network."""

    def build(self: Any, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> Any:
        return network(input_shape, classes, 4, 0.1, rngs)

    return component(type(name, (TinyNet,), {"__doc__": "A mutant.", "build": build, "__module__": __name__}))


@component
class ClassesIgnored(TinyNet):
    """Always five classes."""

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> TinyNetwork:
        return TinyNetwork(input_shape, 5, 4, 0.1, rngs)


@component
class SeedIgnored(TinyNet):
    """The same weights for each seed."""

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> TinyNetwork:
        return TinyNetwork(input_shape, classes, 4, 0.1, nnx.Rngs(0))


@component
class Unseeded(TinyNet):
    """Other weights at each call."""

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> TinyNetwork:
        return TinyNetwork(input_shape, classes, 4, 0.1, nnx.Rngs(int(np.random.default_rng().integers(2**31))))


@component
class WrongHead(TinyNet):
    """Calls another layer its head."""

    @property
    def head(self) -> tuple[str, ...]:
        return ("body_norm",)


@component
class UnknownHead(TinyNet):
    """Names a head that does not exist."""

    @property
    def head(self) -> tuple[str, ...]:
        return ("head", "classifier")


@component
class ShortMean(TinyNet):
    """One mean for three channels."""

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(16, 3, (0.5,), (0.25, 0.25, 0.25))


@component
class OtherNames(TinyNet):
    """Weights by names of somebody else."""

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        return {"conv1.weight": np.zeros((8, 1, 3, 3), np.float32)}


@component
class Transposed(TinyNet):
    """Weights in the layout of another library."""

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        arrays = super().pretrained(input_shape, classes)
        return arrays | {"stem/kernel": arrays["stem/kernel"].transpose(3, 2, 0, 1)}


MUTANTS = [
    (make("SoftmaxNet", Softmax), "logits_are_no_probabilities"),
    (make("StuckNet", StuckNorm), "statistics_move_in_train_only"),
    (make("BatchNet", BatchNormInEval), "rows_independent_in_eval"),
    (make("DeadNet", DeadLayer), "the_gradient_reaches_all"),
    (make("StoppedNet", StopsGradient), "the_gradient_reaches_all"),
    (make("OtherWayNet", OtherWay), "halves_make_the_whole"),
    (make("DropoutNet", DropoutInEval), "halves_make_the_whole"),
    (make("StageNet", WrongStage), "halves_make_the_whole"),
    (make("NoMetadataNet", NoMetadata), "network_keeps_the_protocol"),
    (ClassesIgnored, "logits_fit_the_classes"),
    (SeedIgnored, "the_seed_decides"),
    (Unseeded, "the_seed_decides"),
    (WrongHead, "the_head_holds_the_classes"),
    (UnknownHead, "the_head_holds_the_classes"),
    (ShortMean, "preprocessing_is_sound"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_architecture_fails(mutant: type, check: str) -> None:
    found = outcome(mutant(), check)
    assert found.status == "failed", found
    assert "raised" not in found.message, "the check fails for its own reason"
    assert outcome(TinyNet(width=4), check).status == "passed"


@pytest.mark.parametrize("mutant", [OtherNames, Transposed])
def test_weights_that_do_not_fit_fail(mutant: type) -> None:
    assert outcome(mutant(weights="fixed"), "pretrained_weights_fit").status == "failed"
    assert outcome(TinyNet(weights="fixed"), "pretrained_weights_fit").status == "passed"


def test_weights_none_must_bring_none() -> None:
    assert outcome(OtherNames(), "pretrained_weights_fit").status == "failed"


@component
class Downloads(TinyNet):
    """Has weights that come from a network."""

    weights: str | None = param("where to start from", default="imagenet")

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        if self.weights is None:
            return {}
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=5).close()
        except OSError as error:
            raise WeightsError(f"cannot be fetched: {error}") from error
        raise AssertionError("a connection was opened")


def test_an_image_network_passes_and_its_weights_are_not_downloaded() -> None:
    report = check_component(Downloads, input_shape=SHAPE)
    assert report.skipped == ("pretrained_weights_fit",)
    assert "works offline" in str(report)
    on_default = [o.check for o in report.outcomes if o.label == "default"]
    assert "the_gradient_reaches_all" not in on_default, "numbers are computed once, without weights"
    assert "the_gradient_reaches_all" in report.passed


def test_a_volume_network_passes() -> None:
    assert check_component(TinyNet(width=4), input_shape=(4, 8, 8, 1)).ok
