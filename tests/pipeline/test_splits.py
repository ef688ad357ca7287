"""Splits in a run: recorded with a hash, given back, guessed groups used, the level of independence repeated."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import medplug
from medplug.data.split import split_hash
from medplug.errors import UsageError
from medplug.runs import folder as names
from medplug.testing.fake_data import Memory


class Named(Memory):
    """The images of ``memory`` under names that tell the patient, from hospitals."""

    def index(self, source):
        index = super().index(source)
        n = len(index)
        site = np.array([("north", "south", "west")[i // 4 % 3] if source != "7" else "east" for i in range(n)])
        return replace(
            index, samples=tuple(f"patient{i // 4:02d}_{i % 4}.png" for i in range(n)), metadata={"hospital": site},
            site="hospital",
        )  # fmt: skip


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def read(path):
    return json.loads(path.read_text())


@pytest.fixture
def reader():
    from medplug.params import component

    return component(type("Named", (Named,), {"__doc__": Named.__doc__}))()


@pytest.fixture
def guessed(pipeline, reader, tmp_path):
    return pipeline(reader=reader).fit("memory", out=tmp_path / "guessed")


def test_guessed_groups_are_used_told_and_repeated_above_every_table(guessed):
    checks, metrics = read(guessed.folder / names.CHECKS), read(guessed.folder / names.METRICS)
    assert checks["guessed_groups"] == ["file name"]
    assert any("guessed 15 groups from 60 names" in f["text"] for f in checks["findings"])
    assert checks["shared_between_parts"] == {"file name": 0, "duplicate clusters": 0}
    assert metrics["test"]["independence"] == checks["independence"]
    assert checks["independence"]["level"] == "group (guessed)"
    assert metrics["test"]["unit"] == "groups"  # intervals go by groups that are guessed, too
    page = (guessed.folder / names.REPORT).read_text()
    assert page.count("Independence: group (guessed).") > 2
    parts = {}
    for row in rows(guessed.folder / names.SPLIT):
        parts.setdefault(row["group:file name"], set()).add(row["split"])
    assert len(parts) == 15
    assert all(len(of) == 1 for of in parts.values())


def test_a_run_opened_again_knows_its_guess_and_its_sites(guessed, fakes):
    before = read(guessed.folder / names.METRICS)["test"]
    again = guessed.evaluate(settings={"evaluation.resamples": 60})["test"]
    assert again["independence"] == before["independence"]
    assert (again["unit"], again["units"]) == (before["unit"], before["units"])
    given = guessed._index()
    assert (given.site, given.guessed) == ("hospital", ("file name",))


def test_the_split_is_recorded_with_its_hash_and_can_be_given_back(guessed, pipeline, reader, tmp_path):
    table = rows(guessed.folder / names.SPLIT)
    recorded = read(guessed.folder / names.MANIFEST)["split_hash"]
    assert recorded == read(guessed.folder / names.CHECKS)["split_hash"]
    assert recorded == split_hash([row["pixels"] for row in table], [row["split"] for row in table])
    settings = {"split.file": str(guessed.folder), "training.epochs": 1}
    back = pipeline(seed=9, reader=reader, settings=settings).fit("memory", out=tmp_path / "back")
    assert read(back.folder / names.MANIFEST)["split_hash"] == recorded
    assert rows(back.folder / names.SPLIT) == table
    other = pipeline(seed=9, reader=reader, settings={"training.epochs": 1}).fit("memory", out=tmp_path / "other")
    assert read(other.folder / names.MANIFEST)["split_hash"] != recorded


def test_one_site_is_tested_and_the_level_says_so(pipeline, reader, tmp_path):
    settings = {"split.leave_out": "hospital=south", "training.epochs": 1}
    run = pipeline(reader=reader, settings=settings).fit("memory", out=tmp_path / "run")
    assert read(run.folder / names.METRICS)["test"]["independence"]["level"] == "site"
    assert {r["metadata:hospital"] for r in rows(run.folder / names.SPLIT) if r["split"] == "test"} == {"south"}
    elsewhere = run.evaluate("7", out=tmp_path / "east", settings={"reader.use": "memory"})["test"]["independence"]
    assert elsewhere["level"] == "unknown"  # the plain reader knows no site


def test_contradictions_end_before_anything_is_written(pipeline, reader, tmp_path):
    settings = {"split.folds": 3, "split.leave_out": "site"}
    with pytest.raises(UsageError, match="exclude each other"):
        pipeline(reader=reader, settings=settings).fit("memory", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- without a run


def test_all_folds_from_python(fakes, reader, tmp_path):
    found = medplug.split(
        [reader.load(uri) for uri in reader.index("memory").uris], reader.index("memory").targets.argmax(1).tolist(),
        names=reader.index("memory").samples, recipe="fake", plugins=fakes, settings={"split.folds": 3},
    )  # fmt: skip
    assert found.names == ("fold-1", "fold-2", "fold-3")
    assert sorted(np.concatenate([split.test for split in found.splits]).tolist()) == list(range(60))
    described = found.describe()
    assert {entry["independence"]["level"] for entry in described} == {"group (guessed)"}
    assert [sum(entry["sizes"].values()) for entry in described] == [60, 60, 60]
    assert [p.name for p in found.write(tmp_path)] == ["fold-1.csv", "fold-2.csv", "fold-3.csv", "splits.json"]
    summary = read(tmp_path / "splits.json")
    assert [entry["hash"] for entry in summary["splits"]] == [entry["hash"] for entry in described]
    assert summary["split"]["folds"] == 3
    assert [row["split"] == "test" for row in rows(tmp_path / "fold-2.csv")].count(True) == described[1]["sizes"][
        "test"
    ]
