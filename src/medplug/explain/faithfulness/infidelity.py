"""Does a map foretell changes of the score, and does it stay where the image hardly changes?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from medplug.explain.faithfulness.curves import BLUR, blurred
from medplug.explain.faithfulness.inputs import Seeds, checked, checked_maps, generators
from medplug.explain.faithfulness.scoring import ScoreFunction, score_variants

_SMALLEST, _LARGEST = 0.1, 0.4  # edges of the patches, as shares of the image's


def infidelity(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    samples: int = 50,
    seed: Seeds = 0,
    blur: float = BLUR,
) -> np.ndarray:
    """How badly a map foretells what patches do to the score: ``[N]`` float64, in squared units of it. Low is good.

    ``mean((b s - d)^2)`` over random patches, with s the sum of the map inside, d the drop of the score when the patch
    is replaced by the blurred image, and the scale ``b = mean(s d) / mean(s^2)`` that fits best (one number an image),
    so that maps of any unit compare. Patches have edges between a tenth and four tenths of the image's, the same share
    along each axis. A map of zeros, or whose sums are all zero, foretells nothing and gets ``mean(d^2)``, the worst
    there is. The patches of a seed are the same for every map. The cost: ``samples + 1`` scores an image.

    Reference: Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations" (square removal, with optimal
    scaling).
    """
    images, maps, classes = checked(images, maps, classes)
    patches = [_patches(draws, maps.shape[1:], samples) for draws in generators(seed, len(maps))]
    return _infidelity(score, images, maps, classes, patches, (blurred(image[None], blur)[0] for image in images))


def max_sensitivity(
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    radius: float = 0.02,
    samples: int = 10,
    seed: Seeds = 0,
) -> np.ndarray:
    """The largest change of a map in slightly changed images, as a share of its norm: ``[N]`` float64. Low is good.

    ``max |explain(x + e) - map| / |map|`` over uniform noise e within ``radius`` in every pixel and channel. A map that
    never changes is not faithful for it. NaN where the map is zero throughout. The cost: ``samples`` maps an image.

    Args:
        explain: (images ``[N, *S, C]``, classes ``[N]``) to maps ``[N, *s]``, as ``maps`` were made; a method that
            draws has to draw the same again.
        images: ``[N, *S, C]``, standardised.
        maps: ``[N, *s]``, of the images as they are; of any size.
        classes: ``[N]`` int.
        radius: in units of standardised images, where 1 is about a standard deviation.
        samples: changed images, each.
        seed: decides the noise.

    Reference: Yeh et al. 2019, as above.
    """
    images = np.asarray(images, np.float32)
    streams = generators(seed, len(images))
    noise = (
        np.stack([draws.uniform(-radius, radius, images.shape[1:]) for draws in streams]).astype(np.float32)
        for _ in range(samples)
    )
    return _max_sensitivity(explain, images, checked_maps(maps), np.asarray(classes, np.int32), noise)


def _max_sensitivity(
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    noise: Iterable[np.ndarray],
) -> np.ndarray:
    """With the noise of each sample, ``[N, *S, C]``."""
    largest = np.zeros(len(maps))
    for added in noise:
        changed = checked_maps(explain(images + added, classes))
        largest = np.maximum(largest, _norm(changed - maps))
    own = _norm(maps)
    return np.divide(largest, own, out=np.full(len(maps), np.nan), where=own > 0)


def _infidelity(
    score: ScoreFunction,
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    patches: Sequence[np.ndarray],
    instead: Iterable[np.ndarray],
) -> np.ndarray:
    """With the patches of each image, bool ``[V, *S]``, and what takes their place, ``[*S, C]``."""

    def variants() -> Iterator[np.ndarray]:
        for image, inside, other in zip(images, patches, instead, strict=True):
            yield np.concatenate([image[None], np.where(inside[..., None], other, image)])

    scores = score_variants(score, variants(), classes)
    drops = scores[:, :1] - scores[:, 1:]
    pairs = zip(patches, maps, strict=True)
    sums = np.stack([inside.reshape(len(inside), -1) @ values.reshape(-1) for inside, values in pairs])
    square = (sums**2).mean(1, keepdims=True)
    scale = np.divide((sums * drops).mean(1, keepdims=True), square, out=np.zeros_like(square), where=square > 0)
    return ((scale * sums - drops) ** 2).mean(1)


def _patches(draws: np.random.Generator, shape: tuple[int, ...], count: int) -> np.ndarray:
    """``[count, *S]`` bool: boxes that lie wholly inside, anywhere with equal chance."""
    edges = np.array(shape)
    size = np.maximum(1, np.round(draws.uniform(_SMALLEST, _LARGEST, (count, 1)) * edges)).astype(np.int64)
    first = np.floor(draws.random(size.shape) * (edges - size + 1)).astype(np.int64)
    inside = np.ones((count, *shape), bool)
    for axis, edge in enumerate(shape):
        at = np.arange(edge)
        along = (at >= first[:, axis, None]) & (at < (first + size)[:, axis, None])
        inside &= along.reshape(count, *(-1 if a == axis else 1 for a in range(len(shape))))
    return inside


def _norm(maps: np.ndarray) -> np.ndarray:
    return np.sqrt((maps.reshape(len(maps), -1) ** 2).sum(1))
