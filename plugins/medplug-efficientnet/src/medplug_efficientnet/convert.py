"""Weights with the names of the PyTorch port to the network's own paths and layout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medplug.plugins import WeightsError, conv_from_torch, dense_from_torch, fit_stem
from medplug_efficientnet.plan import Plan

_NORM = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_HEAD = {"head/output/kernel": "_fc.weight", "head/output/bias": "_fc.bias"}
_STEM = "stem/conv/kernel"


def source_names(plan: Plan) -> dict[str, str]:
    """The path of each array of the network, but for the head, with its name in the file.

    The port counts blocks through all stages (``_blocks.3``) and norms within a block, so that the norm of the
    depthwise convolution is ``_bn1`` also in a block that does not expand.
    """
    layers = {"stem": ("_conv_stem", "_bn0"), "final": ("_conv_head", "_bn1")}
    block = 0
    for number, stage in enumerate(plan.stages, 1):
        for repeat in range(stage.repeats):
            here, there = f"stage{number}/{repeat}", f"_blocks.{block}."
            if stage.expand != 1:
                layers[f"{here}/expand"] = (f"{there}_expand_conv", f"{there}_bn0")
            layers[f"{here}/depthwise"] = (f"{there}_depthwise_conv", f"{there}_bn1")
            layers[f"{here}/project"] = (f"{there}_project_conv", f"{there}_bn2")
            block += 1
    names = {}
    for path, (conv, norm) in layers.items():
        names[f"{path}/conv/kernel"] = f"{conv}.weight"
        names.update({f"{path}/norm/{ours}": f"{norm}.{theirs}" for ours, theirs in _NORM.items()})
    return names


def convert(
    arrays: Mapping[str, np.ndarray], plan: Plan, *, channels: int, classes: int | None, where: str
) -> dict[str, np.ndarray]:
    """The arrays by the network's paths, float32, the stem fitted to ``channels``.

    The head is left out where the file has none, where its classes are not ``classes``, and for ``classes=None``.

    Raises:
        WeightsError: with all missing, surplus and misshapen names of the file ``where``.
    """
    names = source_names(plan)
    if any(name in arrays for name in _HEAD.values()):
        names |= _HEAD
    counters = {name for name in arrays if name.endswith(".num_batches_tracked")}
    missing = sorted(set(names.values()) - set(arrays))
    surplus = sorted(set(arrays) - set(names.values()) - counters)
    _refuse(where, missing=missing, surplus=surplus)
    shapes = _shapes(plan)
    converted = {path: _to_flax(path, arrays[name]) for path, name in names.items()}
    _refuse(
        where,
        misshapen=[
            f"{names[path]} {arrays[names[path]].shape}"
            for path, value in converted.items()
            if path not in _HEAD and value.shape != shapes[path]
        ],
    )
    converted[_STEM] = fit_stem(converted[_STEM], channels)
    if classes is None or any(p in converted and converted[p].shape[-1] != classes for p in _HEAD):
        converted = {path: value for path, value in converted.items() if path not in _HEAD}
    return converted


def _to_flax(path: str, value: np.ndarray) -> np.ndarray:
    value = np.asarray(value, np.float32)
    if path.endswith("conv/kernel") and value.ndim == 4:
        return conv_from_torch(value)
    return dense_from_torch(value) if path == "head/output/kernel" and value.ndim == 2 else value


def _shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """The shape of each array in the layout of Flax, with the three channels that files have at the stem."""
    kernels: dict[str, tuple[int, ...]] = {
        "stem": (3, 3, 3, plan.stem),
        "final": (1, 1, plan.stages[-1].outputs, plan.final),
    }
    for number, stage in enumerate(plan.stages, 1):
        for repeat in range(stage.repeats):
            inputs, here = stage.inputs if repeat == 0 else stage.outputs, f"stage{number}/{repeat}"
            wide = inputs * stage.expand
            if stage.expand != 1:
                kernels[f"{here}/expand"] = (1, 1, inputs, wide)
            kernels[f"{here}/depthwise"] = (stage.kernel, stage.kernel, 1, wide)
            kernels[f"{here}/project"] = (1, 1, wide, stage.outputs)
    shapes = {f"{path}/conv/kernel": shape for path, shape in kernels.items()}
    shapes |= {f"{path}/norm/{name}": shape[-1:] for path, shape in kernels.items() for name in _NORM}
    return shapes


def _refuse(where: str, **problems: list[str]) -> None:
    found = "; ".join(f"{word} ({len(names)}): {', '.join(names)}" for word, names in problems.items() if names)
    if found:
        raise WeightsError(f"{where}: the weights are not those of this EfficientNet-Lite; {found}")
