"""Checks of preprocessors: one documented range of values before and after each, and nothing moves without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from medplug.contracts.architecture import Preprocessing
from medplug.contracts.preprocessor import BatchPreprocessor, ImagePreprocessor
from medplug.data.preprocess import STAGES
from medplug.errors import MedplugError
from medplug.pixels import full_scale, to_channels
from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require
from medplug.testing.common import protocol_problems

_EDGE = 24
_SHAPES = ((40, 56, 3), (40, 56, 1), (56, 40, 4), (30, 40, 36, 1))
_DEPTHS = (np.uint8, np.uint16, np.float32)
_LEVELS = 2.5  # of 255: so far may images of another depth be from each other
_THREADS = 4
_PLACES = ((0.5, 0.5), (0.35, 0.6), (0.62, 0.4))  # of the bright spots, as shares of the edges
_HALF = 2  # pixels: half of a spot's edge


def _target(channels: int) -> Preprocessing:
    return Preprocessing(_EDGE, channels, (0.4,) * channels, (0.2,) * channels)


def _picture(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    """Smooth blobs with some noise that touch black and white; read-only, as a memory map is."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape[:-1]), indexing="ij")
    waves = np.sum([np.sin(2 * np.pi * (rng.uniform(0.5, 2) * axis + rng.random())) for axis in axes], axis=0)
    values = waves[..., None] + rng.normal(0, 0.2, shape)
    values = (values - values.min()) / np.ptp(values)
    levels = np.round(values * 255)
    pixels = (levels * (full_scale(dtype) / 255)).astype(dtype)
    pixels.flags.writeable = False
    return pixels


def _only(case: Case, stage: str) -> None:
    if case.obj.stage != stage:
        raise NotApplicable(f"it is a preprocessor of {'batches' if stage == 'image' else 'single images'}")


def _channels(shape: tuple[int, ...]) -> int:
    return min(shape[-1], 3)


def _accepted(case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and what became of them; those that are refused are passed over, but not all may be."""
    some = False
    for shape in _SHAPES:
        for dtype in _DEPTHS:
            pixels = _picture(shape, dtype)
            try:
                result = case.obj(pixels, _target(_channels(shape)))
            except MedplugError:
                continue
            some = True
            yield pixels, result
    require(some, f"every image was refused; tried were {', '.join(map(str, _SHAPES))} of each depth")


def _shown(pixels: Any) -> str:
    return f"{getattr(pixels, 'dtype', type(pixels).__name__)} {list(getattr(pixels, 'shape', ()))}"


# ---------------------------------------------------------------- both stages


@check("set the class attribute stage (without annotation) to 'image' or 'batch'", cheap=True)
def has_a_stage(case: Case) -> None:
    """``stage`` is one of the two."""
    require(case.obj.stage in STAGES, f"stage is {case.obj.stage!r}")


@check("`medplug plugins show preprocessor` prints the methods and their arguments; names and order count", cheap=True)
def keeps_the_protocol(case: Case) -> None:
    """The methods are those of the stage, with its names of arguments in its order; only ``__call__`` is needed."""
    protocol: Any = ImagePreprocessor if case.obj.stage == "image" else BatchPreprocessor
    absent = [n for n in ("region", "input_size") if not hasattr(case.obj, n)]
    found = protocol_problems(case.obj, protocol)
    found = [f for f in found if not any(f == f"the method {name!r} is missing" for name in absent)]
    require(not found, "; ".join(found))


# ---------------------------------------------------------------- single images


@check(
    "give uint8, uint16 or float32 in [0, 1], [*S, C] with C of 1, 3 or 4; medplug.plugins.of_depth clips and rounds"
)
def gives_pixels(case: Case) -> None:
    """Results are pixels as readers give them, of each depth, grey and colour, image and volume."""
    _only(case, "image")
    for pixels, result in _accepted(case):
        good = isinstance(result, np.ndarray) and result.dtype in _DEPTHS and result.ndim == pixels.ndim
        require(good and result.shape[-1] in (1, 3, 4) and result.size, f"{_shown(pixels)} became {_shown(result)}")
        if result.dtype == np.float32:
            low, high = float(result.min()), float(result.max())
            require(low >= -1e-5 and high <= 1 + 1e-5, f"{_shown(pixels)} became values from {low:g} to {high:g}")


@check("copy before you change: pixels may belong to somebody else, or be read-only")
def leaves_its_input(case: Case) -> None:
    """The array that it was given is as before; read-only arrays are taken."""
    _only(case, "image")
    for pixels, result in _accepted(case):
        require(np.array_equal(pixels, _picture(pixels.shape, pixels.dtype)), f"its input {_shown(pixels)} was changed")
        before = pixels.copy()
        own = case.obj(before, _target(_channels(pixels.shape)))
        require(np.array_equal(before, pixels), f"its input {_shown(pixels)} was changed")
        require(np.array_equal(own, result), f"a read-only copy of {_shown(pixels)} became something else")


@check("no randomness and no state: the cache keeps what the first call gave")
def always_the_same(case: Case) -> None:
    """The same image gives the same result, from several threads too."""
    _only(case, "image")
    found = list(_accepted(case))
    with ThreadPoolExecutor(_THREADS) as pool:
        again = list(pool.map(lambda pair: case.obj(pair[0], _target(_channels(pair[0].shape))), 2 * found))
    for (pixels, first), second in zip(2 * found, again, strict=True):
        require(np.array_equal(first, second), f"two calls with the same {_shown(pixels)} gave different results")


@check("scale thresholds and constants with medplug.plugins.full_scale(pixels.dtype)", semantic=True)
def depths_agree(case: Case) -> None:
    """An image of 8 bits, of 16 bits and in floats gives the same picture."""
    _only(case, "image")
    first: dict[tuple[int, ...], np.ndarray] = {}
    for pixels, result in _accepted(case):
        levels = result.astype(np.float64) * (255 / full_scale(result.dtype))
        other = first.setdefault(pixels.shape, levels)
        require(levels.shape == other.shape, f"the size of the result depends on the depth: {_shown(pixels)}")
        gap = np.abs(levels - other).max()
        require(gap <= _LEVELS, f"{_shown(pixels)} gives values {gap:.1f} of 255 away from those of 8 bits")


# ---------------------------------------------------------------- batches


def _batch(edge: int, channels: int, spatial: int = 2, seed: int = 0, count: int = 4) -> np.ndarray:
    images = [_picture((*(edge,) * spatial, channels), np.float32, 10 * seed + i) for i in range(count)]
    return np.stack(images)


def _given(case: Case) -> int:
    return case.obj.input_size(_EDGE) if hasattr(case.obj, "input_size") else _EDGE


def _compiled(case: Case) -> Callable[..., Any]:
    import jax

    return case.once("compiled", lambda: jax.jit(lambda x, target, key: case.obj(x, target, key), static_argnums=1))  # noqa: PLW0108


def _fitting(case: Case) -> tuple[int, Preprocessing]:
    """A number of channels that is not refused, three if possible, and a target with it."""
    import jax
    import jax.numpy as jnp

    for channels in (3, 1):
        shape = jax.ShapeDtypeStruct((2, _given(case), _given(case), channels), jnp.float32)
        try:
            jax.eval_shape(lambda x, c=channels: case.obj(x, _target(c)), shape)
        except MedplugError:
            continue
        return channels, _target(channels)
    raise CheckError("images with 1 and with 3 channels were refused")


@check("return float32 with as many images and axes; [B, size, …, C], where size is that of target")
def shape_and_dtype(case: Case) -> None:
    """Results are float32 and have the edge that is wanted, with and without a key, images and volumes."""
    _only(case, "batch")
    import jax
    import jax.numpy as jnp

    edge, (channels, target) = _given(case), _fitting(case)
    require(isinstance(edge, int) and edge >= _EDGE, f"input_size({_EDGE}) is {edge!r}")
    for spatial in (2,) if case.drawn else (2, 3):
        given = jax.ShapeDtypeStruct((2, *(edge,) * spatial, channels), jnp.float32)
        wanted = (2, *(_EDGE,) * spatial)
        for key in (None, jax.random.key(0)):
            out = jax.eval_shape(lambda x, k=key: case.obj(x, target, k), given)
            shape, dtype = getattr(out, "shape", None), getattr(out, "dtype", None)
            require(shape is not None and shape[:-1] == wanted, f"{list(given.shape)} became {shape}")
            require(dtype == jnp.float32, f"float32 images became {dtype}")


@check("keep divisions and logarithms away from 0")
def stays_finite(case: Case) -> None:
    """Black, white and usual images give finite numbers."""
    _only(case, "batch")
    import jax

    channels, target = _fitting(case)
    usual = _batch(_given(case), channels)
    for name, images in (("usual", usual), ("black", np.zeros_like(usual)), ("white", np.ones_like(usual))):
        for key in (None, jax.random.key(0)):
            out = np.asarray(_compiled(case)(images, target, key))
            require(np.isfinite(out).all(), f"{name} images gave values that are not finite")


@check("take all randomness from key; without a key do what is right for evaluation")
def the_key_decides(case: Case) -> None:
    """Without a key, and with the same key, the result is always the same."""
    _only(case, "batch")
    import jax

    channels, target = _fitting(case)
    images = _batch(_given(case), channels)
    for key in (None, jax.random.key(1)):
        first, second = (np.asarray(case.obj(images, target, key)) for _ in range(2))
        require(
            np.array_equal(first, second), f"two calls {'without a' if key is None else 'with the same'} key differ"
        )


@check("compute each image from itself alone: statistics over the axes of an image, not over the batch")
def images_independent(case: Case) -> None:
    """What becomes of an image does not depend on the others of its batch."""
    _only(case, "batch")
    import jax

    channels, target = _fitting(case)
    images, others = _batch(_given(case), channels), _batch(_given(case), channels, seed=1)
    others[0] = images[0]
    for key in (None, jax.random.key(2)):
        one, two = (np.asarray(_compiled(case)(x, target, key))[0] for x in (images, others))
        gap = float(np.abs(one - two).max())
        require(gap <= 1e-4 * max(1.0, float(np.abs(one).max())), f"an image changes by {gap:g} with the others")


@check("use jax.numpy only, and jnp.where instead of Python's if")
def compiled_equals_eager(case: Case) -> None:
    """The compiled preprocessor gives what it gives without compilation."""
    _only(case, "batch")
    channels, target = _fitting(case)
    images = _batch(_given(case), channels)
    compiled, eager = np.asarray(_compiled(case)(images, target, None)), np.asarray(case.obj(images, target))
    scale = max(1.0, float(np.abs(eager).max()))
    share = float((np.abs(compiled - eager) > 1e-3 * scale).mean())  # rounding may move single pixels
    require(share < 0.01, f"jit and eager differ in {share:.0%} of the values")


# ---------------------------------------------------------------- where things are


@check("write region(shape, target): (low, high) per spatial axis of where the result lies in the image", semantic=True)
def region_is_true(case: Case) -> None:
    """A bright spot is where ``region`` says; without ``region`` it stays where it is, and batches keep their size."""
    batch = case.obj.stage == "batch"
    channels = _fitting(case)[0] if batch else 3
    shape = (*(_given(case),) * 2, channels) if batch else _SHAPES[0]
    if batch and shape[0] != _EDGE:
        require(hasattr(case.obj, "region"), "it changes the size of images but has no region")
    if not batch and not hasattr(case.obj, "region"):
        result = case.obj(_spot(shape, (0.5, 0.5))[0], _target(channels))
        if result.shape[:2] != shape[:2]:
            raise NotApplicable("it changes the size without a region: maps are drawn on the network's small image")
    region = case.obj.region(shape, _target(channels)) if hasattr(case.obj, "region") else [(0, n) for n in shape[:2]]
    whole = [spot for spot in (_spot(shape, place) for place in _PLACES) if _inside(spot[1], region)]
    if not whole:
        raise NotApplicable(f"no spot lies within {region} of {list(shape)}")
    for image, centre in whole:
        values = _result_of(case, image, channels)
        found = _centre(values)
        for axis in (0, 1):
            low, high = region[axis]
            back = low + found[axis] * (high - low) / values.shape[axis]
            tolerance = 1 + (high - low) / values.shape[axis]
            require(
                abs(back - centre[axis]) <= tolerance,
                f"a spot at pixel {centre[axis]:.1f} of axis {axis} of {list(shape)} is found at {back:.1f} by region {region}",
            )


def _inside(centre: tuple[float, ...], region: Any) -> bool:
    return all(low <= c - _HALF and c + _HALF <= high for c, (low, high) in zip(centre, region, strict=True))


def _spot(shape: tuple[int, ...], place: tuple[float, float]) -> tuple[np.ndarray, tuple[float, ...]]:
    """A grey image with a white square, and the middle of the square in pixels."""
    image = np.full(shape, 80, np.uint8)
    corner = [int(p * n) for p, n in zip(place, shape[:2], strict=True)]
    image[corner[0] : corner[0] + 2 * _HALF, corner[1] : corner[1] + 2 * _HALF] = 255
    return image, tuple(float(c + _HALF) for c in corner)


def _result_of(case: Case, image: np.ndarray, channels: int) -> np.ndarray:
    """``[h, w]``: the result's first channel."""
    if case.obj.stage == "image":
        return to_channels(case.obj(image, _target(channels)), 1)[..., 0].astype(np.float64)
    return np.asarray(_compiled(case)(image[None].astype(np.float32) / 255, _target(channels), None))[0, ..., 0]


def _centre(values: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(values >= (float(values.max()) + float(np.median(values))) / 2)
    return float(rows.mean()) + 0.5, float(columns.mean()) + 0.5


CHECKS: tuple[Check, ...] = (
    has_a_stage,
    keeps_the_protocol,
    gives_pixels,
    leaves_its_input,
    always_the_same,
    depths_agree,
    shape_and_dtype,
    stays_finite,
    the_key_decides,
    images_independent,
    compiled_equals_eager,
    region_is_true,
)
