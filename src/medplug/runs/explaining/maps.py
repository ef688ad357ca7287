"""Raw maps of images: which are asked for, what they depend on, and making them in batches."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from medplug.data.decode import code_of
from medplug.errors import ContractError
from medplug.model.apply import cache_friendly_batch
from medplug.model.explain import completeness_function, explain_function, image_keys
from medplug.model.network import BuiltNetwork, weight_arrays
from medplug.params import is_component, parameters
from medplug.version import __version__

_HASH = 16  # bytes


@dataclass(frozen=True)
class Method:
    """An explainer, and the network that it explains.

    Attributes:
        name: of the explainer, without its distribution.
        explainer: the component.
        network: with the run's preprocessors.
        task: ``"multiclass"`` or ``"multilabel"``.
        seed: of the run.
    """

    name: str
    explainer: Any
    network: BuiltNetwork
    task: str
    seed: int

    @cached_property
    def explain(self) -> Callable[[Any, Any, Any], Any]:
        """As :func:`~medplug.model.explain.explain_function` gives it; compiled once for all that use this method."""
        return explain_function(self.network, self.explainer, self.task)

    @cached_property
    def completeness(self) -> Callable[[Any, Any, Any], Any] | None:
        """As :func:`~medplug.model.explain.completeness_function` gives it."""
        return completeness_function(self.network, self.explainer, self.task)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that maps depend on but the image and the class.

        An explainer that is no component may hold anything; its maps are never taken for those of an earlier call.
        """
        digest = hashlib.blake2b(digest_size=_HASH)
        for path, array in sorted(weight_arrays(self.network.module).items()):
            digest.update(f"{path} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        steps = self.network.preprocessors
        rest = [
            __version__, self.name, code_of(type(self.explainer)), parameters(self.explainer), self.task, self.seed,
            asdict(self.network.preprocessing), [] if steps is None else steps.to_json(), type(self.network.module).__name__,
            "" if is_component(self.explainer) else secrets.token_hex(_HASH),
        ]  # fmt: skip
        digest.update(json.dumps(rest, sort_keys=True, default=repr).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Wanted:
    """One map to make: of which image, for which class, and how it is shown.

    Attributes:
        sample: the image's name.
        uri: what its reader loads.
        pixels: ``[*S, C]`` uint8, the network's input.
        shown_for, explained: class numbers.
        labels: names of the classes that it is labelled with; empty if unknown.
        probability: predicted for the explained class.
        predicted: probabilities of the predicted classes, by name.
        right: whether the prediction (multi-label: of the explained class) is right; None if unknown.
    """

    sample: str
    uri: str
    pixels: np.ndarray
    shown_for: int
    explained: int
    labels: tuple[str, ...]
    probability: float
    predicted: Mapping[str, float] = field(default_factory=dict)
    right: bool | None = None

    @cached_property
    def content(self) -> str:
        """A hash of the image: of its name, which random methods draw from, and its pixels."""
        digest = hashlib.blake2b(self.sample.encode("utf-8", "surrogateescape"), digest_size=_HASH)
        digest.update(f"{self.pixels.shape}".encode() + np.ascontiguousarray(self.pixels).tobytes())
        return digest.hexdigest()

    def key(self, method: Method) -> str:
        """A hash of all that the raw map depends on."""
        text = f"{method.fingerprint} {self.content} {self.explained}"
        return hashlib.blake2b(text.encode(), digest_size=_HASH).hexdigest()


class MadeMap(NamedTuple):
    """A map.

    Attributes:
        wanted: what was asked for.
        raw: ``[*s]`` float32.
        completeness_error: how far its sum is from what it should be, as a share of that; None where it need not sum to anything.
    """

    wanted: Wanted
    raw: np.ndarray
    completeness_error: float | None


class MapMaker:
    """Makes maps in batches of few shapes, so that little is compiled.

    Args:
        method: what makes them.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._largest = 2 * cache_friendly_batch(16)  # images at once, at most
        self._size = 1

    def batches(self, wanted: Sequence[Wanted]) -> Iterator[list[MadeMap]]:
        """The maps, in parts as they are made. All classes of an image are explained in one call.

        Raises:
            ContractError: a map is not finite.
        """
        of_image: dict[str, list[Wanted]] = {}
        for one in wanted:
            of_image.setdefault(one.content, []).append(one)
        images = list(of_image.values())
        # Never smaller than before: the last, incomplete part of a stream needs no program of its own.
        self._size = max(self._size, min(self._largest, 1 << max(len(images) - 1, 0).bit_length()))
        for start in range(0, len(images), self._size):
            yield self._part(images[start : start + self._size])

    def _part(self, images: list[list[Wanted]]) -> list[MadeMap]:
        counts = {len(classes) for classes in images}
        targets = max(counts) if len(counts) == 1 else 1 << (max(counts) - 1).bit_length()
        rows = [images[i % len(images)] for i in range(self._size)]
        pixels = np.stack([row[0].pixels for row in rows])
        classes = np.array([[row[i % len(row)].explained for i in range(targets)] for row in rows], np.int32)
        keys = image_keys(self._method.seed, [row[0].sample for row in rows])
        maps = np.asarray(self._method.explain(pixels, classes, keys))
        complete = self._method.completeness
        errors = None if complete is None else np.asarray(complete(pixels, classes, maps))
        found = [
            MadeMap(one, maps[i, j], None if errors is None else float(errors[i, j]))
            for i, row in enumerate(images)
            for j, one in enumerate(row)
        ]
        for made in found:
            if not np.isfinite(made.raw).all():
                raise ContractError(
                    f"{made.wanted.sample}: the map of {self._method.name} holds NaN or infinite values"
                )
        return found


def compute_maps(method: Method, wanted: Sequence[Wanted]) -> list[np.ndarray]:
    """Raw maps ``[*s]`` float32, one for each that is wanted."""
    made = {id(one.wanted): one.raw for part in MapMaker(method).batches(wanted) for one in part}
    return [made[id(one)] for one in wanted]
