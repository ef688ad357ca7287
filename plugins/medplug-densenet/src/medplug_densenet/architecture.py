"""DenseNet121, 169 and 201 as architectures of medplug. Importing this module imports neither JAX nor NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from medplug.plugins import ParameterError, Preprocessing, WeightsError, component, param
from medplug_densenet.plan import DENSENET121, DENSENET169, DENSENET201

if TYPE_CHECKING:
    import numpy as np
    from flax import nnx

    from medplug.plugins import Download

IMAGENET = "imagenet"


class Norms(NamedTuple):
    """The constants of batch norm, which differ between the publishers of weights."""

    epsilon: float
    momentum: float
    unbiased: bool


# PyTorch counts momentum as the new share (0.1) and keeps the unbiased running variance, Keras neither.
SOURCES = {"torchvision": Norms(1e-5, 0.9, True), "keras": Norms(1.001e-5, 0.99, False)}
_LAYOUTS = {"torchvision": "torch", "keras": "keras"}


@component
class DenseNetArchitecture:
    """What the DenseNets share; a subclass says its ``plan`` and the name of its ``published`` weights."""

    weights: str | None = param(
        "'imagenet' (downloaded once), the path of a file (.pth, .safetensors, .h5), or None for random weights",
        default=IMAGENET,
    )
    source: Literal["auto", "torchvision", "keras"] = param(
        "whose constants batch norm gets; auto: Keras' if the weights are an .h5 file, else torchvision's",
        default="auto",
    )
    epsilon: float | None = param("added to the variance in batch norm; None: as the source", default=None, gt=0)
    momentum: float | None = param(
        "share that batch norm's running statistics keep in a step; None: as the source", default=None, ge=0, lt=1
    )
    hidden: int | None = param(
        "units of a dense layer without activation before the last; None: no such layer", default=None, ge=1
    )
    dropout: float = param("share of the last layer's input that is dropped in training", default=0.0, ge=0, lt=1)

    plan = DENSENET121
    published = "densenet121-a639ec97.pth"
    preprocessing = Preprocessing()
    head = ("head",)

    def norms(self) -> Norms:
        """The constants of batch norm that the parameters ask for.

        They are decided without opening the weights file, so that a trained network can be rebuilt where the
        file is not.
        """
        chosen = SOURCES[self._source()]
        return Norms(
            chosen.epsilon if self.epsilon is None else self.epsilon,
            chosen.momentum if self.momentum is None else self.momentum,
            chosen.unbiased,
        )

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """A :class:`~medplug_densenet.network.DenseNet` with random weights for images ``(H, W, C)``.

        Raises:
            ParameterError: for other than two spatial axes, or an edge below 32 pixels.
        """
        from medplug_densenet.network import DenseNet

        return DenseNet(
            classes,
            channels=self._channels(input_shape),
            plan=self.plan,
            hidden=self.hidden,
            dropout=self.dropout,
            rngs=rngs,
            **self.norms()._asdict(),
        )

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> Mapping[str, np.ndarray]:
        """The weights by path, float32; without the head where its classes are others or a hidden layer precedes it.

        Raises:
            WeightsError: the file cannot be had or read, or does not fit, with all missing and surplus names.
        """
        channels = self._channels(input_shape)
        if self.weights is None:
            return {}
        from medplug.plugins import read_weights
        from medplug_densenet.convert import convert

        file = read_weights(self._path(self.weights))
        if self.source == "auto" and file.layout != _LAYOUTS[self._source()]:
            raise WeightsError(
                f"{file.path}: the names in it are those of {file.layout}, which the file's ending does not tell; "
                "set source to 'torchvision' or 'keras' to choose the constants of batch norm"
            )
        head = classes if self.hidden is None else None
        return convert(file.arrays, file.layout, self.plan, channels=channels, classes=head, where=str(file.path))

    def download(self) -> Download:
        """The ImageNet weights of torchvision; the end of the file's name is the beginning of its SHA-256."""
        from medplug.plugins import Download

        return Download(
            url=f"https://download.pytorch.org/models/{self.published}",
            sha256=self.published.removesuffix(".pth").rpartition("-")[2],
            size=None,
            source="torchvision, ImageNet-1k",
            licence="BSD-3-Clause",
        )

    def _source(self) -> str:
        if self.source != "auto":
            return self.source
        is_keras = self.weights is not None and Path(self.weights).suffix.lower() in (".h5", ".hdf5")
        return "keras" if is_keras else "torchvision"

    def _path(self, weights: str) -> Path:
        if weights == IMAGENET:
            return self.download().fetch()
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError(f"there is no weights file {path}; weights is {IMAGENET!r}, the path of a file, or None")
        return path

    def _channels(self, input_shape: tuple[int, ...]) -> int:
        smallest = self.plan.smallest
        if len(input_shape) != 3:
            raise ParameterError(f"DenseNet takes images with two spatial axes, (H, W, C), got {tuple(input_shape)}")
        if min(input_shape[:2]) < smallest:
            raise ParameterError(f"DenseNet needs images of at least {smallest} pixels, got {tuple(input_shape[:2])}")
        return input_shape[2]


@component
class DenseNet121(DenseNetArchitecture):
    """DenseNet with 121 layers and 7,978,856 parameters at 1000 classes (Huang et al. 2017)."""


@component
class DenseNet169(DenseNetArchitecture):
    """DenseNet with 169 layers and 14,149,480 parameters at 1000 classes (Huang et al. 2017)."""

    plan = DENSENET169
    published = "densenet169-b2777c0a.pth"


@component
class DenseNet201(DenseNetArchitecture):
    """DenseNet with 201 layers and 20,013,928 parameters at 1000 classes (Huang et al. 2017)."""

    plan = DENSENET201
    published = "densenet201-c1103571.pth"
