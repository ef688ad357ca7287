"""The registry: which components exist, where they come from, and how to make one.

pluggy marks and checks the hook; everything else is guarded here, plugin by plugin, because one
broken plugin must cost only itself. Nothing here is called while a network trains.
"""

from __future__ import annotations

import importlib
import threading
import time
import traceback
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from types import ModuleType
from typing import Any

import pluggy

from medplug.errors import (
    AmbiguousComponentError,
    BrokenComponentError,
    UnknownComponentError,
    did_you_mean,
    nearest,
)
from medplug.params import build
from medplug.plugins.discovery import Entry, normalise, scan
from medplug.plugins.hookspecs import PROJECT, PluginSpec
from medplug.plugins.kinds import KINDS, kind_name
from medplug.plugins.policy import Policy
from medplug.plugins.records import Component, Problem, canonical

HOOK = "medplug_components"
_CAUGHT = (Exception, SystemExit)  # a plugin must not be able to end the program; Ctrl-C passes


class _Manager(pluggy.PluginManager):
    """Looks only at what a plugin defines: stock pluggy touches every attribute, which defeats lazy modules."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        namespace = getattr(plugin, "__dict__", {}) if isinstance(plugin, ModuleType) else None
        if namespace is not None and name not in namespace:
            return None
        return super().parse_hookimpl_opts(plugin, name)


class Registry:
    """Components by kind and name. An empty one is what tests start from."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.problems: list[Problem] = []
        self.import_ms: dict[str, float] = {}
        self.files: set[str] = set()
        self._records: list[Component] = []
        self._classes: dict[Component, Any] = {}
        self._owners: dict[Any, Component] = {}

    @classmethod
    def discover(cls, policy: Policy | None = None, entries: Iterable[Entry] | None = None) -> Registry:
        """A registry of all installed plugins that the policy allows."""
        registry = cls(Policy.from_environment() if policy is None else policy)
        for entry in scan() if entries is None else sorted(entries):
            registry._add_entry(entry)
        return registry

    # ------------------------------------------------------------ adding

    def _add_entry(self, entry: Entry) -> None:
        refusal = self.policy.refusal(entry.distribution)
        if refusal:
            self._note(entry.distribution, entry.version, "blocked", entry.name, refusal)
            return
        started = time.perf_counter()
        try:
            plugin = _resolve(entry.value)
        except _CAUGHT as error:
            hint = "run `pip check`, then upgrade or uninstall the distribution"
            self._note(entry.distribution, entry.version, "import", entry.name, _cause(error), hint, _where(error))
            return
        finally:
            spent = 1000 * (time.perf_counter() - started)
            self.import_ms[entry.distribution] = self.import_ms.get(entry.distribution, 0.0) + spent
        self.add_plugin(plugin, entry.distribution, entry.version, entry.name)

    def add_plugin(self, plugin: object, distribution: str, version: str = "", entry: str = "plugin") -> None:
        """Register what a plugin module (or object) yields from its hook."""
        manager = _Manager(PROJECT)
        manager.add_hookspecs(PluginSpec)
        try:
            manager.register(plugin, f"{distribution}:{entry}")
            implementations = manager.hook.medplug_components.get_hookimpls()
        except _CAUGHT as error:
            self._note(distribution, version, "hook", entry, _cause(error), "", _where(error))
            return
        unknown = [
            n for n in vars(plugin) if n.startswith("medplug_") and manager.parse_hookimpl_opts(plugin, n) and n != HOOK
        ]
        for name in unknown:
            self._note(distribution, version, "hook", entry, f"unknown hook {name!r}{did_you_mean(name, [HOOK])}")
        if not implementations and not unknown:
            self._note(distribution, version, "hook", entry, f"no {HOOK} hook, marked with @hookimpl, was found")
        for implementation in implementations:
            if implementation.hookwrapper or implementation.wrapper:
                self._note(distribution, version, "hook", entry, f"{HOOK} must not be a wrapper")
                continue
            try:
                yielded: Any = implementation.function()
                for record in yielded or ():
                    self.add(record, distribution, version)
            except _CAUGHT as error:
                self._note(distribution, version, "hook", entry, _cause(error), "", _where(error))

    def add(self, record: Component, distribution: str = "unregistered", version: str = "") -> None:
        """Register one record; what is wrong with it becomes a problem."""
        distribution = normalise(distribution)
        if not isinstance(record, Component):
            self._note(distribution, version, "record", HOOK, f"yielded {type(record).__name__}, not a Component")
            return
        record = replace(record, distribution=distribution, version=version)
        if record.kind not in KINDS:
            hint = did_you_mean(str(record.kind), KINDS)
            self._note(distribution, version, "record", record.key, f"unknown kind {record.kind!r}{hint}")
            return
        for error in (errors := record.errors()):
            self._note(distribution, version, "record", record.key, error)
        if errors:
            return
        supported = KINDS[record.kind].contracts
        if record.contract not in supported:
            cause = f"written for {record.kind} contract {record.contract}; this medplug supports {', '.join(map(str, supported))}"
            remedy = "upgrade medplug" if record.contract > max(supported) else f"upgrade {distribution}"
            self._note(distribution, version, "contract", record.key, cause, remedy)
            return
        if self.policy.blocks(record.key):
            self._note(distribution, version, "blocked", record.key, "on the block list")
            return
        self._insert(record)

    def _insert(self, record: Component) -> None:
        twins = [r for r in self._records if r.key == record.key]
        if any(r.distribution == record.distribution for r in twins):
            self._note(record.distribution, record.version, "clash", record.key, "declared twice; the first one counts")
            return
        for twin in twins:
            hint = f"use {record.reference!r} or {twin.reference!r} to pick one"
            self._note(
                record.distribution, record.version, "clash", record.key, f"also offered by {twin.distribution}", hint
            )
        self._records.append(record)

    def _note(
        self, distribution: str, version: str, stage: str, subject: str, cause: str, hint: str = "", where: str = ""
    ) -> None:
        problem = Problem(distribution, version, stage, subject, cause, hint, where)
        self.problems.append(problem)
        if self.policy.strict and stage != "blocked":
            raise BrokenComponentError(str(problem))

    # ------------------------------------------------------------ looking up

    def components(self, kind: str | None = None) -> tuple[Component, ...]:
        """All records, or those of one kind, sorted by kind and name."""
        order = list(KINDS)
        chosen = [r for r in self._records if kind is None or r.kind == kind]
        return tuple(sorted(chosen, key=lambda r: (order.index(r.kind), r.name, r.distribution)))

    def find(self, kind: str, reference: str) -> Component:
        """The record that ``name``, ``kind/name`` or ``distribution:name`` means.

        Raises:
            UnknownComponentError: with the nearest names and the plugins that could not be used.
            AmbiguousComponentError: several distributions offer the name.
        """
        distribution, name = _split_reference(kind, reference)
        pool = [r for r in self.components(kind) if not distribution or r.distribution == distribution]
        matches = [r for r in pool if r.name == name] or [r for r in pool if name in r.aliases]
        if len(matches) == 1:
            return matches[0]
        if matches:
            options = ", ".join(r.reference for r in matches)
            raise AmbiguousComponentError(
                f"{kind} {reference!r} is offered by several plugins; write one of: {options}"
            )
        raise UnknownComponentError(self._unknown(kind, reference, name))

    def find_any(self, reference: str) -> list[Component]:
        """All records of any kind that ``name``, ``kind/name`` or ``distribution:name`` means."""
        found = []
        for kind in KINDS:
            if "/" in reference and kind_name(reference.split("/", maxsplit=1)[0]) != kind:
                continue
            distribution, name = _split_reference(kind, reference)
            for record in self.components(kind):
                if name in (record.name, *record.aliases) and distribution in ("", record.distribution):
                    found.append(record)
        return found

    def _unknown(self, kind: str, reference: str, name: str) -> str:
        names = [r.name for r in self.components(kind)]
        close = nearest(name, names)
        lines = [f"no {kind} named {reference!r} is installed"]
        if close:
            lines[0] += f"; nearest: {', '.join(close)}"
        lines.append(
            f"  installed: {', '.join(names)}"
            if names
            else f"  no plugin with a {kind} is installed: pip install 'medplug[standard]'"
        )
        broken = [p for p in self.problems if p.stage not in ("clash",)]
        lines += [f"  could not be used: {p}" for p in broken]
        lines.append("  `medplug plugins list` shows what there is; a single file is loaded with --plugin FILE.py")
        return "\n".join(lines)

    # ------------------------------------------------------------ making

    def load(self, record: Component) -> Any:
        """Import and return the class that a record names."""
        if record in self._classes:
            loaded = self._classes[record]
            if isinstance(loaded, BrokenComponentError):
                raise loaded
            return loaded
        try:
            loaded = _resolve(record.target)
        except _CAUGHT as error:
            hint = _remedy(record, error)
            self.problems.append(
                Problem(record.distribution, record.version, "resolve", record.key, _cause(error), hint, _where(error))
            )
            broken = BrokenComponentError(
                f"{record.key} ({record.distribution}) cannot be used: {_cause(error)}\n    -> {hint}"
            )
            self._classes[record] = broken
            raise broken from error
        self._classes[record] = loaded
        self._owners[loaded] = record
        return loaded

    def make(self, kind: str, reference: str, **params: Any) -> Any:
        """An instance of a component, with parameters that are checked."""
        record = self.find(kind, reference)
        return build(self.load(record), params, where=record.key)

    def record_of(self, obj: Any) -> Component | None:
        """The record of a component's class or instance, if it came from this registry."""
        cls = obj if isinstance(obj, type) else type(obj)
        if cls in self._owners:
            return self._owners[cls]
        target = f"{cls.__module__}:{cls.__qualname__}"
        return next((r for r in self._records if r.target == target), None)

    def recipe_text(self, reference: str) -> str:
        """The TOML text of a recipe that a plugin ships."""
        record = self.find("recipe", reference)
        package, _, name = record.target.partition(":")
        try:
            return files(package).joinpath(name).read_text("utf-8")
        except (OSError, ImportError) as error:
            raise BrokenComponentError(
                f"{record.key} ({record.distribution}) cannot be read: {_cause(error)}"
            ) from error


_lock = threading.Lock()
_shared: list[Registry] = []


def registry(refresh: bool = False) -> Registry:
    """The registry of this process, built on first use."""
    with _lock:
        if refresh:
            importlib.invalidate_caches()
            _shared.clear()
        if not _shared:
            _shared.append(Registry.discover())
        return _shared[0]


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    loaded: Any = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        loaded = getattr(loaded, part)
    return loaded


def _split_reference(kind: str, reference: str) -> tuple[str, str]:
    head, slash, tail = reference.partition("/")
    if slash and kind_name(head) == kind:
        reference = tail
    distribution, colon, name = reference.partition(":")
    return (normalise(distribution), canonical(name)) if colon else ("", canonical(reference))


def _remedy(record: Component, error: BaseException) -> str:
    if record.requires:
        return f"pip install {' '.join(record.requires)}"
    package = record.target.partition(":")[0]
    absent = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == package.split(".")[0]
    if absent or (isinstance(error, AttributeError) and not _where(error)):
        return f"the target {record.target!r} in the plugin's record does not exist; correct the record"
    if isinstance(error, TypeError):
        return f"mend {record.target}"
    return f"upgrade or uninstall {record.distribution}"


def _cause(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _where(error: BaseException) -> str:
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename and __file__ != f.filename
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
