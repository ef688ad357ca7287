"""Columns that give the label away, and those that are merely medicine."""

import numpy as np
import pytest
from checks_helpers import found, index_of, look, one
from scipy.stats import hypergeom

from medplug.data.checks import labels as checks
from medplug.data.checks.telling import column_of
from medplug.values import Index


def shuffled(count, classes=2, seed=0):
    return np.random.default_rng(seed).permutation(np.arange(count) % classes)


def with_columns(labels, classes=("a", "b"), groups=None, site="", **columns):
    return index_of(
        labels, classes, metadata={k: np.asarray(v) for k, v in columns.items()}, groups=groups or {}, site=site
    )


def test_a_value_that_only_one_class_has_leaks():
    """As dx_type of HAM10000: follow_up is only said of naevi, the other values of all classes."""
    labels = shuffled(300, 3)
    generator = np.random.default_rng(1)
    kind = np.where(
        (labels == 0) & (generator.random(300) < 0.6), "follow_up", generator.choice(["histo", "consensus"], 300)
    )
    _, _, report = look(with_columns(labels, ("nv", "mel", "bcc"), dx_kind=kind))
    finding = one(report, "leaks")
    assert finding.level == "warning"
    assert f"'follow_up' is always nv, {(kind == 'follow_up').sum()} images" in finding.text
    assert finding.details["dx_kind"]["leaks"]
    assert "must never be an input" in finding.text


def test_a_column_that_tells_something_is_noted():
    labels = shuffled(300)
    age = 40 + 12 * labels + np.random.default_rng(1).normal(0, 12, 300)
    _, _, report = look(with_columns(labels, age=np.round(age)))
    assert not found(report, "leaks")
    finding = one(report, "metadata")
    assert finding.level == "note"
    assert "'age' (AUC 0.6" in finding.text
    assert not finding.details["age"]["leaks"]


@pytest.mark.parametrize("name", ["original_format", "Image Width", "dx_type", "labelled_by", "encoding"])
def test_the_same_is_a_leak_in_a_column_that_describes_the_file(name):
    labels = shuffled(300)
    value = np.where((labels == 1) ^ (np.random.default_rng(1).random(300) < 0.3), "x", "y")
    assert one(look(with_columns(labels, **{name: value}))[2], "leaks").level == "warning"
    assert not found(look(with_columns(labels, smoker=value))[2], "leaks")


def test_file_names_leak_by_their_endings():
    """As in COVID-CT: each name occurs once, but all .jpg are of one class."""
    labels = shuffled(200)
    generator = np.random.default_rng(2)
    names = [f"{'jpg' if k and generator.random() < 0.5 else 'png'}" for k in labels]
    names = [f"scan{generator.integers(10**6)}-{i}.{ending}" for i, ending in enumerate(names)]
    finding = one(look(with_columns(labels, original=names))[2], "leaks")
    assert "'.jpg' is always b" in finding.text
    assert "by its ending" in finding.text
    assert finding.details["original"]["form"] == "ending"


def test_gaps_that_go_with_the_class_leak():
    """As the aetiology of pneumonia, which healthy children have none of."""
    labels = shuffled(200)
    cause = np.where(labels == 1, np.random.default_rng(0).choice(["virus", "bacteria"], 200), "")
    finding = one(look(with_columns(labels, ("well", "ill"), cause=cause))[2], "leaks")
    assert finding.details["cause"]["auc"] > 0.99


def test_keywords_leak_where_an_image_has_several_labels():
    generator = np.random.default_rng(0)
    targets = (generator.random((300, 3)) < 0.4).astype(np.float32)
    names = tuple(map(str, range(300)))
    words = np.array(["normal" if not t[0] else "cyst" if generator.random() < 0.8 else "other" for t in targets])
    index = Index(names, names, targets, ("cyst", "mass", "shadow"), "multilabel", metadata={"words": words})
    assert "'cyst' is always cyst" in one(look(index)[2], "leaks").text


def test_one_patients_values_are_no_leak():
    """One patient of 24 has a value of its own: for 30 images that would be no chance, for one patient it is."""
    patient = np.repeat(np.arange(24), 30)
    ward = np.where(patient == 8, "north", "west")
    groups = {"patient": np.array([f"p{p}" for p in patient])}
    known = one(look(with_columns(patient % 2, groups=groups, ward=ward))[2], "leaks")
    assert known.level == "ok"
    assert known.details["ward"]["pure"] is None
    ward = np.where(patient % 12 == 8, "north", "west")  # two patients: 60 of 720 images
    unknown = one(look(with_columns(patient % 2, ward=ward))[2], "leaks")
    assert unknown.details["ward"]["pure"] == {"value": "north", "class": "a", "images": 60}


def test_the_site_is_looked_at_too():
    labels = shuffled(200)
    site = np.where((labels == 1) ^ (np.random.default_rng(1).random(200) < 0.1), "here", "there")
    groups = {"hospital": site}
    finding = one(look(with_columns(labels, groups=groups, site="hospital"))[2], "leaks")
    assert "'hospital' (AUC 0.9" in finding.text


def test_columns_without_a_word_are_fine():
    generator = np.random.default_rng(0)
    alarms = 0
    for seed in range(20):
        columns = {
            "eye": generator.choice(["left", "right"], 100), "age": generator.integers(20, 90, 100),
            "device": generator.choice(["A", "B", "C", ""], 100), "file": [f"{x:08x}.png" for x in generator.integers(0, 2**31, 100)],
        }  # fmt: skip
        report = look(with_columns(shuffled(100, 2, seed), **columns), near="ignore")[2]
        alarms += any(f.level != "ok" for f in report.findings if f.check in ("leaks", "metadata"))
    assert alarms <= 1


def test_data_without_columns_have_no_finding():
    report = look(index_of(shuffled(40)))[2]
    assert not found(report, "leaks")
    assert not found(report, "metadata")
    constant = look(with_columns(shuffled(40), country=["X"] * 40))[2]
    assert not found(constant, "leaks")


def test_a_column_of_gaps_and_numbers_is_read():
    labels = shuffled(100)
    age = np.where(labels == 1, np.nan, 40.0 + np.arange(100))
    assert one(look(with_columns(labels, age=age))[2], "leaks").details["age"]["auc"] > 0.99


def test_the_chance_of_a_pure_value_is_hypergeometric():
    """All 7 of 60 samples in the 30 of a class: chance by SciPy, times 2 values and 2 classes."""
    expected = hypergeom(60, 30, 7).pmf(7)
    assert np.exp(checks._log_choose(30, 7) - checks._log_choose(60, 7)) == pytest.approx(expected)
    labels = np.repeat([0, 1], 30)
    for n, pure in ((7, expected * 4 < 0.01), (10, hypergeom(60, 30, 10).pmf(10) * 4 < 0.01)):
        value = np.array(["rest"] * 60)
        value[:n] = "rare"
        index = index_of(labels)
        found_ = checks._purest(column_of("x", value.tolist()), index, np.arange(60))
        assert (found_ is not None) == pure
    assert not hypergeom(60, 30, 7).pmf(7) * 4 < 0.01  # one side of the limit
    assert hypergeom(60, 30, 10).pmf(10) * 4 < 0.01  # and the other
