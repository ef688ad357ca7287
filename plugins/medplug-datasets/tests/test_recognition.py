"""Which reader takes a folder that is named without one: the published set as a whole, and nothing that resembles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medplug.plugins.registry import registry
from medplug_datasets.layout import find_below, find_home
from medplug_datasets.plugin import medplug_components
from medplug_datasets.tiny import make, pictures

NAMES = [component.name for component in medplug_components()]


def sure(source: Path | str) -> dict[str, float]:
    """The readers of this package that claim a source."""
    found = {name: registry().make("reader", name).can_read(str(source)) for name in NAMES}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("name", ["busi", "brain_mri", "chest_xray", "hust19_ct", "hyperkvasir_lower", "idc"])
def test_a_part_of_a_set_stays_with_the_reader_of_any_folder(name: str, tmp_path: Path) -> None:
    assert sure(make(name, tmp_path)) == {}


@pytest.mark.parametrize("name", ["isic2019", "rfmid", "medmnist"])
def test_names_that_nobody_else_has_suffice(name: str, tmp_path: Path) -> None:
    assert sure(make(name, tmp_path)) == {name: 0.97}


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    pictures(tmp_path / "cats", ["1.png"])
    pictures(tmp_path / "dogs", ["1.png"])
    (tmp_path / "labels.csv").write_text("image,label\ncats/1.png,cat\n")
    for source in (tmp_path, tmp_path / "labels.csv", tmp_path / "nowhere", "", "\0", "x" * 5000):
        assert sure(source) == {}


def test_readers_open_few_folders_in_search_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole disk may be named by mistake."""
    import os
    import re

    for number in range(900):
        (tmp_path / f"{number:04d}" / "deeper").mkdir(parents=True)
    opened = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": opened.append(path) or real(path))
    assert find_below(tmp_path, re.compile("nothing")) == []
    assert len({str(path) for path in opened}) == 300
    opened.clear()
    assert find_home(tmp_path, ()) is None
    assert len(opened) <= 2
