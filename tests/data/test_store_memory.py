"""Pixels stay on the disk: what iterating over them takes of memory does not depend on how many there are."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
from medplug.data.batches import Loader
from medplug.data.decode import DecodeOptions
from medplug.data.store import open_store
from medplug.progress import Reporter

COUNT, SIZE = 1200, 224


class Drawn:
    def load(self, uri):
        return np.full((SIZE, SIZE, 3), int(uri) % 251, np.uint8)


def anonymous():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines["RssAnon"].split()[0]) / 1024


def measured(images):
    store = open_store(Drawn(), "r", tuple(map(str, range(images))), DecodeOptions(SIZE), 2, Reporter(quiet=True))
    loader = Loader(store, np.zeros((images, 2), np.float32), np.arange(images), 32)
    return loader, max(anonymous() for epoch in (1, 2) for _ in loader.epoch(epoch, shuffle="samples", last_batch="keep"))


_, few = measured(64)
loader, many = measured(COUNT)
print(many - few, COUNT * SIZE * SIZE * 3 / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="anonymous memory is told by Linux")
def test_nineteen_times_as_many_images_take_no_more_memory():
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    grown, pixels = map(float, told.split())
    assert pixels > 170
    assert grown < 0.25 * pixels
