"""The compiled steps against plain, independent computations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from medplug.config.settings import TrainingSettings
from medplug.errors import ContractError
from medplug.model.network import build
from medplug.testing.fakes import Blend, Mirror, SimpleCrossEntropy, TinyNet
from medplug.train.state import from_leaves, merge, split_network, to_leaves, write_back
from medplug.train.step import Objective, make_train_step, make_validate_step, micro_batch_size
from medplug.train.update import fresh, make_update


def adamw(decay=0.0):
    """A component as a stranger would write it."""
    matrices = lambda params: jax.tree.map(lambda p: p.ndim > 1, params)  # noqa: E731
    return lambda: optax.adamw(1.0, weight_decay=decay, mask=matrices)


def setup(augmenters=(), dropout=0.0, **settings):
    settings = TrainingSettings(**settings)
    network = build(TinyNet(dropout=dropout), (16, 16, 1), 3, seed=0)
    modes, state = split_network(network, settings.batch_norm)
    objective = Objective(modes, network.prepare, augmenters, SimpleCrossEntropy(), jnp.ones((3, 2)), "multiclass")
    return network, settings, objective, state


@pytest.fixture
def batch(rng):
    images = rng.integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)
    return images, np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)]


def run(objective, settings, state, batch, frozen, micro=0, steps=1, rate=0.1, decay=0.0):
    update = make_update(adamw(decay), settings.gradient_clip)
    state = fresh(state, update, frozen=frozen, averaging=False)
    step = make_train_step(objective, update, frozen=frozen, micro_batch=micro)
    for number in range(steps):
        state, loss = step(state, *batch, jax.random.key(number), rate, 0.0)
    return state, float(loss)


def distance(a, b):
    gaps = [float(jnp.abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return max(gaps, default=0.0)


@pytest.mark.parametrize("batch_norm", ["batch", "frozen"])
def test_frozen_means_frozen(batch, batch_norm):
    _, settings, objective, state = setup(batch_norm=batch_norm)
    after, _ = run(objective, settings, state, batch, frozen=True, steps=3)
    assert distance(after.head, state.head) > 1e-3
    assert distance(after.body, state.body) == 0
    assert distance(after.stats, state.stats) == 0


@pytest.mark.parametrize(("batch_norm", "moves"), [("batch", True), ("frozen", False)])
def test_phase_two_moves_everything_but_frozen_statistics(batch, batch_norm, moves):
    _, settings, objective, state = setup(batch_norm=batch_norm)
    after, _ = run(objective, settings, state, batch, frozen=False)
    assert distance(after.head, state.head) > 1e-3
    assert distance(after.body, state.body) > 1e-3
    assert (distance(after.stats, state.stats) > 1e-3) == moves


def test_one_step_is_the_step_that_optax_takes(batch):
    """An independent loop: nnx.grad over the module, optax.adamw with the rate inside."""
    network, settings, objective, state = setup(gradient_clip=0.5)
    after, loss = run(objective, settings, state, batch, frozen=False, rate=0.01, decay=0.1)
    module = network.module
    module.eval()

    def objective_by_hand(module):
        logits = module(network.preprocessing.standardise(jnp.asarray(batch[0]) / 255.0))
        return optax.softmax_cross_entropy(logits, batch[1]).mean()

    by_hand, grads = nnx.jit(nnx.value_and_grad(objective_by_hand))(module)
    decay = lambda p: jax.tree.map(lambda x: x.ndim > 1, p)  # noqa: E731
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.01, weight_decay=0.1, mask=decay))
    params = nnx.state(module, nnx.Param)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    expected = optax.apply_updates(params, updates)
    write_back(network, after)
    assert loss == pytest.approx(float(by_hand), rel=1e-5)
    assert distance(nnx.state(network.module, nnx.Param), expected) < 1e-5


@pytest.mark.parametrize("frozen", [True, False])
def test_micro_batches_are_exact_with_frozen_statistics(batch, frozen):
    """Also with augmenters and mixers: they see the whole batch, however it is cut."""
    _, settings, objective, state = setup((Mirror(),))
    objective = replace(objective, mixers=(Blend(),))
    whole, loss = run(objective, settings, state, batch, frozen, micro=0)
    cut, loss_cut = run(objective, settings, state, batch, frozen, micro=2)
    assert loss_cut == pytest.approx(loss, rel=1e-6)
    assert distance((cut.head, cut.body), (whole.head, whole.body)) < 1e-5


def test_micro_batches_with_live_statistics_have_statistics_of_their_own(batch):
    """The statistics move once for each part, as in torch's accumulation; that changes the result, which is wanted here."""
    _, settings, objective, state = setup(batch_norm="batch")
    whole, _ = run(objective, settings, state, batch, frozen=False, micro=0)
    cut, _ = run(objective, settings, state, batch, frozen=False, micro=4)
    halves = state
    for half in (slice(0, 4), slice(4, 8)):
        part, _ = run(objective, settings, halves, [x[half] for x in batch], frozen=False, rate=0.0)
        halves = halves._replace(stats=part.stats)
    assert distance(cut.stats, halves.stats) < 1e-5
    assert distance(cut.stats, whole.stats) > 1e-3


def test_batches_are_cut_by_themselves_only_where_the_result_stays():
    batch_statistics = TrainingSettings(batch_norm="batch")
    assert micro_batch_size(batch_statistics, frozen=True, batch=32) == 4  # the tests run on a CPU
    assert micro_batch_size(batch_statistics, frozen=False, batch=32) == 0
    assert micro_batch_size(TrainingSettings(batch_norm="batch", micro_batch=8), frozen=False, batch=32) == 8
    assert micro_batch_size(TrainingSettings(micro_batch=8), frozen=False, batch=30) == 6
    assert micro_batch_size(TrainingSettings(micro_batch=8), frozen=False, batch=31) == 31
    assert micro_batch_size(TrainingSettings(), frozen=False, batch=32) == 4


def test_the_key_decides_augmentation_and_dropout(batch):
    _, settings, objective, state = setup((Mirror(),), dropout=0.5)
    update = make_update(adamw(), settings.gradient_clip)
    step = make_train_step(objective, update, frozen=False, micro_batch=0)

    def loss(key):
        start = fresh(state, update, frozen=False, averaging=False)
        return float(step(start, *batch, jax.random.key(key), 0.1, 0.0)[1])

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


def test_validation_is_clean_unless_asked(batch):
    _, _, objective, state = setup((Mirror(probability=1.0),))
    images, targets = batch
    clean = make_validate_step(objective, augmented=False)
    augmented = make_validate_step(objective, augmented=True)
    mirrored = make_validate_step(objective, augmented=False)(state, images[:, :, ::-1], targets, jax.random.key(0))
    for found, expected in zip(augmented(state, images, targets, jax.random.key(0)), mirrored, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(clean(state, images, targets, jax.random.key(0))[0], mirrored[0])


def test_rows_of_validation_do_not_meet(batch):
    _, _, objective, state = setup()
    validate = make_validate_step(objective, augmented=False)
    together = validate(state, *batch, jax.random.key(0))[1]
    alone = validate(state, batch[0][:1], batch[1][:1], jax.random.key(0))[1]
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(together).sum(1), 1, rtol=1e-6)


def test_leaves_are_a_round_trip():
    _, settings, _, state = setup(dropout=0.5)
    state = fresh(state, make_update(adamw(), settings.gradient_clip), frozen=False, averaging=True)
    again = from_leaves(state, to_leaves(state))
    assert jax.tree.structure(again) == jax.tree.structure(state)
    for a, b in zip(to_leaves(again).values(), to_leaves(state).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_modes_differ_only_in_mode(batch):
    _, _, objective, state = setup()
    for graph in objective.modes:
        assert merge(graph, state)(jnp.zeros((2, 16, 16, 1))).shape == (2, 3)


@pytest.mark.parametrize(
    ("loss", "got"),
    [(lambda logits, t, c: logits, r"float32 \[8, 3\]"), (lambda logits, t, c: logits.mean(), r"float32 \[\]")],
)
def test_a_loss_of_another_shape_is_refused(batch, loss, got):
    _, settings, objective, state = setup()
    with pytest.raises(ContractError, match=rf"must give \[B\] float32, one value a sample, got {got}"):
        run(replace(objective, loss=loss), settings, state, batch, frozen=False)


def test_an_augmenter_that_changes_the_form_is_refused(batch):
    _, settings, objective, state = setup()
    crop = replace(objective, augmenters=(lambda key, images: images[:, 1:],))
    with pytest.raises(ContractError, match=r"float32 \[8, 16, 16, 1\] became float32 \[8, 15, 16, 1\]"):
        run(crop, settings, state, batch, frozen=False)


def test_a_norm_in_the_head_is_frozen_too(batch):
    from flax import nnx

    network, settings, objective, state = setup()
    network.module.head = nnx.Sequential(nnx.BatchNorm(16, rngs=nnx.Rngs(0)), network.module.head)
    modes, state = split_network(network, "frozen")
    after, _ = run(replace(objective, modes=modes), settings, state, batch, frozen=True, steps=2)
    assert distance(after.stats, state.stats) == 0
    assert distance(after.head, state.head) > 1e-3
