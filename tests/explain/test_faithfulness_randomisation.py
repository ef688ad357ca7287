"""Cascading randomisation of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.contracts.architecture import Preprocessing
from medplug.explain.faithfulness.randomisation import cascade, levels, shuffled
from medplug.model.explain import network_view
from medplug.model.network import BuiltNetwork, build, weight_arrays
from medplug.testing.fakes import TinyNet


@pytest.fixture(scope="module")
def network():
    return build(TinyNet(width=16), (16, 16, 1), 3, seed=0)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def gradient(network, images):
    """Input times gradient, compiled once for all weights."""
    graph = nnx.graphdef(network.module)

    @jax.jit
    def explain(state):
        view = network_view(lambda: nnx.merge(graph, state, copy=True), "multiclass")
        slopes = jax.grad(lambda x: view.logits(x)[:, 0].sum())(jnp.asarray(images))
        return (slopes * images)[..., 0]

    return lambda other: np.asarray(explain(nnx.state(other.module)))


def edges(images):
    """Looks at the image alone."""
    down, right = np.gradient(images[..., 0], axis=(1, 2))
    return np.hypot(down, right)


def test_a_map_of_the_weights_falls_and_one_of_the_image_stays(network, images, gradient):
    before = weight_arrays(network.module)
    real = cascade(network, gradient, gradient(network), seed=1)
    ignoring = cascade(network, lambda other: edges(images), edges(images), seed=1)
    assert real.names == ("head", "body, body_norm", "stem, stem_norm")
    assert real.names == ignoring.names
    assert real.correlations.shape == (3, 4)
    np.testing.assert_allclose(ignoring.correlations, 1)
    assert (np.abs(real.correlations[-1]) < 0.4).all()
    assert abs(real.correlations[-1].mean()) < 0.2
    assert (real.correlations[0] < 0.9).all()
    after = weight_arrays(network.module)
    assert all((before[path] == after[path]).all() for path in before)


def test_each_step_adds_its_submodules_to_the_last(network):
    seen = []
    cascade(network, lambda other: seen.append(weight_arrays(other.module)) or np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))
    own = weight_arrays(network.module)
    changed = [{path for path in own if (own[path] != arrays[path]).any()} for arrays in seen]
    assert changed == [
        {"head/kernel"},  # its bias, as those of the norms and their scales, has one value
        {"head/kernel", "body/kernel"},
        {"head/kernel", "body/kernel", "stem/kernel"},
    ]
    np.testing.assert_array_equal(seen[0]["head/kernel"], seen[2]["head/kernel"])


def test_shuffling_keeps_the_values_of_each_output_and_the_statistics(network):
    module = nnx.clone(network.module)
    module.stem_norm.scale.set_value(jnp.arange(16.0))
    module.stem_norm.mean.set_value(jnp.arange(16.0))
    other = shuffled(BuiltNetwork(module, network.preprocessing, network.head), ("stem", "stem_norm"), seed=3)
    kernel, found = module.stem.kernel[...].reshape(9, 16), other.module.stem.kernel[...].reshape(9, 16)
    assert (kernel != found).any(0).all()
    np.testing.assert_array_equal(np.sort(kernel, axis=0), np.sort(found, axis=0))
    orders = np.argsort(np.argsort(found, axis=0), axis=0)
    assert len({tuple(column) for column in orders.T}) > 1  # each output in an order of its own
    assert (other.module.stem_norm.scale[...] != module.stem_norm.scale[...]).any()
    np.testing.assert_array_equal(np.sort(other.module.stem_norm.scale[...]), np.arange(16))
    np.testing.assert_array_equal(other.module.stem_norm.mean[...], np.arange(16))
    np.testing.assert_array_equal(other.module.body.kernel[...], module.body.kernel[...])
    again = shuffled(network, ("stem",), seed=3).module.stem.kernel[...]
    np.testing.assert_array_equal(np.asarray(again).reshape(9, 16), found)
    assert (shuffled(network, ("stem",), seed=4).module.stem.kernel[...] != again).any()


def test_maps_that_are_not_finite_have_no_correlation(network):
    maps = np.random.default_rng(0).normal(size=(2, 4, 4))
    broken = np.where(np.arange(2)[:, None, None] == 0, np.nan, maps)
    found = cascade(network, lambda other: broken, maps).correlations
    np.testing.assert_allclose(found, [[np.nan, 1]] * 3)


class Parts(nnx.Module):
    """Submodules as they are told, each one linear layer; ``token`` is a parameter of the network itself."""

    def __init__(self, names, stages):
        self.stages = stages
        for name in names:
            setattr(self, name, nnx.Linear(1, 1, rngs=nnx.Rngs(0)))
        self.token = nnx.Param(jnp.zeros(1))
        self.blocks = nnx.List([nnx.Linear(1, 1, rngs=nnx.Rngs(0)) for _ in range(2)])


@pytest.mark.parametrize(
    ("names", "stages", "expected"),
    [
        ("zero one_norm two three head", (), ("head", "blocks", "token", "three", "two", "one_norm", "zero")),
        ("zero one two two_norm head", ("one", "two"), ("head", "two,two_norm,token,blocks", "zero,one")),
        ("head one two", ("one", "blocks", "elsewhere"), ("head", "blocks", "one,two,token")),
    ],
)
def test_steps_go_from_the_head_to_the_first_stage(names, stages, expected):
    built = BuiltNetwork(Parts(names.split(), stages), Preprocessing(), ("head",))
    assert tuple(",".join(step) for step in levels(built)) == expected
