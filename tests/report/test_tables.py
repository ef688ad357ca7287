from __future__ import annotations

from medplug.report.tables import Footnotes, bounds_of, cell, remarks


def test_methods_of_intervals_are_footnotes() -> None:
    notes = Footnotes("m")
    one, other = ({"value": 0.5, "method": f"95 % Wilson, n = {n}"} for n in (12, 1345))
    third = {"value": 0.5, "method": "DeLong"}
    assert '<a href="#m-a" title="95 % Wilson, n = 12">a</a>' in notes.mark(one)
    assert '<a href="#m-a" title="95 % Wilson, n = 1345">a</a>' in notes.mark(other)
    assert ">b</a>" in notes.mark(third)
    assert notes.mark({"value": 1.0}) == ""
    assert notes.shared([one, third]) == ""
    assert ">a</a>" in notes.shared([one, {"value": None, "reason": "x"}, other])
    assert [item.split(">")[1][:20] for item in notes.items()] == ["a: 95 % Wilson, n = ", "b: DeLong.</span"]


def test_a_scale_holds_everything_that_is_drawn() -> None:
    assert bounds_of([{"value": 0.5, "low": 0.2, "high": 0.9}, {"value": None, "reason": "x"}]) == (0.0, 1.0)
    assert bounds_of([{"value": 1.6, "low": -0.3, "high": 2.5}]) == (-0.3, 2.5)


def test_a_cell_tells_its_figure_or_why_there_is_none() -> None:
    assert cell(None) == ""
    assert "not defined: no &lt;b&gt;" in cell({"value": None, "reason": "no <b>"})
    assert "whisker" not in cell({"value": 0.5, "low": 0.4, "high": 0.6}, drawn=False)
    assert "whisker" not in cell({"value": 0.5, "low": None, "high": None, "interval_reason": "one unit"})
    assert "0.400 to 1.000, one-sided" in cell({"value": 1.0, "low": 0.4, "high": 1.0, "one_sided": True})


def test_what_is_true_of_several_metrics_is_said_once() -> None:
    macro = {
        "roc_auc": {"value": 0.9, "excluded": ["a"]},
        "f1": {"value": 0.8, "excluded": ["a"], "interval_reason": "one group only"},
        "recall": {"value": 0.7, "excluded": [], "undefined_resamples": 12},
    }
    assert remarks(macro) == [
        "The means of ROC AUC, F1 are without <bdi>a</bdi>: not defined there.",
        "No interval for F1: one group only.",
        "12 resamples without a value do not count in the interval of recall.",
    ]
