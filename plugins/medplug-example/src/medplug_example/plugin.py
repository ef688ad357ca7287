"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl


@hookimpl
def medplug_components() -> Iterator[Component]:
    """The components of this distribution."""
    yield Component(
        "loss",
        "poly1",
        "medplug_example.poly1:Poly1",
        "PolyLoss: cross-entropy with another weight on its first polynomial term",
        aliases=("polyloss",),
        tags=("multiclass",),
    )
