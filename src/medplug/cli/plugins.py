"""``medplug plugins``: what there is, and how to use or write it. Imports nothing slow."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import inspect
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medplug.cli.common import add_plugin_option, load_registry
from medplug.errors import UnknownComponentError, UsageError, did_you_mean
from medplug.params import RESERVED
from medplug.plugins.kinds import KINDS, Kind, kind_name


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("plugins", help="list and describe components and contracts")
    actions = parser.add_subparsers(dest="plugins_command", metavar="list|show", required=True)
    listing = actions.add_parser("list", help="all components, and what is wrong with plugins")
    listing.add_argument("--kind", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    listing.add_argument("--json", action="store_true", help="records and problems as JSON")
    listing.add_argument("--strict", action="store_true", help="exit code 1 where a plugin is broken")
    add_plugin_option(listing)
    listing.set_defaults(action=list_components)
    showing = actions.add_parser("show", help="one component (its parameters), or one kind (its contract)")
    showing.add_argument("name", metavar="NAME|KIND", help="name, kind/name, distribution:name, or a kind")
    add_plugin_option(showing)
    showing.set_defaults(action=show)


def list_components(parsed: argparse.Namespace) -> int:
    """``medplug plugins list``."""
    kind = None
    if parsed.kind is not None and (kind := kind_name(parsed.kind)) is None:
        raise UsageError(
            f"--kind {parsed.kind}: there is no such kind{did_you_mean(parsed.kind, KINDS)} (kinds: {', '.join(KINDS)})"
        )
    registry = load_registry(parsed, warn=False)
    records = registry.components(kind)
    broken = [p for p in registry.problems if p.stage != "blocked"]
    if parsed.json:
        print(
            json.dumps(
                {"components": [asdict(r) for r in records], "problems": [asdict(p) for p in registry.problems]},
                indent=2,
            )
        )
    else:
        widths = [max((len(getattr(r, f)) for r in records), default=0) for f in ("kind", "name", "distribution")]
        for r in records:
            print(
                f"{r.kind:<{widths[0]}}  {r.name:<{widths[1]}}  {r.distribution:<{widths[2]}} {r.version}  {r.summary}"
            )
        for problem in broken:
            print(f"PROBLEM {problem}")
        if not records and not broken:
            print("no plugin is installed; pip install 'medplug[standard]'")
    return 1 if parsed.strict and broken else 0


def show(parsed: argparse.Namespace) -> int:
    """``medplug plugins show``."""
    kind = kind_name(parsed.name)
    if kind is not None:
        print(describe_kind(KINDS[kind]))
        return 0
    registry = load_registry(parsed, warn=False)
    records = registry.find_any(parsed.name)
    if not records:
        names = {r.name for r in registry.components()}
        raise UnknownComponentError(
            f"there is no component or kind named {parsed.name!r}{did_you_mean(parsed.name, (*names, *KINDS))}; `medplug plugins list` shows all"
        )
    for record in records:
        print(_describe(record, registry))
    return 0


def describe_kind(kind: Kind) -> str:
    """The contract of a kind in words: what an author has to write."""
    module, _, name = kind.protocol.partition(":")
    protocol = getattr(importlib.import_module(module), name)
    lines = [
        f"{kind.name}: {kind.summary}",
        f"contract {max(kind.contracts)}",
        "",
        inspect.cleandoc(protocol.__doc__ or ""),
        "",
    ]
    related = [
        v
        for k, v in vars(importlib.import_module(module)).items()
        if isinstance(v, type) and v.__module__ == module and k != name
    ]
    for cls in (protocol, *related):
        if cls is not protocol:
            lines += [f"{cls.__name__}:", "", inspect.cleandoc(cls.__doc__ or ""), ""]
        lines += _methods(cls)
    lines += _values(kind)
    return "\n".join([*lines, *(_RECIPE_TAIL if kind.name == "recipe" else _class_tail(kind))])


def _values(kind: Kind) -> list[str]:
    """What authors of a kind need from ``medplug.plugins`` beside its contract; read, not imported: it needs NumPy."""
    lines = []
    for module, name in _VALUES.get(kind.name, ()):
        spec = importlib.util.find_spec(module)
        origin = spec.origin if spec else None
        assert origin is not None, module
        tree = ast.parse(Path(origin).read_text("utf-8"))
        node = next(n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name == name)
        signature = ""
        if isinstance(node, ast.ClassDef):
            fields = [ast.unparse(n) for n in node.body if isinstance(n, ast.AnnAssign)]
            signature = f"({', '.join(fields)})" if fields else ""
        lines += [f"{name}{signature}", *(f"    {line}" for line in (ast.get_docstring(node) or "").splitlines()), ""]
    return lines


_VALUES = {
    "reader": (
        ("medplug.values", "Index"),
        ("medplug.values", "Skipped"),
        ("medplug.images", "load_image"),
        ("medplug.images", "ImageError"),
        ("medplug.errors", "DataError"),
    ),
    "preprocessor": (
        ("medplug.contracts.architecture", "Preprocessing"),
        ("medplug.images", "ImageError"),
        ("medplug.pixels", "full_scale"),
        ("medplug.pixels", "of_depth"),
        ("medplug.pixels", "resize"),
        ("medplug.pixels", "to_channels"),
    ),
}
_IMPORTS = {
    "reader": "component, param, Index, Skipped, load_image, ImageError, DataError",
    "architecture": "component, param, Preprocessing, Features",
    "preprocessor": "component, param, Preprocessing, ImageError, full_scale, of_depth, resize, to_channels",
}
_RECIPE_TAIL = (
    "A recipe stands alone: it names every component (reader, preprocess, architecture, loss, metric, explainer; augment",
    "where wanted).",
    "Copy one that is there, `medplug plugins show standard`, and edit it. Without a package: --recipe FILE.toml.",
    "",
    "To ship one, put the file into your package (as package data) and offer it from the light module of your plugin:",
    "",
    "    @hookimpl",
    "    def medplug_components():",
    '        yield Component("recipe", "mine", "my_package:mine.toml", "one line", contract=1)',
)


def _class_tail(kind: Kind) -> list[str]:
    contract = max(kind.contracts)
    fixtures = ', fixtures={"reader/my_reader": {"source": draw}})  # draw(folder) fills an empty folder, returns DATA'
    return [
        "Write it as a class with @component, whose annotated attributes are its parameters. It is frozen: it has no",
        "__init__ and keeps no state.",
        f"Names that cannot be parameters: {', '.join(sorted(RESERVED))}.",
        "",
        f"    from medplug.plugins import {_IMPORTS.get(kind.name, 'component, param')}",
        "",
        "Offer it from a light module that an entry point of the group 'medplug' names:",
        "",
        "    from medplug.plugins import Component, hookimpl",
        "",
        "    @hookimpl",
        "    def medplug_components():",
        f'        yield Component("{kind.name}", "my_{kind.name}", "my_package.module:Class", "one line", contract={contract})',
        "",
        "Test it (pip install 'medplug[testing]'):",
        "",
        "    from medplug.testing import plugin_tests",
        "",
        f'    TestMine = plugin_tests("my-package"{fixtures if kind.name == "reader" else ")"}',
        "",
        f"Use it with {_usage(kind)}.",
    ]


def _usage(kind: Kind) -> str:
    from medplug.config.config import SECTION_OF

    names = "NAME,NAME (the whole list, in order)" if kind.many else "NAME"
    return f"--set {SECTION_OF[kind.name]}.use={names}, or from one file with --plugin FILE.py"


def _methods(cls: type) -> list[str]:
    lines = []
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else member
        if not inspect.isfunction(function) or (name.startswith("_") and name != "__call__") or not function.__doc__:
            continue
        signature = "" if isinstance(member, property) else str(inspect.signature(function)).replace("'", "")
        lines += [
            f"{name}{signature}",
            *(f"    {line}" for line in inspect.cleandoc(function.__doc__).splitlines()),
            "",
        ]
    return lines


def _describe(record: Any, registry: Any) -> str:
    from medplug.params import schema

    lines = [
        f"{record.key}: {record.summary}",
        f"from {record.distribution} {record.version}, contract {record.contract}, {record.target}",
    ]
    if record.aliases:
        lines.append(f"also called {', '.join(record.aliases)}")
    if record.tags:
        lines.append(f"tags: {', '.join(record.tags)}")
    if record.kind == "recipe":
        return "\n".join([*lines, "", registry.recipe_text(record.reference)])
    cls = registry.load(record)
    if cls.__doc__:
        lines += ["", inspect.cleandoc(cls.__doc__)]
    facts = {
        k: v
        for k in ("stage", "tasks", "bounds", "higher_is_better", "signed")
        if (v := getattr(cls, k, None)) is not None
    }
    lines += ["", *(f"{k}: {', '.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in facts.items())]
    parameters = schema(cls)
    lines += ["", "parameters:" if parameters else "no parameters"]
    for p in parameters:
        default = "required" if p.required else f"default {'none' if p.default is None else p.default}"
        bounds = "".join(f", {_BOUNDS[k]} {v:g}" for k, v in p.bounds.items())
        lines += [f"  {p.name} ({p.type_name}, {default}{bounds})", f"      {p.help}"]
    return "\n".join(lines)


_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
