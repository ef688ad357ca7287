"""Explaining images with a finished network, and drawing the maps over them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medplug.config.settings import RenderingSettings
from medplug.data.decode import DecodeOptions, check_pixels, to_input
from medplug.data.preprocess import Preprocessors
from medplug.data.store import PixelStore
from medplug.errors import ContractError, DataError
from medplug.explain.overlay import render_map, scale_ends
from medplug.explain.select import Example, select_examples
from medplug.files import atomic, read_json, write_json
from medplug.images import ImageError
from medplug.model.explain import explain_function, image_keys
from medplug.model.network import BuiltNetwork
from medplug.pixels import to_channels, to_uint8
from medplug.report.facts import ExplainedImage
from medplug.runs.folder import EXPLANATIONS
from medplug.seeds import child_seed
from medplug.values import Index, Predictions, Split

_BATCH = 8
_LISTING = "explanations.json"
_LONGEST = 1024  # pixels of the longer side of a drawn picture; larger originals are shrunk


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
    """

    sample: str
    uri: str
    pixels: np.ndarray
    shown_for: int
    explained: int
    labels: tuple[str, ...]
    probability: float


def explain_split(
    folder: Path,
    settings: RenderingSettings,
    reader: Any,
    index: Index,
    store: PixelStore,
    split: Split,
    predictions: Predictions,
    method: Method,
    warn: Callable[[str], None] | None = None,
) -> list[ExplainedImage]:
    """A sample of the test split, one or more images a class, drawn into ``explanations/``."""
    examples = select_examples(predictions, settings, seed=child_seed(method.seed, "explanations"))
    return explain_rows(
        folder / EXPLANATIONS, settings, reader, index, store, split, predictions, examples, method, warn
    )


def explain_rows(
    out: Path,
    settings: RenderingSettings,
    reader: Any,
    index: Index,
    store: PixelStore,
    split: Split,
    predictions: Predictions,
    examples: Iterable[Example],
    method: Method,
    warn: Callable[[str], None] | None = None,
) -> list[ExplainedImage]:
    """Chosen images of the test split, drawn into ``out``."""
    wanted = []
    for example in examples:
        row = int(split.test[example.row])
        wanted.append(
            Wanted(
                sample=index.samples[row],
                uri=index.uris[row],
                pixels=store.take(np.array([row]))[0],
                shown_for=example.shown_for,
                explained=example.explained,
                labels=tuple(c for c, t in zip(index.classes, index.targets[row], strict=True) if t >= 0.5),
                probability=float(predictions.probabilities[example.row, example.explained]),
            )
        )
    return explain_images(out, settings, reader, wanted, index.classes, method, warn)


def explain_images(
    out: Path,
    settings: RenderingSettings,
    reader: Any,
    wanted: Sequence[Wanted],
    classes: Sequence[str],
    method: Method,
    warn: Callable[[str], None] | None = None,
) -> list[ExplainedImage]:
    """Make and draw maps; ``out`` gets a PNG and the raw map (``.npz``) of each, and ``explanations.json``."""
    maps = compute_maps(method, wanted) if wanted else []
    drawn, listing = [], []
    for number, (one, raw) in enumerate(zip(wanted, maps, strict=True)):
        original, flat = _original(_ground(reader, one, method.network.preprocessors, warn), one, raw)
        overlay = render_map(flat, original, settings)
        low, high = scale_ends(overlay, settings)
        stem = f"{number:03d}-{_safe(classes[one.explained])}-{_safe(Path(one.sample).stem)}"
        with atomic(out / f"{stem}.png", "wb") as stream:
            overlay.picture.save(stream, "PNG")
        with atomic(out / f"{stem}.npz", "wb") as stream:
            np.savez_compressed(stream, map=raw, image=original)
        listing.append(
            {
                "sample": one.sample,
                "shown_for": classes[one.shown_for],
                "explained": classes[one.explained],
                "probability": one.probability,
                "labels": list(one.labels),
                "method": method.name,
                "raw_range": [overlay.low, overlay.high],
                "scale": [low, high],
                "positive_evidence": overlay.evidence,
                "overlay": f"{stem}.png",
                "raw": f"{stem}.npz",
            }
        )
        drawn.append(
            ExplainedImage(
                shown_for=classes[one.shown_for],
                sample=one.sample,
                labels=one.labels,
                explained=classes[one.explained],
                probability=one.probability,
                method=method.name,
                original=_png(_picture(original)),
                overlay=_png(overlay.picture),
                low=low,
                high=high,
                evidence=overlay.evidence,
            )
        )
    write_json(out / _LISTING, listing)
    return drawn


def read_explained(folder: Path) -> list[ExplainedImage]:
    """What :func:`explain_images` wrote into a folder; nothing where it wrote nothing."""
    if not (folder / _LISTING).exists():
        return []
    found = []
    for entry in read_json(folder / _LISTING):
        with np.load(folder / entry["raw"], allow_pickle=False) as arrays:
            original = arrays["image"]
        low, high = entry["scale"]
        found.append(
            ExplainedImage(
                shown_for=entry["shown_for"],
                sample=entry["sample"],
                labels=tuple(entry["labels"]),
                explained=entry["explained"],
                probability=entry["probability"],
                method=entry["method"],
                original=_png(_picture(original)),
                overlay=(folder / entry["overlay"]).read_bytes(),
                low=low,
                high=high,
                evidence=entry["positive_evidence"],
            )
        )
    return found


def wanted_of_test_part(
    reader: Any, source: str, predictions: Predictions, settings: RenderingSettings, decode: DecodeOptions, seed: int
) -> list[Wanted]:
    """The examples of a finished run's test part, read again.

    Raises:
        DataError: an image is no longer there.
    """
    index = reader.index(source)
    row_of = {name: i for i, name in enumerate(index.samples)}
    wanted = []
    for example in select_examples(predictions, settings, seed=seed):
        sample = predictions.samples[example.row]
        if sample not in row_of:
            raise DataError(f"{source}: the test image {sample} is no longer there; pass the images to explain")
        uri, targets = index.uris[row_of[sample]], predictions.targets
        assert targets is not None  # examples are drawn by label
        labels = tuple(c for c, t in zip(predictions.classes, targets[example.row], strict=True) if t >= 0.5)
        pixels = to_input(check_pixels(reader.load(uri), sample), decode, sample)
        probability = float(predictions.probabilities[example.row, example.explained])
        wanted.append(Wanted(sample, uri, pixels, example.shown_for, example.explained, labels, probability))
    return wanted


def compute_maps(method: Method, wanted: Sequence[Wanted]) -> list[np.ndarray]:
    """Raw maps ``[*s]`` float32 of one class per image, in batches of one shape."""
    explain = explain_function(method.network, method.explainer, method.task)
    keys = image_keys(method.seed, [w.sample for w in wanted])
    targets = np.array([[w.explained] for w in wanted], np.int32)
    maps: list[np.ndarray] = []
    for start in range(0, len(wanted), _BATCH):
        count = min(_BATCH, len(wanted) - start)
        rows = np.resize(np.arange(start, start + count), min(_BATCH, len(wanted)))
        batch = np.stack([wanted[row].pixels for row in rows.tolist()])
        maps.extend(np.asarray(explain(batch, targets[rows], keys[rows]))[:count, 0])
    return maps


def _ground(
    reader: Any, one: Wanted, preprocessors: Preprocessors | None, warn: Callable[[str], None] | None
) -> np.ndarray:
    """What the network saw of an image, in the image's own resolution and colours.

    It is cut where preprocessors crop, with black where they pad. Of an image that has gone since it was predicted, it is
    the network's input itself.
    """
    try:
        pixels = reader.load(one.uri)
    except ImageError as error:
        if warn is None:
            raise
        warn(f"{one.sample} can no longer be read ({error}): its map is drawn over the input that the network got")
        return one.pixels
    return pixels if preprocessors is None else preprocessors.ground(pixels, one.pixels, one.sample)


def _original(pixels: np.ndarray, one: Wanted, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture to draw on, uint8 and at most ``_LONGEST`` pixels long, and the flat map that belongs to it.

    Of a volume it is the slice (along the leading axes) in which the map has its largest value.
    """
    pixels = to_uint8(pixels)
    pixels = to_channels(pixels, 3 if pixels.shape[-1] != 1 else 1)
    while raw.ndim > 2:
        strongest = int(raw.reshape(len(raw), -1).max(1).argmax())
        pixels = pixels[min(len(pixels) - 1, int((strongest + 0.5) / len(raw) * len(pixels)))]
        raw = raw[strongest]
    if pixels.ndim != 3:
        raise ContractError(
            f"{one.sample}: a map with {raw.ndim} axes does not belong to an image of shape {pixels.shape}"
        )
    height, width = pixels.shape[:2]
    if max(height, width) <= _LONGEST:
        return pixels, raw
    factor = _LONGEST / max(height, width)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    shrunk = np.asarray(
        image.resize((max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.BILINEAR)
    )
    return (shrunk[..., None] if shrunk.ndim == 2 else shrunk), raw


def _picture(original: np.ndarray) -> Image.Image:
    return Image.fromarray(np.broadcast_to(original, (*original.shape[:2], 3)).copy())


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "x"
