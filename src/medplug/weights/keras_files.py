"""Keras' weights files without Keras: legacy ``.h5`` and ``.weights.h5``, which are both HDF5."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from medplug.errors import WeightsError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_RATIO = 1100  # deflate cannot shrink bytes by more than 1032

# The new format numbers a layer's variables; how many there are tells which, where it tells at all.
_VARIABLES = {
    "conv": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "depthwise_conv": ("depthwise_kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_NOT_WEIGHTS = re.compile(r"optimizer|metrics|seed_generator")


def read_keras(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a Keras weights file as ``"layer_name/variable"``, in Keras' layout.

    Variables are ``kernel``, ``bias``, ``gamma``, ``beta``, ``moving_mean``, ``moving_variance`` and so on, without
    a ``:0``. Read are legacy ``.h5`` files (weights, or a whole model with its ``model_weights``) and
    ``.weights.h5``. The latter have no names of variables: they follow from the layer's class and their count; a
    layer of another class, or a batch normalisation without scale or centre, has ``0``, ``1`` ... in their place.
    The kernel of a depthwise convolution is ``depthwise_kernel``, but ``kernel`` in legacy files of Keras 3.

    Raises:
        WeightsError: h5py is not installed; the file is missing, damaged, not of Keras, or points to other files;
            two layers share a name.
    """
    path = Path(path)
    h5py = _h5py(path)
    try:
        with h5py.File(path, "r") as file:
            return _read(_Hdf5(h5py, path), file)
    # h5py answers damaged files with these
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise WeightsError(f"{path}: cannot be read as an HDF5 file of Keras: {error}") from None


def _h5py(path: Path) -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise WeightsError(f"{path}: reading Keras' files needs h5py: pip install h5py") from None
    return h5py


def _read(source: _Hdf5, file: Any) -> dict[str, np.ndarray]:
    root = source.child(file, "model_weights") if "model_weights" in list(file) else file
    has_names = any(name.startswith("layer_names") for name in root.attrs)
    entries = _legacy(source, root) if has_names else _numbered(source, root, "")
    arrays: dict[str, np.ndarray] = {}
    for name, dataset in entries:
        if name in arrays:
            raise WeightsError(f"{source.path}: two layers have a variable {name!r}; their names must differ")
        arrays[name] = source.array(dataset)
    if not arrays:
        raise WeightsError(f"{source.path}: an HDF5 file without weights of Keras")
    return arrays


# ---------------------------------------------------------------- the two layouts


def _legacy(source: _Hdf5, root: Any) -> Iterator[tuple[str, Any]]:
    for layer in source.names(root, "layer_names"):
        group = source.child(root, layer)
        weights = source.names(group, "weight_names")
        owners = {weight.rpartition("/")[0] for weight in weights}
        for weight in weights:
            owner, _, variable = weight.partition(":")[0].rpartition("/")
            # Several owners: the layer is a model, and its layers count. A single one may be the layer under
            # another number ("dense_1_1/kernel" in "dense_1"), as old Keras counted names in a graph anew.
            if owner.startswith(f"{layer}/"):
                owner = owner.removeprefix(f"{layer}/")
            elif len(owners) == 1:
                owner = layer
            yield f"{owner}/{variable}", source.child(group, weight)


def _numbered(source: _Hdf5, group: Any, layer_class: str) -> Iterator[tuple[str, Any]]:
    for name in group:
        child = source.child(group, name)
        if not source.is_group(child) or _NOT_WEIGHTS.match(name):
            continue
        if name == "vars":
            yield from _variables(source, child, layer_class)
        else:
            yield from _numbered(source, child, re.sub(r"_\d+$", "", name))


def _variables(source: _Hdf5, group: Any, layer_class: str) -> Iterator[tuple[str, Any]]:
    count = len(group)
    if not count:
        return
    layer = group.attrs.get("name")
    if not isinstance(layer, str):
        raise WeightsError(
            f"{source.path}: {group.name} does not say its layer's name, so it was written by an early Keras 3; "
            "load it there and save it anew"
        )
    kind = re.sub(r"_?[123]d$", "", layer_class)
    names = _VARIABLES.get(kind, ())
    known = count == len(names) or (count < len(names) and kind != "batch_normalization")
    for number in sorted(group, key=int):
        yield f"{layer}/{names[int(number)] if known else number}", source.child(group, number)


# ---------------------------------------------------------------- HDF5, without its doors to other files


class _Hdf5:
    """Steps into an HDF5 file that refuse links and data sets which lead to other files."""

    def __init__(self, h5py: ModuleType, path: Path) -> None:
        self._h5py = h5py
        self.path = path

    def child(self, group: Any, name: str) -> Any:
        """The object below ``group`` at ``a/b/c``; each step must be a hard link."""
        for part in name.split("/"):
            # the low-level look-up: Group.get would open the file that an external link names
            links = group.id.links if self.is_group(group) else None
            if links is None or not links.exists(part.encode()):
                raise WeightsError(f"{self.path}: damaged: {name!r} is announced but missing")
            if links.get_info(part.encode()).type != self._h5py.h5l.TYPE_HARD:
                raise WeightsError(f"{self.path}: {part!r} is a link to another place, which is not followed")
            group = group[part]
        return group

    def is_group(self, item: Any) -> bool:
        return isinstance(item, self._h5py.Group)

    def names(self, group: Any, attribute: str) -> list[str]:
        """A list of names in an attribute; Keras splits long ones into ``attribute0``, ``attribute1`` and so on."""
        if attribute in group.attrs:
            values = list(group.attrs[attribute])
        else:
            values, part = [], 0
            while f"{attribute}{part}" in group.attrs:
                values += list(group.attrs[f"{attribute}{part}"])
                part += 1
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]

    def array(self, dataset: Any) -> np.ndarray:
        """The values of a data set, which must be numbers and lie in this file."""
        if not isinstance(dataset, self._h5py.Dataset):
            raise WeightsError(f"{self.path}: damaged: {dataset.name} is not a data set")
        if dataset.external or dataset.is_virtual:
            raise WeightsError(f"{self.path}: {dataset.name} keeps its values in another file, which is not followed")
        if dataset.dtype.kind not in "fiub":
            raise WeightsError(f"{self.path}: {dataset.name} holds {dataset.dtype}, not numbers")
        if dataset.nbytes > MAX_RATIO * dataset.id.get_storage_size():
            raise WeightsError(f"{self.path}: damaged: {dataset.name} announces more values than it stores")
        return np.asarray(dataset[()])
