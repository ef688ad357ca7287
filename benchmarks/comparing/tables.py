"""The comparison and the choice of settings as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.comparing.plan import PLANS, RIVALS, STANDARD
from benchmarks.family import Options, Record
from benchmarks.table import table

HIGH, TOLERATED = 0.97, 0.005
"""Where a rival reaches so much on a set, the standard recipe may be so much lower, but not more."""

GAP, GAP_MINUTES, GAP_RIVAL = 0.02, 20, "features"
"""In so many minutes the standard recipe is to be so much above this rival, on the mean."""

QUIET = 0.05
_NONE = "–"


def comparison(records: Sequence[Record], options: Options) -> str:
    """What was asked of the standard recipe, each row, and the differences set by set; a part a budget."""
    lines = ["## Beside rivals", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks compare`.", ""])
    lines += [
        "Macro AUC on the test part; all rivals of a row have its split, size, backbone and weights, and its minutes of wall",
        "time (programs are compiled within them, as in the first run on a machine; the logistic regression takes what it needs). Differences are those of",
        "`standard` minus the rival on the same images, pooled over pairs of a set and a seed. The interval draws pairs and,",
        "within them, images (or groups), which counts the noise of the images twice: it is the cautious one. Beside it stands",
        "the one that draws pairs alone. *Others* is the share of the processors' time that went to processes outside of the",
        f"row; from {QUIET:.0%} on it is bold: such a row is to be made again on a quiet machine.",
        "",
    ]
    budgets = sorted({(r["minutes"], r["size"]) for r in records})
    for minutes, size in budgets:
        alike = [r for r in records if (r["minutes"], r["size"]) == (minutes, size)]
        planned = any((p.minutes, p.size) == (minutes, size) for p in PLANS)
        lines += [f"### {minutes:g} minutes, {size} px{'' if planned else ' (a trial)'}", ""]
        parts = [_pooled_table(alike), _gap(alike, minutes), _set_table(alike), _row_table(alike), *_stale(alike)]
        lines += [part for part in parts if part]
    return "\n".join([*lines, ""])


def _pooled_table(records: Sequence[Record]) -> str:
    from benchmarks.comparing.pairing import pooled

    rows = []
    for rival in RIVALS:
        found = [r["difference"] for r in records if r["rival"] == rival and "difference" in r]
        if not found:
            continue
        whole = pooled(found)
        reached = whole["low"] > 0
        rows.append([
            rival, RIVALS[rival], str(whole["pairs"]), f"{whole['value']:+.4f}", _interval(whole, ""),
            _interval(whole, "pairs_"), "above 0" if reached else "**not above 0**",
        ])  # fmt: skip
    head = ["rival", "", "pairs", "mean difference", "95 % interval", "over pairs alone", "the interval lies"]
    return table(head, rows) if rows else "No pair is complete yet.\n"


def _gap(records: Sequence[Record], minutes: float) -> str:
    found = [r["difference"]["value"] for r in records if r["rival"] == GAP_RIVAL and "difference" in r]
    if minutes != GAP_MINUTES or not found:
        return ""
    gap = statistics.fmean(found)
    word = "reached" if gap >= GAP else "**missed**"
    return f"Mean gap to {GAP_RIVAL} over {len(found)} seeds: {gap:+.4f} (asked for: {GAP:+g}; {word}).\n"


def _set_table(records: Sequence[Record]) -> str:
    """The means over seeds, and what is asked where a rival is hard to beat."""
    rivals = [rival for rival in RIVALS if any(r["rival"] == rival for r in records)]
    rows = []
    for name in dict.fromkeys(r["set"] for r in records):
        of_set = [r for r in records if r["set"] == name]
        seeds = sorted({r["seed"] for r in of_set})
        cells = [name, ", ".join(map(str, seeds))]
        for rival in rivals:
            found = [r for r in of_set if r["rival"] == rival]
            cells.append(_mean([r["test_auc"] for r in found]))
            if rival != STANDARD:
                cells.append(_of_set(found))
        rows.append(cells)
    head = ["set", "seeds"]
    for rival in rivals:
        head += [rival] if rival == STANDARD else [rival, "difference"]
    return table(head, rows)


def _of_set(found: Sequence[Record]) -> str:
    differences = [r["difference"]["value"] for r in found if "difference" in r]
    if not differences:
        return _NONE
    mean = statistics.fmean(differences)
    if statistics.fmean(r["test_auc"] for r in found) < HIGH:
        return f"{mean:+.3f}"
    allowed = mean >= -TOLERATED
    return f"{mean:+.3f} (rival >= {HIGH:g}: {'not lower' if allowed else '**lower**'} by more than {TOLERATED:g})"


def _row_table(records: Sequence[Record]) -> str:
    rows = []
    for r in sorted(records, key=lambda r: (r["set"], r["seed"], list(RIVALS).index(r["rival"]))):
        difference = r.get("difference")
        shown = _NONE if difference is None else f"{difference['value']:+.3f} ± {difference['error']:.3f}"
        epochs = _NONE if r["epochs"] is None else str(r["epochs"])
        m = r["machine"]
        rows.append([
            r["set"], str(r["seed"]), r["rival"], f"{r['test_auc']:.3f}", _number(r["validation_auc"]), shown, epochs,
            f"{r['training_minutes']:.1f}", f"{r['seconds']:.0f}", _others(r["others"]),
            f"{m['platform']}, {m['cpus']} CPUs", m["commit"], m["date"],
        ])  # fmt: skip
    head = ["set", "seed", "rival", "test AUC", "validation AUC", "difference ± its error", "epochs", "training, min"]
    return table([*head, "all, s", "others, %", "machine", "commit", "date"], rows)


def _stale(records: Sequence[Record]) -> list[str]:
    """Differences to a row of the standard recipe that was made again since."""
    now = {(r["set"], r["seed"]): r for r in records if r["rival"] == STANDARD}
    lines = []
    for r in records:
        against, ours = r.get("difference", {}).get("standard"), now.get((r["set"], r["seed"]))
        if against and ours and against["test_auc"] != ours["test_auc"]:
            lines.append(
                f"- {r['set']}, seed {r['seed']}, {r['rival']}: the difference is to an earlier run of `{STANDARD}` (commit "
                f"{against['commit']}); make both again with `--again`"
            )
    return [*lines, ""] if lines else []


# ---------------------------------------------------------------- the choice of settings


def choice(records: Sequence[Record], options: Options) -> str:
    """Each round: the variants beside their base."""
    lines = ["## Choice of settings", ""]
    if not records:
        return "\n".join([*lines, "Not run: `python -m benchmarks choose`.", ""])
    lines += [
        "Variants of settings beside a base on the same images. No test part is touched: its images are taken out before, and",
        "what is left is divided anew into training, validation and a part to judge on. Differences are the variant minus the",
        "base, pooled as above; a higher AUC and a lower loss are better. Bold: the interval does not hold zero.",
        "",
    ]
    for record in records:
        lines += [
            f"### {record['round']}: {_budget(record['minutes'])}, {record['size']} px",
            "",
            _choice_table(record),
        ]
        where = ", ".join(f"{name} {seed}" for name, seed in record["pairs"])
        lines += [f"Base: `{record['base']}`. Sets and seeds: {where}.", ""]
    return "\n".join([*lines, ""])


def _choice_table(record: Record) -> str:
    rows = []
    for name, found in record["variants"].items():
        cells = [name, _settings(found["settings"]), f"{found['auc']:.4f}", f"{found['loss']:.4f}"]
        cells += [f"{found['epochs']:.1f}", f"{found['images_per_second']:.0f}"]
        for figure, form in (("auc_difference", "{:+.4f}"), ("loss_difference", "{:+.4f}")):
            whole = found.get(figure)
            if whole is None:
                cells += [_NONE, _NONE]
                continue
            clear = whole["low"] > 0 or whole["high"] < 0
            value = form.format(whole["value"])
            cells += [f"**{value}**" if clear else value, _interval(whole, "")]
        rows.append([*cells, str(found["rows"]), found["commit"]])
    head = ["variant", "settings", "AUC", "log loss", "epochs", "images/s", "AUC: difference", "95 % interval"]
    return table([*head, "log loss: difference", "95 % interval", "rows", "commit"], rows)


def _budget(minutes: float | None) -> str:
    return "the epochs of the settings" if minutes is None else f"{minutes:g} minutes"


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items()) or _NONE


# ---------------------------------------------------------------- cells


def _interval(whole: dict[str, Any], prefix: str) -> str:
    return f"[{whole[f'{prefix}low']:+.4f}, {whole[f'{prefix}high']:+.4f}]"


def _mean(values: Sequence[float]) -> str:
    if not values:
        return _NONE
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def _others(share: float | None) -> str:
    if share is None:
        return _NONE
    return f"{100 * share:.0f}" if share < QUIET else f"**{100 * share:.0f}**"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}"
