"""Going on with a run: its own configuration counts, and options that contradict it are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.files import parse_recipe
from medplug.errors import UsageError
from medplug.plugins.records import canonical
from medplug.runs.folder import CONFIG

# Settings and kinds that only matter after training: a run may be finished with others.
_AFTER_TRAINING = ("explainer", "metric", "observer", "rendering", "evaluation")


def stored_recipe(out: str | None, options: Any, settings: dict[str, str]) -> str | None:
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
        change for name in vars(before) if name not in _AFTER_TRAINING for change in _changes(before, after, name)
    ]
    if changed:
        raise UsageError(
            f"--resume: the run in {out} has other values ({'; '.join(changed)}); leave the options out, or start anew"
        )
    return str(path)


def _changes(before: Config, after: Config, name: str) -> list[str]:
    old, new = getattr(before, name), getattr(after, name)
    if name == "choices":
        kinds = [k for k in old if k not in _AFTER_TRAINING and _bare(new[k].use) != _bare(old[k].use)]
        return [f"{k}: {_bare(old[k].use)}, not {_bare(new[k].use)}" for k in kinds]
    if old == new or not hasattr(old, "__dataclass_fields__"):
        return [] if old == new else [f"{name}: {old}, not {new}"]
    keys = [k for k in old.__dataclass_fields__ if getattr(old, k) != getattr(new, k)]
    return [f"{name}.{k}: {getattr(old, k)}, not {getattr(new, k)}" for k in keys]


def _bare(use: Any) -> Any:
    return tuple(canonical(str(u).rpartition(":")[2]) for u in use) if isinstance(use, tuple) else use
