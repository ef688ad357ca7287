"""The configuration of one run: settings, and the components it names.

Layers: the settings' own defaults, then a recipe, then what the user sets. A layer that changes the ``use``
of a section drops the parameters that lower layers wrote directly into that section, because they were
meant for another component; parameters in a sub-table of a component's own (``[loss.focal]``) stay.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from medplug.config.settings import (
    SECTIONS,
    CheckSettings,
    DataSettings,
    EvaluationSettings,
    FaithfulnessSettings,
    RenderingSettings,
    SplitSettings,
    TrainingSettings,
)
from medplug.config.text import NONE, Text, parse, split_list
from medplug.errors import ContractError, ParameterError, UsageError, did_you_mean
from medplug.params import build, parameters, schema
from medplug.plugins.kinds import KINDS, kind_name
from medplug.plugins.records import canonical
from medplug.plugins.registry import Registry

AUTO = "auto"
TASKS = ("multiclass", "multilabel")
_VERBS = {"augmenter": "augment", "mixer": "mix", "preprocessor": "preprocess"}
SECTION_OF = {name: _VERBS.get(name, name) for name in KINDS if name != "recipe"}
KIND_OF = {section: kind for kind, section in SECTION_OF.items()}
_TOP = {"seed": int, "budget": float, "recipe": str, "source": str, "task": str}


@dataclass(frozen=True)
class Choice:
    """What a section says about one kind of component.

    Attributes:
        use: names in order; of a kind that takes one component, one name. ``{"multiclass": …, "multilabel": …}``
            chooses by task. Instances of the user's own stand beside names.
        direct: parameters written directly into the section.
        tables: parameters by component name; a table with the name of a task holds for that task only.
    """

    use: Any = ()
    direct: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """A configuration, checked. ``make`` turns its names into components."""

    seed: int = 0
    budget: float | None = None
    recipe: str = ""
    source: str = ""
    task: str = AUTO
    data: DataSettings = field(default_factory=DataSettings)
    checks: CheckSettings = field(default_factory=CheckSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    rendering: RenderingSettings = field(default_factory=RenderingSettings)
    faithfulness: FaithfulnessSettings = field(default_factory=FaithfulnessSettings)
    choices: Mapping[str, Choice] = field(default_factory=dict)

    @classmethod
    def from_layers(cls, *layers: Mapping[str, Any]) -> Config:
        """Merge nested dicts, later ones on top, and check every key and value of the settings."""
        merged = _merge(layers)
        top = {k: merged.pop(k) for k in _TOP if k in merged}
        settings = {name: _settings(name, merged.pop(name, {})) for name in SECTIONS}
        choices = {KIND_OF[s]: _choice(KIND_OF[s], merged.pop(s, {})) for s in KIND_OF}
        for key in merged:
            places = [f"{name}.{key}" for name, cls in SECTIONS.items() if key in typing.get_type_hints(cls)]
            hint = f"; did you mean {places[0]!r}?" if places else did_you_mean(key, (*SECTIONS, *KIND_OF, *_TOP))
            raise UsageError(f"unknown section {key!r}{hint}; see --help-config")
        return cls(**_top(top), **settings, choices=choices)

    def with_components(self, kind: str, components: Any) -> Config:
        """The configuration with instances (or names) in the place of what a section says."""
        choice = Choice(use=tuple(components) if isinstance(components, (list, tuple)) else (components,))
        return replace(self, choices={**self.choices, kind: choice})

    def with_uses(self, kind: str, name: str) -> Config:
        """The configuration with another name in a section's ``use``; parameters stay."""
        choice = self.choices.get(kind, Choice())
        return replace(self, choices={**self.choices, kind: replace(choice, use=(name,))})

    def with_defaults(self, kind: str, **parameters: Any) -> Config:
        """The configuration with parameters of a section, where it does not have them yet."""
        choice = self.choices.get(kind, Choice())
        direct = {**parameters, **choice.direct}
        return replace(self, choices={**self.choices, kind: replace(choice, direct=direct)})

    # ------------------------------------------------------------ components

    def make_all(self, kind: str, registry: Registry, task: str = "multiclass") -> list[tuple[str, Any]]:
        """(name, component) for each that the configuration names, for a task."""
        choice = self.choices.get(kind, Choice())
        uses = choice.use
        if isinstance(uses, Mapping):
            uses = uses.get(task, ())
        uses = (uses,) if isinstance(uses, str) or not isinstance(uses, (list, tuple)) else uses
        return [_make(kind, use, choice, registry, task, single=len(uses) == 1) for use in uses if use != AUTO]

    def make(self, kind: str, registry: Registry, task: str = "multiclass") -> tuple[str, Any]:
        """The one (name, component) of a kind that takes one."""
        made = self.make_all(kind, registry, task)
        if len(made) != 1:
            section = SECTION_OF[kind]
            raise UsageError(
                f"{section}.use must name one {kind}, got {len(made)}; `medplug plugins list --kind {kind}` shows them"
            )
        return made[0]

    def check_components(self, registry: Registry) -> None:
        """Make everything that is named, so that a wrong name or parameter is told before any work."""
        for kind, choice in self.choices.items():
            tasks = TASKS if isinstance(choice.use, Mapping) else TASKS[:1]
            for task in tasks:
                self.make_all(kind, registry, task)
            _check_tables(kind, choice, registry)

    def uses(self, kind: str) -> Any:
        """What the section's ``use`` says."""
        return self.choices.get(kind, Choice()).use

    # ------------------------------------------------------------ writing

    def to_tree(self, resolved: Mapping[str, list[tuple[str, Any]]] | None = None) -> dict[str, Any]:
        """Everything as plain values. ``resolved`` holds the components made of each kind; their parameters are all written."""
        tree: dict[str, Any] = {"seed": self.seed, "task": self.task, "recipe": self.recipe}
        if self.source:
            tree["source"] = self.source
        if self.budget is not None:
            tree["budget"] = self.budget
        for name in SECTIONS:
            tree[name] = parameters(getattr(self, name))
        for kind, made in (resolved or {}).items():
            section: dict[str, Any] = {}
            names = [name for name, _ in made]
            if KINDS[kind].many:
                section["use"] = names
                section.update({_bare(name): parameters(obj) for name, obj in made if parameters(obj)})
            elif made:
                section = {"use": names[0], **parameters(made[0][1])}
            tree[SECTION_OF[kind]] = section
        return tree


def _top(values: dict[str, Any]) -> dict[str, Any]:
    checked = {}
    for key, value in values.items():
        wanted = float | None if key == "budget" else _TOP[key]
        value = parse(value, wanted)
        if key == "budget" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise UsageError(f"{key} must be a {_TOP[key].__name__}, got {value!r}")
        checked[key] = value
    if checked.get("seed", 0) < 0:
        raise UsageError(f"seed must be at least 0, got {checked['seed']}")
    budget = checked.get("budget")
    if budget is not None and budget <= 0:
        raise UsageError(f"budget must be more than 0 minutes, got {budget:g}")
    if checked.get("task", AUTO) not in (AUTO, *TASKS):
        raise UsageError(f"task must be auto, multiclass or multilabel, got {checked['task']!r}")
    return checked


def _settings(section: str, values: Mapping[str, Any]) -> Any:
    cls = SECTIONS[section]
    hints = typing.get_type_hints(cls)
    if not isinstance(values, Mapping):
        raise UsageError(f"{section} is a section; set one of its keys, as in {section}.{next(iter(hints))}")
    read = {k: parse(v, hints[k]) if k in hints else v for k, v in values.items()}
    return build(cls, read, where=section)


def _choice(kind: str, values: Mapping[str, Any]) -> Choice:
    section = SECTION_OF[kind]
    if not isinstance(values, Mapping):
        raise UsageError(f"{section} is a section; pick a component with {section}.use=NAME")
    use = values.get("use", ())
    if isinstance(use, str):
        use = () if use.strip().lower() == NONE else tuple(split_list(use))
    elif isinstance(use, Mapping):
        wrong = set(use) - set(TASKS)
        if wrong:
            raise UsageError(f"{section}.use: unknown task {sorted(wrong)[0]!r}; tasks are multiclass and multilabel")
        use = {
            task: tuple(split_list(names)) if isinstance(names, str) else tuple(names) for task, names in use.items()
        }
    else:
        use = tuple(use)
    direct = {k: v for k, v in values.items() if k != "use" and not isinstance(v, Mapping)}
    tables = {canonical(k): dict(v) for k, v in values.items() if k != "use" and isinstance(v, Mapping)}
    return Choice(use, direct, tables)


def _make(kind: str, use: Any, choice: Choice, registry: Registry, task: str, single: bool) -> tuple[str, Any]:
    if not isinstance(use, str):
        name = _name_of(use, registry)
        return name, _checked(kind, name, use)
    record = registry.find(kind, use)
    cls = registry.load(record)
    values = {**choice.tables.get(record.name, {}), **choice.tables.get(task, {})}
    if choice.direct:
        if not single and KINDS[kind].many:
            key = next(iter(choice.direct))
            raise UsageError(
                f"{SECTION_OF[kind]}.{key}: name the {kind} it belongs to, as in {SECTION_OF[kind]}.{record.name}.{key}"
            )
        values.update(choice.direct)
    hints = {p.name: p.annotation for p in schema(cls)}
    read = {k: parse(v, hints[k]) if k in hints else v for k, v in values.items()}
    try:
        return record.reference, _checked(kind, record.reference, build(cls, read, where=record.key))
    except TypeError as error:
        raise ParameterError(f"{record.key}: {error}") from error


def _checked(kind: str, name: str, obj: Any) -> Any:
    """The component, if it has what its kind needs; the conformance kit looks closer."""
    missing = [m for m in KINDS[kind].members if not hasattr(obj, m)]
    if missing:
        raise ContractError(
            f"{kind} {name} lacks {', '.join(missing)}; `medplug plugins show {kind}` says what it must have"
        )
    tasks = obj.tasks if "tasks" in KINDS[kind].members else ()
    for task in (tasks,) if isinstance(tasks, str) else tasks:
        if isinstance(tasks, str) or task not in TASKS:
            hint = did_you_mean(task, TASKS)
            raise ContractError(f"{kind} {name}: tasks must be a tuple of {' and '.join(TASKS)}, got {tasks!r}{hint}")
    return obj


def _check_tables(kind: str, choice: Choice, registry: Registry) -> None:
    """Tables of components that are not in use must be right too; one of a plugin that is not installed is let pass."""
    names = [r.name for r in registry.components(kind)]
    for name in choice.tables:
        alike = [r.reference for r in registry.components(kind) if r.name == name]
        if alike:
            _check_table(kind, alike, replace(choice, direct={}), registry)
        elif name not in TASKS and (hint := did_you_mean(name, names)):
            raise UsageError(f"{SECTION_OF[kind]}.{name}: there is no such {kind}{hint}")


def _check_table(kind: str, alike: list[str], choice: Choice, registry: Registry) -> None:
    """A table fits if it fits one of the components that share its name."""
    problem: Exception | None = None
    for reference in alike:
        try:
            _make(kind, reference, choice, registry, "", single=True)
        except (ParameterError, ContractError) as error:
            problem = error
        else:
            return
    if problem is not None:
        raise problem


def _name_of(obj: Any, registry: Registry) -> str:
    record = registry.record_of(obj)
    if record is not None:
        return record.reference
    return f"unregistered:{type(obj).__name__}"


def _bare(reference: str) -> str:
    return reference.rpartition(":")[2]


def _merge(layers: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            key = section_name(key)
            if not isinstance(value, Mapping):
                merged[key] = value
                continue
            section = merged.setdefault(key, {})
            if key in KIND_OF and "use" in value and _spelled(value["use"]) != _spelled(section.get("use")):
                section = {k: v for k, v in section.items() if isinstance(v, Mapping) and k != "use"}
            merged[key] = _overlay(section, value)
    return merged


def _spelled(use: Any) -> Any:
    """A ``use`` in one spelling, without distributions: the stored ``dist:grad_cam`` and ``Grad-CAM`` are the same."""
    if use is None or isinstance(use, Mapping):
        return use
    return [canonical(str(name).rpartition(":")[2]) for name in (split_list(use) if isinstance(use, str) else use)]


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key != "use"
        result[key] = _overlay(result[key], value) if nested else value
    return result


def section_name(word: str) -> str:
    """The section that a word means: its own name, or a kind's singular or plural."""
    kind = kind_name(word)
    return SECTION_OF.get(kind, word) if kind else word


def from_assignments(assignments: Mapping[str, Any]) -> dict[str, Any]:
    """``{"loss.gamma": 3}`` to ``{"loss": {"gamma": 3}}``; strings are read later by the type of their field."""
    tree: dict[str, Any] = {}
    for dotted, value in assignments.items():
        parts = dotted.strip().split(".")
        if not all(parts):
            raise UsageError(f"{dotted!r} is not a key; keys look like loss.gamma")
        parts[0] = section_name(parts[0])
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UsageError(f"{dotted!r}: {part!r} is set as a value and as a section")
        node[parts[-1]] = Text(value) if isinstance(value, str) else value
    return tree
