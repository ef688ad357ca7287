"""The decode-once cache: each image is read, hashed and resized once, into a memory-mapped uint8 array on disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.decode import DecodeOptions, check_pixels, to_input
from medplug.data.facts import THUMB, ImageFacts, measure
from medplug.errors import DataError
from medplug.files import cache_folder, read_json, write_json
from medplug.images import ImageError
from medplug.params import parameters
from medplug.progress import Reporter
from medplug.version import __version__

_FORMAT = 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ARRAY, _THUMBS, _FACTS = "images.npy", "thumbs.npy", "facts.json"


@dataclass(frozen=True)
class PixelStore:
    """Images ``[N, *S, C]`` uint8, memory-mapped, in the order of the index; unreadable ones are black.

    ``thumbs`` are their grey thumbnails, ``[N, 32, 32]`` uint8, made before anything was resized.
    """

    images: np.ndarray
    facts: tuple[ImageFacts, ...] = ()
    thumbs: np.ndarray = field(default_factory=lambda: np.zeros((0, THUMB, THUMB), np.uint8))

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of some images."""
        return np.asarray(self.images[rows])


def open_store(
    reader: Any,
    name: str,
    uris: Sequence[str],
    options: DecodeOptions,
    threads: int,
    reporter: Reporter,
    source: str = "",
) -> PixelStore:
    """The store of these images: from the cache, or decoded now.

    Args:
        reader: loads one image; its parameters are part of the key.
        name: the reader's reference.
        uris: what to load, in order.
        source: what the reader was given; a file that holds all images is part of the key.

    Raises:
        DataError: the disk is full, or the cache cannot be written.
    """
    home = cache_folder("pixels", _key(reader, name, (source, *uris), options))
    stored = _open(home, len(uris))
    if stored is not None:
        return stored
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    except OSError as error:
        raise DataError(
            f"the image cache {home.parent} cannot be written ({error.strerror}); set MEDPLUG_CACHE to another folder"
        ) from None
    try:
        _fill(work, reader, uris, options, threads, reporter)
        if _open(home, len(uris)) is None:
            shutil.rmtree(home, ignore_errors=True)  # damaged, if it is there
        try:
            work.rename(home)
        except OSError:  # another process was first; its store is as good as this one
            shutil.rmtree(work, ignore_errors=True)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    stored = _open(home, len(uris))
    if stored is None:
        raise DataError(f"the image cache at {home} cannot be read back; remove the folder and try again")
    return stored


def input_shape(reader: Any, uris: Sequence[str], options: DecodeOptions) -> tuple[int, ...]:
    """``(*S, C)`` of the network's input, from the first image that can be read; two axes where none can."""
    for uri in uris:
        pixels, _ = decode_one(reader, uri, options)
        if pixels is not None:
            return pixels.shape
    return (options.size, options.size, options.channels)


def decode_one(reader: Any, uri: str, options: DecodeOptions) -> tuple[np.ndarray | None, str]:
    """One image ready for the network, or None and the reason why it cannot be read."""
    try:
        return to_input(check_pixels(reader.load(uri), uri), options), ""
    except ImageError as error:
        return None, str(error)


def _decode_and_measure(
    reader: Any, uri: str, options: DecodeOptions
) -> tuple[np.ndarray | None, ImageFacts, np.ndarray]:
    try:
        pixels = check_pixels(reader.load(uri), uri)
    except ImageError as error:
        return None, ImageFacts(error=str(error)), np.zeros((THUMB, THUMB), np.uint8)
    return to_input(pixels, options), *measure(reader, uri, pixels)


def _fill(
    work: Path, reader: Any, uris: Sequence[str], options: DecodeOptions, threads: int, reporter: Reporter
) -> None:
    facts: list[ImageFacts] = []
    images: np.ndarray | None = None
    thumbs = np.zeros((len(uris), THUMB, THUMB), np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        decoded = pool.map(lambda uri: _decode_and_measure(reader, uri, options), uris)
        for row, (pixels, fact, thumb) in enumerate(reporter.track(decoded, "reading images", len(uris), "images")):
            facts.append(fact)
            thumbs[row] = thumb
            if pixels is None:
                continue
            if images is None:
                images = _allocate(work / _ARRAY, (len(uris), *pixels.shape))
            images[row] = pixels
    if images is None:
        images = _allocate(work / _ARRAY, (len(uris), options.size, options.size, options.channels))
    images.flush()  # type: ignore[attr-defined]
    np.save(work / _THUMBS, thumbs)
    write_json(work / _FACTS, {"format": _FORMAT, "facts": [asdict(f) for f in facts]})


def _allocate(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    try:  # reserve the space: a sparse map on a full disk ends the process by a signal
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except AttributeError:
        pass  # no such call on this system
    except OSError as error:
        if error.errno not in _FULL:
            return images  # a file system that cannot reserve
        raise DataError(
            f"{path.parent.parent}: no room for {images.nbytes / 2**20:.0f} MiB of decoded images ({error.strerror}); set MEDPLUG_CACHE"
        ) from None
    return images


def _open(home: Path, count: int) -> PixelStore | None:
    try:
        found = read_json(home / _FACTS)
        images = np.load(home / _ARRAY, mmap_mode="r", allow_pickle=False)
        thumbs = np.load(home / _THUMBS, allow_pickle=False)
    except (OSError, ValueError, json.JSONDecodeError):
        return None
    if (
        not isinstance(found, dict)
        or found.get("format") != _FORMAT
        or len(found["facts"]) != count
        or len(images) != count
        or len(thumbs) != count
    ):
        return None
    facts = tuple(ImageFacts(**{**f, "shape": tuple(f["shape"])}) for f in found["facts"])
    return PixelStore(images, facts, thumbs)


def _key(reader: Any, name: str, uris: Sequence[str], options: DecodeOptions) -> str:
    digest = hashlib.sha256()
    head = {
        "format": _FORMAT,
        "medplug": __version__,
        "reader": name,
        "parameters": parameters(reader),
        "options": options.key(),
    }
    digest.update(json.dumps(head, sort_keys=True, default=str).encode())
    for uri in uris:
        try:
            status = Path(uri).stat()
            stamp = f"{status.st_size}:{status.st_mtime_ns}"
        except (OSError, ValueError):
            stamp = "-"
        digest.update(f"{uri}\0{stamp}\0".encode("utf-8", "surrogatepass"))  # paths need not be UTF-8
    return digest.hexdigest()[:32]
