"""The network: sizes, names, stages, modes, and agreement with a plain form of itself."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from densenet_reference import Plain
from flax import nnx

from medplug_densenet.convert import entries
from medplug_densenet.network import DenseNet
from medplug_densenet.plan import DENSENET121, DENSENET169, DENSENET201, Plan

TINY = Plan(blocks=(1, 2, 1, 1), growth=4, stem=8)
GOLDEN = Path(__file__).parent / "state_paths.json"


def tiny(classes: int = 3, **options: object) -> DenseNet:
    return DenseNet(classes, plan=TINY, rngs=nnx.Rngs(0), **options)


def images(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def flat(module: nnx.Module, *filters: object) -> dict[str, jax.Array]:
    return by_path(nnx.state(module, *filters))


def scramble(net: DenseNet) -> DenseNet:
    """Norms that do something: random scales, biases and running statistics."""
    rng = np.random.default_rng(3)
    for path, variable in nnx.to_flat_state(nnx.state(net)):
        if path[-1] in ("scale", "var"):
            variable[...] = jnp.asarray(rng.uniform(0.5, 1.5, variable[...].shape), jnp.float32)
        elif path[-1] in ("bias", "mean"):
            variable[...] = jnp.asarray(0.2 * rng.standard_normal(variable[...].shape), jnp.float32)
    return net


@jax.jit
def forward(net: DenseNet, x: jax.Array) -> jax.Array:
    return net(x)


@partial(jax.jit, static_argnums=2)
def tap(net: DenseNet, x: jax.Array, stage: str | None = None) -> tuple[jax.Array, jax.Array]:
    features = net.features(x, stage)
    return features, net.classify(features, stage=stage)


@jax.jit
def moved_statistics(net: DenseNet, x: jax.Array) -> nnx.State:
    net(x)
    return nnx.state(net, nnx.BatchStat)


@jax.jit
def plain_forward(weights: dict[str, jax.Array], x: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    return Plain(weights, TINY.blocks, train=False, epsilon=epsilon)(x)


def by_path(state: nnx.State) -> dict[str, jax.Array]:
    return {"/".join(path): variable[...] for path, variable in nnx.to_flat_state(state)}


# ---------------------------------------------------------------- sizes and names


@pytest.mark.parametrize(
    ("plan", "parameters"), [(DENSENET121, 7_978_856), (DENSENET169, 14_149_480), (DENSENET201, 20_013_928)]
)
def test_parameter_counts_are_the_published_ones(plan: Plan, parameters: int) -> None:
    net = DenseNet(1000, plan=plan, rngs=nnx.Rngs(0))
    counted = {path: array.shape for path, array in flat(net, nnx.Param).items()}
    assert sum(int(np.prod(shape)) for shape in counted.values()) == parameters
    assert {e.path: e.shape for e in entries(plan, 3, 1000)} == {k: v.shape for k, v in flat(net).items()}


def test_parameters_of_another_head() -> None:
    net = DenseNet(7, plan=DENSENET121, rngs=nnx.Rngs(0))
    assert sum(array.size for array in flat(net, nnx.Param).values()) == 6_953_856 + 1025 * 7


def test_state_paths_are_the_golden_ones() -> None:
    """Checkpoints and weights files are addressed by these; a change of them breaks what users have."""
    net = DenseNet(1000, plan=DENSENET121, rngs=nnx.Rngs(0))
    assert {path: list(array.shape) for path, array in flat(net).items()} == json.loads(GOLDEN.read_text())


def test_the_head_of_the_paper() -> None:
    net = DenseNet(8, plan=DENSENET121, hidden=512, dropout=0.3, rngs=nnx.Rngs(0))
    head = {path: array.size for path, array in flat(net, nnx.Param).items() if path.startswith("head/")}
    assert sum(head.values()) == 528_904
    assert set(head) == {f"head/{layer}/{part}" for layer in ("hidden", "output") for part in ("kernel", "bias")}


# ---------------------------------------------------------------- initial weights


def test_initial_weights_follow_the_seed() -> None:
    one, same = flat(tiny()), flat(tiny())
    other = flat(DenseNet(3, plan=TINY, rngs=nnx.Rngs(1)))
    assert all(np.array_equal(one[path], same[path]) for path in one)
    assert all(not np.array_equal(one[path], other[path]) for path in one if path.endswith("kernel"))


def test_initial_weights_have_the_published_spread() -> None:
    weights = flat(DenseNet(1000, plan=DENSENET121, rngs=nnx.Rngs(0)))
    kernel = weights["block4/layer16/conv1/kernel"]
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / 992), rel=0.01)
    head, limit = weights["head/output/kernel"], np.sqrt(6 / 2024)
    assert np.abs(head).max() <= limit
    assert np.std(head) == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert not np.any(weights["head/output/bias"])


def test_building_inside_jit_is_refused() -> None:
    with pytest.raises(TypeError, match="outside of jit"):
        nnx.eval_shape(lambda: DenseNet(3, plan=TINY, rngs=nnx.Rngs(0)))


# ---------------------------------------------------------------- shapes, stages, modes


@pytest.mark.parametrize(
    ("shape", "grid"), [((1, 32, 32, 3), (1, 1)), ((2, 33, 70, 1), (1, 2)), ((1, 96, 47, 4), (3, 1))]
)
def test_any_size_and_channel_count(shape: tuple, grid: tuple) -> None:
    net = scramble(tiny(channels=shape[-1]))
    net.eval()
    x = images(*shape)
    assert jax.eval_shape(net.features, x).shape == (shape[0], *grid, TINY.features)
    np.testing.assert_allclose(forward(net, x), plain_forward(flat(net), x), rtol=1e-4, atol=1e-5)


@jax.jit
def tap_all(net: DenseNet, x: jax.Array) -> dict[str, tuple[jax.Array, jax.Array]]:
    return {stage: tap(net, x, stage) for stage in net.stages}


def test_every_stage_can_be_tapped() -> None:
    net = scramble(tiny())
    net.eval()
    x = images(2, 64, 64, 3)
    assert net.stages[:4] == ("stem", "block1", "transition1", "block2")
    assert net.stages[4:] == ("transition2", "block3", "transition3", "block4", "final")
    tapped = tap_all(net, x)
    for _, logits in tapped.values():
        np.testing.assert_allclose(logits, forward(net, x), rtol=1e-5, atol=1e-6)
    assert [tapped[stage][0].shape[1] for stage in net.stages] == [16, 16, 8, 8, 4, 4, 2, 2, 2]
    np.testing.assert_allclose(tap(net, x)[0], tapped["final"][0], rtol=1e-6)


def test_tapping_agrees_in_training_too() -> None:
    """A tapped block hands no batch statistics on: they are computed anew, and equal."""
    net = tiny()
    x = images(4, 64, 64, 3)
    np.testing.assert_allclose(tap(net, x, "block2")[1], forward(net, x), rtol=1e-4, atol=1e-5)


def test_rows_are_independent_in_evaluation() -> None:
    net = scramble(tiny())
    net.eval()
    x = images(4, 32, 32, 3)
    changed = x.at[1:].set(100.0)
    np.testing.assert_allclose(forward(net, changed)[0], forward(net, x)[0], rtol=1e-5)


def moved(net: DenseNet) -> set[str]:
    """Paths of the running statistics that one pass changes."""
    before, after = flat(net, nnx.BatchStat), by_path(moved_statistics(net, images(4, 32, 32, 3)))
    return {path for path, array in after.items() if not np.array_equal(array, before[path])}


def test_only_training_moves_the_running_statistics() -> None:
    net = tiny()
    net.eval()
    assert moved(net) == set()
    net.train()
    assert moved(net) == set(flat(net, nnx.BatchStat))


def test_a_frozen_part_stays_while_the_rest_moves() -> None:
    net = tiny()
    net.train()
    net.block2.eval()
    assert {path.split("/")[0] for path in moved(net)} == set(net.stages) - {"block2"}


def test_dropout_acts_in_training_only() -> None:
    net = tiny(hidden=16, dropout=0.5)
    features = images(2, 1, 1, TINY.features)
    net.train()
    assert not np.array_equal(net.classify(features), net.classify(features))
    net.eval()
    expected = features[:, 0, 0]
    for layer in (net.head.hidden, net.head.output):
        expected = expected @ layer.kernel[...] + layer.bias[...]
    np.testing.assert_allclose(net.classify(features), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [None, 16])
def test_the_linear_head_is_all_that_tells_logits_apart(hidden: int | None) -> None:
    """Logits less the pooled features times it are the same for all images."""
    net = scramble(tiny(hidden=hidden))
    net.eval()
    features = images(5, 2, 3, TINY.features)
    constant = np.asarray(net.classify(features) - features.mean((1, 2)) @ net.linear_head())
    np.testing.assert_allclose(constant, np.broadcast_to(constant[:1], constant.shape), atol=1e-5)
    assert np.abs(net.linear_head()).min() > 0


def test_no_activation_is_left_where_the_declared_ones_are_replaced() -> None:
    """What is left of the network is affine, but for the pool of the stem."""
    net = scramble(tiny())
    net.eval()
    one, other = images(2, 8, 8, TINY.stem)[:, None]
    features = jnp.concatenate([one, other, 3 * one - 2 * other])

    @jax.jit
    def bend(net: DenseNet) -> jax.Array:
        first, second, between = net.classify(features, stage="stem")
        return between - (3 * first - 2 * second)

    assert np.abs(bend(net)).max() > 0.1
    for _, module in nnx.iter_modules(net):
        for name in net.activations:
            if hasattr(module, name):
                setattr(module, name, lambda x: x)
    assert np.abs(bend(net)).max() < 1e-3
    assert net.stem(images(1, 32, 32, 3))[0].min() < 0


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 31, 64, 3), "too small; 32"), ((1, 64, 64, 1), "got"), ((64, 64, 3), "must be")]
)
def test_wrong_images_are_refused(shape: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny().features(images(*shape))


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no stage 'relu'.*block1"):
        tiny().features(images(1, 32, 32, 3), "relu")


# ---------------------------------------------------------------- the plain form


def assert_near(actual: jax.Array, expected: jax.Array, relative: float = 1e-4, floor: float = 1e-5) -> None:
    assert np.abs(actual - expected).max() <= relative * np.abs(expected).max() + floor


def test_shared_statistics_are_those_of_each_layer() -> None:
    """Logits, all running statistics and all gradients of a training step against per-layer norms."""
    net = scramble(tiny())
    net.train()
    x, weights = images(6, 64, 48, 3), flat(net)
    stats = {path for path in weights if path.endswith(("mean", "var"))}

    def plain_loss(params: dict) -> tuple:
        plain = Plain({**weights, **params}, TINY.blocks, train=True, epsilon=1e-5)
        logits = plain(x)
        return jnp.square(logits).sum(), (logits, plain.moved)

    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def fast_loss(p: nnx.State) -> tuple:
        inner = nnx.merge(graph, p, rest, copy=True)
        logits = inner(x)
        return jnp.square(logits).sum(), (logits, nnx.state(inner, nnx.BatchStat))

    trained = {path: array for path, array in weights.items() if path not in stats}
    (_, (expected, theirs)), slopes = jax.jit(jax.value_and_grad(plain_loss, has_aux=True))(trained)
    (_, (actual, now)), gradients = jax.jit(jax.value_and_grad(fast_loss, has_aux=True))(params)
    assert_near(actual, expected)
    ours = by_path(now)
    assert ours.keys() == theirs.keys() == stats
    for path in stats:
        assert_near(ours[path], theirs[path])
    largest = max(float(np.abs(slope).max()) for slope in slopes.values())
    for path, gradient in by_path(gradients).items():
        # Some true gradients are zero, a bias before a norm for one: measured against the largest.
        assert_near(gradient, slopes[path], floor=1e-6 * largest)


@pytest.mark.parametrize(("unbiased", "factor"), [(True, 72 / 71), (False, 1.0)])
def test_running_statistics_by_hand(unbiased: bool, factor: float) -> None:
    """Two images that have 6x6 pixels behind the first transition: n is 72."""
    net = tiny(momentum=0.75, unbiased=unbiased)
    net.train()
    x = images(2, 48, 48, 3)
    entering, _ = tap(net, x, "transition1")
    assert entering.shape[:3] == (2, 6, 6)
    statistics = by_path(moved_statistics(net, x))
    mean, var = (statistics[f"block2/layer1/norm1/{name}"] for name in ("mean", "var"))
    np.testing.assert_allclose(mean, 0.25 * np.mean(entering, (0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(var, 0.75 + 0.25 * factor * np.var(entering, (0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-5, 1.0])
def test_epsilon_is_the_given_one(epsilon: float) -> None:
    net = scramble(tiny(epsilon=epsilon))
    net.eval()
    x = images(1, 32, 32, 3)
    np.testing.assert_allclose(forward(net, x), plain_forward(flat(net), x, epsilon), rtol=1e-4, atol=1e-5)
