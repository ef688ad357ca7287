"""Explaining a sample of the test part with a finished network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config.settings import RenderingSettings
from medplug.data.store import PixelStore
from medplug.explain.select import Example, select_examples
from medplug.report.facts import ExplainedImage
from medplug.runs.explaining.album import Album, load_explained
from medplug.runs.explaining.ground import Ground
from medplug.runs.explaining.maps import Method, Wanted
from medplug.runs.folder import EXPLANATIONS
from medplug.seeds import child_seed
from medplug.values import Index, Predictions, Split


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
        pixels = store.take(np.array([row]))[0]
        wanted.append(wanted_of_row(predictions, example, index.uris[row], pixels))
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
    """Make and draw maps into an :class:`~medplug.runs.explaining.album.Album` that holds nothing else; what is there is not made again."""
    ground = Ground(reader, method.network.preprocessors, warn)
    with Album(out, settings, classes, method) as album:
        for _ in album.add(wanted, ground):
            pass
        return [load_explained(out, entry) for entry in album.finish()]


def wanted_of_row(predictions: Predictions, example: Example, uri: str, pixels: np.ndarray) -> Wanted:
    """The map of an example among labelled predictions."""
    names, targets = predictions.classes, predictions.targets
    assert targets is not None  # examples are drawn by label
    truth, found = targets[example.row], predictions.probabilities[example.row]
    if predictions.task == "multiclass":
        right = bool(truth[int(found.argmax())] >= 0.5)
    else:
        known = not np.isnan(truth[example.explained])
        right = bool((found[example.explained] >= 0.5) == (truth[example.explained] >= 0.5)) if known else None
    return Wanted(
        sample=predictions.samples[example.row],
        uri=uri,
        pixels=pixels,
        shown_for=example.shown_for,
        explained=example.explained,
        labels=tuple(c for c, t in zip(names, truth, strict=True) if t >= 0.5),
        probability=float(found[example.explained]),
        predicted={names[c]: float(found[c]) for c in predicted_classes(found, predictions.task)},
        right=right,
    )


def predicted_classes(probabilities: np.ndarray, task: str) -> list[int]:
    """The most probable class, or in multi-label tasks all from 0.5 on, of probabilities ``[K]``."""
    if task == "multiclass":
        return [int(probabilities.argmax())]
    return np.flatnonzero(probabilities >= 0.5).tolist()
