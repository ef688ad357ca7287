"""What ``medplug explain`` does: test images of a finished run or new images, by one method or several, part by part."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medplug.config.config import Config, from_assignments
from medplug.config.text import split_list
from medplug.data.decode import check_pixels, to_input
from medplug.errors import DataError, UsageError, did_you_mean
from medplug.explain.select import select_examples
from medplug.files import read_json
from medplug.model.explain import check_explainer
from medplug.progress import Reporter
from medplug.runs import folder as names
from medplug.runs.explaining.album import Album, Entry, Explained, load_explained
from medplug.runs.explaining.ground import Ground
from medplug.runs.explaining.maps import Method, Wanted
from medplug.runs.explaining.testpart import predicted_classes, wanted_of_row
from medplug.runs.inputs import Loaded, Readers, expand, nothing_readable
from medplug.seeds import child_seed

if TYPE_CHECKING:
    from medplug.runs.run import Run

ALL = "all"
_PART = 32  # images that are held in memory at once
_SECTIONS = ("explainer", "rendering", "seed")  # what a call may set
Part = tuple[list[Wanted], Any]
"""A few maps to make, and the reader that loads their images again."""


@dataclass(frozen=True)
class Explanations:
    """What a call has made.

    Attributes:
        folders: one a method, in order.
        entries: of the listing of each folder that belong to this call, in order.
        sheets: contact sheets.
        made: maps that were made now; the others were there.
    """

    folders: tuple[Path, ...]
    entries: tuple[tuple[Entry, ...], ...]
    sheets: tuple[Path, ...]
    made: int

    def load(self) -> list[Explained]:
        """The pictures and raw maps of all entries, in memory."""
        return [
            load_explained(f, entry) for f, entries in zip(self.folders, self.entries, strict=True) for entry in entries
        ]


def explain_with(
    run: Run,
    images: Any,
    method: Any,
    out: str | Path | None,
    classes: str | Sequence[str] | None,
    settings: Mapping[str, Any],
    sheets: bool,
    reporter: Reporter,
) -> Explanations:
    """See :meth:`medplug.runs.run.Run.explain`."""
    wrong = [key for key in from_assignments(dict(settings)) if key not in _SECTIONS]
    if wrong:
        raise UsageError(
            f"{wrong[0]}: explain can set keys of explainer and of rendering, and seed; the rest is settled"
        )
    targets = _class_numbers(classes, run.classes)
    made = _methods(run, method, settings)
    config = made[0][0]
    several = run.folder / names.EXPLANATIONS if out is None else Path(out)
    alone = len(made) == 1 and out is not None
    folders = tuple(several if alone else several / m.name for _, m in made)
    run.explained_into = folders[0] if len(made) == 1 else several
    count, parts = _of_test_part(run, config, targets) if images is None else _of_images(run, images, targets)
    reporter.say(f"explaining {count} images with {', '.join(m.name for _, m in made)}")
    with ExitStack() as stack:
        albums = [
            stack.enter_context(Album(folder, c.rendering, run.classes, m, keep=True))
            for folder, (c, m) in zip(folders, made, strict=True)
        ]
        with reporter.task("explaining", count * len(albums), "images") as task:
            for wanted, reader in parts:
                ground = Ground(reader, run.preprocessors, reporter.warn)
                for album in albums:
                    left = Counter(one.sample for one in wanted)
                    for entry in album.add(wanted, ground):
                        left[entry["sample"]] -= 1
                        task.advance(not left[entry["sample"]])
        entries = tuple(tuple(reporter.track(a.finish(), "drawing", len(a), "maps")) for a in albums)
        paths = tuple(path for album in albums for path in album.write_sheets()) if sheets else ()
    return Explanations(folders, entries, paths, sum(album.made for album in albums))


def _methods(run: Run, method: Any, settings: Mapping[str, Any]) -> list[tuple[Config, Method]]:
    """The explainers that are asked for, each with the configuration that it was made of."""
    asked = split_list(method) if isinstance(method, str) else method
    made: list[tuple[Config, Method]] = []
    for one in asked if isinstance(asked, (list, tuple)) else [asked]:
        config = run._changed({**settings, **({"explainer.use": one} if isinstance(one, str) else {})})
        if one is not None and not isinstance(one, str):
            config = config.with_components("explainer", one)
        name, explainer = config.make("explainer", run._registry, run.task)
        check_explainer(name, explainer, run.network)
        found = Method(name.rpartition(":")[2], explainer, run.network, run.task, config.seed)
        if any(found.name == before.name for _, before in made):
            raise UsageError(f"{found.name} is asked for twice; explain with one of them at a time")
        made.append((config, found))
    return made


def _class_numbers(wanted: str | Sequence[str] | None, classes: tuple[str, ...]) -> list[int] | None:
    """Numbers of the classes that are asked for; None for the predicted ones."""
    if wanted is None:
        return None
    if wanted == ALL and ALL not in classes:
        return list(range(len(classes)))
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in asked:
        if name not in classes:
            hint = did_you_mean(name, classes)
            raise UsageError(
                f"there is no class {name!r}{hint}; the classes are {', '.join(classes)}, or {ALL} of them"
            )
    return [classes.index(name) for name in dict.fromkeys(asked)]


def _of_images(run: Run, images: Any, targets: list[int] | None) -> tuple[int, Iterator[Part]]:
    sources = list(expand(images, run.card.spatial, Readers(run._run_reader, run._registry)))

    def parts() -> Iterator[Part]:
        run.skipped, any_ = (), False
        for part in _cut(sources):
            found, pixels, skipped = run._read(part)
            run.skipped += skipped
            if not found:
                continue
            any_ = True
            probabilities = run._outputs(np.stack(pixels), _PART).probabilities
            wanted = [
                one
                for number, (name, _) in enumerate(found)
                for one in _wanted(run, str(number), name, pixels[number], probabilities[number], targets)
            ]
            yield wanted, Loaded([source for _, source in found], run._read_file)
        if not any_:
            raise nothing_readable(run.skipped)

    return len(sources), parts()


def _wanted(
    run: Run, uri: str, name: str, pixels: np.ndarray, probabilities: np.ndarray, targets: list[int] | None
) -> Iterator[Wanted]:
    """The maps of one new image."""
    predicted = predicted_classes(probabilities, run.task)
    told = {run.classes[c]: float(probabilities[c]) for c in predicted}
    for c in (predicted or [int(probabilities.argmax())]) if targets is None else targets:
        yield Wanted(name, uri, pixels, c, c, (), float(probabilities[c]), told)


def _of_test_part(run: Run, config: Config, targets: list[int] | None) -> tuple[int, Iterator[Part]]:
    """The test images that the report shows, read again."""
    reader = run._run_reader()
    if reader is None:
        raise UsageError("this run was trained on arrays; pass the images to explain")
    source = read_json(run.folder / names.MANIFEST)["argument"]
    predictions = run.predictions("test")
    index = reader.index(source)
    uris = dict(zip(index.samples, index.uris, strict=True))
    chosen = select_examples(predictions, config.rendering, seed=child_seed(config.seed, "explanations"))
    by_row: dict[int, list[Any]] = {}
    for example in chosen:
        by_row.setdefault(example.row, []).append(example)
    for row in by_row:
        if predictions.samples[row] not in uris:
            name = predictions.samples[row]
            raise DataError(f"{source}: the test image {name} is no longer there; pass the images to explain")
    if targets is not None:
        by_row = {row: [replace(found[0], explained=c) for c in targets] for row, found in by_row.items()}
    decode = run.preprocessors.decode
    run.skipped = ()

    def parts() -> Iterator[Part]:
        for rows in _cut(by_row):
            wanted = []
            for row in rows:
                sample, uri = predictions.samples[row], uris[predictions.samples[row]]
                pixels = to_input(check_pixels(reader.load(uri), sample), decode, sample)
                wanted += [wanted_of_row(predictions, example, uri, pixels) for example in by_row[row]]
            yield wanted, reader

    return len(by_row), parts()


def _cut(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while part := list(itertools.islice(rest, _PART)):
        yield part
