"""Going on with a run: its own configuration counts, and options that contradict it are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.config.files import parse_recipe
from medplug.errors import UsageError
from medplug.runs.folder import CONFIG


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
    for name in vars(before):
        old, new = getattr(before, name), getattr(after, name)
        if name == "choices":
            changed = [k for k in old if _bare(new[k].use) != _bare(old[k].use)]
            if changed:
                raise UsageError(
                    f"--resume: the run in {out} uses {old[changed[0]].use} as {changed[0]}, not {new[changed[0]].use}"
                )
        elif old != new:
            raise UsageError(
                f"--resume: the run in {out} has {name} {old!r}, not {new!r}; leave the option out, or start anew"
            )
    return str(path)


def _bare(use: Any) -> Any:
    return tuple(str(u).rpartition(":")[2].replace("-", "_") for u in use) if isinstance(use, tuple) else use
