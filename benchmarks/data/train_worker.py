"""DenseNet121 at 224 pixels over a large data set, or over one repeated batch; prints JSON.

Arguments: MODE COUNT STEPS BATCH. With the mode ``data`` a store of COUNT invented images is made, checked and walked through
once as an epoch does, then STEPS training steps take their batches from it. With ``repeated`` the same steps see one batch.
What is told: the largest anonymous memory in MiB, the seconds of the steps, and how many of them waited for input.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

EDGE = 224


class Drawn:
    """Images cut from one field of noise, each at a place of its own: as good as free, so that the rest is measured."""

    def __init__(self) -> None:
        side = EDGE + 160  # 25,600 places
        cells = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        self.field = np.repeat(np.repeat(cells, 8, 0), 8, 1)

    def load(self, uri: str) -> np.ndarray:
        """The image of this number."""
        row, column = divmod(int(uri), 160)
        return np.ascontiguousarray(self.field[row : row + EDGE, column : column + EDGE])


class Peak(threading.Thread):
    """Looks at the anonymous memory of this process ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib, self.looking = 0.0, True

    def run(self) -> None:
        """Until the process ends."""
        while True:
            if self.looking:
                lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
                self.mib = max(self.mib, int(lines["RssAnon"].split()[0]) / 1024)
            time.sleep(0.1)


def main(mode: str, count: int, steps: int, batch: int) -> None:
    """Train a few steps and tell."""
    from medplug.data.batches import Batch, Waiting

    peak = Peak()
    peak.start()
    if mode == "data":
        loader, epoch = _loader(count, batch)
        for _ in loader.epoch(0, **epoch):
            pass
        batches: Iterator[Batch] = islice(loader.epoch(1, **epoch), steps + 1)
    else:
        one = np.stack([Drawn().load(str(number)) for number in range(batch)])
        batches = repeat(Batch(one, np.eye(2, dtype=np.float32)[np.arange(batch) % 2], np.ones(batch)), steps + 1)
    peak.looking = False  # compiling takes gigabytes, whatever the data
    step = _training_step(batch)
    step(next(batches))
    peak.looking = True
    waiting, began = Waiting(), time.perf_counter()
    for one_batch in waiting.watch(batches):
        step(one_batch)
    seconds = time.perf_counter() - began
    print(json.dumps({"peak_mib": peak.mib, "seconds": seconds, "waiting": waiting.seconds}))


def _loader(count: int, batch: int) -> tuple[Any, dict[str, Any]]:
    """A loader of all images, decoded and checked as in a run, and how an epoch goes."""
    from medplug.config.settings import CheckSettings
    from medplug.data.batches import Loader
    from medplug.data.checks import check_data
    from medplug.data.decode import DecodeOptions
    from medplug.data.store import open_store
    from medplug.progress import Reporter
    from medplug.values import Index

    uris = tuple(map(str, range(count)))
    targets = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    store = open_store(Drawn(), "benchmark", uris, DecodeOptions(EDGE), 2, Reporter(quiet=True))
    index, kept, _ = check_data(Index(uris, uris, targets, ("a", "b")), store.facts, store.thumbs, CheckSettings())
    loader = Loader(store.select(kept), index.targets, np.arange(len(index)), batch)
    return loader, {"shuffle": "samples", "last_batch": "drop"}


def _training_step(batch: int) -> Any:
    """One step of phase two, to the end of its computation."""
    import jax
    import jax.numpy as jnp

    from medplug.config import Config, load_recipe
    from medplug.model.network import build
    from medplug.plugins.registry import registry
    from medplug.train.state import split_network
    from medplug.train.step import Objective, make_train_step, micro_batch_size
    from medplug.train.update import fresh, make_update

    known = registry()
    layers = {"architecture": {"use": "densenet121"}}
    config = Config.from_layers(load_recipe("standard", known), layers)
    settings = config.training
    made = [component for _, component in config.make_all("augmenter", known, "multiclass")]
    network = build(config.make("architecture", known, "multiclass")[1], (EDGE, EDGE, 3), 2, 0, pretrained=False)
    modes, state = split_network(network, settings.batch_norm)
    loss = config.make("loss", known, "multiclass")[1]
    objective = Objective(modes, network.prepare, tuple(made), loss, jnp.full((2, 2), batch / 2), "multiclass")
    update = make_update(config.make("optimizer", known, "multiclass")[1], settings.gradient_clip)
    parts = micro_batch_size(settings, False, batch)
    compiled = make_train_step(objective, update, frozen=False, micro_batch=parts)
    state = fresh(state, update, frozen=False, averaging=settings.ema > 0)

    def step(one: Any) -> None:
        nonlocal state
        state, value = compiled(state, one.images, one.targets, jax.random.key(0), jnp.float32(1e-4), jnp.zeros(()))
        jax.block_until_ready(value)

    return step


if __name__ == "__main__":
    work = os.environ["MEDPLUG_BENCHMARK_WORK"]
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(
        work, "xla"
    )  # compiling takes minutes; the second mode needs none
    with tempfile.TemporaryDirectory(dir=work) as cache:
        os.environ["MEDPLUG_CACHE"] = cache
        main(sys.argv[1], *map(int, sys.argv[2:5]))
