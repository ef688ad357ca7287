"""Finding learning rates from Python: what ``medplug lr-find`` does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medplug.api import Pipeline
from medplug.data.arrays import is_table, reader_of, write_table
from medplug.errors import UsageError
from medplug.files import write_json
from medplug.pipeline import ready_to_train
from medplug.report.export import write_figures
from medplug.report.figures.rates import rate_curves
from medplug.runs import folder as run_folder
from medplug.train.phases import PHASES
from medplug.train.rate_finder import STEPS, RateSweep, find_rates

SETTING_OF = {"frozen": "training.frozen_learning_rate", "full": "training.learning_rate"}
_FEWEST = 20  # steps that a curve needs


def find_learning_rates(
    data: Any,
    labels: Any = None,
    *,
    pipeline: Pipeline | None = None,
    phases: Sequence[str] = PHASES,
    steps: int = STEPS,
    out: str | Path | None = None,
    **columns: Any,
) -> dict[str, RateSweep]:
    """The learning-rate range test of both phases of training, on the training part of the data.

    Args:
        data, labels: as :meth:`medplug.Pipeline.fit` takes them.
        pipeline: whose components, settings and seed count; by default those of the standard recipe.
        phases: ``frozen`` (the head), ``full`` (all layers), or both.
        steps: from the lowest rate to the highest.
        out: folder for ``lr_find.json`` and the figure; None writes nothing.
        columns: of images in memory (``groups``, ``splits`` …), as :meth:`medplug.Pipeline.fit` takes them.

    Returns:
        By phase the rates, the losses, and the rate that is suggested for the phase's setting.

    Raises:
        UsageError: no such phase, too few steps, or a folder that holds something.
        DataError: the data cannot be used.
    """
    unknown = [phase for phase in phases if phase not in PHASES]
    if unknown or not phases:
        raise UsageError(f"phases are {' and '.join(PHASES)}; got {', '.join(unknown) or 'none'}")
    if steps < _FEWEST:
        raise UsageError(f"{steps} steps make no curve; give {_FEWEST} or more")
    pipeline = Pipeline() if pipeline is None else pipeline
    folder = None if out is None else run_folder.claim(out, "rates", False)
    config, registry = pipeline.config(), pipeline.registry()
    with tempfile.TemporaryDirectory() as place:
        if is_table(data):
            write_table(data, Path(place, "data.csv"))
            source: Any = str(Path(place, "data.csv"))
            config = config.with_defaults("reader", image_root=str(Path.cwd()))
        elif isinstance(data, (str, Path)):
            source = str(data)
        else:
            source = ("unregistered:arrays", reader_of(data, labels, **columns), "arrays")
        trainer = ready_to_train(config, source, registry, pipeline.reporter)
        pipeline.reporter.say(f"testing learning rates, {steps} steps a phase at most (the first step compiles)")
        found = find_rates(trainer, [phase for phase in PHASES if phase in phases], steps)
    if folder is not None:
        write_sweeps(folder, found)
    return found


def write_sweeps(folder: Path, sweeps: Mapping[str, RateSweep]) -> None:
    """Write ``lr_find.json``, ``lr_find.svg`` and ``lr_find.png``."""
    tree = {phase: {"setting": SETTING_OF[phase], **sweep.to_json()} for phase, sweep in sweeps.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / run_folder.RATES, tree)
    drawing = rate_curves(tree)
    if drawing:
        write_figures({Path(run_folder.RATES).stem: drawing}, folder)
