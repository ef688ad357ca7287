"""The middle of images; in training, a part at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medplug.plugins import ImageError, ParameterError, Preprocessing, component, param
from medplug_standard.preprocessors.frames import Region, centred, frame, per_axis

if TYPE_CHECKING:
    import jax


@component
class Crop:
    """Cuts out the middle of an image: the network's input size, given edges, or a share of each edge.

    An image that is smaller than what shall be cut out is left out of the data, with that reason; ``padding`` before it
    keeps such images.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> line = np.arange(6, dtype=np.uint8).reshape(1, 6, 1)
        >>> Crop(edges=(1, 4))(line, Preprocessing()).ravel().tolist()
        [1, 2, 3, 4]
        >>> Crop(share=0.5)(np.zeros((100, 60, 3), np.uint8), Preprocessing()).shape
        (50, 30, 3)
    """

    stage = "image"

    edges: tuple[int, ...] | None = param(
        "edges of the part, pixels: one for all axes, or one for each; None: the network's input size",
        default=None,
        ge=1,
    )
    share: float | None = param("the part as a share of each edge, in the place of edges", default=None, gt=0, lt=1)

    examples = ({"edges": (8,)}, {"share": 0.8})

    def __post_init__(self) -> None:
        if self.edges == ():
            raise ParameterError("edges must name at least one edge; None takes the network's input size")
        if self.edges is not None and self.share is not None:
            raise ParameterError("give edges or share, not both")

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to fewer pixels of the same depth.

        Raises:
            ImageError: the image is smaller than the part.
        """
        wanted = self._wanted(pixels.shape, target)
        if any(n < w for n, w in zip(pixels.shape[:-1], wanted, strict=True)):
            shapes = " x ".join(map(str, pixels.shape[:-1])), " x ".join(map(str, wanted))
            raise ImageError(f"has {shapes[0]} pixels, fewer than the {shapes[1]} that shall be cut out")
        return frame(pixels, centred(pixels.shape[:-1], wanted), "constant", 0)

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> Region:
        """Where the result lies in the image."""
        return tuple((float(a), float(b)) for a, b in centred(shape[:-1], self._wanted(shape, target)))

    def _wanted(self, shape: tuple[int, ...], target: Preprocessing) -> tuple[int, ...]:
        if self.share is not None:
            return tuple(max(1, round(n * self.share)) for n in shape[:-1])
        return per_axis((target.size,) if self.edges is None else self.edges, len(shape) - 1)


@component
class RandomCrop:
    """Keeps images larger than the network's input and cuts that out of them: anywhere in training, else in the middle.

    Images are brought to the larger size before (by ``resize``, which takes it from here) and kept so in the cache.

    Example:
        >>> import jax, numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> crop = RandomCrop(margin=0.25)
        >>> crop.input_size(224)
        280
        >>> images = np.arange(10, dtype=np.float32).reshape(1, 1, 10, 1).repeat(10, axis=1)
        >>> crop(images, Preprocessing(size=8))[0, 0, :, 0].tolist()
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        >>> crop(images, Preprocessing(size=8), jax.random.key(0)).shape
        (1, 8, 8, 1)
    """

    stage = "batch"

    margin: float = param(
        "by how much the edge of the kept images is longer, as a share of the input's edge", default=0.125, gt=0, le=1
    )

    def input_size(self, size: int) -> int:
        """The edge of the kept images, at least one pixel longer."""
        return max(size + 1, round(size * (1 + self.margin)))

    def __call__(self, images: jax.Array, target: Preprocessing, key: jax.Array | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` to ``[B, size, …, C]``: each cut at its own place with a key, else in the middle."""
        import jax
        import jax.numpy as jnp

        spatial = images.shape[1:-1]
        size = (target.size,) * len(spatial)
        if key is None:
            middle = tuple(slice(low, high) for low, high in centred(spatial, size))
            return jnp.asarray(images)[(slice(None), *middle)]
        highest = jnp.array([n - w + 1 for n, w in zip(spatial, size, strict=True)])
        starts = jax.random.randint(key, (len(images), len(spatial)), 0, highest)
        shape = (*size, images.shape[-1])
        return jax.vmap(lambda image, start: jax.lax.dynamic_slice(image, (*start, 0), shape))(images, starts)

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> Region:
        """Where the middle lies in the kept image."""
        return tuple((float(a), float(b)) for a, b in centred(shape[:-1], (target.size,) * (len(shape) - 1)))
