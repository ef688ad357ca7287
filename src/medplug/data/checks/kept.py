"""Findings kept beside the facts that they were made from, so that data that have not changed are not checked again.

They lie in the folder of the facts' entry and go with it. Their name is a hash of everything that they depend on: the
samples with labels, groups, columns and given splits, what was found out about each image, the settings, and the code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache as once
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from medplug.config.settings import CheckSettings
from medplug.data.checks.report import CheckReport, Finding
from medplug.data.facts import ImageFacts
from medplug.data.store import cache
from medplug.data.store.entry import FACT_FILE, SUMS
from medplug.files import atomic
from medplug.values import Index, Skipped
from medplug.version import __version__

_MOST = 16  # per entry: of other settings, or other labels of the same images
_HASH = hashlib.sha256
_BROKEN = (OSError, ValueError, KeyError, TypeError)

Found = tuple[Index, np.ndarray, CheckReport]
"""The index of what is left, the rows of the given one that it has, and all findings."""


def place_of(key: str, index: Index, facts: Sequence[ImageFacts], settings: CheckSettings) -> Path | None:
    """The file of these findings, whether it is there or not; None where the facts are not in the cache.

    Args:
        key: of the store, which is the name of the facts' entry.
        index: all of it counts.
        facts: whatever they say now beside what is kept, which is why images cannot be read.
        settings: of the checks.
    """
    entry = cache.root() / key
    if not key:
        return None
    digest = _HASH(json.dumps([__version__, np.__version__, scipy.__version__, _code(), asdict(settings)]).encode())
    try:
        for name in (FACT_FILE, SUMS):
            digest.update((entry / name).read_bytes())
    except OSError:
        return None
    digest.update(json.dumps([[row, fact.error] for row, fact in enumerate(facts) if fact.error]).encode())
    for field in fields(index):
        digest.update(f"\0{field.name}\0".encode())
        _add(digest, getattr(index, field.name))
    return entry / f"checks-{digest.hexdigest()[:32]}.json"


def _add(digest: Any, value: Any) -> None:
    """Everything that is in a value of an index, with its type."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(json.dumps(value.tolist(), default=repr).encode() if value.dtype.hasobject else value.tobytes())
    elif isinstance(value, Mapping):
        for name, column in value.items():
            digest.update(json.dumps(name).encode())
            _add(digest, np.asarray(column))
    else:
        digest.update(json.dumps(value, default=asdict).encode())


@once
def _code() -> str:
    """A hash of the checks themselves, which may change while somebody works on them."""
    digest = _HASH()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read(place: Path, index: Index) -> Found | None:
    """What was found of this index; None where nothing was kept, or it is damaged."""
    try:
        head, _, body = place.read_bytes().partition(b"\n")
        if head != _HASH(body).hexdigest().encode():
            return None
        found = json.loads(body)
        rows, identical, alike = (np.array(found[name], np.int64) for name in ("rows", "identical", "alike"))
        findings = tuple(Finding(**{**one, "names": tuple(one["names"])}) for one in found["findings"])
        skipped = tuple(Skipped(*one) for one in found["skipped"])
    except _BROKEN:
        return None
    report = CheckReport(findings, skipped, identical, found["fingerprint"], alike)
    left_out = skipped[len(index.skipped) :]
    kept = index.leave_out(list(left_out)) if left_out else index
    return (kept, rows, report) if len(kept) == len(rows) == len(identical) else None


def write(place: Path, found: Found) -> None:
    """Keep what was found, if the entry is there and may be written; it only saves time."""
    _, rows, report = found
    body = json.dumps(
        {
            "rows": rows.tolist(),
            "identical": report.identical.tolist(),
            "alike": report.alike.tolist(),
            "fingerprint": report.fingerprint,
            "findings": [asdict(finding) for finding in report.findings],
            "skipped": [[one.name, one.reason, one.lost] for one in report.skipped],
        }
    ).encode()
    try:
        with atomic(place, "wb") as stream:
            stream.write(_HASH(body).hexdigest().encode() + b"\n" + body)
        there = sorted(place.parent.glob("checks-*.json"), key=lambda path: -path.stat().st_mtime)
        for old in there[_MOST:]:
            old.unlink(missing_ok=True)
    except OSError:
        return
