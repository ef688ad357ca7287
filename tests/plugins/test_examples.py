"""Every reader and preprocessor of every installed distribution shows an example in its docstring, and the example runs."""

import doctest
import sys

import pytest

from medplug.plugins.discovery import scan
from medplug.plugins.policy import Policy
from medplug.plugins.registry import Registry

KINDS = ("reader", "preprocessor")
INSTALLED = Registry.discover(Policy(), scan())
RECORDS = [record for kind in KINDS for record in INSTALLED.components(kind)]


def examples_of(cls):
    finder = doctest.DocTestFinder(recurse=False)
    found = finder.find(cls, cls.__qualname__, globs=dict(vars(sys.modules[cls.__module__])))
    return [test for test in found if test.examples]


def run_examples(cls):
    """What went wrong, as doctest tells it; empty where all is as written."""
    told, runner = [], doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in examples_of(cls):
        runner.run(test, out=told.append)
    return "".join(told)


@pytest.mark.parametrize("record", [pytest.param(r, id=r.key) for r in RECORDS])
def test_the_example_runs(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cls = INSTALLED.load(record)
    assert examples_of(cls), (
        f"{record.key} of {record.distribution}: write an example with >>> into the class docstring"
    )
    told = run_examples(cls)
    assert not told, told


class Right:
    """An example that holds.

    >>> 1 + 1
    2
    """


class Wrong:
    """An example that does not.

    >>> 1 + 1
    3
    """


class Bare:
    """No example."""


def test_a_wrong_example_and_a_missing_one_are_noticed():
    assert run_examples(Right) == ""
    assert "Expected:\n    3\nGot:\n    2" in run_examples(Wrong)
    assert examples_of(Bare) == []
