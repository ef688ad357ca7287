"""Plugins that are a single file of the user's: ``--plugin mine.py``."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from medplug.errors import UsageError
from medplug.params import is_component
from medplug.plugins.kinds import KINDS
from medplug.plugins.records import Component
from medplug.plugins.registry import HOOK, Registry

FILE_PREFIX = "file-"
"""What the distribution of a file's components begins with."""


def add_file(registry: Registry, path: str | Path) -> None:
    """Import one Python file and register its components.

    A file with the hook ``medplug_components`` is an ordinary plugin. Otherwise every component class
    in it that has a class attribute ``kind`` is registered, ``MyFlip`` as ``my_flip``.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"--plugin {path}: there is no such file")
    if str(path.resolve()) in registry.files:
        return
    module = _import(path)
    registry.files.add(str(path.resolve()))
    distribution = f"{FILE_PREFIX}{path.stem.replace('_', '-')}"
    if HOOK in vars(module):
        registry.add_plugin(module, distribution, entry=path.name)
        return
    found = [
        v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__ and is_component(v)
    ]
    usable = [cls for cls in found if getattr(cls, "kind", None) in KINDS]
    if not usable:
        kinds = ", ".join(k for k in KINDS if k != "recipe")
        raise UsageError(
            f"--plugin {path}: no component found; give a class @component and an attribute kind = one of {kinds}"
        )
    for cls in usable:
        summary = (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else ""
        record = Component(cls.kind, _snake(cls.__name__), f"{module.__name__}:{cls.__name__}", summary)
        registry.add(record, distribution)


def _import(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"medplug_file_{re.sub(r'[^a-zA-Z0-9]', '_', path.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while the class is made
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"--plugin {path}: {type(error).__name__}: {error}") from error
    return module


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
