"""How answers are registered and told."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.markup import number, percent, words
from medplug.values import SPLITS

Answer = Callable[[ReportFacts], str | None]
ANSWERS: dict[str, Answer] = {}
_CLASSES = 8  # classes that are told one by one


def answer(function: Answer) -> Answer:
    """Offer a function to the rules of checklists under its own name."""
    ANSWERS[function.__name__] = function
    return function


@lru_cache(maxsize=4)
def config_tree(config: str) -> Mapping[str, Any]:
    """The content of ``config.toml``; empty where there is none."""
    return tomllib.loads(config)


def settings(facts: ReportFacts, section: str) -> Mapping[str, Any]:
    """A section of the run's configuration; empty where there is none."""
    return config_tree(facts.config).get(section, {})


def component(facts: ReportFacts, section: str) -> str:
    """``"cross_entropy (label_smoothing 0.0)"``; components of a list one after another; empty where there is none."""
    values = settings(facts, section)
    use = values.get("use", ())
    use = use.get(facts.task, ()) if isinstance(use, Mapping) else use
    several = not isinstance(use, str)
    shown = []
    for reference in use if several else (use,):
        name = str(reference).rpartition(":")[2]
        own = values.get(name, {}) if several else {k: v for k, v in values.items() if k != "use"}
        told = words(dict(own)) if own else ""
        shown.append(f"{name} ({told})" if told else name)
    return ", ".join(shown)


def told(figure: Mapping[str, Any]) -> str:
    """``0.931 (0.902 to 0.958)``, or why there is no figure."""
    if figure.get("value") is None:
        return f"not defined ({figure.get('reason', 'no reason given')})"
    if figure.get("low") is None or figure.get("high") is None:
        return number(figure["value"])
    return f"{number(figure['value'])} ({number(figure['low'])} to {number(figure['high'])})"


def some(items: Iterable[str], limit: int = _CLASSES, apart: str = "; ") -> str:
    """Items in a sentence; beyond the limit only their number."""
    listed = list(items)
    more = f"{apart}and {len(listed) - limit} more in the report" if len(listed) > limit else ""
    return apart.join(listed[:limit]) + more


def joined(parts: Iterable[str | None]) -> str | None:
    """The sentences that are there, or None where there is none."""
    return " ".join(part for part in parts if part) or None


def trained(facts: ReportFacts) -> bool:
    """Whether the facts are those of the run that trained the network, not of other data or another tool."""
    return bool(facts.split_sizes.get("train"))


def sizes(facts: ReportFacts) -> str:
    """Samples of each part and its share."""
    total = sum(facts.split_sizes.values())
    return ", ".join(
        f"{part} {facts.split_sizes[part]:,} ({percent(facts.split_sizes[part] / total)})"
        for part in SPLITS
        if facts.split_sizes.get(part)
    )
