"""The chapter on preprocessing in ``docs/data.md``: its examples run, its commands make what they say, nothing is left out."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

import medplug
from medplug.cli.main import build_parser
from medplug.plugins.registry import registry

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
CHAPTER = "## Preprocessing" + PAGE.read_text("utf-8").partition("\n## Preprocessing")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^\$ medplug (.*)$", CHAPTER, re.MULTILINE)


def test_the_examples_run() -> None:
    test = doctest.DocTestParser().get_doctest(CHAPTER, {}, "preprocessing", str(PAGE), 0)
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert len(test.examples) > 10
    assert not told, "".join(told)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_parses_and_names_what_there_is(command: str) -> None:
    parsed = build_parser().parse_args(shlex.split(command))
    if parsed.command == "run":
        pairs = [pair.split("=", 1) for pair in parsed.settings]
        config = medplug.Pipeline(settings=dict(pairs)).config()
        config.check_components(registry())
        named = {key.split(".")[1] for key, _ in pairs} - {"use"}
        made = {name.rpartition(":")[2] for name, _ in config.make_all("preprocessor", registry())}
        assert named <= made  # parameters of one that is not in the list would do nothing


def test_every_preprocessor_has_its_section_with_a_command() -> None:
    for record in registry().components("preprocessor"):
        if record.distribution != "medplug-standard":
            continue
        section = CHAPTER.partition(f"\n### {record.name}\n")[2].partition("\n### ")[0]
        assert "$ medplug run" in section, record.name
        assert ">>>" in section, record.name
