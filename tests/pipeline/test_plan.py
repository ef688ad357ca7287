"""The plan of a run: told, kept, written down as plain values, and not needed to repeat the run."""

import io
import json
import re
import time
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from medplug import Pipeline
from medplug.progress import Reporter
from medplug.testing.fakes import fake_registry
from medplug.version import STARTED

SETTINGS = {
    "training.epochs": 3, "training.frozen_epochs": 1, "training.batch_size": 64, "evaluation.resamples": 50,
    "training.learning_rate": 0.01, "split.train": 0.6, "split.validation": 0.2, "training.micro_batch": 7,
}  # fmt: skip


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A run with a budget that has room for all its epochs, and what it said."""
    folder = tmp_path_factory.mktemp("planned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(folder / "cache"))
        console = Console(file=io.StringIO(), width=400, soft_wrap=True)
        budget = (time.monotonic() - STARTED) / 60 + 5
        pipeline = Pipeline(
            recipe="fake", architecture="tiny_net", plugins=fake_registry(), reporter=Reporter(console), budget=budget,
            settings={**SETTINGS, "architecture.weights": "fixed", "reader.samples": 61},
        )  # fmt: skip
        run = pipeline.fit("memory", out=folder / "run")
        return run, json.loads((run.folder / "plan.json").read_text()), console.file.getvalue()


def test_what_is_known_and_measured_is_kept(planned):
    _, plan, _ = planned
    assert plan["data"]["sizes"] == {"train": 37, "validation": 12, "test": 12}
    assert sum(plan["data"]["images"]["train"].values()) == 37
    assert plan["data"]["imbalance"] == pytest.approx(13 / 12, abs=0.01)
    network = plan["network"]
    assert (network["weights"], network["arrays"], network["input"]) == ("fixed", 10, [16, 16, 1])
    assert network["new"] == ["head/bias", "head/kernel"]
    assert {phase: found["epochs"] for phase, found in plan["phases"].items()} == {"frozen": 1, "full": 2}
    assert all(found["memory_bytes"] > 37 * 256 for found in plan["phases"].values())
    assert plan["free_memory_bytes"] > max(found["memory_bytes"] for found in plan["phases"].values())
    costs = plan["phases"]["frozen"]["seconds_per_epoch"] + 2 * plan["phases"]["full"]["seconds_per_epoch"]
    assert plan["expected_seconds"] == pytest.approx(costs, abs=0.01)


def test_what_was_chosen_stands_in_the_configuration(planned):
    run, plan, _ = planned
    training = tomllib.loads((run.folder / "config.toml").read_text())["training"]
    assert {name: choice["value"] for name, choice in plan["choices"].items()} == {
        name: training[name] for name in plan["choices"]
    }
    assert training["batch_size"] == 37  # all there are, of 64
    assert training["micro_batch"] == 37  # 37 is a prime: no part divides it
    assert all(choice["reason"] for choice in plan["choices"].values())


def test_the_plan_is_told_before_training(planned):
    _, plan, text = planned
    lines = text[text.index("plan (") : text.index("frozen   1/1")].splitlines()
    told = "\n".join(lines)
    for name, choice in plan["choices"].items():
        assert f"  {name} = {choice['value']}: {choice['reason']}" in lines
    assert "weights: 10 arrays from fixed; new: head/bias, head/kernel" in told
    assert re.search(r"a full step of 37 images: [\d.e-]+ s, \d+ (k|M)B of memory", told)
    assert re.search(r"expected: .* s of training \(epochs: 1 frozen, 2 full\), within the budget of \d+", told)


def test_every_key_is_documented(planned):
    _, plan, _ = planned
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    section = text.partition("## `plan.json`")[2].partition("\n## ")[0]
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", section))))

    def keys(value):
        return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()

    names = {"class0", "class1", "class2", *plan["choices"]}
    assert keys(plan) - names <= told
    rules = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")
    for name in plan["choices"]:
        assert f"| `training.{name}` |" in rules


def test_the_configuration_alone_repeats_the_run(planned, tmp_path, fakes, quiet):
    run, _, _ = planned
    again = Pipeline(recipe=str(run.folder / "config.toml"), plugins=fakes, reporter=quiet).fit(
        "memory", out=tmp_path / "run"
    )
    for name in ("weights.safetensors", "predictions.csv"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes()
    ours, theirs = (tomllib.loads((r.folder / "config.toml").read_text()) for r in (again, run))
    assert ours["training"] == theirs["training"]
