"""The network, its training, and what it ran on."""

from __future__ import annotations

from collections import Counter

from medplug.report.answers.data import counts, partitions
from medplug.report.answers.telling import answer, component, config_tree, joined, settings, trained
from medplug.report.facts import ReportFacts
from medplug.report.markup import words


@answer
def model(facts: ReportFacts) -> str | None:
    """Architecture, input and output."""
    architecture = component(facts, "architecture")
    if not architecture:
        return None
    kind = "an independent probability for each" if facts.task == "multilabel" else "probabilities that add up to 1,"
    several = "labels" if facts.task == "multilabel" else "classes"
    return (
        f"Deep neural network, architecture {architecture}. Output: {kind} of {len(facts.classes)} {several}: "
        f"{', '.join(facts.classes)}."
    )


@answer
def initial_weights(facts: ReportFacts) -> str | None:
    """Where the weights begin."""
    stated = settings(facts, "architecture").get("weights")
    if stated is None:
        return None
    seed = config_tree(facts.config).get("seed")
    drawn = "random numbers" + ("" if seed is None else f" of seed {seed}")
    return f"All from {drawn}." if stated == "none" else f"Pretrained weights: {stated}; what these lack from {drawn}."


@answer
def training(facts: ReportFacts) -> str | None:
    """Augmentation, settings and course."""
    stated = settings(facts, "training")
    if not stated:
        return None
    augmentation, loss = component(facts, "augment"), component(facts, "loss")
    phases = Counter(str(row["phase"]) for row in facts.history)
    course = ", ".join(f"{n} in phase {phase}" for phase, n in phases.items())
    return joined([
        f"Settings: {words(dict(stated))}.",
        f"Loss: {loss}." if loss else None,
        f"Augmentation: {augmentation}." if augmentation else None,
        f"Epochs: {course}; the losses of each are in history.csv." if course else None,
    ])  # fmt: skip


@answer
def selection(facts: ReportFacts) -> str | None:
    """Which weights were tested, and why."""
    rule = settings(facts, "training").get("tested_weights")
    if rule is None or facts.tested_epoch is None:
        return None
    why = {"best": "the one with the lowest validation loss", "last": "the last one"}.get(rule, rule)
    return f"Weights of epoch {facts.tested_epoch} of {len(facts.history)}: {why}."


@answer
def ensemble(facts: ReportFacts) -> str | None:
    """How many networks."""
    return "None: one network was trained and tested." if settings(facts, "training") and trained(facts) else None


@answer
def building(facts: ReportFacts) -> str | None:
    """Model, training, choice and the part that served it."""
    if model(facts) is None or training(facts) is None:
        return None
    return joined([model(facts), training(facts), selection(facts), partitions(facts)])


@answer
def development(facts: ReportFacts) -> str | None:
    """Parts with their sizes, choice of weights."""
    return None if partitions(facts) is None else joined([partitions(facts), counts(facts), selection(facts)])


@answer
def versions(facts: ReportFacts) -> str | None:
    """Software and machine."""
    keys = ("medplug", "versions", "python", "platform", "device", "packages", "plugins")
    there = {key: facts.manifest[key] for key in keys if facts.manifest.get(key)}
    return f"{words(there)}." if there else None


@answer
def prediction(facts: ReportFacts) -> str | None:
    """How others apply the model."""
    if not component(facts, "architecture"):
        return None
    return "medplug predict RUN images/ applies the trained weights (weights.safetensors) as model.json in the run folder says."  # fmt: skip


@answer
def availability(facts: ReportFacts) -> str | None:
    """The software that was used."""
    version = facts.manifest.get("medplug") or facts.manifest.get("versions", {}).get("medplug")
    return f"Trained and evaluated with the open-source software medplug {version} (Apache-2.0)." if version else None


@answer
def stored_outputs(facts: ReportFacts) -> str | None:
    """What the run folder keeps."""
    if not facts.manifest or not facts.config:
        return None
    mark = facts.manifest.get("data_fingerprint")
    seal = f"; fingerprint of the data {mark}" if mark else ""
    return f"The run folder keeps predictions (predictions.csv), split (split.csv), settings (config.toml) and environment (manifest.json){seal}."  # fmt: skip
