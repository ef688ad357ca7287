"""Benchmark ``batches``: images per second that reach the network, beside AUCMEDI's and PyTorch's loaders."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data.images import make_images
from benchmarks.environments import python_of
from benchmarks.family import BenchmarkError, Options, Record
from benchmarks.records import write_record

FAMILY = NAME = "batches"
PEERS = {"aucmedi": "AUCMEDI's DataGenerator", "torch": "PyTorch's DataLoader"}
SIZES = {(256, 256): 512, (1024, 768): 192}  # images of each size in pixels
MODES = {"plain": "batches, no augmentation", "augmented": "batches, augmented", "first": "first epoch, nothing cached"}
TARGETS = {  # times the images/s of AUCMEDI
    ("plain", (256, 256)): 10.0,
    ("plain", (1024, 768)): 10.0,
    ("augmented", (256, 256)): 1.3,
    ("augmented", (1024, 768)): 3.0,
    ("first", (256, 256)): 1.0,
    ("first", (1024, 768)): 1.0,
}
EDGE, BATCH, EPOCHS, ROUNDS = 224, 32, 3, 3
_HERE = Path(__file__).parent


def names() -> dict[str, list[str]]:
    """The one benchmark of the group ``data``."""
    return {"data": [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    return (
        f"{name}: images/s at {EDGE} px in batches of {BATCH}, from JPEG files of 256x256 and 1024x768, beside "
        f"{' and '.join(PEERS.values())}, {ROUNDS} rounds in turn; invents its images, installs its peers at first (2 GB)"
    )


def run(name: str, options: Options) -> None:
    """Measure all loaders in turn, each in processes of its own.

    Raises:
        BenchmarkError: a loader fails.
    """
    home = options.out / NAME
    pythons = {peer: python_of(_HERE / "peers" / f"{peer}.txt", options.out / "peers") for peer in PEERS}
    rows = []
    for (width, height), count in SIZES.items():
        folder = make_images(home / "images" / f"{width}x{height}", width, height, count)
        for mode, words in MODES.items():
            found: dict[str, list[float]] = {"medplug": [], **{peer: [] for peer in PEERS}}
            for _ in range(ROUNDS):
                for loader, speeds in found.items():
                    speeds += _measure(loader, pythons, folder, mode)
            rows.append({"width": width, "height": height, "mode": mode, "images_per_second": found})
            print(f"{width}x{height}, {words}: {_summary(found)}", flush=True)
    write_record(home, FAMILY, NAME, None, {"rows": rows})


def _measure(loader: str, pythons: dict[str, Path], folder: Path, mode: str) -> list[float]:
    """Images per second of each measured epoch; the first one of a process warms up, but where it is what is asked for."""
    first = mode == "first"
    epochs = str(1 if first else EPOCHS)
    given = [str(folder), mode, str(EDGE), str(BATCH), epochs]
    if loader == "medplug":
        command = [sys.executable, "-m", "benchmarks.data.worker", *given]
    else:
        command = [str(pythons[loader]), str(_HERE / "peers" / f"{loader}_worker.py"), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{loader} failed: {done.stderr[-800:]}")
    speeds = json.loads(done.stdout.splitlines()[-1])["images_per_second"]
    return speeds if first else speeds[1:]


def _summary(found: dict[str, list[float]]) -> str:
    return ", ".join(f"{loader} {statistics.median(speeds):.0f}/s" for loader, speeds in found.items())


def section(records: Sequence[Record], options: Options) -> str:
    """Markdown of the newest record."""
    lines = ["## Batches", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks run batches`.", ""])
    [record] = records
    lines += [
        f"Images per second at {EDGE} px, batches of {BATCH}, median (range) of the epochs of {ROUNDS} rounds in turn;",
        "medplug reads its batches from the cache but in the first epoch, and standardises and augments on the device.",
        "",
        "| JPEG files | what | medplug | AUCMEDI | PyTorch | medplug / AUCMEDI | target | medplug / PyTorch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        found = row["images_per_second"]
        size = (row["width"], row["height"])
        ours = statistics.median(found["medplug"])
        cells = [f"{size[0]}x{size[1]}", MODES[row["mode"]], *(_spread(found[k]) for k in ("medplug", *PEERS))]
        cells += [f"{ours / statistics.median(found['aucmedi']):.1f}", f">= {TARGETS[row['mode'], size]:g}"]
        lines.append(f"| {' | '.join(cells)} | {ours / statistics.median(found['torch']):.1f} |")
    return "\n".join([*lines, ""])


def _spread(speeds: Sequence[float]) -> str:
    return f"{statistics.median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f})"
