"""Optimizers that follow a running mean of the gradient: plain, by its sign, or in lengths relative to the weights."""

from __future__ import annotations

import optax

from medplug.plugins import ParameterError, component, param
from medplug_standard.optimizers.decay import decays

_DECAY = "share of a weight that a step at a rate of 1 takes away"


@component
class Sgd:
    """Stochastic gradient descent with momentum (Sutskever et al. 2013); peak rates near 0.01 are usual."""

    momentum: float = param("share of the last step that is taken again; 0 keeps none", default=0.9, ge=0, lt=1)
    nesterov: bool = param("look a step ahead (Nesterov's momentum)", default=False)

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ParameterError("nesterov=true needs a momentum above 0")

    def __call__(self) -> optax.GradientTransformation:
        """One float32 trace for each parameter, none without momentum."""
        return optax.sgd(1.0, momentum=self.momentum or None, nesterov=self.nesterov)


@component
class Lion:
    """Lion (Chen et al. 2023): steps along the sign of the mean gradient.

    All steps are equally long, so that rates are 3 to 10 times smaller than Adam's, and the decay as much larger.
    """

    b1: float = param("share of the mean in the sign that is followed", default=0.9, ge=0, lt=1)
    b2: float = param("decay of the mean of gradients", default=0.99, ge=0, lt=1)
    weight_decay: float = param(_DECAY, default=1e-3, ge=0)

    def __call__(self) -> optax.GradientTransformation:
        """One float32 moment for each parameter."""
        return optax.lion(1.0, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay, mask=decays)


@component
class Lamb:
    """LAMB (You et al. 2020): Adam's step, in each array as long as its weights; for large batches."""

    b1: float = param("decay of the mean of gradients", default=0.9, ge=0, lt=1)
    b2: float = param("decay of the mean of their squares", default=0.999, ge=0, lt=1)
    eps: float = param("added to the root of the mean square", default=1e-6, ge=1e-15, le=1)
    weight_decay: float = param(_DECAY, default=1e-2, ge=0)

    def __call__(self) -> optax.GradientTransformation:
        """Two float32 moments for each parameter."""
        return optax.lamb(1.0, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=decays)
