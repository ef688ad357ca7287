"""What data cost: what is asked of the workers, and what becomes of their answers."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks import cli
from benchmarks.data import costs
from benchmarks.family import MissingDataError
from benchmarks.records import read_records

PART = {"wall": 1.5, "cpu": 0.5}
ANSWERS = {
    "start_worker": {"parts": {"index": PART, "store": PART}, "all": {"wall": 1.5, "cpu": 1.0}},
    "train_worker": {"peak_mib": 3072.0, "seconds": 40.0, "waiting": 0.2},
    "check_worker": {"files": 400, "reading": 2.0, "reading_cpu": 3.5, "pairs": 3.1, "checks": 6.0},
    "worker": {"images_per_second": [100.0, 500.0]},
}


@pytest.fixture
def workers(monkeypatch):
    calls = []

    def process(words, **options):
        name = words[2].rpartition(".")[2]
        calls.append(SimpleNamespace(name=name, words=words[3:], environment=options["env"]))
        answer = ANSWERS[name]
        if words[3:4] == ["repeated"]:
            answer = {**answer, "peak_mib": 2048.0}
        return subprocess.CompletedProcess(words, 0, f"a line of a library\n{json.dumps(answer)}\n", "")

    monkeypatch.setattr(costs, "subprocess", SimpleNamespace(run=process))
    monkeypatch.setattr(costs, "make_images", lambda folder, *_: folder)
    monkeypatch.setattr(costs, "make_small_images", lambda folder, *_: folder)
    return calls


@pytest.mark.parametrize("name", costs.WORDS)
def test_each_leaves_a_record_and_rows_with_a_target(workers, options, name, capsys):
    assert name in cli.FAMILIES["costs"].names()["data"]
    assert costs.WORDS[name] in costs.describe(name, options)
    costs.run(name, options)
    text = costs.section(read_records(options.out), options)
    assert "not run" in text
    assert costs.WORDS[name] not in [line.split("|")[1].strip() for line in text.splitlines() if "not run" in line]
    assert "(target <" in capsys.readouterr().out


def test_the_figures(workers, options):
    for name in costs.WORDS:
        costs.run(name, options)
    text = costs.section(read_records(options.out), options)
    for cells in (
        "first batch on the device | 1.50 s (1.50 to 1.50) | < 2 s |",
        "index 0.50, store 0.50",
        "share of the step | 0.50% | < 2% |",
        "one repeated batch | 1.00 GiB | < 2 GiB |",
        "cached | 1.00 (500 and 500 images/s) | < 1.15 |",
        "2.2 min (5.0 ms a file, from 400 files; then 6.0 s) | < 6 min on 2 cores |",
        "thumbnails | 3.1 s | < 10 s |",
    ):
        assert cells in text


def test_the_start_is_measured_on_an_empty_cache_and_then_on_the_filled_one(workers, options):
    costs.run("start", options)
    assert [call.name for call in workers] == ["start_worker"] * (1 + costs.ROUNDS)
    [cache] = {call.environment["MEDPLUG_CACHE"] for call in workers}
    assert cache.startswith(str(options.out))


def test_no_store_is_begun_that_the_disk_cannot_hold(workers, options, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(MissingDataError, match="5 GiB of free disk"):
        costs.run("training", options)
    assert workers == []
