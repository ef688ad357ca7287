"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import platformdirs


@contextmanager
def atomic(path: str | Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for writing; it appears under its name only when it is complete and on the disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if "b" not in mode:
        options = {"encoding": "utf-8", "newline": "", **options}
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, mode, **options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    r"""Write a text file atomically.

    Bytes of file names that are not UTF-8 (lone surrogates in Python) become ``\udcXX``, from which JSON reads the
    same name again.
    """
    with atomic(path, errors="backslashreplace") as stream:
        stream.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically; NaN is refused, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text("utf-8"))


def cache_folder(*parts: str) -> Path:
    """A folder of medplug's cache: ``$MEDPLUG_CACHE`` or the user's cache folder."""
    base = os.environ.get("MEDPLUG_CACHE") or platformdirs.user_cache_dir("medplug")
    return Path(base, *parts)
