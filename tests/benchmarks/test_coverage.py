"""The simulated designs are what they say, and the table tells what was found."""

import dataclasses

import numpy as np
import pytest

from benchmarks import cli, coverage, scoring
from benchmarks.family import Options
from benchmarks.records import read_records
from medplug.testing.fakes import SimpleAuc

CLUSTERED = [(10, 0.5), (10, 0.8), (2, 0.5)]


@pytest.fixture
def taken(monkeypatch):
    """The predictions that a simulation makes, in the place of their intervals."""
    seen = []

    def take(predictions, *arguments, **options):
        seen.append(predictions)
        return True

    monkeypatch.setattr(coverage, "_holds", take)
    return seen


class Inline:
    """Stands for the pool of processes: works at once, so that what a test replaced counts."""

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        return None

    map = staticmethod(map)


def logit(predictions):
    p = predictions.probabilities[:, 1]
    return np.log(p / (1 - p))


@pytest.mark.parametrize("area", [0.85, 0.95])
def test_scores_have_the_area_that_they_are_said_to_have(taken, area):
    coverage._area(area, 20_000, 30_000, np.random.default_rng(0))
    [found] = taken
    scores, truth = logit(found), found.targets[:, 1] == 1
    assert (truth.sum(), (~truth).sum()) == (20_000, 30_000)
    ranks = np.empty(50_000)
    ranks[scores.argsort()] = np.arange(50_000)
    seen = (ranks[truth].sum() - 20_000 * 19_999 / 2) / (20_000 * 30_000)
    assert seen == pytest.approx(area, abs=0.006)
    assert found.groups is None


@pytest.mark.parametrize(("size", "icc"), CLUSTERED)
def test_patients_share_what_they_are_said_to_share(taken, monkeypatch, size, icc):
    monkeypatch.setattr(coverage, "PATIENTS", 20_000)
    coverage._clustered(size, icc, np.random.default_rng(0))
    [found] = taken
    truth = found.targets[:, 1]
    scores = logit(found) - truth * (logit(found)[truth == 1].mean() - logit(found)[truth == 0].mean())
    by_patient = scores.reshape(-1, size)
    assert len(np.unique(found.groups)) == 20_000
    assert (found.groups.reshape(-1, size) == found.groups.reshape(-1, size)[:, :1]).all()
    between = np.mean([np.cov(by_patient[:, i], by_patient[:, -1])[0, 1] for i in range(size - 1)])
    assert between / scores.var() == pytest.approx(icc, abs=0.02)
    assert scores.var() == pytest.approx(1, abs=0.03)


def test_groups_leave_single_samples_as_they_are():
    """The truth of the grouped rows is that of ungrouped samples: both have the same probabilities of each class."""
    rng = np.random.default_rng(0)
    plain, grouped = coverage._three_classes(rng, 60_000), coverage._three_classes(rng, 12_000, 5, 0.5)
    assert plain.groups is None
    assert len(np.unique(grouped.groups)) == 12_000
    for found in (plain, grouped):
        assert found.targets.mean(0) == pytest.approx([0.25, 0.25, 0.5], abs=0.015)
    for c in range(3):
        one, other = (found.probabilities[found.targets[:, c] == 1].mean(0) for found in (plain, grouped))
        assert one == pytest.approx(other, abs=0.015)


@pytest.mark.parametrize("limit", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("size", [1, 5])
def test_net_benefit_is_that_of_many_samples(monkeypatch, limit, size):
    """The curve of the simulated model, whose probabilities are right, lies where the formula says."""
    seen = []
    monkeypatch.setattr(coverage, "PATIENTS", 60_000)
    monkeypatch.setattr(
        coverage,
        "decision_curve",
        lambda truth, p, *_: seen.append((truth, p)) or {"threshold": [limit], "low": [0], "high": [1]},
    )
    for _ in range(1 if size == 5 else 1000):
        coverage._net_benefit(limit, size, np.random.default_rng(len(seen)))
    truth, p = (np.concatenate(column) for column in zip(*seen, strict=True))
    called = p >= limit
    benefit = (truth & called).mean() - (~truth & called).mean() * limit / (1 - limit)
    assert benefit == pytest.approx(coverage.true_net_benefit(limit), abs=0.006)
    near = np.abs(p - limit) < 0.03
    assert truth[near].mean() == pytest.approx(p[near].mean(), abs=0.02)


def test_the_second_run_is_weaker_and_errs_where_the_first_does():
    runs = coverage._two_runs(np.random.default_rng(0), 40_000, 1)
    labels = runs["one"].targets.argmax(1)
    assert np.array_equal(runs["other"].targets, runs["one"].targets)
    right = [run.probabilities.argmax(1) == labels for run in runs.values()]
    assert right[0].mean() > right[1].mean() + 0.03
    noise = [
        np.log(run.probabilities) - strength * run.targets
        for run, strength in zip(runs.values(), coverage.STRENGTHS, strict=True)
    ]
    one, other = (n[:, 0] - n[:, 1] for n in noise)  # what a row has in common falls out
    assert one.var() == pytest.approx(2, abs=0.05)
    assert other.var() == pytest.approx(2, abs=0.05)
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_a_gap_is_compared_with_that_of_the_subgroups_it_names(monkeypatch):
    gap = {"best": "part 2", "worst": "part 0", "low": 0.15, "high": 0.25}
    monkeypatch.setattr(coverage, "subgroup_scores", lambda *_: {"part": {"gap": {"roc_auc": gap}}})
    monkeypatch.setattr(coverage, "registry", lambda: type("Of", (), {"make": staticmethod(lambda *_: None)}))
    assert coverage._gap((0.7, 0.8, 0.9), np.random.default_rng(0))  # 0.9 - 0.7
    assert not coverage._gap((0.8, 0.8, 0.9), np.random.default_rng(0))
    assert not coverage._gap((0.9, 0.8, 0.7), np.random.default_rng(0))


def test_costs_are_those_of_many_samples(monkeypatch):
    monkeypatch.setattr(coverage, "PATIENTS", 20_000)
    found = {}
    monkeypatch.setattr(coverage, "_within", lambda figure, truth: found.setdefault(truth, figure["value"]))
    monkeypatch.setattr(coverage, "RESAMPLES", 2)
    for key in ("least_cost", "difference"):
        coverage._cost(key, 5, np.random.default_rng(1))
    for truth, value in found.items():
        assert value == pytest.approx(truth, abs=0.03)
    assert len(found) == 2


def test_the_rows_are_those_that_are_wanted():
    rows = {row.name: (row.low, row.high) for row in coverage.rows()}
    for area in ("0.85", "0.95"):
        for sides in ("10 positives, 50", "40 positives, 115"):
            assert rows[f"AUC {area}, {sides} negatives"] == (0.93, 0.97)
    for size, icc in CLUSTERED:
        assert rows[f"AUC 0.9, 60 patients with {size} images, ICC {icc}"] == (0.92, 1.0)
    for words in (
        "gap of the AUC",
        "difference of two macro F1",
        "net benefit at 0.3",
        "cost per sample",
        "difference in cost",
    ):
        assert any(name.startswith(words) for name in rows), words
    assert len(rows) == len(coverage.rows())
    assert coverage.SIMULATIONS >= 2000
    assert coverage.SIMULATIONS % coverage.CHUNK == 0


@pytest.mark.parametrize(
    ("figure", "held"),
    [
        ({"value": 0.5, "low": 0.4, "high": 0.6}, True),
        ({"value": 0.3, "low": 0.2, "high": 0.4}, False),
        ({"value": 0.5, "low": None, "high": None}, False),
        ({"value": None, "reason": "none"}, False),
    ],
)
def test_what_holds(monkeypatch, figure, held):
    monkeypatch.setattr(coverage, "registry", lambda: type("Of", (), {"make": staticmethod(lambda *_: None)}))
    monkeypatch.setattr(coverage, "score", lambda *_, **__: {"macro": {"m": figure}})
    predictions = coverage._three_classes(np.random.default_rng(0), 5)
    assert coverage._holds(predictions, "m", 0.5, macro=True) is held


def test_a_row_is_simulated_recorded_and_shown(monkeypatch, tmp_path, capsys):
    row = dataclasses.replace(coverage.rows()[1], low=0.5)
    monkeypatch.setattr(coverage, "rows", lambda: [row, dataclasses.replace(row, name="unlikely", low=1.1)])
    monkeypatch.setattr(coverage, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(coverage, "SIMULATIONS", 20)
    monkeypatch.setattr(coverage, "CHUNK", 10)
    monkeypatch.setattr(coverage, "RESAMPLES", 100)
    monkeypatch.setattr(coverage, "registry", lambda: type("Of", (), {"make": staticmethod(lambda *_: SimpleAuc())}))
    assert cli.main(["coverage", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("AUC 0.85, 40 positives, 115 negatives: ")
    assert "outside" not in printed[0]
    assert printed[1].endswith("outside the band")
    [record] = read_records(tmp_path)
    assert 0.5 <= record["rows"][0]["coverage"] <= 1
    table = coverage.section([record], Options(None, tmp_path))
    assert f"| {row.name} | {record['rows'][0]['coverage']:.3f} | 0.5 to 0.97 |" in table
    assert "20 simulations" in table


def test_sections_say_what_was_not_run(tmp_path):
    options = Options(None, tmp_path)
    assert "python -m benchmarks coverage" in coverage.section([], options)
    assert "python -m benchmarks run scoring" in scoring.section([], options)
    record = {"seconds": [9.5, 8.25], "metrics": ["a", "b"], "target": 20.0}
    assert "2 metrics of 10,000 samples and 8 classes with 2,000 resamples: 8.25 to 9.5 s" in scoring.section(
        [record], options
    )
