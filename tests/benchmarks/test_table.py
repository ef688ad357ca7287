"""Results on invented records."""

import json
import sys

import pytest

from benchmarks import cli, startup, table
from benchmarks.experiments import experiments, published
from benchmarks.family import BenchmarkError, Options
from benchmarks.records import keep, merge, read_records, write_record

MACHINE = {
    "platform": "Linux-x", "cpus": 2, "python": "3.11", "medplug": "0.1", "commit": "abc1234", "date": "2026-01-01",
}  # fmt: skip


def record(name="small_ultrasound", seed=0, auc=0.9, **changes):
    floor = {"model": "m", "roc_auc": 0.8, "difference": {"value": auc - 0.8, "low": auc - 0.85, "high": auc - 0.75}}
    other = {"model": "m", "roc_auc": 0.85, "difference": {"value": auc - 0.85, "low": auc - 0.92, "high": auc - 0.8}}
    return {
        "family": "experiments", "benchmark": name, "seed": seed,
        "settings": {"recipe": None, "architecture": "a", "size": 192, "budget": 20, "seed": seed, "settings": {}},
        "macro": {
            "roc_auc": {"value": auc, "low": auc - 0.05, "high": auc + 0.04}, "f1": {"value": 0.7},
            "balanced_accuracy": {"reason": "undefined"},
        },
        "floors": {"thumbnails": floor, "features": other}, "epochs": 12, "training_minutes": 19.5, "device": "1 x cpu",
        "notes": [], "machine": MACHINE, **changes,
    }  # fmt: skip


def rows_of(text, name):
    """The rows of one benchmark, by their table."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def nowhere(tmp_path):
    return Options(None, tmp_path)


def test_one_run_has_its_interval(nowhere):
    row, run = rows_of(table.experiments_section([record()], nowhere), "small_ultrasound")
    assert row == [
        "small_ultrasound", "780", "3", "192", "20", "0", "0.900", "0.700", "–",
        "0.800", "+0.100 [+0.050, +0.150]", "0.850", "+0.050 [-0.020, +0.100]",
    ]  # fmt: skip
    assert run == [
        "small_ultrasound", "0", "12", "19.5", "0.900 [0.850, 0.940]",
        "0.800", "+0.100 [+0.050, +0.150]", "0.850", "+0.050 [-0.020, +0.100]",
    ]  # fmt: skip


def test_seeds_are_averaged(nowhere):
    text = table.experiments_section([record(seed=s, auc=a) for s, a in enumerate((0.90, 0.92, 0.94))], nowhere)
    row, *runs = rows_of(text, "small_ultrasound")
    assert row[5:7] == ["0, 1, 2", "0.920 ± 0.020"]
    assert row[10] == "+0.120 (interval above 0 in 3 of 3)"
    assert row[12] == "+0.070 (interval above 0 in 1 of 3)"  # lows: -0.02, 0.00, 0.02
    assert len(runs) == 3


def test_other_settings_are_not_averaged(nowhere):
    short = record(seed=1)
    short["settings"] = {**short["settings"], "budget": 5}
    text = table.experiments_section([record(), short], nowhere)
    assert [row[4] for row in rows_of(text, "small_ultrasound")[:2]] == ["20", "5"]


def test_every_experiment_has_a_row_and_says_where_its_data_are(nowhere, tmp_path):
    text = table.experiments_section([], nowhere)
    for name, experiment in experiments().items():
        [row] = rows_of(text, name)
        assert f"data not here: {experiment.source.page}" in row
    assert "Each run" not in text
    (tmp_path / "mri").mkdir()
    [row] = rows_of(table.experiments_section([], Options(tmp_path, tmp_path)), "small_mri")
    assert "not run" in row


def test_tables_are_rectangular(nowhere):
    text = table.experiments_section([record(), record("xray_pneumonia", 341, floors={})], nowhere)
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_published_numbers_stand_beside_medplugs(nowhere):
    text = table.experiments_section([record("xray_pneumonia", 341, auc=0.99, floors={})], nowhere)
    [row, _] = rows_of(text, "xray_pneumonia")
    numbers = published("xray_pneumonia")
    assert row[3:11] == [
        "341", f"{numbers['macro', 'roc_auc']:.3f}", "0.990", f"{numbers['macro', 'f1']:.3f}", "0.700",
        f"{numbers['all', 'balanced_accuracy']:.3f}", "–", "",
    ]  # fmt: skip
    [retina] = rows_of(text, "retina_rfmid")
    assert retina[4:10] == ["0.818", "–", "0.134", "–", "–", "–"]


def test_notes_and_machines_are_told(nowhere):
    text = table.experiments_section([record(notes=["778 usable images of 780 expected"])], nowhere)
    assert "- small_ultrasound, seed 0: 778 usable images of 780 expected" in text
    machines = table.machines_section([record(), record(seed=1), record("small_ct")])
    assert machines.count("Linux-x, 2 CPUs, 1 x cpu, Python 3.11, medplug 0.1 at commit abc1234, 2026-01-01") == 1
    assert "small_ultrasound (seed 0), small_ultrasound (seed 1), small_ct (seed 0)" in machines


# ---------------------------------------------------------------- records


def test_records_are_kept_and_replaced(tmp_path):
    path = tmp_path / "RESULTS.json"
    keep(path, [record(seed=1), record(seed=0)])
    kept = keep(path, [record(seed=1, auc=0.95), record("small_ct")])
    found = [(r["benchmark"], r["seed"], r["macro"]["roc_auc"]["value"]) for r in kept]
    assert found == [("small_ct", 0, 0.9), ("small_ultrasound", 0, 0.9), ("small_ultrasound", 1, 0.95)]
    assert json.loads(path.read_text()) == kept
    assert keep(path, []) == kept
    assert merge(kept, kept) == kept
    path.write_text("{}")
    with pytest.raises(BenchmarkError, match="a list of records"):
        keep(path, [])


def test_written_records_are_found(tmp_path):
    write_record(tmp_path / "startup", "startup", "startup", None, {"target": 0.3})
    write_record(tmp_path / "toy" / "seed-3", "experiments", "toy", 3, {})
    found = read_records(tmp_path)
    assert [(r["benchmark"], r["seed"]) for r in found] == [("startup", None), ("toy", 3)]
    assert set(found[0]["machine"]) == set(MACHINE)


# ---------------------------------------------------------------- startup


def test_a_process_is_timed_to_its_end():
    wait = "import time; time.sleep(0.2)"
    assert startup.time_process([sys.executable, "-c", wait]) >= 0.2
    with pytest.raises(BenchmarkError, match="exit code 3"):
        startup.time_process([sys.executable, "-c", "raise SystemExit(3)"])


def test_startup_measures_both_commands_as_often(tmp_path, monkeypatch, capsys):
    times = iter([9.0, 9.0, 0.2, 1.0, 0.1, 3.0, 0.3, 2.0])  # the first round does not count
    monkeypatch.setattr(startup, "REPEATS", 3)
    monkeypatch.setattr(startup, "_script", lambda: "medplug")
    monkeypatch.setattr(startup, "time_process", lambda arguments: next(times))
    options = Options(None, tmp_path)
    startup.run("startup", options)
    [found] = read_records(tmp_path)
    assert found["commands"][startup.OURS] == {"median": 0.2, "fastest": 0.1, "repeats": 3}
    assert found["commands"][startup.PEER] == {"median": 2.0, "fastest": 1.0, "repeats": 3}
    text = startup.section([found], options)
    assert "| `medplug plugins list` | 0.200 | 0.100 | 3 | < 0.3 s |" in text
    assert "Not run" in startup.section([], options)


# ---------------------------------------------------------------- the command line


def test_names_and_groups_are_chosen_once():
    everything = [name for family in cli.FAMILIES.values() for group in family.names().values() for name in group]
    assert [name for _, name, _ in cli.chosen(["all", "small"])] == everything
    assert {name for _, name, _ in cli.chosen(["small"])} == {n for n in everything if n.startswith("small_")}
    assert [(name, named) for _, name, named in cli.chosen(["startup"])] == [("startup", True)]
    with pytest.raises(BenchmarkError, match="no benchmark 'smal'"):
        cli.chosen(["smal"])


def test_a_group_lists_what_is_not_here_and_a_name_fails(tmp_path, capsys):
    place = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(["run", "small", *place]) == 0
    assert capsys.readouterr().out.count("data not here") == 7
    assert cli.main(["run", "small_ct", *place]) == 2
    assert cli.main(["run", "nothing", *place]) == 1


def test_list_shows_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MEDPLUG_DATA", str(tmp_path))
    (tmp_path / "mri").mkdir()
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}: " in out for name in (*experiments(), "startup"))
    assert out.count("data here") == 1


def test_table_writes_what_it_prints_and_keeps_records(tmp_path, capsys):
    results = tmp_path / "RESULTS.md"
    keep(tmp_path / "RESULTS.json", [record()])
    write_record(tmp_path / "out" / "startup", "startup", "startup", None, {"target": 0.3, "commands": {}})
    arguments = ["table", "--results", str(results), "--out", str(tmp_path / "out"), "--data", str(tmp_path)]
    assert cli.main(arguments) == 0
    text = capsys.readouterr().out
    assert results.read_text() == text.rstrip("\n") + "\n"
    assert rows_of(text, "small_ultrasound")[0][6] == "0.900"
    assert {r["benchmark"] for r in json.loads((tmp_path / "RESULTS.json").read_text())} == {
        "small_ultrasound",
        "startup",
    }
    assert cli.main([*arguments[:4], str(tmp_path / "nothing"), *arguments[5:]]) == 0  # a fresh clone draws the same
    assert capsys.readouterr().out == text
