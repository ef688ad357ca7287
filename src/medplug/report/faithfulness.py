"""How far maps can be believed: methods ranked, alarms, probes for shortcuts, and the figures of single maps."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from medplug.explain.alarms import RANDOM_WEIGHTS
from medplug.explain.measures import MEASURES
from medplug.report.facts import ExplainedImage, ReportFacts
from medplug.report.markup import bullets, label, listing, name, number, percent, plural, section, table, text
from medplug.report.pictures import data_address
from medplug.report.tables import Footnotes, bounds_of, cell, notes_list

_SHOWN = ("pointing", "random_weights")  # beside the measure that ranks
_LEVELS = 4  # columns of the check with random weights
_EDGE = 280  # pixels of mean maps
_PICTURES = 12  # mean maps of classes; the folder has all
_CONDITIONS = {
    "plain": "whole images",
    "centre_hidden": "the middle half of the area hidden",
    "border_only": "only the outer tenth shown",
    "hidden": "nothing shown",
}
_CAUTION = (
    "These figures say how well maps tell where this network's score is sensitive. They do not say whether the network looks at "
    "the right thing, and never where a disease is."
)


def faithfulness(facts: ReportFacts) -> str:
    """The section; nothing where nothing was measured."""
    found = facts.faithfulness
    if not found:
        return ""
    return section(
        "faithfulness",
        "How far can these maps be believed?",
        f"<p>{text(found['verdict'])}</p><p>{_CAUTION}</p>",
        _ranking(found),
        _alarms(found),
        _random_weights(found),
        _probes(facts, found.get("probes")),
    )


def of_image(facts: ReportFacts, one: ExplainedImage) -> str:
    """What was measured of one map, beside a random map of the same image; nothing where it was not."""
    method = (facts.faithfulness.get("methods") or {}).get(one.method)
    conditions = facts.faithfulness.get("conditions") or {}
    pairs = list(zip(conditions.get("samples", ()), conditions.get("explained", ()), strict=True))
    if method is None or (one.sample, one.explained) not in pairs:
        return ""
    row = pairs.index((one.sample, one.explained))
    noise = facts.faithfulness["baselines"][method["random"]]
    told = []
    for measure in ("insertion", "deletion"):
        own, random = (_at(columns, measure, row) for columns in (method, noise))
        if own is not None and random is not None:
            told.append(f"{measure} {number(own)} (random map {number(random)})")
    if not told:
        return ""
    return (
        f'<p class="measured">Measured on this image: {", ".join(told)}; high insertion and low deletion are good.</p>'
    )


def alarms_of(one: ExplainedImage) -> str:
    """What is wrong with one map whatever its image shows."""
    return "".join(f' <strong class="differs">{text(alarm)}</strong>' for alarm in one.alarms)


def _at(columns: Mapping[str, Any], measure: str, row: int) -> float | None:
    values = columns["per_image"].get(measure)
    return None if values is None else values[row]


# ---------------------------------------------------------------- methods


def _ranking(found: Mapping[str, Any]) -> str:
    """The methods from the best to the worst, beside maps that know nothing."""
    measure, methods, baselines = found["ranked_by"], found["methods"], found["baselines"]
    if not measure:
        return ""
    conditions = found["conditions"]
    further = [m for m in _SHOWN if any(m in one["figures"] for one in methods.values())]
    notes = Footnotes("method-faithfulness")
    differences = [
        one[key].get(measure) or {} for one in methods.values() for key in ("beside_random", "beside_centre")
    ]
    ends = [f[key] for f in differences for key in ("value", "low", "high") if f.get(key) is not None]
    between = (min([0.0, *ends]), max([0.0, *ends]) or 1.0)
    scale = _scale([one["figures"].get(measure) for one in [*methods.values(), *baselines.values()]])
    rows = []
    for place, method in enumerate(found["ranking"], 1):
        one = methods[method]
        own = " (the run's own)" if one["own"] else ""
        figures = [one["figures"].get(measure), one["beside_random"].get(measure), one["beside_centre"].get(measure)]
        cells = [_cell(f, s, notes) for f, s in zip(figures, (scale, between, between), strict=True)]
        rows.append([f"{place}. {name(method)}{own}", *cells, *(_plain(one["figures"].get(m)) for m in further)])
    for baseline, one in baselines.items():
        title = "the centre of the image" if baseline == "centre" else f"random map, {text(baseline.partition(' ')[2])}"
        cells = [_cell(one["figures"].get(measure), scale, notes), "", ""]
        rows.append([f"<em>{title}</em>", *cells, *(_plain(one["figures"].get(m)) for m in further)])
    good = MEASURES[measure].good
    head = ["method", f"{MEASURES[measure].words} ({good} is good)", "less a random map", "less the centre"]
    head += [MEASURES[m].words for m in further]
    lines = [f"{text(MEASURES[m].words).capitalize()}: {text(MEASURES[m].about)}" for m in (measure, *further)]
    marked = found.get("marked")
    masks = f" {marked} of them have a mask that marks something." if marked else ""
    return (
        f"<p>{plural(len(conditions['samples']), 'test image')}, drawn from all classes in turn, and for each the class that the "
        f"network predicts.{masks} Differences are paired: map against map on the same image. A random map has the size of the "
        "method's raw maps, and so its smoothness.</p>"
        + table(head, rows, "figures")
        + notes_list([*lines, *notes.items()])
        + _everything(found)
    )


def _everything(found: Mapping[str, Any]) -> str:
    """All measures of all methods, folded."""
    measured = {**{m: found["methods"][m] for m in found["ranking"]}, **found["baselines"]}
    rows = []
    for measure, about in MEASURES.items():
        figures = [one["figures"].get(measure) for one in measured.values()]
        if any(figures):
            good = f"<small>{about.good} is good</small>" if about.good else ""
            rows.append([f"{text(about.words)} {good}", *(cell(f, drawn=False) if f else "" for f in figures)])
    lines = [f"{text(MEASURES[m].words).capitalize()}: {text(MEASURES[m].about)}" for m in MEASURES]
    shown = table(["measure", *map(name, measured)], rows, "figures")
    return f"<details><summary>All measures</summary>{shown}{notes_list(lines)}</details>"


def _scale(figures: Iterable[Mapping[str, Any] | None]) -> tuple[float, float]:
    return bounds_of(f for f in figures if f)


def _cell(figure: Mapping[str, Any] | None, bounds: tuple[float, float], notes: Footnotes) -> str:
    return "" if not figure else cell(figure, bounds, notes.mark(figure))


def _plain(figure: Mapping[str, Any] | None) -> str:
    return cell(figure, drawn=False) if figure else ""


def _alarms(found: Mapping[str, Any]) -> str:
    told = [f"{name(alarm['method'])}: {text(alarm['text'])}" for alarm in found["alarms"]]
    if not told:
        checked = "constant maps, evidence on the border and in the corners"
        if any("random_weights" in one["figures"] for one in found["methods"].values()):
            checked += ", maps that do not depend on the weights"
        return f"<h3>Alarms</h3><p>None. Looked for were {checked}.</p>"
    return f"<h3>Alarms</h3>{bullets(_warning(line) for line in told)}"


def _warning(line: str) -> str:
    return f'<span class="level warning">alarm</span> {line}'


def _random_weights(found: Mapping[str, Any]) -> str:
    """Rank correlations while ever more of the network forgets."""
    cascades = {m: found["methods"][m]["cascade"] for m in found["ranking"] if found["methods"][m].get("cascade")}
    if not cascades:
        return ""
    first = next(iter(cascades.values()))
    steps = len(first["names"])
    places = sorted({round(i * (steps - 1) / (_LEVELS - 1)) for i in range(_LEVELS)}) if steps > 1 else [0]
    heads = [
        "all weights" if p == steps - 1 else "the head" if p == 0 else f"down to {text(first['names'][p])}"
        for p in places
    ]
    rows = []
    for method, one in cascades.items():
        cells = []
        for p in places:
            value = one["correlations"][p]
            high = value is not None and p == steps - 1 and value >= RANDOM_WEIGHTS
            cells.append(f"<strong>{number(value)}</strong> alarm" if high else number(value))
        rows.append([name(method), *cells])
    return (
        "<h3>Random-weights check</h3><p>The weights are shuffled from the output down, and each map is compared with the one of the "
        f"trained network (mean rank correlation over {plural(first['images'], 'image')}). A map that shows what the network has "
        f"learned has little left in the end; from {RANDOM_WEIGHTS:g} on with all weights random, an alarm is raised.</p>"
        + table(["shuffled:", *heads], rows, "points")
    )


# ---------------------------------------------------------------- probes


def _probes(facts: ReportFacts, probes: Mapping[str, Any] | None) -> str:
    if not probes:
        return ""
    alarms = bullets(_warning(text(alarm["text"])) for alarm in probes["alarms"])
    none = (
        ""
        if alarms
        else "<p>No alarm: the border alone keeps less than half of what whole images give, and no mean map lies on the border.</p>"
    )
    return (
        f"<h3>Probes for shortcuts</h3><p>All of {plural(probes['images'], 'test image')}, shown to the network in parts.</p>"
        + _hidden_parts(probes["hidden_parts"])
        + alarms
        + none
        + _pictures(facts, probes)
    )


def _hidden_parts(hidden: Mapping[str, Any]) -> str:
    metrics = hidden["metrics"]
    if not metrics:
        return ""
    notes = Footnotes("method-probes")
    rows = []
    for condition, words in _CONDITIONS.items():
        figures = [hidden["figures"][condition].get(metric) for metric in metrics]
        rows.append([words, *(_cell(f, (0.0, 1.0), notes) for f in figures)])
    lines = list(notes.items())
    told = []
    for condition, words in (("border_only", "the outer tenth alone"), ("centre_hidden", "the middle hidden")):
        left = hidden["left"][condition].get(metrics[0])
        if left is not None:
            told.append(f"{percent(max(0.0, left))} with {words}")
    left = (
        f"<p>Of what whole images add to {text(label(metrics[0]))} over nothing, {' and '.join(told)} is left.</p>"
        if told
        else ""
    )
    lines.append(
        "What is hidden has the value 0 of standardised images, an even grey; the network never saw such images in training."
    )
    return table(["shown", *(text(label(m)) for m in metrics)], rows, "figures roomy") + left + notes_list(lines)


def _pictures(facts: ReportFacts, probes: Mapping[str, Any]) -> str:
    classes, clusters = probes["classes"], probes["clusters"]
    empty = probes["without_evidence"]
    cards = [
        _figure(facts, one, f"predicted {name(one['name'])}", f"{plural(one['images'], 'image')}.")
        for one in classes[:_PICTURES]
    ]
    more = (
        f"<p>{len(classes) - _PICTURES} more classes are in the folder explanations/faithfulness/.</p>"
        if len(classes) > _PICTURES
        else ""
    )
    without = f" {plural(empty, 'map')} without positive evidence are in none." if empty else ""
    several = (
        f"k-means found {len(clusters)} kinds of maps; look whether one of them belongs to a class for a reason that is not the disease"
        if len(clusters) > 1
        else "k-means found no kinds of maps that differ clearly"
    )
    return (
        f"<h4>Mean maps of {text(probes['method'])} by predicted class, over the mean image</h4>"
        f"<p>Organs move from image to image, markers and frames do not: look for spots that stay sharp. An even map has "
        f"{100 * probes['even_border']:.0f} % of its evidence on the border.</p>"
        f'<div class="panels large">{"".join(cards)}</div>{more}'
        f"<h4>Clusters of maps</h4><p>{several}.{without}</p>"
        f'<div class="panels large">{"".join(_cluster(facts, one) for one in clusters)}</div>'
    )


def _cluster(facts: ReportFacts, one: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{name(c)} {n}" for c, n in sorted(one["labels"].items(), key=lambda item: -item[1])[:5])
    told = (
        f"{plural(one['images'], 'image')}, {one['right']} predicted rightly. Labels: {labels or 'none'}. "
        f"Typical: {listing(one['examples'], 3)}."
    )
    return _figure(facts, one, text(one["name"]), told)


def _figure(facts: ReportFacts, one: Mapping[str, Any], title: str, told: str) -> str:
    shown = ""
    if one["picture"] in facts.faithfulness_pictures:
        with Image.open(io.BytesIO(facts.faithfulness_pictures[one["picture"]])) as picture:
            shown = f'<img alt="mean map: {text(one["name"])}" src="{data_address(picture.convert("RGB"), _EDGE)}">'
    border = "" if one["border"] is None else f" On the border: {100 * one['border']:.0f} % of the evidence."
    return f"<figure><figcaption>{title}<small>{told}{border}</small></figcaption>{shown}</figure>"


def pictures_of(found: Mapping[str, Any]) -> Sequence[str]:
    """File names of the pictures that the section shows."""
    probes = found.get("probes") or {}
    return [one["picture"] for one in [*probes.get("classes", ())[:_PICTURES], *probes.get("clusters", ())]]
