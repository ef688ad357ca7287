"""From data to report with the fakes: what lands in the run folder, and that it is true."""

import csv
import json
import tomllib

import numpy as np
import pytest

import medplug
from medplug.errors import DataError, RunError, UsageError
from medplug.evaluation.tables import read_predictions
from medplug.testing.fakes import SimpleCrossEntropy, TinyNet

FILES = {
    "config.toml", "manifest.json", "checks.json", "split.csv", "history.csv", "checkpoints", "weights.safetensors", "model.json",
    "predictions.csv", "predictions.validation.csv", "metrics.json", "report.html", "explanations",
    "analysis.json", "decision.json", "novelty.safetensors", "tables", "figures", "card.md", "checklist.md", "errors",
    "plan.json",
}  # fmt: skip


def test_a_run_learns_and_leaves_everything(pipeline, tmp_path, fakes):
    run = pipeline(settings={"training.epochs": 12, "training.learning_rate": 0.03, "reader.samples": 120}).fit(
        "memory", out=tmp_path / "run"
    )
    assert FILES == {p.name for p in (tmp_path / "run").iterdir()}
    test = run.metrics["test"]
    assert test["macro"]["simple_auc"]["value"] > 0.9
    assert (
        test["macro"]["simple_auc"]["low"]
        <= test["macro"]["simple_auc"]["value"]
        <= test["macro"]["simple_auc"]["high"]
    )
    assert sum(c["n"] for c in test["per_class"].values()) == test["n"]

    rows = list(csv.DictReader((tmp_path / "run" / "split.csv").open()))
    table = read_predictions(tmp_path / "run" / "predictions.csv")
    assert [r["sample"] for r in rows if r["split"] == "test"] == list(table.samples)
    np.testing.assert_allclose(table.probabilities.sum(1), 1)
    labels = {r["sample"]: r["label"] for r in rows}
    right = np.mean(
        [labels[s] == table.classes[i] for s, i in zip(table.samples, table.probabilities.argmax(1), strict=True)]
    )
    assert test["macro"]["simple_accuracy"]["value"] == pytest.approx(right)

    assert len(run.history) == 12
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["plugins"]["fakes"]["components"]
    assert manifest["seed"] == 0
    assert "medical device" in (tmp_path / "run" / "report.html").read_text()
    explained = json.loads((tmp_path / "run" / "explanations" / "explanations.json").read_text())
    assert {e["explained"] for e in explained} <= set(run.classes)
    assert len(explained) == 3

    opened = medplug.load_run(tmp_path / "run", plugins=fakes)
    assert opened.evaluate()["test"] == test
    index = opened._run_reader().index("memory")
    row = index.samples.index(table.samples[0])
    image = opened._run_reader().load(index.uris[row])
    np.testing.assert_allclose(opened.predict([image]).probabilities[0], table.probabilities[0], atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(pipeline, tmp_path):
    runs = [pipeline(seed=s).fit("memory", out=tmp_path / str(n)) for n, s in enumerate((0, 0, 1))]
    weights = [(r.folder / "weights.safetensors").read_bytes() for r in runs]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_the_stored_configuration_repeats_the_run(pipeline, tmp_path, fakes, quiet):
    first = pipeline(seed=4).fit("memory", out=tmp_path / "first")
    again = medplug.Pipeline(recipe=str(first.folder / "config.toml"), plugins=fakes, reporter=quiet).fit(
        "memory", out=tmp_path / "again"
    )
    assert (first.folder / "weights.safetensors").read_bytes() == (again.folder / "weights.safetensors").read_bytes()
    assert (first.folder / "metrics.json").read_bytes() == (again.folder / "metrics.json").read_bytes()


def test_multilabel_with_unknown_labels_and_groups(pipeline, tmp_path):
    settings = {
        "reader.task": "multilabel", "reader.unknown": 0.2, "reader.group_size": 2, "loss.use": "simple_binary_cross_entropy",
        "reader.samples": 90,
    }  # fmt: skip
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    assert run.task == "multilabel"
    assert "groups" in run.metrics["test"]["macro"]["simple_auc"]["method"]
    rows = list(csv.DictReader((run.folder / "split.csv").open()))
    assert set(rows[0]) == {
        "sample",
        "split",
        "label:class0",
        "label:class1",
        "label:class2",
        "group:patient",
        "pixels",
    }
    assert any(r["label:class0"] == "" for r in rows)
    assert len({(r["group:patient"], r["split"]) for r in rows}) == len({r["group:patient"] for r in rows})


def test_volumes_go_all_the_way(pipeline, tmp_path):
    run = pipeline(settings={"reader.volumes": True, "data.size": 16}).fit("memory", out=tmp_path / "run")
    assert run.card.input_shape == (16, 16, 16, 1)
    assert len(list((run.folder / "explanations").glob("*.png"))) == 3


def test_a_given_split_is_respected(pipeline, tmp_path):
    run = pipeline(settings={"reader.given_splits": True}).fit("memory", out=tmp_path / "run")
    index = run._run_reader().index("memory")
    rows = {r["sample"]: r["split"] for r in csv.DictReader((run.folder / "split.csv").open())}
    assert rows == dict(zip(index.samples, index.splits.tolist(), strict=True))


def test_instances_of_ones_own(pipeline, tmp_path, fakes):
    class OwnNet:
        preprocessing = TinyNet().preprocessing
        head = ("head",)

        def build(self, shape, classes, *, rngs):
            return TinyNet(width=4).build(shape, classes, rngs=rngs)

        def pretrained(self, shape, classes):
            return {}

    run = pipeline(architecture=OwnNet(), loss=SimpleCrossEntropy()).fit("memory", out=tmp_path / "run")
    config = tomllib.loads((run.folder / "config.toml").read_text())
    assert config["architecture"]["use"] == "unregistered:OwnNet"
    assert config["loss"]["use"] == "fakes:simple_cross_entropy"
    images = [run._run_reader().load(run._run_reader().index("memory").uris[0])]
    expected = run.predict(images).probabilities
    with pytest.raises(RunError, match=r"load_run\(path, architecture=OwnNet"):
        medplug.load_run(run.folder, plugins=fakes).predict(images)
    np.testing.assert_array_equal(
        medplug.load_run(run.folder, architecture=OwnNet(), plugins=fakes).predict(images).probabilities, expected
    )


def test_arrays(pipeline, tmp_path, rng):
    labels = np.arange(60) % 2
    images = rng.integers(0, 100, (60, 12, 12), dtype=np.uint8) + (labels * 120)[:, None, None].astype(np.uint8)
    names = np.array(["dark", "bright"])[labels]
    run = pipeline(settings={"training.epochs": 8}).fit(images, names, out=tmp_path / "run", groups=np.arange(60) // 2)
    assert run.classes == ("bright", "dark")
    assert run.metrics["test"]["macro"]["simple_auc"]["value"] > 0.95
    assert run.predict(images[:3]).probabilities.shape == (3, 2)
    assert len(run.explain(images[:2])) == 2
    with pytest.raises(DataError, match="need labels"):
        pipeline().fit(images, out=tmp_path / "other")


def test_pretrained_weights_are_loaded(pipeline, tmp_path):
    settings = {"training.epochs": 1, "training.frozen_epochs": 1}
    run = pipeline(settings={**settings, "architecture.weights": "fixed"}).fit("memory", out=tmp_path / "run")
    expected = TinyNet(weights="fixed").pretrained((16, 16, 1), 3)
    from medplug.model.network import weight_arrays

    found = weight_arrays(run.network.module)
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array)


def test_best_or_last_weights(pipeline, tmp_path):
    best = pipeline(settings={"training.epochs": 6}).fit("memory", out=tmp_path / "best")
    last = pipeline(settings={"training.epochs": 6, "training.tested_weights": "last"}).fit(
        "memory", out=tmp_path / "last"
    )
    losses = [row["validation_loss"] for row in best.history]
    assert best.card.tested_epoch == 1 + int(np.argmin(losses))
    assert last.card.tested_epoch == 6


def test_early_stopping_ends_a_phase(pipeline, tmp_path):
    settings = {
        "training.epochs": 30,
        "training.frozen_epochs": 0,
        "training.learning_rate": 1.0,
        "training.early_stopping": 2,
    }
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    losses = [row["validation_loss"] for row in run.history]
    assert len(losses) < 30
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_a_budget_plans_epochs_and_writes_them_down(pipeline, tmp_path):
    import time

    from medplug.version import STARTED

    minutes = (time.monotonic() - STARTED) / 60 + 0.15
    run = pipeline(settings={"training.epochs": 10**6}, budget=minutes).fit("memory", out=tmp_path / "run")
    config = tomllib.loads((run.folder / "config.toml").read_text())
    assert "budget" not in config
    assert 1 <= config["training"]["epochs"] < 10**6
    assert len(run.history) <= config["training"]["epochs"]
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["training_ended_after_seconds"] <= 60 * minutes + 2


def test_a_folder_that_is_not_empty_is_refused(pipeline, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        pipeline().fit("memory", out=tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_resume_refuses_other_data(pipeline, tmp_path):
    pipeline().fit("memory", out=tmp_path / "run")
    with pytest.raises(RunError, match="other data"):
        pipeline(settings={"reader.samples": 61}).fit("memory", out=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reader.classes": 1}, "at least two classes"),
        ({"task": "multiclass", "reader.task": "multilabel"}, "several; leave task out"),
        ({"loss.use": "simple_binary_cross_entropy"}, "is for multilabel tasks"),
        ({"reader.samples": 3}, "3 images are too few"),
    ],
)
def test_unusable_data_are_told(pipeline, tmp_path, settings, words):
    with pytest.raises((DataError, UsageError), match=words):
        pipeline(settings=settings).fit("memory", out=tmp_path / "run")


def test_observers_see_the_run(pipeline, tmp_path):
    run = pipeline(observers=["recorder"]).fit("memory", out=tmp_path / "run")
    events = [line.split()[0] for line in (run.folder / "events.txt").read_text().splitlines()]
    assert events == ["run_started", *["epoch_ended", "checkpoint_saved"] * 3, "evaluated", "run_ended"]


def test_a_loss_that_is_not_finite_stops_the_run(pipeline, tmp_path):
    from medplug.errors import TrainingError

    with pytest.raises(TrainingError, match=r"lower training.learning_rate"):
        pipeline(settings={"training.learning_rate": 1e30, "training.gradient_clip": 0.0}).fit(
            "memory", out=tmp_path / "run"
        )


def test_the_task_can_be_overridden(pipeline, tmp_path):
    settings = {"task": "multilabel", "loss.use": "simple_binary_cross_entropy"}
    run = pipeline(settings=settings).fit("memory", out=tmp_path / "run")
    assert run.task == "multilabel"
    sums = read_predictions(run.folder / "predictions.csv").probabilities.sum(1)
    assert np.abs(sums - 1).max() > 1e-3  # sigmoids


def test_fewer_epochs_than_frozen_ones(pipeline, tmp_path):
    run = pipeline(settings={"training.epochs": 2, "training.frozen_epochs": 5}).fit("memory", out=tmp_path / "run")
    assert [row["phase"] for row in run.history] == ["frozen", "frozen"]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"seed": 1}, "another split"), ({"settings": {"training.learning_rate": 0.5}}, "other training settings")],
)
def test_resume_from_python_keeps_the_runs_split_and_training(pipeline, tmp_path, options, words):
    pipeline().fit("memory", out=tmp_path / "run")
    before = (tmp_path / "run" / "split.csv").read_bytes()
    with pytest.raises(RunError, match=words):
        pipeline(**options).fit("memory", out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "split.csv").read_bytes() == before


def test_resume_of_another_network_is_refused(pipeline, tmp_path):
    pipeline().fit("memory", out=tmp_path / "run")
    with pytest.raises(RunError, match="another network"):
        pipeline(settings={"architecture.width": 4}).fit("memory", out=tmp_path / "run", resume=True)


def test_one_array_is_one_image(pipeline, tmp_path, rng):
    labels = np.arange(60) % 2
    images = rng.random((60, 12, 12, 3)) * 0.5 + labels[:, None, None, None] * 0.4
    run = pipeline().fit(images, labels, out=tmp_path / "run")
    single = run.predict(images[0]).probabilities
    np.testing.assert_array_equal(single, run.predict(images[:1]).probabilities)
    assert single.shape == (1, 2)
    with pytest.raises(DataError, match="has 3 spatial axes"):
        run.predict([np.zeros((4, 4, 4, 1), np.uint8)])


def test_labels_or_groups_beside_a_path_are_refused(pipeline, tmp_path):
    for columns in ({"groups": np.arange(2)}, {"labels": [0, 1]}, {"site": "hospital"}, {"names": ["a"]}):
        with pytest.raises(UsageError, match="belong to images in memory"):
            pipeline().fit("memory", out=tmp_path / "run", **columns)
    with pytest.raises(UsageError, match="belong to images in memory"):
        pipeline().fit({"image": ["a.png"], "label": ["x"]}, out=tmp_path / "run", groups=[1])
    with pytest.raises(TypeError, match="spilts"):
        pipeline().fit(np.zeros((2, 4, 4), np.uint8), [0, 1], spilts=["train", "test"])


def test_paths_that_are_not_there_are_told(pipeline, tmp_path):
    with pytest.raises(DataError, match=r"a.png \(the file does not exist\)"):
        pipeline().fit(["a.png", "b.png"], [0, 1], out=tmp_path / "run")


def test_own_metrics_and_explainers_stay_with_the_run(pipeline, tmp_path):
    class Half:
        tasks = ("multiclass",)
        higher_is_better = True
        bounds = (0.0, 1.0)
        undefined = "never"

        def __call__(self, targets, probabilities, sample_weight=None, thresholds=None):
            return 0.5

    class Flat:
        def __call__(self, network, images, classes, keys):
            return images[:, None, :, :, 0] * 0 + 1

    run = pipeline(metrics=[Half()], explainer=Flat()).fit("memory", out=tmp_path / "run")
    assert run.evaluate()["test"]["macro"]["Half"]["value"] == 0.5
    assert len(run.explain()) == 3


def test_an_observer_cannot_change_figures(pipeline, tmp_path):
    class Vandal:
        def evaluated(self, metrics):
            metrics.clear()

        def run_ended(self, metrics):
            metrics.clear()

    run = pipeline(observers=[Vandal()]).fit("memory", out=tmp_path / "run")
    assert run.metrics["test"]["macro"]


def test_runs_that_start_together_get_folders_of_their_own(tmp_path, monkeypatch):
    from medplug.runs.folder import claim, discard_empty

    monkeypatch.chdir(tmp_path)
    folders = [claim(None, "data", resume=False) for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        discard_empty(folder)
    assert not (tmp_path / "runs").exists()
