"""medplug's batches over a folder of JPEG files; prints images per second, one figure an epoch, as JSON.

Arguments: FOLDER MODE SIZE BATCH EPOCHS. The cache is one of its own: empty, and filled before the clock starts except
in the mode ``first``, where decoding, the facts for the checks and writing the cache belong to what is measured.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any


def main(folder: str, mode: str, size: int, batch: int, epochs: int) -> None:
    """Time whole passes over the folder, up to what the network would be given."""
    import jax
    import numpy as np

    from medplug.config import Config, load_recipe
    from medplug.data.batches import Loader
    from medplug.data.preprocess import Preprocessors
    from medplug.data.source import read_source
    from medplug.data.store import open_store
    from medplug.model.preprocess import prepare
    from medplug.plugins import Preprocessing
    from medplug.plugins.registry import registry
    from medplug.progress import Reporter

    known = registry()
    config = Config.from_layers(load_recipe("standard", known), {"data": {"threads": 2}})
    source = read_source(folder, config, known)
    target = Preprocessing(size=size)
    preprocessors = Preprocessors(tuple(config.make_all("preprocessor", known, "multiclass")), target)
    augmenters = [a for _, a in config.make_all("augmenter", known, "multiclass")] if mode == "augmented" else []

    @jax.jit
    def to_network(images: Any, key: Any) -> Any:
        x = images.astype(np.float32) / 255
        for number, augmenter in enumerate(augmenters):
            x = augmenter(jax.random.fold_in(key, number), x)
        return prepare(x, preprocessors.batch, target)

    def pixels() -> Any:
        arguments = (source.index.uris, preprocessors.decode, config.data.threads, Reporter(quiet=True), folder)
        return open_store(source.reader, source.name, *arguments)

    shape = (batch, *preprocessors.input_shape(2))
    jax.block_until_ready(to_network(np.zeros(shape, np.uint8), jax.random.key(0)))  # compiled once a run
    store = None if mode == "first" else pixels()
    found = []
    for epoch in range(epochs):
        started, seen, last = time.perf_counter(), 0, None
        loader = Loader(store or pixels(), source.index.targets, np.arange(len(source.index)), batch, seed=0)
        for step, one in enumerate(loader.epoch(epoch, shuffle="samples", last_batch="drop")):
            last = to_network(one.images, jax.random.key(step))
            seen += len(one.images)
        jax.block_until_ready(last)
        found.append(seen / (time.perf_counter() - started))
    print(json.dumps({"images_per_second": found}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MEDPLUG_CACHE"] = cache
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
