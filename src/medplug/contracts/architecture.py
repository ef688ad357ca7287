"""The contract of architectures, and of the networks that they build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import jax
    import numpy as np
    from flax import nnx

_SMOOTH = 1e-6 / 255  # keeps images of one colour finite


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What an architecture's weights were trained with.

    Weights that want 0..255 say ``mean=(0, 0, 0), std=(1 / 255,) * 3``; those that want -1..1 say 0.5 and 0.5. Weights
    that were trained on BGR images have the channels of their first kernel turned around when they are converted.

    Attributes:
        size: default edge of the input, pixels; preprocessors are handed the edge that they have to deliver.
        channels: channels of the input, 1 or 3.
        mean, std: one value per channel, of images in [0, 1]; the network sees ``(image - mean) / std``.
        per_image: each image is brought to mean 0 and standard deviation 1 instead (z-score over all its values).
    """

    size: int = 224
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    per_image: bool = False

    def standardise(self, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32 in [0, 1] to what the weights were trained with."""
        import numpy as np

        if self.per_image:
            axes = tuple(range(1, images.ndim))
            # Less the first value: else the rounding of the mean would be the contrast of an image of one colour.
            images = images - images[(slice(None), *(slice(1),) * len(axes))]
            return (images - images.mean(axes, keepdims=True)) / (images.std(axes, keepdims=True) + _SMOOTH)
        scale = 1 / np.asarray(self.std, np.float32)
        return images * scale - np.asarray(self.mean, np.float32) * scale


class Features(NamedTuple):
    """Features with a part that has no place in the image, such as a class token.

    Attributes:
        spatial: ``[B, *s, D]``, what explainers look at.
        token: ``[B, E]``, or None.
    """

    spatial: Any
    token: Any = None


@runtime_checkable
class Network(Protocol):
    """A ``flax.nnx.Module`` in two halves, so that explainers need no layer names.

    ``network(x)`` equals ``classify(features(x))``. In ``eval()`` mode the rows of a batch do not influence
    each other. ``stages`` names the places that can be tapped, first to last; ``()`` where there is only
    the last one.

    What some explainers need beyond that, a network may declare:
        ``activations``: names of the attributes in which its modules keep their activation functions, as in
        ``("activation",)``. It promises that there are no others.
        ``linear_head()``: an array ``[D, K]``, for networks whose logits are the mean of the last features over all
        places, times this array, plus a constant; None where dense layers are not all linear.
        ``attention(images)``: ``[B, L, A, N, N]`` float32, what each of N tokens (rows, which sum to 1) takes from each
        other in each of A heads of L layers, first to last. The last tokens are the places of ``features``, in
        order; class tokens and the like come first.
    """

    stages: tuple[str, ...]

    def features(self, images: jax.Array, stage: str | None = None) -> jax.Array | Features:
        """Standardised images ``[B, *S, C]`` float32 to features ``[B, *s, D]``: after a stage, by default the last."""
        ...

    def classify(self, features: Any, metadata: jax.Array | None = None, stage: str | None = None) -> jax.Array:
        """Features of a stage (by default the last) to logits ``[B, K]`` float32.

        ``metadata`` is ``[B, M]`` float32 for networks that take it; others ignore it.
        """
        ...

    def __call__(self, images: jax.Array, metadata: jax.Array | None = None) -> jax.Array:
        """Standardised images to logits ``[B, K]`` float32."""
        ...


@runtime_checkable
class Architecture(Protocol):
    """Builds a network for a number of classes, and knows the weights that it can start from.

    An architecture has the attribute ``preprocessing``, the attribute ``head`` (names of the submodules that
    belong to the classifier: they are trained while the rest is frozen, and left out when weights come from
    another set of classes), and as a rule a parameter ``weights``: a name, a path, or None. A class attribute
    ``test_size`` tells the conformance kit the smallest sensible edge where 32 pixels are too few.
    """

    @property
    def preprocessing(self) -> Preprocessing:
        """What the chosen weights expect of images."""
        ...

    @property
    def head(self) -> tuple[str, ...]:
        """Names of the submodules of the classifier, as in ``("head",)``."""
        ...

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """A :class:`Network` with initial weights; ``input_shape`` is ``(*S, C)``. The keys in ``rngs`` decide them."""
        ...

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> Mapping[str, np.ndarray]:
        """The weights to start from by path (``"stem/conv/kernel"``), in the network's own layout; empty for none.

        Arrays of the head may be missing or belong to another number of classes; all else must fit, or the
        engine refuses with the list of missing and surplus names.
        """
        ...
