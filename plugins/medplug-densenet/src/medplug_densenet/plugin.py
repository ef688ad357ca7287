"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl

_MODULE = "medplug_densenet.architecture"


@hookimpl
def medplug_components() -> Iterator[Component]:
    """The three published sizes that have ImageNet weights."""
    for layers, millions in ((121, 8), (169, 14), (201, 20)):
        yield Component(
            "architecture",
            f"densenet{layers}",
            f"{_MODULE}:DenseNet{layers}",
            f"DenseNet with {layers} layers, {millions} million parameters, ImageNet weights by download",
            tags=("2d", "cnn", "imagenet"),
            contract=1,
        )
