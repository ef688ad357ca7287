"""``metrics.json`` and ``analysis.json`` as tidy CSV files, one observation a row; columns: ``docs/files.md``."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medplug.files import atomic

Row = tuple[Any, ...]
Json = Mapping[str, Any]

_FIGURE = ("value", "low", "high", "method", "reason")
_BLOCKS = {"groups": "group", "thresholds": "threshold", "costs": "cost"}  # of scores within scores, and their level
_OUTSIDE = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a text that begins so for a formula


def write_tidy(folder: str | Path, metrics: Json, analysis: Json) -> list[Path]:
    """Write each table that has rows; a table of an earlier evaluation that has none now is removed.

    Args:
        folder: is made where it is not there.
        metrics: the content of ``metrics.json``.
        analysis: the content of ``analysis.json``; parts may be absent.

    Returns:
        The files that were written.
    """
    folder, written = Path(folder), []
    for name, (columns, rows) in tables(metrics, analysis).items():
        if rows:
            write_table(folder / name, columns, rows)
            written.append(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return written


def tables(metrics: Json, analysis: Json) -> dict[str, tuple[tuple[str, ...], list[Row]]]:
    """Columns and rows of every table by file name; None is an empty cell."""
    return {name: (columns, list(make(metrics, analysis))) for name, (columns, make) in TABLES.items()}


def write_table(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Write a table that spreadsheets open without running what is in it: formulas become texts by an apostrophe."""
    with atomic(path, errors="surrogateescape") as stream:
        # Texts are quoted, because Python 3.11 leaves a lone carriage return bare otherwise.
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else ""
    if not isinstance(value, str):
        return value
    return "'" + value if value.startswith(_OUTSIDE) else value


def _figure(figure: Json | None) -> Row:
    """Value, bounds, method, and why the value or its interval is missing."""
    figure = figure or {}
    return (*(figure.get(key) for key in _FIGURE[:4]), figure.get("reason") or figure.get("interval_reason"))


# ------------------------------------------------------------ metrics.json


def _metrics(metrics: Json, analysis: Json) -> Iterator[Row]:
    for part, scores in metrics.items():
        yield from _scores(part, "sample", scores)


def _scores(part: str, level: str, scores: Json) -> Iterator[Row]:
    for average in ("macro", "weighted", "micro"):
        for metric, figure in scores.get(average, {}).items():
            yield from _rows((part, level, average, None), metric, figure, scores.get("n"))
    for name, figures in scores.get("per_class", {}).items():
        for metric, figure in figures.items():
            if isinstance(figure, Mapping):  # beside the figures stand the count and its mark
                yield from _rows((part, level, "class", name), metric, figure, figures.get("n"))
    for block, inner in _BLOCKS.items():
        if block in scores:
            yield from _scores(part, inner, scores[block])


def _rows(head: Row, metric: str, figure: Json, n: int | None) -> Iterator[Row]:
    """A figure, and each of its companions under ``METRIC.NAME``."""
    excluded = "+".join(figure.get("excluded", ())) or None
    value, low, high, method, reason = _figure(figure)
    yield (*head, metric, value, low, high, method, n, reason, bool(figure.get("one_sided")), excluded)
    for name, companion in (figure.get("companion") or {}).items():
        yield (*head, f"{metric}.{name}", companion, None, None, None, n, None, False, None)


# ------------------------------------------------------------ analysis.json


def _lists(*place: str, keys: tuple[str, ...], constant: tuple[str, ...] = ()) -> Callable[[Json, Json], Iterator[Row]]:
    """Rows of columns that lie under ``place`` by class, as lists of one length; a missing list is empty cells."""

    def make(metrics: Json, analysis: Json) -> Iterator[Row]:
        for name, curve in _at(analysis, *place).items():
            if curve is not None:
                length = len(curve[keys[0]])
                columns = [curve.get(key) or [None] * length for key in keys]
                fixed = tuple(curve.get(key) for key in constant)
                yield from ((name, *cells, *fixed) for cells in zip(*columns, strict=True))

    return make


def _records(*place: str, keys: tuple[str, ...]) -> Callable[[Json, Json], Iterator[Row]]:
    def make(metrics: Json, analysis: Json) -> Iterator[Row]:
        outer, last = place[:-1], place[-1]
        for record in _at(analysis, *outer).get(last) or ():
            yield tuple(record.get(key) for key in keys)

    return make


def _at(analysis: Json, *place: str) -> Json:
    """What lies under the keys; nothing where one is absent or null."""
    for key in place:
        analysis = analysis.get(key) or {}
    return analysis


def _calibrations(analysis: Json) -> Iterator[tuple[str, Json]]:
    for when in ("before", "after"):
        if found := _at(analysis, "calibration").get(when):
            yield when, found


_BIN = ("low", "high", "n", "predicted", "observed", "observed_low", "observed_high")


def _bins(metrics: Json, analysis: Json) -> Iterator[Row]:
    for when, found in _calibrations(analysis):
        for one in found.get("top_label") or ():
            yield (when, None, *(one.get(key) for key in _BIN))
        for name, inner in found.get("per_class", {}).items():
            for one in inner.get("bins") or ():
                yield (when, name, *(one.get(key) for key in _BIN))


def _calibration_figures(metrics: Json, analysis: Json) -> Iterator[Row]:
    for when, found in _calibrations(analysis):
        for key in ("log_loss", "brier", "ece", "top_label_ece"):
            figure = _at(found, key)
            if figure:
                yield (when, None, key, *_figure(figure))
            for beside in ("null", "p"):
                if beside in figure:
                    yield (when, None, f"{key}.{beside}", figure[beside], None, None, None, None)
        for name, inner in found.get("per_class", {}).items():
            for key in ("slope", "intercept"):
                if key in inner:
                    yield (when, name, key, *_figure(inner[key]))


def _rates(metrics: Json, analysis: Json) -> Iterator[Row]:
    for name, found in _at(analysis, "clinical", "rates").items():
        head, own = (name, found.get("threshold")), found.get("prevalence")
        for key in ("lr_positive", "lr_negative"):
            if key in found:
                yield (*head, own, key, *_figure(found[key]))
        for at in found.get("at", ()):
            for key in ("ppv", "npv", "number_needed_to_evaluate"):
                if key in at:
                    yield (*head, at["prevalence"], key, *_figure(at[key]))


def _thresholds(metrics: Json, analysis: Json) -> Iterator[Row]:
    for name, found in _at(analysis, "thresholds", "per_class").items():
        head = (name, *(found.get(key) for key in ("value", "low", "high", "positives", "negatives")))
        for where in ("expected", "test"):
            for key, figure in _at(found, where).items():
                yield (*head, where, key, *_figure(figure), found.get("trust"))
        if not found.get("expected") and not found.get("test"):
            yield (*head, None, None, *_figure(None), found.get("trust"))


def _subgroups(metrics: Json, analysis: Json) -> Iterator[Row]:
    for column, found in _at(analysis, "subgroups").items():
        worst = _at(found, "worst")
        for row in found.get("rows", ()):
            head = (column, row["name"], row["n"], bool(row.get("suppressed")))
            if not row.get("macro"):
                yield (*head, None, *_figure(None), False)
            for metric, figure in _at(row, "macro").items():
                yield (*head, metric, *_figure(figure), worst.get(metric) == row["name"])
        for metric, figure in _at(found, "gap").items():
            yield (column, None, None, False, f"{metric}.gap", *_figure(figure), False)


def _confusion(metrics: Json, analysis: Json) -> Iterator[Row]:
    counts: list[list[int]] = analysis.get("confusion") or []
    names = list(_at(metrics, "test", "per_class"))
    for truth, row in zip(names, counts, strict=False):
        yield from ((truth, predicted, n) for predicted, n in zip(names, row, strict=True))


def _decisions(metrics: Json, analysis: Json) -> Iterator[Row]:
    counts: list[list[int]] = analysis.get("decisions") or []
    for name, row in zip(_at(metrics, "test", "per_class"), counts, strict=False):
        yield (name, *row)


def _operating(metrics: Json, analysis: Json) -> Iterator[Row]:
    for name, found in _at(analysis, "operating").items():
        nothing = [None] * len(found["threshold"])
        bounds = [
            _at(found, "intervals", rate).get(end) or nothing for rate in _RATES_OF_A_CUT for end in ("low", "high")
        ]
        fixed = (found["positives"], found["negatives"])
        for *cells, bound in zip(*(found[key] for key in _OPERATING), zip(*bounds, strict=True), strict=True):
            yield (name, *cells, *fixed, *bound, found.get("method"))


def _costs(metrics: Json, analysis: Json) -> Iterator[Row]:
    for rule in ("most_probable", "least_cost", "difference", "always"):
        if figure := _at(analysis, "costs", "test").get(rule):
            yield (rule, figure.get("decision"), *_figure(figure))


def _cost_matrix(metrics: Json, analysis: Json) -> Iterator[Row]:
    matrix = _at(analysis, "costs", "matrix")
    counts: list[list[int]] = _at(analysis, "costs", "test").get("confusion") or []
    for (truth, costs), row in zip(matrix.items(), counts, strict=True):
        yield from ((truth, decided, cost, n) for (decided, cost), n in zip(costs.items(), row, strict=True))


def _conformal(metrics: Json, analysis: Json) -> Iterator[Row]:
    found = _at(analysis, "conformal")
    test = _at(found, "test")
    if test:
        yield (None, None, *_figure(test.get("coverage")))
    for name, quantile in _at(found, "quantiles").items():
        yield (name, quantile, *_figure(_at(test, "per_class").get(name)))


def _set_sizes(metrics: Json, analysis: Json) -> Iterator[Row]:
    sizes: list[int] = _at(analysis, "conformal", "test").get("sizes") or []
    yield from enumerate(sizes)


def _novelty(metrics: Json, analysis: Json) -> Iterator[Row]:
    samples: list[str] = _at(analysis, "novelty", "test").get("samples") or []
    yield from enumerate(samples, 1)


_RATES_OF_A_CUT = ("sensitivity", "specificity", "ppv", "npv")
_OPERATING = ("threshold", "true_positives", "false_positives")
_BOUNDS = tuple(f"{rate}_{end}" for rate in _RATES_OF_A_CUT for end in ("low", "high"))
_DECISION_CURVE = ("threshold", "model", "low", "high", "all")
_ROC, _PRECISION_RECALL = ("fpr", "tpr", "low", "high"), ("recall", "precision", "low", "high")
_MISTAKES = ("sample", "label", "predicted", "probability")
_ISSUES = ("sample", "part", "label", "suggested", "probability")
_PAIRS = ("truth", "predicted", "n", "of")

# fmt: off
TABLES: dict[str, tuple[tuple[str, ...], Callable[[Json, Json], Iterator[Row]]]] = {
    "metrics.csv": (("part", "level", "average", "class", "metric", "value", "low", "high", "method", "n", "reason",
                     "one_sided", "excluded"), _metrics),
    "roc.csv": (("class", *_ROC, "method"), _lists("curves", "roc", keys=_ROC, constant=("method",))),
    "precision_recall.csv": (("class", *_PRECISION_RECALL, "prevalence", "method"),
                             _lists("curves", "precision_recall", keys=_PRECISION_RECALL,
                                    constant=("prevalence", "method"))),
    "operating.csv": (("class", *_OPERATING, "positives", "negatives", *_BOUNDS, "method"), _operating),
    "confusion.csv": (("truth", "predicted", "n"), _confusion),
    "costs.csv": (("rule", "decision", *_FIGURE), _costs),
    "cost_matrix.csv": (("truth", "decided", "cost", "n"), _cost_matrix),
    "decisions.csv": (("class", "true_positives", "false_positives", "false_negatives", "true_negatives"), _decisions),
    "calibration.csv": (("when", "class", *_BIN), _bins),
    "calibration_figures.csv": (("when", "class", "figure", *_FIGURE), _calibration_figures),
    "thresholds.csv": (("class", "threshold", "threshold_low", "threshold_high", "positives", "negatives", "on", "rate",
                        *_FIGURE, "trust"), _thresholds),
    "decision_curve.csv": (("class", *_DECISION_CURVE, "prevalence", "method"),
                           _lists("clinical", "decision_curve", keys=_DECISION_CURVE,
                                  constant=("prevalence", "method"))),
    "rates.csv": (("class", "threshold", "prevalence", "rate", *_FIGURE), _rates),
    "subgroups.csv": (("column", "subgroup", "n", "suppressed", "metric", *_FIGURE, "worst"), _subgroups),
    "conformal.csv": (("class", "quantile", *_FIGURE), _conformal),
    "conformal_sizes.csv": (("size", "n"), _set_sizes),
    "novelty.csv": (("rank", "sample"), _novelty),
    "mistakes.csv": (_MISTAKES, _records("mistakes", "confident", keys=_MISTAKES)),
    "label_issues.csv": (_ISSUES, _records("mistakes", "label_issues", keys=_ISSUES)),
    "confusion_pairs.csv": (_PAIRS, _records("mistakes", "pairs", keys=_PAIRS)),
}
# fmt: on
