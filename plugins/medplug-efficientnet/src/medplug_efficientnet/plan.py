"""What tells one network of the family from another, as numbers. Light: imports nothing that is slow."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """``repeats`` blocks; the first has the stride and changes the channels, ``expand`` times wider inside."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    inputs: int
    outputs: int


class Plan(NamedTuple):
    """Channels of the stem, the stages, and channels of the last convolution."""

    stem: int
    stages: tuple[Stage, ...]
    final: int


LITE0 = Plan(
    stem=32,
    stages=(
        Stage(1, 3, 1, 1, 32, 16),
        Stage(2, 3, 2, 6, 16, 24),
        Stage(2, 5, 2, 6, 24, 40),
        Stage(3, 3, 2, 6, 40, 80),
        Stage(3, 5, 1, 6, 80, 112),
        Stage(4, 5, 2, 6, 112, 192),
        Stage(1, 3, 1, 6, 192, 320),
    ),
    final=1280,
)
