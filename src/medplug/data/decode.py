"""Raw pixels of any depth and size to the uint8 image that is kept for the network."""

from __future__ import annotations

import hashlib
import inspect
import marshal
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from medplug.contracts.architecture import Preprocessing
from medplug.errors import ContractError, MedplugError, UsageError
from medplug.params import parameters
from medplug.pixels import resize, to_channels, to_uint8

Named = tuple[str, Any]
"""A component's reference, and the component."""

_DEPTHS = (np.uint8, np.uint16, np.float32)
_ROUNDING = 1e-5  # so far outside of [0, 1] a float may be


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How images are brought to one form.

    Attributes:
        size: edge in pixels of each spatial axis.
        channels: 1 or 3.
        steps: image preprocessors in order, each with its reference. None, for whoever has no configuration, is a plain
            stretch with an anti-aliasing filter.
        target: what the preprocessors are handed; by default one of that size and number of channels.
    """

    size: int
    channels: int = 3
    steps: tuple[Named, ...] | None = None
    target: Preprocessing | None = None

    def key(self) -> dict[str, Any]:
        """What a cache has to tell apart: parameters of the preprocessors, and their code, which may change while one is written."""
        steps = None if self.steps is None else [[name, parameters(s), code_of(type(s))] for name, s in self.steps]
        target = None if self.target is None else asdict(self.target)
        return {"size": self.size, "channels": self.channels, "steps": steps, "target": target}


def check_pixels(pixels: np.ndarray, uri: str) -> np.ndarray:
    """The array if it meets the reader's contract, else a ``ContractError`` that names the sample."""
    wrong = _wrong_pixels(pixels)
    if wrong:
        raise ContractError(
            f"{uri}: a reader's load must give [*S, C] uint8, uint16 or float32 (0..1) with 1, 3 or 4 channels, got {wrong}"
        )
    return pixels


def to_input(pixels: np.ndarray, options: DecodeOptions, where: str = "") -> np.ndarray:
    """Pixels ``[*S, C]`` of a reader to uint8 ``[size, …, channels]``.

    Args:
        pixels: as :func:`check_pixels` lets them pass.
        options: which preprocessors.
        where: the image's name, for errors.

    Raises:
        ImageError: a preprocessor refuses the image.
        ContractError: a preprocessor fails, or gives what is no image.
        UsageError: after the last one the image does not have the form that is wanted.
    """
    if options.steps is None:
        return resize(to_channels(to_uint8(pixels), options.channels), options.size)
    target = options.target or Preprocessing(options.size, options.channels)
    for name, step in options.steps:
        pixels = apply_step(name, step, pixels, target, where)
    pixels = to_uint8(pixels)
    wanted = (*(options.size,) * (pixels.ndim - 1), options.channels)
    if pixels.shape != wanted:
        raise UsageError(_does_not_fit(pixels.shape, wanted, options.steps, where))
    return np.ascontiguousarray(pixels)


def apply_step(name: str, step: Any, pixels: np.ndarray, target: Preprocessing, where: str = "") -> np.ndarray:
    """One image preprocessor, with its result checked."""
    place = f"{where}: " if where else ""
    try:
        result = step(pixels, target)
    except MedplugError:
        raise
    except Exception as error:
        got = f"an image {list(pixels.shape)} {pixels.dtype}"
        raise ContractError(
            f"{place}the preprocessor {name} failed on {got}: {type(error).__name__}: {error}"
        ) from error
    wrong = _wrong_pixels(result)
    if wrong:
        raise ContractError(
            f"{place}the preprocessor {name} must give [*S, C] uint8, uint16 or float32 (0..1) with 1, 3 or 4 channels, "
            f"got {wrong}"
        )
    return result


def _wrong_pixels(pixels: Any) -> str:
    """What is wrong with an array that should be an image; empty where nothing is."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in _DEPTHS or pixels.ndim < 3:
        return _form(pixels)
    if pixels.shape[-1] not in (1, 3, 4) or 0 in pixels.shape:
        return _form(pixels)
    if pixels.dtype == np.float32:
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN compares as False
            return f"{_form(pixels)} with values from {low:g} to {high:g}"
    return ""


def _form(pixels: Any) -> str:
    return f"{getattr(pixels, 'dtype', type(pixels).__name__)} {list(getattr(pixels, 'shape', ()))}"


def _does_not_fit(found: tuple[int, ...], wanted: tuple[int, ...], steps: tuple[Named, ...], where: str) -> str:
    names = ", ".join(name.rpartition(":")[2] for name, _ in steps)
    missing = []
    if found[:-1] != wanted[:-1]:
        missing.append("resizes (or crops, or pads)")
    if found[-1] != wanted[-1]:
        missing.append("turns colour into grey" if wanted[-1] == 1 else "turns grey into colour")
    return (
        f"{where or 'an image'}: {' x '.join(map(str, found))} {f'after {names}' if names else 'without any preprocessing'}, but "
        f"the network takes {' x '.join(map(str, wanted))}: add a preprocessor that {' and one that '.join(missing)} to "
        "preprocess.use (`medplug plugins list --kind preprocessor` shows them)"
    )


def code_of(cls: type) -> str:
    """A hash of the file that defines a class, or of its methods where it was typed into a session."""
    digest = hashlib.sha256()
    try:
        digest.update(Path(inspect.getfile(cls)).read_bytes())
    except (TypeError, OSError):
        for name, member in sorted(vars(cls).items()):
            if isinstance(member, FunctionType):
                digest.update(name.encode() + marshal.dumps(member.__code__))
    return digest.hexdigest()[:16]
