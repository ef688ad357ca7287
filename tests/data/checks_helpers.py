"""Made-up samples for the tests of the checks: an index, facts and thumbnails, without any file."""

import numpy as np

from medplug.config.settings import CheckSettings
from medplug.data.checks import inspect_data
from medplug.data.facts import ImageFacts
from medplug.values import Index


def index_of(labels, classes=("a", "b"), **more):
    names = tuple(f"{classes[k]}/{i}.png" for i, k in enumerate(labels))
    targets = np.eye(len(classes), dtype=np.float32)[np.asarray(labels, int)]
    return Index(names, names, targets, tuple(classes), **more)


def picture(number, **more):
    return ImageFacts(
        **{"pixels": f"hash{number}", "shape": (20, 20, 1), "values": 3, "content": f"file{number}", **more}
    )


def pictures(count, **more):
    return [picture(i, **more) for i in range(count)]


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32)).astype(np.uint8)


def look(index, facts=None, thumbs=None, **settings):
    """(index, rows, report) of the checks, without an exception for data that are unusable."""
    facts = pictures(len(index)) if facts is None else facts
    thumbs = noise(len(index)) if thumbs is None else thumbs
    return inspect_data(index, facts, thumbs, CheckSettings(**settings))


def found(report, check):
    return [f for f in report.findings if f.check == check]


def one(report, check):
    [finding] = found(report, check)
    return finding


PLENTY = [0] * 12 + [1] * 12
