"""A border around images."""

from __future__ import annotations

import numpy as np

from medplug.plugins import ParameterError, Preprocessing, component, param
from medplug_standard.preprocessors.frames import BORDER_HELP, VALUE_HELP, Border, Region, centred, frame, per_axis


@component
class Padding:
    """Adds a border, alike at both ends of an axis: until all edges are as long as the longest, or to a given size.

    Edges that are as long as wanted, or longer, stay as they are. Before ``resize`` it keeps the aspect ratio.

    Example:
        >>> import numpy as np
        >>> from medplug.plugins import Preprocessing
        >>> strip = np.array([[[1], [2], [3], [4]]], np.uint8)
        >>> Padding(border="edge")(strip, Preprocessing())[..., 0].tolist()
        [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]
        >>> Padding(edges=(1, 6))(strip, Preprocessing())[..., 0].tolist()
        [[0, 1, 2, 3, 4, 0]]
    """

    stage = "image"

    edges: tuple[int, ...] | None = param(
        "shortest edges, pixels: one for all axes, or one for each; None: as long as the longest", default=None, ge=1
    )
    border: Border = param(BORDER_HELP, default="constant")
    value: float = param(VALUE_HELP, default=0.0, ge=0, le=1)

    examples = ({}, {"edges": (40,), "border": "reflect"}, {"border": "edge"})

    def __post_init__(self) -> None:
        if self.edges == ():
            raise ParameterError("edges must name at least one edge; None pads to a square")

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        """Pixels ``[*S, C]`` to more pixels of the same depth."""
        return frame(pixels, centred(pixels.shape[:-1], self._wanted(pixels.shape)), self.border, self.value)

    def region(self, shape: tuple[int, ...], target: Preprocessing) -> Region:
        """Where the result lies in the image."""
        return tuple((float(low), float(high)) for low, high in centred(shape[:-1], self._wanted(shape)))

    def _wanted(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        spatial = shape[:-1]
        edges = (max(spatial),) if self.edges is None else self.edges
        return tuple(max(n, edge) for n, edge in zip(spatial, per_axis(edges, len(spatial)), strict=True))
