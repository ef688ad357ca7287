"""The compiled steps: augment, mix, loss, gradient, update; and the same without all but the loss for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from medplug.config.settings import TrainingSettings
from medplug.errors import ContractError
from medplug.model.apply import cache_friendly_batch, divisor, in_parts, probabilities
from medplug.train.state import Modes, TrainState, merge, trainable, with_trainable
from medplug.train.update import Update, move_average

_PREPROCESSING, _MIXING = 2**31 - 1, 2**31 - 2  # numbers that no augmenter's place in its list reaches


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
        mixers: applied in order, after the augmenters.
    """

    modes: Modes
    prepare: Callable[[jax.Array, jax.Array | None], jax.Array]
    augmenters: tuple[Any, ...]
    loss: Any
    class_counts: jax.Array
    task: str
    mixers: tuple[Any, ...] = ()

    def augment(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """uint8 images to augmented float32 in [0, 1]."""
        x = images.astype(jnp.float32) / 255
        for number, augmenter in enumerate(self.augmenters):
            before, x = x, augmenter(jax.random.fold_in(key, number), x)
            _same_form("augmenter", augmenter, before, x)
        return jnp.clip(x, 0, 1)

    def mix(self, key: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Images in [0, 1] and their targets, blended with others of the batch."""
        for number, mixer in enumerate(self.mixers):
            before = images, targets
            images, targets = mixer(jax.random.fold_in(jax.random.fold_in(key, _MIXING), number), images, targets)
            for old, new in zip(before, (images, targets), strict=True):
                _same_form("mixer", mixer, old, new)
        return images, targets

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


def _same_form(kind: str, component: Any, before: jax.Array, after: jax.Array) -> None:
    if after.shape != before.shape or after.dtype != before.dtype:
        raise ContractError(
            f"the {kind} {type(component).__name__} must keep shape and dtype: "
            f"{before.dtype} {list(before.shape)} became {after.dtype} {list(after.shape)}"
        )


def make_train_step(
    objective: Objective, update: Update, *, frozen: bool, micro_batch: int
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """``step(state, images, targets, key, rate, decay) -> (state, mean loss)``; the old state's memory is reused.

    With ``micro_batch`` the gradient is accumulated over parts of the batch, which keeps activations in the
    processor's cache, and memory small. With frozen batch statistics that is exact, for images of a batch do not meet;
    else each part has its own statistics. ``decay`` is that of the average, where the state has one.
    """
    graph = objective.modes.frozen if frozen else objective.modes.full

    def total(
        params: Any, state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        module = merge(graph, with_trainable(state, params, frozen))
        values, _ = objective.losses(module, images, targets, key)
        return values.sum(), nnx.split(module, nnx.Param, nnx.BatchStat, ...)[2:]

    gradient = jax.value_and_grad(total, has_aux=True)

    def whole(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any, TrainState]:
        (loss, (stats, rest)), grads = gradient(trainable(state, frozen), state, images, targets, key)
        return loss, grads, state._replace(stats=stats, rest=rest)

    def in_micro_batches(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any, TrainState]:
        parts = len(images) // micro_batch
        cut = [x.reshape(parts, micro_batch, *x.shape[1:]) for x in (images, targets)]
        params = trainable(state, frozen)

        def body(carry: Any, part: Any) -> tuple[Any, None]:
            loss, grads, stats, rest = carry
            now = state._replace(stats=stats, rest=rest)
            (value, (stats, rest)), more = gradient(params, now, part[0], part[1], part[2])
            return (loss + value, jax.tree.map(jnp.add, grads, more), stats, rest), None

        start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params), state.stats, state.rest)
        (loss, grads, stats, rest), _ = jax.lax.scan(body, start, (*cut, jax.random.split(key, parts)))
        return loss, grads, state._replace(stats=stats, rest=rest)

    def step(
        state: TrainState, images: jax.Array, targets: jax.Array, key: jax.Array, rate: jax.Array, decay: jax.Array
    ) -> tuple[TrainState, jax.Array]:
        n = len(images)
        images, targets = objective.mix(key, objective.augment(key, images), targets)
        cut = micro_batch and n > micro_batch and n % micro_batch == 0
        loss, grads, state = (in_micro_batches if cut else whole)(state, images, targets, key)
        grads = jax.tree.map(lambda g: g / n, grads)
        params, moments = update(trainable(state, frozen), grads, state.moments, rate)
        return move_average(with_trainable(state, params, frozen)._replace(moments=moments), decay), loss / n

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
    """How many images go through the network at once.

    What the settings say; else 0, the whole batch, where parts would have batch statistics of their own, and a few
    images where they would not.
    """
    if settings.micro_batch is None and not frozen and settings.batch_norm == "batch":
        return 0
    return divisor(batch, settings.micro_batch or cache_friendly_batch(batch))


def sequence_key(base: jax.Array, numbers: Sequence[int]) -> jax.Array:
    """A key for a place in a run, such as (stream, epoch, step), without any state."""
    for number in numbers:
        base = jax.random.fold_in(base, number)
    return base
