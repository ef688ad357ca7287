"""The plan of a run: what is known before the first step, measured, told, and kept as ``plan.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

from medplug.model.network import BuiltNetwork
from medplug.params import parameters
from medplug.train.memory import gigabytes
from medplug.train.plan import Choice, Plan, duration
from medplug.values import SPLITS, Index, Split

_CLASSES = 8  # so many are told one by one


@dataclass(frozen=True)
class NetworkFacts:
    """What is told of the network.

    Attributes:
        architecture: its name.
        weights: where they come from, as its parameter ``weights`` says; None for initial values.
        arrays: how many arrays of weights were loaded.
        new: paths of those that kept initial values.
        parameters: how many numbers are trained.
        input: ``(*S, C)``.
        size: the edge of the input, with its reason.
    """

    architecture: str
    weights: str | None
    arrays: int
    new: tuple[str, ...]
    parameters: int
    input: tuple[int, ...]
    size: Choice

    @classmethod
    def of(cls, name: str, architecture: Any, network: BuiltNetwork, spatial: int) -> NetworkFacts:
        """Look at a network that was built for images with so many spatial axes."""
        own, size = architecture.preprocessing.size, network.preprocessing.size
        if size != own:
            reason = f"as the settings say; the architecture's own is {own}"
        else:
            reason = "the architecture's own size" + (", that of its weights" if network.loaded else "")
        weights = parameters(architecture).get("weights")
        numbers = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network.module, nnx.Param)))
        shape = (size,) * spatial + (network.preprocessing.channels,)
        return cls(
            name, None if weights is None else str(weights), network.loaded, network.left_out, numbers, shape,
            Choice(size, reason),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "new": list(self.new), "input": list(self.input), "size": vars(self.size)}


@dataclass(frozen=True)
class DataFacts:
    """Images per part and class.

    Attributes:
        images: ``{part: {class: images}}``; in multi-label tasks an image counts for each of its labels.
        sizes: images of each part.
        imbalance: of the training part, images of the largest class per image of the smallest one that has any.
        absent: classes without a training image.
    """

    images: dict[str, dict[str, int]]
    sizes: dict[str, int]
    imbalance: float | None
    absent: tuple[str, ...]

    @classmethod
    def of(cls, index: Index, split: Split) -> DataFacts:
        """Count."""
        counts = {p: index.take(split.part(p)).class_counts()[:, 0].astype(int).tolist() for p in SPLITS}
        images = {p: dict(zip(index.classes, found, strict=True)) for p, found in counts.items()}
        there = [n for n in counts["train"] if n]
        return cls(
            images,
            {part: len(split.part(part)) for part in SPLITS},
            round(max(there) / min(there), 2) if there else None,
            tuple(name for name, n in images["train"].items() if not n),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "absent": list(self.absent)}


def plan_json(plan: Plan, data: DataFacts, network: NetworkFacts, device: str) -> dict[str, Any]:
    """The content of ``plan.json``."""
    return {"data": data.to_json(), "network": network.to_json(), "device": device, **plan.to_json()}


def plan_lines(plan: Plan, data: DataFacts, network: NetworkFacts, device: str) -> list[str]:
    """What is told before training, a line each."""
    seen = plan.situation
    new = f"; new: {', '.join(network.new)}" if network.new and network.arrays else ""
    origin = (
        f"{network.arrays:,} arrays from {network.weights or 'the architecture'}"
        if network.arrays
        else "initial values"
    )
    lines = [
        f"  {_images(data)}",
        f"  {network.architecture}, {network.parameters:,} parameters, weights: {origin}{new}",
        f"  input {' x '.join(map(str, network.input))}: {network.size.reason}",
    ]
    for phase, cost in seen.steps.items():
        memory = "" if cost.memory is None else f", {gigabytes(cost.memory)} of memory"
        lines.append(f"  a {phase} step of {seen.batch} images: {duration(cost.seconds)}{memory}")
    free = "" if seen.free_memory is None else f" with {gigabytes(seen.free_memory)} free"
    lines.append(f"  {seen.steps_per_epoch} steps an epoch, validation {duration(seen.validation)}, on {device}{free}")
    lines += [f"  {name} = {choice.value}: {choice.reason}" for name, choice in plan.choices.items()]
    return [*lines, f"  expected: {_expected(plan)}"]


def device_name() -> str:
    """What computes, such as ``cpu`` or ``gpu (NVIDIA H200)``."""
    device = jax.devices()[0]
    return device.platform if device.device_kind == device.platform else f"{device.platform} ({device.device_kind})"


def _images(data: DataFacts) -> str:
    train = data.images["train"]
    shown: Sequence[tuple[str, int]] = list(train.items())
    if len(shown) > _CLASSES:
        ranked = sorted(train.items(), key=lambda item: -item[1])
        few = ", ".join(f"{name} {n}" for name, n in (ranked[0], ranked[-1]))
        words = f"{len(shown)} classes, the largest and the smallest: {few}"
    else:
        words = ", ".join(f"{name} {n}" for name, n in shown)
    balance = "" if data.imbalance is None else f"; largest to smallest {data.imbalance:g} : 1"
    absent = f"; without training images: {', '.join(data.absent)}" if data.absent else ""
    sizes: Mapping[str, int] = data.sizes
    return f"{sizes['train']} training images ({words}){balance}{absent}; validation {sizes['validation']}, test {sizes['test']}"


def _expected(plan: Plan) -> str:
    epochs, settings = plan.epochs, plan.settings
    text = f"{duration(plan.expected)} of training (epochs: {epochs['frozen']} frozen, {epochs['full']} full)"
    if plan.situation.budget is not None:
        return f"{text}, within the budget of {plan.situation.budget:g} minutes"
    return f"{text} at most; early stopping may end it sooner" if settings.early_stopping else text
