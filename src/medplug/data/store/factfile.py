"""Facts of images on disk: by column, because 25,000 of them are read at the start of every run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.facts import ImageFacts
from medplug.data.pause import collector_paused

_NAMES = tuple(field.name for field in fields(ImageFacts))
_NUMBERS = ("mean", "border", "colour")


def write_facts(path: Path, facts: Sequence[ImageFacts]) -> None:
    """Write N facts as ``.npz``, whose members carry a CRC-32."""
    widest = max((len(fact.shape) for fact in facts), default=0)
    shapes = np.zeros((len(facts), widest), np.int64)
    for row, fact in enumerate(facts):
        shapes[row, : len(fact.shape)] = fact.shape
    columns = {
        "pixels": _hashes([fact.pixels for fact in facts]),
        "content": _hashes([fact.content for fact in facts]),
        "shape": shapes,
        "constant": np.array([fact.constant for fact in facts], bool),
        "values": np.array([fact.values for fact in facts], np.uint8),
        **{name: np.array([getattr(fact, name) for fact in facts], np.float64) for name in _NUMBERS},
        "errors": _text({row: fact.error for row, fact in enumerate(facts) if fact.error}),
        "files": _text(_to_columns([fact.file for fact in facts])),
    }
    stream = io.BytesIO()
    np.savez(stream, **columns)  # type: ignore[arg-type]
    path.write_bytes(stream.getvalue())


def read_facts(path: Path, count: int) -> tuple[ImageFacts, ...]:
    """The facts of such a file.

    Raises:
        ValueError: there are not ``count`` of them; or any error of a damaged file.
    """
    with np.load(path, allow_pickle=False) as found:
        columns = {name: found[name] for name in found.files}
    error = {int(row): text for row, text in json.loads(columns["errors"].tobytes()).items()}
    shapes, constant, values = (columns[name].tolist() for name in ("shape", "constant", "values"))
    numbers = [columns[name].tolist() for name in _NUMBERS]
    pixels, content = _texts(columns["pixels"]), _texts(columns["content"])
    stored = json.loads(columns["files"].tobytes())
    if {count} != {len(column) for column in (shapes, pixels, content, *numbers, *stored.values())}:
        raise ValueError(f"{path}: not the facts of {count} images")
    shape_of: dict[tuple[int, ...], tuple[int, ...]] = {}  # most images have one of few shapes
    with collector_paused():
        files = _to_rows(stored, count)
        return tuple(
            ImageFacts(
                pixels[row], shape_of.setdefault(key := tuple(shapes[row]), tuple(n for n in key if n)),
                constant[row], error.get(row, ""), content[row], values[row],
                numbers[0][row], numbers[1][row], numbers[2][row], files[row],
            )
            for row in range(count)
        )  # fmt: skip


def _to_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Mappings by key, None where one lacks it: names are not repeated 25,000 times."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _to_rows(columns: Mapping[str, list[Any]], count: int) -> list[dict[str, Any]]:
    names = list(columns)
    rows = [dict(zip(names, row, strict=False)) for row in zip(*columns.values(), strict=True)] or [
        {} for _ in range(count)
    ]
    if any(None in column for column in columns.values()):
        return [{name: value for name, value in row.items() if value is not None} for row in rows]
    return rows


def journal_line(found: Mapping[int, ImageFacts]) -> str:
    """Facts of some rows as one line, for a file that is complete at any time."""
    rows = {row: {name: getattr(fact, name) for name in _NAMES} for row, fact in found.items()}
    return json.dumps(rows, default=_plain) + "\n"


def read_journal(path: Path, count: int) -> tuple[ImageFacts | None, ...]:
    """The facts of all whole lines; None for the other rows."""
    found: list[ImageFacts | None] = [None] * count
    for line in path.read_text("utf-8").split("\n")[:-1]:
        for row, fact in json.loads(line).items():
            found[int(row)] = ImageFacts(**{**fact, "shape": tuple(fact["shape"])})
    return tuple(found)


def _hashes(texts: Sequence[str]) -> np.ndarray:
    """Hexadecimal SHA-256 as ``[N, 32]`` uint8; an empty text is 32 zeros."""
    return np.frombuffer(bytes.fromhex("".join(text or "0" * 64 for text in texts)), np.uint8).reshape(-1, 32)


def _texts(hashes: np.ndarray) -> list[str]:
    text, present = hashes.tobytes().hex(), np.asarray(hashes.any(1)).tolist()
    return [text[64 * row : 64 * row + 64] if present[row] else "" for row in range(len(present))]


def _text(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value, default=_plain).encode(), np.uint8)


def _plain(value: Any) -> Any:
    """NumPy's numbers, which a reader may give among its facts."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"facts of a file are texts and numbers, not {type(value).__name__}")
