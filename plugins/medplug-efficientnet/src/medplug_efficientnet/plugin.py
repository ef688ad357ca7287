"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl


@hookimpl
def medplug_components() -> Iterator[Component]:
    """The one size whose weights come as a package."""
    yield Component(
        "architecture",
        "efficientnet_lite0",
        "medplug_efficientnet.architecture:EfficientNetLite0",
        "EfficientNet-Lite0, 4.7 million parameters, ImageNet weights without a download",
        tags=("2d", "cnn", "imagenet", "offline"),
        contract=1,
    )
