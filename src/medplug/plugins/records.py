"""What a plugin says about itself: inert records, and the problems met on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def canonical(name: str) -> str:
    """A component's name as it is stored: ``Grad-CAM`` and ``grad_cam`` are the same.

    >>> canonical("Cross-Entropy")
    'cross_entropy'
    """
    return name.strip().lower().replace("-", "_")


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that a plugin offers. Inert: nothing is imported until it is used.

    The constructor never raises; the registry asks :meth:`errors`, so that one bad record does not
    take the others of its plugin along.

    Attributes:
        kind: a key of the table of kinds: ``reader``, ``loss``, ``recipe`` …
        name: snake_case, as in ``cross_entropy``; hyphens are accepted where users type names.
        target: ``"package.module:Class"``; of a recipe ``"package:file.toml"``.
        summary: one line for listings.
        aliases: further names, never hiding a real one; they may be spelt as other tools spell them (``"gc++"``).
        tags: words for searching, such as ``"imbalance"`` or ``"3d"``.
        contract: the contract of its kind that the component was written for.
        requires: what ``pip install`` needs when the target cannot be imported.
        distribution, version: filled in by medplug.
    """

    kind: str
    name: str
    target: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    contract: int = 1
    requires: tuple[str, ...] = ()
    distribution: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """``kind/name``."""
        return f"{self.kind}/{self.name}"

    @property
    def reference(self) -> str:
        """``distribution:name``, which stays unique whatever else is installed."""
        return f"{self.distribution}:{self.name}"

    def errors(self) -> list[str]:
        """What is wrong with the record itself."""
        found = []
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            found.append(f"{self.name!r} is not a valid name (snake_case, starting with a letter)")
        for alias in self.aliases:
            if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
                found.append(f"{alias!r} is not a valid alias (letters, digits, _ + -, starting with a letter)")
        pattern_holds = isinstance(self.target, str) and (self.kind == "recipe" or _TARGET.fullmatch(self.target))
        if not pattern_holds or ":" not in self.target:
            found.append(f"target {self.target!r} is not of the form 'package.module:Class'")
        if not isinstance(self.contract, int) or isinstance(self.contract, bool) or self.contract < 1:
            found.append(f"contract must be a whole number from 1 on, got {self.contract!r}")
        return found


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a plugin, or one of its components, from being used.

    Attributes:
        stage: ``blocked``, ``import``, ``hook``, ``record``, ``contract``, ``clash``, ``resolve`` or ``observer``.
        subject: the entry point or ``kind/name`` that the problem is about.
        cause: what happened, in words.
        hint: what to do.
        where: ``file:line`` where the cause lies, if known.
    """

    distribution: str
    version: str
    stage: str
    subject: str
    cause: str
    hint: str = ""
    where: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        hint = f"\n    -> {self.hint}" if self.hint else ""
        return f"{self.distribution} {self.version} [{self.stage}] {self.subject}: {self.cause}{place}{hint}"
