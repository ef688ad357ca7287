"""``medplug run --help-config``: every key, its value in the recipe, and what it does."""

from __future__ import annotations

import argparse
from typing import Any

from medplug.cli.common import load_registry
from medplug.params import schema


def print_settings(parsed: argparse.Namespace, settings: dict[str, str]) -> int:
    """Print the settings of the recipe with what else was set."""
    from medplug.api import STANDARD, Pipeline
    from medplug.config.config import SECTION_OF, TASKS
    from medplug.config.settings import SECTIONS
    from medplug.plugins.kinds import KINDS

    registry = load_registry(parsed)
    pipeline = Pipeline(
        recipe=parsed.recipe or STANDARD, architecture=parsed.architecture, settings=settings,
        seed=parsed.seed, size=parsed.size, budget=parsed.budget, plugins=registry,
    )  # fmt: skip
    config = pipeline.config()
    print(f"# recipe {parsed.recipe or STANDARD}; set any key with --set KEY=VALUE\n")
    print(f"seed = {config.seed}\n    of everything random")
    print(f"task = {config.task}\n    auto (from the labels), multiclass (softmax) or multilabel (sigmoid)")
    print(f"budget = {config.budget or 'none'}\n    minutes from the start of the process to the end of training")
    print(f"source = {config.source or 'none'}\n    DATA, where the command line names none")
    for section, cls in SECTIONS.items():
        print(f"\n[{section}]")
        _print_parameters(cls, getattr(config, section), section)
    for kind, section in SECTION_OF.items():
        listing = "a list" if KINDS[kind].many else "one name"
        print(f"\n[{section}]    {KINDS[kind].summary}")
        print(
            f"{section}.use = {_uses(config.uses(kind))}\n    {listing}; `medplug plugins list --kind {kind}` shows what there is"
        )
        seen: dict[str, Any] = {}
        for task in TASKS:
            seen.update(config.make_all(kind, registry, task))
        for reference, obj in seen.items():
            name = reference.rpartition(":")[2]
            _print_parameters(type(obj), obj, section if len(seen) == 1 else f"{section}.{name}")
        if kind == "reader" and not seen:  # chosen by DATA; a parameter is that of the reader which is chosen
            for record in registry.components(kind):
                print(f"with reader {record.name}:")
                _print_parameters(registry.load(record), registry.load(record)(), section)
    return 0


def _print_parameters(cls: type, values: Any, prefix: str) -> None:
    for parameter in schema(cls):
        value = getattr(values, parameter.name)
        print(
            f"{prefix}.{parameter.name} = {'none' if value is None else value}    ({parameter.type_name})\n    {parameter.help}"
        )


def _uses(use: Any) -> str:
    if isinstance(use, dict):
        return ", ".join(f"{'/'.join(names)} ({task})" for task, names in use.items())
    return ", ".join(map(str, use)) or "none"
