"""The recipe ``paper`` reads the nine sets as the published experiments did."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import medplug
from medplug.data.split import aucmedi_split
from medplug.plugins import Index
from medplug.plugins.registry import registry
from medplug_datasets.brain_mri import BrainMri
from medplug_datasets.busi import Busi
from medplug_datasets.chest_xray import ChestXray
from medplug_datasets.hust19_ct import Hust19Ct
from medplug_datasets.hyperkvasir import HyperKvasirLower, HyperKvasirUpper
from medplug_datasets.idc import Idc
from medplug_datasets.isic2019 import Isic2019
from medplug_datasets.rfmid import Rfmid
from medplug_datasets.tiny import make

AS_PUBLISHED: dict[str, Any] = {
    "isic2019": Isic2019(names="published", pixels="pillow"),
    "hyperkvasir_upper": HyperKvasirUpper(names="published", pixels="pillow"),
    "hyperkvasir_lower": HyperKvasirLower(names="published", pixels="pillow"),
    "idc": Idc(names="published", pixels="pillow"),
    "brain_mri": BrainMri(names="published", pixels="pillow"),
    "chest_xray": ChestXray(names="published", pixels="pillow"),
    "hust19_ct": Hust19Ct(names="published", pixels="pillow"),
    "busi": Busi(masks="keep", names="published", pixels="pillow"),
    "rfmid": Rfmid(parts="training", labels="all", names="published", pixels="pillow"),
}


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_the_recipe_sets_each_reader(name: str) -> None:
    config = medplug.Pipeline(recipe="paper").config().with_uses("reader", name)
    assert config.make("reader", registry())[1] == AS_PUBLISHED[name]
    assert config.split.given == "pool"
    assert config.split.groups == "none"


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_samples_come_as_the_experiments_had_them(name: str, tmp_path: Path) -> None:
    """Classes as Python sorts strings, in each the files likewise; ISIC's and RFMiD's in the order of the table."""
    index = AS_PUBLISHED[name].index(make(name, tmp_path))
    labels = [index.label_text(row) for row in range(len(index))]
    files = [sample.rpartition("/")[2] for sample in index.samples]
    if name in ("isic2019", "rfmid"):
        assert files == sorted(files)  # as in the made-up tables
    else:
        assert list(zip(labels, files, strict=True)) == sorted(zip(labels, files, strict=True))
        assert list(index.classes) == sorted(index.classes)


@pytest.mark.parametrize(
    ("name", "counts", "fingerprint"),
    [
        ("hyperkvasir_lower", (1009, 9, 391), "4d6f31f26a"),
        ("chest_xray", (1583, 4273), "085c5a9ed6"),
        ("busi", (891, 421, 266), "cb5bca8027"),
        ("brain_mri", (1621, 1645, 2000, 1757), "ef1ebb09c7"),
    ],
)
def test_published_counts_give_the_published_split(name: str, counts: tuple[int, ...], fingerprint: str) -> None:
    """MD5 of the three parts' row numbers, as the experiments' own split gave them for these class counts."""
    reader = AS_PUBLISHED[name]
    told: Counter[str] = Counter()
    layouts = (
        [{"benign": 891, "malignant": 421, "normal": 266}] if name == "busi" else [x.folders for x in reader.layouts]
    )
    for folder, n in layouts[0].items():
        told[folder.rpartition("/")[2]] += n
    assert tuple(told[label] for label in reader.card.classes if told[label]) == counts
    targets = np.eye(len(counts), dtype=np.float32)[np.repeat(np.arange(len(counts)), counts)]
    names = tuple(map(str, range(len(targets))))
    index = Index(names, names, targets, tuple(map(str, range(len(counts)))))
    parts = aucmedi_split(index, np.array([0.7, 0.1, 0.2]), 341)
    assert hashlib.md5(np.concatenate(parts).astype(np.int64).tobytes()).hexdigest().startswith(fingerprint)
