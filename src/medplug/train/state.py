"""What training carries along: the network's variables in four parts, the optimizer's moments, and an average."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from medplug.errors import RunError
from medplug.model.network import BuiltNetwork, like, to_numpy


class Average(NamedTuple):
    """An exponential moving average of the parameters that a phase trains.

    Attributes:
        count: int32, the steps that are in it.
        head, body: as in :class:`TrainState`; ``body`` is None while only the head is trained.
    """

    count: Any
    head: Any
    body: Any


class TrainState(NamedTuple):
    """A pytree.

    Attributes:
        head: parameters of the classifier.
        body: all other parameters.
        stats: batch statistics.
        rest: every other variable, such as the keys of dropout.
        moments: the optimizer's state over the parameters that a phase trains.
        average: of those parameters over the steps of the phase, or None.
    """

    head: Any
    body: Any
    stats: Any
    rest: Any
    moments: Any = None
    average: Average | None = None


class Modes(NamedTuple):
    """The network's structure in each mode; the mode of a layer is part of the structure."""

    frozen: Any
    full: Any
    evaluate: Any


def split_network(network: BuiltNetwork, batch_norm: str) -> tuple[Modes, TrainState]:
    """The structure in each mode, and the variables.

    In phase one (``frozen``) only the head is in training mode, so batch statistics do not move. In phase two
    (``full``) everything is, unless ``batch_norm`` is ``"frozen"``: then statistics stay as they are.
    """
    module = network.module
    is_head = nnx.All(nnx.Param, lambda path, _: bool(path) and str(path[0]) in network.head)
    filters = (is_head, nnx.Param, nnx.BatchStat, ...)
    module.eval()
    evaluate, head, body, stats, rest = nnx.split(module, *filters)
    for name in network.head:
        getattr(module, name).train()
    module.set_attributes(use_running_average=True, raise_if_not_found=False)  # also of norms in the head
    frozen = nnx.split(module, *filters)[0]
    module.train()
    if batch_norm == "frozen":
        module.set_attributes(use_running_average=True, raise_if_not_found=False)
    full = nnx.split(module, *filters)[0]
    module.eval()
    return Modes(frozen, full, evaluate), jax.tree.map(jnp.copy, TrainState(head, body, stats, rest))


def merge(graph: Any, state: TrainState) -> Any:
    """The module of a mode with these variables, safe under another trace."""
    return nnx.merge(graph, state.head, state.body, state.stats, state.rest, copy=True)


def trainable(state: TrainState, frozen: bool) -> Any:
    """The parameters that a phase trains."""
    return state.head if frozen else (state.head, state.body)


def with_trainable(state: TrainState, params: Any, frozen: bool) -> TrainState:
    """The state with other values of the parameters that a phase trains."""
    return state._replace(head=params) if frozen else state._replace(head=params[0], body=params[1])


def write_back(network: BuiltNetwork, state: TrainState) -> None:
    """Put trained variables into the network's module."""
    nnx.update(network.module, state.head, state.body, state.stats, state.rest)


def to_leaves(tree: Any) -> dict[str, Any]:
    """A pytree as a flat dict of NumPy arrays, for a checkpoint."""
    return {f"{i:05d}": to_numpy(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}


def from_leaves(template: Any, leaves: dict[str, Any]) -> Any:
    """The inverse of :func:`to_leaves`, for a tree that looks like the template."""
    old, structure = jax.tree.flatten(template)
    shapes = [to_numpy(leaf).shape for leaf in old]
    if shapes != [leaves[key].shape for key in sorted(leaves)]:
        raise RunError(
            "the checkpoint belongs to another network; resume with the architecture that it was started with"
        )
    return structure.unflatten([like(leaves[f"{i:05d}"], leaf) for i, leaf in enumerate(old)])
