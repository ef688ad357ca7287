from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medplug.report.figures import (
    STYLE,
    ForestRow,
    all_figures,
    bars,
    confusion_matrix,
    decision_panel,
    epoch_ticks,
    forest,
    loss_curves,
    nice_ticks,
    panel_svg,
    phases,
    precision_recall_panel,
    reliability_panel,
    roc_panel,
    scale_bar,
    whisker,
)
from medplug.report.figures.axes import fit, legend, text_width
from medplug.report.markup import listing, name, number, percent, text, words


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_are_round_few_and_span_the_values(low: float, spread: float) -> None:
    high = low + spread
    ticks = nice_ticks(low, high, 5)
    assert 2 <= len(ticks) <= 8
    tolerance = 1e-6 * max(1e-3, abs(low), abs(high))
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= high - tolerance
    steps = {f"{b - a:.6g}" for a, b in pairwise(ticks)}
    assert len(steps) == 1 or spread < 1e-6 * abs(low)


@given(st.integers(1, 50), st.integers(0, 2000))
def test_epoch_ticks_are_whole_few_and_apart(first: int, more: int) -> None:
    ticks = epoch_ticks(first, first + more)
    assert ticks[0] == first
    assert ticks == sorted(set(ticks))
    assert ticks[-1] <= first + more
    assert len(ticks) <= 9
    if len(ticks) > 2:
        assert ticks[1] - ticks[0] >= (ticks[2] - ticks[1]) / 2


@given(st.text(max_size=80), st.floats(20, 300))
def test_shortened_text_fits_and_is_a_beginning(words_in: str, width: float) -> None:
    shown = fit(words_in, width)
    assert text_width(shown) <= width
    assert text(words_in).startswith(text(shown.removesuffix("…"))) or shown == words_in or "\\u" in shown


def row(epoch: int, phase: str, loss: float, validation: float | None) -> dict:
    return {"epoch": epoch, "phase": phase, "loss": loss, "validation_loss": validation}


def paths(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    found = re.findall(rf'<path class="{kind}" d="M([^"Z]*)Z?"', svg)
    return [[tuple(map(float, point.split())) for point in path.split("L")] for path in found]  # type: ignore[misc]


def test_loss_curve_goes_through_its_points_and_marks_the_tested_epoch() -> None:
    rows = [row(1, "one", 1.0, 0.8), row(2, "one", 0.5, 0.6), row(3, "two", 0.0, 0.2)]
    svg = loss_curves(rows, tested_epoch=2)
    ((x1, y1), (x2, y2), (x3, y3)) = paths(svg, "line-a")[0]
    assert x2 - x1 == pytest.approx(x3 - x2, abs=1)
    assert y2 - y1 == pytest.approx(y3 - y2, abs=1)
    assert y1 < y3
    mark = re.search(r'class="mark" cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert mark is not None
    second = paths(svg, "line-b")[0][1]
    assert (float(mark[1]), float(mark[2])) == pytest.approx(second, abs=0.5)
    assert phases(rows) == [("one", 1, 2), ("two", 3, 3)]
    assert svg.count('class="band"') == 1


def test_loss_that_is_not_finite_leaves_a_gap() -> None:
    rows = [row(e, "one", math.nan if e == 3 else 1 / e, None) for e in range(1, 7)]
    svg = loss_curves(rows, None)
    assert [len(p) for p in paths(svg, "line-a")] == [2, 3]
    assert not paths(svg, "line-b")
    assert "nan" not in svg.lower()


@pytest.mark.parametrize("rows", [[], [row(1, "one", math.inf, None)]])
def test_no_loss_no_figure(rows: list) -> None:
    assert loss_curves(rows, None) == ""


def test_one_epoch_and_a_constant_loss_can_be_drawn() -> None:
    assert 'class="line-a-dot"' in loss_curves([row(1, "one", 0.3, 0.4)], 1)
    assert len(paths(loss_curves([row(e, "one", 0.3, 0.3) for e in (1, 2, 3)], 1), "line-a")[0]) == 2


def test_roc_panel_draws_the_curve_its_band_and_stays_small() -> None:
    curve = {"fpr": [0, 0, 0.5, 1], "tpr": [0, 0.5, 1, 1], "low": [0, 0.4, 0.9, 1], "high": [0.1, 0.6, 1, 1]}
    svg = panel_svg(roc_panel(curve, 130), 130, "x")
    (x0, y0), (x1, y1), *_, (x3, y3) = paths(svg, "line-a")[0]
    assert (x3 - x0, y0 - y3) == (130, 130)
    assert (x1 - x0, y0 - y1) == (0, 65)
    heights = [(y0 - y) / 130 for x, y in paths(svg, "band-a")[0] if x == x0 + 65]
    assert sorted(heights) == pytest.approx([0.9, 1.0], abs=0.01)
    many = [i / 50_000 for i in range(50_001)]
    assert len(panel_svg(roc_panel({"fpr": many, "tpr": [m**0.3 for m in many]}, 130), 130, "x")) < 9_000
    empty = panel_svg(roc_panel(None, 130), 130, "x")
    assert not paths(empty, "line-a")
    assert "not defined" in empty


def test_a_curve_that_turns_back_keeps_its_tip() -> None:
    """Precision may fall and rise at one recall: the lowest point stays."""
    curve = {"recall": [0.5, 0.5, 0.5], "precision": [1.0, 0.2, 0.8], "prevalence": 0.3}
    assert len(paths(panel_svg(precision_recall_panel(curve, 100), 100, "x"), "line-a")[0]) == 3


def test_decision_curves_end_where_they_fall_below_none_and_begin_again() -> None:
    curve = {
        "threshold": [0.1, 0.2, 0.3, 0.4, 0.5], "model": [0.2, 0.1, -0.2, 0.1, 0.1], "all": [0.2, 0.0, -0.3, -0.6, -1.0],
        "low": [0.1, 0.0, -0.3, 0.0, 0.0], "high": [0.2, 0.2, -0.1, 0.2, 0.2], "prevalence": 0.3,
    }  # fmt: skip
    svg = panel_svg(decision_panel(curve, 220), 220, "x")
    assert len(paths(svg, "line-a")) == 2
    assert len(paths(svg, "line-b")) == 1
    left, top, bottom = 42, 6, 226
    for kind in ("line-a", "line-b", "band-a"):
        for x, y in (point for path in paths(svg, kind) for point in path):
            assert left <= x <= left + 220
            assert top <= y <= bottom
    # The floor lies at -5 per 100, a quarter of the highest tick: the line from 10 to -20 crosses it half-way.
    crossing = paths(svg, "line-a")[0][-1]
    assert crossing == (pytest.approx(left + 220 * 0.25 / 0.5, abs=0.5), bottom)


def test_reliability_panel_places_bins_and_skips_empty_ones() -> None:
    bins = [
        {"low": 0.0, "high": 0.5, "n": 10, "predicted": 0.25, "observed": 0.5, "observed_low": 0.2, "observed_high": 0.8},
        {"low": 0.5, "high": 1.0, "n": 0, "predicted": None, "observed": None, "observed_low": None, "observed_high": None},
    ]  # fmt: skip
    svg = panel_svg(reliability_panel(bins, None, 200), 200, "x")
    assert re.findall(r'class="point-a" cx="([\d.]+)" cy="([\d.]+)"', svg) == [(f"{42 + 50}.0", f"{6 + 100}.0")]
    assert 'd="M92.0 46.0V166.0"' in svg  # from 0.8 to 0.2
    assert svg.count('class="bars"') == 1
    assert 'class="point-b"' in panel_svg(reliability_panel(bins, bins, 200), 200, "x")


def test_forest_is_in_proportion_and_says_what_is_not_drawn() -> None:
    rows = [
        ForestRow("a", 30, {"value": 0.5, "low": 0.0, "high": 1.0}),
        ForestRow("b", 4, {}, "too few, not shown"),
    ]
    svg = forest(rows, "metric", "about", 0.25)
    (low, high) = re.findall(r'class="span-a" d="M([\d.]+) [\d.]+H([\d.]+)"', svg)[0]
    dots = re.findall(r'class="point-a" cx="([\d.]+)"', svg)
    assert float(dots[0]) == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
    assert len(dots) == 1
    assert "too few, not shown" in svg
    reference = re.findall(r'class="chance" d="M([\d.]+)', svg)
    assert float(reference[0]) == pytest.approx(float(low) + 0.25 * (float(high) - float(low)), abs=0.1)
    assert forest([ForestRow("a", 3, {"value": None})], "metric", "about") == ""


def test_whisker_is_in_proportion() -> None:
    svg = whisker(0.5, 0.25, 0.75, (0.0, 1.0))
    assert 'd="M22.0 6H58.0"' in svg
    assert 'cx="40.0"' in svg
    assert 'aria-label="0.500, interval 0.250 to 0.750"' in svg


def test_confusion_matrix_shades_by_row_share() -> None:
    svg = confusion_matrix(("a", "b"), [[3, 1], [0, 0]])
    assert re.findall(r'fill-opacity="([\d.]+)"', svg) == ["0.750", "0.250"]
    assert svg.count('class="frame"') == 2
    assert ">75 %<" in svg
    assert svg.count(">–<") == 2  # a class without images has no shares


def test_bars_are_in_proportion() -> None:
    widths = [
        float(w) for w in re.findall(r'class="fill-a"[^>]* width="([\d.]+)"', bars([("a", 30), ("b", 10)], "n", ""))
    ]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert bars([("a", 0)], "n", "") == ""


def test_scale_bar_has_the_highest_on_top() -> None:
    fills = re.findall(r'y="([\d.]+)"[^>]*fill="(#\w+)"', scale_bar(("#000000", "#808080", "#ffffff")))
    assert [f for _, f in sorted(fills, key=lambda p: float(p[0]))] == ["#ffffff", "#808080", "#000000"]


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_all_figures_are_drawings_of_their_own(
    task: str, invent: Any, findings: tuple[str, ...], evil_names: Any
) -> None:
    """XML of the small vocabulary, whose classes all have a rule in the style; names are safe as file names."""
    styled = set(re.findall(r"^\.([\w-]+) \{", STYLE, re.MULTILINE))
    for classes in (findings, evil_names):
        facts = invent(classes, task=task)
        drawings = all_figures(facts)
        expected = {"training", "roc", "precision_recall", "decision_curves", "calibration", "classes", "conformal_sets", "subgroups_sex"}  # fmt: skip
        assert set(drawings) == expected | ({"confusion"} if task == "multiclass" else set())
        for title, drawing in drawings.items():
            assert re.fullmatch(r"[a-z0-9_]+", title)
            root = ElementTree.fromstring(drawing)
            assert root.tag == "svg"
            _, _, width, height = map(float, root.attrib["viewBox"].split())
            for element in root:
                assert element.tag in {"path", "rect", "circle", "text"}
                assert element.attrib.get("class", "grid") in styled, element.attrib
                assert re.fullmatch("[MLHVZ0-9. -]*", element.attrib.get("d", "")), element.attrib
                if element.tag == "text":
                    assert 0 <= float(element.attrib["x"]) <= width
                    assert 0 <= float(element.attrib["y"]) <= height


def test_the_style_of_exports_is_plain() -> None:
    assert "var(" not in STYLE
    assert "@media" not in STYLE
    assert "--" not in STYLE


def test_subgroups_of_columns_that_differ_in_signs_only_keep_apart(invent: Any) -> None:
    facts = invent()
    column = facts.analysis["subgroups"]["sex"]
    facts = invent(analysis={**facts.analysis, "subgroups": {"a/b": column, "a b": column, "\u00e4": column}})
    assert sum(title.startswith("subgroups") for title in all_figures(facts)) == 3


def test_words() -> None:
    assert text('<a href="x">&\'\x1b') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;\\u001b"
    assert name("<b>") == "<bdi>&lt;b&gt;</bdi>"
    assert [number(v) for v in (0.93149, 1.0, None, math.nan, 12.3456, -0.5, 1.696387512236133, 9.996, 1234.5)] == [
        "0.931",
        "1.000",
        "–",
        "–",
        "12.3",
        "-0.500",
        "1.70",
        "10.0",
        "1,234",
    ]
    assert percent(0.9312) == "93.1\u00a0%"
    assert listing(["a"] * 7, 5).endswith("<bdi>a</bdi> and 2 more")
    assert words({"jax": "0.10", "b": {"v": 1, "c": ["x", "y"]}, "c": None}) == "jax 0.10; b: v 1, c x, y; c –"
    assert words([]) == "none"


def test_bands_and_lines_are_cut_where_values_are_missing() -> None:
    curve = {
        "recall": [0.0, 0.25, 0.5, 0.75, 1.0],
        "precision": [1.0, 0.9, None, 0.8, 0.7],
        "low": [None, 0.5, 0.5, None, 0.5],
        "high": [None, 1.0, 1.0, 0.9, 0.9],
    }
    svg = panel_svg(precision_recall_panel(curve, 200), 200, "x")
    assert svg.count('class="line-a"') == 2
    assert svg.count('class="band-a"') == 1  # the last piece is a single place
    (drawn,) = re.findall(r'class="band-a" d="M([\d.]+) ', svg)
    assert float(drawn) == pytest.approx(42 + 0.25 * 200, abs=0.6)


def test_percent_rounds_to_all_or_nothing_only_what_is() -> None:
    shown = [percent(v) for v in (1.0, 0.9999, 0.999, 0.0002, 0.0)]
    assert [s.replace("\u00a0", " ") for s in shown] == ["100.0 %", "over 99.9 %", "99.9 %", "under 0.1 %", "0.0 %"]


def test_a_legend_stands_below_the_drawing_and_names_what_is_drawn(invent: Any) -> None:
    facts = invent()
    drawings = all_figures(facts)
    bare = loss_curves(facts.history, facts.tested_epoch)
    height, grown = (
        float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawing)[0]) for drawing in (bare, drawings["training"])
    )
    said = dict(
        re.findall(
            r'<text x="[\d.]+" y="([\d.]+)"[^>]*>(training|validation|tested weights[^<]*)<', drawings["training"]
        )
    )
    assert said
    assert all(height < float(y) < grown for y in said)
    assert "before calibration" in drawings["calibration"]
    assert "calling none so" in drawings["decision_curves"]
    assert legend("", {"line-a": "x"}) == ""
