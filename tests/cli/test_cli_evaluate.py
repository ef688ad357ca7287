"""``evaluate``, ``compare`` and ``report``: what they print and write, for runs and for predictions of other tools."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from medplug.cli.figures import aligned, comparison_lines, score_lines
from medplug.cli.main import main

PLUGIN = """
from medplug.plugins import Component, hookimpl
from medplug.testing import fakes

@hookimpl
def medplug_components():
    yield from fakes.fake_registry().components()
    yield Component("recipe", "standard", "medplug.testing:fake.toml", "The fakes where no recipe is named.")
"""
FAST = ["training.epochs=2", "training.frozen_epochs=1", "evaluation.resamples=50", "split.train=0.6", "split.validation=0.2"]  # fmt: skip
QUICK = ["--set", "evaluation.resamples=50"]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: Any) -> list[str]:
    """A ``--plugin`` file that offers the fakes, so that commands can be tested without any plugin installed."""
    path = tmp_path_factory.mktemp("plugin") / "fakes_plugin.py"
    path.write_text(PLUGIN)
    return ["--plugin", str(path)]


@pytest.fixture(scope="module", autouse=True)
def _own_registry() -> Any:
    from medplug.plugins import registry as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_PLUGINS", "none")
        module.registry(refresh=True)
        yield
    module.registry(refresh=True)


@pytest.fixture(scope="module")
def runs(plugin: list[str], tmp_path_factory: Any) -> list[str]:
    """Two runs with the same split."""
    folders = [str(tmp_path_factory.mktemp("runs") / name) for name in ("first", "second")]
    for seed, folder in enumerate(folders):
        words = ["run", "memory", "--recipe", "fake", "--seed", str(seed), "--out", folder, *plugin]
        assert main([*words, "--set", *FAST, "split.seed=1"]) == 0
    return folders


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """Predictions and labels of 60 samples of 30 patients, with the arrays that they hold."""
    rng = np.random.default_rng(5)
    truth = np.arange(60) % 3
    p = rng.dirichlet(np.ones(3), 60) * 0.7 + 0.3 * np.eye(3)[truth]
    p = p.round(4)
    p[:, 2] = 1 - p[:, 0] - p[:, 1]
    names = ("mole", "naevus", "wart")
    rows = [f"{i}.png;" + ";".join(f"{v:.4f}".replace(".", ",") for v in r) for i, r in enumerate(p)]
    (tmp_path / "preds.csv").write_text("sample;mole;naevus;wart\n" + "\n".join(rows))
    order = rng.permutation(60)
    lines = [f"{i},{names[truth[i]]},P{i % 3}.{i // 6},{'f' if i % 4 else 'm'}" for i in order]
    (tmp_path / "labels.csv").write_text("sample,label,patient,sex\n" + "\n".join(lines))
    words = ["--predictions", str(tmp_path / "preds.csv"), "--labels", str(tmp_path / "labels.csv")]
    return {"truth": truth, "p": p, "words": words, "folder": tmp_path}


def test_predictions_of_another_tool_get_the_figures_of_scikit_learn(
    files: Any, plugin: list[str], capsys: Any
) -> None:
    out = files["folder"] / "out"
    words = [*files["words"], "--groups", "patient", "--out", str(out), "--layout", "aucmedi", *QUICK, *plugin]
    assert main(["evaluate", *words]) == 0
    shown = capsys.readouterr()
    macro = json.loads((out / "metrics.json").read_text())["test"]["macro"]
    accuracy = accuracy_score(files["truth"], files["p"].argmax(1))
    auc = roc_auc_score(files["truth"], files["p"], multi_class="ovr")
    assert macro["simple_accuracy"]["value"] == pytest.approx(accuracy)
    assert macro["simple_auc"]["value"] == pytest.approx(auc)
    line = next(line for line in shown.out.splitlines() if line.startswith("  simple_auc"))
    low, high = (f"{macro['simple_auc'][k]:.3f}" for k in ("low", "high"))
    assert line.split() == ["simple_auc", f"{auc:.3f}", low, "to", high, line.split()[-1]]
    assert macro["simple_auc"]["method"] in shown.out
    assert "60 samples in 30 groups" in shown.out
    assert "one prediction per group: 30 samples" in shown.out
    assert "matched without extension" in shown.err
    for name in ("report.html", "metrics.json", "analysis.json", "tables", "metrics.performance.csv"):
        assert str(out / name) in shown.out
    with (out / "metrics.performance.csv").open(newline="") as stream:
        layout = {(r["metric"], r["class"]): r["score"] for r in csv.DictReader(stream)}
    for c, name in enumerate(("mole", "naevus", "wart")):
        assert float(layout["AUC", name]) == pytest.approx(roc_auc_score(files["truth"] == c, files["p"][:, c]))
    with (out / "tables" / "metrics.csv").open(newline="") as stream:
        tidy = {(r["level"], r["average"], r["metric"]): r["value"] for r in csv.DictReader(stream)}
    assert float(tidy["sample", "macro", "simple_auc"]) == macro["simple_auc"]["value"]
    with (out / "tables" / "subgroups.csv").open(newline="") as stream:
        assert {r["subgroup"]: r["n"] for r in csv.DictReader(stream) if r["subgroup"]} == {"f": "45", "m": "15"}


def test_a_run_is_scored_again_where_it_lies(runs: list[str], plugin: list[str], capsys: Any) -> None:
    folder = Path(runs[0])
    before = json.loads((folder / "metrics.json").read_text())["test"]["macro"]
    (folder / "metrics.json").unlink()
    (folder / "report.html").unlink()
    assert main(["evaluate", "--layout", "aucmedi", *plugin, *QUICK, str(folder)]) == 0  # RUN behind --set KEY=VALUE
    assert str(folder / "report.html") in capsys.readouterr().out
    assert json.loads((folder / "metrics.json").read_text())["test"]["macro"] == before
    assert (folder / "metrics.performance.csv").read_text().startswith('"metric","score","class"')


def test_a_run_on_other_data(runs: list[str], plugin: list[str], capsys: Any, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere"
    assert main(["evaluate", runs[0], "--data", "memory", "--out", str(out), *QUICK, *plugin]) == 0
    shown = capsys.readouterr().out
    figures = json.loads((out / "metrics.json").read_text())["test"]
    assert f"{figures['n']} samples" in shown
    assert str(out / "report.html") in shown
    assert "independence: unknown" in shown


def test_the_report_of_a_run_is_written_again(runs: list[str], plugin: list[str], capsys: Any) -> None:
    page = Path(runs[0]) / "report.html"
    page.unlink()
    assert main(["report", runs[0], *plugin]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert page.exists()


def test_runs_beside_each_other(runs: list[str], plugin: list[str], capsys: Any, tmp_path: Path) -> None:
    out = tmp_path / "beside"
    assert main(["compare", *runs, "--out", str(out), *QUICK, *plugin]) == 0
    shown = capsys.readouterr().out
    found = json.loads((out / "comparison.json").read_text())
    assert found["runs"] == ["first", "second"]
    assert "first − second" in shown
    for path in out.iterdir():
        assert str(path) in shown


def test_files_of_predictions_beside_each_other(files: Any, plugin: list[str], capsys: Any) -> None:
    folder = files["folder"]
    worse = np.full((60, 3), 1 / 3) + np.eye(3)[(files["truth"] + np.arange(60) // 30) % 3] / 6 - 1 / 18
    rows = [f"{i}.png," + ",".join(f"{v:.6f}" for v in r) for i, r in enumerate(worse)]
    (folder / "other.csv").write_text("sample,mole,naevus,wart\n" + "\n".join(reversed(rows)))
    words = ["compare", str(folder / "preds.csv"), str(folder / "other.csv"), "--labels", str(folder / "labels.csv")]
    assert main([*words, "--groups", "patient", "--out", str(folder / "out"), *QUICK, *plugin]) == 0
    found = json.loads((folder / "out" / "comparison.json").read_text())
    assert (found["runs"], found["unit"]) == (["preds", "other"], "groups")
    values = {run: figure["value"] for run, figure in found["metrics"]["simple_accuracy"].items()}
    expected = {
        name: accuracy_score(files["truth"], p.argmax(1)) for name, p in (("preds", files["p"]), ("other", worse))
    }
    assert values == pytest.approx(expected)
    assert "preds − other" in capsys.readouterr().out


def _keys(value: Any) -> set[str]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(_keys, inside))


def test_every_key_of_an_evaluation_is_documented(runs: list[str], files: Any, plugin: list[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", text))))
    out = files["folder"] / "out"
    costs = ["--set", "evaluation.costs=mole -> * = 10"]
    words = [*files["words"], "--groups", "patient", "--out", str(out), *costs]
    assert main(["evaluate", *words, *QUICK, *plugin]) == 0
    assert "costs" in json.loads((out / "analysis.json").read_text())
    names = {"simple_accuracy", "simple_auc", "class0", "class1", "class2", "mole", "naevus", "wart", "sex"}
    for folder in (Path(runs[1]), out):
        for name in ("metrics.json", "analysis.json", "decision.json"):
            if (folder / name).exists():
                assert _keys(json.loads((folder / name).read_text())) - names <= told, name


P, L = ["--predictions", "preds.csv"], ["--labels", "labels.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate"], "either RUN, or --predictions"),
        (["evaluate", "RUN", *P, *L], "not both"),
        (["evaluate", *P], "--predictions needs --labels"),
        (["evaluate", *P, *L, "--data", "x"], "--data is what a RUN predicts"),
        (["evaluate", "RUN", *L], "--labels goes with --predictions"),
        (["evaluate", "RUN", "--groups", "x"], "--groups goes with --predictions"),
        (["evaluate", "RUN", "--task", "multilabel"], "--task goes with --predictions"),
        (["evaluate", "RUN", "--out", "x"], "--out goes with --data or --predictions"),
        (["evaluate", "RUN", "--data", "x", "--layout", "aucmedi"], "--layout aucmedi is for"),
        (["evaluate", "RUN"], "no finished run"),
        (["evaluate", "RUN", "--set", "nonsense"], "KEY=VALUE"),
        (["evaluate", *P, *L, "--groups", "patients"], "did you mean 'patient'"),
        (["evaluate", *P, *L, "--set", "nonsense"], "KEY=VALUE"),
        (
            ["evaluate", *P, *L, "--task", "multilabel", "--groups", "sex", "--set", "evaluation.confidence=2"],
            "confidence",
        ),
        (["compare", "RUN", "RUN2", "--set", "nonsense"], "KEY=VALUE"),
        (["evaluate", "--predictions", "none.csv", *L], "none.csv: cannot be read"),
        (["evaluate", *P, *L, "--out", "."], "the folder is not empty"),
        (["evaluate", *P, *L, "--set", "evaluation.resample=3"], "resample"),
        (["compare", "RUN"], "at least two"),
        (["compare", "RUN", "preds.csv"], "preds.csv is a file: predictions need --labels"),
        (["compare", "RUN", "RUN2", "--groups", "x"], "go with --labels"),
        (["compare", ".", ".", *L], "runs know their labels"),
        (["compare", "preds.csv", "preds.csv", *L], "named twice"),
        (["compare", "RUN", "RUN2"], "no finished run"),
        (["report", "RUN"], "no finished run"),
    ],
)
def test_wrong_use_is_one_clear_message_and_leaves_nothing(
    words: list[str], message: str, files: Any, plugin: list[str], capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(files["folder"])
    assert main([*words, *plugin]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown
    assert sorted(p.name for p in files["folder"].iterdir() if p.name != "cache") == ["labels.csv", "preds.csv"]


def test_without_out_a_fresh_folder_under_runs(files: Any, plugin: list[str], capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(files["folder"])
    assert main(["evaluate", *P, *L, *QUICK, *plugin]) == 0
    (made,) = (files["folder"] / "runs").iterdir()
    assert made.name.startswith("preds-")
    assert f"runs/{made.name}/report.html" in capsys.readouterr().out


# ------------------------------------------------------------ the printed tables

SCORES = {
    "n": 40,
    "unit": "groups",
    "units": 12,
    "macro": {
        "auc": {"value": 0.91234, "low": 0.85, "high": 0.96, "method": "DeLong", "excluded": ["rare"]},
        "accuracy": {"value": 1.0, "low": 0.92, "high": 1.0, "method": "Wilson", "one_sided": True},
        "recall": {"value": None, "reason": "no positive samples", "excluded": ["a", "rare"]},
        "f1": {"value": 0.5, "low": None, "high": None, "interval_reason": "one group only", "method": "Wilson"},
    },
    "per_class": {"a": {"n": 36}, "rare": {"n": 4, "few": True}},
    "warnings": ["auc is 0.10, worse than chance"],
}


def test_scores_as_a_table() -> None:
    assert score_lines(SCORES, "macro") == [
        "macro: 40 samples in 12 groups",
        "  metric    value  interval                        method",
        "  auc       0.912  0.850 to 0.960                  a",
        "  accuracy  1.000  0.920 to 1.000, one-sided       b",
        "  recall    –      undefined: no positive samples",
        "  f1        0.500  one group only                  b",
        "  a  DeLong",
        "  b  Wilson",
        "  rare is left out of auc: undefined for this class",
        "  few samples: rare (4)",
        "  note: auc is 0.10, worse than chance",
    ]


def test_a_comparison_as_a_table() -> None:
    difference = {"value": -0.125, "low": -0.25, "high": 0.0}
    pair = {
        "metric": "auc",
        "a": "x",
        "b": "y",
        "difference": difference,
        "p": 0.0004,
        "p_holm": None,
        "method": "paired",
    }
    figures = {run: {"value": 0.5, "low": 0.25, "high": 0.75, "method": "DeLong"} for run in ("x", "y")}
    assert comparison_lines({"runs": ["x", "y"], "n": 9, "metrics": {"auc": figures}, "pairs": [pair]}) == [
        "2 runs on the same 9 samples",
        "  metric  run  value  interval        method",
        "  auc     x    0.500  0.250 to 0.750  a",
        "  auc     y    0.500  0.250 to 0.750  a",
        "",
        "  metric  runs   difference  interval         p        p (Holm)  method",
        "  auc     x − y  -0.125      -0.250 to 0.000  < 0.001  –         b",
        "  a  DeLong",
        "  b  paired",
    ]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned(["a", "bb"], [["ccc", "d"]]) == ["  a    bb", "  ccc  d"]
