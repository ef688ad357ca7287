"""Images that are already in memory, as a reader: what Python hands over instead of a path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.images import ImageError
from medplug.values import Index


class ArrayReader:
    """Reads ``(images, labels)``.

    ``images`` is ``[N, *S, C]`` or a list of ``[*S, C]`` arrays (``[H, W]`` is taken for grey), uint8, uint16 or
    float32 in [0, 1]. ``labels`` is ``[N]`` (class names or numbers) or ``[N, K]``: one-hot rows make a multi-class
    task, other 0/1 rows a multi-label one with NaN for unknown.
    """

    def __init__(
        self,
        images: Sequence[Any] | np.ndarray,
        labels: Any,
        *,
        classes: Sequence[str] | None = None,
        groups: Any = None,
        splits: Any = None,
    ) -> None:
        if any(isinstance(image, (str, Path)) for image in images):
            raise DataError("paths are no images in memory; put them into a data frame or a CSV file with their labels")
        self._images = [with_channels(np.asarray(image)) for image in images]
        self._index = self._make_index(np.asarray(labels), classes, groups, splits)

    def can_read(self, source: str) -> float:
        """Only ever used as an instance."""
        return 0.0

    def index(self, source: str) -> Index:
        """The index of the arrays."""
        return self._index

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one sample."""
        try:
            return self._images[int(uri.partition(":")[0])]
        except (ValueError, IndexError):
            raise ImageError(f"{uri!r} is no image of these arrays") from None

    def _make_index(self, labels: np.ndarray, classes: Sequence[str] | None, groups: Any, splits: Any) -> Index:
        n = len(self._images)
        if n == 0 or len(labels) != n:
            raise DataError(f"{n} images and {len(labels)} labels: there must be as many labels as images, and some")
        if labels.ndim == 1:
            found = sorted(set(labels.tolist()))
            names = [str(c) for c in found]
            if classes is not None:
                names = [str(c) for c in classes]
                numbers = np.issubdtype(labels.dtype, np.integer)
                unknown = [c for c in found if not (0 <= c < len(names) if numbers else str(c) in names)]
                if unknown:
                    raise DataError(f"label {unknown[0]!r} is not among the classes {names}")
                found = list(range(len(names))) if numbers else list(classes)
            rows = [found.index(label) for label in labels.tolist()]
            targets, task = np.eye(len(names), dtype=np.float32)[rows], "multiclass"
        else:
            targets = labels.astype(np.float32)
            names = [str(c) for c in classes] if classes is not None else [str(i) for i in range(labels.shape[1])]
            one_hot = not np.isnan(targets).any() and bool((targets.sum(1) == 1).all())
            task = "multiclass" if one_hot else "multilabel"
        width = len(str(n - 1))
        samples = tuple(f"{i:0{width}d}" for i in range(n))
        # The content is part of the name, so that a cache of other arrays is never taken for this one.
        uris = tuple(f"{i}:{hashlib.sha256(a.tobytes()).hexdigest()[:16]}" for i, a in enumerate(self._images))
        columns = {} if groups is None else groups if isinstance(groups, dict) else {"group": groups}
        return Index(
            samples,
            uris,
            targets,
            tuple(names),
            task,  # type: ignore[arg-type]
            groups={k: np.asarray(v).astype(str) for k, v in columns.items()},
            splits=None if splits is None else np.asarray(splits).astype(str),
        )


def with_channels(image: np.ndarray, spatial: int = 2) -> np.ndarray:
    """An image ``[*S]`` or ``[*S, C]`` as ``[*S, C]``; float64 becomes float32, which readers give."""
    if image.ndim == spatial:
        image = image[..., None]
    return image.astype(np.float32) if image.dtype == np.float64 else image
