"""What went in: preprocessing, parts, counts, what was left out."""

from __future__ import annotations

from collections import Counter

from medplug.report.answers.telling import answer, component, config_tree, joined, settings, sizes, some, trained
from medplug.report.facts import ReportFacts
from medplug.report.markup import percent, plural, words
from medplug.values import SPLITS


@answer
def preprocessing(facts: ReportFacts) -> str | None:
    """How pixels reach the network."""
    data, reader = settings(facts, "data"), component(facts, "reader")
    if "size" not in data:
        return None
    edge = "the architecture's own input size" if data["size"] == "none" else f"an edge of {data['size']} pixels"
    steps = component(facts, "preprocess")
    return joined([
        f"Brought to {edge} and the values that the architecture states in model.json" + (f" by {steps}." if steps else "."),
        f"Read by {reader}." if reader else None,
    ])  # fmt: skip


@answer
def preparation(facts: ReportFacts) -> str | None:
    """Preprocessing, and what the checks of the data found."""
    findings = facts.checks.get("findings")
    if not findings:
        return None
    return joined([preprocessing(facts), "Checks: " + some((f"{f['level']}: {f['text']}" for f in findings), 20) + "."])


@answer
def exclusions(facts: ReportFacts) -> str | None:
    """Files that were left out, by reason."""
    skipped = facts.checks.get("skipped")
    if skipped is None:
        return None
    if not skipped:
        return "No file of the data was left out."
    reasons = Counter(entry["reason"] for entry in skipped)
    return f"{plural(len(skipped), 'file')} left out: {some(f'{n} × {r}' for r, n in reasons.most_common())}."


@answer
def flow(facts: ReportFacts) -> str | None:
    """What was used and what was left out."""
    if not facts.split_sizes or exclusions(facts) is None:
        return None
    return joined([f"{plural(sum(facts.split_sizes.values()), 'image')}: {sizes(facts)}.", counts(facts), exclusions(facts)])  # fmt: skip


@answer
def counts(facts: ReportFacts) -> str | None:
    """Positives by part and class."""
    parts = [part for part in SPLITS if facts.split_counts.get(part)]
    if not parts:
        return None
    several = " (an image can count for several)" if facts.task == "multilabel" else ""
    told_ = "; ".join(f"{part}: {', '.join(f'{c} {n:,}' for c, n in facts.split_counts[part].items())}" for part in parts)  # fmt: skip
    return f"Images by {facts.word}{several}: {told_}."


@answer
def class_shares(facts: ReportFacts) -> str | None:
    """Shares of each class in training and test."""
    if not trained(facts) or not facts.split_sizes.get("test"):
        return None

    def share(part: str, c: str) -> str:
        return percent(facts.split_counts.get(part, {}).get(c, 0) / facts.split_sizes[part])

    rows = (f"{c} {share('train', c)} and {share('test', c)}" for c in facts.classes)
    return f"Shares in training and in test: {'; '.join(rows)}."


@answer
def partitions(facts: ReportFacts) -> str | None:
    """Sizes of the parts and the settings of the split."""
    if not trained(facts):
        return None
    how = settings(facts, "split")
    seed = config_tree(facts.config).get("seed")
    stated = f" Settings: {words(dict(how))}{'' if seed is None else f'; seed of the run {seed}'}." if how else ""
    return joined([f"Images: {sizes(facts)}.{stated}", *facts.split_notes])


@answer
def disjointness(facts: ReportFacts) -> str | None:
    """The level of independence."""
    if facts.independence_level == "unknown":
        return None
    return joined([f"Level: {facts.independence_level}.", facts.independence, *facts.split_notes])


@answer
def imbalance(facts: ReportFacts) -> str | None:
    """Loss, split and shares of the classes."""
    loss = component(facts, "loss")
    if not loss or not trained(facts):
        return None
    method = settings(facts, "split").get("method")
    return joined([f"Loss: {loss}.", f"Split: {method}." if method else None, class_shares(facts)])


@answer
def blinding(facts: ReportFacts) -> str | None:
    """What the network knew of the test part."""
    if not trained(facts) or not facts.test:
        return None
    return (
        "The network was given the pixels of the test images alone; their labels took no part in training, nor in the "
        "choice of weights, thresholds and calibration."
    )
