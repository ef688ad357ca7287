"""Does a map change when the network forgets what it has learned?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from medplug.contracts.architecture import Network
from medplug.explain.faithfulness.agreement import spearman
from medplug.model.network import BuiltNetwork, load_arrays, weight_arrays
from medplug.seeds import child_seed


class Cascade(NamedTuple):
    """Maps of ever more forgetful networks, against those of the network.

    Attributes:
        names: L steps, each the submodules that it shuffles beside those before, joined by ``", "``.
        correlations: ``[L, N]`` float64, rank correlations of the signed maps; NaN where one is constant, or a map
            of the shuffled network is not finite.
    """

    names: tuple[str, ...]
    correlations: np.ndarray


def cascade(
    network: BuiltNetwork, explain_with: Callable[[BuiltNetwork], np.ndarray], maps: np.ndarray, seed: int = 0
) -> Cascade:
    """Shuffle the parameters from the logits down, step by step, and see how far the maps follow.

    The head goes first, then the stages from the last to the first, see :func:`levels` and :func:`shuffled`. A faithful
    map has nothing in common with its former self in the end; one that keeps its order of places shows the image, not
    the network. Signed maps are compared, as they are given: where evidence for turned into evidence against, the map
    has changed.

    Args:
        network: is not changed.
        explain_with: a network of the same structure to maps ``[N, *s]``. It is called once a step; one that takes the
            weights (``nnx.state(network.module)``) as an argument is compiled only once.
        maps: ``[N, *s]`` of ``network``, as ``explain_with`` gives them.
        seed: decides the order of the shuffled values.

    Reference: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomisation).
    """
    steps = levels(network)
    found, done = [], ()
    for names in steps:
        done += names
        found.append(spearman(np.asarray(maps), np.asarray(explain_with(shuffled(network, done, seed)))))
    return Cascade(tuple(", ".join(names) for names in steps), np.stack(found))


def levels(network: BuiltNetwork) -> tuple[tuple[str, ...], ...]:
    """Names of the network's submodules from the top down: the head, then each stage's, the last stage first.

    A submodule that is named like a stage begins it; what is defined after it, as its norm may be, belongs to it too,
    and what is defined before the first to that one. Where no submodule is named like a stage, each is a step of its
    own, the one defined last first.
    """
    owned = {path.split("/")[0] for path in _parameters(network.module)}
    names = [name for name in vars(network.module) if name in owned]
    names += sorted(owned - set(names))
    head = tuple(name for name in names if name in network.head)
    body = [name for name in names if name not in network.head]
    stages = set(network.module.stages) & set(body)
    groups: list[tuple[str, ...]] = []
    for name in body:
        begun = bool(groups) and bool(stages.intersection(groups[-1]))
        if groups and stages and (name not in stages or not begun):
            groups[-1] += (name,)
        else:
            groups.append((name,))
    return tuple(group for group in (head, *groups[::-1]) if group)


def shuffled(network: BuiltNetwork, submodules: tuple[str, ...], seed: int = 0) -> BuiltNetwork:
    """The network with the parameters of some submodules in random order; the given one stays as it is.

    Each parameter keeps its values: vectors are shuffled whole, kernels among the inputs of each output (the last axis)
    by itself. So mean and deviation stay, of all and for each output, and with them about the size of the features, for
    which the running statistics of batch norms, which are left, still hold. Kernels that are drawn anew, or shuffled
    across outputs, let features grow from layer to layer until they overflow: a DenseNet121 with outputs of uneven
    size reached 1e24. What an output looks for is lost all the same. The order drawn for a parameter depends on the
    seed and its path alone.
    """
    module: Any = nnx.clone(network.module)
    arrays, parameters = weight_arrays(module), _parameters(module)
    for path in parameters:
        if path.split("/")[0] in submodules:
            draws = np.random.default_rng(child_seed(seed, "cascade", path))
            arrays[path] = _in_random_order(arrays[path], draws)
    load_arrays(module, arrays)
    return replace(network, module=module)


def _in_random_order(values: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    if values.ndim < 2:
        return draws.permutation(values)
    return draws.permuted(values.reshape(-1, values.shape[-1]), axis=0).reshape(values.shape)


def _parameters(module: Network) -> list[str]:
    """Paths of what training fits, in order; no statistics."""
    return ["/".join(map(str, path)) for path, value in nnx.iter_graph(module) if isinstance(value, nnx.Param)]
