"""The result in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.evaluation.proportions import wilson
from medplug.report.facts import ReportFacts
from medplug.report.markup import bullets, label, listing, name, number, percent, plural, text

FEW = 10  # below this many test images a class's figures say little


_LIMIT = 3  # classes whose misses are told one by one
_APART = 0.05  # from which distance on the stated and the true share of right answers are told to differ
_SHARED = {
    "image": "Test images were set apart from the training images one by one, not patient by patient: the figures may be too good.",
    "group (guessed)": "Which images belong to one patient was guessed: if the guess is wrong, the figures may be too good.",
    "unknown": "It is not known whether patients of the test images were also used for training: if so, the figures are too good.",
}


def summary(facts: ReportFacts) -> str:
    """For a reader who knows the disease but not the metrics: what, how good, what it misses, cautions."""
    test = facts.test
    if not test:
        return "<p>No test figures: the data have no test part.</p>"
    paragraphs = [_task(facts, test), _quality(facts, test)]
    misses = _misses(facts)
    cautions = [*_cautions(facts, test), *_trust(facts)]
    return (
        "".join(f"<p>{p}</p>" for p in paragraphs if p)
        + (f"<h3>What it misses</h3>{bullets(misses)}" if misses else "")
        + (f"<h3>Cautions</h3>{bullets(cautions)}" if cautions else "")
    )


def _task(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    k = len(facts.classes)
    of = (
        f" of {plural(test['units'], 'group')} (such as patients)"
        if test.get("unit") == "groups" and test.get("units")
        else ""
    )
    what = (
        f"{plural(test['n'], 'image')}{of} that the model was not trained on"
        if facts.split_sizes.get("train")
        else plural(test["n"], "image") + of
    )
    if facts.task == "multilabel":
        return (
            f"The model tells for each of {k} labels ({listing(facts.classes, 8)}) how probable it is that an image shows it. It "
            f"was tested on {what}."
        )
    return f"The model sorts images into {k} classes: {listing(facts.classes, 8)}. It was tested on {what}."


def _quality(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    macro = test.get("macro", {})
    told = [m for m in facts.readings if m in macro and not _is_share_of_right_answers(facts, m)]
    lead = [_sentence(facts, test, metric, macro[metric]) for metric in told]
    sentences = [f"In this test it {'; it '.join(lead)}."] if lead else []
    return " ".join([*sentences, _right(facts)])


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
        one, other = "a random image with a label", "a random image without it"
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


def _is_share_of_right_answers(facts: ReportFacts, metric: str) -> bool:
    """Whether a metric says what the counts of the confusion matrix say anyhow."""
    counts, value = facts.confusion_counts, facts.test["macro"][metric].get("value")
    if counts is None or value is None or any(metric in entry for entry in facts.test["per_class"].values()):
        return False
    right, total = sum(counts[c][c] for c in range(len(counts))), sum(map(sum, counts))
    return total > 0 and abs(value - right / total) < 1e-9


def _right(facts: ReportFacts) -> str:
    """How many answers are right, against the simplest way to answer."""
    if facts.confusion_counts is not None:
        confusion = facts.confusion_counts
        sizes = [sum(row) for row in confusion]
        total, right = sum(sizes), sum(confusion[c][c] for c in range(len(sizes)))
        if not total:
            return ""
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        return (
            f"Its most probable class is the labelled one for {right:,} of {plural(total, 'image')} "
            f"({_share(facts, right, total)}); always answering {name(facts.classes[largest])} would be right for "
            f"{sizes[largest]:,} ({percent(sizes[largest] / total)})."
        )
    if facts.decision_counts is not None:
        found = sum(row[0] for row in facts.decision_counts)
        wrong = sum(row[1] for row in facts.decision_counts)
        present = found + sum(row[2] for row in facts.decision_counts)
        share = f" ({percent(found / present)})" if present else ""
        return (
            f"Of {plural(present, 'label')} that the test images have, it reports {found:,}{share}, and {wrong:,} that "
            "they do not have."
        )
    return ""


def _misses(facts: ReportFacts) -> list[str]:
    """The classes of which most is missed, and what they are taken for."""
    missed: list[tuple[bool, float, str]] = []  # classes with few images last: their shares are chance
    if facts.confusion_counts is not None:
        for t, row in enumerate(facts.confusion_counts):
            total, lost = sum(row), sum(row) - row[t]
            if lost:
                taken = max((p for p in range(len(row)) if p != t), key=lambda p, row=row: row[p])
                told = f"Of {plural(total, 'image')} of {name(facts.classes[t])}, {lost:,} {_are(lost)} taken for "
                if row[taken] == lost:
                    told += f"{name(facts.classes[taken])} ({_share(facts, lost, total)})."
                else:
                    told += f"something else ({_share(facts, lost, total)}), most often for {name(facts.classes[taken])} ({row[taken]:,})."
                missed.append((total < FEW, -lost / total, told))
    elif facts.decision_counts is not None:
        for c, (hit, _, miss, _) in zip(facts.classes, facts.decision_counts, strict=True):
            if miss:
                told = f"Of {plural(hit + miss, 'image')} with {name(c)}, {miss:,} {_are(miss)} not reported"
                missed.append((hit + miss < FEW, -miss / (hit + miss), f"{told} ({_share(facts, miss, hit + miss)})."))
    missed.sort(key=lambda m: m[:2])
    more = len(missed) - _LIMIT
    lines = [told for *_, told in missed[:_LIMIT]]
    if more > 0:
        lines.append(f"Of {_further(more, facts)} smaller shares are missed, or few images are there.")
    return lines


def _further(count: int, facts: ReportFacts) -> str:
    several = "labels" if facts.task == "multilabel" else "classes"
    return f"{count}\u00a0further {facts.word if count == 1 else several}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _share(facts: ReportFacts, successes: int, trials: int) -> str:
    """A share in percent with its interval, where images are independent enough for one."""
    shown = percent(successes / trials)
    if facts.test.get("unit") == "groups":
        return shown
    low, high = wilson(successes, trials, facts.confidence)
    return f"{shown}, {100 * facts.confidence:g}\u00a0% interval {percent(float(low))} to {percent(float(high))}"


def _cautions(facts: ReportFacts, test: Mapping[str, Any]) -> list[str]:
    counts = {c: entry["n"] for c, entry in test.get("per_class", {}).items()}
    absent = [c for c, n in counts.items() if n == 0]
    few = [c for c, n in counts.items() if 0 < n < FEW]
    found = [f"<strong>{text(warning)}</strong>" for warning in test.get("warnings", ())]
    if few:
        found.append(f"Fewer than {FEW} test images stand behind {listing(few)}: the figures there say little.")
    if absent:
        found.append(f"No test image of {listing(absent)}: nothing is known about how well the model recognises it.")
    if facts.independence_level in _SHARED:
        found.append(_SHARED[facts.independence_level])
    return found


def _trust(facts: ReportFacts) -> list[str]:
    """What calibration, subgroups and unlike images mean for a single answer."""
    found = []
    bins = (facts.analysis.get("calibration") or {}).get("before", {}).get("top_label") or ()
    n = sum(b["n"] for b in bins)
    if n:
        stated = sum(b["n"] * b["predicted"] for b in bins if b["n"]) / n
        true = sum(b["n"] * b["observed"] for b in bins if b["n"]) / n
        if abs(stated - true) >= _APART:
            how = "too sure of itself" if stated > true else "less sure than it could be"
            found.append(
                f"The model is {how}: on average it gives its answer a probability of {percent(stated)}, and is right in "
                f"{percent(true)}."
            )
    columns = facts.analysis.get("subgroups") or {}
    leading = next(iter(m for m in facts.readings if m in facts.test.get("macro", {})), None)
    worst = {column: (groups.get("worst") or {}).get(leading) for column, groups in columns.items()}
    # A column without a worst subgroup by the leading metric holds subgroups of one class each, which say nothing.
    told = [f"{name(value)} (by {name(column)})" for column, value in worst.items() if value is not None]
    if told:
        found.append(
            f"Of the subgroups it does worst for {', '.join(told)}; such differences may be chance (see subgroups)."
        )
    novelty = (facts.analysis.get("novelty") or {}).get("test")
    if novelty and novelty.get("flagged"):
        found.append(
            f"{novelty['flagged']:,} of {plural(novelty['n'], 'test image')} {'looks' if novelty['flagged'] == 1 else 'look'} "
            "unlike the training images: answers for such images mean little."
        )
    return found
