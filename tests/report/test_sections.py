"""Words of single sections that follow from the analysis."""

from __future__ import annotations

import html
import re
from typing import Any

from medplug.report.page import render_report


def words_of(page: str) -> str:
    """The text of a page or a part of it, without tags, with single spaces."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", page)))


def test_a_worst_subgroup_is_told_in_the_summary_only_where_classes_can_be_compared(invent: Any) -> None:
    facts = invent()
    entry = facts.analysis["subgroups"]["sex"]
    undefined = {"value": None, "reason": "undefined for every class"}
    rows = [{**r, "macro": {**r["macro"], "ranking": undefined}} if r["macro"] else r for r in entry["rows"]]
    one_class = {**entry, "rows": rows, "worst": {"f1": "women"}, "gap": {}}
    analysis = {**facts.analysis, "subgroups": {"sex": entry, "cause": one_class}}
    page = render_report(invent(analysis=analysis))
    words = words_of(page)
    assert "it does worst for not stated, or stated otherwise than the two above (by sex); such" in words
    cause = words_of(page[page.index("By <bdi>cause") : page.index('<section id="trust"')])
    assert "differences between these subgroups may be differences between classes" in cause
    assert "Not defined in any subgroup: ranking." in cause
    assert 'aria-label="F1 by cause"' in page


def test_costs_are_told_with_their_matrix_beside_the_headline_figures(invent: Any) -> None:
    facts = invent()
    found = facts.analysis["costs"]
    page = render_report(facts)
    block = page[page.index("<h3>Decisions by costs") : page.index("<h3>Threshold explorer")]
    matrix = block[: block.index('<p class="notes">')]
    rows = [re.findall(r"<b>(\d+)</b>", row) for row in matrix.split("<tr>")[2:]]
    assert rows == [["0", "1", "1"], ["1", "0", "1"], ["10", "10", "0"]]
    assert re.findall(r'<th scope="row"><bdi>(\w+)', matrix) == list(facts.classes)
    words = words_of(block)
    assert "with the probabilities of the classes as calibrated on the validation part" in words
    assert "It is the one that predict tells; the headline figures stay those of the most probable class" in words
    bare = words_of(render_report(invent(config="")))
    assert "The headline figures stay those of the most probable class" in bare
    assert "predict tells" not in bare
    for rule in ("most_probable", "least_cost"):
        assert f"{found['test'][rule]['low']:.3f} to" in words
    assert "No interval for the second less the first: the two rules decide alike on every sample." in words
    assert f"{found['test']['changed']} images of {found['test']['n']} are decided otherwise" in words
    assert "Headline figures at the least expected cost" in words
    counts = block[block.index("<details>") : block.index("</details>")]
    assert [int(c) for c in re.findall(r"<b>(\d+)</b>", counts)] == [
        c for row in found["test"]["confusion"] for c in row
    ]
    assert "predict decides by costs, which were set too" in words_of(page)
    without = {key: value for key, value in facts.analysis.items() if key != "costs"}
    plain = render_report(invent(analysis=without))
    assert "Decisions by costs" not in plain
    assert "used by predict, beside the most probable class" in words_of(plain)


def test_what_the_sets_do_not_reach_and_notes_are_told(invent: Any) -> None:
    facts = invent()
    found = facts.analysis["conformal"]
    low = {"value": 0.7, "low": 0.6, "high": 0.81, "method": "Wilson"}
    per_class = {**found["test"]["per_class"], "malignant": low}
    before = {**facts.analysis["calibration"]["before"], "top_label_ece": {"value": 0.0844, "null": 0.02, "p": 0.2}}
    before["ece"] = {**before["ece"], "note": "Null value and p are too small."}
    analysis = {
        **facts.analysis,
        "conformal": {**found, "test": {**found["test"], "per_class": per_class}},
        "calibration": {**facts.analysis["calibration"], "before": before},
        "novelty": {**facts.analysis["novelty"], "note": "The limits are loose."},
    }
    words = words_of(render_report(invent(analysis=analysis)))
    assert "clearly less often than in 90 % for malignant (70.0 %)." in words
    assert "mean over the classes" in words
    assert "ECE of the predicted class" in words
    assert "0.084" in words
    assert "Null value and p are too small." in words
    assert "The limits are loose." in words


def test_bins_of_unequal_width_have_no_bars(invent: Any) -> None:
    facts = invent()
    uneven = [
        {"low": a, "high": b, "n": 10, "predicted": (a + b) / 2, "observed": 0.5} for a, b in ((0, 0.1), (0.1, 0.9))
    ]
    before = facts.analysis["calibration"]["before"]
    per_class = {c: {**entry, "bins": uneven} for c, entry in before["per_class"].items()}
    calibration = {**facts.analysis["calibration"], "before": {**before, "top_label": uneven, "per_class": per_class}}
    for changed, bars in ((calibration, False), (facts.analysis["calibration"], True)):
        page = render_report(invent(analysis={**facts.analysis, "calibration": changed}))
        assert ('class="bars"' in page) == bars
        assert ("how many predictions" in page) == bars
        assert ("about 10\u00a0images each" in page) == (not bars)
