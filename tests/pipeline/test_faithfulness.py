"""Measuring the explanations of a finished run."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import medplug
from medplug import Pipeline, load_run
from medplug.errors import DataError, MedplugError, UsageError
from medplug.plugins.localfile import add_file
from medplug.progress import Reporter
from medplug.runs.faithfulness import measuring as faithfulness
from medplug.runs.faithfulness.measuring import measure_faithfulness
from medplug.testing.fakes import fake_registry

QUICK = {
    "faithfulness.images": 8, "faithfulness.steps": 4, "faithfulness.costly_images": 4, "faithfulness.probe_images": 16,
}  # fmt: skip


EXPLAINERS = '''
import jax
import jax.numpy as jnp
from medplug.plugins import component


@component
class Flat:
    """Explains nothing."""

    kind = "explainer"

    def __call__(self, network, images, classes, keys):
        return jnp.ones((*classes.shape, 6, 6)) + 0 * images.mean()


@component
class Frame:
    """The image's border, whatever the network says."""

    kind = "explainer"

    def __call__(self, network, images, classes, keys):
        inside = jnp.zeros(images.shape[1:-1], bool).at[2:-2, 2:-2].set(True)
        seen = jnp.where(inside, 0.0, jnp.abs(images[..., 0]) + 1)
        return jnp.broadcast_to(seen[:, None], (len(images), classes.shape[1], *seen.shape[1:]))
'''


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("plugin") / "explainers.py"
    file.write_text(EXPLAINERS)
    found = fake_registry()
    add_file(found, file)
    return found


@pytest.fixture(scope="module")
def finished(registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the fakes, trained once; a test that changes its files takes a copy."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(folder / "cache"))
        settings = {
            "training.epochs": 3, "training.frozen_epochs": 1, "training.batch_size": 16, "evaluation.resamples": 50,
            "training.learning_rate": 0.01, "training.frozen_learning_rate": 0.01, "split.train": 0.5, "split.validation": 0.2, "split.test": 0.3,
            "reader.group_size": 2, **QUICK,
        }  # fmt: skip
        pipeline = Pipeline(recipe="fake", settings=settings, plugins=registry, reporter=Reporter(quiet=True), seed=3)
        pipeline.fit("memory", out=folder / "run")
        measure_faithfulness(load_run(folder / "run", plugins=registry), methods=["flat", "frame"])
    return folder / "run"


def stored(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "explanations" / "faithfulness.json").read_text())


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_figures_are_means_of_the_images_and_differences_are_paired(finished: Path) -> None:
    found = stored(finished)
    assert set(found["methods"]) == {"input_gradient", "flat", "frame"}
    for one in found["methods"].values():
        random, centre = (found["baselines"][key]["per_image"] for key in (one["random"], "centre"))
        assert found["baselines"][one["random"]]["map_size"] == one["map_size"]
        columns = {k: np.array([np.nan if v is None else v for v in c]) for k, c in one["per_image"].items()}
        assert all(len(c) == 8 for c in columns.values())
        np.testing.assert_allclose(columns["margin"], columns["insertion"] - columns["deletion"])
        assert [int(np.isfinite(columns[m]).sum()) for m in ("margin", "road", "infidelity")] == [8, 4, 4]
        for measure, figure in one["figures"].items():
            if figure["value"] is not None:
                assert figure["value"] == pytest.approx(np.nanmean(columns[measure]))
        for key, other in (("beside_random", random), ("beside_centre", centre)):
            assert one[key]["margin"]["value"] == pytest.approx(np.mean(columns["margin"] - other["margin"]))
            assert "groups" in one[key]["margin"]["method"] or "samples" in one[key]["margin"]["method"]


def test_methods_are_ranked_and_the_own_one_is_judged(finished: Path) -> None:
    found = stored(finished)
    margins = [found["methods"][m]["figures"]["margin"]["value"] for m in found["ranking"]]
    assert found["ranked_by"] == "margin"
    assert margins == sorted(margins, reverse=True)
    assert found["methods"]["input_gradient"]["own"]
    assert found["verdict"].startswith("input_gradient, the run's own method: insertion less deletion")
    own = found["methods"]["input_gradient"]["beside_random"]["margin"]
    word = "better" if own["low"] > 0 else "worse" if own["high"] < 0 else "not to be told apart"
    assert f"; {word} (difference {own['value']:+.3f}" in found["verdict"]


def test_maps_that_cannot_be_believed_raise_alarms(finished: Path) -> None:
    alarms = {(a["method"], a["kind"]): a for a in stored(finished)["alarms"]}
    assert ("flat", "constant") in alarms
    assert alarms["flat", "constant"]["value"] == 1
    assert alarms["frame", "border"]["value"] == pytest.approx(1)
    assert alarms["frame", "random_weights"]["value"] == pytest.approx(1)
    assert not [key for key in alarms if key[0] == "input_gradient"]


def test_probes_look_at_the_whole_test_part(finished: Path) -> None:
    probes = stored(finished)["probes"]
    assert probes["images"] == 16
    figures = probes["hidden_parts"]["figures"]
    assert figures["hidden"]["simple_auc"]["value"] == pytest.approx(0.5)
    assert sum(one["images"] for one in probes["classes"]) == 16
    assert sum(one["images"] for one in probes["clusters"]) + probes["without_evidence"] == 16
    folder = finished / "explanations" / "faithfulness"
    names = {one["picture"] for one in [*probes["classes"], *probes["clusters"]]}
    assert names == {path.name for path in folder.glob("*.png")}
    with np.load(folder / "mean-maps.npz") as maps:
        assert {f"{name}.png" for name in maps} == names
        assert all(m.sum() == pytest.approx(1, abs=1e-4) for m in maps.values())


def test_the_table_has_a_row_for_each_method_and_image(finished: Path) -> None:
    found = stored(finished)
    with (finished / "explanations" / "faithfulness.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 * (len(found["methods"]) + len(found["baselines"]))
    first = next(row for row in rows if row["method"] == "flat")
    assert float(first["constant"]) == 1
    assert first["agreement"] == ""  # a constant map has no ranks


def test_the_report_has_the_section_and_the_cards_their_figures(finished: Path) -> None:
    page = (finished / "report.html").read_text("utf-8")
    assert "How far can these maps be believed?" in page
    explained = json.loads((finished / "explanations" / "explanations.json").read_text())
    cards = page[page.index('id="explanations"') : page.index('id="faithfulness"')]
    assert cards.count('class="measured"') == len(explained)  # the shown images are among those measured
    assert "Random-weights check" in page


def test_what_was_measured_is_not_measured_again(copied: Path, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(copied)
    monkeypatch.setattr(faithfulness, "scores_of_maps", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr(faithfulness, "probe", lambda *_: pytest.fail("probed again"))
    assert measure_faithfulness(load_run(copied, plugins=registry), methods=["frame", "flat"]) == before


def test_it_goes_on_where_it_was_stopped(copied: Path, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = stored(copied)
    shutil.rmtree(copied / "explanations" / "faithfulness")
    for name in ("faithfulness.json", "faithfulness.csv"):
        (copied / "explanations" / name).unlink()
    run, whole = load_run(copied, plugins=registry), faithfulness.scores_of_method
    measured: list[int] = []

    def stopped(*arguments: Any) -> Any:
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append(1)
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(faithfulness, "scores_of_method", stopped)
        with pytest.raises(KeyboardInterrupt):
            measure_faithfulness(run, methods=["flat", "frame"])
    assert list(stored(copied)["methods"]) == ["input_gradient"]
    monkeypatch.setattr(faithfulness, "probe", lambda *_: expected["probes"])
    found = measure_faithfulness(run, methods=["flat", "frame"])
    for one in [*found["methods"].values(), *expected["methods"].values()]:
        one.pop("seconds")
    assert found == expected


def test_a_folder_of_masks_is_used(copied: Path, registry: Any, tmp_path: Path) -> None:
    """The reader draws the square of class k at a known place; the masks are just that."""
    run = load_run(copied, plugins=registry)
    predictions = run.predictions("test")
    for sample, target in list(zip(predictions.samples, predictions.targets, strict=True))[:-1]:
        row, column = divmod(int(target.argmax()), 3)
        mask = np.zeros((16, 16), np.uint8)
        mask[row * 5 : row * 5 + 5, column * 5 : column * 5 + 5] = 255
        path = tmp_path / "masks" / f"{Path(sample).stem}_mask.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    probes = stored(copied)["probes"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faithfulness, "probe", lambda *_: probes)
        found = measure_faithfulness(run, methods=[], masks=tmp_path / "masks", images=200)
    count = len(predictions.samples)
    assert (found["marked"], len(found["conditions"]["samples"])) == (count - 1, count)
    assert found["methods"]["input_gradient"]["figures"]["pointing"]["n"] == count - 1
    assert list(found["methods"]) == ["input_gradient"]  # other conditions: the others are gone
    Image.fromarray(np.ones((9, 16), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"its mask has 9 x 16 pixels, the image 16 x 16"):
        measure_faithfulness(run, methods=[], masks=tmp_path / "masks", images=200, settings={"faithfulness.steps": 3})
    with pytest.raises(UsageError, match=r"no such folder"):
        measure_faithfulness(run, methods=[], masks=tmp_path / "none")


def test_a_method_that_is_asked_for_must_be_there(copied: Path, registry: Any) -> None:
    with pytest.raises(MedplugError, match=r"no explainer named 'frane' is installed; nearest: frame"):
        measure_faithfulness(load_run(copied, plugins=registry), methods=["frane"])
    with pytest.raises(MedplugError, match=r"faithfulness: images must be at least 2"):
        measure_faithfulness(load_run(copied, plugins=registry), images=1)
    with pytest.raises(UsageError, match=r"training: --faithfulness can set keys of"):
        measure_faithfulness(load_run(copied, plugins=registry), settings={"training.epochs": 3})


def test_every_key_is_documented(finished: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    wanted = ("## `explanations/faithfulness.json`", "## `metrics.json`")  # the second says what a figure is
    section = " ".join(text.partition(title)[2].partition("\n## `")[0] for title in wanted)
    told = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`[^`]+`", section))))
    found = stored(finished)
    names = {*found["methods"], *found["baselines"], *run_classes(found), "simple_auc", "simple_accuracy"}
    assert keys(found) - names <= told


def run_classes(found: dict[str, Any]) -> set[str]:
    return {c for labels in found["labels"] for c in labels}


def keys(value: Any) -> set[str]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(keys, inside))


def test_the_python_door_has_it() -> None:
    assert medplug.measure_faithfulness is measure_faithfulness
