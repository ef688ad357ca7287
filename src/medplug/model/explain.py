"""A network as explainers see it, and explainers as compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.contracts.explainer import NetworkView
from medplug.errors import ContractError, UsageError
from medplug.model.apply import cache_friendly_batch, in_parts
from medplug.model.network import BuiltNetwork
from medplug.seeds import child_seed

_ON_DEVICE = 64  # images at once where memory is all that bounds them
_DECLARED_BY = {
    "attention": "its attention maps (`attention`)",
    "linear_head": "a pooled, linear head (`linear_head`)",
    "with_activations": "where its activation functions are (`activations`)",
}


def network_view(module: Callable[[], Any], task: Any) -> NetworkView:
    """What an explainer sees of the network that ``module()`` gives anew at each call, in eval mode."""
    example = module()
    declared = tuple(getattr(example, "activations", ()))
    head = example.linear_head() if hasattr(example, "linear_head") else None

    def with_activations(rule: Callable[[Any], Any]) -> NetworkView:
        def changed() -> Any:
            found = module()
            _replace_activations(found, declared, rule)
            return found

        return network_view(changed, task)

    return NetworkView(
        features=lambda images, stage=None: module().features(images, stage),
        classify=lambda features, stage=None: module().classify(features, None, stage),
        stages=tuple(example.stages),
        task=task,
        at_once=cache_friendly_batch(_ON_DEVICE),
        linear_head=head,
        attention=(lambda images: module().attention(images)) if hasattr(example, "attention") else None,
        with_activations=with_activations if declared else None,
    )


def check_explainer(name: str, explainer: Any, network: BuiltNetwork) -> None:
    """Refuse an explainer that this network cannot serve, before anything is computed.

    Raises:
        UsageError: what the explainer needs is not declared, or there is no such stage.
    """
    # The name of the network's class, as its author wrote it.
    kind, view = type(network.module).__name__, network_view(lambda: network.module, "multiclass")
    for needed in getattr(explainer, "needs", ()):
        if getattr(view, needed, None) is None:
            what = _DECLARED_BY.get(needed, needed)
            raise UsageError(
                f"{name} cannot explain {kind}: the network does not declare {what}; choose another explainer"
            )
    stage = getattr(explainer, "stage", None)
    if stage is not None and stage not in view.stages:
        known = f"its stages are {', '.join(view.stages)}" if view.stages else "it has only one"
        raise UsageError(f"{name}: the network {kind} has no stage {stage!r}; {known}")


def explain_function(network: BuiltNetwork, explainer: Any, task: str) -> Callable[[Any, Any, jax.Array], jax.Array]:
    """(uint8 images ``[B, *S, C]``, classes ``[B, T]``, keys ``[B]``) to raw maps ``[B, T, *s]``, compiled once per shape."""
    explain = standardised_explain_function(network, explainer, task)
    prepare = jax.jit(lambda images: network.prepare(images.astype(jnp.float32) / 255))
    return lambda images, classes, keys: explain(prepare(jnp.asarray(images)), classes, keys)


def standardised_explain_function(network: BuiltNetwork, explainer: Any, task: str) -> Callable[..., jax.Array]:
    """(standardised images ``[B, *S, C]`` float32, classes ``[B, T]``, keys ``[B]``) to raw maps ``[B, T, *s]``.

    A fourth argument explains a network of the same structure with other weights, without compiling anew.
    """
    graph, state = nnx.split(network.module)

    @jax.jit
    def explain(state: Any, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        def part(x: jax.Array, c: jax.Array, k: jax.Array) -> jax.Array:
            return explainer(network_view(lambda: nnx.merge(graph, state, copy=True), task), x, c, k)

        return in_parts(part, images, classes, keys)

    def checked(images: Any, classes: Any, keys: jax.Array, other: BuiltNetwork | None = None) -> jax.Array:
        classes = jnp.asarray(classes, jnp.int32)
        count = len(images)
        if classes.ndim != 2 or len(classes) != count:
            raise ContractError(f"classes must be [B, T] for {count} images, got {list(classes.shape)}")
        if keys.shape != (count,):
            raise ContractError(f"there must be one random key for each of {count} images, got {list(keys.shape)}")
        weights = state if other is None else nnx.state(other.module)
        maps = explain(weights, jnp.asarray(images), classes, keys)
        if maps.shape[:2] != classes.shape or maps.ndim < 3 or maps.dtype != np.float32:
            raise ContractError(f"an explainer must give [B, T, *s] float32, got {list(maps.shape)} {maps.dtype}")
        return maps

    return checked


def completeness_function(network: BuiltNetwork, explainer: Any, task: str) -> Callable[..., jax.Array] | None:
    """(uint8 images ``[B, *S, C]``, classes ``[B, T]``, raw maps) to the maps' completeness errors ``[B, T]`` float32.

    None for explainers whose maps need not sum to anything.
    """
    if not hasattr(explainer, "completeness_error"):
        return None
    graph, state = nnx.split(network.module)

    @jax.jit
    def error(state: Any, images: jax.Array, classes: jax.Array, maps: jax.Array) -> jax.Array:
        def part(x: jax.Array, c: jax.Array, m: jax.Array) -> jax.Array:
            view = network_view(lambda: nnx.merge(graph, state, copy=True), task)
            return explainer.completeness_error(view, network.prepare(x.astype(jnp.float32) / 255), c, m)

        return in_parts(part, images, classes, maps)

    def checked(images: Any, classes: Any, maps: Any) -> jax.Array:
        classes = jnp.asarray(classes, jnp.int32)
        found = error(state, jnp.asarray(images), classes, jnp.asarray(maps))
        if found.shape != classes.shape:
            raise ContractError(f"completeness_error must give [B, T], got {list(found.shape)}")
        return found

    return checked


def image_keys(seed: int, samples: list[str]) -> jax.Array:
    """Random keys ``[B]``, each from the seed and the name of the sample: no map depends on which others are made."""
    return jax.vmap(jax.random.key)(
        jnp.asarray([child_seed(seed, f"explainer/{name}") for name in samples], jnp.uint32)
    )


def _replace_activations(module: Any, names: tuple[str, ...], rule: Callable[[Any], Any]) -> None:
    for _, node in nnx.iter_graph(module):
        if isinstance(node, nnx.Module):
            for name in names:
                if callable(getattr(node, name, None)):
                    setattr(node, name, rule(getattr(node, name)))
