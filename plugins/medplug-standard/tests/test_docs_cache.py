"""The chapter on the cache in ``docs/data.md``: its examples run, its commands parse, its figures are those of the code."""

import doctest
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from medplug.cli.main import build_parser
from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.settings import TrainingSettings
from medplug.data.store.cache import DEFAULT_LIMIT, LIMIT

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
CHAPTER = re.search(r"^## Cache and batches\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
TEXT = CHAPTER[1] if CHAPTER else ""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_run() -> None:
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks("python")), {}, "cache", str(PAGE), 0)
    assert len(examples.examples) >= 10
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(examples, out=told.append)
    assert results.failed == 0, "".join(told)


def test_every_command_parses() -> None:
    commands = re.findall(r"^\$ medplug (.*)$", "\n".join(blocks("console")), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        parsed = build_parser().parse_args(command.split())
        pairs = [word.partition("=") for word in getattr(parsed, "settings", [])]
        Config.from_layers(from_assignments({key: value for key, _, value in pairs}))


@pytest.mark.parametrize("name", get_args(get_type_hints(TrainingSettings)["sampling"]))
def test_every_sampling_is_described(name: str) -> None:
    assert f"| `{name}` |" in TEXT


def test_the_limit_is_that_of_the_code() -> None:
    assert f"at most {DEFAULT_LIMIT // 2**30} GiB" in TEXT
    assert LIMIT in TEXT
