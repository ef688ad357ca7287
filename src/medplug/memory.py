"""What Python users hand over, in the forms that an index and a reader promise: labels of any kind, arrays of any type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.images import depth_of, from_pillow
from medplug.values import Task

CHANNELS = (1, 3, 4)


# ---------------------------------------------------------------- labels


def targets_of(labels: Any, classes: Sequence[Any] | None = None) -> tuple[np.ndarray, tuple[str, ...], Task]:
    """Targets ``[N, K]`` float32, the names of the classes, and the task, of labels in any usual form.

    - One label a sample, ``[N]`` or ``[N, 1]``: names, whole numbers or booleans; None, NaN and an empty text are
      unknown and give a row of NaN. Whole numbers count ``classes`` where these are given. Else the classes are the
      labels that occur, sorted.
    - ``[N, K]`` numbers: each row with exactly one 1 makes the task multi-class, anything else between 0 and 1
      multi-label; NaN is unknown.
    - N lists of names: multi-label, whatever their lengths.

    >>> targets_of(["b", "a", None])
    (array([[ 0.,  1.],
           [ 1.,  0.],
           [nan, nan]], dtype=float32), ('a', 'b'), 'multiclass')

    Args:
        labels: of N samples.
        classes: names of the classes in their order.

    Raises:
        DataError: labels that are no classes, or that ``classes`` do not have.
    """
    listed = list(labels) if not isinstance(labels, np.ndarray) else labels
    if len(listed) and all(_is_names(label) for label in listed):
        return _of_names(listed, classes)
    array = np.asarray(listed if _is_flat(listed) else [np.asarray(label) for label in listed])
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return _of_columns(array, classes)
    if array.ndim != 1:
        raise DataError(f"labels must be [N], or [N, K] with a column for each class; got {list(array.shape)}")
    return _of_single([_plain(label) for label in (listed if _is_flat(listed) else array.tolist())], classes)


def _is_names(label: Any) -> bool:
    return isinstance(label, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in label)


def _is_flat(labels: Any) -> bool:
    return isinstance(labels, list) and not any(np.ndim(label) for label in labels)


def _plain(label: Any) -> Any:
    """A label as text, a whole number, or None for unknown."""
    label = label.item() if isinstance(label, (np.generic, np.ndarray)) else label
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return None
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace")
    if not isinstance(label, (int, float)) or isinstance(label, bool):
        return str(label) or None
    if not float(label).is_integer():
        raise DataError(f"the label {label} is no class: labels are names or whole numbers")
    return int(label)


def _of_single(labels: list[Any], classes: Sequence[Any] | None) -> tuple[np.ndarray, tuple[str, ...], Task]:
    known = {label for label in labels if label is not None}
    counted = all(isinstance(label, int) for label in known)
    found = sorted(known) if counted else sorted(known, key=str)
    names = [str(c) for c in (found if classes is None else classes)]
    if counted and classes is not None and not known <= {c for c in classes if isinstance(c, int)}:
        rows = {label: label for label in known if 0 <= label < len(names)}
    else:
        rows = {label: names.index(str(label)) for label in known if str(label) in names}
    for label in found:
        if label not in rows:
            raise DataError(f"the label {label!r} is not among the classes {', '.join(names)}")
    targets = np.full((len(labels), len(names)), np.nan, np.float32)
    for i, label in enumerate(labels):
        if label is not None:
            targets[i] = np.arange(len(names)) == rows[label]
    return targets, tuple(names), "multiclass"


def _of_columns(array: np.ndarray, classes: Sequence[Any] | None) -> tuple[np.ndarray, tuple[str, ...], Task]:
    try:
        targets = array.astype(np.float32)
    except (TypeError, ValueError):
        raise DataError("labels with several columns must hold 0 and 1, or NaN for unknown") from None
    names = tuple(str(c) for c in (range(array.shape[1]) if classes is None else classes))
    if len(names) != array.shape[1]:
        raise DataError(f"{len(names)} classes, but the labels have {array.shape[1]} columns")
    wrong = targets[~np.isnan(targets) & ~((targets >= 0) & (targets <= 1))]
    if wrong.size:
        raise DataError(
            f"labels with several columns must lie between 0 and 1, or be NaN for unknown; got {wrong[0]:g}"
        )
    one_hot = len(targets) > 0 and bool(((targets == 1).sum(1) == 1).all() and (targets.sum(1) == 1).all())
    return targets, names, "multiclass" if one_hot else "multilabel"


def _of_names(
    labels: Iterable[Iterable[str]], classes: Sequence[Any] | None
) -> tuple[np.ndarray, tuple[str, ...], Task]:
    found = sorted({name for names in labels for name in names})
    chosen = tuple(found if classes is None else map(str, classes))
    unknown = [name for name in found if name not in chosen]
    if unknown:
        raise DataError(f"the label {unknown[0]!r} is not among the classes {', '.join(chosen)}")
    targets = np.array([[name in set(names) for name in chosen] for names in labels], np.float32)
    return targets.reshape(-1, len(chosen)), chosen, "multilabel"


# ---------------------------------------------------------------- pixels


def as_image(image: Any, spatial: int = 2) -> np.ndarray:
    """One image in memory as readers give it: ``[*S, C]``, uint8, uint16 over its whole range or float32 in 0..1.

    It may be an array, a tensor, or what Pillow has opened. ``[*S]`` becomes ``[*S, 1]``. ``[C, *S]`` (as PyTorch has
    it) is turned if its last axis cannot be the channels and its first can; what has no channels is grey. Whole numbers
    of other types must lie in 0..255; booleans become 0 and 255. The range of an image is never guessed from its own
    values, so that training and prediction cannot differ.

    Raises:
        DataError: no image, or values of another range, with what to do.
    """
    array = from_pillow(image) if hasattr(image, "getbands") else np.asarray(image)
    if array.dtype.kind not in "buif" or array.ndim < 2 or array.size == 0:
        raise DataError(f"an image must be an array of numbers with two axes or more, got {_described(array)}")
    return _ranged(_with_channels(array, spatial))


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _with_channels(array: np.ndarray, spatial: int) -> np.ndarray:
    if array.ndim == spatial:
        return array[..., None]
    if array.shape[-1] in CHANNELS:
        return array
    return np.moveaxis(array, 0, -1) if array.ndim == spatial + 1 and array.shape[0] in CHANNELS else array[..., None]


def _ranged(array: np.ndarray) -> np.ndarray:
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    low, high = float(np.min(array)), float(np.max(array))
    if array.dtype.kind in "ui" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return array.astype(np.float32)
    raise DataError(
        f"an image of {_described(array)} has values from {low:g} to {high:g}; wanted are uint8, uint16 over its whole "
        "range, or floats from 0 to 1: (images - black) / (white - black), alike for training and prediction"
    )


def check_depth(images: Iterable[np.ndarray]) -> None:
    """Refuse uint16 images of which none uses the upper half of the range: they hold fewer bits, and would be dark.

    Raises:
        DataError: what to do about it.
    """
    highest = [int(image.max()) for image in images if image.dtype == np.uint16]
    if highest and max(highest) < 32768:
        top = 2 ** depth_of(max(highest)) - 1
        raise DataError(
            f"the uint16 images reach {max(highest)}, not 65535: their true range must be said; if it is 0 to {top}, "
            f"hand over images / {top}, for training and prediction alike"
        )
