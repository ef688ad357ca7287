"""EfficientNet-Lite in Flax nnx, from a table of stages."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.plugins import ParameterError
from medplug_efficientnet.layers import ConvNorm, generator
from medplug_efficientnet.plan import Plan, Stage


class Block(nnx.Module):
    """An inverted residual block without squeeze and excitation: expand, depthwise, project (Sandler et al. 2018)."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expand: int, random: np.random.Generator
    ) -> None:
        wide = inputs * expand
        self.expand = ConvNorm("pointwise", inputs, wide, random=random) if expand != 1 else None
        self.depthwise = ConvNorm("depthwise", wide, wide, size=kernel, stride=stride, random=random)
        self.project = ConvNorm("pointwise", wide, outputs, active=False, random=random)
        self.residual = stride == 1 and inputs == outputs

    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B, H, W, I]`` to ``[B, H/stride, W/stride, O]``, sizes rounded up."""
        wide = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(wide))
        return x + y if self.residual else y


class Dense(nnx.Module):
    """A dense layer ``[B, I]`` to ``[B, O]``; kernel uniform within ``1 / sqrt(I)``, bias zero."""

    def __init__(self, inputs: int, outputs: int, *, random: np.random.Generator) -> None:
        bound = 1 / math.sqrt(inputs)
        self.kernel = nnx.Param(jnp.asarray(random.uniform(-bound, bound, (inputs, outputs)), jnp.float32))
        self.bias = nnx.Param(jnp.asarray(np.zeros(outputs, np.float32)))

    def __call__(self, x: jax.Array) -> jax.Array:
        """``x @ kernel + bias``."""
        return x @ self.kernel[...] + self.bias[...]


class Head(nnx.Module):
    """Pooled features to logits: a dense layer where asked for, dropout, and the dense output."""

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        dropout: float,
        hidden: int | None,
        random: np.random.Generator,
        rngs: nnx.Rngs,
    ) -> None:
        self.hidden = Dense(inputs, hidden, random=random) if hidden else None
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None
        self.output = Dense(hidden or inputs, classes, random=random)

    def kernel(self) -> jax.Array:
        """``[D, K]``, of all dense layers as one: none has an activation."""
        last = self.output.kernel[...]
        return last if self.hidden is None else self.hidden.kernel[...] @ last

    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B, D]`` to ``[B, K]``."""
        x = x if self.hidden is None else self.hidden(x)
        x = x if self.dropout is None else self.dropout(x)
        return self.output(x)


class EfficientNetLite(nnx.Module):
    """EfficientNet-Lite (Tan and Le 2019, in its form for small devices): no squeeze and excitation, ReLU6.

    ``stages`` are ``stem``, ``stage1`` to ``stage7`` and ``final``; the last is a 1x1 convolution to 1280 channels.
    At 224 pixels their outputs have an edge of 112, 112, 56, 28, 14, 14, 7, 7 and 7.

    Args:
        plan: the table of stages.
        channels: channels of the images.
        classes: number of logits.
        dropout: share of pooled features that are dropped in training.
        hidden: width of a linear layer before the last one, or None.
        rngs: ``params`` decides the initial weights, ``dropout`` what is dropped.
    """

    activations = ("activation",)

    def __init__(
        self,
        plan: Plan,
        channels: int,
        classes: int,
        *,
        dropout: float = 0.2,
        hidden: int | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        random = generator(rngs)
        numbered = {f"stage{n}": stage for n, stage in enumerate(plan.stages, 1)}
        self.stages = ("stem", *numbered, "final")
        self.stem = ConvNorm("stem", channels, plan.stem, size=3, stride=2, random=random)
        for name, stage in numbered.items():
            setattr(self, name, nnx.List(_blocks(stage, random)))
        self.final = ConvNorm("pointwise", plan.stages[-1].outputs, plan.final, random=random)
        self.head = Head(plan.final, classes, dropout=dropout, hidden=hidden, random=random, rngs=rngs)

    def features(self, images: jax.Array, stage: str | None = None) -> jax.Array:
        """Standardised images ``[B, H, W, C]`` float32 to ``[B, h, w, D]``, after ``stage`` (by default ``final``)."""
        return self._through(images, self.stages[: self._position(stage) + 1])

    def classify(self, features: jax.Array, metadata: jax.Array | None = None, stage: str | None = None) -> jax.Array:
        """What :meth:`features` gave for ``stage`` to logits ``[B, K]`` float32; ``metadata`` is not used."""
        last = self._through(features, self.stages[self._position(stage) + 1 :])
        return self.head(last.mean((1, 2)))

    def linear_head(self) -> jax.Array:
        """``[D, K]``: logits are the pooled features times this, plus a bias."""
        return self.head.kernel()

    def __call__(self, images: jax.Array, metadata: jax.Array | None = None) -> jax.Array:
        """Standardised images ``[B, H, W, C]`` float32 to logits ``[B, K]`` float32."""
        return self.classify(self.features(images), metadata)

    def _position(self, stage: str | None) -> int:
        if stage is None:
            return len(self.stages) - 1
        if stage not in self.stages:
            raise ParameterError(f"the network has no stage {stage!r}; its stages are {', '.join(self.stages)}")
        return self.stages.index(stage)

    def _through(self, x: jax.Array, names: tuple[str, ...]) -> jax.Array:
        for name in names:
            module = getattr(self, name)
            for layer in module if isinstance(module, nnx.List) else (module,):
                x = layer(x)
        return x


def _blocks(stage: Stage, random: np.random.Generator) -> list[Block]:
    return [
        Block(
            stage.inputs if first else stage.outputs,
            stage.outputs,
            kernel=stage.kernel,
            stride=stage.stride if first else 1,
            expand=stage.expand,
            random=random,
        )
        for first in (n == 0 for n in range(stage.repeats))
    ]
