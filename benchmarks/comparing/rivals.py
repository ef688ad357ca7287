"""Each rival, run on one split: two tables of predictions, and a few figures of the training."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparing.layout import Truth, pictures, prepared, reader_settings
from benchmarks.comparing.plan import STANDARD, Row
from benchmarks.environments import python_of
from benchmarks.experiments import Experiment
from benchmarks.family import BenchmarkError
from benchmarks.floors import linear, macro_auc, pooled_features
from benchmarks.records import ROOT
from medplug.evaluation.tables import write_predictions
from medplug.files import read_json
from medplug.plugins.registry import Registry
from medplug.runs import folder as run_files
from medplug.runs.prepared import Prepared
from medplug.seeds import child_seed
from medplug.values import SPLITS, Predictions

CS = tuple(10.0 ** np.arange(-5, 1.1, 0.5))
"""Inverse strengths of the penalty among which validation chooses."""

CHEAP = {"evaluation.resamples": 50, "evaluation.novelty": "false", "rendering.errors": 0, "rendering.figures": "svg"}
"""What a run does after its training and its predictions; neither is touched."""

PAPER = {"architecture.hidden": 512, "architecture.dropout": 0.3, "split.method": "stratified"}
"""The head of the published networks on this backbone; and a method of splitting that takes a file."""

LOG = "log.txt"
_PEER = Path(__file__).parent / "peers" / "torch_worker.py"
_PEER_PACKAGES = ROOT / "data" / "peers" / "torch.txt"
_QUOTED = 1500  # characters of a log
_PROBED = 4  # images whose logits must agree before a peer trains


@dataclass(frozen=True)
class Job:
    """One row to make.

    Attributes:
        row: which one.
        experiment: the data of its set.
        source: where they lie.
        truth: the split.
        place: folder of the row.
        peers: folder of the environments of peers.
        plugins: the registry; None for that of all installed plugins.
        recipe: what decides how images are read and prepared.
    """

    row: Row
    experiment: Experiment
    source: str | Path
    truth: Truth
    place: Path
    peers: Path
    plugins: Registry | None = None
    recipe: str = STANDARD

    def prepared(self) -> tuple[Prepared, Any]:
        """The images of the split at the size of the row, and the backbone with its pretrained weights."""
        row, given = self.row, {"plugins": self.plugins, "recipe": self.recipe}
        return prepared(self.experiment, self.source, row.seed, row.size, split=self.truth.file, **given)


def run_rival(job: Job) -> dict[str, Any]:
    """Train and predict; ``predictions.csv`` and ``predictions.validation.csv`` are left in ``job.place``.

    Returns:
        What is told of the training: ``epochs`` and ``training_minutes`` (None where there are none), and ``model``.

    Raises:
        BenchmarkError: a process failed; the end of its log is quoted.
    """
    return {"standard": _standard, "paper": _paper, "features": _features, "torch": _torch}[job.row.rival](job)


# ---------------------------------------------------------------- medplug


def _standard(job: Job) -> dict[str, Any]:
    return _medplug(job, "standard", {})


def _paper(job: Job) -> dict[str, Any]:
    return _medplug(job, "paper", PAPER)


def _medplug(job: Job, recipe: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    row = job.row
    folder = train(
        job.experiment, job.source, job.place / "run", recipe=recipe, size=row.size, minutes=row.minutes,
        seed=row.seed, split=job.truth.file, settings=settings,
    )  # fmt: skip
    found = run_files.read_split(folder / run_files.SPLIT, job.truth.classes)
    if parts_of(found) != parts_of(job.truth.table):
        raise BenchmarkError(f"{folder}: the parts are not those of {job.truth.file}, which it was given")
    for name in run_files.PREDICTIONS.values():
        shutil.copyfile(folder / name, job.place / name)
    return {**told(folder), "model": f"{job.experiment.run.architecture}, recipe {recipe}"}


@contextmanager
def as_on_a_new_machine() -> Iterator[None]:
    """Empty caches, of medplug and of compiled programs, for this process and those that it starts; removed afterwards.

    Else a row would depend on which rows came before it.
    """
    names = ("MEDPLUG_CACHE", "JAX_COMPILATION_CACHE_DIR")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory() as cache:
        os.environ.update(zip(names, (cache, f"{cache}/xla"), strict=True))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def train(
    experiment: Experiment, source: str | Path, folder: Path, *, recipe: str, size: int, minutes: float | None,
    seed: int, split: Path, settings: Mapping[str, Any],
) -> Path:  # fmt: skip
    """``medplug run`` in a process of its own.

    Args:
        experiment, source: the data.
        folder: of the run; what is there is removed.
        recipe, size, seed, split, settings: of the run.
        minutes: the budget; None leaves it to the epochs of the settings.

    Returns:
        The folder of the run, without the checkpoints.

    Raises:
        BenchmarkError: it failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    chosen = {**reader_settings(experiment, source), **CHEAP, **settings}
    words = [sys.executable, "-m", "medplug", "run", str(source), "--out", str(folder), "--recipe", recipe]
    words += ["--architecture", str(experiment.run.architecture), "--size", str(size)]
    words += ["--seed", str(seed), "--split", str(split)]
    words += [] if minutes is None else ["--budget", f"{minutes:g}"]
    for key, value in chosen.items():
        words += ["--set", f"{key}={value}"]
    process(words, folder.with_name(LOG))
    shutil.rmtree(folder / run_files.CHECKPOINTS, ignore_errors=True)
    return folder


def parts_of(table: run_files.SplitTable) -> dict[str, str]:
    """The part of each sample that has one."""
    return {name: part for name, part in zip(table.samples, table.parts, strict=True) if part}


def told(folder: Path) -> dict[str, Any]:
    """Epochs and minutes of a finished run."""
    minutes = read_json(folder / run_files.MANIFEST)["training_ended_after_seconds"] / 60
    return {"epochs": len(run_files.read_history(folder / run_files.HISTORY)), "training_minutes": round(minutes, 2)}


def process(words: Sequence[str], log: Path) -> str:
    """Run a command, keep all that it says in a log, and return it.

    Raises:
        BenchmarkError: with the end of the log, where the exit code is not 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False)
    said = log.read_text("utf-8")
    if done.returncode:
        raise BenchmarkError(f"{' '.join(map(str, words[:5]))} … failed, see {log}: {said[-_QUOTED:]}")
    return said


# ---------------------------------------------------------------- frozen features


def _features(job: Job) -> dict[str, Any]:
    """scikit-learn on what the frozen network gives; validation chooses the penalty, then its images train too."""
    truth, task = job.truth, job.truth.task
    started = time.perf_counter()
    made, architecture = job.prepared()
    x = pooled_features(architecture, pictures(made, truth), len(truth.classes))
    targets, train_rows, held, test = truth.table.targets, *map(truth.rows, ("train", "validation", "test"))
    by_c = {c: linear(x, targets, train_rows, held, c, task) for c in CS}
    scores = [macro_auc(targets[held], found) for found in by_c.values()]
    chosen = CS[int(np.argmax(np.nan_to_num(scores)))]  # the stronger penalty where they tie
    alone = linear(x, targets, train_rows, test, chosen, task)
    refitted = linear(x, targets, np.concatenate([train_rows, held]), test, chosen, task)
    write_parts(job, by_c[chosen], refitted)
    return {
        "epochs": None,
        "training_minutes": round((time.perf_counter() - started) / 60, 2),
        "model": f"logistic regression (C={chosen:.3g}) on {x.shape[1]} frozen features",
        "test_auc_of_training_images_alone": macro_auc(targets[test], alone),
    }


def write_parts(job: Job, validation: np.ndarray, test: np.ndarray) -> None:
    """Both tables of predictions, in the form of a run's."""
    truth = job.truth
    for part, probabilities in (("validation", validation), ("test", test)):
        rows = truth.rows(part)
        names = tuple(truth.table.samples[row] for row in rows)
        found = Predictions(names, probabilities, truth.table.targets[rows], truth.classes, truth.task)
        write_predictions(job.place / run_files.PREDICTIONS[part], found)


# ---------------------------------------------------------------- PyTorch


def _torch(job: Job) -> dict[str, Any]:
    """The peer's process gets pixels, targets, rows and weights as one file, and trains as its author would."""
    python = python_of(_PEER_PACKAGES, job.peers)
    handed, answer = job.place / "handed.npz", job.place / "answer.npz"
    hand_over(job, handed)
    row = job.row
    words = [python, _PEER, handed, answer, f"{row.minutes:g}", row.seed, job.truth.task]
    said = process([str(word) for word in words], job.place / LOG)
    with np.load(answer) as found:
        write_parts(job, found["validation"], found["test"])
    handed.unlink()
    answer.unlink()
    return {**json.loads(said.splitlines()[-1]), "model": f"{job.experiment.run.architecture}, PyTorch"}


def hand_over(job: Job, path: Path) -> None:
    """Images, targets, the rows of the parts, and the network that a run of the seed would start from.

    The weights have the names and the layout of the PyTorch port; with them stand the logits of a few images, so that
    the peer can tell whether its network is the same.
    """
    from medplug import build_network
    from medplug.model.network import weight_arrays
    from medplug_efficientnet.convert import source_names
    from medplug_efficientnet.plan import LITE0

    truth, row = job.truth, job.row
    made, architecture = job.prepared()
    images = pictures(made, truth)
    seed = child_seed(row.seed, "network")
    network = build_network(architecture, classes=len(truth.classes), size=row.size, seed=seed)
    names = {**source_names(LITE0), "head/output/kernel": "_fc.weight", "head/output/bias": "_fc.bias"}
    arrays = {f"weights:{names[p]}": _to_torch(value) for p, value in weight_arrays(network.module).items()}
    probed = images[truth.rows("train")[:_PROBED]]
    logits = np.asarray(network(network.standardise(probed)))
    given = architecture.preprocessing
    handed: dict[str, Any] = {
        "images": images, "targets": truth.table.targets, "mean": np.float32(given.mean), "std": np.float32(given.std),
        "dropout": architecture.dropout, "probed": probed, "logits": logits, **arrays,
    }  # fmt: skip
    handed |= {part: truth.rows(part) for part in SPLITS}
    np.savez(path, **handed)


def _to_torch(value: np.ndarray) -> np.ndarray:
    """Kernels ``[k, k, I, O]`` to ``[O, I, k, k]`` and ``[I, O]`` to ``[O, I]``; the rest as it is."""
    if value.ndim == 4:
        return np.ascontiguousarray(value.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(value.T) if value.ndim == 2 else value
