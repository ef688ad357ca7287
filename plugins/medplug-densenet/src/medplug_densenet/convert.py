"""Weights of other frameworks to the network's own paths: torchvision, timm, Hugging Face, Keras.

Only names and the order of axes differ. PyTorch keeps convolutions as ``[out, in, h, w]`` and dense layers as
``[out, in]``; Keras keeps both as this network does. Norm vectors are the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medplug.plugins import WeightsError, conv_from_torch, dense_from_torch, fit_stem
from medplug_densenet.plan import Plan

Layout = Literal["torch", "keras"]

HEAD = "head/output"
STEM = "stem/conv/kernel"
# torchvision's first files spell "denselayer1.norm.1.weight"; the modules were renamed to "norm1" later.
_OLD_SPELLING = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
_NORM = (
    ("scale", "weight", "gamma"),
    ("bias", "bias", "beta"),
    ("mean", "running_mean", "moving_mean"),
    ("var", "running_var", "moving_variance"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One array: its path here, its names there, and its shape here."""

    path: str
    torch: str
    keras: str
    shape: tuple[int, ...]

    def name(self, layout: Layout) -> str:
        """The array's name in a file of that layout."""
        return self.torch if layout == "torch" else self.keras


def entries(plan: Plan, channels: int, classes: int) -> tuple[Entry, ...]:
    """All arrays of a network with a plain head, in the order of the layers."""
    head = (
        Entry(f"{HEAD}/kernel", "classifier.weight", "predictions/kernel", (plan.features, classes)),
        Entry(f"{HEAD}/bias", "classifier.bias", "predictions/bias", (classes,)),
    )
    return (*_backbone(plan, channels), *head)


def _backbone(plan: Plan, channels: int) -> Iterator[Entry]:
    yield _conv("stem/conv", "features.conv0", "conv1_conv", (7, 7, channels, plan.stem))
    yield from _norm("stem/norm", "features.norm0", "conv1_bn", plan.stem)
    entering = plan.entering()
    for i, (inputs, depth) in enumerate(zip(entering, plan.blocks, strict=True), start=1):
        for j in range(1, depth + 1):
            yield from _layer(i, j, inputs + (j - 1) * plan.growth, plan)
        if i < len(plan.blocks):
            made = inputs + depth * plan.growth
            yield from _norm(f"transition{i}/norm", f"features.transition{i}.norm", f"pool{i + 1}_bn", made)
            shape = (1, 1, made, entering[i])
            yield _conv(f"transition{i}/conv", f"features.transition{i}.conv", f"pool{i + 1}_conv", shape)
    yield from _norm("final/norm", "features.norm5", "bn", plan.features)


def _layer(i: int, j: int, inputs: int, plan: Plan) -> Iterator[Entry]:
    here, torch = f"block{i}/layer{j}", f"features.denseblock{i}.denselayer{j}"
    keras = f"conv{i + 1}_block{j}"
    yield from _norm(f"{here}/norm1", f"{torch}.norm1", f"{keras}_0_bn", inputs)
    yield _conv(f"{here}/conv1", f"{torch}.conv1", f"{keras}_1_conv", (1, 1, inputs, plan.width))
    yield from _norm(f"{here}/norm2", f"{torch}.norm2", f"{keras}_1_bn", plan.width)
    yield _conv(f"{here}/conv2", f"{torch}.conv2", f"{keras}_2_conv", (3, 3, plan.width, plan.growth))


def _conv(here: str, torch: str, keras: str, shape: tuple[int, ...]) -> Entry:
    return Entry(f"{here}/kernel", f"{torch}.weight", f"{keras}/kernel", shape)


def _norm(here: str, torch: str, keras: str, channels: int) -> Iterator[Entry]:
    for ours, theirs, kerass in _NORM:
        yield Entry(f"{here}/{ours}", f"{torch}.{theirs}", f"{keras}/{kerass}", (channels,))


def convert(
    arrays: Mapping[str, np.ndarray],
    layout: Layout,
    plan: Plan,
    *,
    channels: int,
    classes: int | None,
    where: str,
) -> dict[str, np.ndarray]:
    """The arrays of a file under the network's own paths, float32, axes in the network's order.

    Args:
        arrays: by name, as the file has them.
        layout: whose names and axes those are.
        plan: of the network that they are for.
        channels: of that network's input. For one channel the stem's weights are summed over the file's channels: the
            network then sees what it saw when a grey image was shown in each of them.
        classes: of that network; None for a head that the file cannot hold, such as one with a hidden layer.
        where: the file, for messages.

    Returns:
        All of the backbone; of the head only if it is there and has that number of classes.

    Raises:
        WeightsError: with all missing and surplus names and all wrong shapes.
    """
    given = _tidy(arrays) if layout == "torch" else dict(arrays)
    table = entries(plan, channels, classes or 0)
    names = {entry.name(layout): entry for entry in table}
    head = {name for name, entry in names.items() if entry.path.startswith(HEAD)}
    # A file without any head ("no top") is complete; one with half a head is not.
    optional = set() if head & set(given) else head
    missing = sorted(set(names) - set(given) - optional)
    surplus = sorted(set(given) - set(names))
    found = {names[name].path: _axes(array, layout) for name, array in given.items() if name in names}
    if found.get(f"{HEAD}/bias", np.empty(0)).shape != (classes,):
        found = {path: array for path, array in found.items() if not path.startswith(HEAD)}
    if STEM in found and found[STEM].ndim == 4:
        found[STEM] = fit_stem(found[STEM], channels)
    shapes = {entry.path: entry.shape for entry in table}
    wrong = [
        f"{path} has {list(array.shape)}, expected {list(shapes[path])}"
        for path, array in found.items()
        if array.shape != shapes[path]
    ]
    if missing or surplus or wrong:
        raise WeightsError(_complaint(where, plan, missing, surplus, wrong))
    return {path: np.ascontiguousarray(array, np.float32) for path, array in found.items()}


def _tidy(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """New spelling for old names; step counters, which nothing here uses, are dropped."""
    return {
        _OLD_SPELLING.sub(r"\1", name): array
        for name, array in arrays.items()
        if not name.endswith(".num_batches_tracked")
    }


def _axes(array: np.ndarray, layout: Layout) -> np.ndarray:
    if layout == "torch" and array.ndim == 4:
        return conv_from_torch(array)
    if layout == "torch" and array.ndim == 2:
        return dense_from_torch(array)
    return array


def _complaint(where: str, plan: Plan, missing: list[str], surplus: list[str], wrong: list[str]) -> str:
    parts = [f"{where} does not fit a DenseNet with blocks {plan.blocks}"]
    for word, items in (("missing", missing), ("surplus", surplus), ("wrong shape", wrong)):
        if items:
            parts.append(f"{word} ({len(items)}): {', '.join(items)}")
    return "; ".join(parts) + ". Choose the architecture that the file was made for, or another file"
