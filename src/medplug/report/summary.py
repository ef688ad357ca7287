"""The result in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.markup import bullets, listing, name, number, percent, plural, text

FEW = 10  # below this many test images a class's figures say little


def summary(facts: ReportFacts) -> str:
    """Paragraphs for a reader who knows the disease but not the metrics."""
    test = facts.metrics.get("test", {})
    if not test:
        return "<p>No test figures: the data have no test part.</p>"
    macro = test.get("macro", {})
    lead = [_sentence(facts, test, metric, macro[metric]) for metric in facts.readings if metric in macro]
    opening = f"In the test set of {plural(test['n'], 'image')}, "
    others = [
        f"{text(label(metric))}: {interval_text(figure)}"
        for metric, figure in macro.items()
        if metric not in facts.readings
    ]
    paragraphs = [
        opening + "the model " + "; it ".join(lead) + "." if lead else opening + "the figures are as follows."
    ]
    paragraphs += _decisions(facts, test)
    paragraphs += _cautions(test)
    return "".join(f"<p>{p}</p>" for p in paragraphs) + (bullets(others) if others else "")


def label(metric: str) -> str:
    """A metric's name as words."""
    return metric.replace("_", " ")


def interval_text(figure: Mapping[str, Any]) -> str:
    """``0.931 (0.902 to 0.958)``, or why there is no figure."""
    if figure.get("value") is None:
        return f"not defined ({text(figure.get('reason', 'no reason given'))})"
    if figure.get("low") is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])} to {number(figure['high'])})"


def _sentence(facts: ReportFacts, test: Mapping[str, Any], metric: str, figure: Mapping[str, Any]) -> str:
    if figure.get("value") is None:
        return f"has no defined {text(label(metric))} ({text(figure.get('reason', 'no reason given'))})"
    by_class = [test["per_class"][c].get(metric, {}).get("value") for c in facts.classes]
    scalar = all(metric not in entry for entry in test["per_class"].values())
    # With two classes a figure that is the same for both, such as the area under the curve, can name them.
    paired = facts.task == "multiclass" and len(facts.classes) == 2 and None not in by_class
    paired = paired and abs(by_class[0] - by_class[1]) < 1e-9
    if paired:
        one, other = (f"a random image of {name(c)}" for c in reversed(facts.classes))
    elif facts.task == "multilabel":
        one, other = "a random image with a finding", "a random image without it"
    else:
        one, other = "a random image of a class", "a random image of another class"
    words = text(facts.readings[metric])
    words = words.replace("{value}", f"<strong>{percent(figure['value'])}</strong>")
    words = words.replace("{one}", one).replace("{other}", other)
    if figure.get("low") is not None:
        words += f" ({100 * facts.confidence:g}\u00a0% interval {percent(figure['low'])} to {percent(figure['high'])})"
    defined = [v for v in by_class if v is not None]
    if not scalar and not paired and len(defined) > 1:
        words += f", on average over {len(defined)} {'labels' if facts.task == 'multilabel' else 'classes'}"
        words += f" (lowest {_extreme(facts, by_class, min)}, highest {_extreme(facts, by_class, max)})"
    return words


def _extreme(facts: ReportFacts, values: list[float | None], pick: Any) -> str:
    value, where = pick((v, i) for i, v in enumerate(values) if v is not None)
    return f"{percent(value)} for {name(facts.classes[where])}"


def _decisions(facts: ReportFacts, test: Mapping[str, Any]) -> list[str]:
    if facts.confusion is not None:
        return _confusions(facts, facts.confusion)
    if facts.decisions is not None:
        found = sum(row[0] for row in facts.decisions)
        wrong = sum(row[1] for row in facts.decisions)
        present = found + sum(row[2] for row in facts.decisions)
        share = f" ({percent(found / present)})" if present else ""
        told = (
            f"Of {plural(present, 'finding')} that the test images are labelled with, it reports {found:,}{share}, "
            f"and {wrong:,} that they are not labelled with."
        )
        return [told]
    return []


def _confusions(facts: ReportFacts, confusion: Any) -> list[str]:
    k = len(facts.classes)
    total = sum(sum(row) for row in confusion)
    if not total:
        return []
    right = sum(confusion[c][c] for c in range(k))
    sizes = [sum(row) for row in confusion]
    largest = max(range(k), key=sizes.__getitem__)
    first = (
        f"Its most probable class is the labelled one for {right:,} of {plural(total, 'image')} "
        f"({percent(right / total)}); always answering {name(facts.classes[largest])} would be right for "
        f"{sizes[largest]:,} ({percent(sizes[largest] / total)})."
    )
    errors = [(confusion[t][p], t, p) for t in range(k) for p in range(k) if t != p]
    count, truth, taken = max(errors, key=lambda e: e[0], default=(0, 0, 0))
    if not count:
        return [first]
    one, other = name(facts.classes[truth]), name(facts.classes[taken])
    second = f"The most frequent error: {count:,} of {plural(sizes[truth], 'image')} of {one} taken for {other}."
    return [f"{first} {second}"]


def _cautions(test: Mapping[str, Any]) -> list[str]:
    counts = {c: entry["n"] for c, entry in test["per_class"].items()}
    absent = [c for c, n in counts.items() if n == 0]
    few = [c for c, n in counts.items() if 0 < n < FEW]
    found = []
    if few:
        found.append(f"Fewer than {FEW} test images stand behind {listing(few)}: the figures there say little.")
    if absent:
        found.append(f"No test image of {listing(absent)}: nothing is known about how well the model recognises it.")
    return found
