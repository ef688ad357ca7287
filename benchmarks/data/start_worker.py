"""From the end of the imports to the first batch on the device, as a run goes about it; prints JSON.

Argument: FOLDER. ``MEDPLUG_CACHE`` names the cache, which is empty in the first of two processes and filled in the second.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EDGE, BATCH = 32, 32


class Parts:
    """Wall and CPU seconds of each part, one after the other."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._wall, self._cpu = self._began = time.perf_counter(), time.process_time()

    def done(self, name: str) -> None:
        """The part ``name`` is over, and the next one begins."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.found[name] = {"wall": round(wall - self._wall, 3), "cpu": round(cpu - self._cpu, 3)}
        self._wall, self._cpu = wall, cpu

    def all(self) -> dict[str, Any]:
        """All parts, and their sum."""
        total = {"wall": round(self._wall - self._began[0], 3), "cpu": round(self._cpu - self._began[1], 3)}
        return {"parts": self.found, "all": total}


def main(folder: str) -> None:
    """Read the index, open the store, check, split, write what a run writes, and fetch a batch."""
    import jax

    from medplug.config import Config, load_recipe
    from medplug.data.batches import Loader
    from medplug.data.checks import check_data
    from medplug.data.grouping import with_guessed_groups
    from medplug.data.preprocess import Preprocessors
    from medplug.data.source import read_source
    from medplug.data.split import make_split
    from medplug.data.store import open_store
    from medplug.plugins import Preprocessing
    from medplug.plugins.registry import registry
    from medplug.progress import Reporter
    from medplug.runs.prepared import Prepared

    known = registry()
    for record in known.components("reader"):
        known.load(record)  # all readers are asked; their packages are among the imports
    config = Config.from_layers(load_recipe("standard", known), {"data": {"threads": 2}})
    jax.block_until_ready(jax.device_put(0))
    parts, quiet = Parts(), Reporter(quiet=True)
    source = read_source(folder, config, known)
    parts.done("index")
    made = config.make_all("preprocessor", known, source.index.task)
    preprocessors = Preprocessors(tuple(made), Preprocessing(size=EDGE))
    store = open_store(
        source.reader, source.name, source.index.uris, preprocessors.decode, config.data.threads, quiet, source.argument
    )
    parts.done("store")
    guessed = with_guessed_groups(source.index, config.split)
    index, kept, report = check_data(guessed, store.facts, store.thumbs, config.checks, store.key)
    store = store.select(kept)
    parts.done("checks")
    split = make_split(index, report.alike, tuple(fact.pixels for fact in store.facts), config.split, config.seed)
    parts.done("split")
    with tempfile.TemporaryDirectory() as run:
        Prepared(source, index, store, report, split, preprocessors).write(Path(run))
    parts.done("files")
    loader = Loader(store, index.targets, split.train, BATCH, config.seed)
    batch = next(iter(loader.epoch(0, shuffle="samples", last_batch="drop")))
    jax.block_until_ready(jax.device_put(batch.images))
    parts.done("batch")
    print(json.dumps(parts.all()))


if __name__ == "__main__":
    main(sys.argv[1])
