"""Small trees of files for the tests of readers."""

from __future__ import annotations

from pathlib import Path

from medplug.plugins import Index


def put(root: Path, *names: str) -> None:
    """Empty files, with their folders."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(root: Path, *lines: str, name: str = "labels.csv") -> str:
    """A table of these lines."""
    path = root / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def labels(index: Index) -> dict[str, str]:
    """The label of each sample in words."""
    return {sample: index.label_text(i) for i, sample in enumerate(index.samples)}
