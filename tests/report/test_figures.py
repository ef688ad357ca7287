from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medplug.report.figures import area, epoch_ticks, loss_curves, nice_ticks, phases, roc_panel, scale_bar, whisker
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


def row(epoch: int, phase: str, loss: float, validation: float | None) -> dict:
    return {"epoch": epoch, "phase": phase, "loss": loss, "validation_loss": validation}


def paths(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    found = re.findall(rf'<path class="{kind}" d="M([^"]*)"', svg)
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


def test_roc_panel_draws_the_curve_and_stays_small() -> None:
    svg = roc_panel(([0, 0, 0.5, 1], [0, 0.5, 1, 1]), "x")
    (x0, y0), *_, (x1, y1) = paths(svg, "line-a")[0]
    assert (x1 - x0, y0 - y1) == (130, 130)
    many = [i / 50_000 for i in range(50_001)]
    assert len(roc_panel((many, [m**0.3 for m in many]), "x")) < 8_000
    assert not paths(roc_panel(None, "x"), "line-a")
    assert area(([0, 0, 0.5, 1], [0, 0.5, 1, 1])) == pytest.approx(0.875)


def test_whisker_is_in_proportion() -> None:
    svg = whisker(0.5, 0.25, 0.75, (0.0, 1.0))
    assert 'd="M22.0 6H58.0"' in svg
    assert 'cx="40.0"' in svg
    assert 'aria-label="0.500, interval 0.250 to 0.750"' in svg


def test_scale_bar_has_the_highest_on_top() -> None:
    fills = re.findall(r'y="([\d.]+)"[^>]*fill="(#\w+)"', scale_bar(("#000000", "#808080", "#ffffff")))
    assert [f for _, f in sorted(fills, key=lambda p: float(p[0]))] == ["#ffffff", "#808080", "#000000"]


def test_words() -> None:
    assert text('<a href="x">&\'\x1b') == "&lt;a href=&quot;x&quot;&gt;&amp;&#x27;\\u001b"
    assert name("<b>") == "<bdi>&lt;b&gt;</bdi>"
    assert [number(v) for v in (0.93149, 1.0, None, math.nan, 12.3456, -0.5)] == [
        "0.931",
        "1.000",
        "–",
        "–",
        "12.35",
        "-0.500",
    ]
    assert percent(0.9312) == "93.1\u00a0%"
    assert listing(["a"] * 7, 5).endswith("<bdi>a</bdi> and 2 more")
    assert words({"jax": "0.10", "b": {"v": 1, "c": ["x", "y"]}, "c": None}) == "jax 0.10, b: v 1, c x, y, c –"
    assert words([]) == "none"
