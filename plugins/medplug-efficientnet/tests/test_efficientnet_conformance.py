"""The architecture of this distribution keeps its contract."""

from __future__ import annotations

import pytest

from medplug.testing import plugin_tests

TestEfficientnet = pytest.mark.slow(plugin_tests("medplug-efficientnet"))
