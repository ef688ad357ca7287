"""DenseNet (Huang et al. 2017, "Densely connected convolutional networks") as a ``flax.nnx`` module."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from medplug_densenet.layers import BatchNorm, Conv, Draws, Head, Moments, moments
from medplug_densenet.operations import average_pool2, max_pool3_stride2
from medplug_densenet.plan import DENSENET121, Plan

# Every stage takes features and, where they are known, the batch moments of their channels, and returns the same.
Carry = tuple[jax.Array, Moments | None]


class Stem(nnx.Module):
    """7x7 convolution with stride 2, batch norm, ReLU, 3x3 max pool with stride 2: a quarter of each edge."""

    def __init__(self, channels: int, outputs: int, *, draws: Draws, **norm: Any) -> None:
        self.conv = Conv(7, channels, outputs, stride=2, draws=draws)
        self.norm = BatchNorm(outputs, **norm)
        self.activation = jax.nn.relu

    def __call__(self, x: jax.Array, shared: Moments | None = None) -> Carry:
        """``[B, H, W, C]`` to ``[B, H / 4, W / 4, outputs]``, not negative."""
        return max_pool3_stride2(self.activation(self.norm(self.conv(x)))), None


class DenseLayer(nnx.Module):
    """Norm, ReLU, 1x1 to the bottleneck, norm, ReLU, 3x3 to the growth: what one layer adds to its block."""

    def __init__(self, inputs: int, plan: Plan, *, draws: Draws, **norm: Any) -> None:
        self.norm1 = BatchNorm(inputs, **norm)
        self.conv1 = Conv(1, inputs, plan.width, draws=draws)
        self.norm2 = BatchNorm(plan.width, **norm)
        self.conv2 = Conv(3, plan.width, plan.growth, draws=draws)
        self.activation = jax.nn.relu

    def __call__(self, x: jax.Array, shared: Moments | None) -> jax.Array:
        """``[B, h, w, inputs]`` to ``[B, h, w, growth]``."""
        x = self.conv1(self.activation(self.norm1(x, shared)))
        return self.conv2(self.activation(self.norm2(x)))


class DenseBlock(nnx.Module):
    """Layers that each read everything before them in the block, their output appended behind their input.

    The batch moments of a channel are the same for every later layer that reads it; only scale and bias
    differ. So they are computed once, where the channel is made, and carried along. That is exact.
    """

    def __init__(self, inputs: int, depth: int, plan: Plan, *, draws: Draws, **norm: Any) -> None:
        self.depth = depth
        for index in range(depth):
            layer = DenseLayer(inputs + index * plan.growth, plan, draws=draws, **norm)
            setattr(self, f"layer{index + 1}", layer)

    def __call__(self, x: jax.Array, shared: Moments | None = None) -> Carry:
        """``[B, h, w, inputs]`` to ``[B, h, w, inputs + depth * growth]``, with moments where the layers train."""
        layers: list[DenseLayer] = [getattr(self, f"layer{index + 1}") for index in range(self.depth)]
        live = any(not layer.norm1.use_running_average for layer in layers)
        shared = (shared or moments(x)) if live else None
        for layer in layers:
            part = layer(x, shared)
            x = jnp.concatenate([x, part], -1)
            if shared is not None:
                (mean, var), (part_mean, part_var) = shared, moments(part)
                shared = jnp.concatenate([mean, part_mean]), jnp.concatenate([var, part_var])
        return x, shared


class Transition(nnx.Module):
    """Norm, ReLU, 1x1 convolution to half the channels, 2x2 average pool.

    The pool comes first here: it commutes with a 1x1 convolution, which then has a quarter of the pixels.
    """

    def __init__(self, inputs: int, outputs: int, *, draws: Draws, **norm: Any) -> None:
        self.norm = BatchNorm(inputs, **norm)
        self.conv = Conv(1, inputs, outputs, draws=draws)
        self.activation = jax.nn.relu

    def __call__(self, x: jax.Array, shared: Moments | None = None) -> Carry:
        """``[B, h, w, inputs]`` to ``[B, h / 2, w / 2, outputs]``; odd edges are rounded down."""
        return self.conv(average_pool2(self.activation(self.norm(x, shared)))), None


class Final(nnx.Module):
    """The norm and ReLU behind the last block."""

    def __init__(self, channels: int, **norm: Any) -> None:
        self.norm = BatchNorm(channels, **norm)
        self.activation = jax.nn.relu

    def __call__(self, x: jax.Array, shared: Moments | None = None) -> Carry:
        """``[B, h, w, D]`` to the same shape, not negative."""
        return self.activation(self.norm(x, shared)), None


class DenseNet(nnx.Module):
    """A DenseNet-BC for images ``[B, H, W, C]`` float32, standardised, of any size from ``plan.smallest`` on.

    Its stages are also its submodules: ``stem``, ``block1``, ``transition1`` and so on, the last block, ``final``;
    then ``head``. Features after ``final`` are ``[B, H / 32, W / 32, D]`` with four blocks, not negative.

    Args:
        classes: K, the number of logits.
        channels: C, of the images.
        plan: depths and widths.
        hidden: units of a dense layer without activation before the last; None for none.
        dropout: share of the head's input that training drops.
        epsilon, momentum, unbiased: of all batch norms, see :class:`~medplug_densenet.layers.BatchNorm`.
        rngs: ``params`` decides the initial weights, ``dropout`` what is dropped.
    """

    activations = ("activation",)

    def __init__(
        self,
        classes: int,
        *,
        channels: int = 3,
        plan: Plan = DENSENET121,
        hidden: int | None = None,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        unbiased: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        draws = Draws(rngs)
        norm: dict[str, Any] = {"epsilon": epsilon, "momentum": momentum, "unbiased": unbiased}
        self.plan, self.channels = plan, channels
        self.stages = stage_names(plan)
        self.stem = Stem(channels, plan.stem, draws=draws, **norm)
        entering = plan.entering()
        for index, (inputs, depth) in enumerate(zip(entering, plan.blocks, strict=True), start=1):
            setattr(self, f"block{index}", DenseBlock(inputs, depth, plan, draws=draws, **norm))
            if index < len(plan.blocks):
                made = inputs + depth * plan.growth
                setattr(self, f"transition{index}", Transition(made, entering[index], draws=draws, **norm))
        self.final = Final(plan.features, **norm)
        self.head = Head(plan.features, classes, hidden=hidden, dropout=dropout, draws=draws, rngs=rngs)

    def features(self, images: jax.Array, stage: str | None = None) -> jax.Array:
        """Images ``[B, H, W, C]`` float32 to features ``[B, h, w, D]`` after a stage, by default ``final``.

        Raises:
            ValueError: for images of the wrong rank, channel count or size, or an unknown stage.
        """
        self._check(images.shape)
        return self._run(images, self.stages[: self._after(stage)])

    def classify(self, features: jax.Array, metadata: jax.Array | None = None, stage: str | None = None) -> jax.Array:
        """Features of a stage, by default ``final``, to logits ``[B, K]`` float32. ``metadata`` is ignored."""
        return self.head(self._run(features, self.stages[self._after(stage) :]).mean((1, 2)))

    def linear_head(self) -> jax.Array:
        """``[D, K]``: logits are the pooled features times this, plus a bias."""
        return self.head.kernel()

    def __call__(self, images: jax.Array, metadata: jax.Array | None = None) -> jax.Array:
        """Images ``[B, H, W, C]`` float32 to logits ``[B, K]`` float32."""
        return self.classify(self.features(images), metadata)

    def _run(self, x: jax.Array, stages: tuple[str, ...]) -> jax.Array:
        x, shared = jnp.asarray(x), None
        for name in stages:
            x, shared = getattr(self, name)(x, shared)
        return x

    def _after(self, stage: str | None) -> int:
        if stage is None:
            return len(self.stages)
        if stage not in self.stages:
            raise ValueError(f"there is no stage {stage!r}; the stages are {', '.join(self.stages)}")
        return self.stages.index(stage) + 1

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4 or shape[3] != self.channels:
            raise ValueError(f"images must be [B, H, W, {self.channels}], got {list(shape)}")
        if min(shape[1:3]) < self.plan.smallest:
            raise ValueError(f"images of {shape[1]}x{shape[2]} pixels are too small; {self.plan.smallest} is the least")


def stage_names(plan: Plan) -> tuple[str, ...]:
    """``("stem", "block1", "transition1", ..., "block4", "final")``."""
    between = [name for i in range(1, len(plan.blocks)) for name in (f"block{i}", f"transition{i}")]
    return ("stem", *between, f"block{len(plan.blocks)}", "final")
