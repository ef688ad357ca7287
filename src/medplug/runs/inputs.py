"""What users hand over to predict and explain: paths, folders, lists of paths, what readers understand, arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.images import ImageError
from medplug.memory import as_image
from medplug.plugins.registry import Registry
from medplug.values import Index, Skipped

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
LIST_SUFFIX = ".txt"


def nothing_readable(skipped: Sequence[Skipped]) -> DataError:
    """The error of a call that could read no image at all."""
    reasons = "; ".join(f"{s.name} ({s.reason})" for s in skipped[:5]) or "nothing was given"
    return DataError(f"no image can be read: {reasons}")


class Loaded:
    """What was handed over behind the method that drawing needs: files are opened when they are drawn.

    Args:
        sources: arrays, paths or :class:`Stored`.
        load: gives the pixels of what is no array.
    """

    def __init__(self, sources: Sequence[Any], load: Callable[[Any], np.ndarray]) -> None:
        self._sources, self._load = sources, load

    def load(self, uri: str) -> np.ndarray:
        """The image of this number."""
        source = self._sources[int(uri)]
        return source if isinstance(source, np.ndarray) else self._load(source)


@dataclass(frozen=True)
class Stored:
    """An image that a reader loads by its uri; without a reader, one that is left out, and why."""

    reader: Any
    uri: str
    reason: str = ""

    def load(self) -> np.ndarray:
        """The pixels ``[*S, C]``; an ``ImageError`` where they cannot be read."""
        if self.reader is None:
            raise ImageError(self.reason)
        return self.reader.load(self.uri)


class Readers:
    """Finds the reader of a source of unlabelled images: that of the run, or the surest of the others.

    Args:
        own: gives the reader of the run, or None.
        registry: where the others are looked up.
    """

    def __init__(self, own: Callable[[], Any], registry: Registry) -> None:
        self._own, self._registry = own, registry

    def read(self, source: str) -> tuple[Any, Index] | None:
        """The reader and its index of what lies at a path; None where no reader understands it.

        Raises:
            DataError: readers understand it, but it cannot be used.
        """
        problem: DataError | None = None
        for reader in self._fitting(source):
            try:
                return reader, reader.unlabelled(source)
            except DataError as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return None

    def named(self, text: str) -> tuple[Any, Index] | None:
        """The same for ``READER:ARGUMENT``; None where the left part names no reader."""
        left, colon, argument = text.partition(":")
        name = left.replace("-", "_")
        record = next((r for r in self._registry.components("reader") if name in (r.name, *r.aliases)), None)
        if not colon or record is None:
            return None
        cls = self._registry.load(record)
        reader = self._own() if isinstance(self._own(), cls) else cls()
        return reader, (reader.unlabelled if hasattr(reader, "unlabelled") else reader.index)(argument)

    def _fitting(self, source: str) -> Iterator[Any]:
        own = self._own()
        if hasattr(own, "unlabelled") and _sureness(own, source) > 0:
            yield own
        scores = []
        for record in self._registry.components("reader"):
            try:
                reader = self._registry.load(record)()
            except Exception:  # such as one whose package is missing; `medplug plugins list` tells
                continue
            if hasattr(reader, "unlabelled") and type(reader) is not type(own):
                scores.append((_sureness(reader, source), record.reference, reader))
        yield from (reader for sure, _, reader in sorted(scores, key=lambda s: s[:2], reverse=True) if sure > 0)


def _sureness(reader: Any, source: str) -> float:
    try:
        return float(reader.can_read(source))
    except Exception:  # a broken reader must not keep the others from reading
        return 0.0


def expand(images: Any, spatial: int, readers: Readers | None = None) -> Iterable[tuple[str, Any]]:
    """(name, path or array or :class:`Stored`) of each image.

    Folders, tables and files that hold many images are read by ``readers``; without these, folders are searched for
    image files. ``@list`` and ``*.txt`` are lists of paths, one a line, relative to the list.

    Raises:
        DataError: a list that cannot be read, an array that is no image, or ``READER:ARGUMENT`` that is unusable.
    """
    if hasattr(images, "__array__") and not isinstance(images, np.ndarray) and not hasattr(images, "getbands"):
        images = np.asarray(images)
    single = isinstance(images, np.ndarray) and (
        images.ndim == spatial or (images.ndim == spatial + 1 and images.shape[-1] in (1, 3, 4))
    )
    if isinstance(images, (str, Path)) or single or hasattr(images, "getbands"):
        images = [images]
    for number, image in enumerate(images):
        if isinstance(image, (str, Path)):
            yield from _of_path(str(image), readers)
        else:
            yield str(number), as_image(image, spatial)


def _of_path(text: str, readers: Readers | None, listed: bool = False) -> Iterable[tuple[str, Any]]:
    path = Path(text)
    if not listed and (text.startswith("@") or (path.suffix.lower() == LIST_SUFFIX and path.is_file())):
        for line in _lines(Path(text.removeprefix("@"))):
            yield from _of_path(line, readers, listed=True)
    elif path.is_dir():
        yield from _of_folder(path, readers)
    elif path.suffix.lower() in IMAGE_SUFFIXES or readers is None:
        yield text, text
    else:
        yield from _of_readers(text, readers, path.exists())


def _of_folder(folder: Path, readers: Readers | None) -> Iterable[tuple[str, Any]]:
    if readers is not None:
        try:
            found = readers.read(str(folder))
        except DataError as error:
            yield str(folder), Stored(None, "", str(error))
            return
        if found is not None:
            yield from _of_index(str(folder), *found)
            return
    inside = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    yield from ((str(p), str(p)) for p in inside)


def _of_readers(text: str, readers: Readers, there: bool) -> Iterable[tuple[str, Any]]:
    if not there:
        found = readers.named(text)
    else:
        try:
            found = readers.read(text)
        except DataError as error:
            yield text, Stored(None, "", str(error))
            return
    if found is None:
        yield text, text
    else:
        yield from _of_index(text, *found)


def _of_index(source: str, reader: Any, index: Index) -> Iterable[tuple[str, Any]]:
    """The images of an index, named as in a table, or by the path of the source and their names in it.

    Image files are left to the reader of the run, which has the run's parameters.
    """
    folder = Path(source).is_dir()
    for sample, uri in zip(index.samples, index.uris, strict=True):
        plain = Path(uri).suffix.lower() in IMAGE_SUFFIXES and Path(uri).is_file()
        name = sample if plain and not folder else source if len(index) == 1 and not folder else f"{source}/{sample}"
        yield name, uri if plain else Stored(reader, uri)
    for skipped in index.skipped:
        yield f"{source}/{skipped.name}" if folder else f"{source}, {skipped.name}", Stored(None, "", skipped.reason)


def _lines(path: Path) -> list[str]:
    """The paths in a list, taken from its own folder; empty lines and those that begin with # are passed over."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: the list of images cannot be read: {error}") from None
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise DataError(f"{path}: the list names no image")
    return [str(path.parent / name) for name in names]


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
