"""The speed of maps: what is asked of whom, what becomes of the answers, and the section of the table."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import cli, environments
from benchmarks.explaining import speed, worker
from benchmarks.explaining.workloads import COMPARISONS, MEMORY, MEMORY_IMAGES
from benchmarks.family import BenchmarkError
from benchmarks.records import environment, read_records


@pytest.fixture
def workers(monkeypatch):
    """Answers instead of processes: medplug takes 1 s an image, the peers 3 s by default and 0.8 s at their best."""
    calls = []

    def process(words, **options):
        workload = json.loads(words[-1])
        calls.append(SimpleNamespace(words=words, workload=workload, environment=options["env"]))
        if workload.get("memory"):
            answer = {"rest_mib": 400.0, "peak_mib": 500.0 + 10 * workload["images"]}
        elif workload["method"] == "rates":
            seconds = {"inference": [1.0, 1.1], "one": [1.25, 1.2], "all": [1.3, 1.5], "gradient": [2.0, 2.5]}
            answer = {"first": {}, "seconds": seconds}
        else:
            each = {"medplug": 1.0, "defaults": 3.0, "best": 0.8}[workload["setting"]]
            taken = each * workload["images"]
            answer = {"first": {"explain": 20.0}, "chunk": 8, "seconds": {"explain": [taken, 1.5 * taken]}}
        return subprocess.CompletedProcess(words, 0, "a line of a library\n" + json.dumps(answer) + "\n", "")

    monkeypatch.setattr(speed, "subprocess", SimpleNamespace(run=process))
    monkeypatch.setattr(speed, "python_of", lambda requirements, home: home / requirements.stem / "python")
    return calls


@pytest.fixture
def record(workers, options):
    speed.run("explain", options)
    [found] = read_records(options.out)
    return found


def rows_of(text):
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def test_settings_take_turns(workers, record, options):
    for comparison in COMPARISONS:
        asked = [
            c.workload["setting"]
            for c in workers
            if c.workload["method"] == comparison.method and "setting" in c.workload
        ]
        assert asked == ["medplug", "defaults", "best"] * speed.ROUNDS
    for call in workers:
        ours = call.workload.get("setting", "medplug") == "medplug"
        assert call.words[0] == (sys.executable if ours else str(options.out / "peers" / "torch_explaining" / "python"))
        cache = str(options.out / "explain" / "xla")
        assert (call.environment.get("JAX_COMPILATION_CACHE_DIR") == cache) == ours


def test_a_method_is_given_the_same_to_all(workers, record):
    for comparison in COMPARISONS:
        given = [
            {key: value for key, value in call.workload.items() if key not in ("setting", "chunk")}
            for call in workers
            if call.workload["method"] == comparison.method and "setting" in call.workload
        ]
        assert all(one == given[0] for one in given)
        assert given[0].items() >= {"images": comparison.images, **comparison.parameters}.items()


def test_the_best_chunk_is_looked_for_once(workers, record):
    for row in record["comparisons"]:
        best = [c.workload for c in workers if c.workload.get("setting") == "best"]
        asked = [workload["chunk"] for workload in best if workload["method"] == row["method"]]
        assert asked == [None, *[8] * (speed.ROUNDS - 1)]
        assert row["chunk"] == 8


def test_the_record_is_in_seconds_an_image(record):
    assert record["family"] == record["benchmark"] == "explain"
    assert record["machine"] == environment()
    for row in record["comparisons"]:
        assert row["first_call"] == 20
        assert row["seconds_per_image"]["medplug"] == [1.0, 1.5] * speed.ROUNDS
        assert row["seconds_per_image"]["best"] == pytest.approx([0.8, 1.2] * speed.ROUNDS)
    assert record["own"]["images_per_second"]["inference"] == 32
    found = [(m["method"], m["images"], m["peak_mib"]) for m in record["own"]["memory"]]
    assert found == [(method, n, 500 + 10 * n) for method in MEMORY for n in MEMORY_IMAGES]


def test_the_section_judges_each_figure(record, options):
    rows = rows_of(speed.section([record], options))
    by_title = {row[0]: row[1:] for row in rows}
    for comparison in COMPARISONS:
        assert by_title[comparison.title] == [
            "1.000", "20", comparison.peer, "3.000", "3.00", f">= {comparison.defaults:g}", "0.800 (8)", "**0.80** (missed)", ">= 0.9",
        ]  # fmt: skip
    assert by_title["speed of Grad-CAM over plain inference (32.0 images/s)"] == ["0.83", ">= 0.8"]
    assert by_title["speed of Grad-CAM with its gradient over plain inference (32.0 images/s)"] == ["0.50", "–"]
    assert by_title["cost of 29 labels over that of one"] == ["1.08", "< 1.3"]
    memory = "most memory of occlusion with 32 images (820 MiB) over 8 (580 MiB)"
    assert by_title[memory] == ["**1.41** (missed)", "< 1.3"]


@pytest.mark.parametrize(
    ("ratio", "bounds", "cells"),
    [
        (2.0, {"at_least": 2.0}, ["2.00", ">= 2"]),
        (1.996, {"at_least": 2.0}, ["**2.00** (missed)", ">= 2"]),
        (1.3, {"below": 1.3}, ["**1.30** (missed)", "< 1.3"]),
        (1.296, {"below": 1.3}, ["1.30", "< 1.3"]),
    ],
)
def test_targets_are_judged_before_rounding(ratio, bounds, cells):
    assert speed._judged(ratio, **bounds) == cells


def test_without_a_record_the_section_says_how_to_get_one(options):
    assert "python -m benchmarks explain" in speed.section([], options)


def test_a_worker_that_fails_is_quoted(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no module named captum")
    monkeypatch.setattr(speed, "subprocess", SimpleNamespace(run=lambda *a, **k: failed))
    with pytest.raises(BenchmarkError, match=r"occlusion by torch_worker failed: no module named captum"):
        speed._worker(["python", "x/torch_worker.py"], {"method": "occlusion"}, {})


def test_the_short_word_runs_it(monkeypatch, tmp_path):
    ran = []
    family = SimpleNamespace(names=speed.names, run=lambda name, options: ran.append(name))
    monkeypatch.setattr(cli, "FAMILIES", {"explain": family})
    assert cli.main(["explain", "--out", str(tmp_path)]) == 0
    assert cli.main(["run", "explain", "--out", str(tmp_path)]) == 0
    assert ran == ["explain", "explain"]


def test_an_environment_is_made_once_and_again_for_other_packages(monkeypatch, tmp_path):
    requirements, made = tmp_path / "peer.txt", []
    requirements.write_text("one==1\n")
    ok = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(environments, "subprocess", SimpleNamespace(run=lambda words, **k: made.append(words) or ok))
    monkeypatch.setattr(environments.venv, "create", lambda folder, **k: folder.mkdir(parents=True, exist_ok=True))
    for _ in range(2):
        assert environments.python_of(requirements, tmp_path / "home") == tmp_path / "home" / "peer" / "bin" / "python"
    assert len(made) == 1
    assert made[0][-1] == requirements
    requirements.write_text("one==2\n")
    environments.python_of(requirements, tmp_path / "home")
    assert len(made) == 2


def test_an_environment_that_cannot_be_made_is_no_environment(monkeypatch, tmp_path):
    requirements = tmp_path / "peer.txt"
    requirements.write_text("one==1\n")
    failed = subprocess.CompletedProcess([], 1, "", "no such version")
    monkeypatch.setattr(environments, "subprocess", SimpleNamespace(run=lambda *a, **k: failed))
    monkeypatch.setattr(environments.venv, "create", lambda folder, **k: folder.mkdir(parents=True, exist_ok=True))
    for _ in range(2):
        with pytest.raises(BenchmarkError, match="no such version"):
            environments.python_of(requirements, tmp_path)


# ---------------------------------------------------------------- medplug's worker


def test_the_first_call_is_told_apart():
    durations = iter([0.05, 0.05, 0.0, 0.0])
    found = worker.timed({"a": lambda: time.sleep(next(durations)), "b": lambda: None}, 3)
    assert set(found["first"]) == set(found["seconds"]) == {"a", "b"}
    assert found["first"]["a"] >= 0.05
    assert [s >= 0.05 for s in found["seconds"]["a"]] == [True, False, False]


def test_functions_take_turns():
    order = []
    worker.timed({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert "".join(order) == "ababab"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_that_of_the_second_call():
    sizes = iter([512, 128])

    def take():
        held = np.ones(next(sizes) << 17)  # MiB of float64
        time.sleep(0.1)
        return held.sum()

    found = worker.memory(take)
    assert found["peak_mib"] - found["rest_mib"] == pytest.approx(128, abs=32)


def test_the_worker_explains_with_the_registered_methods(monkeypatch):
    """The parameters of the workloads are those of the explainers."""
    pytest.importorskip("medplug_standard")
    from medplug.plugins.registry import registry

    for comparison in COMPARISONS:
        made = registry().make("explainer", comparison.method, **comparison.parameters)
        assert all(getattr(made, name) == value for name, value in comparison.parameters.items())


@pytest.mark.slow
def test_the_worker_makes_maps(capsys):
    pytest.importorskip("medplug_standard")
    pytest.importorskip("medplug_densenet")
    given = {"images": 2, "edge": 32, "labels": 3, "label": 1, "calls": 1}
    worker.main({**given, "method": "rates"})
    found = json.loads(capsys.readouterr().out)
    assert all(len(found["seconds"][kind]) == 1 for kind in ("inference", "one", "all", "gradient"))
    worker.main({**given, "method": "occlusion", "patch": 16, "stride": 16, "memory": True})
    found = json.loads(capsys.readouterr().out)
    assert found["peak_mib"] > 100
