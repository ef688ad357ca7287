"""EfficientNet-Lite0 in PyTorch, with the names of the port that its ImageNet weights come from."""

import torch
from torch import Tensor, nn
from torch.nn import functional

# repeats, kernel, stride, expansion, inputs, outputs
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
EPSILON, MOMENTUM = 1e-3, 0.01


class Conv(nn.Conv2d):
    """A convolution without bias whose zeros lie as TensorFlow's rule ``SAME`` has them."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0  # with stride 2 the sides differ
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, I, H, W]`` to ``[B, O, H/stride, W/stride]``, sizes rounded up."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
            x = functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of the weights."""
    return nn.BatchNorm2d(channels, EPSILON, MOMENTUM)


class Block(nn.Module):
    """Expand, depthwise, project; no squeeze and excitation."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands, self.residual = expansion != 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = Conv(inputs, wide, 1), norm(wide)
        self._depthwise_conv, self._bn1 = Conv(wide, wide, kernel, stride, groups=wide), norm(wide)
        self._project_conv, self._bn2 = Conv(wide, outputs, 1), norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, I, H, W]`` to ``[B, O, H/stride, W/stride]``."""
        y = functional.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class Lite0(nn.Module):
    """Standardised images ``[B, 3, H, W]`` to logits ``[B, K]``."""

    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = Conv(3, 32, 3, 2), norm(32)
        self._blocks = nn.ModuleList(
            Block(kernel, 1 if repeat else stride, expansion, outputs if repeat else inputs, outputs)
            for repeats, kernel, stride, expansion, inputs, outputs in STAGES
            for repeat in range(repeats)
        )
        self._conv_head, self._bn1 = Conv(320, 1280, 1), norm(1280)
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(1280, classes)

    def features(self, x: Tensor) -> Tensor:
        """Pooled features ``[B, 1280]``."""
        x = functional.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x)), inplace=True).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """The same in training, with dropout before the last layer."""
        return self._fc(self._dropout(self.features(x)))

    def head(self) -> list[torch.nn.Parameter]:
        """The parameters of the classifier."""
        return list(self._fc.parameters())

    def body(self) -> list[torch.nn.Parameter]:
        """All other parameters."""
        mine = {id(p) for p in self.head()}
        return [p for p in self.parameters() if id(p) not in mine]
