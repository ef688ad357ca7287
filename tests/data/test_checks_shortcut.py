"""A classifier that sees no picture: it finds traces of sources, and keeps silent where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from checks_helpers import found, index_of, look, one, picture
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from medplug.data.checks import shortcut, telling
from medplug.values import Index


def facts_of(modes, shapes=None, **columns):
    """Facts with these file modes, shapes and averages."""
    shapes = shapes or [(20, 20, 1)] * len(modes)
    return [
        replace(picture(i, shape=shape, file={"mode": mode, "format": "JPEG"}), **{k: v[i] for k, v in columns.items()})
        for i, (mode, shape) in enumerate(zip(modes, shapes, strict=True))
    ]


def labels_of(count, classes=2, seed=0):
    return np.random.default_rng(seed).permutation(np.arange(count) % classes)


def told(report):
    return one(report, "shortcut"), one(report, "averages")


# ---------------------------------------------------------------- what is found


def test_a_mode_that_goes_with_the_class_is_found():
    """As in Nickparvar's MRI: most tumours are grey files, most others colour."""
    labels = labels_of(200)
    swap = np.random.default_rng(1).random(200) < 0.25
    files, averages = told(look(index_of(labels), facts_of(np.where((labels == 1) ^ swap, "L", "RGB")))[2])
    assert files.level == "warning"
    assert files.text.startswith("a classifier that sees no picture")
    assert "source shortcut suspected; strongest: mode (0.7" in files.text
    assert files.details["auc"]["value"] == pytest.approx(0.75, abs=0.06)
    assert files.details["auc"]["low"] < files.details["auc"]["value"] < files.details["auc"]["high"]
    assert averages.level == "ok"


def test_sizes_of_several_sources_are_found_though_no_line_parts_them():
    """Widths 100 and 300 belong to one class, 200 to the other."""
    labels = labels_of(120)
    generator = np.random.default_rng(0)
    widths = [200 if k else int(generator.choice([100, 300])) for k in labels]
    files, _ = told(look(index_of(labels), facts_of(["L"] * 120, [(150, w, 1) for w in widths]))[2])
    assert files.level == "warning"
    assert files.details["auc"]["value"] > 0.98
    assert "strongest: aspect ratio (1.00 alone)" in files.text


def test_averages_are_noted_and_are_no_warning():
    labels = labels_of(100)
    means = 0.5 + 0.1 * labels + np.random.default_rng(0).normal(0, 0.05, 100)
    files, averages = told(look(index_of(labels), facts_of(["L"] * 100, mean=means))[2])
    assert files.level == "ok"
    assert "tell no class" in files.text
    assert averages.level == "note"
    assert "the least that a network has to beat; strongest: mean grey" in averages.text


def test_a_reader_without_facts_has_sizes_and_channels():
    labels = labels_of(100)
    facts = [picture(i, shape=(20, 20, 3 if k else 1)) for i, k in enumerate(labels)]
    files, _ = told(look(index_of(labels), facts)[2])
    assert files.level == "warning"
    assert "channels (1.00 alone)" in files.text


def test_bytes_count_per_pixel_and_sizes_of_the_header_not_at_all():
    facts = [
        picture(i, shape=(10 + i, 10, 1), file={"bytes": 5 * (10 + i) * 10, "width": i, "height": i}) for i in range(30)
    ]
    names = [c.name for c in shortcut.file_columns(facts)]
    assert names == ["height", "aspect ratio"]
    assert [c.name for c in shortcut.average_columns(facts)] == []  # 5 bytes per pixel for all


def test_volumes_have_slices():
    facts = [picture(i, shape=(4 + i % 2, 10, 10, 1)) for i in range(30)]
    assert [c.name for c in shortcut.file_columns(facts)] == ["slices"]


def test_several_labels_are_looked_at_one_by_one():
    generator = np.random.default_rng(0)
    targets = (generator.random((300, 3)) < 0.4).astype(np.float32)
    targets[:20, 1] = np.nan
    names = tuple(map(str, range(300)))
    index = Index(names, names, targets, ("x", "y", "z"), "multilabel")
    modes = np.where(targets[:, 2] == 1, "L", "RGB")
    files, _ = told(look(index, facts_of(modes))[2])
    assert files.level == "warning"  # of three labels one is told: the mean is some 0.67
    assert files.details["auc"]["value"] == pytest.approx(2 / 3, abs=0.05)


# ---------------------------------------------------------------- what is not


def test_random_traces_raise_no_alarm():
    """At most one of 20 sets of 100 images; measured over thousands of shuffles: 0 to 2.5 of 100."""
    alarms = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        modes = generator.choice(["L", "RGB", "P"], 100)
        shapes = [(int(h), int(w), 1) for h, w in generator.integers(50, 400, (100, 2))]
        averages = {key: generator.random(100) for key in ("mean", "border", "colour")}
        report = look(index_of(labels_of(100, 2, seed)), facts_of(modes, shapes, **averages), near="ignore")[2]
        alarms += any(finding.level != "ok" for finding in told(report))
    assert alarms <= 1


def test_patients_with_many_images_raise_no_alarm():
    """Ten patients a class, ten images each of one size: sizes of patients give images away, but no new patient."""
    alarms = 0
    for seed in range(6):
        generator = np.random.default_rng(seed)
        patient = np.repeat(np.arange(24), 10)
        widths = generator.integers(100, 1000, 24)[patient]
        labels = (generator.permutation(24) % 2)[patient]
        facts = facts_of(["L"] * 240, [(200, int(w), 1) for w in widths])
        given = {"patient": np.array([f"p{p}" for p in patient])}
        grouped = told(look(index_of(labels, groups=given), facts, near="ignore")[2])[0]
        plain = told(look(index_of(labels), facts, near="ignore")[2])[0]
        assert plain.level == "warning"
        alarms += grouped.level == "warning"
    assert alarms <= 1


def test_few_images_of_a_class_say_nothing():
    files = one(look(index_of([0] * 40 + [1] * 9), facts_of(["L"] * 40 + ["RGB"] * 9))[2], "shortcut")
    assert files.level == "note"
    assert "too few images" in files.text


def test_order_changes_nothing():
    labels = labels_of(120)
    generator = np.random.default_rng(3)
    facts = facts_of(np.where((labels == 1) ^ (generator.random(120) < 0.3), "L", "RGB"))
    order = generator.permutation(120)
    index = index_of(labels)
    first = told(look(index, facts)[2])[0]
    second = told(look(index.take(order), [facts[i] for i in order])[2])[0]
    assert first.details["auc"] == second.details["auc"]
    assert first.text == second.text


# ---------------------------------------------------------------- the parts


def test_the_linear_classifier_is_scikit_learns_ridge():
    generator = np.random.default_rng(0)
    columns = [
        telling.column_of("a", generator.choice(["x", "y", "z"], 60).tolist()),
        telling.column_of("b", generator.random(60)),
    ]
    targets, folds = np.eye(3)[generator.integers(0, 3, 60)], np.arange(60) % 5
    features = np.column_stack([np.eye(c.codes.max() + 1)[c.codes] for c in columns] + [columns[1].numbers])
    mine = shortcut._Linear(columns, folds)(targets)
    for fold in range(5):
        train, test = folds != fold, folds == fold
        theirs = Ridge(alpha=4.0).fit(features[train], targets[train])
        expected = theirs.predict(features[test]) - targets[train].mean(0)
        np.testing.assert_allclose(mine[test], expected, atol=1e-9)


def test_the_area_is_scikit_learns_with_ties_and_gaps():
    generator = np.random.default_rng(0)
    scores = np.round(generator.normal(size=(200, 3)), 1)
    targets = np.eye(3)[generator.integers(0, 3, 200)]
    targets[:30, 0] = np.nan
    found_ = telling.separation(scores, targets, np.arange(200))
    known = ~np.isnan(targets)
    expected = [roc_auc_score(targets[known[:, k], k], scores[known[:, k], k]) for k in range(3)]
    assert found_.value == pytest.approx(np.mean(expected))
    assert found_.classes == (0, 1, 2)


def test_the_error_is_delongs_and_grows_with_units():
    """DeLong's variance from its definition; images that are copies of each other add nothing."""
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    scores = generator.normal(size=60) + 0.5 * labels
    targets = np.eye(2)[labels][:, 1:]
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = (positive[:, None] > negative[None]).astype(float)
    variance = wins.mean(1).var(ddof=1) / 30 + wins.mean(0).var(ddof=1) / 30
    plain = telling.separation(scores[:, None], targets, np.arange(60))
    assert plain.error == pytest.approx(np.sqrt(variance), rel=0.02)
    copies = telling.separation(
        np.repeat(scores, 4)[:, None], np.repeat(targets, 4, axis=0), np.repeat(np.arange(60), 4)
    )
    assert copies.value == pytest.approx(plain.value)
    assert copies.error == pytest.approx(plain.error)


def test_folds_keep_units_whole_and_classes_even():
    generator = np.random.default_rng(0)
    units = generator.integers(0, 60, 300)
    targets = np.eye(3)[(units % 3)]
    folds = telling.units_in_folds(units, targets, [f"{x:.9f}" for x in generator.random(300)])
    assert all(len(set(folds[units == u])) == 1 for u in set(units))
    per_fold = np.array([[len(set(units[(folds == f) & (units % 3 == k)])) for k in range(3)] for f in range(5)])
    assert (per_fold == 4).all()


def test_scores_of_a_table_come_from_the_other_folds():
    """By hand: level 0 has the class 3 times of 4 in the other fold, whose share is a half."""
    codes = np.array([0] * 5 + [1] * 4)
    targets = np.array([[1.0], [1], [1], [1], [0], [0], [0], [0], [1]])
    folds = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0])
    scores = telling.table_scores(codes, targets, folds)
    assert scores[0, 0] == pytest.approx(np.log((3 + 2 * 0.5) / (4 + 2)) - np.log(0.5))


def test_shuffles_keep_units_folds_and_counts():
    units = np.array([0, 0, 1, 1, 2, 3, 4, 4, 5, 6])
    folds = np.array([0, 0, 0, 0, 1, 1, 0, 0, 1, 1])
    targets = np.eye(2)[[0, 0, 1, 1, 0, 1, 1, 1, 0, 1]]
    seen = set()
    for shuffled in telling._shuffles(targets, units, folds):
        assert (shuffled[0] == shuffled[1]).all()
        assert shuffled[folds == 1].sum(0).tolist() == [2, 2]
        assert shuffled[folds == 0].sum(0).tolist() == [2, 4]
        seen.add(shuffled[:, 0].tobytes())
    assert len(seen) == 3 * 6  # where the one unit of class 0 lies, times where two of four do


def test_columns_become_levels():
    column = telling.column_of("x", ["b", "a", "", "a", None, float("nan"), "c", "b"])
    assert [column.levels[c] for c in column.codes] == [
        "b",
        "a",
        "(missing)",
        "a",
        "(missing)",
        "(missing)",
        "(rare)",
        "b",
    ]
    assert column.numbers is None
    numbers = telling.column_of("x", [*range(100), None, *[1000] * 50])
    levels = [numbers.levels[c] for c in numbers.codes]
    assert levels[100] == "(missing)"
    assert set(levels[101:]) == {"1000"}
    assert len(set(levels[:100])) == 10
    assert numbers.numbers[100] == 0
    assert not telling.column_of("x", [3, 3, 3]).varies


def test_large_sets_are_judged_by_a_part(monkeypatch):
    monkeypatch.setattr(shortcut, "_MOST", 60)
    labels = labels_of(300)
    files = one(look(index_of(labels), facts_of(np.where(labels == 1, "L", "RGB")))[2], "shortcut")
    assert files.level == "warning"
    assert files.details["images"] == 60
    assert not found(look(index_of(labels), facts_of(["L"] * 300))[2], "leaks")


def test_a_text_of_many_values_stays_narrow():
    """300 values, of which 40 are told apart; the classifier still finds the commonest ones."""
    labels = labels_of(900)
    generator = np.random.default_rng(0)
    rest = [f"v{n}" for n in generator.integers(0, 300, 900)]
    descriptions = [("ill" if k else "well") if n % 3 else rest[n] for n, k in enumerate(labels)]
    facts = [replace(picture(i), file={"mode": "L", "description": d}) for i, d in enumerate(descriptions)]
    files = one(look(index_of(labels), facts, near="ignore")[2], "shortcut")
    assert files.details["auc"]["value"] > 0.85
    linear = shortcut._Linear(shortcut.file_columns(facts), np.arange(900) % 5)
    assert linear._folds[0][2].shape[0] == 41
