"""``explain``: on test images and on new ones, by one method or several, and what it does not make again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.cli.main import main
from medplug.explain.select import select_examples
from medplug.runs.explaining.album import read_listing

PLUGIN = """
from medplug.plugins import Component, component, hookimpl, param
from medplug.testing import fakes

@component
class Scaled:
    "The gradient, times a factor."

    factor: float = param("what it is multiplied by", default=2.0)

    def __call__(self, network, images, classes, keys):
        return self.factor * fakes.InputGradient()(network, images, classes, keys)

@hookimpl
def medplug_components():
    yield from fakes.fake_registry().components()
    yield Component("recipe", "standard", "medplug.testing:fake.toml", "The fakes where no recipe is named.")
    yield Component("explainer", "scaled", f"{__name__}:Scaled", "the gradient, scaled")
"""
FAST = ["training.epochs=2", "training.frozen_epochs=1", "evaluation.resamples=50", "split.train=0.6", "split.validation=0.2"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _own_registry() -> Any:
    from medplug.plugins import registry as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_PLUGINS", "none")
        module.registry(refresh=True)
        yield
    module.registry(refresh=True)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: Any) -> list[str]:
    path = tmp_path_factory.mktemp("plugin") / "fakes_plugin.py"
    path.write_text(PLUGIN)
    return ["--plugin", str(path)]


@pytest.fixture(scope="module")
def run(plugin: list[str], tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["run", "memory", "--recipe", "fake", "--out", str(folder), *plugin, "--set", *FAST]) == 0
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: Any) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(3)]


@pytest.fixture
def explain(run: Path, plugin: list[str], capsys: Any) -> Any:
    def call(*words: Any, code: int = 0) -> str:
        assert main(["explain", str(run), *map(str, words), *plugin]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return call


def test_new_images_get_their_prediction_and_nothing_is_made_twice(
    explain: Any, run: Path, images: list[str], tmp_path: Path, plugin: list[str], capsys: Any
) -> None:
    told = explain(*images[:2], "--out", tmp_path).splitlines()
    entries = read_listing(tmp_path)
    assert main(["predict", str(run), *images[:2], *plugin]) == 0
    head, *rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    for line, entry, row in zip(told, entries, rows, strict=False):
        shares = dict(zip(head[1:4], map(float, row[1:4]), strict=True))
        name = max(shares, key=lambda c: shares[c])
        assert line == f"{row[0]}: {name} {100 * entry['probability']:.1f} %"
        assert entry["probability"] == pytest.approx(shares[name], abs=1e-4)
        assert (entry["right"], entry["labels"]) == (None, [])
    assert told[-1] == f"2 maps in {tmp_path}"
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*g")}
    told = explain(*images, "--out", tmp_path).splitlines()
    assert told[-1] == f"3 maps in {tmp_path}, 2 of them from before"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert len(read_listing(tmp_path)) == 3


def test_several_methods_and_all_classes(explain: Any, run: Path, images: list[str], tmp_path: Path) -> None:
    words = ["--method", "input_gradient,scaled", "--class", "all", "--set", "explainer.scaled.factor=3"]
    assert "6 maps in" in explain(images[0], "--out", tmp_path, *words)
    plain, scaled = (read_listing(tmp_path / name) for name in ("input_gradient", "scaled"))
    classes = json.loads((run / "model.json").read_text())["classes"]
    assert [e["explained"] for e in plain] == [e["explained"] for e in scaled] == classes
    assert sum(e["probability"] for e in plain) == pytest.approx(1, abs=1e-5)
    assert {e["parameters"].get("factor") for e in scaled} == {3.0}
    for a, b in zip(plain, scaled, strict=True):
        with np.load(tmp_path / "input_gradient" / a["raw"]) as one, np.load(tmp_path / "scaled" / b["raw"]) as other:
            np.testing.assert_allclose(other["map"], 3 * one["map"], rtol=1e-4, atol=1e-7)
    told = explain(images[0], "--out", tmp_path / "one", "--class", classes[1], "--class", classes[0])
    assert [e["explained"] for e in read_listing(tmp_path / "one")] == [classes[1], classes[0]]
    assert "2 maps" in told


def test_settings_change_the_picture_and_a_shared_scale_is_stated(
    explain: Any, images: list[str], tmp_path: Path
) -> None:
    words = ["rendering.scale=shared", "rendering.style=contour"]
    explain("--out", tmp_path, "--class", "all", "--set", *words, *images)  # IMAGES behind --set
    entries = read_listing(tmp_path)
    assert len(entries) == 9
    for name in {e["explained"] for e in entries}:
        own = [e for e in entries if e["explained"] == name]
        assert {(e["scale_kind"], e["scale"][1]) for e in own} == {("shared", max(e["raw_range"][1] for e in own))}


def test_sheets_of_test_images(explain: Any, run: Path, tmp_path: Path) -> None:
    told = explain("--sheets", "--per-class", 2, "--out", tmp_path)
    entries = read_listing(tmp_path)
    sheets = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert sheets == sorted(f"{name}.png" for name in {e["shown_for"] for e in entries})
    assert all(f"sheets/{name}" in told for name in sheets)
    assert len(entries) == 2 * len(sheets)
    assert all(e["right"] == (list(e["predicted"]) == e["labels"]) for e in entries)
    from medplug.api import load_run
    from medplug.config.settings import RenderingSettings
    from medplug.seeds import child_seed
    from medplug.testing.fakes import fake_registry

    opened = load_run(run, plugins=fake_registry())
    seed = child_seed(opened.config.seed, "explanations")
    chosen = select_examples(opened.predictions("test"), RenderingSettings(images=2), seed=seed)
    assert {e["sample"] for e in entries} == {opened.predictions("test").samples[c.row] for c in chosen}


def test_from_python_the_raw_maps_are_at_hand(run: Path, images: list[str], tmp_path: Path, plugin: list[str]) -> None:
    from medplug.api import load_run
    from medplug.plugins.localfile import add_file
    from medplug.plugins.registry import registry
    from medplug.testing.fakes import InputGradient

    add_file(registry(), plugin[1])
    opened = load_run(run, plugins=registry())
    found = opened.explain(images[0], method=InputGradient(), out=tmp_path, classes="all")
    assert len(found) == 3
    assert all(e.map.shape == (16, 16) and e.map.dtype == np.float32 and e.panel.exists() for e in found)
    assert found[0].high == pytest.approx(max(found[0].map.max(), 0))
    pixels = np.asarray(Image.open(images[1]))
    assert opened.explain([pixels, pixels], out=tmp_path / "arrays")[1].map.shape == (16, 16)
    many = opened.explain_into([pixels] * 36, out=tmp_path / "many")  # more than are in memory at once
    assert (many.made, len(read_listing(tmp_path / "many"))) == (36, 36)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--class", "class_1"], "there is no class 'class_1'; did you mean 'class"),
        (["--method", "scaled,scaled"], "scaled is asked for twice"),
        (["--method", "sclaed"], "scaled"),
        (["--stage", "early"], "stage"),
        (["--set", "training.epochs=3"], "training: explain can set keys of explainer and of rendering"),
        (["--set", "rendering.style=contours"], "style"),
        (["--set", "rendering.style=contour", "rendering.levels="], "levels"),
    ],
)
def test_what_cannot_be_is_told(
    words: list[str], message: str, explain: Any, images: list[str], tmp_path: Path
) -> None:
    assert message in explain(images[0], "--out", tmp_path / "maps", *words, code=2)
    assert not (tmp_path / "maps").exists()


def test_options_that_do_not_go_together(explain: Any, images: list[str], capsys: Any) -> None:
    assert "--per-class chooses test images" in explain(images[0], "--per-class", 3, code=2)
    assert main(["explain"]) == 2
    assert "RUN is missing" in capsys.readouterr().err


def test_ctrl_c_leaves_what_is_finished(explain: Any, images: list[str], tmp_path: Path, monkeypatch: Any) -> None:
    from medplug.runs.explaining import album

    drawn = album.draw_panel

    def stop(*arguments: Any) -> Any:
        if len(list(tmp_path.glob("*.png"))) == 1:
            raise KeyboardInterrupt
        return drawn(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(album, "draw_panel", stop)
        told = explain(*images, "--out", tmp_path, code=1)
    assert f"stopped; finished maps are in {tmp_path}, and the same command makes the others" in told
    assert explain(*images, "--out", tmp_path).splitlines()[-1] == f"3 maps in {tmp_path}, 3 of them from before"
    assert all((tmp_path / e["panel"]).exists() for e in read_listing(tmp_path))
