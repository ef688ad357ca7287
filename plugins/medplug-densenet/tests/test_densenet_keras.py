"""DenseNet against ``keras.applications`` on Keras' JAX backend, through both of Keras' weights files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from medplug.plugins import component
from medplug_densenet.architecture import DenseNet121, DenseNetArchitecture
from medplug_densenet.plan import Plan

keras = pytest.importorskip("keras")
FILES = ("model.h5", "old_weights.h5", "new.weights.h5")


@component
class Small(DenseNetArchitecture):
    """The widths of DenseNet121, with two layers in one block and one in the others."""

    plan = Plan(blocks=(1, 2, 1, 1))


def small_keras(input_shape: tuple[int, ...], classes: int) -> Any:
    from keras.src.applications.densenet import DenseNet

    return DenseNet(list(Small.plan.blocks), weights=None, input_shape=input_shape, classes=classes)


def large_keras(input_shape: tuple[int, ...], classes: int) -> Any:
    return keras.applications.DenseNet121(weights=None, input_shape=input_shape, classes=classes)


def randomise(model: Any) -> None:
    """Norm variables that are not ones and zeros, and a bias in the head."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(0.1 * rng.standard_normal(variable.shape))


def save(model: Any, path: Path) -> None:
    """In the format that the name says: a whole legacy model, legacy weights, or today's weights."""
    if path.name == "old_weights.h5":
        import h5py
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    elif path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)


def features_and_probabilities(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = keras.Model(model.input, [model.get_layer("relu").output, model.output])
    features, probabilities = both.predict(x, verbose=0)
    return np.asarray(features), np.asarray(probabilities)


@jax.jit
def features_of(net: Any, x: jax.Array) -> jax.Array:
    return net.features(x)


def check_parity(
    architecture: DenseNetArchitecture, x: np.ndarray, classes: int, features: np.ndarray, probabilities: np.ndarray
) -> None:
    net = architecture.build(x.shape[1:], classes, rngs=nnx.Rngs(0))
    weights = architecture.pretrained(x.shape[1:], classes)
    state = nnx.state(net)
    assert weights.keys() == {"/".join(path) for path, _ in nnx.to_flat_state(state)}
    for path, variable in nnx.to_flat_state(state):
        variable[...] = jnp.asarray(weights["/".join(path)])
    net.eval()
    ours = features_of(net, x)
    assert np.abs(ours - features).max() <= 1e-4 * np.abs(features).max()
    # Softmax forgets a constant, so both are compared without their means.
    logits, actual = np.log(probabilities), np.asarray(net.classify(ours))
    logits, actual = (a - a.mean(1, keepdims=True) for a in (logits, actual))
    assert np.abs(actual - logits).max() <= 1e-4 * np.abs(logits).max()


@pytest.fixture(scope="module")
def backend() -> None:
    if keras.backend.backend() != "jax":
        pytest.skip(f"Keras runs on {os.environ.get('KERAS_BACKEND')}")


@pytest.mark.parametrize("shape", [(2, 32, 32, 3), (1, 45, 67, 1)])
@pytest.mark.usefixtures("backend")
def test_small_network_in_both_files(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = small_keras(shape[1:], 5)
    randomise(model)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected = features_and_probabilities(model, x)
    for name in FILES:
        path = tmp_path / name
        save(model, path)
        check_parity(Small(weights=str(path)), x, 5, *expected)


@pytest.mark.slow
@pytest.mark.usefixtures("backend")
def test_densenet121_in_both_files(tmp_path: Path) -> None:
    model = large_keras((64, 64, 3), 1000)
    randomise(model)
    assert model.count_params() == 8_062_504
    x = np.random.default_rng(1).standard_normal((2, 64, 64, 3)).astype(np.float32)
    expected = features_and_probabilities(model, x)
    for name in FILES:
        path = tmp_path / name
        save(model, path)
        check_parity(DenseNet121(weights=str(path)), x, 1000, *expected)


@pytest.mark.usefixtures("backend")
def test_a_training_step_moves_the_statistics_as_in_keras(tmp_path: Path) -> None:
    model = small_keras((64, 64, 3), 3)
    randomise(model)
    path = tmp_path / "before.weights.h5"
    model.save_weights(path)
    architecture = Small(weights=str(path))
    net = architecture.build((64, 64, 3), 3, rngs=nnx.Rngs(0))
    weights = architecture.pretrained((64, 64, 3), 3)
    for name, variable in nnx.to_flat_state(nnx.state(net)):
        variable[...] = jnp.asarray(weights["/".join(name)])
    x = np.random.default_rng(1).standard_normal((4, 64, 64, 3)).astype(np.float32)
    trained, others = ([v.value for v in group] for group in (model.trainable_variables, model.non_trainable_variables))
    _, others = jax.jit(lambda t, o, a: model.stateless_call(t, o, a, training=True))(trained, others, x)
    for variable, value in zip(model.non_trainable_variables, others, strict=True):
        variable.assign(value)
    model.save_weights(tmp_path / "after.weights.h5")
    expected = Small(weights=str(tmp_path / "after.weights.h5")).pretrained((64, 64, 3), 3)
    net.train()

    @jax.jit
    def moved(n: nnx.Module, a: np.ndarray) -> nnx.State:
        n(a)
        return nnx.state(n, nnx.BatchStat)

    statistics = nnx.to_flat_state(moved(net, x))
    assert len(statistics) == 2 * 15
    for name, variable in statistics:
        # Against the change, which is a hundredth of the value: momentum and the biased variance both show in it.
        change = expected["/".join(name)] - weights["/".join(name)]
        actual = np.asarray(variable[...]) - weights["/".join(name)]
        assert np.abs(actual - change).max() <= 1e-3 * np.abs(change).max(), name
