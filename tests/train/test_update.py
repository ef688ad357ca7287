"""The average of the weights and the rates of layers, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from medplug.errors import UsageError
from medplug.train.state import TrainState, trainable
from medplug.train.update import (
    average_decay,
    evaluated,
    fresh,
    layer_scales,
    make_update,
    move_average,
    start_average,
)


def plain_sgd():
    """A component as a stranger would write it."""
    return optax.sgd(1.0)


def state(head=0.0, body=0.0):
    return TrainState({"w": jnp.full(2, head)}, {"stem": {"w": jnp.full(3, body)}}, {}, {})


def test_the_average_follows_its_formula():
    """At 0.5 it starts slowly: 1/10, 2/11, 3/12 … until the decay of 0.5 is reached."""
    values, now = np.arange(1.0, 15.0), start_average(state(), frozen=True)
    expected = 0.0
    for count, value in enumerate(values):
        now = move_average(now._replace(head={"w": jnp.full(2, value)}), jnp.float32(0.5))
        keep = min(0.5, (1 + count) / (10 + count))
        expected = keep * expected + (1 - keep) * value
    assert int(now.average.count) == len(values)
    np.testing.assert_allclose(evaluated(now).head["w"], expected, rtol=1e-6)
    assert evaluated(now).average is None
    assert now.average.body is None


def test_the_average_of_a_constant_is_the_constant():
    now = start_average(state(3.0, 4.0), frozen=False)
    for _ in range(5):
        now = move_average(now, jnp.float32(0.99))
    np.testing.assert_allclose(evaluated(now).head["w"], 3.0, rtol=1e-6)
    np.testing.assert_allclose(evaluated(now).body["stem"]["w"], 4.0, rtol=1e-6)


def test_without_an_average_the_state_itself_is_evaluated():
    now = state(1.0, 2.0)
    assert move_average(now, jnp.float32(0.9)) is now
    assert evaluated(now).head is now.head


@pytest.mark.parametrize(("share", "steps", "decay"), [(0.1, 1000, 0.99), (0.5, 20, 0.9), (0.1, 4, 0.0)])
def test_the_memory_is_a_share_of_the_phase(share, steps, decay):
    assert average_decay(share, steps) == pytest.approx(decay)


def test_layers_far_from_the_head_move_less():
    now = TrainState({"w": jnp.zeros(1)}, {"stem": {"w": jnp.zeros(1)}, "block": {"a": jnp.zeros(1)}}, {}, {})
    update = make_update(plain_sgd, 0, layer_scales(now, ("stem", "block"), 0.5))
    ones = jax.tree.map(jnp.ones_like, trainable(now, False))
    (head, body), _ = update(trainable(now, False), ones, update.transformation.init(ones), jnp.float32(0.1))
    assert float(head["w"][0]) == pytest.approx(-0.1)
    assert float(body["block"]["a"][0]) == pytest.approx(-0.05)
    assert float(body["stem"]["w"][0]) == pytest.approx(-0.025)


def test_scales_follow_the_names_of_a_module():
    class Two(nnx.Module):
        def __init__(self):
            self.first = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
            self.second = nnx.List([nnx.Linear(2, 2, rngs=nnx.Rngs(0))])

    body = nnx.state(Two(), nnx.Param)
    _, scales = layer_scales(TrainState({}, body, {}, {}), ("first", "second"), 0.9)
    assert jax.tree.leaves(scales["first"]) == pytest.approx([0.81, 0.81])
    assert jax.tree.leaves(scales["second"]) == pytest.approx([0.9, 0.9])


def test_parameters_outside_of_the_stages_are_told():
    with pytest.raises(UsageError, match=r"layer_decay=0.9 .* 'stem' is none of block; set it to 1"):
        layer_scales(state(), ("block",), 0.9)


def test_clipping_comes_before_the_optimizer():
    update, params = make_update(plain_sgd, 1.0), {"w": jnp.zeros(2)}
    moved, _ = update(params, {"w": jnp.array([3.0, 4.0])}, update.transformation.init(params), jnp.float32(1.0))
    np.testing.assert_allclose(moved["w"], [-0.6, -0.8], rtol=1e-6)


def test_a_phase_starts_from_the_average_with_moments_of_its_own():
    update = make_update(lambda: optax.adam(1.0), 0)
    now = start_average(state(), frozen=True)
    now = move_average(now._replace(head={"w": jnp.full(2, 10.0)}), jnp.float32(0.9))
    again = fresh(now, update, frozen=False, averaging=True)
    np.testing.assert_allclose(again.head["w"], 9.0, rtol=1e-6)  # 1/10 of the old, 9/10 of the new
    assert int(again.average.count) == 0
    assert again.average.body is not None
    assert jax.tree.structure(again.moments) == jax.tree.structure(update.transformation.init((again.head, again.body)))
