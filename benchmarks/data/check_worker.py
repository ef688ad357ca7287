"""What `medplug check` costs: seconds an image, of comparing all pairs, and of all checks together; prints JSON.

Arguments: FOLDER COUNT. FOLDER holds some JPEG files, which are read, hashed and measured as in a check without a cache. The
checks themselves are then timed on COUNT samples: the facts of those files again and again, each with thumbnails of noise.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np


def main(folder: str, count: int) -> None:
    """Time the parts one after the other."""
    from medplug.config import Config, load_recipe
    from medplug.data.checks import inspect_data, near
    from medplug.data.source import read_source
    from medplug.data.store import open_facts
    from medplug.plugins.registry import registry
    from medplug.progress import Reporter
    from medplug.values import Index

    known = registry()
    config = Config.from_layers(load_recipe("standard", known), {"data": {"threads": 2}})
    source = read_source(folder, config, known)
    began, cpu = time.perf_counter(), time.process_time()
    store = open_facts(source.reader, source.name, source.index.uris, 2, Reporter(quiet=True), folder)
    files = len(store.facts)
    found = {"files": files, "reading": time.perf_counter() - began, "reading_cpu": time.process_time() - cpu}
    rng = np.random.default_rng(0)
    thumbs = rng.integers(0, 256, (count, 32, 32), dtype=np.uint8)
    began = time.perf_counter()
    near.near_pairs(thumbs, config.checks.near_correlation)
    found["pairs"] = time.perf_counter() - began
    facts = [replace(store.facts[row % files], pixels=f"{row:064x}", content=f"{row:064x}") for row in range(count)]
    names = tuple(f"{row}.jpg" for row in range(count))
    index = Index(names, names, np.eye(2, dtype=np.float32)[np.arange(count) % 2], ("a", "b"))
    began = time.perf_counter()
    inspect_data(index, facts, thumbs, config.checks)
    found["checks"] = time.perf_counter() - began
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MEDPLUG_CACHE"] = cache
        main(sys.argv[1], int(sys.argv[2]))
