"""Small components of every kind, for tests that need a pipeline but no plugin: see :func:`fake_registry`."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.plugins import Component, NetworkView, Preprocessing, component, param
from medplug.plugins.registry import Registry
from medplug.testing.fake_data import Fit, Memory, Mirror, Recorder, Shift
from medplug.testing.fake_training import Blend, Level, PlainSgd, SimpleAdam

__all__ = [
    "Blend", "Fit", "InputGradient", "Level", "Memory", "Mirror", "PlainSgd", "Recorder", "Shift", "SimpleAccuracy", "SimpleAdam",
    "SimpleAuc", "SimpleBinaryCrossEntropy", "SimpleCrossEntropy", "TinyNet", "TinyNetwork", "fake_registry",
]  # fmt: skip


class TinyNetwork(nnx.Module):
    """Two convolutions with stride 2, batch normalisation, dropout and a linear head, for any number of spatial axes."""

    stages = ("stem", "body")
    activations = ("activation",)

    def __init__(self, input_shape: tuple[int, ...], classes: int, width: int, dropout: float, rngs: nnx.Rngs) -> None:
        axes, channels = len(input_shape) - 1, input_shape[-1]

        def convolution(inputs: int, outputs: int) -> nnx.Conv:
            start = jax.nn.initializers.normal(
                (2 / (inputs * 3**axes)) ** 0.5
            )  # compiles faster than He's truncated normal
            return nnx.Conv(inputs, outputs, (3,) * axes, strides=2, use_bias=False, kernel_init=start, rngs=rngs)

        self.activation = nnx.relu
        self.stem = convolution(channels, width)
        self.stem_norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.body = convolution(width, 2 * width)
        self.body_norm = nnx.BatchNorm(2 * width, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.head = nnx.Linear(2 * width, classes, kernel_init=jax.nn.initializers.normal(0.1), rngs=rngs)

    def features(self, images: jax.Array, stage: str | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` to features ``[B, *s, D]``."""
        early = self.activation(self.stem_norm(self.stem(images)))
        return early if stage == "stem" else self._late(early)

    def _late(self, early: jax.Array) -> jax.Array:
        return self.activation(self.body_norm(self.body(early)))

    def classify(self, features: Any, metadata: jax.Array | None = None, stage: str | None = None) -> jax.Array:
        """Features to logits ``[B, K]``; metadata are ignored."""
        features = self._late(features) if stage == "stem" else features
        return self.head(self.dropout(features.mean(tuple(range(1, features.ndim - 1)))))

    def linear_head(self) -> jax.Array:
        """``[D, K]``."""
        return self.head.kernel[...]

    def __call__(self, images: jax.Array, metadata: jax.Array | None = None) -> jax.Array:
        """Images to logits ``[B, K]``."""
        return self.classify(self.features(images), metadata)


@component
class TinyNet:
    """A convolutional network of some hundred parameters, for images and volumes."""

    test_size = 16

    width: int = param("channels after the first convolution", default=8, ge=1)
    channels: Literal[1, 3] = param("channels of the input", default=1)
    dropout: float = param("share of features that are dropped in training", default=0.1, ge=0, lt=1)
    weights: Literal["fixed"] | None = param("'fixed' starts from weights that are always the same", default=None)

    @property
    def preprocessing(self) -> Preprocessing:
        """Images of 16 pixels, centred."""
        return Preprocessing(16, self.channels, (0.5,) * self.channels, (0.25,) * self.channels)

    @property
    def head(self) -> tuple[str, ...]:
        """The linear layer."""
        return ("head",)

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> TinyNetwork:
        """The network with initial weights."""
        return TinyNetwork(input_shape, classes, self.width, self.dropout, rngs)

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        """With ``weights="fixed"``: all but the head, drawn from a fixed seed."""
        if self.weights is None:
            return {}
        rng, axes, width = np.random.default_rng(7), len(input_shape) - 1, self.width
        found = {}
        for name, inputs, outputs in (("stem", input_shape[-1], width), ("body", width, 2 * width)):
            found[f"{name}/kernel"] = rng.normal(0, 0.2, (*(3,) * axes, inputs, outputs)).astype(np.float32)
            starts = {"scale": 1, "bias": 0, "mean": 0, "var": 1}
            found |= {f"{name}_norm/{part}": np.full(outputs, value, np.float32) for part, value in starts.items()}
        return found


@component
class SimpleCrossEntropy:
    """Softmax cross-entropy without class weights."""

    tasks = ("multiclass",)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]``."""
        return -(targets * jax.nn.log_softmax(logits)).sum(1)


@component
class SimpleBinaryCrossEntropy:
    """Sigmoid cross-entropy, summed over the known labels, without class weights."""

    tasks = ("multilabel",)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        """Losses ``[B]``."""
        known = ~jnp.isnan(targets)
        safe = jnp.where(known, targets, 0)
        each = safe * jax.nn.log_sigmoid(logits) + (1 - safe) * jax.nn.log_sigmoid(-logits)
        return -jnp.where(known, each, 0).sum(1)


@component
class SimpleAccuracy:
    """Share of samples whose decisions are all right; unknown labels count as right."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float:
        """One float; rows whose targets and probabilities sum to 1 are taken for multi-class."""
        single = np.allclose(targets.sum(1), 1) and np.allclose(probabilities.sum(1), 1)
        limits = np.full(targets.shape[1], 0.5) if thresholds is None else thresholds
        decided = probabilities >= limits
        wrong = ~np.isnan(targets) & (decided != (targets >= 0.5))
        right = probabilities.argmax(1) == targets.argmax(1) if single else ~wrong.any(1)
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        return float((weight * right).sum() / weight.sum()) if weight.sum() > 0 else float("nan")


@component
class SimpleAuc:
    """Area under the ROC curve of each class: the share of pairs (positive, negative) in the right order."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the class has no positive or no negative samples"

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]`` float64, ties count half."""
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        return np.array([_auc(t, p, weight) for t, p in zip(targets.T, probabilities.T, strict=True)])


def _auc(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    positive, negative = target >= 0.5, target < 0.5  # both False for NaN
    pairs = weight[positive][:, None] * weight[negative][None]
    gap = score[positive][:, None] - score[negative][None]
    total = pairs.sum()
    return float((pairs * ((gap > 0) + 0.5 * (gap == 0))).sum() / total) if total > 0 else float("nan")


@component
class InputGradient:
    """The gradient of a class's logit with respect to the image, summed over channels."""

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]``, as large as the images."""

        def score(x: jax.Array, chosen: jax.Array) -> jax.Array:
            return network.scores(network.logits(x), chosen[:, None]).sum()

        gradients = jax.vmap(jax.grad(score), in_axes=(None, 1), out_axes=1)(images, classes)
        maps = gradients[..., 0]
        for channel in range(1, images.shape[-1]):  # a reduction over three channels is slow on XLA's CPU backend
            maps = maps + gradients[..., channel]
        return maps


_RECORDS = (
    ("reader", "memory", Memory),
    ("preprocessor", "fit", Fit),
    ("preprocessor", "shift", Shift),
    ("augmenter", "mirror", Mirror),
    ("architecture", "tiny_net", TinyNet),
    ("loss", "simple_cross_entropy", SimpleCrossEntropy),
    ("loss", "simple_binary_cross_entropy", SimpleBinaryCrossEntropy),
    ("optimizer", "plain_sgd", PlainSgd),
    ("optimizer", "simple_adam", SimpleAdam),
    ("schedule", "level", Level),
    ("mixer", "blend", Blend),
    ("metric", "simple_accuracy", SimpleAccuracy),
    ("metric", "simple_auc", SimpleAuc),
    ("explainer", "input_gradient", InputGradient),
    ("observer", "recorder", Recorder),
)


def fake_registry() -> Registry:
    """A registry with the fakes as distribution ``fakes``, and with nothing that is installed."""
    registry = Registry()
    for kind, name, cls in _RECORDS:
        summary = (cls.__doc__ or "").splitlines()[0]
        registry.add(Component(kind, name, f"{cls.__module__}:{cls.__qualname__}", summary), "fakes", "1")
    registry.add(Component("recipe", "fake", "medplug.testing:fake.toml", "A short run of the fakes."), "fakes", "1")
    return registry
