"""Checks of augmenters. All numbers go through one compiled function of one shape per instance."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.testing.checks import Case, Check, CheckError, check, require

_SHAPE = (8, 16, 12, 3)
_KEYS = 8


def _images(seed: int = 1, shape: tuple[int, ...] = _SHAPE) -> np.ndarray:
    """Smooth images in [0, 1] that touch both ends."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape[1:-1]), indexing="ij")
    waves = rng.uniform(1, 4, (shape[0], shape[-1], len(axes)))
    phase = sum(
        waves[..., i].reshape(shape[0], *(1 for _ in axes), shape[-1]) * axis[None, ..., None]
        for i, axis in enumerate(axes)
    )
    return (0.5 + 0.5 * np.sin(2 * np.pi * (phase + rng.random((shape[0], *(1 for _ in axes), shape[-1]))))).astype(
        np.float32
    )


def _keys() -> list[Any]:
    import jax

    return [jax.random.key(seed) for seed in range(_KEYS)]


def _apply(case: Case, key: Any, images: np.ndarray) -> np.ndarray:
    import jax

    # a function of its own: jax would share one trace among instances that call themselves equal
    augment = case.once("compiled", lambda: jax.jit(lambda k, x: case.obj(k, x)))  # noqa: PLW0108
    out = np.asarray(augment(key, images))
    if out.shape != images.shape:
        raise CheckError(f"images {list(images.shape)} became {list(out.shape)}")
    return out


def _eager(case: Case, again: bool = False) -> np.ndarray:
    """The images without compilation, for the first key; computed once unless ``again``."""
    import jax.numpy as jnp

    def compute() -> np.ndarray:
        return np.asarray(case.obj(_keys()[0], jnp.asarray(_images())))

    return compute() if again else case.once("eager", compute)


@check("return images of the same shape and float32; turn non-square images only by 180 degrees; count no channels")
def shape_and_dtype(case: Case) -> None:
    """Shape and dtype stay, for grey and colour, square and not, one image and several."""
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    for shape in ((3, 12, 16, 1),) if case.drawn else (_SHAPE, (1, 9, 9, 1), (3, 12, 16, 1), (2, 10, 10, 3)):
        out = jax.eval_shape(case.obj, key, jax.ShapeDtypeStruct(shape, jnp.float32))
        require(getattr(out, "shape", None) == shape, f"images {list(shape)} became {out}")
        require(out.dtype == jnp.float32, f"float32 images {list(shape)} became {out.dtype}")


@check("write for any number of spatial axes, or raise a ValueError that says how many are taken", semantic=True)
def volumes_work_or_are_refused(case: Case) -> None:
    """Three spatial axes keep their shape, or are refused with a ``ValueError``."""
    import jax
    import jax.numpy as jnp

    shape = (2, 6, 8, 8, 1)
    try:
        out = jax.eval_shape(case.obj, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    except ValueError:
        return
    require(getattr(out, "shape", None) == shape, f"volumes {list(shape)} became {out}")


@check("clip to [0, 1] at the end; keep square roots and logarithms away from 0")
def stays_in_range(case: Case) -> None:
    """Values stay finite and within [0, 1], also of black and white images."""
    black, white = np.zeros(_SHAPE, np.float32), np.ones(_SHAPE, np.float32)
    for name, images in (("smooth images", _images()), ("black images", black), ("white images", white)):
        for key in _keys():
            out = _apply(case, key, images)
            require(np.isfinite(out).all(), f"{name} gave values that are not finite")
            low, high = float(out.min()), float(out.max())
            require(low >= -1e-5 and high <= 1 + 1e-5, f"{name} in [0, 1] gave values from {low:g} to {high:g}")


@check("take all randomness from key with jax.random; no np.random, no random module, no state", semantic=True)
def the_key_decides(case: Case) -> None:
    """The same key gives the same images."""
    first, second = _eager(case), _eager(case, again=True)
    require(np.array_equal(first, second), "two calls with the same key gave different images")


@check("use the key: jax.random.split(key, B), then one draw per image", semantic=True)
def the_key_has_an_effect(case: Case) -> None:
    """Different keys give different images."""
    images = _images()
    outs = [_apply(case, key, images) for key in _keys()]
    same = all(np.array_equal(outs[0], out) for out in outs[1:])
    require(not same, f"{_KEYS} different keys gave the same images")


@check("draw for each image apart: jax.random.split(key, B), or draws of shape (B,)", semantic=True)
def images_of_a_batch_differ(case: Case) -> None:
    """Copies of one image in a batch are changed in different ways."""
    images = np.repeat(_images()[:1], _SHAPE[0], axis=0)
    for key in _keys():
        out = _apply(case, key, images)
        if np.abs(out - out[:1]).max() > 1e-4:
            return
    raise CheckError(f"{_SHAPE[0]} copies of one image were changed in the same way, for each of {_KEYS} keys")


@check("compute each image from itself alone: no mixing, no statistics over the batch")
def images_independent(case: Case) -> None:
    """An image is changed in the same way whatever the other images are."""
    images, others = _images(), _images(seed=2)
    others[0] = images[0]
    for key in _keys()[:4]:
        gap = float(np.abs(_apply(case, key, images)[0] - _apply(case, key, others)[0]).max())
        require(gap < 1e-5, f"an image changes by {gap:g} with the other images of the batch")


@check("use jax.numpy only, and jnp.where instead of Python's if")
def compiled_equals_eager(case: Case) -> None:
    """The compiled augmenter gives what it gives without compilation."""
    gap = np.abs(_apply(case, _keys()[0], _images()) - _eager(case))
    share = float((gap > 1e-3).mean())  # rounding may move single pixels across a border
    require(share < 0.01, f"jit and eager differ in {share:.0%} of the values")


CHECKS: tuple[Check, ...] = (
    shape_and_dtype,
    volumes_work_or_are_refused,
    stays_in_range,
    the_key_decides,
    the_key_has_an_effect,
    images_of_a_batch_differ,
    images_independent,
    compiled_equals_eager,
)
