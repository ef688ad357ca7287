"""Holding off Python's collector while many small objects are made of which none is garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection of cycles in here: with JAX loaded each one looks through a million objects and more.

    Reading an index of 25,000 files takes half the time so.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def old_objects_spared() -> Iterator[None]:
    """Collections in here look at what is made in here alone, for what takes too long to do without any."""
    mine = gc.get_freeze_count() == 0  # else whoever froze objects wants them to stay so
    if mine:
        gc.freeze()
    try:
        yield
    finally:
        if mine:
            gc.unfreeze()
