"""Tidy tables hold every number of the JSON, open in a spreadsheet without harm, and are documented column by column."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from medplug.evaluation.tidy import TABLES, tables, write_tidy

CLASSES = ("cat", "=1+1")


def figure(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - 0.125, "high": value + 0.125, "method": "Wilson", **more}


UNDEFINED = {"value": None, "reason": "no positive samples"}
POINTWISE = {"value": 0.5, "low": None, "high": None, "interval_reason": "one unit"}


def scores(**more: Any) -> dict[str, Any]:
    return {
        "n": 40,
        "unit": "samples",
        "units": 40,
        "macro": {"auc": {**figure(0.75), "excluded": ["=1+1"]}, "accuracy": {**figure(0.875), "one_sided": True}},
        "weighted": {"auc": figure(0.5)},
        "micro": {"auc": POINTWISE},
        "per_class": {
            "cat": {"n": 30, "auc": figure(0.625, companion={"null": 0.0625, "p": None})},
            "=1+1": {"n": 4, "few": True, "auc": UNDEFINED},
        },
        "warnings": ["a sentence"],
        **more,
    }


METRICS = {
    "test": scores(
        groups={**scores(), "aggregate": "mean"},
        thresholds=scores(),
        costs=scores(),
        independence={"level": "image", "text": "x"},
    ),
    "validation": scores(),
}
BIN = {"low": 0.0, "high": 0.5, "n": 3, "predicted": 0.25, "observed": 0.125, "observed_low": 0.0, "observed_high": 0.5}
CALIBRATION = {
    "log_loss": {"value": 0.5},
    "brier": {"value": 0.25},
    "ece": {"value": 0.125, "null": 0.0625, "p": 0.5},
    "top_label": [BIN],
    "per_class": {"cat": {"slope": {"value": 1.5}, "intercept": UNDEFINED, "bins": [BIN, BIN]}},
}
RATES = {"prevalence": 0.1, "ppv": figure(0.5), "npv": figure(0.75), "number_needed_to_evaluate": UNDEFINED}
ANALYSIS = {
    "curves": {
        "roc": {"cat": {"fpr": [0.0, 1.0], "tpr": [0.5, 1.0], "low": [0.25, None], "high": [0.75, 1.0], "method": "M"}, "=1+1": None},
        "precision_recall": {"cat": {"recall": [0.5], "precision": [1.0], "low": [0.25], "high": [1.0], "prevalence": 0.75}},
    },
    "operating": {"cat": {
        "threshold": [1.0, 0.0], "true_positives": [0, 30], "false_positives": [0, 10], "positives": 30, "negatives": 10, "method": "W",
        "intervals": {rate: {"low": [None, 0.25 + i / 8], "high": [0.125, 0.5 + i / 8]} for i, rate in enumerate(("sensitivity", "specificity", "ppv", "npv"))},
    }},
    "confusion": [[28, 2], [1, 3]],
    "calibration": {"before": CALIBRATION, "after": {**CALIBRATION, "top_label": None}},
    "costs": {
        "matrix": {"cat": {"cat": 0.0, "=1+1": 10.0}, "=1+1": {"cat": 0.5, "=1+1": 0.0}},
        "test": {"least_cost": figure(0.5), "most_probable": figure(0.75), "difference": POINTWISE, "always": {**figure(0.625), "decision": "=1+1"}, "confusion": [[27, 3], [1, 3]]},
    },
    "thresholds": {
        "per_class": {
            "cat": {
                "value": 0.25, "low": 0.125, "high": 0.5, "positives": 9, "negatives": 8, "trust": "little",
                "expected": {"sensitivity": figure(0.5)}, "test": {"sensitivity": figure(0.25), "ppv": UNDEFINED},
            },
            "=1+1": {"value": 0.75, "low": None, "high": None, "positives": 2, "negatives": 1, "trust": "none"},
        }
    },
    "clinical": {
        "decision_curve": {"cat": {"threshold": [0.01], "model": [0.5], "low": [0.25], "high": [0.75], "all": [0.5], "prevalence": 0.5}, "=1+1": None},
        "rates": {"cat": {"threshold": None, "prevalence": 0.75, "at": [RATES], "lr_positive": figure(4.0), "lr_negative": figure(0.25)}},
    },
    "subgroups": {
        "sex": {
            "rows": [
                {"name": "f", "n": 30, "suppressed": False, "macro": {"auc": figure(0.75)}},
                {"name": "-", "n": 3, "suppressed": True, "macro": {}},
            ],
            "worst": {"auc": "f"},
            "gap": {"auc": UNDEFINED},
            "note": "",
        }
    },
    "conformal": {"quantiles": {"cat": 0.5, "=1+1": None}, "test": {"coverage": figure(0.875), "sizes": [1, 30, 9], "per_class": {"cat": figure(0.5)}}},
    "novelty": {"test": {"samples": ["@a.png", "b.png"]}},
    "mistakes": {
        "confident": [{"sample": "a.png", "label": "cat", "predicted": "=1+1", "probability": 0.875}],
        "label_issues": [{"sample": "a.png", "part": "test", "label": "cat", "suggested": "=1+1", "probability": 0.875}],
        "pairs": [{"truth": "cat", "predicted": "=1+1", "n": 2, "of": 30}],
    },
}  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def written(tmp_path: Path) -> dict[str, list[dict[str, str]]]:
    return {path.name: read(path) for path in write_tidy(tmp_path / "tables", METRICS, ANALYSIS)}


def test_every_table_is_written_but_the_one_of_multi_label_tasks(written: Any) -> None:
    assert set(TABLES) - set(written) == {"decisions.csv"}
    decisions = tables(METRICS, {"decisions": [[1, 2, 3, 4], [5, 6, 7, 8]]})["decisions.csv"][1]
    assert decisions == [("cat", 1, 2, 3, 4), ("=1+1", 5, 6, 7, 8)]


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for inner in value.values() for n in numbers_in(inner)]
    if isinstance(value, list):
        return [n for inner in value for n in numbers_in(inner)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_every_figure_of_the_metrics_is_in_the_table(written: Any) -> None:
    rows = written["metrics.csv"]
    blocks = [*(("test", level) for level in ("sample", "group", "threshold", "cost")), ("validation", "sample")]
    assert list(dict.fromkeys((r["part"], r["level"]) for r in rows)) == blocks
    for part, level in blocks:
        mine = [r for r in rows if (r["part"], r["level"]) == (part, level)]
        kinds = [(r["average"], r["class"], r["metric"]) for r in mine]
        assert kinds == [
            ("macro", "", "auc"), ("macro", "", "accuracy"), ("weighted", "", "auc"), ("micro", "", "auc"),
            ("class", "cat", "auc"), ("class", "cat", "auc.null"), ("class", "cat", "auc.p"), ("class", "'=1+1", "auc"),
        ]  # fmt: skip
        found = sorted(float(r[k]) for r in mine for k in ("value", "low", "high") if r[k])
        figures = [scores()[average] for average in ("macro", "weighted", "micro")]
        figures += [{"auc": f["auc"]} for f in scores()["per_class"].values()]
        assert found == sorted(numbers_in(figures))
        assert [r["n"] for r in mine] == ["40"] * 4 + ["30"] * 3 + ["4"]
        assert [r["method"] for r in mine] == ["Wilson"] * 3 + ["", "Wilson", "", "", ""]
        assert [r["reason"] for r in mine] == ["", "", "", "one unit", "", "", "", "no positive samples"]
        assert (mine[0]["excluded"], mine[1]["one_sided"], mine[0]["one_sided"]) == ("'=1+1", "yes", "")


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("roc.csv", ["cat,0.0,0.5,0.25,0.75,M", "cat,1.0,1.0,,1.0,M"]),
        ("precision_recall.csv", ["cat,0.5,1.0,0.25,1.0,0.75,"]),
        ("operating.csv", ["cat,1.0,0,0,30,10" + ",,0.125" * 4 + ",W",
                           "cat,0.0,30,10,30,10,0.25,0.5,0.375,0.625,0.5,0.75,0.625,0.875,W"]),
        ("confusion.csv", ["cat,cat,28", "cat,'=1+1,2", "'=1+1,cat,1", "'=1+1,'=1+1,3"]),
        ("costs.csv", ["most_probable,,0.75,0.625,0.875,Wilson,", "least_cost,,0.5,0.375,0.625,Wilson,",
                       "difference,,0.5,,,,one unit", "always,'=1+1,0.625,0.5,0.75,Wilson,"]),
        ("cost_matrix.csv", ["cat,cat,0.0,27", "cat,'=1+1,10.0,3", "'=1+1,cat,0.5,1", "'=1+1,'=1+1,0.0,3"]),
        ("calibration.csv", [*("before," + c + ",0.0,0.5,3,0.25,0.125,0.0,0.5" for c in ("", "cat", "cat")),
                             *["after,cat,0.0,0.5,3,0.25,0.125,0.0,0.5"] * 2]),
        ("calibration_figures.csv", [
            f"{when},{line}" for when in ("before", "after") for line in (
                ",log_loss,0.5,,,,", ",brier,0.25,,,,", ",ece,0.125,,,,", ",ece.null,0.0625,,,,", ",ece.p,0.5,,,,",
                "cat,slope,1.5,,,,", "cat,intercept,,,,,no positive samples")]),
        ("thresholds.csv", ["cat,0.25,0.125,0.5,9,8,expected,sensitivity,0.5,0.375,0.625,Wilson,,little",
                            "cat,0.25,0.125,0.5,9,8,test,sensitivity,0.25,0.125,0.375,Wilson,,little",
                            "cat,0.25,0.125,0.5,9,8,test,ppv,,,,,no positive samples,little",
                            "'=1+1,0.75,,,2,1,,,,,,,,none"]),
        ("decision_curve.csv", ["cat,0.01,0.5,0.25,0.75,0.5,0.5,"]),
        ("rates.csv", ["cat,,0.75,lr_positive,4.0,3.875,4.125,Wilson,", "cat,,0.75,lr_negative,0.25,0.125,0.375,Wilson,",
                       "cat,,0.1,ppv,0.5,0.375,0.625,Wilson,", "cat,,0.1,npv,0.75,0.625,0.875,Wilson,",
                       "cat,,0.1,number_needed_to_evaluate,,,,,no positive samples"]),
        ("subgroups.csv", ["sex,f,30,,auc,0.75,0.625,0.875,Wilson,,yes", "sex,'-,3,yes,,,,,,,",
                           "sex,,,,auc.gap,,,,,no positive samples,"]),
        ("conformal.csv", [",,0.875,0.75,1.0,Wilson,", "cat,0.5,0.5,0.375,0.625,Wilson,", "'=1+1,,,,,,"]),
        ("conformal_sizes.csv", ["0,1", "1,30", "2,9"]),
        ("novelty.csv", ["1,'@a.png", "2,b.png"]),
        ("mistakes.csv", ["a.png,cat,'=1+1,0.875"]),
        ("label_issues.csv", ["a.png,test,cat,'=1+1,0.875"]),
        ("confusion_pairs.csv", ["cat,'=1+1,2,30"]),
    ],
)  # fmt: skip
def test_each_table_row_by_row(written: Any, table: str, rows: list[str]) -> None:
    assert [",".join(row.values()) for row in written[table]] == rows


def test_what_is_absent_makes_no_table_and_removes_an_old_one(tmp_path: Path) -> None:
    write_tidy(tmp_path, METRICS, ANALYSIS)
    (tmp_path / "mine.csv").write_text("kept")
    assert [
        p.name for p in write_tidy(tmp_path, {"test": scores()}, {"mistakes": {}, "conformal": {"test": None}})
    ] == ["metrics.csv"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "mine.csv"]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_texts_from_outside_are_no_formulas_and_numbers_stay_numbers(tmp_path: Path, begin: str) -> None:
    analysis = {
        "mistakes": {
            "confident": [{"sample": f"{begin}cmd", "label": 'a,"b"\nc', "predicted": "x", "probability": -0.5}]
        }
    }
    write_tidy(tmp_path, {}, analysis)
    row = read(tmp_path / "mistakes.csv")[0]
    assert (row["sample"], row["label"], row["probability"]) == (f"'{begin}cmd", 'a,"b"\nc', "-0.5")


def test_names_that_are_no_text_pass_through(tmp_path: Path) -> None:
    write_tidy(tmp_path, {}, {"novelty": {"test": {"samples": ["caf\udce9.png"]}}})
    assert b'"caf\xe9.png"' in (tmp_path / "novelty.csv").read_bytes()


def test_every_table_and_column_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    for name, (columns, _) in TABLES.items():
        section = text.partition(f"### `{name}`")[2].partition("\n### ")[0].partition("\n## ")[0]
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("- `")] == list(columns), name
