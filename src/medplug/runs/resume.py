"""Going on with a run: its own configuration counts, and options that contradict it are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.files import parse_recipe
from medplug.errors import RunError, UsageError
from medplug.params import parameters
from medplug.plugins.records import canonical
from medplug.plugins.registry import Registry
from medplug.runs.folder import CONFIG, SPLIT, read_split
from medplug.train.plan import PLANNED
from medplug.values import Index, Split

# Settings and kinds that only matter after training: a run may be finished with others.
_AFTER_TRAINING = ("explainer", "metric", "observer", "rendering", "faithfulness", "evaluation")


def stored_recipe(out: str | None, options: Any, settings: dict[str, str], registry: Registry) -> str | None:
    """The path of the run's ``config.toml``, which a resumed run uses; None where the run had not begun to train.

    Raises:
        UsageError: an option names another value than the run has.
    """
    if out is None:
        raise UsageError("--resume needs --out: the folder of the run to go on with")
    path = Path(out, CONFIG)
    if not path.exists():
        return None
    stored = parse_recipe(path.read_text("utf-8"), str(path))
    wanted = {**from_assignments(settings)}
    for section, key, value in (("architecture", "use", options.architecture), ("data", "size", options.size)):
        if value is not None:
            wanted.setdefault(section, {})[key] = value
    if options.seed is not None:
        wanted["seed"] = options.seed
    before, after = Config.from_layers(stored), Config.from_layers(stored, wanted)
    changed = [
        change
        for name in vars(before)
        if name not in _AFTER_TRAINING
        for change in _changes(before, after, name, registry)
    ]
    if changed:
        raise UsageError(
            f"--resume: the run in {out} has other values ({'; '.join(changed)}); leave the options out, or start anew"
        )
    return str(path)


def as_planned(folder: Path, config: Config, index: Index, split: Split) -> Config:
    """The configuration with what the run had planned.

    Raises:
        RunError: the split is another one, so that training images would be tested, or training has other settings.
    """
    if not (folder / CONFIG).exists():
        return config
    stored = read_split(folder / SPLIT, index.classes)
    now_parts = dict(zip(index.samples, split.names(len(index)), strict=True))
    if dict(zip(stored.samples, stored.parts, strict=True)) != now_parts:
        raise RunError(f"{folder} was started on another split (seed, groups or given parts have changed); start anew")
    path = folder / CONFIG
    planned = Config.from_layers(parse_recipe(path.read_text("utf-8"), str(path))).training
    if replace(config.training, **{key: getattr(planned, key) for key in PLANNED}) != planned:
        raise RunError(f"{folder} was started with other training settings, see {path}; start anew in another folder")
    return replace(config, training=planned)


def _changes(before: Config, after: Config, name: str, registry: Registry) -> list[str]:
    old, new = getattr(before, name), getattr(after, name)
    if name == "choices":
        return [c for k in old if k not in _AFTER_TRAINING for c in _component_changes(before, after, k, registry)]
    if old == new or not hasattr(old, "__dataclass_fields__"):
        return [] if old == new else [f"{name}: {old}, not {new}"]
    keys = [k for k in old.__dataclass_fields__ if getattr(old, k) != getattr(new, k)]
    return [f"{name}.{k}: {getattr(old, k)}, not {getattr(new, k)}" for k in keys]


def _component_changes(before: Config, after: Config, kind: str, registry: Registry) -> list[str]:
    if _bare(before.uses(kind)) != _bare(after.uses(kind)):
        return [f"{kind}: {_bare(before.uses(kind))}, not {_bare(after.uses(kind))}"]
    old = before.make_all(kind, registry, before.task)
    new = after.make_all(kind, registry, before.task)
    return [f"{kind}: {a}, not {b}" for (_, a), (_, b) in zip(old, new, strict=True) if parameters(a) != parameters(b)]


def _bare(use: Any) -> Any:
    return tuple(canonical(str(u).rpartition(":")[2]) for u in use) if isinstance(use, tuple) else use
