"""How independent test images are of the images that a network learned from, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medplug.data.split import CLUSTERS, Independence, independence
from medplug.files import read_json
from medplug.runs import folder as names
from medplug.runs.model import ModelCard
from medplug.values import SPLITS, Index, Split

_UNKNOWN = (
    "These images were not split from the training data; whether they show the same patients, or come from another "
    "hospital or device, only their source can tell."
)


def split_independence(index: Index, split: Split, alike: np.ndarray) -> dict[str, str]:
    """Of a split: ``level`` (``image``, ``group (guessed)``, ``group (given)`` or ``site``), and ``text``, a sentence or two."""
    found = independence(index, split, alike)
    return {"level": found.level, "text": _text(found, index, split)}


def other_data_independence(trained: Index, split: Split, index: Index) -> dict[str, str]:
    """Of data that were not split from the training data: ``site`` where the sites of both are known and differ, else ``unknown``.

    Args:
        trained: the samples of the run.
        split: its split.
        index: the other samples.
    """
    seen, theirs = _sites(trained, np.concatenate([split.train, split.validation])), _sites(index)
    if not seen or not theirs:
        return {"level": "unknown", "text": _UNKNOWN}
    shared = sorted(seen & theirs)
    if shared:
        both = f"{len(shared)} of their {len(theirs)} sites ({', '.join(shared[:3])}{' …' if len(shared) > 3 else ''})"
        return {"level": "unknown", "text": f"{_UNKNOWN} The network learned from images of {both}."}
    text = (
        f"These images come from other sites ({index.site}: {', '.join(sorted(theirs)[:3])}) than those that the network "
        "learned from."
    )
    return {"level": "site", "text": text}


def stored_index(folder: Path, card: ModelCard) -> tuple[Index, Split]:
    """The samples of a run, as its files hold them (without their uris), and its split."""
    table = names.read_split(folder / names.SPLIT, card.classes)
    checks = read_json(folder / names.CHECKS) if (folder / names.CHECKS).exists() else {}
    index = Index(
        table.samples, table.samples, table.targets, card.classes, card.task, table.groups, table.metadata,
        site=checks.get("site", ""), guessed=tuple(checks.get("guessed_groups", ())),
    )  # fmt: skip
    parts = np.array(table.parts)
    train, validation, test = (np.flatnonzero(parts == part) for part in SPLITS)
    return index, Split(train, validation, test)


def stored_independence(folder: Path, card: ModelCard) -> dict[str, str]:
    """What a run has said of its split; of an older run, what its ``split.csv`` shows."""
    checks = read_json(folder / names.CHECKS)
    if "independence" in checks:
        return checks["independence"]
    index, split = stored_index(folder, card)
    return split_independence(index, split, np.arange(len(index)))


def _sites(index: Index, rows: np.ndarray | None = None) -> set[str]:
    """The sites of some rows; none where one of them is not known."""
    if not index.site:
        return set()
    column = np.asarray({**index.metadata, **index.groups}[index.site])
    cells = {"" if c is None or c != c else str(c) for c in (column if rows is None else column[rows]).tolist()}  # noqa: PLR0124 - NaN
    return set() if "" in cells else cells


def _text(found: Independence, index: Index, split: Split) -> str:
    columns = ", ".join(found.groups)
    used = len(split.train) + len(split.validation) + len(split.test)
    some = (
        f" {found.unknown:,} of {used:,} images have no group and were set apart one by one." if found.unknown else ""
    )
    if found.level == "site":
        return f"No {found.site} of the test images gave images to training; no group and no picture is on both sides."
    if found.level == "group (given)":
        return f"Known groups ({columns}) and pictures that look the same are never shared between training and test.{some}"
    if found.level == "group (guessed)":
        return f"Guessed groups ({columns}) and pictures that look the same are never shared between training and test.{some}"
    torn = " and ".join(f"{n:,} {name if name == CLUSTERS else f'groups ({name})'}" for name, n in found.torn)
    if torn:
        return f"{torn} lie on both sides of the split, which makes results look better than they are."
    if index.groups:
        return f"{some.strip()} Images of one patient may lie on both sides, which makes results look better than they are."
    return (
        "Test images were set apart image by image (pictures that look the same stay together): images of one patient "
        "may lie on both sides, which makes results look better than they are."
    )
