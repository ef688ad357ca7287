"""Finding the entry points of installed distributions, quickly.

``importlib.metadata`` reads every distribution's metadata and costs tens of milliseconds; here only
``entry_points.txt`` is opened, and only decoded when it names the group. Zip files and custom finders
are left to ``importlib.metadata``. A test keeps both in agreement.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

GROUP = "medplug"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One entry point: ``name = value`` of a distribution."""

    distribution: str
    name: str
    value: str
    version: str = ""


def normalise(name: str) -> str:
    """A distribution's name as pip compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def scan(path: Iterable[str] | None = None, group: str = GROUP) -> tuple[Entry, ...]:
    """All entry points of a group, sorted by distribution and name; of two copies of one distribution the first counts."""
    found: dict[str, list[Entry]] = {}
    for place in sys.path if path is None else path:
        place = place or os.curdir
        for distribution, entries in _scan_place(place, group, found):
            found.setdefault(distribution, entries)
    return tuple(sorted(entry for entries in found.values() for entry in entries))


def _scan_place(place: str, group: str, seen: dict[str, list[Entry]]) -> Iterator[tuple[str, list[Entry]]]:
    if place.endswith((".zip", ".egg", ".pyz")):
        yield from _scan_metadata(place, group)
        return
    try:
        with os.scandir(place) as listing:
            names = sorted(e.name for e in listing if e.name.endswith((".dist-info", ".egg-info")))
    except OSError:
        return
    for folder in names:
        stem = folder.rsplit(".", 1)[0]
        raw, _, rest = stem.partition("-")
        distribution = normalise(raw)
        home = Path(place, folder)
        # An empty folder left behind by an interrupted uninstall must not hide the real one.
        if distribution in seen or not any((home / f).is_file() for f in ("METADATA", "PKG-INFO")):
            continue
        yield distribution, _read_entries(home, distribution, rest.split("-py")[0], group)


def _read_entries(home: Path, distribution: str, version: str, group: str) -> list[Entry]:
    try:
        raw = (home / "entry_points.txt").read_bytes()
    except OSError:
        return []
    if f"[{group}]".encode() not in raw:
        return []
    version = version or _version(home)
    entries, inside = [], False
    for line in raw.decode("utf-8", "replace").splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            entries.append(Entry(distribution, name.strip(), value.strip(), version))
    return entries


def _version(home: Path) -> str:
    for name in ("METADATA", "PKG-INFO"):
        try:
            text = (home / name).read_text("utf-8", "replace")
        except OSError:
            continue
        match = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE)
        if match:
            return match.group(1)
    return ""


def _scan_metadata(place: str, group: str) -> Iterator[tuple[str, list[Entry]]]:
    from importlib.metadata import Distribution

    for found in Distribution.discover(path=[place]):
        name = normalise(found.metadata["Name"])
        points = [e for e in found.entry_points if e.group == group]
        yield name, [Entry(name, e.name, e.value, found.version) for e in points]
