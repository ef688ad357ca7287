"""Optimizers that scale each gradient by a running mean of its square."""

from __future__ import annotations

import optax

from medplug.plugins import component, param
from medplug_standard.optimizers.decay import decays

_B1 = "decay of the mean of gradients"
_B2 = "decay of the mean of their squares"
_EPS = "added to the root of the mean square"
_NESTEROV = "look a step ahead"


@component
class Adam:
    """Adam (Kingma & Ba 2015): each gradient's mean over the root of its mean square, both without their bias to zero."""

    b1: float = param(_B1, default=0.9, ge=0, lt=1)
    b2: float = param(_B2, default=0.999, ge=0, lt=1)
    eps: float = param(_EPS, default=1e-8, ge=1e-15, le=1)
    nesterov: bool = param(f"{_NESTEROV} (Dozat 2016)", default=False)

    def __call__(self) -> optax.GradientTransformation:
        """Two float32 moments for each parameter."""
        return optax.adam(1.0, b1=self.b1, b2=self.b2, eps=self.eps, nesterov=self.nesterov)


@component
class AdamW:
    """Adam with decay of the weights apart from the gradient, not on norms and biases (Loshchilov & Hutter 2019)."""

    b1: float = param(_B1, default=0.9, ge=0, lt=1)
    b2: float = param(_B2, default=0.999, ge=0, lt=1)
    eps: float = param(_EPS, default=1e-8, ge=1e-15, le=1)
    weight_decay: float = param("share of a weight that a step at a rate of 1 takes away", default=1e-2, ge=0)
    nesterov: bool = param(f"{_NESTEROV} (Dozat 2016)", default=False)

    def __call__(self) -> optax.GradientTransformation:
        """Two float32 moments for each parameter."""
        return optax.adamw(
            1.0, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=decays,
            nesterov=self.nesterov,
        )  # fmt: skip


@component
class RmsProp:
    """RMSProp (Hinton 2012): the gradient over the root of its mean square, with momentum if wanted."""

    decay: float = param(_B2, default=0.9, ge=0, lt=1)
    eps: float = param("added to the mean square, inside the root", default=1e-8, ge=1e-15, le=1)
    momentum: float = param("share of the last step that is taken again; 0 keeps none", default=0.0, ge=0, lt=1)
    nesterov: bool = param(_NESTEROV, default=False)

    def __call__(self) -> optax.GradientTransformation:
        """One float32 moment for each parameter, a second one with momentum."""
        momentum = self.momentum or None
        return optax.rmsprop(1.0, decay=self.decay, eps=self.eps, momentum=momentum, nesterov=self.nesterov)


@component
class Adafactor:
    """Adafactor (Shazeer & Stern 2018): mean squares of large matrices as a row and a column, which saves memory.

    Steps are relative to the size of the parameters (their root mean square, at least 0.001), so that peak rates of
    0.001 to 0.05 are usual. The decay of weights is scaled by the rate like all else.
    """

    min_dim_size_to_factor: int = param(
        "the two largest edges of an array that is kept as row and column", default=128, ge=2
    )
    decay_rate: float = param("exponent of the decay: 1 - step ^ -decay_rate", default=0.8, gt=0, le=1)
    multiply_by_parameter_scale: bool = param("steps relative to the size of the parameters", default=True)
    clipping_threshold: float = param(
        "largest root mean square of a scaled gradient, per array", default=1.0, ge=0.01, le=100
    )
    weight_decay_rate: float = param("share of a weight that a step at a rate of 1 takes away", default=0.0, ge=0)

    def __call__(self) -> optax.GradientTransformation:
        """A row and a column for each large matrix, one moment for each other parameter, float32."""
        return optax.adafactor(
            1.0, min_dim_size_to_factor=self.min_dim_size_to_factor, decay_rate=self.decay_rate,
            multiply_by_parameter_scale=self.multiply_by_parameter_scale, clipping_threshold=self.clipping_threshold,
            weight_decay_rate=self.weight_decay_rate or None, weight_decay_mask=decays,
        )  # fmt: skip
