"""Memory: what a compiled step needs, what the machine has, and how a batch is cut that is too large for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from medplug.errors import UsageError

_USABLE = (
    0.9  # of what is free: the best weights, a checkpoint on its way to the disk and the other programs need some too
)
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
_GROUPS = (  # limit, use, file with the share of that use that is only a cache of files
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def program_memory(compiled: Any) -> int | None:
    """Bytes that a compiled function takes while it runs: arguments, results and what lies between.

    Memory of arguments that the function gives to its results is counted once. None where the backend does not tell.
    """
    stats = compiled.memory_analysis()
    if stats is None:
        return None
    taken = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    return int(taken - stats.alias_size_in_bytes)


def free_memory(device: Any = None, root: Path = Path("/")) -> int | None:
    """Bytes that are free where the steps run; None where nobody tells.

    On an accelerator, what JAX may take of it less what it holds already; on a CPU the least of what the system calls
    available and what the process's group (container, batch job) has left, or else all that is built in.

    Args:
        device: by default the first one.
        root: where ``/proc`` and ``/sys`` are.
    """
    device = jax.devices()[0] if device is None else device
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    if device.platform != "cpu":
        return None
    found = [n for n in (_available(root), *(_of_group(root, *files) for files in _GROUPS)) if n is not None]
    return min(found) if found else _built_in()


def fitting_micro_batch(estimate: Callable[[int], int | None], free: int | None, batch: int, micro: int) -> int:
    """How many images of a batch go through the network at once, so that a step fits: ``micro``, or fewer and fewer.

    Args:
        estimate: bytes of a step that takes so many images at once; None where it is not known.
        free: bytes that there are; None where it is not known.
        batch: images of a step; their gradients are added up, so that it keeps its meaning.
        micro: how many would be taken if memory did not count.

    Raises:
        UsageError: not even one image at a time fits.
    """
    while True:
        needed = estimate(micro)
        if free is None or needed is None or needed <= _USABLE * free:
            return micro
        smaller = smaller_micro_batch(batch, micro)
        if smaller is None:
            raise UsageError(
                f"a step needs {gigabytes(needed)} even with one image at a time, but {gigabytes(free)} are free; "
                "choose a smaller --size or a smaller architecture"
            )
        micro = smaller


def smaller_micro_batch(batch: int, micro: int) -> int | None:
    """The next smaller number of images at once: the largest up to half of ``micro`` that divides the batch; None after 1."""
    return next((n for n in range(micro // 2, 0, -1) if batch % n == 0), None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device (or the host) has no memory left."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def told_smaller(batch: int, before: int, after: int, live_statistics: bool) -> str:
    """What the user is told where a batch is cut because of memory.

    Args:
        batch: images of a step.
        before, after: how many of them go through the network at once.
        live_statistics: whether batch statistics are computed from what goes through the network at once.
    """
    text = (
        f"a step with {before} images at once is too large for the memory: {after} at once now, and the gradients of "
        f"{batch // after} such parts are added up, so that a batch still has {batch} images"
    )
    if not live_statistics:
        return f"{text} and the result is the same"
    return (
        f"{text}; but batch normalisation sees {after} images at a time, which changes the result: "
        "training.batch_norm=frozen would not"
    )


def gigabytes(size: float) -> str:
    """Bytes for people: ``1.5 GB``, ``20 MB``, ``3 kB``."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _available(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _of_group(root: Path, limit: str, use: str, stat: str) -> int | None:
    """What is left of the limit of a control group of Linux; None without one."""
    folder = root / "sys/fs/cgroup"
    most, used = _text(folder / limit).strip(), _text(folder / use).strip()
    if not most.isdigit() or not used.isdigit():
        return None
    cached = [line.split()[1] for line in _text(folder / stat).splitlines() if line.startswith("inactive_file ")]
    return max(0, int(most) - int(used) + int(cached[0] if cached else 0))


def _built_in() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
