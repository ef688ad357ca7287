"""Checks of explainers, on a model whose every decision is known.

The model has the global average pool and linear head that class activation maps assume. Feature ``d`` is the
mean, over patches of 4 pixels, of the part of channel ``d`` above a threshold; class ``k`` counts feature ``k``.
So class 0 is decided by channel 0, bright in the left half of the images, class 1 by channel 1, bright in the right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from medplug.testing.checks import Case, Check, NotApplicable, check, require

if TYPE_CHECKING:
    from medplug.contracts.explainer import NetworkView

_FLAT, _VOLUME = (24, 32), (8, 12, 16)
_BATCH, _CLASSES, _PATCH, _THRESHOLD = 4, 4, 4, 0.4


def known_model(token: bool = False, activation: Callable[[Any], Any] | None = None) -> NetworkView:
    """The model, with all that a network may declare; with ``token`` its features are a ``Features`` with a class token."""
    import jax
    import jax.numpy as jnp

    from medplug.contracts.architecture import Features
    from medplug.contracts.explainer import NetworkView

    weights = 10 * jnp.eye(6, _CLASSES)  # dead features 4 and 5
    relu = activation or jax.nn.relu

    def features(images: Any, stage: str | None = None) -> Any:
        parts = jnp.concatenate([relu(images - _THRESHOLD), relu(-images - _THRESHOLD)], axis=-1)
        spatial = images.shape[1:-1]
        blocks = [side for n in spatial for side in (n // _PATCH, _PATCH)]
        pooled = parts.reshape(len(images), *blocks, parts.shape[-1]).mean(tuple(range(2, 2 + 2 * len(spatial), 2)))
        return Features(pooled, images.mean((*range(1, images.ndim - 1),))) if token else pooled

    def classify(value: Any, stage: str | None = None) -> Any:
        spatial, extra = (value.spatial, value.token) if isinstance(value, Features) else (value, None)
        logits = spatial.mean(tuple(range(1, spatial.ndim - 1))) @ weights
        return logits if extra is None else logits + 0.01 * extra[:, :1]

    def attention(images: Any) -> Any:
        found = features(images)
        spatial = found.spatial if isinstance(found, Features) else found
        bright = spatial.sum(-1).reshape(len(images), -1)
        bright = jnp.pad(bright, ((0, 0), (int(token), 0)))  # one class token in front, where there is one
        rows = jnp.broadcast_to(jax.nn.softmax(bright)[:, None, :], (len(images), bright.shape[1], bright.shape[1]))
        return jnp.stack([rows] * 2, axis=1)[:, :, None]

    return NetworkView(
        features,
        classify,
        stages=("only",),
        linear_head=None if token else weights,
        attention=attention,
        with_activations=lambda rule: known_model(token, rule(relu)),
    )


def _images(spatial: tuple[int, ...] = _FLAT, seed: int = 1) -> np.ndarray:
    """Channel 0 is bright in the left half of the last axis, channel 1 in the right; the rest is faint noise."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(-0.3, 0.3, (_BATCH, *spatial, 3)).astype(np.float32)
    half = spatial[-1] // 2
    bright = rng.uniform(0.8, 1.2, (_BATCH, *spatial, 2)).astype(np.float32)
    images[..., :half, 0] = bright[..., :half, 0]
    images[..., half:, 1] = bright[..., half:, 1]
    return images


def _shapes(case: Case, model: NetworkView, spatial: tuple[int, ...], targets: int) -> Any:
    """The result's shape and dtype, with images and classes traced; nothing is computed."""
    import jax
    import jax.numpy as jnp

    images = jax.ShapeDtypeStruct((_BATCH, *spatial, 3), jnp.float32)
    classes = jax.ShapeDtypeStruct((_BATCH, targets), jnp.int32)
    out = jax.eval_shape(lambda x, c, k: case.obj(model, x, c, k), images, classes, _keys())
    shape = getattr(out, "shape", ())
    fits = len(shape) == 2 + len(spatial) and shape[:2] == (_BATCH, targets)
    asked = f"[{_BATCH}, {targets}, {', '.join('*' * len(spatial))}]"
    require(fits, f"images {list(images.shape)} and {targets} classes each gave {out}, not {asked}")
    require(out.dtype == jnp.float32, f"the maps are {out.dtype}, not float32")
    return out


def _keys() -> Any:
    import jax

    return jax.random.split(jax.random.key(0), _BATCH)


def _explain(case: Case, images: np.ndarray, classes: list[list[int]]) -> np.ndarray:
    import jax

    explain = case.once("compiled", lambda: jax.jit(lambda x, c, k: case.obj(known_model(), x, c, k)))
    return np.asarray(explain(images, np.asarray(classes, np.int32), _keys()))


@check("return maps [B, T, *s] float32, one for each image and each of its classes")
def shape_and_dtype(case: Case) -> None:
    """Maps are float32 ``[B, T, *s]``, with images and classes traced."""
    for targets in (1, 3):
        _shapes(case, known_model(), _FLAT, targets)


@check("treat the axes between the first and the last as space, however many there are")
def volumes_work(case: Case) -> None:
    """Features with three spatial axes give maps with three."""
    _shapes(case, known_model(), _VOLUME, 2)


@check("where features are a Features, look at .spatial and hand .token on to classify")
def features_with_a_token_work(case: Case) -> None:
    """Features with a part that has no place in the image are taken."""
    _shapes(case, known_model(token=True), _FLAT, 2)


@check("let classes be traced: take_along_axis or one_hot, no Python loop over their values, no int(...)")
def classes_may_be_traced(case: Case) -> None:
    """The compiled explainer gives what it gives without compilation."""
    import jax.numpy as jnp

    images, classes = _images(), [[0, 1], [1, 0], [0, 1], [1, 0]]
    compiled = _explain(case, images, classes)
    require(np.isfinite(compiled).all(), "the maps are not finite")
    eager = case.obj(known_model(), jnp.asarray(images), jnp.asarray(classes, jnp.int32), _keys())
    scale = max(float(np.abs(compiled).max()), 1e-9)
    gap = float(np.abs(compiled - np.asarray(eager)).max()) / scale
    require(gap < 1e-3, f"jit and eager differ by {gap:.1%} of the largest value")


@check("raw, signed maps: positive where the image speaks for the class asked for, not for another one", semantic=True)
def finds_what_decides(case: Case) -> None:
    """On the known model the maps show the half of the image that decides the class asked for."""
    if not getattr(case.obj, "class_specific", True):
        raise NotApplicable("its maps do not depend on the class")
    classes = [[0, 1], [1, 0], [0, 1], [1, 0]]
    maps = _explain(case, _images(), classes)
    half = maps.shape[-1] // 2
    require(half > 0, f"maps of {maps.shape[-1]} columns cannot tell left from right")
    for row, targets in enumerate(classes):
        for place, target in enumerate(targets):
            one = maps[row, place]
            left, right = float(one[..., :half].mean()), float(one[..., -half:].mean())
            here, there = (left, right) if target == 0 else (right, left)
            if getattr(case.obj, "against", False):
                here, there = -here, -there
            side = "left" if target == 0 else "right"
            needed = 0.1 * float(one.max() - one.min())
            shown = f"mean {here:.3g} there and {there:.3g} in the other half"
            require(
                here > there and here - there > needed,
                f"class {target} is decided by the {side} half; the map has {shown}",
            )


@check("compute each map from its own image: no scaling by the batch, no mixing")
def images_independent(case: Case) -> None:
    """A map is the same whatever the other images and their classes are."""
    images, others = _images(), 3 * _images(seed=2)
    others[0] = images[0]
    first = _explain(case, images, [[0, 1]] * _BATCH)[0]
    second = _explain(case, others, [[0, 1], *[[2, 3]] * (_BATCH - 1)])[0]
    gap = float(np.abs(first - second).max())
    require(
        gap <= 1e-4 * max(float(np.abs(first).max()), 1e-9),
        f"a map changes by {gap:g} with the other images of the batch",
    )


CHECKS: tuple[Check, ...] = (
    shape_and_dtype,
    volumes_work,
    features_with_a_token_work,
    classes_may_be_traced,
    finds_what_decides,
    images_independent,
)
