"""The page of a comparison: every figure and test stands in it, names of strangers cannot break it."""

from __future__ import annotations

import re
from typing import Any

from medplug.report.comparison import render_comparison

RUNS = ["first", "<b>second</b>"]


def figure(value: float, method: str = "95 % Wilson interval, n = 50") -> dict[str, Any]:
    return {"value": value, "low": value - 0.04, "high": value + 0.03, "method": method}


def found() -> dict[str, Any]:
    pair = {
        "a": RUNS[0],
        "b": RUNS[1],
        "metric": "roc_auc",
        "difference": figure(-0.071),
        "p": 0.0321,
        "p_holm": 0.0004,
    }
    return {
        "runs": RUNS, "n": 50, "unit": "groups", "units": 25, "correction": "p (Holm) is corrected over pairs.",
        "metrics": {"roc_auc": dict(zip(RUNS, (figure(0.812), figure(0.883)), strict=True))},
        "pairs": [{**pair, "method": "DeLong contrast"}],
        "gain": {"roc_auc": {RUNS[1]: figure(0.071)}},
    }  # fmt: skip


def test_figures_differences_and_tests_are_told() -> None:
    page = render_comparison(found(), 0.95)
    words = re.sub(r"<[^>]*>", " ", page.replace("\u00a0", " "))
    for told in (
        "2 runs",
        "50 test images",
        "25 groups",
        "0.812",
        "0.772 to 0.842",
        "-0.071",
        "0.032",
        "0.001",
        "DeLong contrast",
    ):
        assert told in words, told
    assert page.count("<svg") >= 2
    assert "<b>second</b>" not in page


def test_many_runs_do_not_fill_the_title() -> None:
    many = {**found(), "runs": [f"run {i}" for i in range(9)]}
    many["metrics"] = {"roc_auc": {run: figure(0.8) for run in many["runs"]}}
    assert "<title>Comparison of 9 runs</title>" in render_comparison(many, 0.95)
