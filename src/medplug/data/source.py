"""From what the user typed as DATA to a reader and its index."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medplug.config.config import AUTO, Config
from medplug.data.pause import collector_paused
from medplug.errors import DataError, UsageError
from medplug.plugins.records import Problem
from medplug.plugins.registry import Registry
from medplug.values import Index


@dataclass(frozen=True)
class Source:
    """Where the samples come from.

    Attributes:
        name: the reader's reference.
        reader: the reader.
        typed: DATA as the user wrote it.
        argument: what the reader was given of it.
        index: the samples.
    """

    name: str
    reader: Any
    typed: str
    argument: str
    index: Index


def read_source(data: Any, config: Config, registry: Registry) -> Source:
    """Choose a reader and read the index; no pixels are opened.

    Args:
        data: DATA as the user typed it, or (name, reader, argument) for a reader that exists already.

    Raises:
        DataError: no reader understands it, or it cannot be used.
    """
    name, reader, argument = choose_reader(data, config, registry) if isinstance(data, str) else data
    index = read_index(reader, argument)
    if config.task not in (AUTO, index.task):
        index = _as_task(index, config.task)
    typed = data if isinstance(data, str) else argument
    check_classes(index, typed)
    return Source(name, reader, typed, argument, index)


def _as_task(index: Index, task: str) -> Index:
    """The index under the task that the user wants instead of the one that the labels suggest."""
    if task == "multiclass" and (np.isnan(index.targets).any() or not (index.targets.sum(1) == 1).all()):
        raise DataError("task=multiclass, but some samples have no label, an unknown one, or several; leave task out")
    return replace(index, task=task)


def choose_reader(source: str, config: Config, registry: Registry) -> tuple[str, Any, str]:
    """(reference, reader, what to hand to it).

    ``READER:ARGUMENT`` is split at the first colon only where the left part names a reader. Otherwise the
    configuration's ``reader.use`` decides, or, where that is ``auto``, the reader that is surest of the source.
    """
    left, colon, argument = source.partition(":")
    names = {n for r in registry.components("reader") for n in (r.name, *r.aliases)}
    if colon and left.replace("-", "_") in names:
        chosen = config.with_uses("reader", left)
        reference, reader = chosen.make("reader", registry)
        return reference, reader, argument
    if config.uses("reader") not in ((), (AUTO,)):
        reference, reader = config.make("reader", registry)
        return reference, reader, source
    scores: list[tuple[float, str]] = []
    for record in registry.components("reader"):
        try:
            scores.append((float(registry.load(record)().can_read(source)), record.reference))
        except Exception as error:  # one broken reader must not keep the others from reading
            cause = f"can_read failed: {type(error).__name__}: {error}"
            registry.problems.append(
                Problem(
                    record.distribution,
                    record.version,
                    "resolve",
                    record.key,
                    cause,
                    "name another reader: reader.use=NAME",
                )
            )
    best, reference = max(scores, default=(0.0, ""))
    if best <= 0 and not colon:
        _check_there(source)
    if best <= 0:
        known = ", ".join(sorted(names)) or "none is installed: pip install 'medplug[standard]'"
        raise DataError(
            f"{source}: no reader understands this. It should be a folder of class folders, a CSV file, or READER:ARGUMENT (readers: {known})"
        )
    reference, reader = config.with_uses("reader", reference).make("reader", registry)
    return reference, reader, source


def _check_there(source: str) -> None:
    try:
        os.stat(source)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise DataError(f"{source}: there is no such file or folder") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be opened: {error.strerror}") from None


def read_index(reader: Any, source: str) -> Index:
    """The reader's index, checked."""
    with collector_paused():
        index = reader.index(source)
    if not isinstance(index, Index):
        raise UsageError(f"the reader {type(reader).__name__} returned {type(index).__name__}, not an Index")
    if len(index) == 0:
        raise DataError(f"{source}: no samples were found")
    return index


def check_classes(index: Index, where: str) -> None:
    """At least two classes with a sample each (multi-class), or one label with both values (multi-label)."""
    counts = index.class_counts()
    if index.task == "multiclass":
        present = [c for c, n in zip(index.classes, counts[:, 0], strict=True) if n > 0]
        if len(present) < 2:
            only = f"only {present[0]!r}" if present else "none"
            raise DataError(f"{where}: at least two classes with images are needed, found {only}")
    elif not np.any((counts > 0).all(1)):
        raise DataError(f"{where}: no label has both positive and negative samples")
