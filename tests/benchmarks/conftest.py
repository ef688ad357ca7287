"""The benchmarks lie beside the tests, not in an installed package."""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pytest

from benchmarks.comparing import layout, pairing, rivals
from benchmarks.comparing.plan import Row
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


# ---------------------------------------------------------------- the comparison with rivals

ROW = Row("standard", "ultrasound", 0, 5, 128)
SETTINGS = {
    "reader.use": "memory", "reader.samples": 60, "reader.group_size": 2, "architecture.weights": "fixed",
    "split.train": 0.5, "split.validation": 0.2, "split.test": 0.3,
}  # fmt: skip


@pytest.fixture
def toy(experiment):
    """The fakes' images as an experiment."""
    return dataclasses.replace(
        experiment, run=RunPlan(seeds=(0,), architecture="tiny_net", size=16, settings=SETTINGS)
    )  # fmt: skip


@pytest.fixture
def truth(toy, fakes, tmp_path):
    return layout.lay_out(toy, "memory", 3, tmp_path / "split", fakes, "fake")


@pytest.fixture
def job(toy, truth, fakes, tmp_path):
    place = tmp_path / "row"
    place.mkdir()
    return rivals.Job(ROW, toy, "memory", truth, place, tmp_path / "peers", fakes, "fake")


@pytest.fixture
def nothing(tmp_path):
    """Options without data; nothing was run before."""
    return Options(None, tmp_path / "out", results=tmp_path / "RESULTS.json")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(pairing, "RESAMPLES", 500)
