"""The contract of explainers, and what they see of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax

Score = Literal["logit", "log_odds", "probability"]
Activation = Callable[["jax.Array"], "jax.Array"]


@dataclass(frozen=True)
class NetworkView:
    """A network in eval mode as pure functions, to be called while an explainer is traced.

    Attributes:
        features: standardised images ``[B, *S, C]``, and a stage as second argument where another one than the last is
            wanted, to features: an array ``[B, *s, D]`` or a ``Features``.
        classify: features, and their stage, to logits ``[B, K]`` float32.
        stages: what can be tapped, first to last; ``()`` where there is only the last.
        task: ``"multiclass"`` or ``"multilabel"``.
        at_once: images that should go through the network at once; methods that try many variants of an image cut them
            into chunks of about so many, which bounds their memory.
        linear_head: ``[D, K]`` where ``logits = mean over places of the features @ linear_head + anything that is the
            same for all features``; else None.
        attention: images to attention ``[B, L, A, N, N]`` of L layers with A heads, see
            :class:`~medplug.contracts.architecture.Network`; None where the network declares none.
        with_activations: the same network in which every activation function ``f`` is ``rule(f)``; None where the
            network does not declare where they are.
    """

    features: Callable[..., Any]
    classify: Callable[..., jax.Array]
    stages: tuple[str, ...] = ()
    task: Literal["multiclass", "multilabel"] = "multiclass"
    at_once: int = 4
    linear_head: jax.Array | None = None
    attention: Callable[[jax.Array], jax.Array] | None = None
    with_activations: Callable[[Callable[[Activation], Activation]], NetworkView] | None = None

    def logits(self, images: jax.Array) -> jax.Array:
        """Standardised images ``[B, *S, C]`` to logits ``[B, K]`` float32."""
        return self.classify(self.features(images))

    def scores(self, logits: jax.Array, classes: jax.Array, kind: Score = "logit") -> jax.Array:
        """Logits ``[B, K]`` to what maps explain: the scores ``[B, T]`` of ``classes`` ``[B, T]``.

        ``"log_odds"`` is the logit less the logarithm of the summed exponentials of the others, which in multi-label
        tasks is the logit itself; ``"probability"`` is the softmax, or the sigmoid in multi-label tasks.
        """
        import jax
        import jax.numpy as jnp

        exclusive = self.task == "multiclass"
        if kind == "log_odds" and exclusive:
            own = jnp.eye(logits.shape[1], dtype=bool)
            others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits[:, None, :]), axis=2)
            logits = logits - others
        elif kind == "probability":
            logits = jax.nn.softmax(logits) if exclusive else jax.nn.sigmoid(logits)
        return jnp.take_along_axis(logits, classes, axis=1)


@runtime_checkable
class Explainer(Protocol):
    """Maps of where in an image the score of a class is sensitive. Pure JAX, compiled by the engine.

    Maps are raw and signed: positive values speak for the class. Scaling, clipping and colours are the
    business of rendering. Images of a batch do not influence each other.

    Optional attributes, which the engine reads:
        ``needs``: names of the attributes of :class:`NetworkView` that must not be None, as in ``("attention",)``; a
        network without them is refused before anything is computed.
        ``stage``: of the features that are looked at; one that the network does not have is refused in the same way.
        ``class_specific``: False where a map does not depend on the class that is asked for.
        ``against``: True where positive values speak against the class.
        ``completeness_error(network, images, classes, maps)``: of methods whose maps should sum to a known difference of
            scores: ``[B, T]`` float32, how far ``maps`` are from it, as a share of that difference. It is told beside each
            map.
    """

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 of any size ``s``; rendering brings them to the size of the image.

        ``images`` ``[B, *S, C]`` float32 are standardised. ``classes`` ``[B, T]`` int32 are the classes to explain,
        traced. ``keys`` ``[B]`` are typed random keys, one an image, for methods that sample: what is drawn for an
        image depends on its own key alone.
        """
        ...
