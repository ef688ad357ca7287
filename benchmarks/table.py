"""Records as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.experiments import Experiment, experiments, published
from benchmarks.family import MissingDataError, Options, Record

HEAD = """# Results

Written by `python -m benchmarks table` from the records in `RESULTS.json`. Macro figures are means over classes,
± the standard deviation over seeds. Differences are medplug's macro AUC minus that of the floor on the same test
images, with the 95 % interval of a paired bootstrap (over groups where there are groups).
"""
_NONE = "–"
_FIGURES = ("roc_auc", "f1", "balanced_accuracy")
_FLOORS = ("thumbnails", "features")


def experiments_section(records: Sequence[Record], options: Options) -> str:
    """The paper's experiments beside the published numbers, the small sets beside their floors, and each run."""
    by_name: dict[str, list[Record]] = {}
    for record in records:
        by_name.setdefault(record["benchmark"], []).append(record)
    known = experiments().values()
    small = [row for e in known if e.group != "paper" for row in _small_rows(e, by_name.get(e.name, []), options)]
    paper = [row for e in known if e.group == "paper" for row in _paper_rows(e, by_name.get(e.name, []), options)]
    parts = [
        "## Small real sets\n",
        table(
            ["benchmark", "images", "classes", "pixels", "budget, min", "seeds", "macro AUC", "macro F1",
             "balanced accuracy", "thumbnails: AUC", "difference", "frozen features: AUC", "difference"],
            small,
        ),
        "## The paper's nine experiments\n",
        table(
            ["benchmark", "images", "classes", "seeds", "macro AUC: paper", "medplug", "macro F1: paper", "medplug",
             "balanced accuracy: paper", "medplug", "remark"],
            paper,
        ),
    ]  # fmt: skip
    if records:
        parts += ["## Each run\n", _runs_table(records)]
    notes = [f"- {r['benchmark']}, seed {r['seed']}: {note}" for r in records for note in r["notes"]]
    return "\n".join([*parts, *notes, ""] if notes else parts)


def machines_section(records: Sequence[Record]) -> str:
    """Where and with what code the records were measured."""
    found: dict[str, list[str]] = {}
    for record in records:
        m = record["machine"]
        device = f", {record['device']}" if "device" in record else ""
        words = (
            f"{m['platform']}, {m['cpus']} CPUs{device}, Python {m['python']}, medplug {m['medplug']} at commit "
            f"{m['commit']}, {m['date']}"
        )
        seed = f" (seed {record['seed']})" if record.get("seed") is not None else ""
        name = (
            f"rows of {record['family']}" if "rival" in record else record["benchmark"] + seed
        )  # these say it themselves
        found.setdefault(words, []).append(name)
    lines = [f"- {words}: {', '.join(dict.fromkeys(names))}" for words, names in found.items()]
    return "\n".join(["## Machines\n", *(lines or ["Nothing was run yet."]), ""])


# ---------------------------------------------------------------- rows


def _small_rows(experiment: Experiment, records: Sequence[Record], options: Options) -> list[list[str]]:
    head, plan = _head(experiment), experiment.run
    if not records:
        seeds = ", ".join(map(str, plan.seeds))
        return [[*head, _text(plan.size), _text(plan.budget), seeds, _absence(experiment, options), *[_NONE] * 6]]
    rows = []
    for alike in _by_settings(records):
        settings = alike[0]["settings"]
        cells = [_text(settings["size"]), _text(settings["budget"]), _seeds(alike)]
        cells += [_over_seeds([_macro(r, name) for r in alike]) for name in _FIGURES]
        for floor in _FLOORS:
            found = [r["floors"][floor] for r in alike if floor in r["floors"]]
            cells += [_over_seeds([f["roc_auc"] for f in found]), _difference([f["difference"] for f in found])]
        rows.append([*head, *cells])
    return rows


def _paper_rows(experiment: Experiment, records: Sequence[Record], options: Options) -> list[list[str]]:
    numbers = published(experiment.published) if experiment.published else {}
    theirs = [numbers.get(key) for key in (("macro", "roc_auc"), ("macro", "f1"), ("all", "balanced_accuracy"))]
    rows = []
    for alike in _by_settings(records) or [[]]:
        cells = []
        for value, name in zip(theirs, _FIGURES, strict=True):
            cells += [_NONE if value is None else f"{value:.3f}", _over_seeds([_macro(r, name) for r in alike])]
        remark = "" if alike else _absence(experiment, options)
        rows.append([*_head(experiment), _seeds(alike) if alike else _NONE, *cells, remark])
    return rows


def _runs_table(records: Sequence[Record]) -> str:
    head = ["benchmark", "seed", "epochs", "training, min", "macro AUC", "thumbnails: AUC", "difference"]
    rows = []
    for record in records:
        cells = [record["benchmark"], str(record["seed"]), str(record["epochs"]), f"{record['training_minutes']:.1f}"]
        cells.append(_with_interval(record["macro"].get("roc_auc", {}), "{:.3f}"))
        for floor in _FLOORS:
            found = record["floors"].get(floor)
            cells += [f"{found['roc_auc']:.3f}", _with_interval(found["difference"])] if found else [_NONE, _NONE]
        rows.append(cells)
    return table([*head, "frozen features: AUC", "difference"], rows)


def _by_settings(records: Sequence[Record]) -> list[list[Record]]:
    """Records that differ in their seed only, together."""
    found: dict[str, list[Record]] = {}
    for record in records:
        key = repr(sorted((k, v) for k, v in record["settings"].items() if k != "seed"))
        found.setdefault(key, []).append(record)
    return list(found.values())


def _absence(experiment: Experiment, options: Options) -> str:
    try:
        experiment.find(options.data)
    except MissingDataError:
        return f"data not here: {experiment.source.page}"
    return "not run"


# ---------------------------------------------------------------- cells


def _head(experiment: Experiment) -> list[str]:
    return [experiment.name, str(experiment.data.images), str(len(experiment.data.classes))]


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(str(record["seed"]) for record in records)


def _macro(record: Record, name: str) -> float | None:
    return record["macro"].get(name, {}).get("value")


def _over_seeds(values: Sequence[float | None]) -> str:
    """``0.912``, or ``0.912 ± 0.004`` for several seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return _NONE
    spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.3f}{spread}"


def _difference(differences: Sequence[Mapping[str, Any]]) -> str:
    """One run: with its interval. Several: their mean, and how many of their intervals lie above zero."""
    if len(differences) < 2:
        return _with_interval(differences[0]) if differences else _NONE
    mean = statistics.fmean(d["value"] for d in differences)
    above = sum(d["low"] is not None and d["low"] > 0 for d in differences)
    return f"{mean:+.3f} (interval above 0 in {above} of {len(differences)})"


def _with_interval(figure: Mapping[str, Any], form: str = "{:+.3f}") -> str:
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    if value is None:
        return _NONE
    interval = "" if low is None or high is None else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(value) + interval


def _text(value: float | None) -> str:
    return _NONE if value is None else f"{value:g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; bars within cells become slashes."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"
