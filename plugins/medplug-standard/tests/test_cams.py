"""Class activation maps by gradients, and Eigen-CAM: against pytorch-grad-cam, by hand, and by what must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import explainer_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.plugins import Features, NetworkView
from medplug_standard.explainers.cams import EigenCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from medplug_standard.explainers.grad_cam import GradCam
from medplug_standard.explainers.halves import gradient_maps, in_chunks

STAGES = {"relu2": "conv2", "relu3": "conv3"}  # the library's layer, and the stage that ends there
METHODS = {
    "grad_cam": GradCam(),
    "hires_cam": HiResCam(),
    "xgrad_cam": XGradCam(),
    "layer_cam": LayerCam(),
    "eigen_cam": EigenCam(centred=True),  # the library centres, the paper does not
    "grad_cam_plus_plus": GradCamPlusPlus(),
}
LIBRARYS_EPSILON = 1e-6


def keys(count: int) -> jax.Array:
    """One an image; these methods draw nothing."""
    return jax.random.split(jax.random.key(0), count)


def explain(explainer: Any, classify: Any, features: Any, classes: Any, **declared: Any) -> np.ndarray:
    """Maps of a network whose features are its images."""
    return explain_all((explainer,), classify, features, classes, **declared)[0]


def explain_all(explainers: Any, classify: Any, features: Any, classes: Any, **declared: Any) -> list[np.ndarray]:
    """The same with several explainers, compiled as one."""
    x, c = jnp.asarray(features, jnp.float32), jnp.asarray(classes, jnp.int32)
    network = NetworkView(lambda x, stage: x, lambda f, stage: classify(f), ("only",), **declared)
    return [np.asarray(m) for m in jax.jit(lambda x, c: [e(network, x, c, keys(len(x))) for e in explainers])(x, c)]


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


def with_epsilon(features: jax.Array, gradient: jax.Array, epsilon: float) -> jax.Array:
    """Grad-CAM++ as its paper writes it down (equations 7 and 19), with what the library adds to the denominator."""
    below = 2 * gradient**2 + features.sum(1, keepdims=True) * gradient**3 + epsilon
    alpha = jnp.where(gradient != 0, gradient**2 / below, 0)
    return (features * (alpha * jax.nn.relu(gradient)).sum(1, keepdims=True)).sum(2)


@pytest.fixture(scope="module")
def theirs() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "cams.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def ours(theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps of all methods for the classes of the references, and those of Grad-CAM++ with the library's epsilon."""
    network = reference.reference_view()
    x, c = jnp.asarray(reference.images()), jnp.asarray(theirs["classes"], jnp.int32)

    @jax.jit
    def all_maps(x: jax.Array, c: jax.Array) -> dict[str, jax.Array]:
        found = {}
        for layer, stage in STAGES.items():
            for name, method in METHODS.items():
                options = {"centred": True} if name == "eigen_cam" else {}
                found[f"{name}/{layer}"] = type(method)(stage=stage, **options)(network, x, c, keys(len(x)))
            for kind, epsilon in (("their", LIBRARYS_EPSILON), ("no", 0)):
                found[f"{kind} epsilon/{layer}"] = gradient_maps(
                    network, x, c, stage, "logit", lambda f, g, e=epsilon: with_epsilon(f, g, e)
                )
        return found

    return {name: np.asarray(maps) for name, maps in all_maps(x, c).items()}


# ---------------------------------------------------------------- pytorch-grad-cam


@pytest.mark.parametrize("layer", list(STAGES))
@pytest.mark.parametrize("name", [name for name in METHODS if name != "grad_cam_plus_plus"])
def test_maps_are_those_of_pytorch_grad_cam(ours: Any, theirs: Any, name: str, layer: str) -> None:
    mine, expected = ours[f"{name}/{layer}"], theirs[f"{name}/{layer}"]
    if name == "eigen_cam":
        np.testing.assert_array_equal(mine[:, 0], mine[:, 1])
        mine = mine[:, :1]
        # The library leaves the sign to chance.
        expected = expected * np.sign((mine * expected).sum((2, 3), keepdims=True))
    np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(shown(mine), shown(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("layer", list(STAGES))
def test_grad_cam_plus_plus_is_the_librarys_but_for_its_epsilon(ours: Any, theirs: Any, layer: str) -> None:
    """The library adds 1e-6 to squared gradients, here of about 1e-6 themselves; the paper adds nothing."""
    expected = theirs[f"grad_cam_plus_plus/{layer}"]
    np.testing.assert_allclose(shown(ours[f"their epsilon/{layer}"]), shown(expected), rtol=0, atol=1e-4)
    mine = ours[f"grad_cam_plus_plus/{layer}"]
    np.testing.assert_allclose(mine, ours[f"no epsilon/{layer}"], rtol=0, atol=1e-4 * mine.max())
    assert 0.01 < np.abs(shown(mine) - shown(expected)).max() < 0.2


def test_a_picture_is_the_librarys(ours: Any, theirs: Any) -> None:
    """What it hands out: clipped, scaled, enlarged to the image, scaled again."""
    enlarged = jax.image.resize(shown(ours["grad_cam/relu2"]), (4, 2, 32, 32), "linear")
    np.testing.assert_allclose(shown(np.asarray(enlarged)), theirs["picture"], rtol=0, atol=1e-4)


# ---------------------------------------------------------------- Grad-CAM++


def test_grad_cam_plus_plus_by_hand() -> None:
    # Class 0 scores 3 mean(a) - mean(b): gradients 3/2 and -1/2. Channel a sums to 3: 1 / (2 + 3 * 3/2) = 2/13 at each of
    # two places, so its weight is 2 * 2/13 * 3/2 = 6/13. Class 1 scores 2 mean(b): gradient 1, sum 4, 1/6, weight 1/3.
    f = [[[[1, 4], [2, 0]]]]
    maps = explain(GradCamPlusPlus(), pooled([[3, 0], [-1, 2]]), f, [[0, 1]])
    np.testing.assert_allclose(maps, [[[[6 / 13, 12 / 13]], [[4 / 3, 0]]]], rtol=1e-6)


def test_the_closed_form_has_the_second_and_third_derivatives_of_the_exponentiated_score() -> None:
    first, second = drawn(8, 6, seed=1), drawn(6, seed=2) / 2
    a = np.abs(drawn(2, 2, 2, seed=3))

    def score(flat: jax.Array) -> jax.Array:
        return jax.nn.relu(flat @ first) @ second

    def risen(flat: jax.Array) -> jax.Array:
        return jnp.exp(score(flat))

    @jax.jit
    def derivatives(flat: jax.Array) -> tuple[jax.Array, ...]:
        one = jax.grad(risen)
        two = jax.jacfwd(one)
        return one(flat), jnp.diagonal(two(flat)), jnp.einsum("iii->i", jax.jacfwd(two)(flat))

    flat = jnp.asarray(a.reshape(-1))
    slope, two, three = derivatives(flat)
    sums = np.tile(a.sum((0, 1)), 4)  # places come before channels
    alpha = two / (2 * two + sums * three)
    weights = np.asarray(alpha * jax.nn.relu(slope)).reshape(4, 2).sum(0)
    maps = explain(GradCamPlusPlus(), lambda f: score(f.reshape(1, -1)[0])[None, None], a[None], [[0]])
    np.testing.assert_allclose(np.exp(score(flat)) * maps[0, 0], a @ weights, rtol=1e-4)


def test_a_denominator_of_zero_gives_no_weight() -> None:
    # The gradient is 1/2 at both places, and the channel sums to -4: 2 - 4 / 2 = 0.
    maps = explain(GradCamPlusPlus(), pooled([[1]]), [[[[-5], [1]]]], [[0]])
    np.testing.assert_array_equal(maps, np.zeros((1, 1, 1, 2)))


# ---------------------------------------------------------------- HiResCAM, XGrad-CAM, LayerCAM


def corner(f: jax.Array) -> jax.Array:
    """Class 0 is decided by the first place of channel 0, class 1 by its negative."""
    return jnp.stack([f[:, 0, 0, 0], -f[:, 0, 0, 0]], 1)


def test_one_place_decides() -> None:
    f = np.zeros((1, 1, 3, 2), np.float32)
    f[0, 0, :, 0], f[0, 0, :, 1] = [1, 3, 4], [5, 6, 7]
    expected = {
        HiResCam(): [[1, 0, 0], [-1, 0, 0]],  # the place itself
        XGradCam(): [[1 / 8, 3 / 8, 4 / 8], [-1 / 8, -3 / 8, -4 / 8]],  # it has 1/8 of its channel
        LayerCam(): [[1, 0, 0], [0, 0, 0]],  # nothing has a positive gradient for class 1
    }
    for (explainer, rows), maps in zip(expected.items(), explain_all(expected, corner, f, [[0, 1]]), strict=True):
        np.testing.assert_allclose(maps[0, :, 0], rows, rtol=1e-6, err_msg=type(explainer).__name__)


def test_hires_cam_is_grad_cam_for_a_pooled_linear_head() -> None:
    f, weights, classes = drawn(2, 3, 4, 5), drawn(5, 3, seed=1), [[0, 2], [1, 1]]
    found, expected = explain_all((HiResCam(), GradCam()), pooled(weights), f, classes)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_maps_sum_to_the_score_less_its_constant_where_the_head_is_linear() -> None:
    f, weights, constant = np.abs(drawn(2, 3, 4, 5)), drawn(60, 3, seed=1), np.float32([4, 5, 6])

    def head(f: jax.Array) -> jax.Array:
        return f.reshape(len(f), -1) @ weights + constant

    classes = np.array([[0, 2], [1, 0]])
    expected = np.take_along_axis(np.asarray(head(f) - constant), classes, 1)
    for maps in explain_all((HiResCam(), XGradCam()), head, f, classes):
        np.testing.assert_allclose(maps.sum((2, 3)), expected, rtol=1e-4, atol=1e-4)


def test_a_channel_that_sums_to_nothing_has_no_weight() -> None:
    f = np.zeros((1, 1, 4, 3), np.float32)
    f[0, 0, :, 0], f[0, 0, :, 1] = [0.1, 0.2, -0.3, 0], [1, 0, 0, 0]  # and a channel of zeros
    maps = explain(XGradCam(), pooled(np.ones((3, 1))), f, [[0]])
    np.testing.assert_allclose(maps[0, 0, 0], [1 / 4, 0, 0, 0], rtol=1e-6)


def test_a_token_takes_part_in_the_score_only() -> None:
    """A token that counts twice is a head that counts twice."""
    f, weights, token = np.abs(drawn(2, 3, 3, 4)), drawn(4, 3, seed=1), np.float32([[2], [0.5]])
    explainers = (GradCamPlusPlus(), HiResCam(), XGradCam(), LayerCam())
    classes = jnp.asarray([[0, 1], [2, 0]], jnp.int32)

    def head(f: Features) -> jax.Array:
        return pooled(weights)(f.spatial) * f.token

    network = NetworkView(lambda x, stage: Features(x, jnp.asarray(token)), lambda f, stage: head(f), ("only",))
    found = jax.jit(lambda x: [e(network, x, classes, keys(2)) for e in explainers])(f)
    for maps, expected in zip(
        found, explain_all(explainers, lambda f: pooled(weights)(f) * token, f, classes), strict=True
    ):
        np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-6)


def test_maps_do_not_depend_on_how_many_targets_go_at_once() -> None:
    f, weights = np.abs(drawn(2, 3, 3, 4)), drawn(4, 5, seed=1)
    classes = [[0, 1, 2, 3, 4], [4, 4, 0, 2, 1]]
    few, many = (explain(LayerCam(), pooled(weights), f, classes, at_once=n) for n in (4, 64))
    np.testing.assert_allclose(few, many, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- Eigen-CAM


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shape", [(4, 5, 30), (3, 4, 5, 6)])  # fewer places than channels, and more
def test_eigen_cam_is_the_first_component(shape: tuple[int, ...], centred: bool) -> None:
    f = np.maximum(drawn(3, *shape), 0)
    found = explain(EigenCam(centred=centred), pooled(np.ones((shape[-1], 2))), f, [[0, 1, 1]] * 3)
    assert found.shape == (3, 3, *shape[:-1])
    for i in range(3):
        matrix = f[i].reshape(-1, shape[-1]).astype(np.float64)
        left, lengths, _ = np.linalg.svd(matrix - matrix.mean(0) * centred, full_matrices=False)
        expected = left[:, 0] * lengths[0]
        expected *= np.sign(expected @ np.linalg.norm(matrix, axis=1))
        for j in range(3):
            np.testing.assert_allclose(found[i, j].reshape(-1), expected, rtol=0, atol=1e-5 * lengths[0])
    assert centred or found.min() >= 0


def test_eigen_cam_by_hand() -> None:
    # Both channels are multiples of (1, 3, -2): the axis is (3, 4) / 5, and the map 5 times that pattern. The strongest
    # features are those of the second place, so the sign is the one that makes it positive.
    pattern = np.array([1, 3, -2], np.float32)
    f = np.stack([3 * pattern, 4 * pattern], 1)[None, None]
    for sign in (1, -1):
        found = explain(EigenCam(), pooled(np.ones((2, 1))), sign * f, [[0]])
        np.testing.assert_allclose(found[0, 0, 0], 5 * pattern, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 2), (2, 1, 4)])  # more places than channels, and fewer
def test_features_that_are_the_same_everywhere_give_a_flat_map(shape: tuple[int, ...]) -> None:
    f = np.stack([np.zeros(shape), np.full(shape, 2)])
    plain, centred = explain_all((EigenCam(), EigenCam(centred=True)), pooled(np.ones((shape[-1], 1))), f, [[0]] * 2)
    np.testing.assert_allclose(plain[:, 0], np.linalg.norm(f, axis=-1), rtol=1e-5)
    np.testing.assert_array_equal(centred, np.zeros((2, 1, *shape[:2])))


# ---------------------------------------------------------------- chunks


@pytest.mark.parametrize(
    ("count", "at_once", "sizes"), [(7, 3, {3}), (7, 6, {4}), (7, 7, {7}), (5, 64, {5}), (3, 0, {1})]
)
def test_chunks_are_alike_and_no_larger_than_asked(count: int, at_once: int, sizes: set[int]) -> None:
    seen = set()

    def function(numbers: jax.Array) -> jax.Array:
        seen.add(len(numbers))
        return jnp.stack([numbers, numbers**2], 1)

    found = in_chunks(function, count, at_once)
    np.testing.assert_array_equal(found, [[n, n * n] for n in range(count)])
    assert seen == sizes
