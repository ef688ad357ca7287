"""The numbers of a DenseNet, without any array: depth, widths, and the shape of each layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one DenseNet-BC (Huang et al. 2017, "Densely connected convolutional networks", table 1).

    Attributes:
        blocks: layers of each dense block.
        growth: channels that each layer adds.
        stem: channels of the first convolution.
        bottleneck: a layer's 1x1 convolution has ``bottleneck * growth`` channels.
    """

    blocks: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    stem: int = 64
    bottleneck: int = 4

    @property
    def width(self) -> int:
        """Channels inside a layer, between its two convolutions."""
        return self.bottleneck * self.growth

    def entering(self) -> tuple[int, ...]:
        """Channels that enter each block; each transition halves them (theta = 0.5)."""
        channels = [self.stem]
        for depth in self.blocks[:-1]:
            channels.append((channels[-1] + depth * self.growth) // 2)
        return tuple(channels)

    @property
    def features(self) -> int:
        """Channels that leave the last block."""
        return self.entering()[-1] + self.blocks[-1] * self.growth

    @property
    def smallest(self) -> int:
        """The smallest edge of an image, pixels: stem and transitions halve it once per block and once more."""
        return 2 ** (len(self.blocks) + 1)


DENSENET121 = Plan()
DENSENET169 = Plan(blocks=(6, 12, 32, 32))
DENSENET201 = Plan(blocks=(6, 12, 48, 32))
