"""Conversions, checked by what the layers compute: a convolution written out as loops in each framework's layout."""

from __future__ import annotations

import numpy as np
import pytest

from medplug.weights import conv_from_torch, dense_from_torch, depthwise_from_keras, fit_stem

RNG = np.random.default_rng(0)


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Flax' layout: image ``[H, W, C]``, kernel ``[h, w, I, O]``, groups of I channels, no padding."""
    h, w, i, o = kernel.shape
    groups = image.shape[2] // i
    out = np.zeros((image.shape[0] - h + 1, image.shape[1] - w + 1, o))
    for y, x in np.ndindex(*out.shape[:2]):
        for k in range(o):
            first = k // (o // groups) * i
            out[y, x, k] = np.sum(image[y : y + h, x : x + w, first : first + i] * kernel[..., k])
    return out


def test_conv_from_torch() -> None:
    kernel, image = RNG.normal(size=(4, 3, 2, 5)), RNG.normal(size=(3, 6, 7))
    expected = np.zeros((4, 5, 3))
    for o, y, x in np.ndindex(*expected.shape):
        expected[o, y, x] = np.sum(image[:, y : y + 2, x : x + 5] * kernel[o])
    got = convolve(image.transpose(1, 2, 0), conv_from_torch(kernel))
    np.testing.assert_allclose(got, expected.transpose(1, 2, 0))


def test_conv_from_torch_depthwise_and_3d() -> None:
    assert conv_from_torch(np.zeros((8, 1, 3, 5))).shape == (3, 5, 1, 8)
    volume = RNG.normal(size=(2, 3, 4, 5, 6))
    assert conv_from_torch(volume)[1, 2, 3, 0, 1] == volume[1, 0, 1, 2, 3]


def test_dense_from_torch() -> None:
    weight, x = RNG.normal(size=(2, 5)), RNG.normal(size=5)
    np.testing.assert_allclose(x @ dense_from_torch(weight), weight @ x)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_from_keras(multiplier: int) -> None:
    kernel, image = RNG.normal(size=(3, 2, 4, multiplier)), RNG.normal(size=(5, 5, 4))
    expected = np.zeros((3, 4, 4 * multiplier))
    for y, x, c, m in np.ndindex(3, 4, 4, multiplier):
        # Keras puts the outputs of a channel side by side
        expected[y, x, c * multiplier + m] = np.sum(image[y : y + 3, x : x + 2, c] * kernel[:, :, c, m])
    np.testing.assert_allclose(convolve(image, depthwise_from_keras(kernel)), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7])
def test_fit_stem_keeps_the_response_to_equal_channels(channels: int) -> None:
    kernel, grey = RNG.normal(size=(3, 3, 3, 8)), RNG.normal(size=(6, 6, 1))
    fitted = fit_stem(kernel, channels)
    assert fitted.shape == (3, 3, channels, 8)
    expected = convolve(np.repeat(grey, 3, 2), kernel)
    np.testing.assert_allclose(convolve(np.repeat(grey, channels, 2), fitted), expected, atol=1e-12)


def test_fit_stem_by_hand() -> None:
    kernel = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    assert fit_stem(kernel, 1).ravel().tolist() == [7]
    assert fit_stem(kernel, 2).ravel().tolist() == [5, 2]
    assert fit_stem(kernel, 3) is kernel
    assert fit_stem(kernel, 4).ravel().tolist() == [0.5, 2, 4, 0.5]


def test_wrong_shapes() -> None:
    for convert in (conv_from_torch, depthwise_from_keras):
        with pytest.raises(ValueError, match=r"at least 3 axes, got shape \(2, 2\)"):
            convert(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"2 axes, got shape \(2,\)"):
        dense_from_torch(np.zeros(2))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        fit_stem(np.zeros((1, 1, 3, 1)), 0)
