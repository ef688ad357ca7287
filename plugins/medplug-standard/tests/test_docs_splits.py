"""The chapter on splits in ``docs/data.md``: its examples run, its commands parse, and it names every setting."""

import doctest
import re
from pathlib import Path

import pytest

from medplug.cli.main import build_parser
from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.settings import SplitSettings

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
CHAPTER = re.search(r"^## Splits\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
TEXT = CHAPTER[1] if CHAPTER else ""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_cache: None) -> None:
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "splits", str(PAGE), 0)
    assert len(examples.examples) > 25
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert results.failed == 0, "".join(told)


def test_every_command_parses() -> None:
    commands = re.findall(r"^\$ medplug (.*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) >= 12
    for command in commands:
        parsed = build_parser().parse_args(command.split())
        pairs = [word.partition("=") for word in parsed.settings]
        Config.from_layers(from_assignments({key: value for key, _, value in pairs}))


def test_every_section_has_both_kinds_of_example() -> None:
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:-1]  # the last is about levels
    assert len(sections) == 8
    for section in sections:
        assert "```console" in section, section[:40]
        assert "```python" in section, section[:40]


@pytest.mark.parametrize("name", SplitSettings.__dataclass_fields__)
def test_every_setting_is_named(name: str) -> None:
    assert re.search(rf"split\.{name}\b", TEXT) or f"`{name}`" in TEXT
