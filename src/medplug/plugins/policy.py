"""Which plugins may be loaded. Applied before anything of a plugin is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Policy:
    """Allow and block lists. They serve reproducibility and fault isolation; they are no sandbox.

    Attributes:
        allow: patterns of distribution names; None allows all.
        block: patterns of distribution names, or ``kind/name``; block beats allow.
        strict: raise at the first problem instead of going on without the plugin.
    """

    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()
    strict: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Policy:
        """Read ``MEDPLUG_PLUGINS`` (``none``, ``*`` or a comma list), ``MEDPLUG_PLUGINS_BLOCK``, ``MEDPLUG_PLUGINS_STRICT``."""
        environ = os.environ if environ is None else environ
        words = _words(environ.get("MEDPLUG_PLUGINS", "*"))
        allow = None if "*" in words else () if words == ("none",) else words
        return cls(
            allow, _words(environ.get("MEDPLUG_PLUGINS_BLOCK", "")), environ.get("MEDPLUG_PLUGINS_STRICT", "") == "1"
        )

    def refusal(self, distribution: str) -> str:
        """Why a distribution may not be loaded; empty if it may."""
        if any(fnmatchcase(distribution, p) for p in self.block if "/" not in p):
            return "on the block list"
        if self.allow is not None and not any(fnmatchcase(distribution, p) for p in self.allow):
            return "not on the allow list"
        return ""

    def blocks(self, key: str) -> bool:
        """Whether a single component, written ``kind/name``, is blocked."""
        return any(fnmatchcase(key, p) for p in self.block if "/" in p)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
