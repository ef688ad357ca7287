"""Benchmark ``startup``: how long the command line takes to answer a question that needs no data."""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.family import BenchmarkError, Options, Record
from benchmarks.records import write_record

FAMILY = NAME = "startup"
REPEATS = 15
TARGET = 0.3  # seconds, whole process
PEER = "python -c 'import jax'"  # what a command line that imports its framework would pay at least
OURS = "medplug plugins list"


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    return f"{name}: wall time of `{OURS}`, {REPEATS} processes (target: below {TARGET:g} s); needs no data"


def run(name: str, options: Options) -> None:
    """Time both commands in turn, after one unmeasured round.

    Raises:
        BenchmarkError: a command fails.
    """
    commands = {OURS: [_script(), "plugins", "list"], PEER: [sys.executable, "-c", "import jax"]}
    seconds: dict[str, list[float]] = {words: [] for words in commands}
    for number in range(REPEATS + 1):
        for words, arguments in commands.items():
            taken = time_process(arguments)
            if number:
                seconds[words].append(taken)
    figures = {words: summarise(found) for words, found in seconds.items()}
    write_record(options.out / NAME, FAMILY, NAME, None, {"commands": figures, "target": TARGET})
    for words, figure in figures.items():
        print(f"{words}: median {figure['median']:.3f} s, fastest {figure['fastest']:.3f} s")


def time_process(arguments: Sequence[str]) -> float:
    """Seconds from the start of a process to its end; its output is dropped."""
    started = time.perf_counter()
    code = subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False).returncode
    taken = time.perf_counter() - started
    if code != 0:
        raise BenchmarkError(f"startup: {' '.join(arguments[1:])} ended with exit code {code}")
    return taken


def summarise(seconds: Sequence[float]) -> dict[str, float | int]:
    """Median and fastest, rounded to milliseconds."""
    return {
        "median": round(statistics.median(seconds), 3),
        "fastest": round(min(seconds), 3),
        "repeats": len(seconds),
    }


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest record."""
    lines = ["## Startup", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks run startup`.", ""])
    [record] = records
    lines += ["| whole process | median, s | fastest, s | repeats | target |", "|---|---|---|---|---|"]
    for words, figure in record["commands"].items():
        target = f"< {record['target']:g} s" if words == OURS else "(peer)"
        row = [f"`{words}`", f"{figure['median']:.3f}", f"{figure['fastest']:.3f}", str(figure["repeats"]), target]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def _script() -> str:
    script = Path(sysconfig.get_path("scripts"), "medplug")
    if not script.exists():
        raise BenchmarkError("startup: the command medplug is not installed for this interpreter; run `make install`")
    return str(script)
