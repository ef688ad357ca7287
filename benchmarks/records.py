"""Records: what was measured, on what machine, with what code."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.family import BenchmarkError, Record
from medplug.files import read_json, write_json
from medplug.version import __version__

ROOT = Path(__file__).parent
RESULT = "result.json"


def environment() -> dict[str, str | int]:
    """The machine and the code; nothing in it names a path or a person."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "python": platform.python_version(),
        "medplug": __version__,
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return "unknown"
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def write_record(folder: Path, family: str, benchmark: str, seed: int | None, figures: Record) -> None:
    """Write ``result.json``; the machine is added."""
    head = {"family": family, "benchmark": benchmark, "seed": seed}
    write_json(folder / RESULT, {**head, **figures, "machine": environment()})


def read_records(out: Path) -> list[Record]:
    """The records below the folder of the runs: ``NAME/result.json`` and ``NAME/seed-N/result.json``."""
    return [read_json(path) for depth in ("*", "*/*") for path in sorted(out.glob(f"{depth}/{RESULT}"))]


def merge(stored: Iterable[Record], fresh: Iterable[Record]) -> list[Record]:
    """The newest record of each benchmark and seed, in the order of their names."""
    found = {_key(record): record for record in (*stored, *fresh)}
    return [found[key] for key in sorted(found)]


def keep(path: Path, fresh: Sequence[Record]) -> list[Record]:
    """Merge new records into the file at ``path``, which is kept with the code; returns all of them."""
    stored = read_json(path) if path.exists() else []
    if not isinstance(stored, list):
        raise BenchmarkError(f"{path}: a list of records is expected; restore the file or remove it")
    records = merge(stored, fresh)
    if records != stored:
        write_json(path, records)
    return records


def _key(record: Record) -> tuple[str, str, int]:
    seed = record["seed"]
    return record["family"], record["benchmark"], -1 if seed is None else seed
