"""The one hook of medplug's plugins.

A plugin is a light module named by an entry point of the group ``medplug``. It implements::

    from medplug.plugins import Component, hookimpl

    @hookimpl
    def medplug_components():
        yield Component("loss", "focal", "my_package.losses:Focal", "Focal loss")

The hook is called once per process. Its module must import nothing heavy: listing plugins loads no
jax, flax, numpy or scikit-learn. What the records name is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from medplug.plugins.records import Component

PROJECT = "medplug"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class PluginSpec:
    """What a plugin module may implement."""

    @hookspec
    def medplug_components(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Yield one :class:`~medplug.plugins.Component` for each thing that the plugin offers."""
