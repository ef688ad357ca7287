"""The architectures of this distribution keep their contract."""

from __future__ import annotations

import pytest

from medplug.testing import plugin_tests

TestDensenet = pytest.mark.slow(plugin_tests("medplug-densenet"))
