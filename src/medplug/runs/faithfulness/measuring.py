"""Measuring how far the explanations of a finished run can be believed: method by method, resumable."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from medplug.config.config import from_assignments
from medplug.config.settings import FaithfulnessSettings
from medplug.errors import MedplugError, UsageError
from medplug.explain.faithfulness.places import centre_maps, random_maps
from medplug.explain.faithfulness.resizing import to_input_size
from medplug.explain.faithfulness.scoring import Scorer, scorer
from medplug.explain.measures import MEASURES
from medplug.files import atomic, read_json, write_json
from medplug.model.explain import check_explainer, image_keys
from medplug.params import parameters
from medplug.progress import Reporter, quiet_reporter
from medplug.runs.faithfulness.images import TestImages, choose_rows
from medplug.runs.faithfulness.mapscores import (
    Figures,
    MethodMaps,
    Subjects,
    forwards,
    scores_of_maps,
    scores_of_method,
)
from medplug.runs.faithfulness.probes import probe
from medplug.runs.faithfulness.summary import summarise
from medplug.runs.folder import EXPLANATIONS, FAITHFULNESS, MANIFEST
from medplug.seeds import child_seed

if TYPE_CHECKING:
    from medplug.runs.run import Run

TABLE = "faithfulness.csv"
CENTRE = "centre"
_SECTIONS = ("faithfulness", "explainer")
_VERSION = 1
_PART = 64  # images that are standardised at once


def measure_faithfulness(
    run: Run,
    *,
    methods: Sequence[str] | None = None,
    images: int | None = None,
    masks: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Measure how far the maps of a run can be believed, into ``explanations/faithfulness.json`` and the report.

    Every method is measured on the same test images, a few of each class, for the most probable class of each, beside maps
    that know nothing (random ones, and the centre of the image). What was measured before under the same conditions is kept;
    methods that are new are added to it.

    Args:
        run: a finished run.
        methods: names of explainers; None takes the setting ``faithfulness.methods``. The run's own is always among them.
        images: how many test images; None takes the setting ``faithfulness.images``.
        masks: folder of masks with the names of the samples; None takes those that the reader knows, if any.
        settings: changes to the run's configuration, of faithfulness and of explainers: ``{"faithfulness.steps": 32}``.
        reporter: tells what happens; silent without one.

    Returns:
        The content of ``faithfulness.json``.

    Raises:
        UsageError: a method does not exist or cannot explain this network, or the test images are not at hand.
    """
    reporter = reporter or quiet_reporter()
    changes = dict(settings or {})
    for section in from_assignments(changes):
        if section not in _SECTIONS:
            raise UsageError(
                f"{section}: --faithfulness can set keys of {' and '.join(_SECTIONS)}; the rest is settled"
            )
    if images is not None:
        changes["faithfulness.images"] = images
    chosen = run._changed(changes).faithfulness
    candidates = _candidates(run, changes, chosen.methods if methods is None else methods, methods is None, reporter)
    test = TestImages(run, masks)
    measuring = _Measuring(run, chosen, test, candidates, reporter)
    measuring.everything()
    run.write_report()
    return measuring.state


@dataclass(frozen=True)
class _Candidate:
    name: str
    explainer: Any
    own: bool


def _candidates(
    run: Run, changes: Mapping[str, Any], wanted: Sequence[str], lenient: bool, reporter: Reporter
) -> list[_Candidate]:
    """The run's own explainer, then the others; those of a recipe that cannot explain this network are left out, and told."""
    name, explainer = run._changed(changes).make("explainer", run._registry, run.task)
    check_explainer(name, explainer, run.network)
    found = {name.rpartition(":")[2]: _Candidate(name.rpartition(":")[2], explainer, own=True)}
    for one in wanted:
        try:
            config = run._changed({**changes, "explainer.use": one})
            full, explainer = config.make("explainer", run._registry, run.task)
            check_explainer(full, explainer, run.network)
        except MedplugError as error:
            if not lenient:
                raise
            reporter.warn(f"{one} is left out: {error}")
            continue
        bare = full.rpartition(":")[2]
        found.setdefault(bare, _Candidate(bare, explainer, own=False))
    return list(found.values())


class _Measuring:
    """The state of the file, and what is needed to complete it."""

    def __init__(
        self,
        run: Run,
        settings: FaithfulnessSettings,
        test: TestImages,
        candidates: Sequence[_Candidate],
        reporter: Reporter,
    ) -> None:
        self._run, self._settings, self._test, self._reporter = run, settings, test, reporter
        self._candidates = candidates
        self._seed = child_seed(run.config.seed, "faithfulness")
        self._out = run.folder / EXPLANATIONS / FAITHFULNESS
        predictions = test.predictions
        explained = predictions.probabilities.argmax(1)
        shown = _shown(run.folder)
        self._rows = choose_rows(predictions, explained, settings.images, self._seed, shown)
        self._explained = explained[self._rows].astype(np.int32)
        self._groups = None if predictions.groups is None else predictions.groups[self._rows]
        self.state = self._begin()

    def everything(self) -> None:
        """Measure what is missing, and write after each method."""
        missing = [c for c in self._candidates if not self._done(c)]
        if missing:
            self._methods(missing)
        else:
            self._reporter.say("all methods have been measured under these conditions; nothing is computed again")
        self._write()
        own = next(c for c in self._candidates if c.own)
        if self._settings.probe_images and "probes" not in self.state:
            self.state["probes"] = probe(
                self._run, self._test, self._settings.probe_images, own.name, own.explainer, self._reporter
            )
            self._write()

    # ------------------------------------------------------------ the file

    def _begin(self) -> dict[str, Any]:
        run, settings = self._run, self._settings
        samples = [self._test.predictions.samples[row] for row in self._rows]
        targets = self._test.predictions.targets
        assert targets is not None  # a test part has labels
        classes = run.classes
        conditions = {
            "version": _VERSION,
            "run": read_json(run.folder / MANIFEST).get("finished", ""),
            "samples": samples,
            "explained": [classes[c] for c in self._explained],
            "measures": list(settings.measures),
            "steps": settings.steps,
            "costly_images": settings.costly_images,
            "masks": self._test.marked_by,
            "seed": self._seed,
        }
        before = read_json(self._out) if self._out.exists() else {}
        if before.get("conditions") == conditions:
            return before
        if before:
            self._reporter.say("measured before under other conditions: all is measured anew")
        labels = [[c for c, t in zip(classes, row, strict=True) if t >= 0.5] for row in targets[self._rows]]
        return {"conditions": conditions, "labels": labels, "methods": {}, "baselines": {}}

    def _done(self, candidate: _Candidate) -> bool:
        before = self.state["methods"].get(candidate.name)
        return before is not None and before["parameters"] == _plain(parameters(candidate.explainer))

    def _write(self) -> None:
        summarise(self.state, self._groups, self._run.config.evaluation, self._seed)
        write_json(self._out, self.state)
        _write_table(self._out.with_name(TABLE), self.state)

    # ------------------------------------------------------------ measuring

    def _subjects(self) -> Subjects:
        pixels, masks = self._test.with_masks(self._rows.tolist())
        network = self._run.network
        prepared = jax.jit(network.standardise)
        images = np.concatenate(
            [np.asarray(prepared(pixels[i : i + _PART])) for i in range(0, len(pixels), _PART)]
        ).astype(np.float32)
        if masks is not None:
            marked = int(masks.reshape(len(masks), -1).any(1).sum())
            self._reporter.say(f"  {marked} of {len(masks)} images have a mask that marks something")
            self.state["marked"] = marked
        order = np.random.default_rng(self._seed).permutation(len(pixels))
        samples = tuple(self._test.predictions.samples[row] for row in self._rows)
        # The keys of other maps of these images, so that the same maps are measured as are drawn.
        keys = image_keys(self._run.config.seed, list(samples))
        return Subjects(
            samples, images, self._explained, keys, masks, order[: self._settings.costly_images], self._seed
        )

    def _methods(self, missing: Sequence[_Candidate]) -> None:
        reporter, network, task = self._reporter, self._run.network, self._run.task
        reporter.say(f"reading {len(self._rows)} test images")
        subjects = self._subjects()
        score = scorer(network, task)
        self._say_estimate(score, subjects, len(missing))
        own = next(c for c in self._candidates if c.own)
        make = MethodMaps(network, own.explainer, task)
        own_raw = make(subjects.images, subjects.classes, subjects.keys)
        own_maps = to_input_size(own_raw, subjects.shape)
        if CENTRE not in self.state["baselines"]:
            self._baseline(CENTRE, centre_maps(subjects.shape, len(own_maps)), score, subjects, own_maps)
        for number, candidate in enumerate(missing, 1):
            begun = time.monotonic()
            reporter.say(f"measuring {candidate.name} ({number} of {len(missing)})")
            if not candidate.own:
                make = MethodMaps(network, candidate.explainer, task)
            raw = own_raw if candidate.own else make(subjects.images, subjects.classes, subjects.keys)
            noise = random_name(raw.shape[1:])
            if noise not in self.state["baselines"]:
                drawn = random_maps(raw.shape[1:], len(raw), self._seed)
                self._baseline(noise, drawn, score, subjects, own_maps)
            figures = scores_of_maps(score, subjects, raw, own_maps, self._settings)
            remade, steps = scores_of_method(network, make, subjects, raw, self._settings)
            self.state["methods"][candidate.name] = {
                "own": candidate.own,
                "parameters": _plain(parameters(candidate.explainer)),
                "map_size": list(raw.shape[1:]),
                "random": noise,
                "seconds": round(time.monotonic() - begun, 1),
                "cascade": steps,
                "per_image": _columns(figures | remade),
            }
            self._write()

    def _baseline(self, name: str, raw: np.ndarray, score: Scorer, subjects: Subjects, own: np.ndarray) -> None:
        figures = scores_of_maps(score, subjects, raw, own, self._settings)
        self.state["baselines"][name] = {"map_size": list(raw.shape[1:]), "per_image": _columns(figures)}

    def _say_estimate(self, score: Callable[..., np.ndarray], subjects: Subjects, methods: int) -> None:
        """How many images go through the network, and about how long that takes: measured on one batch."""
        costly = len(subjects.costly)
        count = (methods + 2) * forwards(
            self._settings, len(subjects.samples), costly
        )  # with two maps that know nothing
        first = subjects.images[: min(16, len(subjects.images))]
        score(first, subjects.classes[: len(first)])  # compiles
        begun = time.monotonic()
        score(first, subjects.classes[: len(first)])
        seconds = count * (time.monotonic() - begun) / len(first)
        self._reporter.say(
            f"{methods} methods and the maps that know nothing, on {len(subjects.samples)} images: {count:,} changed images go "
            f"through the network, about {_duration(seconds)}; the maps themselves, and compiling, come on top"
        )


def random_name(shape: Sequence[int]) -> str:
    """What the random maps of a size are called."""
    return f"random {' x '.join(map(str, shape))}"


def _shown(folder: Path) -> list[str]:
    """The test images that the report explains; they were drawn at random, and their cards show what was measured."""
    listing = folder / EXPLANATIONS / "explanations.json"
    return [entry["sample"] for entry in read_json(listing)] if listing.exists() else []


def _columns(figures: Figures) -> dict[str, list[float | None]]:
    """In the order of the measures; NaN is null."""
    return {
        name: [None if not np.isfinite(v) else float(v) for v in figures[name]] for name in MEASURES if name in figures
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _write_table(path: Path, state: dict[str, Any]) -> None:
    """One row a method and image."""
    conditions, measured = state["conditions"], {**state["methods"], **state["baselines"]}
    columns = [name for name in MEASURES if any(name in one["per_image"] for one in measured.values())]
    with atomic(path, errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["method", "sample", "explained", "label", *columns])
        for method, one in measured.items():
            for row, sample in enumerate(conditions["samples"]):
                cells = [one["per_image"].get(name, [None] * (row + 1))[row] for name in columns]
                labels = "+".join(state["labels"][row])
                shown = ["" if cell is None else f"{cell:.6g}" for cell in cells]
                writer.writerow([method, sample, conditions["explained"][row], labels, *shown])
