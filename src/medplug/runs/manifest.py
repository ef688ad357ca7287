"""``manifest.json``: what a reader needs to believe or repeat a run."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medplug.data.source import Source
from medplug.errors import RunError
from medplug.files import read_json
from medplug.plugins.registry import Registry
from medplug.runs.folder import MANIFEST
from medplug.version import __version__

_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "pluggy",
)


def now() -> str:
    """The time of day in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe_run(
    source: str, argument: str, reader: str, seed: int, fingerprint: str, registry: Registry, used: Iterable[str]
) -> dict[str, Any]:
    """The part of the manifest that is known before training.

    Args:
        source: what was typed as DATA.
        argument: what the reader was given of it.
        reader: reference of the reader.
        seed: of the run.
        fingerprint: of pixels and labels.
        registry: knows versions.
        used: references (``distribution:name``) of the components in use.
    """
    import jax

    versions = {r.distribution: r.version for r in registry.components()}
    by_distribution: dict[str, list[str]] = {}
    for distribution, _, name in (u.partition(":") for u in sorted(used)):
        by_distribution.setdefault(distribution, []).append(name)
    return {
        "medplug": __version__,
        "started": now(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "source": source,
        "argument": _absolute(argument) if argument == source else argument,
        "reader": reader,
        "seed": seed,
        "data_fingerprint": fingerprint,
        "device": describe_devices(jax.devices()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "plugins": {d: {"version": versions.get(d, ""), "components": names} for d, names in by_distribution.items()},
        "problems": [str(p) for p in registry.problems if p.stage not in ("clash", "blocked")],
    }


def open_manifest(
    folder: Path, source: Source, seed: int, fingerprint: str, registry: Registry, used: Iterable[str], resume: bool
) -> dict[str, Any]:
    """The manifest of a run that begins, or with ``resume`` goes on; nothing is written.

    Raises:
        RunError: the run was started on other data.
    """
    manifest = describe_run(source.typed, source.argument, source.name, seed, fingerprint, registry, used)
    stored = folder / MANIFEST
    if resume and stored.exists():
        before = read_json(stored)
        if before["data_fingerprint"] != manifest["data_fingerprint"]:
            raise RunError(f"{folder} was started on other data (images or labels have changed); start anew elsewhere")
        kept = {k: before[k] for k in ("started", "plan", "budget_minutes") if k in before}
        manifest = {**manifest, **kept, "resumed": now()}
    return manifest


def _absolute(path: str) -> str:
    try:
        return str(Path(path).resolve()) if Path(path).exists() else path
    except OSError:  # no path after all
        return path


def describe_devices(devices: Iterable[Any]) -> str:
    """``"1 x cpu"``, ``"2 x NVIDIA A100 (gpu)"``."""
    kinds: dict[str, int] = {}
    for device in devices:
        name = device.platform if device.device_kind == device.platform else f"{device.device_kind} ({device.platform})"
        kinds[name] = kinds.get(name, 0) + 1
    return ", ".join(f"{n} x {name}" for name, n in kinds.items())


def package_versions(names: Iterable[str] = _PACKAGES) -> Mapping[str, str]:
    """Installed versions of the packages that decide results."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
