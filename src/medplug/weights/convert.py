"""Arrays of other frameworks in the layout of Flax: what every architecture with foreign weights needs."""

from __future__ import annotations

import numpy as np


def conv_from_torch(kernel: np.ndarray) -> np.ndarray:
    """A convolution ``[O, I, *S]`` as ``[*S, I, O]``; depthwise ones (``[C, 1, *S]`` to ``[*S, 1, C]``) alike."""
    if kernel.ndim < 3:
        raise ValueError(f"a convolution of PyTorch has at least 3 axes, got shape {kernel.shape}")
    return np.ascontiguousarray(np.moveaxis(kernel, (0, 1), (-1, -2)))


def dense_from_torch(kernel: np.ndarray) -> np.ndarray:
    """A linear layer ``[out, in]`` as ``[in, out]``."""
    if kernel.ndim != 2:
        raise ValueError(f"a linear layer of PyTorch has 2 axes, got shape {kernel.shape}")
    return np.ascontiguousarray(kernel.T)


def depthwise_from_keras(kernel: np.ndarray) -> np.ndarray:
    """A depthwise convolution ``[*S, C, M]`` (M outputs per channel) as ``[*S, 1, C * M]``, a grouped convolution."""
    if kernel.ndim < 3:
        raise ValueError(f"a depthwise convolution of Keras has at least 3 axes, got shape {kernel.shape}")
    return np.ascontiguousarray(kernel.reshape(*kernel.shape[:-2], 1, -1))


def fit_stem(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A first convolution ``[*S, I, O]`` for images of another number of channels: ``[*S, channels, O]``.

    With fewer channels, surplus weights are added to those of channel ``i % channels`` (one channel: the sum of
    all); with more, the weights are repeated cyclically and shared out evenly among their copies. So the sum over
    the input channels stays what it was, and an image of equal channels gives the response of before.
    """
    if channels < 1:
        raise ValueError(f"channels must be at least 1, got {channels}")
    inputs = kernel.shape[-2]
    if channels == inputs:
        return kernel
    fitted = np.zeros((*kernel.shape[:-2], channels, kernel.shape[-1]), kernel.dtype)
    if channels < inputs:
        for i in range(inputs):
            fitted[..., i % channels, :] += kernel[..., i, :]
        return fitted
    for i in range(channels):
        copies = len(range(i % inputs, channels, inputs))
        fitted[..., i, :] = kernel[..., i % inputs, :] / copies
    return fitted
