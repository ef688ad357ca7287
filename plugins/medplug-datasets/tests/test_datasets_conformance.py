"""All readers keep their contract, and the examples in their docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import medplug_datasets
from medplug.plugins import DataError
from medplug.testing import plugin_tests
from medplug_datasets import plugin
from medplug_datasets.tiny import MADE, make

READERS = [component.name for component in plugin.medplug_components()]


def source(name: str) -> Any:
    return lambda folder: make(name, folder)


def reader_class(name: str) -> Any:
    [component] = [c for c in plugin.medplug_components() if c.name == name]
    module, _, cls = component.target.partition(":")
    return getattr(importlib.import_module(module), cls)


FIXTURES: dict[str, dict[str, Any]] = {
    f"reader/{name}": {"source": source(name), "named_only": True} for name in READERS
}

TestDatasets = plugin_tests("medplug-datasets", fixtures=FIXTURES, draw=2)


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path / "cache"))


def test_each_reader_has_a_made_up_copy() -> None:
    assert set(MADE) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_each_reader_has_an_example_that_runs(name: str) -> None:
    reader = reader_class(name)
    assert ">>> " in (reader.__doc__ or "")
    finder = doctest.DocTestFinder(recurse=False)
    [example] = [test for test in finder.find(reader, name) if test.examples]
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_other_examples_run() -> None:
    names = [module.name for module in pkgutil.iter_modules(medplug_datasets.__path__)]
    for name in names:
        assert doctest.testmod(importlib.import_module(f"medplug_datasets.{name}")).failed == 0


@pytest.mark.parametrize("name", READERS)
def test_the_publisher_is_told(name: str, tmp_path: Path) -> None:
    about = reader_class(name)().index(make(name, tmp_path)).about
    assert about.title
    assert about.licence.startswith("CC")
    assert about.citation
    assert about.url.startswith("https://")


@pytest.mark.parametrize("name", [name for name in READERS if name != "medmnist"])
def test_a_folder_without_the_set_is_refused_with_what_to_do(name: str, tmp_path: Path) -> None:
    reader = reader_class(name)()
    (tmp_path / "holiday").mkdir()
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError) as told:
        reader.index(str(tmp_path))
    message = str(told.value)
    assert "Expected: " in message
    assert "Found: holiday/, notes.txt" in message
    assert reader.card.about.url in message
    for missing in (tmp_path / "nowhere", tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="no such folder|a file, not a folder"):
            reader.index(str(missing))


@pytest.mark.parametrize("name", [name for name in READERS if name != "medmnist"])
def test_files_are_read_and_described(name: str, tmp_path: Path) -> None:
    reader = reader_class(name)()
    index = reader.index(make(name, tmp_path))
    assert reader.loads_files
    assert reader.load(index.uris[0]).shape[:2] == (8, 8)
    assert reader.facts(index.uris[0])["format"] in ("PNG", "JPEG")
    assert type(reader)(pixels="pillow").load(index.uris[0]).shape == (8, 8, 3)
