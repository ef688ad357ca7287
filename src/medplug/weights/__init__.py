"""Weights that come from elsewhere: files of other frameworks, read without them."""

from __future__ import annotations

from medplug.weights.convert import conv_from_torch, dense_from_torch, depthwise_from_keras, fit_stem
from medplug.weights.files import WeightsFile, read_weights

__all__ = [
    "WeightsFile",
    "conv_from_torch",
    "dense_from_torch",
    "depthwise_from_keras",
    "fit_stem",
    "read_weights",
]
