"""``medplug split``, and ``medplug run --split``."""

import csv
import json

import pytest

from medplug.cli.main import main

FAKE_PLUGIN = """
from medplug.plugins import hookimpl
from medplug.testing import fakes

@hookimpl
def medplug_components():
    yield from fakes.fake_registry().components()
"""
RUN = [
    "training.epochs=1",
    "training.frozen_epochs=0",
    "evaluation.resamples=50",
    "split.train=0.6",
    "split.validation=0.2",
]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    from medplug.plugins import registry as module

    path = tmp_path / "fakes_plugin.py"
    path.write_text(FAKE_PLUGIN)
    monkeypatch.setenv("MEDPLUG_PLUGINS", "none")
    module.registry(refresh=True)

    def run(command, *words):
        code = main([command, "memory", "--plugin", str(path), "--recipe", "fake", *map(str, words)])
        return code, capsys.readouterr()

    yield run
    monkeypatch.undo()
    module.registry(refresh=True)


def test_a_split_is_shown(call):
    code, shown = call("split")
    assert code == 0
    lines = shown.out.splitlines()
    assert lines[0] == "memory: 60 images, 3 classes (multiclass)"
    assert "independence of the test part: image" in lines[1]
    assert lines[2].split(maxsplit=2) == ["train", "42", "(class0 14, class1 14, class2 14)"]
    assert lines[5] == "  shared between parts: 0 duplicate clusters"


def test_folds_are_kept_and_one_of_them_is_run(call, tmp_path):
    code, shown = call("split", "--folds", 3, "--out", tmp_path / "folds", "--set", "reader.group_size=3")
    assert code == 0
    assert shown.out.count("independence of the test part: group (given)") == 3
    assert shown.out.count("shared between parts: 0 groups (patient), 0 duplicate clusters") == 3
    assert str(tmp_path / "folds" / "fold-2.csv") in shown.out
    code, shown = call(
        "run",
        "--split",
        tmp_path / "folds" / "fold-2.csv",
        "--out",
        tmp_path / "run",
        "--set",
        *RUN,
        "reader.group_size=3",
    )
    assert code == 0, shown.err
    with (tmp_path / "folds" / "fold-2.csv").open() as kept, (tmp_path / "run" / "split.csv").open() as used:
        assert list(csv.DictReader(kept)) == list(csv.DictReader(used))
    hashes = [entry["hash"] for entry in json.loads((tmp_path / "folds" / "splits.json").read_text())["splits"]]
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["split_hash"] == hashes[1]
    assert f"split {hashes[1][:12]}, independence of the test part: group (given)" in shown.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "1"], "split.folds must be 0 (none) or at least 2"),
        (["--leave-out", "site"], "there is no column 'site'"),
        (["--folds", "3", "--set", "reader.given_splits=true"], "split.given=pool"),
        (["--set", "split.train=0.9"], "must be 1, got 1.2"),
        (["--set", "split.file=none.csv"], "No such file"),
        (["--folds", "70"], "the test part would be empty"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(call, words, message):
    code, shown = call("split", *words)
    assert code == 2
    assert message in shown.err


def test_a_folder_that_holds_something_is_left_alone(call, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.csv").touch()
    code, shown = call("split", "--out", tmp_path / "there")
    assert code == 2
    assert "not empty" in shown.err
