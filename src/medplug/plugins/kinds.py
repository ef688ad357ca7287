"""The table of component kinds. A new kind is one row here, one contract, one list of checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component.

    Attributes:
        name: singular, as in ``loss``; also the section of the configuration.
        plural: as in ``losses``; accepted wherever the name is.
        summary: one line.
        protocol: import string of the contract; ``medplug plugins show KIND`` prints its docstrings.
        checks: import string of the conformance checks; empty where there are none.
        members: what a component must have, looked at when it is made.
        many: whether a configuration names a list of them.
        contracts: the contract numbers that this medplug understands.
    """

    name: str
    plural: str
    summary: str
    protocol: str
    checks: str = ""
    members: tuple[str, ...] = ()
    many: bool = False
    contracts: tuple[int, ...] = (1,)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("reader", "readers", "finds the samples of a data set and loads their pixels",
             "medplug.contracts.reader:Reader", "medplug.testing.reader:CHECKS", ("can_read", "index", "load")),
        Kind("preprocessor", "preprocessors", "brings images to the form that a network takes",
             "medplug.contracts.preprocessor:Preprocessor", "medplug.testing.preprocessor:CHECKS", ("stage", "__call__"), many=True),
        Kind("augmenter", "augmenters", "changes training images at random, on the device",
             "medplug.contracts.augmenter:Augmenter", "medplug.testing.augmenter:CHECKS", ("__call__",), many=True),
        Kind("architecture", "architectures", "a network, with the weights it can start from",
             "medplug.contracts.architecture:Architecture", "medplug.testing.architecture:CHECKS", ("preprocessing", "head", "build", "pretrained")),
        Kind("loss", "losses", "what training makes small",
             "medplug.contracts.loss:Loss", "medplug.testing.loss:CHECKS", ("tasks", "__call__")),
        Kind("optimizer", "optimizers", "turns gradients into steps of the parameters, for a learning rate of 1",
             "medplug.contracts.optimizer:Optimizer", "medplug.testing.optimizer:CHECKS", ("__call__",)),
        Kind("schedule", "schedules", "the share of the peak learning rate at each step of a phase",
             "medplug.contracts.schedule:Schedule", "medplug.testing.schedule:CHECKS", ("__call__",)),
        Kind("mixer", "mixers", "mixes training images with each other, and their targets alike",
             "medplug.contracts.mixer:Mixer", "medplug.testing.mixer:CHECKS", ("__call__",), many=True),
        Kind("metric", "metrics", "a figure computed from predictions",
             "medplug.contracts.metric:Metric", "medplug.testing.metric:CHECKS", ("tasks", "higher_is_better", "bounds", "undefined", "__call__"), many=True),
        Kind("explainer", "explainers", "where in an image a class's score is sensitive",
             "medplug.contracts.explainer:Explainer", "medplug.testing.explainer:CHECKS", ("__call__",)),
        Kind("observer", "observers", "watches a run; can never change or break it",
             "medplug.contracts.observer:Observer", "medplug.testing.observer:CHECKS", many=True),
        Kind("recipe", "recipes", "a complete configuration (TOML) shipped by a plugin",
             "medplug.contracts.recipe:Recipe", "medplug.testing.recipe:CHECKS"),
    )
}  # fmt: skip


def kind_name(word: str) -> str | None:
    """The kind that a word means, singular or plural; None if it means none."""
    word = word.strip().lower()
    for kind in KINDS.values():
        if word in (kind.name, kind.plural):
            return kind.name
    return None
