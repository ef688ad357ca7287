"""To the values that a network's weights were trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from medplug.plugins import ParameterError, Preprocessing, component, param

if TYPE_CHECKING:
    import jax

_SMOOTH = 1e-6 / 255  # added to a standard deviation or range of 0..1, so that images of one colour stay finite
_LEAST = 1e-6  # a smaller range is rounding
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE = (103.939, 116.779, 123.68)  # of blue, green, red


@component
class Standardize:
    """Brings images from [0, 1] to the values that a network's weights were trained with.

    ================  ====================================================================================
    ``architecture``  what the network's architecture states; the right choice wherever weights are loaded
    ``z_score``       (x - mean) / (standard deviation + 1e-6), x in 0..255, both of the image itself
    ``minmax``        (x - min) / (max - min + 1e-6): each image fills 0..1
    ``grayscale``     ``minmax`` times 255, rounded: each image fills 0..255 in whole levels
    ``tf``            x / 127.5 - 1: from -1 to 1
    ``torch``         (x / 255 - mean) / std with ImageNet's mean and std of red, green and blue
    ``caffe``         x less ImageNet's means, in the order blue, green, red; not scaled
    ================  ====================================================================================

    The last three are Keras' ``imagenet_utils.preprocess_input``. Of an image of one colour, ``z_score``, ``minmax`` and
    ``grayscale`` make zeros. What does not fit the architecture's weights ends a run before it trains.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> levels = np.array([0, 0.5, 1], np.float32).reshape(1, 1, 3, 1)
        >>> target = Preprocessing(channels=1, mean=(0.5,), std=(0.25,))
        >>> np.asarray(Standardize()(levels, target)).ravel().tolist()
        [-2.0, 0.0, 2.0]
        >>> np.asarray(Standardize(mode="tf")(levels, target)).ravel().tolist()
        [-1.0, 0.0, 1.0]
    """

    stage = "batch"

    mode: Literal["architecture", "z_score", "minmax", "grayscale", "tf", "torch", "caffe"] = param(
        "the values; `medplug plugins show standardize` says what each mode is", default="architecture"
    )
    per_channel: bool = param("z_score, minmax and grayscale treat each channel for itself", default=False)

    examples = ({}, {"mode": "z_score"}, {"mode": "minmax", "per_channel": True}, {"mode": "tf"}, {"mode": "grayscale"})

    def __post_init__(self) -> None:
        if self.per_channel and self.mode not in ("z_score", "minmax", "grayscale"):
            raise ParameterError(f"per_channel has no meaning in the mode {self.mode}")

    def __call__(self, images: jax.Array, target: Preprocessing, key: jax.Array | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` float32 in [0, 1] to the same shape.

        Raises:
            ParameterError: the mode has statistics of three channels and the images have another number.
        """
        if self.mode == "architecture":
            return target.standardise(images)
        if self.mode == "tf":
            return 2 * images - 1
        if self.mode in ("torch", "caffe"):
            if images.shape[-1] != 3:
                raise ParameterError(
                    f"the mode {self.mode} has statistics of three channels, and the network takes {images.shape[-1]}; "
                    "use the mode architecture"
                )
            if self.mode == "torch":
                return (images - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
            return images[..., ::-1] * 255 - np.array(_CAFFE, np.float32)
        return self._of_image(images)

    def _of_image(self, x: jax.Array) -> jax.Array:
        """By statistics of each image or channel; these do not depend on the unit, so that values stay in 0..1."""
        import jax.numpy as jnp

        x = jnp.asarray(x)
        axes = tuple(range(1, x.ndim - 1 if self.per_channel else x.ndim))
        if self.mode == "z_score":
            # Less the first pixel: else the rounding of the mean would be the contrast of an image of one colour.
            x = x - x[(slice(None), *(slice(1),) * len(axes))]
            return (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + _SMOOTH)
        low, high = x.min(axes, keepdims=True), x.max(axes, keepdims=True)
        scaled = jnp.where(high - low > _LEAST, (x - low) / (high - low + _SMOOTH), 0)
        return jnp.round(scaled * 255) if self.mode == "grayscale" else scaled
