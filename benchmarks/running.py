"""Running an experiment: ``medplug run`` in a process of its own for each seed, then the floors, then the record."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.experiments import Experiment, experiments
from benchmarks.family import BenchmarkError, Options
from benchmarks.records import RESULT, write_record
from medplug.files import read_json, write_json
from medplug.runs import folder as run_files

FAMILY = "experiments"
SETTINGS, FLOORS, RUN = "settings.json", "floors.json", "run"


def run(name: str, options: Options) -> None:
    """Run an experiment with all its seeds; what is finished is not repeated.

    Below ``options.out`` each seed has a folder ``NAME/seed-N`` with ``run/`` (the run folder), ``settings.json``,
    ``floors.json`` and ``result.json`` (the record).

    Raises:
        MissingDataError: the data are not there.
        BenchmarkError: the run failed, or its folder holds one with other settings.
    """
    experiment = with_options(experiments()[name], options)
    source = experiment.find(options.data)
    for seed in experiment.run.seeds:
        place = options.out / name / f"seed-{seed}"
        _claim(place, settings_of(experiment, seed))
        if not finished(place / RUN):
            _train(experiment, source, place / RUN, seed)
        if not (place / RESULT).exists():
            write_record(place, FAMILY, name, seed, measure(experiment, place, seed))
        print(f"{name}, seed {seed}: {_summary(read_json(place / RESULT))}")


def with_options(experiment: Experiment, options: Options) -> Experiment:
    """The experiment with the user's seeds, budget and size in the place of its own."""
    wanted = {"seeds": options.seeds, "budget": options.budget, "size": options.size}
    changed = {key: value for key, value in wanted.items() if value is not None}
    return dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, **changed))


def settings_of(experiment: Experiment, seed: int) -> dict[str, Any]:
    """What decides a run's result, but for data, code and machine."""
    plan = experiment.run
    chosen = {"recipe": plan.recipe, "architecture": plan.architecture, "size": plan.size, "budget": plan.budget}
    return {**chosen, "seed": seed, "settings": dict(plan.settings or {})}


def command(experiment: Experiment, source: Path, folder: Path, seed: int) -> list[str]:
    """The command line of one run, without ``--resume``."""
    plan = experiment.run
    words = [sys.executable, "-m", "medplug", "run", str(source), "--out", str(folder), "--seed", str(seed)]
    for option in ("recipe", "architecture", "size", "budget"):
        value = getattr(plan, option)
        if value is not None:
            words += [f"--{option}", value if isinstance(value, str) else f"{value:g}"]
    for key, value in (plan.settings or {}).items():
        words += ["--set", f"{key}={value}"]
    return words


def finished(folder: Path) -> bool:
    """Whether a run folder holds a whole run."""
    manifest = folder / run_files.MANIFEST
    return (folder / run_files.METRICS).exists() and manifest.exists() and "finished" in read_json(manifest)


def _claim(place: Path, settings: dict[str, Any]) -> None:
    path = place / SETTINGS
    planned = (place / RUN / run_files.CONFIG).exists()  # without a plan there is nothing of other settings to keep
    if planned and path.exists() and read_json(path) != settings:
        raise BenchmarkError(f"{place} holds a run with other settings; choose another --out, or remove it")
    write_json(path, settings)


def _train(experiment: Experiment, source: Path, folder: Path, seed: int) -> None:
    words = command(experiment, source, folder, seed)
    if (folder / run_files.CONFIG).exists():  # the epochs are planned already: the result is that of one go
        words.append("--resume")
    elif folder.exists():  # it ended before its plan was made: nothing in it is worth keeping
        shutil.rmtree(folder)
    print(f"running: medplug {' '.join(words[3:])}", flush=True)
    code = subprocess.run(words, check=False).returncode
    if code != 0:
        raise BenchmarkError(f"{experiment.name}, seed {seed}: medplug run ended with exit code {code}; see above")


def measure(experiment: Experiment, place: Path, seed: int) -> dict[str, Any]:
    """The figures of a finished run; ``floors.json`` is written where the experiment has floors and it is missing."""
    folder = place / RUN
    if (experiment.thumbnail or experiment.features) and not (place / FLOORS).exists():
        from benchmarks.floors import floors_of  # jax and scikit-learn take seconds

        print(f"{experiment.name}, seed {seed}: computing the floors", flush=True)
        write_json(place / FLOORS, floors_of(folder, experiment))
    manifest, test = read_json(folder / run_files.MANIFEST), read_json(folder / run_files.METRICS)["test"]
    table = run_files.read_split(folder / run_files.SPLIT, tuple(test["per_class"]))
    counts = {part: table.parts.count(part) for part in ("train", "validation", "test")}
    positives = {c: int(n) for c, n in zip(test["per_class"], (table.targets >= 0.5).sum(0), strict=True)}
    return {
        "settings": settings_of(experiment, seed),
        "images": counts,
        "classes": len(positives),
        "macro": {name: _figure(figure) for name, figure in test["macro"].items()},
        "floors": read_json(place / FLOORS) if (place / FLOORS).exists() else {},
        "epochs": len(run_files.read_history(folder / run_files.HISTORY)),
        "training_minutes": round(manifest["training_ended_after_seconds"] / 60, 2),
        "device": manifest["device"],
        "notes": differences(experiment, len(table.samples), positives),
    }


def differences(experiment: Experiment, images: int, positives: dict[str, int]) -> list[str]:
    """What is not as the experiment expects it: the number of usable images, and those of each class."""
    notes = []
    if images != experiment.data.images:
        notes.append(f"{images} usable images of {experiment.data.images} expected")
    expected = dict(experiment.data.classes)
    wrong = sorted({*expected, *positives} - {c for c in expected if positives.get(c) == expected[c]})
    if wrong:
        notes.append("classes: " + ", ".join(f"{c} {positives.get(c, 0)} of {expected.get(c, 0)}" for c in wrong))
    return notes


def _figure(figure: dict[str, Any]) -> dict[str, Any]:
    return {
        key: figure[key] for key in ("value", "low", "high", "reason", "excluded") if figure.get(key) not in (None, [])
    }


def _summary(record: dict[str, Any]) -> str:
    words = [f"{name} {figure['value']:.3f}" for name, figure in record["macro"].items() if "value" in figure]
    words += [f"{name} (floor) {floor['roc_auc']:.3f}" for name, floor in record["floors"].items()]
    return ", ".join(words)
