"""Benchmark ``choose``: variants of the settings beside each other, before any test part is looked at.

The images of a set's test part are taken out before anything is trained: no run of this module predicts one of them. What
is left is divided anew by medplug itself, groups kept together, into training, validation (which chooses the epoch) and a
part to judge on that no choice within the run has seen.

Without minutes every variant trains the epochs that its settings name, and the busy neighbours of a shared machine do
not matter; compiled programs are kept between runs, and the images per second tell what a variant costs. With minutes
every run compiles anew within them, because a variant that shares its programs with another one would gain by it.
"""

from __future__ import annotations

import csv
import shutil
import statistics
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparing import tables
from benchmarks.comparing.compare import home_of
from benchmarks.comparing.neighbours import Neighbours
from benchmarks.comparing.plan import SETS, STANDARD, experiment_of
from benchmarks.family import BenchmarkError, Options, Record
from benchmarks.records import environment, write_record
from medplug.files import atomic, read_json, write_json

FAMILY = NAME = "choose"
VARIANTS = Path(__file__).parent / "variants.toml"
CHOICE_SETS, SEEDS, SIZE = ("ultrasound", "dermatoscopy", "ct"), (0, 1), 96
SHARES = {"split.train": 0.65, "split.validation": 0.1, "split.test": 0.25}
"""The last one is judged on, as a share of the training images; validation is that of the whole split."""

ROW = "row.json"
section = tables.choice


@dataclass(frozen=True)
class Round:
    """A file of variants.

    Attributes:
        name: of the file.
        base: the variant that the others are compared with.
        recipe: that all start from.
        variants: settings by key, by the name of the variant; those that all have are merged in.
    """

    name: str
    base: str
    recipe: str
    variants: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Trial:
    """One training of a variant; without ``minutes`` its epochs are those of the settings."""

    round: Round
    variant: str
    set: str
    seed: int
    minutes: float | None
    size: int

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result, but for data, code and machine."""
        return {"recipe": self.round.recipe, **self.round.variants[self.variant]}

    def place(self, out: Path) -> Path:
        """The folder of the row."""
        return home(self.round, self.minutes, self.size, out) / self.variant / f"{self.set}-seed-{self.seed}"


def home(round_: Round, minutes: float | None, size: int, out: Path) -> Path:
    """The folder of a round with one budget."""
    return out / f"choose-{round_.name}-{'epochs' if minutes is None else f'{minutes:g}min'}-{size}px"


def names() -> dict[str, list[str]]:
    """The one benchmark."""
    return {FAMILY: [NAME]}


def describe(name: str, options: Options) -> str:
    """One line."""
    round_ = read_round(VARIANTS)
    return (
        f"{name}: {len(round_.variants)} variants of settings of {VARIANTS.name} (or of a file of yours) on {', '.join(CHOICE_SETS)}, "
        f"seeds {', '.join(map(str, SEEDS))}, the epochs that it says at {SIZE} px; test parts are not touched"
    )


def read_round(path: Path) -> Round:
    """A file of variants: ``base``, perhaps ``recipe``, a table ``common``, and a table ``variant.NAME`` each.

    Raises:
        BenchmarkError: it cannot be read, a key is unknown, or the base is no variant.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BenchmarkError(f"{path}: {error}") from error
    common, recipe = flat(tree.pop("common", {})), tree.pop("recipe", STANDARD)
    variants, base = tree.pop("variant", {}), tree.pop("base", None)
    if tree:
        raise BenchmarkError(f"{path}: unknown keys {', '.join(tree)}; known are base, recipe, common and variant.NAME")
    if base not in variants:
        raise BenchmarkError(f"{path}: base must name one of the variants {', '.join(variants)}, got {base!r}")
    return Round(path.stem, base, recipe, {name: {**common, **flat(own)} for name, own in variants.items()})


def flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Tables as keys with dots, values as ``--set`` takes them.

    >>> flat({"training": {"epochs": 3}, "augment.use": ["a", "b"]})
    {'training.epochs': '3', 'augment.use': 'a,b'}
    """
    found: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif isinstance(value, list):
            found[name] = ",".join(map(str, value)) or "none"
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def run(name: str, options: Options) -> None:
    """Train the variants that are missing, all of a set and seed after each other, and compare them with the base.

    Raises:
        MissingDataError: the data are not there.
        BenchmarkError: a run failed, or a variant was trained with other settings before.
    """
    round_ = read_round(options.variants or VARIANTS)
    minutes, size = options.budget, options.size or SIZE
    sets, seeds = options.sets or CHOICE_SETS, options.seeds or SEEDS
    unknown = sorted(set(sets) - set(SETS))
    if unknown:
        raise BenchmarkError(f"there is no set {unknown[0]!r}; the sets are {', '.join(SETS)}")
    first = [round_.base, *(variant for variant in round_.variants if variant != round_.base)]
    for seed in seeds:
        for set_ in sets:
            for variant in first:
                trial = Trial(round_, variant, set_, seed, minutes, size)
                row = _finished(trial, options) or _train(trial, options)
                print(f"{set_}, seed {seed}, {variant}: {row['auc']:.3f}, log loss {row['loss']:.3f}", flush=True)
    place = home(round_, minutes, size, options.out)
    write_record(place, FAMILY, place.name, None, summary(round_, place, minutes, size))


def _finished(trial: Trial, options: Options) -> Record | None:
    path = trial.place(options.out) / ROW
    if options.again or not path.exists():
        return None
    row = read_json(path)
    if row["settings"] != trial.settings:
        raise BenchmarkError(f"{path.parent}: was trained with other settings; rename the variant, or take --again")
    return row


def _train(trial: Trial, options: Options) -> Record:
    from benchmarks.comparing.layout import lay_out, prepared
    from benchmarks.comparing.rivals import as_on_a_new_machine, told, train
    from medplug.runs import folder as run_files

    experiment = experiment_of(trial.set)
    source = experiment.find(options.data)
    truth = lay_out(experiment, source, trial.seed, home_of(trial.set, trial.seed, options.out))
    place = trial.place(options.out)
    shutil.rmtree(place, ignore_errors=True)
    split = place / "without-test.csv"
    leave_test_out(truth, split)
    with as_on_a_new_machine() if trial.minutes else nullcontext():
        prepared(experiment, source, trial.seed, trial.size)  # decoded images wait in the cache
        others, started = Neighbours(), time.perf_counter()
        folder = train(
            experiment, source, place / "run", recipe=trial.round.recipe, size=trial.size, minutes=trial.minutes,
            seed=trial.seed, split=split, settings={**SHARES, **trial.round.variants[trial.variant]},
        )  # fmt: skip
        seconds = round(time.perf_counter() - started, 1)
    history = run_files.read_history(folder / run_files.HISTORY)
    rates = [float(str(row["images_per_second"])) for row in history if row.get("images_per_second") not in (None, "")]
    row = {
        "variant": trial.variant, "set": trial.set, "seed": trial.seed, "settings": trial.settings,
        "minutes": trial.minutes, "size": trial.size, "seconds": seconds,
        "others": others.share(), "images_per_second": statistics.median(rates) if rates else 0.0, **told(folder),
        **judged(folder, truth), "machine": environment(),
    }  # fmt: skip
    write_json(place / ROW, row)
    return row


def leave_test_out(truth: Any, path: Path) -> None:
    """A split without a test part: a run then takes one from the training images, and the images of the old one take no part."""
    with atomic(path, errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["sample", "split"])
        rows = zip(truth.table.samples, truth.table.parts, strict=True)
        writer.writerows([sample, part] for sample, part in rows if part in ("train", "validation"))


def judged(folder: Path, truth: Any) -> dict[str, float]:
    """The macro AUC and the log loss on the part of a run that is judged on.

    Raises:
        BenchmarkError: a sample of the true test part is among its predictions.
    """
    from benchmarks.comparing.pairing import losses
    from benchmarks.floors import macro_auc

    _, targets, probabilities, _ = answers(folder, truth)
    return {"auc": macro_auc(targets, probabilities), "loss": float(losses(targets, probabilities).mean())}


def answers(folder: Path, truth: Any) -> tuple[list[str], Any, Any, Any]:
    """Samples, targets, probabilities and groups of the part that a run is judged on, in the order of their samples.

    Raises:
        BenchmarkError: a sample of the true test part is among its predictions.
    """
    import numpy as np

    from medplug.evaluation.tables import read_predictions
    from medplug.runs import folder as run_files

    found = read_predictions(folder / run_files.PREDICTIONS["test"])
    hidden = {truth.table.samples[row] for row in truth.rows("test")}
    if hidden & set(found.samples):
        raise BenchmarkError(f"{folder}: images of the test part were predicted; settings must not be chosen on them")
    order = np.argsort(found.samples)
    rows = [truth.row_of[found.samples[i]] for i in order]
    columns = [found.classes.index(name) for name in truth.classes]
    groups = None if truth.groups is None else truth.groups[rows]
    samples = [found.samples[i] for i in order]
    return samples, truth.table.targets[rows], found.probabilities[order][:, columns], groups


def summary(round_: Round, place: Path, minutes: float | None, size: int) -> dict[str, Any]:
    """All finished rows of a round, and the differences of each variant to the base over the pairs that both have."""
    found = {name: _rows_of(place / name) for name in round_.variants}
    base = found[round_.base]
    variants = {}
    for name, rows in found.items():
        if not rows:
            continue
        shared = sorted(set(rows) & set(base))
        means = {key: statistics.fmean(row[key] for row in rows.values()) for key in _MEANS}
        commits = sorted({row["machine"]["commit"] for row in rows.values()})
        variants[name] = {**means, "settings": own(round_, name), "rows": len(rows), "commit": ", ".join(commits)}
        if name != round_.base and shared:
            variants[name] |= _differences(place, name, round_.base, shared)
    head = {"round": round_.name, "base": round_.base, "recipe": round_.recipe, "minutes": minutes, "size": size}
    rows = [row for rows in found.values() for _, row in sorted(rows.items())]
    return {**head, "pairs": [list(pair) for pair in sorted(base)], "variants": variants, "all_rows": rows}


def own(round_: Round, name: str) -> dict[str, Any]:
    """What is different from the base."""
    base = round_.variants[round_.base]
    return {key: value for key, value in round_.variants[name].items() if base.get(key) != value}


_MEANS = ("auc", "loss", "epochs", "images_per_second")


def _rows_of(folder: Path) -> dict[tuple[str, int], Record]:
    rows = [read_json(path) for path in folder.glob(f"*/{ROW}")]
    return {(row["set"], row["seed"]): row for row in rows}


def _differences(place: Path, name: str, base: str, shared: Sequence[tuple[str, int]]) -> dict[str, Any]:
    from benchmarks.comparing.pairing import pooled

    pairs = [pair_difference(place, name, base, *pair) for pair in shared]
    return {f"{figure}_difference": pooled([pair[figure] for pair in pairs]) for figure in ("auc", "loss")}


def pair_difference(place: Path, name: str, base: str, set_: str, seed: int) -> dict[str, dict[str, float]]:
    """The variant minus the base on the images that both were judged on.

    Raises:
        BenchmarkError: they were judged on other images.
    """
    from benchmarks.comparing.layout import read_truth
    from benchmarks.comparing.pairing import auc_difference, loss_difference

    truth = read_truth(home_of(set_, seed, place.parent))
    folders = [place / variant / f"{set_}-seed-{seed}" / "run" for variant in (name, base)]
    (samples, targets, ours, groups), (others, _, theirs, _) = (answers(folder, truth) for folder in folders)
    if samples != others:
        raise BenchmarkError(f"{folders[0]} and {folders[1]} were judged on other images; train both with --again")
    return {
        "auc": auc_difference(targets, ours, theirs, groups),
        "loss": loss_difference(targets, ours, theirs, groups),
    }
