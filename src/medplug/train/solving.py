"""Phase one as one epoch: the head is solved on features of the frozen network that are computed once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from medplug.data.batches import Loader
from medplug.progress import Reporter
from medplug.train.epoch import Running
from medplug.train.features import check_pooling, feature_function, features_of
from medplug.train.head import solve_head
from medplug.train.state import TrainState
from medplug.train.step import Objective, sequence_key

_FEATURES = 2  # a stream of random numbers beside those of training and validation


def solved_epoch(
    objective: Objective,
    running: Running,
    train: Loader,
    validation: Loader,
    views: int,
    key: jax.Array,
    validated: Callable[[TrainState, int], tuple[float, dict[str, float]]],
    reporter: Reporter,
    stopped: Callable[[], bool],
) -> dict[str, Any] | None:
    """Solve the head of ``running.state``, and give the row of the history; None where somebody stopped it.

    Samples count as often as an epoch of ``train`` draws them. Mixers and dropout have no part in it.

    Raises:
        UsageError: the network's classifier looks at more than the mean of its features.
    """
    began, state = time.perf_counter(), running.state
    check_pooling(objective, state, train.first().images)
    function, own = feature_function(objective), sequence_key(key, (_FEATURES,))
    features = features_of(function, state, train, views, own, reporter, stopped)
    held = None if features is None else features_of(function, state, validation, 1, own, reporter, stopped)
    if features is None or held is None:
        return None
    computed = time.perf_counter() - began
    weights = np.ones(len(train.rows)) if train.sampling is None else train.sampling.expected
    targets = train.targets[train.rows]
    solved = solve_head(
        objective, state, features, np.tile(targets, (views, 1)), np.tile(weights, views),
        (held, validation.targets[validation.rows]),
    )  # fmt: skip
    reporter.say(
        f"head solved on {views * len(targets):,} features: penalty {solved.l2:.2g}, the best of {len(solved.tried)}, in "
        f"{time.perf_counter() - began - computed:.1f} s"
    )
    running.state = state._replace(head=solved.head)
    loss, figures = validated(running.state, 1)
    return {
        "epoch": 1,
        "phase": "frozen",
        "loss": solved.loss,
        "validation_loss": loss,
        **{f"validation_{name}": value for name, value in figures.items()},
        "learning_rate": 0.0,
        "seconds": round(time.perf_counter() - began, 3),
        "images_per_second": round(views * len(targets) / computed, 2),
        "input_wait": 0.0,
    }
