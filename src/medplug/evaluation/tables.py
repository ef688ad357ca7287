"""``predictions.csv``: one row a sample, its name and one probability a class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.errors import DataError
from medplug.files import atomic
from medplug.values import Predictions

_BYTES = "surrogateescape"  # file names need not be UTF-8: surrogates carry their bytes through the file unchanged


@dataclass(frozen=True)
class PredictionTable:
    """The contents of a ``predictions.csv``: N names, K names, and ``[N, K]`` float64."""

    samples: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write the table, all at once: readers see the old file or the whole new one.

    Probabilities have as many digits as it takes to read the same float64 again.
    """
    with atomic(path, errors=_BYTES) as file:
        # Texts are quoted, because Python 3.11 leaves a lone carriage return bare otherwise.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["sample", *predictions.classes])
        rows = np.asarray(predictions.probabilities, np.float64).tolist()
        writer.writerows([sample, *row] for sample, row in zip(predictions.samples, rows, strict=True))


def read_predictions(path: str | Path) -> PredictionTable:
    """Read a table that :func:`write_predictions` or a spreadsheet wrote.

    Raises:
        DataError: no such table, a row of another length, or something that is not a number.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8", errors=_BYTES, newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not rows or rows[0][0] != "sample" or len(rows[0]) < 2:
        raise DataError(f"{path}: the first line must be 'sample' and the names of the classes")
    classes = tuple(rows[0][1:])
    probabilities = np.empty((len(rows) - 1, len(classes)))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}: row {number + 1} has {len(row)} cells, the header has {len(rows[0])}")
        try:
            probabilities[number] = [float(cell) for cell in row[1:]]
        except ValueError as error:
            raise DataError(f"{path}: row {number + 1} ({row[0]}): {error}") from None
    return PredictionTable(tuple(row[0] for row in rows[1:]), classes, probabilities)
