"""Record what a PyTorch DenseNet121 computes; run by hand, in an environment that has torch.

    python -m venv torchenv && torchenv/bin/pip install torch==2.13.0 numpy
    torchenv/bin/python plugins/medplug-densenet/tests/record_torch.py

Writes ``torch_densenet121.npz`` and two small weights files, one in each of PyTorch's formats, beside this script.
The network is written out here with torchvision's module names; its weights are those of ``densenet_seeded``.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from densenet_seeded import seeded, seeded_images, seeded_targets
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
CLASSES = 10
SHAPE = (3, 64, 96, 3)
ODD_SHAPE = (1, 75, 45, 3)
FULL_STATISTICS = ("features.norm0", "features.denseblock2.denselayer7.norm1", "features.transition1.norm")


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(functional.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(functional.relu(self.norm2(y)))], 1)


def densenet(blocks: tuple[int, ...], growth: int, stem: int, classes: int) -> nn.Module:
    """A DenseNet with torchvision's names: ``features.*`` up to ``norm5``, then ``classifier``."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv0"] = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
    parts["norm0"] = nn.BatchNorm2d(stem)
    parts["relu0"] = nn.ReLU()
    parts["pool0"] = nn.MaxPool2d(3, stride=2, padding=1)
    width = stem
    for i, depth in enumerate(blocks, start=1):
        layers = OrderedDict((f"denselayer{j + 1}", DenseLayer(width + j * growth, growth)) for j in range(depth))
        parts[f"denseblock{i}"] = nn.Sequential(layers)
        width += depth * growth
        if i < len(blocks):
            between = OrderedDict(
                norm=nn.BatchNorm2d(width),
                relu=nn.ReLU(),
                conv=nn.Conv2d(width, width // 2, 1, bias=False),
                pool=nn.AvgPool2d(2, stride=2),
            )
            parts[f"transition{i}"] = nn.Sequential(between)
            width //= 2
    parts["norm5"] = nn.BatchNorm2d(width)
    network = nn.Module()
    network.features = nn.Sequential(parts)
    network.classifier = nn.Linear(width, classes)
    state = network.state_dict()
    drawn = {k: torch.from_numpy(seeded(k, tuple(v.shape))) for k, v in state.items() if v.ndim}
    network.load_state_dict(state | drawn)
    return network


def run(network: nn.Module, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features ``[B, h, w, D]`` after the last ReLU, and logits."""
    features = functional.relu(network.features(torch.from_numpy(images).permute(0, 3, 1, 2)))
    return features.permute(0, 2, 3, 1), network.classifier(features.mean((2, 3)))


def record() -> dict[str, np.ndarray]:
    """Evaluation of two shapes of image, then one training step: logits, loss, gradients, statistics."""
    network = densenet((6, 12, 24, 16), 32, 64, CLASSES).eval()
    out: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, shape in (("eval", SHAPE), ("odd", ODD_SHAPE)):
            features, logits = run(network, seeded_images(shape))
            out[f"{name}/features"], out[f"{name}/logits"] = features.numpy(), logits.numpy()
    network.train()
    _, logits = run(network, seeded_images(SHAPE))
    loss = functional.cross_entropy(logits, torch.from_numpy(seeded_targets(SHAPE[0], CLASSES)))
    loss.backward()
    out["train/logits"], out["train/loss"] = logits.detach().numpy(), loss.detach().numpy()
    for name, parameter in network.named_parameters():
        out[f"gradient_norm/{name}"] = parameter.grad.norm().numpy()
    for name, buffer in network.named_buffers():
        if buffer.ndim:
            out[f"statistic_norm/{name}"] = buffer.norm().numpy()
            if name.rsplit(".", 1)[0] in FULL_STATISTICS:
                out[f"statistic/{name}"] = buffer.numpy()
    return out


def main() -> None:
    """Write the recording and the two small weights files."""
    torch.manual_seed(0)
    arrays = record()
    # One array per kind of figure keeps the file small: a member of a zip costs more than a number.
    grouped: dict[str, np.ndarray] = {k: v for k, v in arrays.items() if "_norm/" not in k}
    for group in ("gradient_norm", "statistic_norm"):
        names = [k for k in arrays if k.startswith(f"{group}/")]
        grouped[f"{group}/names"] = np.array([k.split("/", 1)[1] for k in names])
        grouped[f"{group}/values"] = np.array([arrays[k] for k in names], np.float32)
    np.savez_compressed(HERE / "torch_densenet121.npz", **grouped)
    tiny = densenet((1, 1, 1, 1), 4, 8, 3).state_dict()
    torch.save(tiny, HERE / "tiny_zip.pth")
    torch.save(tiny, HERE / "tiny_legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
