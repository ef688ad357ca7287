"""``plugin_tests`` on distributions that are made for the test, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest

from medplug.errors import UsageError
from medplug.testing import plugin_tests
from medplug.testing.plugin import heavy_imports

PLUGIN = """
from medplug.plugins import Component, hookimpl

@hookimpl
def medplug_components():
    yield Component("metric", "good", "kit_demo.parts:Good", "a good metric")
    yield Component("metric", "percent", "kit_demo.parts:Percent", "a metric out of its bounds")
    yield Component("loss", "gone", "kit_demo.parts:Gone", "a loss that does not exist")
"""
PARTS = """
from medplug.plugins import component
from medplug.testing.fakes import SimpleAccuracy

@component
class Good(SimpleAccuracy):
    \"\"\"Accuracy.\"\"\"

@component
class Percent(SimpleAccuracy):
    \"\"\"Accuracy in percent.\"\"\"
    tasks = ("multiclass",)
    def __call__(self, targets, probabilities, sample_weight=None, thresholds=None):
        return 100 * SimpleAccuracy()(targets, probabilities, sample_weight, thresholds)
"""


def make_distribution(root: Path, package: str, plugin: str, parts: str = "", init: str = "") -> None:
    """A package with the metadata of an installed one."""
    (root / package).mkdir(parents=True)
    (root / package / "__init__.py").write_text(init)
    (root / package / "plugin.py").write_text(plugin)
    (root / package / "parts.py").write_text(parts)
    info = root / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[medplug]\nmain = {package}.plugin\n")


def run_pytest(folder: Path, text: str) -> tuple[dict[str, str], str]:
    """Outcome by test id, and the output."""
    (folder / "test_it.py").write_text(textwrap.dedent(text))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--junitxml=out.xml",
        "--rootdir=.",
        "test_it.py",
    ]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    outcomes = {}
    for test in ElementTree.parse(folder / "out.xml").iter("testcase"):
        name = test.get("name", "").removeprefix("test_conformance[").removesuffix("]")
        kinds = [child.tag for child in test if child.tag in ("failure", "error", "skipped")]
        outcomes[name] = kinds[0] if kinds else "passed"
    return outcomes, done.stdout


def test_one_line_checks_a_plugin(tmp_path: Path) -> None:
    make_distribution(tmp_path, "kit_demo", PLUGIN, PARTS)
    outcomes, output = run_pytest(tmp_path, """
        from medplug.testing import plugin_tests
        TestDemo = plugin_tests("kit-demo", expect_fail={"metric/percent:keeps_its_bounds": "percent, on purpose"})
    """)  # fmt: skip
    assert outcomes["plugin-light_to_list"] == outcomes["plugin-offers_components"] == "passed"
    assert outcomes["metric/good-default-order_does_not_matter"] == "passed"
    assert outcomes["metric/percent-all-keeps_its_bounds"] == "skipped", "an expected failure"
    assert outcomes["loss/gone-made"] == "failure"
    assert "Gone" in output
    failures = {name for name, outcome in outcomes.items() if outcome == "failure"}
    assert "metric/percent-default-thresholds_are_taken" in failures, "out of bounds there, too"
    assert not any(name.startswith("metric/good") for name in failures)


def test_an_expected_failure_that_passes_is_a_failure(tmp_path: Path) -> None:
    make_distribution(tmp_path, "kit_demo", PLUGIN.replace('yield Component("loss"', 'Component("loss"'), PARTS)
    outcomes, output = run_pytest(tmp_path, """
        from medplug.testing import plugin_tests
        TestDemo = plugin_tests("kit-demo", expect_fail={"metric/good:keeps_its_bounds": "surely"})
    """)  # fmt: skip
    assert outcomes["metric/good-all-keeps_its_bounds"] == "failure"
    assert "XPASS(strict)" in output


def test_a_distribution_without_components_fails(tmp_path: Path) -> None:
    outcomes, output = run_pytest(tmp_path, """
        from medplug.testing import plugin_tests
        TestDemo = plugin_tests("not-there")
    """)  # fmt: skip
    assert outcomes["plugin-offers_components"] == "failure"
    assert "not installed here" in output


def test_typing_errors_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="expect_fail: 'loss/none' is unknown"):
        plugin_tests("not-there", expect_fail={"loss/none:frozen": "no such component"})
    with pytest.raises(UsageError, match="fixtures: 'reader/none' is unknown"):
        plugin_tests("not-there", fixtures={"reader/none": {}})


def test_heavy_imports_are_found_with_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_distribution(tmp_path / "light", "kit_light", PLUGIN.replace("kit_demo", "kit_light"))
    make_distribution(tmp_path / "heavy", "kit_heavy", PLUGIN, init="\nimport numpy as np\n")
    monkeypatch.syspath_prepend(tmp_path / "light")
    monkeypatch.syspath_prepend(tmp_path / "heavy")
    assert heavy_imports("kit-light") == {}
    assert heavy_imports("kit-heavy")["numpy"].endswith(f"kit_heavy{os.sep}__init__.py:2")
