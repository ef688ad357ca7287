"""Items of reporting guidelines, filled in where a run knows, and left to the authors where it cannot know."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from medplug.report.answers import ANSWERS
from medplug.report.facts import ChecklistItem, ReportFacts
from medplug.report.markdown import escape, table

_FILES = ("claim_2024", "tripod_ai", "stard_ai")
AUTHORS, UNRECORDED = "authors", "unrecorded"


@dataclass(frozen=True)
class Entry:
    """One item as a guideline has it.

    Attributes:
        number: as printed there.
        topic: in words of our own.
        rule: a name in ``ANSWERS``, ``"authors"`` or ``"unrecorded"``.
        rest: what the authors have to add even where the run fills the item; empty for nothing.
    """

    number: str
    topic: str
    rule: str
    rest: str = ""


@dataclass(frozen=True)
class Guideline:
    """A reporting guideline.

    Attributes:
        name: short.
        numbered: how many items it counts; letters (``3a``, ``3b``) divide some of them.
        source: its publication: ``title``, ``authors``, ``journal``, ``year``, ``doi``.
        entries: all its items, in order.
    """

    name: str
    numbered: int
    source: Mapping[str, str | int]
    entries: tuple[Entry, ...]

    @property
    def citation(self) -> str:
        """The publication on one line."""
        s = self.source
        return f"{s['authors']} {s['title']}. {s['journal']}, {s['year']}. doi:{s['doi']}"


@cache
def guidelines() -> tuple[Guideline, ...]:
    """All guidelines that medplug knows, from the TOML files beside this module."""
    folder = files("medplug.report").joinpath("checklists")
    return tuple(_parse(folder.joinpath(f"{name}.toml").read_text("utf-8")) for name in _FILES)


def _parse(text: str) -> Guideline:
    tree = tomllib.loads(text)
    entries = tuple(Entry(number, *cells) for number, cells in tree["items"].items())
    return Guideline(tree["name"], tree["numbered"], tree["source"], entries)


def fill_checklists(facts: ReportFacts) -> list[ChecklistItem]:
    """Every item of every guideline, in order.

    An item is ``"filled"`` where the run tells its answer, ``"not recorded"`` where software could have told it but these
    facts do not, and else left to the ``"authors"``; nothing is guessed.
    """
    return [_fill(guideline.name, entry, facts) for guideline in guidelines() for entry in guideline.entries]


def _fill(guideline: str, entry: Entry, facts: ReportFacts) -> ChecklistItem:
    if entry.rule == AUTHORS:
        return ChecklistItem(guideline, entry.number, entry.topic, "authors")
    answer = None if entry.rule == UNRECORDED else ANSWERS[entry.rule](facts)
    if answer is None:
        return ChecklistItem(guideline, entry.number, entry.topic, "not recorded")
    rest = f" For the authors: {entry.rest}." if entry.rest else ""
    return ChecklistItem(guideline, entry.number, entry.topic, "filled", answer + rest)


def checklist_markdown(items: Sequence[ChecklistItem]) -> str:
    """The items as a Markdown document, a table for each guideline."""
    head = (
        "# Reporting checklists\n\n"
        "Filled in from the run where it knows the answer. *Not recorded*: software could have told it, this run did "
        "not. *Authors*: only they can tell. Topics are abridged; the guidelines themselves say what an item asks for.\n"
    )
    parts = [head]
    cited = {guideline.name: guideline.citation for guideline in guidelines()}
    for name in dict.fromkeys(item.guideline for item in items):
        own = [item for item in items if item.guideline == name]
        filled = sum(item.status == "filled" for item in own)
        source = f"{escape(cited[name])}\n\n" if name in cited else ""
        rows = [(item.number, item.topic, item.status, item.value) for item in own]
        parts.append(
            f"## {escape(name)}\n\n{source}{filled} of {len(own)} entries are filled in.\n\n"
            + table(("item", "topic", "status", "value"), rows)
        )
    return "\n".join(parts)
