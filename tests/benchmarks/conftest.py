"""The benchmarks lie beside the tests, not in an installed package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest

from benchmarks.experiments import Data, Experiment, RunPlan, Source, Thumbnail
from benchmarks.family import Options


@pytest.fixture
def experiment():
    """A small experiment on the fakes' images."""
    return Experiment(
        name="toy",
        title="Toy images",
        group="small",
        source=Source("https://example.org/toy", "Doe 2020", "CC0", "Unpack it."),
        data=Data("toy", "multiclass", 60, {"class0": 20, "class1": 20, "class2": 20}),
        run=RunPlan(seeds=(0, 1), architecture="tiny_net", size=16, budget=5, settings={"reader.x": "a b"}),
        thumbnail=Thumbnail(8, "grey"),
        features=True,
    )


@pytest.fixture
def options(tmp_path):
    """A data folder with the toy's data, and an empty folder of runs."""
    (tmp_path / "data" / "toy").mkdir(parents=True)
    return Options(tmp_path / "data", tmp_path / "out")
