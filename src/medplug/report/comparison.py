"""Runs beside each other on the same test images, as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.figures import ForestRow, forest
from medplug.report.markup import label, name, p_value, percent, plural, section, table, text
from medplug.report.page import whole_page
from medplug.report.tables import Footnotes, bounds_of, cell, notes_list

_NAMED = 3  # so many runs stand in the title


def render_comparison(found: Mapping[str, Any], confidence: float) -> str:
    """The page of :func:`medplug.evaluation.compare`'s result: figures beside each other, differences, tests."""
    runs = list(found["runs"])
    title = " and ".join([", ".join(runs[:-1]), runs[-1]]) if len(runs) <= _NAMED else f"{len(runs)} runs"
    units = f" of {found['units']:,} groups" if found["unit"] == "groups" else ""
    head = (
        f"<p>{plural(len(runs), 'run')} on the same {plural(found['n'], 'test image')}{units}. Intervals aim at a coverage of "
        f"{percent(confidence)}. The differences below are paired image by image: an interval of a difference that leaves "
        "out 0 tells more than two intervals that do not meet.</p>"
    )
    pairs = list(dict.fromkeys((p["a"], p["b"]) for p in found["pairs"]))
    return whole_page(
        f"Comparison of {title}",
        [
            section("figures", "Figures", head, _figures(found), _beside(found)),
            section(
                "differences",
                "Differences",
                f'<p class="notes">{text(found["correction"])}</p>',
                *(_pair(found, a, b, i) for i, (a, b) in enumerate(pairs)),
                _gain(found),
            ),
        ],
    )


def _figures(found: Mapping[str, Any]) -> str:
    notes, rows = Footnotes("figure"), []
    for metric, by_run in found["metrics"].items():
        bounds = bounds_of(by_run.values())
        rows.append(
            [text(label(metric)), *(cell(by_run[run], bounds, notes.mark(by_run[run])) for run in found["runs"])]
        )
    return table(["metric", *(name(run) for run in found["runs"])], rows, "figures roomy") + notes_list(notes.items())


def _pair(found: Mapping[str, Any], a: str, b: str, number: int) -> str:
    """The differences of two runs, and the tests of them."""
    notes, rows = Footnotes(f"pair-{number}"), []
    for p in found["pairs"]:
        if (p["a"], p["b"]) == (a, b):
            difference = {**p["difference"], "method": p["method"]}
            shown = cell(difference, mark=notes.mark(difference), drawn=False)
            rows.append([text(label(p["metric"])), shown, _p(p.get("p")), _p(p.get("p_holm"))])
    head = ["metric", "difference", "p", "p (Holm)"]
    return f"<h3>{name(a)} − {name(b)}</h3>{table(head, rows, 'figures')}{notes_list(notes.items())}"


def _beside(found: Mapping[str, Any]) -> str:
    return _drawn(
        [
            forest(
                [ForestRow(run, None, by_run.get(run, {}), "not defined") for run in found["runs"]],
                label(metric),
                f"{label(metric)} of each run",
            )
            for metric, by_run in found["metrics"].items()
        ]
    )


def _gain(found: Mapping[str, Any]) -> str:
    """What each further run gains over the first one, in the good direction of each metric."""
    first, drawings = found["gain"], []
    for metric, by_run in first.items():
        rows = [ForestRow(run, None, figure, "not defined") for run, figure in by_run.items() if run in found["runs"]]
        words = f"gain in {label(metric)}"
        drawings.append(forest(rows, words, f"{words} over {found['runs'][0]}", 0.0) if rows else "")
    if not any(drawings):
        return ""
    told = f"<h3>Gain over {name(found['runs'][0])}</h3><p>To the right of the dashed line is better, whatever the metric.</p>"
    return told + _drawn(drawings)


def _drawn(drawings: Sequence[str]) -> str:
    return '<div class="panels forests">' + "".join(f"<figure>{d}</figure>" for d in drawings if d) + "</div>"


def _p(value: float | None) -> str:
    return "–" if value is None else p_value(value)
