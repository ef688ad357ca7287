"""Checks of mixers. All numbers go through one compiled function of one shape per instance."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.testing.checks import Case, Check, CheckError, check, require

_B, _K = 8, 3
_SHAPE = (_B, 12, 10, 3)
_KEYS = 8


def _images(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(_SHAPE, np.float32)


def _one_hot() -> np.ndarray:
    """``[8, 3]``: neighbours are of different classes."""
    return np.eye(_K, dtype=np.float32)[np.arange(_B) % _K]


def _keys() -> list[Any]:
    import jax

    return [jax.random.key(seed) for seed in range(_KEYS)]


def _mix(case: Case, key: Any, images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import jax

    # a function of its own: jax would share one trace among instances that call themselves equal
    mix = case.once("compiled", lambda: jax.jit(lambda k, x, t: case.obj(k, x, t)))  # noqa: PLW0108
    mixed = tuple(np.asarray(x) for x in mix(key, images, targets))
    if [x.shape for x in mixed] != [images.shape, targets.shape]:
        raise CheckError(
            f"images {list(images.shape)} and targets {list(targets.shape)} became {[x.shape for x in mixed]}"
        )
    return mixed[0], mixed[1]


@check("return (images, targets) in the shapes and dtypes in which they came; count no channels and no classes")
def shape_and_dtype(case: Case) -> None:
    """Shapes and dtypes stay, for grey and colour, one image and several, one label and several."""
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    for shape, k in (((3, 12, 16, 1), 2),) if case.drawn else ((_SHAPE, _K), ((1, 9, 9, 1), 2), ((5, 8, 10, 3), 1)):
        given = [jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((shape[0], k), jnp.float32)]
        mixed = jax.eval_shape(case.obj, key, *given)
        require(isinstance(mixed, tuple) and len(mixed) == 2, f"got {type(mixed).__name__}, not (images, targets)")
        for what, before, after in zip(("images", "targets"), given, mixed, strict=True):
            same = getattr(after, "shape", None) == before.shape and after.dtype == before.dtype
            require(same, f"{what} {list(before.shape)} float32 became {after}")


@check("write for any number of spatial axes, or raise a ValueError that says how many are taken", semantic=True)
def volumes_work_or_are_refused(case: Case) -> None:
    """Three spatial axes keep their shape, or are refused with a ``ValueError``."""
    import jax
    import jax.numpy as jnp

    shape = (2, 6, 8, 8, 1)
    given = [jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((2, _K), jnp.float32)]
    try:
        mixed, _ = jax.eval_shape(case.obj, jax.random.key(0), *given)
    except ValueError:
        return
    require(getattr(mixed, "shape", None) == shape, f"volumes {list(shape)} became {mixed}")


@check("mix in shares that are not negative and add up to 1; keep divisions away from 0")
def stays_in_range(case: Case) -> None:
    """Images stay finite and within [0, 1]; rows of one-hot targets still sum to 1, none of them negative."""
    for key in _keys():
        images, targets = _mix(case, key, _images(), _one_hot())
        for what, values in (("images in [0, 1]", images), ("targets", targets)):
            require(np.isfinite(values).all(), f"{what} became values that are not finite")
            low, high = float(values.min()), float(values.max())
            require(low >= -1e-5 and high <= 1 + 1e-5, f"{what} became values from {low:g} to {high:g}")
        gap = float(np.abs(targets.sum(1) - 1).max())
        require(gap < 1e-5, f"a row of one-hot targets sums to 1 {'+' if gap > 0 else ''}/- {gap:g} after mixing")


@check("mix targets with the same partners and shares as the images")
def targets_follow_images(case: Case) -> None:
    """With black images of one class and white ones of the other, a target changes exactly where its image does."""
    white = (np.arange(_B) % 2).astype(np.float32)
    images = np.broadcast_to(white.reshape(-1, 1, 1, 1), _SHAPE).copy()
    given = np.stack([1 - white, white, 0 * white], 1)
    for key in _keys():
        mixed, targets = _mix(case, key, images, given)
        seen, told = np.abs(mixed - images).max((1, 2, 3)), np.abs(targets - given).max(1)
        for row in range(_B):
            require(
                seen[row] < 1e-3 or told[row] > 0, "an image was mixed with one of another class, its target was not"
            )
            require(
                told[row] < 1e-3 or seen[row] > 0, "a target was mixed with that of another class, its image was not"
            )


@check("multiply by a share only where it is above 0 (jnp.where): 0 times NaN is NaN; never replace NaN by a number")
def unknown_labels_stay_unknown(case: Case) -> None:
    """A mixed target is NaN where an unknown label has a share in it, and nowhere else; images do not change with it."""
    unknown = np.random.default_rng(3).random((_B, _K)) < 0.3
    unknown[0] = True
    zero = np.zeros((_B, _K), np.float32)
    for key in _keys():
        images, targets = _mix(case, key, _images(), np.where(unknown, np.float32(np.nan), zero))
        share = _mix(case, key, _images(), unknown.astype(np.float32))[1]
        same = _mix(case, key, _images(), zero)
        require(np.array_equal(images, same[0]), "an unknown label changes the images")
        lost, made = np.isnan(targets) & (share == 0), ~np.isnan(targets) & (share > 0)
        require(not lost.any(), "a label is unknown, though no unknown label has a share in it")
        require(not made.any(), f"a label is known, though an unknown one has a share of {share[made][:1]} in it")


@check("take all randomness from key with jax.random; no np.random, no state, no Python's if on values")
def the_key_decides(case: Case) -> None:
    """The same key gives the same batch, compiled or not."""
    import jax.numpy as jnp

    key = _keys()[0]
    images, targets = _mix(case, key, _images(), _one_hot())
    for _ in range(2):
        eager = case.obj(key, jnp.asarray(_images()), jnp.asarray(_one_hot()))
        moved = float((np.abs(np.asarray(eager[0]) - images) > 1e-3).mean())
        require(moved < 0.01, f"two calls with the same key differ in {moved:.0%} of the pixels")
        require(np.allclose(eager[1], targets, atol=0.01), "two calls with the same key gave different targets")


@check("use the key: draw partners or shares from it", semantic=True)
def the_key_has_an_effect(case: Case) -> None:
    """Different keys give different batches."""
    mixed = [_mix(case, key, _images(), _one_hot())[0] for key in _keys()]
    same = all(np.array_equal(mixed[0], one) for one in mixed[1:])
    require(not same, f"{_KEYS} different keys gave the same images")


CHECKS: tuple[Check, ...] = (
    shape_and_dtype,
    volumes_work_or_are_refused,
    stays_in_range,
    targets_follow_images,
    unknown_labels_stay_unknown,
    the_key_decides,
    the_key_has_an_effect,
)
