"""The conformance kit: whether a component keeps the contract of its kind.

In a plugin's tests, one line checks everything that the plugin offers::

    from medplug.testing import plugin_tests

    TestExample = plugin_tests("medplug-example")

A single class, instance or record is checked by :func:`check_component`. The kit needs the extra
``medplug[testing]`` (pytest, hypothesis). ``medplug.testing.fakes`` has small components of every kind.
"""

from __future__ import annotations

from medplug.testing.checks import Check, ConformanceError, Report
from medplug.testing.runner import check_component
from medplug.testing.suite import plugin_tests

__all__ = ["Check", "ConformanceError", "Report", "check_component", "plugin_tests"]
