"""The network of ``explainer_reference`` in PyTorch; for the scripts that record references, never for the tests."""

from __future__ import annotations

import explainer_reference as reference
import numpy as np
import torch
from torch import nn


class Network(nn.Module):
    """``conv1``, pool, ``conv2``, ``conv3``, each with a ReLU module of its own (``relu1`` …), mean, ``head``."""

    def __init__(self) -> None:
        super().__init__()
        sizes = reference.CHANNELS
        for n in (1, 2, 3):
            setattr(self, f"conv{n}", nn.Conv2d(sizes[n - 1], sizes[n], 3, padding=1))
            setattr(self, f"relu{n}", nn.ReLU())
        self.head = nn.Linear(sizes[3], reference.CLASSES)
        with torch.no_grad():
            for name, value in reference.weights().items():
                layer, _, part = name.partition("/")
                tensor = torch.from_numpy(np.ascontiguousarray(value))
                if part == "kernel":
                    tensor = tensor.T if layer == "head" else tensor.permute(3, 2, 0, 1)
                getattr(getattr(self, layer), "weight" if part == "kernel" else "bias").copy_(tensor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 3, H, W]`` to ``[B, 5]``."""
        x = self.relu1(self.conv1(x))
        x = self.relu2(self.conv2(nn.functional.avg_pool2d(x, 2)))
        x = self.relu3(self.conv3(x))
        return self.head(x.mean((2, 3)))


def images() -> torch.Tensor:
    """``[4, 3, 32, 32]``."""
    return torch.from_numpy(reference.images()).permute(0, 3, 1, 2).contiguous()
