"""What the comparison computes of its rows, and how it tells it."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import cli
from benchmarks.comparing import compare, pairing, tables
from benchmarks.floors import paired_interval

# ---------------------------------------------------------------- differences


def test_the_difference_of_a_pair_is_that_of_the_floors(rng):
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 90)]
    ours, theirs = targets + rng.normal(0, 0.7, (90, 3)), targets + rng.normal(0, 1.2, (90, 3))
    groups = np.repeat(np.arange(45), 2).astype(str)
    found = pairing.auc_difference(targets, ours, theirs, groups)
    interval = paired_interval(targets, ours, theirs, groups)
    assert found["value"] == interval["value"]
    assert found["error"] == pytest.approx((interval["high"] - interval["low"]) / 3.92, rel=0.1)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_losses_are_scikit_learns(rng, task):
    from sklearn.metrics import log_loss

    logits = rng.normal(size=(50, 3))
    if task == "multiclass":
        targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 50)]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert pairing.losses(targets, p).mean() == pytest.approx(log_loss(targets.argmax(1), p))
        return
    targets, p = (rng.random((50, 3)) < 0.4).astype(np.float32), 1 / (1 + np.exp(-logits))
    expected = np.mean([log_loss(t, q, labels=[0, 1]) for t, q in zip(targets.T, p.T, strict=True)])
    assert pairing.losses(targets, p).mean() == pytest.approx(expected)
    hidden = targets.copy()
    hidden[0, 1:] = np.nan
    assert pairing.losses(hidden, p)[0] == pytest.approx(-np.log(p[0, 0] if targets[0, 0] else 1 - p[0, 0]))


def test_the_error_of_a_loss_is_that_of_a_mean(rng):
    targets = np.eye(2, dtype=np.float32)[rng.integers(0, 2, 400)]
    ours, theirs = (1 / (1 + np.exp(-rng.normal(size=(400, 1)))) for _ in range(2))
    ours, theirs = (np.hstack([1 - p, p]) for p in (ours, theirs))
    found = pairing.loss_difference(targets, ours, theirs, None)
    each = pairing.losses(targets, ours) - pairing.losses(targets, theirs)
    assert found["value"] == pytest.approx(each.mean())
    assert found["error"] == pytest.approx(each.std() / 20, rel=0.1)


def test_pooled_intervals_have_the_variances_of_both_levels():
    values, errors = np.array([0.01, 0.03, -0.02, 0.05, 0.0, 0.02]), np.array([0.01, 0.02, 0.03, 0.01, 0.02, 0.02])
    found = pairing.pooled([{"value": v, "error": e} for v, e in zip(values, errors, strict=True)])
    assert (found["value"], found["pairs"]) == (pytest.approx(0.015), 6)
    both = np.sqrt((values.var() + np.mean(errors**2)) / 6)
    assert (found["high"] - found["low"]) / 3.92 == pytest.approx(both, rel=0.05)
    assert (found["pairs_high"] - found["pairs_low"]) / 3.92 == pytest.approx(values.std() / np.sqrt(6), rel=0.05)
    alone = pairing.pooled([{"value": 0.1, "error": 0.02}])
    assert [alone["low"], alone["high"]] == pytest.approx([0.1 - 0.0392, 0.1 + 0.0392], abs=2e-3)
    assert alone["pairs_low"] == alone["pairs_high"] == 0.1


# ---------------------------------------------------------------- the table


def record(rival="features", name="ct", seed=0, auc=0.9, difference=None, minutes=5, size=128, error=0.01):
    machine = {
        "platform": "Linux-x",
        "cpus": 2,
        "python": "3.11",
        "medplug": "0.1",
        "commit": "abc",
        "date": "2026-01-01",
    }
    head = {"family": "compare", "benchmark": f"compare-{rival}-{name}-{minutes}", "seed": seed, "rival": rival}
    figures = {"test_auc": auc, "validation_auc": 0.8, "epochs": 9, "training_minutes": 4.9, "seconds": 320.0}
    more = {} if difference is None else {"difference": {"value": difference, "error": error}}
    return {
        **head,
        **figures,
        **more,
        "set": name,
        "minutes": minutes,
        "size": size,
        "others": 0.02,
        "machine": machine,
    }


def rows_of(text, first):
    lines = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_pooled_row_says_how_many_pairs_and_where_the_interval_lies(nothing):
    found = [record(seed=s, difference=d) for s, d in enumerate((0.05, 0.06, 0.04))]
    worse = [record("torch", seed=s, difference=d) for s, d in enumerate((0.05, -0.06, 0.01))]
    text = tables.comparison([*found, *worse, record("standard", auc=0.95)], nothing)
    [features], [torch] = rows_of(text, "features"), rows_of(text, "torch")
    assert features[2:4] == ["3", "+0.0500"]
    assert features[-1] == "above 0"
    assert torch[-1] == "**not above 0**"


def test_a_rival_that_is_hard_to_beat_has_its_own_condition(nothing):
    found = [record(auc=0.96, difference=-0.01, name="ct"), record(auc=0.975, difference=-0.004, name="mri")]
    text = tables.comparison([*found, record(auc=0.98, difference=-0.006, name="xray")], nothing)
    last = {row[0]: row[-1] for name in ("ct", "mri", "xray") for row in rows_of(text, name)[:1]}
    assert last["ct"] == "-0.010"
    assert last["mri"] == "-0.004 (rival >= 0.97: not lower by more than 0.005)"
    assert last["xray"] == "-0.006 (rival >= 0.97: **lower** by more than 0.005)"


@pytest.mark.parametrize(("value", "word"), [(0.0201, "reached"), (0.0199, "**missed**")])
def test_the_long_rows_have_a_gap(nothing, value, word):
    long = [record(name="ultrasound", seed=s, difference=value, minutes=20, size=192) for s in range(3)]
    text = tables.comparison([*long, record(difference=0.5)], nothing)
    assert f"over 3 seeds: {value:+.4f} (asked for: +0.02; {word})" in text
    assert text.count("Mean gap") == 1


def test_rows_of_a_trial_are_told_apart_and_old_differences_are_told(nothing):
    old = record(difference=0.1)
    old["difference"]["standard"] = {"test_auc": 0.7, "commit": "old"}
    text = tables.comparison([old, record("standard", auc=0.9), record(minutes=0.5, size=64)], nothing)
    assert "### 0.5 minutes, 64 px (a trial)" in text
    assert "the difference is to an earlier run of `standard` (commit old)" in text
    assert "python -m benchmarks compare" in tables.comparison([], nothing)


def test_rows_with_neighbours_stand_out(nothing):
    text = tables.comparison([record(), {**record(name="mri"), "others": 0.061}], nothing)
    assert [rows_of(text, name)[-1][-4] for name in ("ct", "mri")] == ["2", "**6**"]


def test_the_command_line_makes_slices(monkeypatch, tmp_path):
    ran = []
    family = SimpleNamespace(names=compare.names, run=lambda name, options: ran.append(options))
    monkeypatch.setattr(cli, "FAMILIES", {"compare": family})
    words = ["--minutes", "0.5", "--size", "64", "--sets", "ct,mri", "--seeds", "0", "--rivals", "torch", "--again"]
    assert cli.main(["compare", "--out", str(tmp_path), *words]) == 0
    [options] = ran
    assert (options.budget, options.size, options.sets, options.seeds) == (0.5, 64, ("ct", "mri"), (0,))
    assert (options.rivals, options.again) == (("torch",), True)
