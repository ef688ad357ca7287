"""Score-CAM and Ablation-CAM: against pytorch-grad-cam, by hand, and by what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import Features, NetworkView
from medplug_standard.explainers.forward_cams import AblationCam, ScoreCam, enlarged, masked_scores

STAGES = {"relu2": "conv2", "relu3": "conv3"}  # the library's layer, and the stage that ends there


def keys(count: int) -> jax.Array:
    """One an image; these methods draw nothing."""
    return jax.random.split(jax.random.key(0), count)


def explain(explainer: Any, classify: Any, images: Any, classes: Any, features: Any = None, **more: Any) -> np.ndarray:
    """Maps of a network whose features are its images, unless others are given."""
    x, c = jnp.asarray(images, jnp.float32), jnp.asarray(classes, jnp.int32)
    network = NetworkView(
        lambda x, stage=None: x if features is None else features(x),
        lambda f, stage=None: classify(f),
        ("only",),
        **more,
    )
    return np.asarray(jax.jit(lambda x, c: explainer(network, x, c, keys(len(x))))(x, c))


def pooled(weights: Any) -> Any:
    """Global average pooling and one linear layer ``[D, K]``."""
    return lambda f: f.mean(tuple(range(1, f.ndim - 1))) @ jnp.asarray(weights, jnp.float32)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def shown(maps: np.ndarray) -> np.ndarray:
    """What the library does to a map: clip at zero, then scale to [0, 1]."""
    maps = np.maximum(maps, 0)
    maps = maps - maps.min((2, 3), keepdims=True)
    return maps / (1e-7 + maps.max((2, 3), keepdims=True))


def corner_to_corner(masks: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """The library's way to enlarge: linear between the first and the last place, which it lays on the outermost pixels."""
    for axis, (after, before) in enumerate(zip(size, masks.shape[1:], strict=True), start=1):
        at = np.linspace(0, before - 1, after)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(before)))
        masks = jnp.moveaxis(jnp.tensordot(masks, jnp.asarray(weights, jnp.float32), (axis, 1)), -1, axis)
    return masks


@pytest.fixture(scope="module")
def theirs() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "cams.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def ours(theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps and scores for the classes of the references."""
    network = reference.reference_view()
    x, c = jnp.asarray(reference.images()), jnp.asarray(theirs["classes"], jnp.int32)

    @jax.jit
    def all_maps(x: jax.Array, c: jax.Array) -> dict[str, jax.Array]:
        found = {"scores": network.scores(network.logits(x), c)}
        for layer, stage in STAGES.items():
            for name, method in (("score_cam", ScoreCam), ("ablation_cam", AblationCam)):
                found[f"{name}/{layer}"] = method(stage=stage)(network, x, c, keys(len(x)))
            channels = network.features(x, stage)
            scores = masked_scores(network, x, c, channels, "logit", corner_to_corner)
            found[f"their masks/{layer}"] = jnp.einsum("btk,bhwk->bthw", jax.nn.softmax(scores), channels)
        return found

    return {name: np.asarray(maps) for name, maps in all_maps(x, c).items()}


# ---------------------------------------------------------------- pytorch-grad-cam


@pytest.mark.parametrize("layer", list(STAGES))
def test_score_cam_is_the_librarys_but_for_how_masks_are_enlarged(ours: Any, theirs: Any, layer: str) -> None:
    """It lays the outermost places on the outermost pixels, which moves a mask by up to half a place from what it shows."""
    expected = theirs[f"score_cam/{layer}"]
    same = ours[f"their masks/{layer}"]
    np.testing.assert_allclose(same, expected, rtol=0, atol=1e-4 * expected.max())
    np.testing.assert_allclose(shown(same), shown(expected), rtol=0, atol=1e-4)
    gap = np.abs(shown(ours[f"score_cam/{layer}"]) - shown(expected)).max()
    assert 1e-4 < gap < 0.01


@pytest.mark.parametrize("layer", list(STAGES))
def test_ablation_cam_is_the_librarys_but_for_negative_scores(ours: Any, theirs: Any, layer: str) -> None:
    """The library, as the paper, turns the map of a negative score around: what speaks for the class counts against it."""
    expected = theirs[f"ablation_cam/{layer}"] * np.sign(ours["scores"])[..., None, None]
    mine = ours[f"ablation_cam/{layer}"]
    assert {-1, 1} == set(np.sign(ours["scores"]).flat)
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(shown(mine), shown(expected), rtol=0, atol=1e-4)


# ---------------------------------------------------------------- Score-CAM


def test_score_cam_by_hand() -> None:
    # Channel 0 is (1, 3): as a mask it shows the second place alone, where class 0 sums to 3 and class 1 to 2.
    # Channel 1 is the same everywhere: it masks all, and both score 0.
    x = [[[[1, 2], [3, 2]]]]
    maps = explain(ScoreCam(), lambda f: f.sum((1, 2)), x, [[0, 1]])
    for target, score in enumerate((3, 2)):
        weight = np.exp(score) / (np.exp(score) + 1)
        np.testing.assert_allclose(
            maps[0, target, 0], [weight + 2 * (1 - weight), 3 * weight + 2 * (1 - weight)], rtol=1e-5
        )


def test_masks_are_linear_between_the_middles_of_the_places() -> None:
    np.testing.assert_allclose(enlarged(jnp.asarray([[0.0, 1.0]]), (4,)), [[0, 0.25, 0.75, 1]])


def test_images_are_seen_through_masks_of_their_own_size() -> None:
    """Features of half the edge: the mask is scaled after it is enlarged, so that it reaches 0 and 1."""
    x = np.abs(drawn(2, 8, 6, 2)) + 1

    def features(x: jax.Array) -> jax.Array:
        return x.reshape(len(x), 4, 2, 3, 2, 2).mean((2, 4))

    def scores(seen: np.ndarray) -> np.ndarray:
        return seen.mean((1, 2)) @ weights

    weights = drawn(2, 3, seed=1)
    f, classes = np.asarray(features(jnp.asarray(x))), np.array([[0, 2], [1, 0]])
    maps = explain(ScoreCam(), pooled(weights), x, classes, features=features)
    masks = np.asarray(jax.image.resize(f, (2, 8, 6, 2), "bilinear"))
    masks = (masks - masks.min((1, 2), keepdims=True)) / np.ptp(masks, axis=(1, 2), keepdims=True)
    each = np.stack([scores(np.asarray(features(jnp.asarray(x * masks[..., k : k + 1])))) for k in range(2)])
    for i, j in np.ndindex(classes.shape):
        w = np.exp(each[:, i, classes[i, j]])
        np.testing.assert_allclose(maps[i, j], f[i] @ (w / w.sum()), rtol=1e-4)


def test_only_the_channels_that_vary_most_are_tried() -> None:
    x = np.abs(drawn(2, 4, 3, 5))
    x[0, ..., 3] *= 9
    x[1, ..., 1] *= 9
    x[:, ..., 2] += 50  # strong everywhere, which tells no places apart
    classes, head = [[0, 1], [1, 0]], pooled(drawn(5, 2, seed=1))
    one = explain(ScoreCam(channels=1), head, x, classes)
    for i, k in enumerate((3, 1)):
        np.testing.assert_allclose(one[i], np.stack([x[i, ..., k]] * 2), rtol=1e-6)
    whole, most = explain(ScoreCam(), head, x, classes), explain(ScoreCam(channels=99), head, x, classes)
    np.testing.assert_array_equal(whole, most)


@pytest.mark.parametrize(("at_once", "largest"), [(2, 2), (4, 4), (64, 14)])
def test_forward_passes_are_chunks_whatever_the_number_of_targets(at_once: int, largest: int) -> None:
    x, sizes = np.abs(drawn(2, 4, 3, 7)), []

    def head(f: jax.Array) -> jax.Array:
        sizes.append(len(f))
        return pooled(drawn(7, 3, seed=1))(f) ** 2

    network = NetworkView(lambda x, stage=None: x, lambda f, stage=None: head(f), ("only",), at_once=at_once)
    for explainer in (ScoreCam(), AblationCam()):
        passes = []
        for classes in ([[1], [2]], [[0, 1, 2], [2, 1, 0]]):
            sizes.clear()
            jax.eval_shape(lambda x, c, e=explainer: e(network, x, c, keys(2)), x, jnp.asarray(classes, jnp.int32))
            passes.append(sorted(sizes))
        assert passes[0] == passes[1]
        assert max(passes[0]) == largest


def test_maps_do_not_depend_on_how_many_variants_go_at_once() -> None:
    x, classes = np.abs(drawn(2, 4, 3, 7)), [[0, 1, 2], [2, 1, 0]]
    for explainer in (ScoreCam(), AblationCam()):
        few, many = (
            explain(explainer, lambda f: pooled(drawn(7, 3, seed=1))(f) ** 2, x, classes, at_once=n) for n in (6, 64)
        )
        np.testing.assert_allclose(few, many, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- Ablation-CAM


def test_ablation_cam_by_hand() -> None:
    # Class 0 multiplies the sums of its two channels, 3 * 4: without either nothing is left, so both weigh 1. Class 1 is
    # the sum of the first less that of the second, -1: without the first -4, without the second 3; weights 3 and -4.
    def head(f: jax.Array) -> jax.Array:
        a, b = f.sum((1, 2)).T
        return jnp.stack([a * b, a - b], 1)

    maps = explain(AblationCam(), head, [[[[1, 4], [2, 0]]]], [[0, 1]])
    np.testing.assert_allclose(maps, [[[[5, 2]], [[3 - 16, 6]]]], rtol=1e-6)


@pytest.mark.parametrize("score", ["logit", "log_odds", "probability"])
def test_a_declared_linear_head_needs_no_passes_and_gives_the_same(score: Any) -> None:
    f, weights = drawn(2, 3, 4, 5), drawn(5, 3, seed=1)
    calls = []

    def head(f: jax.Array) -> jax.Array:
        calls.append(len(f))
        return pooled(weights)(f) + 0.1

    classes = [[0, 2], [1, 1]]
    tried = explain(AblationCam(score=score), head, f, classes)
    assert len(calls) == 2
    calls.clear()
    found = explain(AblationCam(score=score), head, f, classes, linear_head=jnp.asarray(weights))
    assert len(calls) == (1 if score == "logit" else 2)
    np.testing.assert_allclose(found, tried, rtol=1e-3, atol=1e-4)


def test_a_score_of_zero_gives_the_loss_itself() -> None:
    maps = explain(AblationCam(), pooled([[2, 0], [-2, 0]]), [[[[3, 3], [1, 1]]]], [[0, 1]])
    np.testing.assert_allclose(maps, np.zeros((1, 2, 1, 2)), atol=1e-6)  # 4 * a - 4 * b
    maps = explain(AblationCam(), pooled([[2, 0], [-2, 0]]), [[[[3, 1], [1, 3]]]], [[0, 1]])
    np.testing.assert_allclose(maps[0, :, 0], [[8, -8], [0, 0]], atol=1e-5)


def test_a_token_takes_part_in_the_score_only() -> None:
    x = np.abs(drawn(2, 3, 3, 4))

    def head(f: Features) -> jax.Array:  # a product, so that the losses depend on the token
        return f.spatial.mean((1, 2))[:, :2] * f.token + 1

    maps = explain(AblationCam(), head, x, [[0], [1]], features=lambda x: Features(x, x[:, 0, 0, 2:]))
    for i, c in enumerate((0, 1)):
        gain = x[i, ..., c].mean() * x[i, 0, 0, 2 + c]
        np.testing.assert_allclose(maps[i, 0], x[i, ..., c] * gain / (gain + 1), rtol=1e-4)
