"""The floors on images whose answer is known, and the paired interval."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.experiments import Thumbnail
from benchmarks.family import BenchmarkError
from benchmarks.floors import (
    Seen,
    feature_floor,
    floors_of,
    linear,
    macro_auc,
    paired_interval,
    percentile_interval,
    pooled_features,
    thumbnail_floor,
    thumbnails,
)  # fmt: skip
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.testing.fakes import TinyNet
from medplug.values import Predictions

GREY = Thumbnail(4, "grey")


def seen(images, targets, probabilities=None, architecture=None, task="multiclass"):
    """Images as a run would have seen them: a half trains, a tenth validates, the rest tests."""
    n, k = targets.shape
    train, validation, test = np.split(np.arange(n), [n // 2, n // 2 + n // 10])
    probabilities = np.full((len(test), k), 1 / k) if probabilities is None else probabilities
    names = tuple(map(str, test))
    ours = Predictions(names, probabilities, targets[test], tuple(map(str, range(k))), task)
    return Seen(images, targets, train, validation, test, ours, architecture)


def drawn(rng, n=300, classes=3, contrast=70, channels=1, size=16):
    """Grey noise; the class decides the brightness of the left half."""
    labels = rng.permutation(np.arange(n) % classes)
    images = rng.integers(60, 100, (n, size, size, channels))
    images[:, :, : size // 2] += (contrast * labels / (classes - 1)).astype(int)[:, None, None, None]
    return images.astype(np.uint8), np.eye(classes, dtype=np.float32)[labels]


# ---------------------------------------------------------------- the models


def test_separable_images_are_separated_by_thumbnails(rng):
    data = seen(*drawn(rng))
    words, probabilities = thumbnail_floor(data, GREY)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert macro_auc(data.targets[data.test], probabilities) == 1.0
    assert words == "logistic regression (C=0.001) on 4 x 4 grey pixels"


def test_noise_stays_noise(rng):
    data = seen(*drawn(rng, n=600, contrast=0))
    _, probabilities = thumbnail_floor(data, GREY)
    assert abs(macro_auc(data.targets[data.test], probabilities) - 0.5) < 0.08


def test_test_labels_play_no_part(rng):
    images, targets = drawn(rng)
    data = seen(images, targets)
    other = targets.copy()
    other[data.test] = other[data.test][:, ::-1]
    for floor in (lambda s: thumbnail_floor(s, GREY), feature_floor):
        first, second = (floor(seen(images, t, architecture=TinyNet(weights="fixed"))) for t in (targets, other))
        np.testing.assert_array_equal(first[1], second[1])


def test_frozen_features_separate_and_do_not_need_the_head(rng):
    data = seen(*drawn(rng), architecture=TinyNet(weights="fixed"))
    words, probabilities = feature_floor(data)
    assert macro_auc(data.targets[data.test], probabilities) > 0.99
    assert words.endswith("on 16 frozen features")


def test_features_are_the_networks_averaged_over_space(rng):
    from medplug import build_network

    images, _ = drawn(rng, n=37)  # not a multiple of the batch
    net = build_network(TinyNet(weights="fixed"), classes=3, size=16)
    expected = np.asarray(net.features(net.standardise(images))).mean((1, 2))
    np.testing.assert_allclose(pooled_features(TinyNet(weights="fixed"), images, 3), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("colour", "columns"), [("grey", 16), ("rgb", 48)])
def test_thumbnails_average(rng, colour, columns):
    image = np.repeat(rng.integers(0, 255, (1, 4, 4, 3)), 2, 1).repeat(2, 2).astype(np.uint8)
    flat = np.full((1, 16, 16, 3), 77, np.uint8)
    assert thumbnails(image, Thumbnail(4, colour)).shape == (1, columns)
    assert np.all(thumbnails(flat, Thumbnail(4, colour)) == 77)


def test_a_class_without_an_example_gets_nothing(rng):
    x, targets = rng.normal(size=(30, 2)), np.eye(3, dtype=np.float32)[np.arange(30) % 2]
    probabilities = linear(x, targets, np.arange(20), np.arange(20, 30), 1.0, "multiclass")
    assert np.all(probabilities[:, 2] == 0)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_multilabel_has_a_model_per_label_and_leaves_unknown_labels_out(rng):
    x = rng.normal(size=(200, 3))
    targets = (x > 0).astype(np.float32)
    targets[:, 2] = 1  # one value only
    hidden = targets.copy()
    hidden[rng.random(200) < 0.3, 0] = np.nan
    probabilities = linear(x, hidden, np.arange(100), np.arange(100, 200), 1.0, "multilabel")
    assert roc_auc_score(targets[100:, 0], probabilities[:, 0]) > 0.97
    assert roc_auc_score(targets[100:, 1], probabilities[:, 1]) > 0.97
    assert np.all(probabilities[:, 2] == 1)
    known = np.flatnonzero(~np.isnan(hidden[:100, 0]))
    alone = linear(x[:, :], hidden[:, :1], known, np.arange(100, 200), 1.0, "multilabel")
    assert np.corrcoef(alone[:, 0], probabilities[:, 0])[0, 1] > 0.999


# ---------------------------------------------------------------- macro AUC


def test_macro_auc_is_scikit_learns(rng):
    targets = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 80)]
    probabilities = np.round(rng.random((80, 4)), 1)  # many ties
    expected = np.mean([roc_auc_score(t, p) for t, p in zip(targets.T, probabilities.T, strict=True)])
    assert macro_auc(targets, probabilities) == pytest.approx(expected, abs=1e-12)


def test_macro_auc_leaves_out_unknown_labels_and_classes_without_pairs(rng):
    targets = (rng.random((60, 3)) < 0.5).astype(np.float32)
    targets[:, 2] = 0
    targets[:10, 0] = np.nan
    scores = rng.random((60, 3))
    expected = (roc_auc_score(targets[10:, 0], scores[10:, 0]) + roc_auc_score(targets[:, 1], scores[:, 1])) / 2
    assert macro_auc(targets, scores) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(macro_auc(targets[:, 2:], scores[:, 2:]))


# ---------------------------------------------------------------- the paired interval


def test_identical_predictions_differ_by_nothing(rng):
    targets, scores = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 60)], rng.random((60, 3))
    found = paired_interval(targets, scores, scores, None, resamples=100)
    assert (found["value"], found["low"], found["high"]) == (0, 0, 0)


def test_percentiles_of_known_values():
    values = np.linspace(0, 1, 101)
    drawn = units(10, None)
    interval = percentile_interval(values, drawn, IntervalSettings(resamples=101, confidence=0.9))
    assert interval == {
        "low": pytest.approx(0.05),
        "high": pytest.approx(0.95),
        "method": "90 % percentile bootstrap over 10 samples, 101 resamples",
    }
    half = np.where(np.arange(101) % 2 == 0, np.nan, values)  # 51 of 101: more than half
    assert percentile_interval(half, drawn, IntervalSettings())["low"] is None
    assert percentile_interval(half[1:], drawn, IntervalSettings())["undefined_resamples"] == 50


def test_swapping_turns_the_interval_round(rng):
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 100)]
    good, bad = targets + rng.normal(0, 0.6, (100, 2)), targets + rng.normal(0, 2, (100, 2))
    one, other = (paired_interval(targets, *pair, None, resamples=300) for pair in ((good, bad), (bad, good)))
    assert one["value"] == pytest.approx(macro_auc(targets, good) - macro_auc(targets, bad))
    assert 0 < one["low"] < one["value"] < one["high"]
    np.testing.assert_allclose(
        [one["value"], one["low"], one["high"]], [-other["value"], -other["high"], -other["low"]]
    )


def test_pairing_narrows_and_groups_widen(rng):
    targets = np.eye(2, dtype=np.float32)[np.repeat(rng.integers(0, 2, 40), 5)]
    shared = targets + np.repeat(rng.normal(0, 1, (40, 2)), 5, axis=0)  # images of a group are alike
    ours, theirs = shared + rng.normal(0, 0.05, shared.shape), shared + rng.normal(0, 0.05, shared.shape)
    paired = paired_interval(targets, ours, theirs, None, resamples=300)
    alone = paired_interval(targets, ours, np.full_like(ours, 0.5), None, resamples=300)
    grouped = paired_interval(targets, ours, np.full_like(ours, 0.5), np.repeat(np.arange(40), 5).astype(str), 300)
    width = {name: f["high"] - f["low"] for name, f in (("paired", paired), ("alone", alone), ("grouped", grouped))}
    assert width["paired"] < width["alone"] / 3
    assert width["grouped"] > 1.4 * width["alone"]
    assert "40 groups" in grouped["method"]


# ---------------------------------------------------------------- on a run folder


@pytest.fixture
def run(fakes, quiet, tmp_path):
    from medplug import Pipeline

    settings = {
        "training.epochs": 1, "training.frozen_epochs": 0, "training.batch_size": 16, "evaluation.resamples": 50,
        "split.train": 0.5, "split.validation": 0.2, "split.test": 0.3, "reader.samples": 60, "reader.group_size": 2,
        "architecture.weights": "fixed",
    }  # fmt: skip
    return Pipeline(recipe="fake", settings=settings, plugins=fakes, reporter=quiet, seed=3).fit(
        "memory", out=tmp_path / "run"
    )


def test_floors_of_a_run_use_its_split(run, experiment, fakes):
    import csv

    from benchmarks.floors import read_run

    data = read_run(run.folder, fakes)
    rows = list(csv.DictReader((run.folder / "split.csv").open()))
    for part in ("train", "validation", "test"):
        assert [r["split"] for r in rows].count(part) == len(getattr(data, part))
        assert all(rows[i]["split"] == part for i in getattr(data, part))
    assert [rows[i]["sample"] for i in data.test] == list(data.predictions.samples)
    reader = run._run_reader()
    index = reader.index("memory")
    last = index.samples.index(rows[-1]["sample"])
    np.testing.assert_array_equal(data.images[-1], reader.load(index.uris[last]))

    floors = floors_of(run.folder, experiment, fakes)
    assert set(floors) == {"thumbnails", "features"}
    auc = run.metrics["test"]["macro"]["simple_auc"]["value"]  # another implementation of the same figure
    for floor in floors.values():
        assert floor["difference"]["value"] == pytest.approx(auc - floor["roc_auc"], abs=1e-9)
        assert "2000 resamples" in floor["difference"]["method"]
        assert "groups" in floor["difference"]["method"]


def test_changed_data_are_noticed(run, experiment, fakes):
    config = (run.folder / "config.toml").read_text()
    (run.folder / "config.toml").write_text(config.replace("contrast = 0.5", "contrast = 0.4"))
    with pytest.raises(BenchmarkError, match="data have changed"):
        floors_of(run.folder, experiment, fakes)
