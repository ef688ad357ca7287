"""The choice of settings: which runs are started, that none of them sees a test image, and what is made of them."""

import csv
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import cli
from benchmarks.comparing import choose, layout, pairing, plan, rivals, tables
from benchmarks.family import BenchmarkError, Options
from benchmarks.records import read_records
from medplug.evaluation.tables import write_predictions
from medplug.runs.folder import SplitTable
from medplug.values import Predictions

TOML = """
base = "plain"
[common]
training.epochs = 9
[variant.plain]
[variant.good]
loss.focal.gamma = 2.5
[variant.bad]
"training.batch_norm" = "batch"
"augment.use" = ["horizontal_flip", "brightness"]
"""
CLASSES, SAMPLES = ("a", "b", "c"), 90
SKILL = {"plain": 1.0, "good": 3.0, "bad": 0.0}


@pytest.fixture
def truth(tmp_path, rng):
    """30 samples a part, in 45 groups."""
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, SAMPLES)]
    names = tuple(f"s{n}" for n in range(SAMPLES))
    parts = tuple(np.repeat(["train", "validation", "test"], 30).tolist())
    table = SplitTable(names, parts, targets, {}, {})
    groups = np.repeat(np.arange(45), 2).astype(str)
    return layout.Truth(tmp_path / "split.csv", table, CLASSES, "multiclass", groups, "hash")


@pytest.fixture
def trained(monkeypatch, truth, tmp_path):
    """Runs that end at once: each judges on a third of the samples that its split names."""
    calls = []

    def train(experiment, source, folder, *, split, settings, seed, **options):
        calls.append(SimpleNamespace(folder=folder, split=split, settings=settings, seed=seed, **options))
        named = [row["sample"] for row in csv.DictReader(split.open())]
        judged = named[::3] if not calls[-1].settings.get("other") else named[1::3]
        rows = [truth.row_of[name] for name in judged]
        noise = np.random.default_rng(seed).normal(0, 1, (len(rows), 3))
        logits = SKILL[folder.parent.parent.name] * truth.table.targets[rows] + noise
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        write_predictions(folder / "predictions.csv", Predictions(tuple(judged), p, p, CLASSES, "multiclass"))
        (folder / "manifest.json").write_text('{"training_ended_after_seconds": 80}')
        (folder / "history.csv").write_text("epoch,images_per_second\n1,50\n2,70\n3,60\n")
        return folder

    monkeypatch.setattr(rivals, "train", train)
    monkeypatch.setattr(layout, "lay_out", lambda *a, **k: truth)
    monkeypatch.setattr(layout, "prepared", lambda *a, **k: None)
    monkeypatch.setattr(layout, "read_truth", lambda home: truth)
    monkeypatch.setattr(choose, "experiment_of", lambda name: SimpleNamespace(find=lambda root: Path("memory")))
    return calls


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(pairing, "RESAMPLES", 50)


@pytest.fixture
def options(tmp_path):
    (tmp_path / "levers.toml").write_text(TOML)
    return Options(None, tmp_path / "out", variants=tmp_path / "levers.toml", sets=("ct", "mri"), seeds=(0, 1))


def test_variants_are_read_with_what_is_common(tmp_path):
    (tmp_path / "levers.toml").write_text(TOML)
    found = choose.read_round(tmp_path / "levers.toml")
    assert (found.name, found.base, found.recipe) == ("levers", "plain", "standard")
    assert found.variants == {
        "plain": {"training.epochs": "9"},
        "good": {"training.epochs": "9", "loss.focal.gamma": "2.5"},
        "bad": {
            "training.epochs": "9", "training.batch_norm": "batch", "augment.use": "horizontal_flip,brightness",
        },
    }  # fmt: skip
    assert choose.flat({"a": {"b": True, "c": []}, "d": "none"}) == {"a.b": "true", "a.c": "none", "d": "none"}


@pytest.mark.parametrize(
    ("change", "words"), [(("plain]", "plan]"), "base must name"), (("[common]", "[comon]"), "unknown keys comon")]
)
def test_a_wrong_file_is_an_error_that_names_it(tmp_path, change, words):
    (tmp_path / "x.toml").write_text(TOML.replace(*change))
    with pytest.raises(BenchmarkError, match=f"x.toml: {words}"):
        choose.read_round(tmp_path / "x.toml")
    with pytest.raises(BenchmarkError, match="y.toml"):
        choose.read_round(tmp_path / "y.toml")


def test_the_shipped_variants_are_settings_of_medplug():
    for module in ("medplug_standard", "medplug_efficientnet"):
        pytest.importorskip(module)
    from medplug import Pipeline
    from medplug.plugins.registry import registry

    found = choose.read_round(choose.VARIANTS)
    for settings in found.variants.values():
        chosen = {**rivals.CHEAP, **choose.SHARES, **settings}
        config = Pipeline(recipe=found.recipe, architecture=plan.BACKBONE, settings=chosen).config()
        config.check_components(registry())
    assert choose.own(found, found.base) == {}
    assert all(choose.own(found, name) for name in found.variants if name != found.base)


def test_no_run_is_told_of_a_test_image(trained, truth, options):
    choose.run("choose", options)
    hidden = {truth.table.samples[row] for row in truth.rows("test")}
    for call in trained:
        rows = list(csv.DictReader(call.split.open()))
        assert {row["sample"] for row in rows} == set(truth.table.samples) - hidden
        assert {row["split"] for row in rows} == {"train", "validation"}
        assert float(call.settings["split.test"]) == 0.25


def test_predictions_of_a_test_image_are_refused(trained, truth, options, monkeypatch):
    monkeypatch.setattr(choose, "leave_test_out", _whole)
    with pytest.raises(BenchmarkError, match="images of the test part were predicted"):
        choose.run("choose", options)


def _whole(truth, path):
    path.parent.mkdir(parents=True)
    path.write_text("sample,split\n" + "".join(f"{name},train\n" for name in truth.table.samples))


def test_a_split_without_a_test_part_makes_a_run_take_one_from_training(truth, tmp_path):
    """Of medplug's own splitter: the images that the file leaves out take no part."""
    from medplug.config.settings import SplitSettings
    from medplug.data.split import make_split
    from medplug.values import Index

    choose.leave_test_out(truth, tmp_path / "left.csv")
    index = Index(truth.table.samples, truth.table.samples, truth.table.targets, CLASSES, groups={"g": truth.groups})
    shares = {key.removeprefix("split."): value for key, value in choose.SHARES.items()}
    settings = SplitSettings(**shares, file=str(tmp_path / "left.csv"))
    found = make_split(index, np.arange(SAMPLES), truth.table.samples, settings, 0)
    assert set(found.validation) == set(truth.rows("validation"))
    assert set(found.train) | set(found.test) == set(truth.rows("train"))
    assert 6 <= len(found.test) <= 9
    assert not set(truth.groups[found.train]) & set(truth.groups[found.test])


def test_each_variant_is_trained_once_and_others_are_noticed(trained, options):
    choose.run("choose", options)
    order = [(call.folder.parent.parent.name, call.folder.parent.name) for call in trained]
    assert order[:4] == [("plain", "ct-seed-0"), ("good", "ct-seed-0"), ("bad", "ct-seed-0"), ("plain", "mri-seed-0")]
    assert len(order) == len(set(order)) == 12
    assert {(call.minutes, call.size, call.recipe) for call in trained} == {(None, 96, "standard")}
    choose.run("choose", options)
    assert len(trained) == 12
    options.variants.write_text(TOML.replace("2.5", "3.5"))
    with pytest.raises(BenchmarkError, match="trained with other settings"):
        choose.run("choose", options)
    choose.run("choose", dataclasses.replace(options, again=True, sets=("ct",), seeds=(0,)))
    assert len(trained) == 15


def test_variants_are_paired_with_the_base(trained, options):
    choose.run("choose", options)
    [record] = read_records(options.out)
    assert record["pairs"] == [["ct", 0], ["ct", 1], ["mri", 0], ["mri", 1]]
    assert len(record["all_rows"]) == 12
    assert {"minutes", "seconds", "machine", "auc", "loss"} <= set(record["all_rows"][0])
    good, bad, plain = (record["variants"][name] for name in ("good", "bad", "plain"))
    assert "auc_difference" not in plain
    assert good["auc_difference"]["low"] > 0 > good["loss_difference"]["high"]
    assert bad["auc_difference"]["high"] < 0
    assert good["auc_difference"]["value"] == pytest.approx(good["auc"] - plain["auc"])
    assert good["loss_difference"]["value"] == pytest.approx(good["loss"] - plain["loss"])
    assert (good["epochs"], good["images_per_second"], good["rows"]) == (3, 60, 4)
    assert good["settings"] == {"loss.focal.gamma": "2.5"}
    text = tables.choice([record], options)
    [row] = [line for line in text.splitlines() if line.startswith("| good |")]
    assert f"**{good['auc_difference']['value']:+.4f}**" in row
    assert "Sets and seeds: ct 0, ct 1, mri 0, mri 1." in text
    assert "python -m benchmarks choose" in tables.choice([], options)


def test_variants_that_were_judged_on_other_images_are_not_paired(trained, options):
    options.variants.write_text(TOML.replace('"training.batch_norm" = "batch"', "other = 1"))
    with pytest.raises(BenchmarkError, match="judged on other images"):
        choose.run("choose", options)


def test_an_unknown_set_is_an_error(options):
    with pytest.raises(BenchmarkError, match="no set 'x'"):
        choose.run("choose", dataclasses.replace(options, sets=("x",)))


def test_the_command_line_takes_a_file(monkeypatch, tmp_path):
    ran = []
    family = SimpleNamespace(names=choose.names, run=lambda name, options: ran.append(options))
    monkeypatch.setattr(cli, "FAMILIES", {"choose": family})
    words = ["choose", str(tmp_path / "a.toml"), "--minutes", "2", "--sets", "ct", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    assert cli.main(["choose", "--out", str(tmp_path)]) == 0
    assert [(o.variants, o.budget, o.sets) for o in ran] == [(tmp_path / "a.toml", 2, ("ct",)), (None, None, None)]
    assert json.dumps(choose.describe("choose", ran[0]))
