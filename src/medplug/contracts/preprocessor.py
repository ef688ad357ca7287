"""The contract of preprocessors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax
    import numpy as np

    from medplug.contracts.architecture import Preprocessing


@runtime_checkable
class Preprocessor(Protocol):
    """Brings images to the form that a network takes. The class attribute ``stage`` says where.

    ``"image"``: on the host, once per image, before it is kept in the cache: an :class:`ImagePreprocessor`.
    ``"batch"``: on the device, compiled with the network, each time that an image is used: a :class:`BatchPreprocessor`.

    A configuration names them in order (``[preprocess] use``), those of images before those of batches. Pixels are
    uint8, uint16 or float32 in [0, 1] before and after each image preprocessor; after the last one they become
    uint8 and are kept. Augmenters and the first batch preprocessor see them as float32 in [0, 1]; the last one delivers
    what the network's weights were trained with. ``target`` says what that is, and which edge is wanted at this place.

    A preprocessor that changes the size of an image or moves its content has ``region`` (below): maps are drawn by
    it. Without ``region`` the content stays where it is; where an image preprocessor without it changes the size, maps
    are drawn on the small image that the network saw.
    """

    stage: Literal["image", "batch"]


class ImagePreprocessor(Protocol):
    """A preprocessor with ``stage = "image"``. Deterministic; called from several threads; never writes into its input."""

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to pixels of any size, with C of 1, 3 or 4.

        Both are uint8 (0..255), uint16 (0..65535) or float32 (0..1), by choice of the preprocessor. Images that it cannot
        take, such as one smaller than what shall be cut out, are refused with an ``ImageError``: they are left
        out of the data, with the reason. After the last one an image must have ``target.size`` pixels along
        each spatial axis and ``target.channels`` channels.
        """
        ...

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> tuple[tuple[float, float], ...]:
        """Where the result for an image of ``shape`` ``(*S, C)`` lies in it: (low, high) per spatial axis.

        In pixels of the image: ``(0, n)`` is all of n pixels, ``(-3, n + 3)`` has 3 pixels of padding at both ends.
        """
        ...


class BatchPreprocessor(Protocol):
    """A preprocessor with ``stage = "batch"``. Pure JAX without Python branches on values; images do not meet."""

    def __call__(self, images: jax.Array, target: Preprocessing, key: jax.Array | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` float32 to the same, or to ``[B, *S', C]`` with ``target.size`` pixels along each axis.

        ``key`` is a typed PRNG key in training, another one at each step, and None everywhere else: without it the
        result is always the same.
        """
        ...

    def input_size(self, size: int) -> int:
        """The edge that images must have so that it can deliver ``size``; without this method it is ``size``."""
        ...

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> tuple[tuple[float, float], ...]:
        """As in an image preprocessor, of the result without a key; ``shape`` is that of one image."""
        ...
