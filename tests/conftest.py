"""What all tests of the core share: private caches, and a registry of fakes instead of what is installed."""

import os
import tempfile
from pathlib import Path

_SCRATCH = Path(tempfile.gettempdir(), f"medplug-tests-{os.getuid()}")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_SCRATCH / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import numpy as np  # noqa: E402 - the environment comes first
import pytest  # noqa: E402

from medplug.progress import Reporter  # noqa: E402


@pytest.fixture(autouse=True)
def _private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fakes():
    from medplug.testing.fakes import fake_registry

    return fake_registry()


@pytest.fixture
def quiet():
    return Reporter(quiet=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
