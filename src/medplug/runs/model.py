"""The finished network of a run: ``weights.safetensors`` and ``model.json``, which says how to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from medplug.config.config import Config
from medplug.contracts.architecture import Preprocessing
from medplug.data.preprocess import Preprocessors
from medplug.errors import MedplugError, RunError, UnknownComponentError
from medplug.files import atomic, read_json, write_json
from medplug.model.network import BuiltNetwork, build, load_arrays, weight_arrays
from medplug.plugins.localfile import FILE_PREFIX
from medplug.plugins.registry import Registry
from medplug.runs.folder import MODEL, WEIGHTS
from medplug.values import Task
from medplug.version import __version__

_FORMAT = 2


@dataclass(frozen=True)
class ModelCard:
    """What has to be known to use the weights.

    Attributes:
        architecture: its reference, ``distribution:name``.
        parameters: of the architecture.
        classes: K names in the order of the outputs.
        task: multiclass or multilabel.
        preprocessing: size and channels of the input, and what the weights expect of its values.
        preprocessors: in order, ``{"use": reference, "parameters": {…}}``.
        spatial: number of spatial axes.
        reader, reader_parameters: what loaded the training images.
        tested_epoch: the epoch that the weights come from.
        medplug: the version that wrote them.
    """

    architecture: str
    parameters: dict[str, Any]
    classes: tuple[str, ...]
    task: Task
    preprocessing: Preprocessing
    preprocessors: tuple[dict[str, Any], ...]
    spatial: int
    reader: str
    reader_parameters: dict[str, Any]
    tested_epoch: int
    medplug: str = ""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(*S, C)``."""
        return (*(self.preprocessing.size,) * self.spatial, self.preprocessing.channels)


def save_model(folder: Path, network: BuiltNetwork, card: ModelCard) -> None:
    """Write weights and card, each atomically; the card last, so that a card always has weights."""
    arrays = {path: np.ascontiguousarray(a) for path, a in weight_arrays(network.module).items()}
    with atomic(folder / WEIGHTS, "wb") as stream:
        stream.write(save(arrays, metadata={"format": "medplug"}))
    write_json(folder / MODEL, {"format": _FORMAT, **asdict(card), "medplug": __version__})


def load_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        RunError: there is none, or it is of another format.
    """
    try:
        values = read_json(folder / MODEL)
    except OSError:
        hint = "training has not finished; go on with --resume" if folder.is_dir() else "there is no such folder"
        raise RunError(f"{folder} is no finished run: {MODEL} is missing ({hint})") from None
    except ValueError as error:
        raise RunError(f"{folder / MODEL} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{folder / MODEL} is damaged: it holds no table of values")
    if values.pop("format", None) != _FORMAT:
        raise RunError(f"{folder / MODEL}: written by another version of medplug ({values.get('medplug')})")
    try:
        target = values["preprocessing"]
        target = Preprocessing(**{**target, "mean": tuple(target["mean"]), "std": tuple(target["std"])})
        tuples = {k: tuple(values[k]) for k in ("classes", "preprocessors")}
        return ModelCard(**{**values, **tuples, "preprocessing": target})
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder / MODEL} is damaged: {error}") from None


def load_preprocessors(folder: Path, card: ModelCard, registry: Registry, own: Sequence[Any] = ()) -> Preprocessors:
    """The preprocessors that the network was trained with.

    ``own`` has the instances of unregistered classes, in order.

    Raises:
        RunError: one is not installed, or an own one was not handed over.
    """
    made, left = [], list(own)
    for entry in card.preprocessors:
        reference = entry["use"]
        distribution, _, name = reference.partition(":")
        if distribution == "unregistered":
            if not left or type(left[0]).__name__ != name:
                raise RunError(
                    f"{folder} was trained with your own {name}; pass it: load_run(path, preprocessors=[{name}(...)])"
                )
            made.append((reference, left.pop(0)))
            continue
        try:
            made.append((reference, registry.make("preprocessor", reference, **entry["parameters"])))
        except UnknownComponentError:
            raise RunError(
                f"{folder} was trained with the preprocessor {name} of {distribution}, which is not installed here: "
                f"{_remedy(distribution, registry)}"
            ) from None
    return Preprocessors(tuple(made), card.preprocessing)


def _remedy(distribution: str, registry: Registry) -> str:
    if distribution.startswith(FILE_PREFIX):
        return f"add --plugin {distribution.removeprefix(FILE_PREFIX).replace('-', '_')}.py, the file that it was loaded from"
    known = distribution in {record.distribution for record in registry.components()}
    return f"pip install {'--upgrade ' if known else ''}{distribution}"


def load_network(
    folder: Path, card: ModelCard, registry: Registry, preprocessors: Preprocessors, architecture: Any = None
) -> BuiltNetwork:
    """The network with the run's weights and preprocessors.

    ``architecture`` is needed only where the run used an instance of an unregistered class.
    """
    if architecture is None:
        if card.architecture.startswith("unregistered:"):
            name = card.architecture.partition(":")[2]
            raise RunError(
                f"{folder} was trained with your own {name}; pass it: load_run(path, architecture={name}(...))"
            )
        section = {"architecture": {"use": card.architecture, **card.parameters}}
        architecture = Config.from_layers(section).make("architecture", registry)[1]
    network = build(architecture, card.input_shape, len(card.classes), seed=0, pretrained=False)
    try:
        arrays = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{folder / WEIGHTS} cannot be read: {error}") from None
    try:
        load_arrays(network.module, arrays)
    except MedplugError as error:
        raise RunError(f"{folder / WEIGHTS}: {error}") from None
    return network.within(preprocessors)
