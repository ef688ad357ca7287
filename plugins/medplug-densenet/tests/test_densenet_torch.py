"""DenseNet121 against a PyTorch DenseNet121 with torchvision's names, recorded by ``record_torch.py``."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from densenet_reference import Plain
from densenet_seeded import seeded, seeded_images, seeded_targets
from flax import nnx

from medplug_densenet.convert import convert, entries
from medplug_densenet.network import DenseNet
from medplug_densenet.plan import DENSENET121

RECORDED = Path(__file__).parent / "torch_densenet121.npz"
CLASSES = 10
SHAPE, ODD_SHAPE = (3, 64, 96, 3), (1, 75, 45, 3)
pytestmark = pytest.mark.slow  # compiling three programs of DenseNet121 takes a minute


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as file:
        return dict(file)


def torch_arrays() -> dict[str, np.ndarray]:
    """The recorded network's weights, as its state dict has them."""
    shapes = {e.torch: e.shape for e in entries(DENSENET121, 3, CLASSES)}
    order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    return {name: seeded(name, tuple(shape[i] for i in order[len(shape)])) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return convert(torch_arrays(), "torch", DENSENET121, channels=3, classes=CLASSES, where="seeded")


@pytest.fixture
def network(weights: dict[str, np.ndarray]) -> DenseNet:
    net = DenseNet(CLASSES, plan=DENSENET121, rngs=nnx.Rngs(0))
    for path, variable in nnx.to_flat_state(nnx.state(net)):
        variable[...] = jnp.asarray(weights["/".join(path)])
    return net


def assert_close(actual: object, expected: np.ndarray, relative: float = 1e-4) -> None:
    """Largest difference against the largest value: single entries near zero do not count."""
    difference = np.abs(np.asarray(actual) - expected).max()
    assert difference <= relative * np.abs(expected).max()


@pytest.mark.parametrize(("name", "shape"), [("eval", SHAPE), ("odd", ODD_SHAPE)])
def test_features_and_logits(network: DenseNet, recorded: dict, name: str, shape: tuple) -> None:
    network.eval()

    @jax.jit
    def run(net: DenseNet, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = net.features(x)
        return features, net.classify(features)

    features, logits = run(network, seeded_images(shape))
    assert_close(features, recorded[f"{name}/features"])
    assert_close(logits, recorded[f"{name}/logits"])


def train_once(network: DenseNet) -> tuple[jax.Array, jax.Array, nnx.State, nnx.State]:
    """Loss, logits, gradients and running statistics of one step in training mode."""
    network.train()
    graph, params, stats = nnx.split(network, nnx.Param, nnx.BatchStat)
    images, targets = seeded_images(SHAPE), seeded_targets(SHAPE[0], CLASSES)

    @jax.jit
    def step(params: nnx.State, stats: nnx.State) -> tuple:
        def objective(p: nnx.State) -> tuple:
            net = nnx.merge(graph, p, stats, copy=True)
            logits = net(images)
            loss = -jax.nn.log_softmax(logits)[jnp.arange(len(targets)), targets].mean()
            return loss, (logits, nnx.state(net, nnx.BatchStat))

        return jax.value_and_grad(objective, has_aux=True)(params)

    (loss, (logits, moved)), gradients = step(params, stats)
    return loss, logits, gradients, moved


def test_one_training_step(network: DenseNet, recorded: dict) -> None:
    loss, logits, gradients, moved = train_once(network)
    assert_close(loss, recorded["train/loss"])
    assert_close(logits, recorded["train/logits"])
    names = {e.torch: tuple(e.path.split("/")) for e in entries(DENSENET121, 3, CLASSES)}
    statistics = dict(nnx.to_flat_state(moved))
    for key in (k for k in recorded if k.startswith("statistic/")):
        assert_close(statistics[names[key.split("/")[1]]][...], recorded[key])
    norms = (("statistic_norm", statistics, 1e-4), ("gradient_norm", dict(nnx.to_flat_state(gradients)), 1e-3))
    for group, state, relative in norms:
        expected = dict(zip(recorded[f"{group}/names"], recorded[f"{group}/values"], strict=True))
        assert len(expected) == len(state)
        floor = 1e-5 * float(max(expected.values()))
        for name, value in expected.items():
            actual = np.linalg.norm(np.asarray(state[names[name]][...]))
            assert abs(actual - value) <= relative * value + floor, name


def test_the_plain_form_agrees_too(weights: dict, recorded: dict) -> None:
    """So that other tests may take it as the reference."""
    plain = Plain({k: jnp.asarray(v) for k, v in weights.items()}, DENSENET121.blocks, train=False, epsilon=1e-5)
    assert_close(jax.jit(plain)(seeded_images(SHAPE)), recorded["eval/logits"])
