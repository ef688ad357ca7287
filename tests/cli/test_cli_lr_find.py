"""``medplug lr-find`` and its Python door."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import medplug
from medplug.cli.main import main
from medplug.errors import UsageError
from medplug.report.figures.rates import rate_curves

FAKE_PLUGIN = """
from medplug.plugins import hookimpl
from medplug.testing import fakes

@hookimpl
def medplug_components():
    yield from fakes.fake_registry().components()
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    from medplug.plugins import registry as module

    path = tmp_path / "fakes_plugin.py"
    path.write_text(FAKE_PLUGIN)
    monkeypatch.setenv("MEDPLUG_PLUGINS", "none")
    module.registry(refresh=True)

    def run(*words):
        code = main(["lr-find", "memory", "--plugin", str(path), "--recipe", "fake", *map(str, words)])
        return code, capsys.readouterr()

    yield run
    monkeypatch.undo()
    module.registry(refresh=True)


def test_both_phases_are_tested_told_and_drawn(call, tmp_path):
    out = tmp_path / "rates"
    code, shown = call("--out", out, "--steps", 60, "--set", "training.batch_size=16", "reader.samples=80")
    assert code == 0, shown.err
    assert sorted(path.name for path in out.iterdir()) == ["lr_find.json", "lr_find.png", "lr_find.svg"]
    found = json.loads((out / "lr_find.json").read_text())
    assert {phase: entry["setting"] for phase, entry in found.items()} == {
        "frozen": "training.frozen_learning_rate",
        "full": "training.learning_rate",
    }
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    section = text.partition("## `lr_find.json`")[2].partition("\n## ")[0]
    assert set(found["full"]) == {line.split("`")[1] for line in section.splitlines() if line.startswith("- `")}
    # at 1e-7 nothing moves: phase two begins with the loss at which the trained head ended, below that of a new one
    assert np.mean(found["full"]["losses"][:10]) < np.mean(found["frozen"]["losses"][:10])
    options = []
    for phase, entry in found.items():
        assert len(entry["losses"]) == len(entry["rates"]) <= 60
        if entry["suggestion"] is None:
            assert f"phase {phase}: no suggestion: {entry['reason']}" in shown.out
            continue
        assert 1e-6 < entry["suggestion"] < 1
        assert entry["suggestion"] in entry["rates"]
        assert f"phase {phase}: {entry['suggestion']:.1e} is where the loss falls fastest" in shown.out
        options.append(f"{entry['setting']}={float(format(entry['suggestion'], '.1e')):g}")
    assert options[-1].startswith("training.learning_rate=")  # all layers together learn these images
    assert f"medplug run DATA --set {' '.join(options)}" in shown.out
    assert "1e-7" in (out / "lr_find.svg").read_text()


def test_one_phase_and_nothing_kept(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    code, shown = call("--phase", "head", "--steps", 20)
    assert code == 0, shown.err
    assert shown.out.startswith("phase frozen: ")
    assert "full" not in shown.out
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"cache"}


@pytest.mark.parametrize(("words", "message"), [(["--steps", 5], "give 20 or more"), (["--size", 3], "size")])
def test_wrong_use_is_told(call, words, message):
    code, shown = call(*words)
    assert code == 2
    assert message in shown.err


def test_unknown_phases_are_refused():
    with pytest.raises(UsageError, match="phases are frozen and full; got head"):
        medplug.find_learning_rates("x", phases=["head"])


def sweep(**changes):
    rates = np.geomspace(1e-7, 10, 100).tolist()
    smoothed = [1 / (1 + r * 100) if r < 0.5 else 1e6 for r in rates]
    entry = {"rates": rates, "losses": smoothed, "smoothed": smoothed, "suggestion": rates[70], "lowest": rates[80]}
    return {**entry, **changes}


def test_a_broken_loss_does_not_flatten_the_curve():
    drawing = ElementTree.fromstring(rate_curves({"frozen": sweep(), "full": sweep(suggestion=None)}))
    labels = [element.text for element in drawing.iter() if element.tag.endswith("text")]
    numbers = [float(text) for text in labels if text.replace(".", "").isdigit()]
    assert max(numbers) < 3
    assert labels.count(f"{sweep()['suggestion']:.1e}") == 1
    assert {"head on frozen features", "all layers", "1e-7", "smoothed"} <= set(labels)
    marks = [e for e in drawing.iter() if e.attrib.get("class") == "mark"]
    assert len(marks) == 2  # one of the curve, one of the legend
    width, height = map(float, drawing.attrib["viewBox"].split()[2:])
    for mark in marks:
        assert 0 < float(mark.attrib["cx"]) < width
        assert 0 < float(mark.attrib["cy"]) < height


def test_no_curve_no_drawing():
    assert rate_curves({"frozen": sweep(rates=[], losses=[], smoothed=[], suggestion=None)}) == ""
