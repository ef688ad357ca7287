"""What all tests of the core share: private caches, and a registry of fakes instead of what is installed."""

import numpy as np
import pytest

from medplug.progress import Reporter


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
