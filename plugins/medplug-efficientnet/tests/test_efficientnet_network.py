"""The network: its shape, its modes, its stages."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.plugins import ParameterError
from medplug_efficientnet.architecture import EfficientNetLite0
from medplug_efficientnet.network import EfficientNetLite
from medplug_efficientnet.plan import LITE0, Plan, Stage

TINY = Plan(4, (Stage(1, 3, 1, 1, 4, 3), Stage(2, 3, 2, 2, 3, 4), Stage(1, 5, 1, 2, 4, 6)), 8)
GOLDEN = Path(__file__).parent / "state_paths.json"


def tiny(classes=3, channels=3, seed=0, plan=TINY, **options):
    return EfficientNetLite(plan, channels, classes, rngs=nnx.Rngs(seed), **options)


def images(batch=4, height=13, width=10, channels=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, height, width, channels)), jnp.float32)


apply = jax.jit(lambda network, x: network(x))  # changes inside do not come out: for eval mode


def paths(network, *kinds):
    return {"/".join(map(str, p)): v for p, v in nnx.to_flat_state(nnx.state(network, *kinds))}


def arrays(network, *kinds):
    return {path: np.asarray(v[...]) for path, v in paths(network, *kinds).items()}


def moved_statistics(network, seed=3):
    """Statistics and scales away from 0 and 1, so that no two of them can be confused."""
    random = np.random.default_rng(seed)
    for _, variable in nnx.to_flat_state(nnx.state(network, nnx.Any(nnx.BatchStat, nnx.PathContains("norm")))):
        variable.set_value(jnp.asarray(random.uniform(0.5, 1.5, variable[...].shape), jnp.float32))
    return network


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite(LITE0, 3, 1000, rngs=nnx.Rngs(0))


def test_lite0_has_the_published_number_of_parameters(lite0):
    assert sum(v.size for v in arrays(lite0, nnx.Param).values()) == 4_652_008


def test_paths_of_the_state_are_those_of_saved_runs(lite0):
    found = {k: sorted(paths(lite0, kind)) for k, kind in (("Param", nnx.Param), ("BatchStat", nnx.BatchStat))}
    assert found == json.loads(GOLDEN.read_text())


def test_a_hidden_layer_and_dropout_belong_to_the_head():
    plain, more = tiny(dropout=0), tiny(dropout=0.3, hidden=5)
    assert not paths(plain, nnx.RngState)
    added = set(arrays(more, nnx.Param)) - set(arrays(plain, nnx.Param))
    assert added == {"head/hidden/kernel", "head/hidden/bias"}
    assert all(path.startswith("head/") for path in paths(more, nnx.RngState))
    more.eval()
    x = images()
    pooled = jax.jit(lambda m, x: m.features(x))(more, x).mean((1, 2))
    h = {k.removeprefix("head/"): v for k, v in arrays(more, nnx.Param).items() if k.startswith("head/")}
    expected = (pooled @ h["hidden/kernel"] + h["hidden/bias"]) @ h["output/kernel"] + h["output/bias"]
    np.testing.assert_allclose(apply(more, x), expected, rtol=1e-5, atol=1e-5)


def test_building_draws_without_jax_and_is_decided_by_the_params_key(monkeypatch):
    """Drawing with JAX would compile a program for each shape, which takes ten seconds."""
    for name in ("normal", "uniform", "truncated_normal"):
        monkeypatch.setattr(jax.random, name, None)
    first = tiny(seed=1)
    EfficientNetLite(LITE0, 3, 2, rngs=nnx.Rngs(0))
    again, other = arrays(tiny(seed=1), nnx.Param), arrays(tiny(seed=2), nnx.Param)
    for path, value in arrays(first, nnx.Param).items():
        np.testing.assert_array_equal(value, again[path])
    assert not np.array_equal(again["stem/conv/kernel"], other["stem/conv/kernel"])


def test_initial_values_have_the_declared_spread(lite0):
    values = arrays(lite0, nnx.Param)
    pointwise, depthwise = values["final/conv/kernel"], values["stage6/2/depthwise/conv/kernel"]
    assert pointwise.std() == pytest.approx(np.sqrt(2 / 1280), rel=0.02)
    assert depthwise.std() == pytest.approx(np.sqrt(2 / 25), rel=0.02)
    assert np.abs(values["head/output/kernel"]).max() == pytest.approx(1280**-0.5, rel=0.01)
    assert not values["head/output/bias"].any()


def test_building_inside_a_trace_is_refused():
    with pytest.raises(TypeError, match="outside of jit"):
        nnx.eval_shape(tiny)


def test_stages_of_lite0(lite0):
    lite0.eval()
    edges = {"stem": (112, 32), "stage1": (112, 16), "stage2": (56, 24), "stage3": (28, 40), "stage4": (14, 80)}
    edges |= {"stage5": (14, 112), "stage6": (7, 192), "stage7": (7, 320), "final": (7, 1280)}
    assert lite0.stages == tuple(edges)
    x = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    found = jax.eval_shape(lambda m, x: {s: m.features(x, s) for s in m.stages}, lite0, x)
    assert {s: (f.shape[2], f.shape[3]) for s, f in found.items()} == edges


def test_classify_goes_on_from_every_stage():
    network = moved_statistics(tiny())
    network.eval()

    @jax.jit
    def all_ways(m, x):
        return m(x), m.classify(m.features(x)), [m.classify(m.features(x, s), stage=s) for s in m.stages]

    whole, default, by_stage = all_ways(network, images())
    assert whole.shape == (4, 3)
    assert whole.dtype == jnp.float32
    assert len(by_stage) == 5
    for logits in (default, *by_stage):
        np.testing.assert_allclose(logits, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [None, 5])
def test_the_linear_head_is_all_that_tells_logits_apart(hidden):
    network = tiny(hidden=hidden)
    network.eval()
    features = images(5, 2, 3, 8)
    constant = np.asarray(network.classify(features) - features.mean((1, 2)) @ network.linear_head())
    np.testing.assert_allclose(constant, np.broadcast_to(constant[:1], constant.shape), atol=1e-5)
    assert np.abs(network.linear_head()).min() > 0


def test_no_activation_is_left_where_the_declared_ones_are_replaced():
    """What is left of the network is affine."""
    network, (one, other) = moved_statistics(tiny()), images(2, 13, 10)[:, None]
    network.eval()

    def bend(network):
        first, second, between = apply(network, jnp.concatenate([one, other, 3 * one - 2 * other]))
        return np.abs(between - (3 * first - 2 * second)).max()

    assert bend(network) > 0.1
    for _, module in nnx.iter_modules(network):
        for name in network.activations:
            if getattr(module, name, None) is not None:
                setattr(module, name, lambda x: x)
    assert bend(network) < 1e-3


def test_an_unknown_stage_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match="'stage9'; its stages are stem, stage1"):
        tiny().features(images(), "stage9")


def test_rows_are_independent_in_eval_mode():
    network = moved_statistics(tiny())
    network.eval()
    x = images()
    alone = jnp.concatenate([apply(network, x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(apply(network, x), alone, rtol=1e-5, atol=1e-6)
    other = x.at[0].set(100.0)
    np.testing.assert_allclose(apply(network, other)[1:], apply(network, x)[1:], rtol=1e-5, atol=1e-6)


def test_running_statistics_rest_in_eval_and_move_in_train():
    network = tiny(dropout=0)
    before = arrays(network, nnx.BatchStat)
    network.eval()
    nnx.jit(lambda m, x: m(x))(network, images())
    for path, value in arrays(network, nnx.BatchStat).items():
        np.testing.assert_array_equal(value, before[path])
    network.train()
    nnx.jit(lambda m, x: m(x))(network, images())
    after = arrays(network, nnx.BatchStat)
    assert all(not np.array_equal(after[path], before[path]) for path in before)
    x = np.asarray(
        jax.lax.conv_general_dilated(
            images(), network.stem.conv.kernel[...], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        np.float64,
    )
    np.testing.assert_allclose(after["stem/norm/mean"], 0.01 * x.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["stem/norm/var"], 0.99 + 0.01 * x.var((0, 1, 2)), rtol=1e-4)


def test_train_mode_normalises_by_the_batch():
    network = moved_statistics(tiny(dropout=0))
    layer = network.stage1[0].project  # no activation behind the norm
    y = np.asarray(layer(images(channels=4)), np.float64)
    norm = layer.norm
    np.testing.assert_allclose(y.mean((0, 1, 2)), norm.bias[...], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(y.std((0, 1, 2)), norm.scale[...], rtol=1e-2)  # epsilon is 1e-3


def test_frozen_statistics_scale_as_the_formula_says_and_give_its_gradients():
    layer = moved_statistics(tiny()).stage2[1].depthwise
    layer.eval()
    x = images(channels=8)
    graph, params, stats = nnx.split(layer, nnx.Param, nnx.BatchStat)

    def folded(params):
        return nnx.merge(graph, params, stats, copy=True)(x)

    def plain(params):
        m = nnx.merge(graph, params, stats, copy=True)
        z = jax.lax.conv_general_dilated(
            x, m.conv.kernel[...], (1, 1), "SAME", feature_group_count=8, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        z = (z - m.norm.mean[...]) / jnp.sqrt(m.norm.var[...] + 1e-3) * m.norm.scale[...] + m.norm.bias[...]
        return jnp.minimum(jnp.maximum(z, 0), 6)

    np.testing.assert_allclose(folded(params), plain(params), rtol=1e-4, atol=1e-4)
    weights = jnp.cos(jnp.arange(x.size)).reshape(x.shape)
    found, expected = (jax.jit(jax.grad(lambda p, f=f: (f(p) * weights).sum()))(params) for f in (folded, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), found, expected)


def test_frozen_statistics_in_train_mode_make_micro_batches_exact():
    network = moved_statistics(tiny(dropout=0, plan=Plan(4, (Stage(1, 3, 1, 2, 4, 4),), 8)))
    network.train()
    network.set_attributes(use_running_average=True)
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)

    @jax.jit
    def gradient(params, x):
        def total(p):
            return jnp.square(nnx.merge(graph, p, stats, copy=True)(x)).sum()

        return jax.grad(total)(params)

    x = images(8)
    whole, parts = gradient(params, x), jax.tree.map(jnp.add, gradient(params, x[:4]), gradient(params, x[4:]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), whole, parts)
    np.testing.assert_array_equal(network.stem.norm.mean[...], stats["stem"]["norm"]["mean"][...])


def test_one_step_of_descent_lowers_the_loss_and_reaches_every_parameter():
    network = tiny(dropout=0)
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    x, labels = images(4), jnp.arange(4) % 3

    @jax.jit
    def loss(p):
        logits = nnx.merge(graph, p, stats, copy=True)(x)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

    before, gradients = jax.value_and_grad(loss)(params)
    assert all(bool(jnp.any(g != 0)) for g in jax.tree.leaves(gradients))
    assert loss(jax.tree.map(lambda p, g: p - 0.01 * g, params, gradients)) < before


def test_dropout_acts_in_train_mode_only():
    head = tiny(dropout=0.5).head
    x = images().mean((1, 2)) @ jnp.ones((3, 8))
    assert not np.allclose(head(x), head(x))
    head.eval()
    np.testing.assert_array_equal(head(x), head(x))


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (4, 5)])
def test_other_channels_and_classes(channels, classes):
    network = tiny(classes=classes, channels=channels)
    network.eval()
    assert jax.eval_shape(apply, network, images(2, 8, 9, channels)).shape == (2, classes)


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8, 1), (0, 8, 3)])
def test_images_need_two_spatial_axes(shape):
    with pytest.raises(ParameterError, match="two spatial axes"):
        EfficientNetLite0(weights=None).build(shape, 2, rngs=nnx.Rngs(0))


def test_the_component_passes_its_parameters_on():
    network = EfficientNetLite0(weights=None, dropout=0.4, hidden=7).build((32, 32, 1), 5, rngs=nnx.Rngs(0))
    assert network.head.dropout.rate == 0.4
    assert network.head.hidden.kernel.shape == (1280, 7)
    assert network.head.output.kernel.shape == (7, 5)
    assert network.stem.conv.kernel.shape == (3, 3, 1, 32)
