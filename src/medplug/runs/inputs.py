"""What users hand over to predict and explain: paths, folders, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.arrays import with_channels
from medplug.errors import DataError
from medplug.values import Skipped

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def nothing_readable(skipped: Sequence[Skipped]) -> DataError:
    """The error of a call that could read no image at all."""
    reasons = "; ".join(f"{s.name} ({s.reason})" for s in skipped[:5]) or "nothing was given"
    return DataError(f"no image can be read: {reasons}")


class Loaded:
    """Images in memory behind the method that drawing needs."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._images = images

    def load(self, uri: str) -> np.ndarray:
        """The image of this number."""
        return self._images[int(uri)]


def expand(images: Any, spatial: int) -> Iterable[tuple[str, Any]]:
    """(name, path or array) of each image; folders are searched for image files."""
    single = isinstance(images, np.ndarray) and (
        images.ndim == spatial or (images.ndim == spatial + 1 and images.shape[-1] in (1, 3, 4))
    )
    if isinstance(images, (str, Path)) or single:
        images = [images]
    for number, image in enumerate(images):
        if not isinstance(image, (str, Path)):
            yield str(number), with_channels(np.asarray(image), spatial)
            continue
        path = Path(image)
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
            )
            yield from ((str(p), str(p)) for p in inside)
        else:
            yield str(path), str(path)


def groups_of(samples: Sequence[str], groups: Mapping[str, str]) -> np.ndarray:
    """The group of each image ``[N]``, by its name or, where that is not there, by its file name alone.

    Raises:
        DataError: an image has no group; an image without one has an empty text there.
    """
    found = [groups.get(sample, groups.get(Path(sample).name)) for sample in samples]
    missing = [sample for sample, group in zip(samples, found, strict=True) if group is None]
    if missing:
        raise DataError(f"{len(missing)} of {len(samples)} images have no group, such as {missing[0]}")
    return np.array(found, dtype=str)
