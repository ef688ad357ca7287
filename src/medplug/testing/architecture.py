"""Checks of architectures, and of the networks that they build.

Networks are built without weights, at 32 pixels (the class attribute ``test_size``, an edge or a tuple of spatial
axes, or the fixture ``input_shape`` asks for another size). Parameters are moved a little away from their initial
values, for blocks that start as the identity let no gradient through. Two functions are compiled per network:
a forward pass in eval mode, and a backward pass in train mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from medplug.contracts.architecture import Network
from medplug.errors import WeightsError
from medplug.params import parameters
from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require
from medplug.testing.common import protocol_problems

_BATCH, _K = 6, 3


@dataclass
class Built:
    """A network taken apart: what the compiled functions of the checks need."""

    net: Any
    evaluate: Any  # graph definition in eval mode
    train: Any
    state: Any

    @classmethod
    def of(cls, net: Any) -> Built:
        """Take a network apart, its parameters moved a little."""
        import jax
        from flax import nnx

        net.train()
        train, _ = nnx.split(net)
        net.eval()
        evaluate, state = nnx.split(net)
        rng = np.random.default_rng(11)

        def move(leaf: Any) -> Any:
            spread = float(np.std(leaf)) or 1.0
            return (np.asarray(leaf) + 0.1 * spread * rng.normal(size=leaf.shape)).astype(leaf.dtype)

        moved = jax.tree.map(move, nnx.filter_state(state, nnx.Param))
        return cls(net, evaluate, train, nnx.merge_state(state, moved))


def input_shape(case: Case) -> tuple[int, ...]:
    """The ``(*S, C)`` that the networks are built for."""
    if "input_shape" in case.fixtures:
        return tuple(case.fixtures["input_shape"])
    size = getattr(case.obj, "test_size", 32)
    return (*(size if isinstance(size, tuple) else (size, size)), case.obj.preprocessing.channels)


def build(case: Case, classes: int = _K) -> Any:
    """The network of seed 0, built once for each number of classes."""
    from flax import nnx

    return case.once(f"net {classes}", lambda: case.obj.build(input_shape(case), classes, rngs=nnx.Rngs(0)))


def arrays(net: Any) -> dict[str, Any]:
    """Parameters and batch statistics by path (``"stem/conv/kernel"``)."""
    from flax import nnx

    state = nnx.state(net, (nnx.Param, nnx.BatchStat))
    return {"/".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)}


def in_head(case: Case, path: str) -> bool:
    """Whether a path lies in one of the submodules that the architecture calls its head."""
    return any(path == name or path.startswith(f"{name}/") for name in case.obj.head)


@contextmanager
def _offline() -> Iterator[None]:
    """Connections are refused, so that a test downloads no weights."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError("the conformance kit works offline")

    with mock.patch("socket.create_connection", refuse), mock.patch("socket.socket.connect", refuse):
        yield


def _built(case: Case) -> Built:
    return case.once("built", lambda: Built.of(build(case)))


def _batch(case: Case, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(_BATCH, *input_shape(case))).astype(np.float32)


def _forward(case: Case, images: np.ndarray, state: Any = None) -> dict[str, np.ndarray]:
    """Logits in eval mode, straight and through the halves, by the name of the stage."""
    import jax
    from flax import nnx

    built = _built(case)

    def run(state: Any, x: Any) -> dict[str, Any]:
        net = nnx.merge(built.evaluate, state, copy=True)
        out = {"logits": net(x), "composed": net.classify(net.features(x))}
        return out | {f"stage {s}": net.classify(net.features(x, stage=s), stage=s) for s in net.stages}

    compiled = case.once("forward", lambda: jax.jit(run))
    return {
        name: np.asarray(value) for name, value in compiled(built.state if state is None else state, images).items()
    }


def _backward(case: Case) -> tuple[dict[str, float], Any]:
    """In train mode: the largest gradient of each parameter by path, and the state after the pass."""
    import jax
    from flax import nnx

    built = _built(case)
    weights = np.random.default_rng(12).normal(size=(_BATCH, _K)).astype(np.float32)
    params, rest = nnx.split_state(built.state, nnx.Param, ...)

    def loss(params: Any, rest: Any, x: Any) -> Any:
        net = nnx.merge(built.train, params, rest, copy=True)
        value = (net(x) * weights).sum()
        return value, nnx.state(net, nnx.BatchStat)

    def compute() -> Any:
        gradient, stats = jax.jit(jax.grad(loss, has_aux=True))(params, rest, _batch(case))
        sizes = {"/".join(map(str, p)): float(np.abs(np.asarray(g[...])).max()) for p, g in nnx.to_flat_state(gradient)}
        return sizes, {"/".join(map(str, p)): np.asarray(s[...]) for p, s in nnx.to_flat_state(stats)}

    return case.once("backward", compute)


@check("preprocessing = Preprocessing(size, channels, mean, std), with one mean and std per channel", cheap=True)
def preprocessing_is_sound(case: Case) -> None:
    """``preprocessing`` has a size, 1 or 3 channels, and a mean and a positive std for each, or is ``per_image``."""
    from medplug.contracts.architecture import Preprocessing

    given = case.obj.preprocessing
    require(isinstance(given, Preprocessing), f"preprocessing is {type(given).__name__}")
    require(given.channels in (1, 3) and given.size > 0, f"channels {given.channels}, size {given.size}")
    if given.per_image:
        return
    lengths = (len(given.mean), len(given.std))
    require(lengths == (given.channels,) * 2, f"{lengths[0]} means and {lengths[1]} stds for {given.channels} channels")
    require(all(s > 0 for s in given.std), f"std {given.std} is not positive")


@check("`medplug plugins show architecture` prints the methods of a Network; stages is a tuple of names")
def network_keeps_the_protocol(case: Case) -> None:
    """The network has the methods and arguments of a ``Network``."""
    net = build(case)
    found = protocol_problems(net, Network)
    require(not found, "network: " + "; ".join(found))
    names = net.stages
    require(isinstance(names, tuple) and all(isinstance(n, str) for n in names), f"stages is {names!r}")


@check("make the last layer as wide as `classes`, and return float32 logits [B, K]")
def logits_fit_the_classes(case: Case) -> None:
    """Logits are float32 ``[B, K]`` for several K."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    shape = (2, *input_shape(case))
    for classes in (2, 7):
        net = build(case, classes)
        net.eval()
        graph, state = nnx.split(net)
        images = jax.ShapeDtypeStruct(shape, jnp.float32)
        out = jax.eval_shape(lambda s, x, g=graph: nnx.merge(g, s, copy=True)(x), state, images)
        require(out.shape == (2, classes), f"images {list(shape)} and {classes} classes gave {list(out.shape)}")
        require(out.dtype == jnp.float32, f"the logits are {out.dtype}, not float32")


@check("return logits, without softmax or sigmoid: the loss and the engine apply them")
def logits_are_no_probabilities(case: Case) -> None:
    """Outputs are finite, and grow with the weights of the head."""
    import jax
    from flax import nnx

    plain = _forward(case, _batch(case))["logits"]
    require(np.isfinite(plain).all(), "the logits are not finite")
    rng = np.random.default_rng(13)
    state = _built(case).state
    flat = {"/".join(map(str, p)): (p, v) for p, v in nnx.to_flat_state(nnx.filter_state(state, nnx.Param))}
    grown = [
        (p, jax.tree.map(lambda a: (100 * rng.normal(size=a.shape)).astype(a.dtype), v))
        for n, (p, v) in flat.items()
        if in_head(case, n)
    ]
    require(grown, f"no parameter lies in the head {case.obj.head!r}")
    large = _forward(case, _batch(case), nnx.merge_state(state, nnx.from_flat_state(grown)))["logits"]
    require(
        np.abs(large).max() > 1.01,
        f"with large weights in the head the outputs still lie within ±{np.abs(large).max():.2f}",
    )


@check(
    "let network(x) be classify(features(x)), for the last stage and for each name in `stages`; no dropout in eval mode"
)
def halves_make_the_whole(case: Case) -> None:
    """``classify(features(x))`` is ``network(x)``, at the last stage and at each that is named."""
    out = _forward(case, _batch(case))
    for name, value in out.items():
        gap = float(np.abs(value - out["logits"]).max()) if value.shape == out["logits"].shape else float("inf")
        tolerance = 1e-3 * max(1.0, float(np.abs(out["logits"]).max()))
        require(gap < tolerance, f"{name}: classify(features(x)) differs from network(x) by {gap:g}")


@check("in eval mode use running statistics, and nothing computed over the batch")
def rows_independent_in_eval(case: Case) -> None:
    """In eval mode an image's logits do not depend on its batch, but on the image."""
    images, others = _batch(case), 2 * _batch(case, seed=2) + 1
    others[0] = images[0]
    first, second = _forward(case, images)["logits"], _forward(case, others)["logits"]
    gap = float(np.abs(first[0] - second[0]).max())
    require(
        gap <= 1e-3 * max(1.0, float(np.abs(first[0]).max())),
        f"the logits of an image change by {gap:g} with its batch",
    )
    require(np.abs(first - second).max() > 0, "the logits do not depend on the images")


@check("draw initial weights from `rngs` alone (rngs.params()); no fixed seed, no np.random")
def the_seed_decides(case: Case) -> None:
    """The same seed gives the same weights, another seed others."""
    from flax import nnx

    again, two = (arrays(case.obj.build(input_shape(case), _K, rngs=nnx.Rngs(seed))) for seed in (0, 1))
    one = arrays(build(case))
    moved = [n for n in one if not np.array_equal(one[n], again[n])]
    require(not moved, f"two networks from seed 0 differ in {moved[:3]}")
    stuck = [n for n, a in one.items() if a.ndim > 1 and a.std() > 0 and np.array_equal(a, two[n])]
    require(not stuck, f"seeds 0 and 1 give the same {stuck[:3]}")


@check("use every parameter in the forward pass, without stop_gradient")
def the_gradient_reaches_all(case: Case) -> None:
    """Every parameter has a gradient that is finite and not 0."""
    sizes, _ = _backward(case)
    require(sizes, "the network has no parameters (nnx.Param)")
    dead = [name for name, size in sizes.items() if not size > 0]
    broken = [name for name, size in sizes.items() if not np.isfinite(size)]
    require(not broken, f"the gradient is not finite at {', '.join(broken[:5])}")
    require(not dead, f"no gradient at {', '.join(dead[:5])}" + (f" and {len(dead) - 5} more" if len(dead) > 5 else ""))


@check("batch statistics move in train mode (use_running_average left to train() and eval()), and nowhere else")
def statistics_move_in_train_only(case: Case) -> None:
    """Batch statistics move in a forward pass in train mode, and not in eval mode."""
    import jax
    from flax import nnx

    built = _built(case)
    before = {
        "/".join(map(str, p)): np.asarray(s[...])
        for p, s in nnx.to_flat_state(nnx.filter_state(built.state, nnx.BatchStat))
    }
    if not before:
        raise NotApplicable("the network has no batch statistics")
    _, after = _backward(case)
    stuck = [n for n in before if np.array_equal(before[n], after[n])]
    require(not stuck, f"train mode leaves {', '.join(stuck[:3])} as they are")

    def evaluate(state: Any, x: Any) -> Any:
        net = nnx.merge(built.evaluate, state, copy=True)
        net(x)
        return nnx.state(net, nnx.BatchStat)

    # XLA drops the forward pass where it does not touch the statistics, so that this compiles at once
    still = jax.jit(evaluate)(built.state, _batch(case))
    moved = [
        n
        for (p, s) in nnx.to_flat_state(still)
        if not np.array_equal(before[n := "/".join(map(str, p))], np.asarray(s[...]))
    ]
    require(not moved, f"eval mode moves {', '.join(moved[:3])}")


@check("head = names of the submodules that depend on `classes`, and of nothing else that has weights from elsewhere")
def the_head_holds_the_classes(case: Case) -> None:
    """``head`` names submodules that exist; outside of it nothing depends on the number of classes."""
    head = case.obj.head
    require(isinstance(head, tuple) and head and all(isinstance(n, str) for n in head), f"head is {head!r}")
    few, many = arrays(build(case, 2)), arrays(build(case, 7))
    for name in head:
        require(
            any(p == name or p.startswith(f"{name}/") for p in few),
            f"no parameter lies under the head {name!r}: {sorted(few)[:3]} …",
        )
    outside = [p for p in few if not in_head(case, p) and (p not in many or few[p].shape != many[p].shape)]
    require(not outside, f"{outside[:3]} depend on the number of classes but lie outside the head {head!r}")
    require(not all(in_head(case, p) for p in few), "the whole network is called its head")


@check(
    "return arrays by the network's own paths and in its layout; the head may be missing or of another size", cheap=True
)
def pretrained_weights_fit(case: Case) -> None:
    """``pretrained`` returns all arrays outside the head by path, or none; skipped where they would be downloaded."""
    try:
        with _offline():
            given = dict(case.obj.pretrained(input_shape(case), _K))
    except WeightsError as error:
        raise NotApplicable(f"the weights are not here: {error}") from None
    if "weights" in parameters(case.obj) and parameters(case.obj)["weights"] is None:
        require(not given, f"weights=None brings {len(given)} arrays")
    if not given:
        return
    own = arrays(build(case))
    surplus = [p for p in given if p not in own and not in_head(case, p)]
    missing = [p for p in own if p not in given and not in_head(case, p)]
    wrong = [p for p in given if p in own and not in_head(case, p) and np.shape(given[p]) != own[p].shape]
    for word, paths in (("unknown to the network", surplus), ("missing", missing), ("of another shape", wrong)):
        if paths:
            raise CheckError(f"{len(paths)} arrays are {word}: {', '.join(paths[:5])}")


CHECKS: tuple[Check, ...] = (
    preprocessing_is_sound,
    network_keeps_the_protocol,
    logits_fit_the_classes,
    logits_are_no_probabilities,
    halves_make_the_whole,
    rows_independent_in_eval,
    the_seed_decides,
    the_gradient_reaches_all,
    statistics_move_in_train_only,
    the_head_holds_the_classes,
    pretrained_weights_fit,
)
