"""Building a network from an architecture, and its state as plain arrays by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.contracts.architecture import Preprocessing
from medplug.data.preprocess import Preprocessors
from medplug.errors import ContractError, WeightsError
from medplug.model.preprocess import prepare

_LISTED = 12  # so many names stand in an error message


@dataclass(frozen=True)
class BuiltNetwork:
    """A network with what its weights expect of images.

    Attributes:
        module: the ``flax.nnx`` module, in eval mode.
        preprocessing: size and channels of the input, and what the weights expect of its values.
        head: names of the classifier's submodules.
        loaded: how many arrays came from the architecture's weights.
        left_out: paths of the head that kept their initial values.
        preprocessors: those of the run; None, outside of one, standardises as ``preprocessing`` says.
    """

    module: Any
    preprocessing: Preprocessing
    head: tuple[str, ...]
    loaded: int = 0
    left_out: tuple[str, ...] = ()
    preprocessors: Preprocessors | None = None

    def __call__(self, images: Any) -> jax.Array:
        """Standardised images ``[B, *S, C]`` float32 to logits ``[B, K]``."""
        return self.module(images)

    def features(self, images: Any, stage: str | None = None) -> Any:
        """Standardised images to features ``[B, *s, D]``."""
        return self.module.features(images, stage)

    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        """Features to logits ``[B, K]``."""
        return self.module.classify(features, metadata, stage)

    def standardise(self, images: Any) -> jax.Array:
        """uint8 images ``[B, *S, C]`` to what the network sees, float32."""
        return self.prepare(jnp.asarray(images, jnp.float32) / 255)

    def prepare(self, images: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Images ``[B, *S, C]`` float32 in [0, 1] to what the network sees; ``key`` in training."""
        steps = None if self.preprocessors is None else self.preprocessors.batch
        return prepare(images, steps, self.preprocessing, key)

    def within(self, preprocessors: Preprocessors) -> BuiltNetwork:
        """The network with the preprocessors of a run."""
        return replace(self, preprocessing=preprocessors.target, preprocessors=preprocessors)


def build(
    architecture: Any, input_shape: tuple[int, ...], classes: int, seed: int, pretrained: bool = True
) -> BuiltNetwork:
    """A network for ``classes`` classes, with the architecture's weights where it has some.

    Args:
        architecture: meets the contract of architectures.
        input_shape: ``(*S, C)``.
        classes: K.
        seed: decides initial values.
        pretrained: whether to load the architecture's weights; off where a run's own weights follow.

    Raises:
        WeightsError: the weights do not fit.
        ContractError: the architecture broke its contract.
    """
    preprocessing, head = architecture.preprocessing, tuple(architecture.head)
    lengths = {len(preprocessing.mean), len(preprocessing.std)}
    if not preprocessing.per_image and lengths != {preprocessing.channels}:
        raise ContractError(
            f"{type(architecture).__name__}: preprocessing needs one mean and std per channel ({preprocessing.channels})"
        )
    if input_shape[-1] != preprocessing.channels:
        raise ContractError(
            f"{type(architecture).__name__}: expects {preprocessing.channels} channels, got an input of {input_shape}"
        )
    rngs = nnx.Rngs(params=jax.random.key(seed), dropout=jax.random.fold_in(jax.random.key(seed), 1))
    module = architecture.build(input_shape, classes, rngs=rngs)
    module.eval()
    missing = [name for name in head if not hasattr(module, name)]
    if missing:
        raise ContractError(f"{type(architecture).__name__}: head names {missing}, which the network does not have")
    if not pretrained:
        return BuiltNetwork(module, preprocessing, head)
    arrays = architecture.pretrained(input_shape, classes)
    if not arrays:
        return BuiltNetwork(module, preprocessing, head)
    left_out = load_arrays(module, arrays, optional=head)
    return BuiltNetwork(module, preprocessing, head, len(arrays), left_out)


def load_arrays(module: Any, arrays: Mapping[str, np.ndarray], optional: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Put arrays into a module by path, strictly.

    Args:
        arrays: by path, as :func:`weight_arrays` names them.
        optional: submodules whose arrays may be missing or of another shape; they are then left as they are.

    Returns:
        The paths below ``optional`` that were left.

    Raises:
        WeightsError: with all missing, surplus and misshapen names.
    """
    variables = _weights(module)
    fits = {p for p, v in variables.items() if p in arrays and tuple(arrays[p].shape) == tuple(_data(v).shape)}
    lenient = {p for p in {*variables, *arrays} if p.split("/")[0] in optional}
    missing = sorted(set(variables) - set(arrays) - lenient)
    surplus = sorted(set(arrays) - set(variables) - lenient)
    misshapen = sorted(p for p in set(variables) & set(arrays) - fits - lenient)
    if missing or surplus or misshapen:
        shapes = [f"{p} {tuple(arrays[p].shape)} instead of {tuple(_data(variables[p]).shape)}" for p in misshapen]
        parts = [
            f"{word}: {_list(names)}"
            for word, names in (("missing", missing), ("surplus", surplus), ("of another shape", shapes))
            if names
        ]
        raise WeightsError(f"the weights do not fit the network; {'; '.join(parts)}")
    for path in fits:
        variables[path].set_value(jnp.asarray(arrays[path], _data(variables[path]).dtype))
    return tuple(sorted(p for p in lenient & set(variables) if p not in fits))


def weight_arrays(module: Any) -> dict[str, np.ndarray]:
    """All that a finished network needs, by path: parameters and statistics, but no random keys."""
    return {path: to_numpy(_data(variable)) for path, variable in _weights(module).items()}


def to_numpy(value: Any) -> np.ndarray:
    """An array on the host; typed random keys as uint32."""
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value)


def like(value: np.ndarray, template: Any) -> jax.Array:
    """The inverse of :func:`to_numpy`, for a value that looks like the template."""
    if jnp.issubdtype(template.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(value), impl=jax.random.key_impl(template))
    return jnp.asarray(value, template.dtype)


def _weights(module: Any) -> dict[str, Any]:
    variables = {"/".join(map(str, path)): v for path, v in nnx.iter_graph(module) if isinstance(v, nnx.Variable)}
    return {path: v for path, v in variables.items() if not isinstance(v, nnx.RngState)}


def _data(variable: Any) -> Any:
    return variable.get_value() if isinstance(variable, nnx.Variable) else variable


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
