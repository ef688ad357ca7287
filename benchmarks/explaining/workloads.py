"""What the explainers are given: the same for medplug and its peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EDGE, LABELS, LABEL = 224, 8, 3


@dataclass(frozen=True)
class Comparison:
    """One method, by medplug and by a peer.

    Attributes:
        method: medplug's name of it.
        title: for the table, with what it is given.
        peer: whose defaults and best setting are compared.
        images: of a call.
        calls: timed calls of a process.
        parameters: of the method, by their names in medplug.
        defaults, best: least speed of medplug, as a multiple of the peer's.
    """

    method: str
    title: str
    peer: str
    images: int
    calls: int
    defaults: float
    best: float = 0.9
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def workload(self, setting: str, chunk: int | None) -> dict[str, Any]:
        """What a worker is told.

        ``setting`` is ``"medplug"``, ``"defaults"`` or ``"best"``; for the last, ``chunk`` says how many images or
        variants go through the peer's network at once. None lets its worker find out.
        """
        given = {"method": self.method, "setting": setting, "images": self.images, "chunk": chunk}
        return {**given, "calls": self.calls, "edge": EDGE, "labels": LABELS, "label": LABEL, **self.parameters}


COMPARISONS = (
    Comparison("grad_cam", "Grad-CAM", "pytorch-grad-cam", 32, 2, defaults=2.0),
    Comparison(
        "occlusion", "occlusion, patch and stride 16", "captum", 1, 1, 1.2, parameters={"patch": 16, "stride": 16}
    ),
    Comparison(
        "score_cam", "Score-CAM, 128 channels", "pytorch-grad-cam", 1, 1, 1.2, parameters={"stage": "transition1"}
    ),
    Comparison("integrated_gradients", "integrated gradients, 50 steps", "captum", 1, 1, 1.2, parameters={"steps": 50}),
)
"""Score-CAM stands at a stage of 128 channels because its cost is one pass a channel: the 1024 of the last take 8 times as long."""

RATES = {"method": "rates", "images": 32, "calls": 3, "edge": EDGE, "labels": 29, "label": LABEL}
MEMORY = {  # few variants: whether they are bounded shows at once, and their number only takes time
    "occlusion": {"patch": 112, "stride": 112},
    "integrated_gradients": {"steps": 4},
}
MEMORY_IMAGES = (8, 32)
