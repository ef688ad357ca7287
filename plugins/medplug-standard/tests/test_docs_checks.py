"""The chapter on checks in ``docs/data.md``: its examples run, its commands parse, and nothing is left out."""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path

import pytest

from medplug.cli.main import build_parser
from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.settings import CheckSettings
from medplug.params import schema

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "data.md"
CHAPTER = re.search(r"^## Checks\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
TEXT = CHAPTER[1] if CHAPTER else ""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def checks_of_the_code() -> set[str]:
    """The names of all findings that the package can make, from its source."""
    names = set()
    for path in [*(ROOT / "src/medplug/data/checks").glob("*.py"), ROOT / "src/medplug/runs/checking.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Finding", "_apart"):
                first = node.args[0] if node.args else None  # findings that are read again have keywords alone
                if isinstance(first, ast.Constant):
                    names.add(first.value)
    return names


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "checks", str(PAGE), 0)
    assert len(examples.examples) > 20
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert results.failed == 0, "".join(told)


def test_every_command_parses() -> None:
    commands = re.findall(r"^\$ medplug (.*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        parsed = build_parser().parse_args(command.split())
        Config.from_layers(from_assignments(dict(pair.split("=") for pair in parsed.settings)))


@pytest.mark.parametrize("parameter", schema(CheckSettings), ids=lambda p: p.name)
def test_every_setting_is_named_with_all_its_values(parameter: object) -> None:
    name = parameter.name  # type: ignore[attr-defined]
    assert f"`checks.{name}" in TEXT
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and f"`checks.{name}`" in line]
    for value in re.findall(r"'(\w+)'", str(CheckSettings.__annotations__[name])):
        assert any(f"`{value}`" in row for row in rows), value


def test_every_finding_is_in_the_table() -> None:
    found = checks_of_the_code()
    assert {"readable", "near", "near_classes", "shortcut", "leaks", "split"} <= found
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("|"))
    assert not {name for name in found if f"`{name}`" not in table}


def test_every_section_about_a_check_has_an_example() -> None:
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:-1]  # the last is about the file
    assert len(sections) == 7
    for section in sections:
        assert "```python" in section, section[:40]
