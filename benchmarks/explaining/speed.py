"""Benchmark ``explain``: the time that maps take, beside pytorch-grad-cam and captum, and the memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import python_of
from benchmarks.explaining.workloads import COMPARISONS, EDGE, LABEL, LABELS, MEMORY, MEMORY_IMAGES, RATES, Comparison
from benchmarks.family import BenchmarkError, Options, Record
from benchmarks.records import write_record

FAMILY = NAME = "explain"
ROUNDS = 3
SETTINGS = ("medplug", "defaults", "best")
GRAD_CAM_RATE, ALL_LABELS, GROWTH = 0.8, 1.3, 1.3  # targets of medplug beside itself
_PEERS = Path(__file__).parent / "peers"


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    return (
        f"{name}: seconds an image of Grad-CAM, occlusion, Score-CAM and integrated gradients, DenseNet121 at {EDGE} px, "
        f"beside pytorch-grad-cam and captum, {ROUNDS} rounds in turn; needs no data, installs its peers at first (1 GB)"
    )


def run(name: str, options: Options) -> None:
    """Measure every method by all in turn, each in processes of its own; print each figure.

    Raises:
        BenchmarkError: a worker fails.
    """
    home = options.out / NAME
    python = python_of(_PEERS / "torch_explaining.txt", options.out / "peers")
    compiled = home / "xla"
    shutil.rmtree(compiled, ignore_errors=True)  # the first round tells what compiling takes
    own = _own(compiled)
    comparisons = []
    for comparison in COMPARISONS:
        comparisons.append(_compare(comparison, python, compiled))
        print(f"{comparison.title}: {_words(comparisons[-1])}", flush=True)
    write_record(home, FAMILY, NAME, None, {"rounds": ROUNDS, "own": own, "comparisons": comparisons})


def _own(compiled: Path) -> dict[str, Any]:
    """Plain inference, many labels and many images, by medplug alone."""
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for kind, found in _medplug(RATES, compiled)["seconds"].items():
            seconds.setdefault(kind, []).extend(found)
    rates = {kind: RATES["images"] / min(found) for kind, found in seconds.items()}
    print(f"{', '.join(f'{kind} {rate:.1f} images/s' for kind, rate in rates.items())}", flush=True)
    memory = []
    for method, parameters in MEMORY.items():
        for images in MEMORY_IMAGES:
            given = {"method": method, "memory": True, "images": images, "edge": EDGE, "labels": LABELS, "label": LABEL}
            memory.append({"method": method, "images": images, **_medplug({**given, **parameters}, compiled)})
            print(f"{method}, {images} images: at most {memory[-1]['peak_mib']:.0f} MiB", flush=True)
    return {"labels": RATES["labels"], "images_per_second": rates, "memory": memory}


def _compare(comparison: Comparison, python: Path, compiled: Path) -> dict[str, Any]:
    """Seconds an image of all calls of each setting, and of medplug's very first; and the peer's best chunk."""
    found: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    first = chunk = None
    for _ in range(ROUNDS):
        for setting in SETTINGS:
            given = comparison.workload(setting, chunk)
            done = _medplug(given, compiled) if setting == "medplug" else _peer(given, python)
            first = done["first"]["explain"] if first is None else first
            chunk = done["chunk"] if setting == "best" else chunk
            found[setting] += [seconds / comparison.images for seconds in done["seconds"]["explain"]]
    return {"method": comparison.method, "first_call": first, "chunk": chunk, "seconds_per_image": found}


def _medplug(workload: Mapping[str, Any], compiled: Path) -> dict[str, Any]:
    cache = {"JAX_COMPILATION_CACHE_DIR": str(compiled)}
    return _worker([sys.executable, "-m", "benchmarks.explaining.worker"], workload, {**os.environ, **cache})


def _peer(workload: Mapping[str, Any], python: Path) -> dict[str, Any]:
    return _worker([str(python), str(_PEERS / "torch_worker.py")], workload, dict(os.environ))


def _worker(command: Sequence[str], workload: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [*command, json.dumps(workload)], capture_output=True, text=True, check=False, env=dict(environment)
    )
    if done.returncode:
        raise BenchmarkError(f"{workload['method']} by {Path(command[-1]).stem} failed: {done.stderr[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _words(row: Mapping[str, Any]) -> str:
    fastest = {setting: min(seconds) for setting, seconds in row["seconds_per_image"].items()}
    ratios = [f"{fastest[setting] / fastest['medplug']:.2f} of {setting}" for setting in SETTINGS[1:]]
    return f"{fastest['medplug']:.3f} s an image; speed {', '.join(ratios)}"


# ---------------------------------------------------------------- the table


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest record."""
    lines = ["## Explanations", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks explain`.", ""])
    [record] = records
    lines += [
        f"DenseNet121 with random weights at {EDGE} px on the CPU; the fastest call of {record['rounds']} rounds in turn, each in a",
        "process of its own. Defaults: as the peer's README says. Best: channels last, no gradient further than needed, and",
        "as many images or variants at once as were fastest (in brackets). Score-CAM stands behind the first transition (128 channels, one pass each). The",
        "first call compiles, once on a machine.",
        "",
        "| method | medplug, s an image | first call, s | peer | defaults, s | times as fast | target | best, s | times as fast | target |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_comparison_row(row) for row in record["comparisons"]]
    lines += ["", "| medplug beside itself | | target |", "|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in _own_rows(record["own"])]
    return "\n".join([*lines, ""])


def _comparison_row(row: Mapping[str, Any]) -> str:
    known = next(c for c in COMPARISONS if c.method == row["method"])
    fastest = {setting: min(seconds) for setting, seconds in row["seconds_per_image"].items()}
    cells = [known.title, f"{fastest['medplug']:.3f}", f"{row['first_call']:.0f}", known.peer]
    for setting, target in (("defaults", known.defaults), ("best", known.best)):
        ratio = fastest[setting] / fastest["medplug"]
        at_once = f" ({row['chunk']})" if setting == "best" else ""
        cells += [f"{fastest[setting]:.3f}{at_once}", *_judged(ratio, at_least=target)]
    return f"| {' | '.join(cells)} |"


def _own_rows(own: Mapping[str, Any]) -> list[list[str]]:
    rates, labels = own["images_per_second"], own["labels"]
    plain = f"plain inference ({rates['inference']:.1f} images/s)"
    rows = [
        [f"speed of Grad-CAM over {plain}", *_judged(rates["one"] / rates["inference"], at_least=GRAD_CAM_RATE)],
        [f"speed of Grad-CAM with its gradient over {plain}", f"{rates['gradient'] / rates['inference']:.2f}", "–"],
        [f"cost of {labels} labels over that of one", *_judged(rates["one"] / rates["all"], below=ALL_LABELS)],
    ]
    for method in dict.fromkeys(entry["method"] for entry in own["memory"]):
        few, many = (entry for entry in own["memory"] if entry["method"] == method)
        words = (
            f"most memory of {method} with {many['images']} images ({many['peak_mib']:.0f} MiB) over {few['images']} "
            f"({few['peak_mib']:.0f} MiB)"
        )
        rows.append([words, *_judged(many["peak_mib"] / few["peak_mib"], below=GROWTH)])
    return rows


def _judged(ratio: float, *, at_least: float | None = None, below: float | None = None) -> list[str]:
    """The figure, bold where it misses its target, and the target."""
    if at_least is not None:
        return [_marked(ratio, ratio >= at_least), f">= {at_least:g}"]
    assert below is not None
    return [_marked(ratio, ratio < below), f"< {below:g}"]


def _marked(ratio: float, reached: bool) -> str:
    return f"{ratio:.2f}" if reached else f"**{ratio:.2f}** (missed)"
