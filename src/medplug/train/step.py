"""The compiled steps: augment, loss, gradient, update; and the same without the update for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from medplug.config.settings import TrainingSettings
from medplug.errors import ContractError
from medplug.model.apply import cache_friendly_batch, divisor, in_parts, probabilities
from medplug.train.state import Modes, TrainState, merge

_PREPROCESSING = 2**31 - 1  # a number that no augmenter's place in its list reaches


@dataclass(frozen=True)
class Objective:
    """What a step needs besides variables and a batch; constant over a run.

    Attributes:
        modes: the network's structure in each mode.
        prepare: images in [0, 1] and a key, or None in evaluation, to what the network sees.
        augmenters: applied in order.
        loss: meets the contract of losses.
        class_counts: ``[K, 2]`` of the training split.
        task: decides the activation.
    """

    modes: Modes
    prepare: Callable[[jax.Array, jax.Array | None], jax.Array]
    augmenters: tuple[Any, ...]
    loss: Any
    class_counts: jax.Array
    task: str

    def augment(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """uint8 images to augmented float32 in [0, 1]."""
        x = images.astype(jnp.float32) / 255
        for number, augmenter in enumerate(self.augmenters):
            before, x = x, augmenter(jax.random.fold_in(key, number), x)
            _same_form(augmenter, before, x)
        return jnp.clip(x, 0, 1)

    def losses(
        self, module: Any, images: jax.Array, targets: jax.Array, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Losses ``[B]`` and logits ``[B, K]`` of images in [0, 1]; ``key`` in training."""
        key = None if key is None else jax.random.fold_in(key, _PREPROCESSING)
        logits = module(self.prepare(images, key)).astype(jnp.float32)
        values = self.loss(logits, targets, self.class_counts)
        if getattr(values, "shape", None) != (len(images),):
            got = f"{getattr(values, 'dtype', type(values).__name__)} {list(getattr(values, 'shape', ()))}"
            raise ContractError(
                f"the loss {type(self.loss).__name__} must give [B] float32, one value a sample, got {got}"
            )
        return values, logits


def _same_form(augmenter: Any, before: jax.Array, after: jax.Array) -> None:
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ContractError(
            f"the augmenter {type(augmenter).__name__} must keep shape and dtype: "
            f"{before.dtype} {list(before.shape)} became {after.dtype} {list(after.shape)}"
        )


def make_optimizer(settings: TrainingSettings) -> optax.GradientTransformation:
    """Clipping, Adam's moments and decoupled decay (Loshchilov & Hutter 2019); the learning rate is applied by the step."""
    parts = [optax.clip_by_global_norm(settings.gradient_clip)] if settings.gradient_clip else []
    parts.append(optax.scale_by_adam(eps=settings.epsilon))
    if settings.optimizer == "adamw" and settings.weight_decay:
        parts.append(optax.add_decayed_weights(settings.weight_decay, mask=_decays))
    return optax.chain(*parts)


def _decays(params: Any) -> Any:
    """Matrices and kernels decay; norms and biases, which have one axis, do not."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def trainable(state: TrainState, frozen: bool) -> Any:
    """The parameters that a phase trains."""
    return state.head if frozen else (state.head, state.body)


def with_trainable(state: TrainState, params: Any, frozen: bool) -> TrainState:
    """The state with other values of the parameters that a phase trains."""
    return state._replace(head=params) if frozen else state._replace(head=params[0], body=params[1])


def make_train_step(
    objective: Objective, optimizer: optax.GradientTransformation, *, frozen: bool, micro_batch: int
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """``step(state, images, targets, key, rate) -> (state, mean loss)``; the old state's memory is reused.

    With ``micro_batch`` the gradient is accumulated over parts of the batch. That is exact where images of a
    batch do not meet, that is, with frozen batch statistics, and keeps activations in the processor's cache.
    """
    graph = objective.modes.frozen if frozen else objective.modes.full

    def total(
        params: Any, state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        module = merge(graph, with_trainable(state, params, frozen))
        values, _ = objective.losses(module, objective.augment(key, images), targets, key)
        return values.sum(), nnx.split(module, nnx.Param, nnx.BatchStat, ...)[2:]

    gradient = jax.value_and_grad(total, has_aux=True)

    def accumulate(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any, TrainState]:
        parts = len(images) // micro_batch
        cut = [x.reshape(parts, micro_batch, *x.shape[1:]) for x in (images, targets)]
        params = trainable(state, frozen)

        def body(carry: Any, part: Any) -> tuple[Any, None]:
            loss, grads, rest = carry
            (value, (_, rest)), more = gradient(params, state._replace(rest=rest), part[0], part[1], part[2])
            return (loss + value, jax.tree.map(jnp.add, grads, more), rest), None

        start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params), state.rest)
        (loss, grads, rest), _ = jax.lax.scan(body, start, (*cut, jax.random.split(key, parts)))
        return loss, grads, state._replace(rest=rest)

    def step(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array, rate: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        n = len(images)
        params = trainable(state, frozen)
        if micro_batch and n > micro_batch and n % micro_batch == 0:
            loss, grads, state = accumulate(state, images, targets, key)
        else:
            (loss, (stats, rest)), grads = gradient(params, state, images, targets, key)
            state = state._replace(stats=stats, rest=rest)
        grads = jax.tree.map(lambda g: g / n, grads)
        updates, moments = optimizer.update(grads, state.moments, params)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return with_trainable(state, params, frozen)._replace(moments=moments), loss / n

    return jax.jit(step, donate_argnums=0)


def make_validate_step(objective: Objective, augmented: bool) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """``validate(state, images, targets, key) -> (losses [B], probabilities [B, K])`` in eval mode."""

    @jax.jit
    def validate(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        x = objective.augment(key, images) if augmented else images.astype(jnp.float32) / 255

        def part(x: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
            values, logits = objective.losses(merge(objective.modes.evaluate, state), x, targets)
            return values, probabilities(logits, objective.task)

        return in_parts(part, x, targets)

    return validate


def micro_batch_size(settings: TrainingSettings, frozen: bool, batch: int) -> int:
    """How many images go through the network at once; 0 where cutting the batch would change the result."""
    if not frozen and settings.batch_norm == "batch":
        return 0
    return divisor(batch, settings.micro_batch or cache_friendly_batch(batch))


def sequence_key(base: jax.Array, numbers: Sequence[int]) -> jax.Array:
    """A key for a place in a run, such as (stream, epoch, step), without any state."""
    for number in numbers:
        base = jax.random.fold_in(base, number)
    return base
