"""The solved head against scikit-learn, and its features against whole passes."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from medplug.data.batches import Loader
from medplug.data.store import PixelStore
from medplug.errors import UsageError
from medplug.model.network import build
from medplug.progress import Reporter
from medplug.testing.fakes import Mirror, SimpleBinaryCrossEntropy, SimpleCrossEntropy, TinyNet
from medplug.train.features import check_pooling, feature_function, features_of, pooled
from medplug.train.head import solve_head
from medplug.train.state import merge, split_network
from medplug.train.step import Objective

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    """60 images of three classes that differ in brightness, the objective, and the untrained network."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = np.clip(rng.normal(60 + 50 * labels[:, None, None, None], 40, (60, 16, 16, 1)), 0, 255).astype(np.uint8)
    targets = np.eye(3, dtype=np.float32)[labels]
    network = build(TinyNet(), (16, 16, 1), 3, seed=0)
    modes, state = split_network(network, "frozen")
    objective = Objective(modes, network.prepare, (Mirror(),), SimpleCrossEntropy(), jnp.ones((3, 2)), "multiclass")
    return objective, state, Loader(PixelStore(images), targets, np.arange(60), 16)


@pytest.fixture(scope="module")
def known(problem):
    """The features of one view."""
    objective, state, loader = problem
    return features_of(feature_function(objective), state, loader, 1, KEY, Reporter(quiet=True))


def test_features_are_those_that_the_network_classifies(problem, known):
    objective, state, loader = problem
    module = merge(objective.modes.evaluate, state)
    logits = module(objective.prepare(loader.store.take(loader.rows).astype(jnp.float32) / 255, None))
    np.testing.assert_allclose(module.classify(known), logits, rtol=1e-4, atol=1e-5)


def test_further_views_are_augmented_and_the_same_each_time(problem, known):
    objective, state, loader = problem
    function = feature_function(objective)
    twice = [features_of(function, state, loader, 2, KEY, Reporter(quiet=True)) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])
    np.testing.assert_array_equal(twice[0][:60], known)
    assert np.abs(twice[0][60:] - known).max() > 1e-3


def test_what_is_stopped_gives_nothing(problem):
    objective, state, loader = problem
    stopped = features_of(feature_function(objective), state, loader, 1, KEY, Reporter(quiet=True), lambda: True)
    assert stopped is None


@pytest.mark.parametrize("weighted", [False, True])
def test_a_head_is_that_of_scikit_learn(problem, known, weighted):
    """The same penalty: theirs is on the sum of losses, so C is 1 / (n * l2)."""
    objective, state, loader = problem
    weights = np.where(loader.targets[:, 0] == 1, 3.0, 0.5) if weighted else np.ones(60)
    solved = solve_head(objective, state, known, loader.targets, weights, (known, loader.targets), strengths=(0.01,))
    l2 = 0.01 * known.var(0).mean()
    peer = LogisticRegression(C=1 / (60 * l2), tol=1e-8, max_iter=10_000)
    peer.fit(known.reshape(60, -1), loader.targets.argmax(1), sample_weight=weights / weights.mean())
    module = merge(objective.modes.evaluate, state._replace(head=solved.head))
    found = np.asarray(jax.nn.softmax(module.classify(jnp.asarray(known))))
    np.testing.assert_allclose(found, peer.predict_proba(known.reshape(60, -1)), atol=2e-3)
    by_hand = -(weights / weights.mean() * np.log((found * loader.targets).sum(1))).mean()
    assert solved.loss == pytest.approx(by_hand, rel=1e-4)


def test_the_strength_with_the_least_validation_loss_is_taken(problem, known):
    objective, state, loader = problem
    train, held = np.arange(60) < 30, np.arange(60) >= 30
    solved = solve_head(
        objective, state, known[train], loader.targets[train], np.ones(30), (known[held], loader.targets[held])
    )
    assert solved.l2 == min(solved.tried, key=lambda row: row[2])[0]
    assert [row[1] for row in solved.tried] == sorted((row[1] for row in solved.tried), reverse=True)
    assert solved.validation_loss < np.log(3) / 2


def test_unknown_labels_have_no_part(problem, known):
    """A head on labels of which half are unknown is that on the other half alone."""
    objective, state, loader = problem
    objective = replace(objective, loss=SimpleBinaryCrossEntropy(), task="multilabel")
    gaps = np.where(np.arange(60)[:, None] < 30, loader.targets, np.nan).astype(np.float32)
    arguments = (known, loader.targets), (0.01,)
    with_gaps = solve_head(objective, state, known, gaps, np.ones(60), *arguments)
    weights = (np.arange(60) < 30).astype(float)
    # the mean of the losses with gaps is half as large as theirs, so the penalty has to be, too
    alone = solve_head(objective, state, known, loader.targets, weights, arguments[0], strengths=(0.02,))
    for a, b in zip(jax.tree.leaves(with_gaps.head), jax.tree.leaves(alone.head), strict=True):
        np.testing.assert_allclose(a, b, atol=5e-2)


def test_a_classifier_that_looks_at_places_is_refused(problem):
    objective, state, loader = problem

    class Corner:
        def __init__(self, module):
            self.features, self.classify = module.features, lambda f: module.classify(f[:, :1, :1])

    from medplug.train import features

    images = loader.store.take(loader.rows[:4])
    check_pooling(objective, state, images)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(features, "merge", lambda graph, state: Corner(merge(graph, state)))
        with pytest.raises(UsageError, match=r"looks at more; set training.head=steps"):
            check_pooling(objective, state, images)


def test_pooling_keeps_a_token():
    from medplug.contracts.architecture import Features

    found = pooled(Features(jnp.arange(8.0).reshape(1, 2, 2, 2), jnp.ones((1, 5))))
    np.testing.assert_allclose(found.spatial, [[[[3.0, 4.0]]]])
    np.testing.assert_allclose(found.token, np.ones((1, 5)))
