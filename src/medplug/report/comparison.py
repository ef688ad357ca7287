"""Runs beside each other on the same test images, as one page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.report.figures import ForestRow, forest
from medplug.report.markup import name, number, percent, plural, section, table, text
from medplug.report.page import whole_page


def render_comparison(found: Mapping[str, Any], confidence: float) -> str:
    """The page of :func:`medplug.evaluation.compare`'s result: figures beside each other, differences, tests."""
    runs = found["runs"]
    unit = f", drawn by {text(found['unit'])[:-1]}" if found["unit"] == "groups" else ""
    head = (
        f"<p>{plural(len(runs), 'run')} on the same {plural(found['n'], 'test image')}. Intervals aim at "
        f"{percent(confidence)} coverage{unit}; differences are paired image by image, so that an interval of a difference "
        "that leaves out 0 tells more than two intervals that do not meet.</p>"
    )
    return whole_page(
        "Comparison of " + " and ".join([", ".join(runs[:-1]), runs[-1]]),
        [
            section("figures", "Figures", head, _figures(found), _beside(found)),
            section("differences", "Differences", _pairs(found), _gain(found)),
        ],
    )


def _figures(found: Mapping[str, Any]) -> str:
    rows = [
        [name(run), *(_cell(figures.get(run, {})) for figures in found["metrics"].values())] for run in found["runs"]
    ]
    return table(["run", *(text(m.replace("_", " ")) for m in found["metrics"])], rows, "figures")


def _cell(figure: Mapping[str, Any]) -> str:
    if figure.get("value") is None:
        return f'<span title="{text(figure.get("reason", ""))}">–</span>'
    if figure.get("low") is None:
        return number(figure["value"])
    return (
        f'{number(figure["value"])} <span class="interval">{number(figure["low"])} to {number(figure["high"])}</span>'
    )


def _beside(found: Mapping[str, Any]) -> str:
    drawings = [
        forest([ForestRow(run, None, figures.get(run, {}), "not defined") for run in found["runs"]], metric.replace("_", " "),
               f"{metric} of each run")
        for metric, figures in found["metrics"].items()
    ]  # fmt: skip
    return _drawn(drawings)


def _gain(found: Mapping[str, Any]) -> str:
    drawings = []
    for metric in found["metrics"]:
        rows = [
            ForestRow(f"{p['a']} − {p['b']}", None, p["difference"], "not defined")
            for p in found["pairs"]
            if p["metric"] == metric
        ]
        words = f"difference of {metric.replace('_', ' ')}"
        drawings.append(forest(rows, words, f"{words} between runs", 0.0) if rows else "")
    return _drawn(drawings)


def _drawn(drawings: list[str]) -> str:
    return '<div class="panels">' + "".join(f"<figure>{d}</figure>" for d in drawings if d) + "</div>"


def _pairs(found: Mapping[str, Any]) -> str:
    rows = [
        [
            text(p["metric"].replace("_", " ")),
            f"{name(p['a'])} − {name(p['b'])}",
            _cell(p["difference"]),
            _p(p.get("p")),
            _p(p.get("p_holm")),
            text(p["method"]),
        ]
        for p in found["pairs"]
    ]
    return table(["metric", "runs", "difference", "p", "p (Holm)", "method"], rows, "figures")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"
