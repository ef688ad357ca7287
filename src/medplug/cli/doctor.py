"""``medplug doctor``: what is installed, which devices JAX sees, and what is wrong."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="what is installed, and what is wrong with it")
    parser.set_defaults(action=action)


def action(parsed: argparse.Namespace) -> int:
    """Run the command; exit code 1 where something is wrong."""
    import jax

    from medplug.files import cache_folder
    from medplug.plugins.registry import registry
    from medplug.runs.manifest import describe_devices, package_versions
    from medplug.version import __version__

    found = registry()
    print(f"medplug {__version__}, Python {sys.version.split()[0]} at {sys.prefix}")
    for name, version in package_versions().items():
        print(f"  {name} {version}")
    wrong = []
    try:
        devices = jax.devices()
    except Exception as error:  # whatever a backend raises is the finding
        devices = []
        wrong.append(f"JAX finds no device: {error}; look at JAX_PLATFORMS")
    print(f"devices: {describe_devices(devices) or 'none'}")
    cache = cache_folder()
    place = next(p for p in (cache, *cache.parents) if p.exists())
    print(f"cache: {cache} ({shutil.disk_usage(place).free / 2**30:.0f} GiB free)")
    print("plugins:")
    for distribution in sorted({r.distribution for r in found.components()}):
        records = [r for r in found.components() if r.distribution == distribution]
        print(f"  {distribution} {records[0].version}: {len(records)} components")
    wrong += [str(p) for p in found.problems if p.stage != "blocked"] + gpu_problems(
        {d.platform for d in devices}, Path("/dev")
    )
    if not found.components("architecture"):
        wrong.append("no plugin offers an architecture; pip install 'medplug[standard]'")
    for problem in wrong:
        print(f"wrong: {problem}")
    print("nothing wrong" if not wrong else f"{len(wrong)} problem(s)")
    return 1 if wrong else 0


def gpu_problems(platforms: set[str], devices: Path) -> list[str]:
    """A sentence where the machine has a GPU that JAX does not use.

    >>> gpu_problems({"cpu"}, Path("/nowhere"))
    []
    """
    has_gpu = (devices / "nvidia0").exists() or (devices / "kfd").exists()
    if has_gpu and not platforms & {"gpu", "cuda", "rocm"}:
        return [
            "the machine has a GPU, but JAX sees none; pip install 'medplug[cuda]' (NVIDIA), and look at JAX_PLATFORMS"
        ]
    return []
