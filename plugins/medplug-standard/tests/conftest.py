"""The command line in this process, with a private cache and a network of some hundred parameters."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # the helper module beside the tests
_SCRATCH = Path(tempfile.gettempdir(), f"medplug-tests-{os.getuid()}")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_SCRATCH / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

import pytest  # noqa: E402 - the environment comes first
from cli_helpers import draw  # noqa: E402

_PLUGIN = """
from medplug.plugins import Component, hookimpl

@hookimpl
def medplug_components():
    yield Component("architecture", "tiny_net", "medplug.testing.fakes:TinyNet", "two convolutions and a linear head")
"""
TINY = {
    "architecture.use": "tiny_net",
    "architecture.channels": "3",
    "data.size": "16",
    "data.threads": "1",
    "augment.use": "horizontal_flip",
    "training.epochs": "1",
    "training.frozen_epochs": "0",
    "training.batch_size": "8",
    "evaluation.resamples": "50",
}


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code, and what it wrote to both streams."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A scratch folder that any user of the machine may enter, unlike those of ``tmp_path``."""
    folder = Path(tempfile.mkdtemp(prefix="medplug-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tiny_plugin(open_folder: Path) -> Iterator[str]:
    """A ``--plugin`` file with a tiny network; what it registered is forgotten at the end."""
    from medplug.plugins.registry import registry

    path = open_folder / "tiny.py"
    path.write_text(_PLUGIN)
    yield str(path)
    registry(refresh=True)


@pytest.fixture(scope="module")
def shared_cache(open_folder: Path) -> Iterator[None]:
    """One private cache of decoded images for all tests of a module."""
    (open_folder / "cache").mkdir(mode=0o777)
    (open_folder / "cache").chmod(0o777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(open_folder / "cache"))
        yield


@pytest.fixture
def cli(tiny_plugin: str, shared_cache: None, capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("run", DATA, ..., settings={...})``: a command with the tiny network; never may it end in a traceback."""
    from medplug.cli.main import main

    def call(command: str, *arguments: object, settings: dict[str, object] | None = None) -> Outcome:
        words = [command, *map(str, arguments), "--plugin", tiny_plugin]
        if command == "run":
            words += [w for key, value in {**TINY, **(settings or {})}.items() for w in ("--set", f"{key}={value}")]
        capsys.readouterr()
        code = main(words)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Outcome(code, shown.out, shown.err)

    return call


@pytest.fixture
def prepared(tiny_plugin: str, shared_cache: None) -> Callable[..., Any]:
    """``prepared(DATA, settings={...})``: what ``medplug run`` trains on, up to the split, without training."""
    from medplug import Pipeline
    from medplug.pipeline import Prepared, prepare
    from medplug.plugins.localfile import add_file
    from medplug.plugins.registry import registry
    from medplug.progress import Reporter

    def call(data: object, settings: dict[str, object] | None = None) -> Prepared:
        add_file(registry(), tiny_plugin)
        config = Pipeline(settings={k: str(v) for k, v in {**TINY, **(settings or {})}.items()}).config()
        architecture = config.make("architecture", registry())[1]
        return prepare(config, str(data), architecture, registry(), Reporter(quiet=True))

    return call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DATA for a run: two classes with 12 sound images each."""
    draw(tmp_path / "data" / "dark", level=60)
    draw(tmp_path / "data" / "light", level=180)
    return tmp_path / "data"
