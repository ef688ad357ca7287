"""``predictions.csv``: one row a sample, its name and one probability a class."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.errors import DataError
from medplug.files import atomic
from medplug.values import Predictions

RESERVED = "medplug:"
"""How the names of columns begin that are no classes: what ``predict`` adds, and every reader leaves alone."""

_BYTES = "surrogateescape"  # file names need not be UTF-8: surrogates carry their bytes through the file unchanged


@dataclass(frozen=True)
class PredictionTable:
    """What a file of predictions holds.

    Attributes:
        samples: N names.
        classes: K names.
        probabilities: ``[N, K]`` float64.
        source: what errors call the table; the path of a file.
        lines: N line numbers in that file; empty where the table comes from no file.
        notes: guesses that were made while reading, as sentences for the user.
    """

    samples: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: np.ndarray
    source: str = "predictions"
    lines: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write the table, all at once: readers see the old file or the whole new one.

    Probabilities have as many digits as it takes to read the same float64 again. ``predictions.columns`` follow the
    classes.

    Raises:
        ValueError: a column has not one cell per sample, or its name does not begin with :data:`RESERVED`.
    """
    unreserved = [name for name in predictions.columns if not name.startswith(RESERVED)]
    if unreserved:
        raise ValueError(f"further columns must be named {RESERVED}…, or readers take {unreserved[0]!r} for a class")
    with atomic(path, errors=_BYTES) as file:
        # Texts are quoted, because Python 3.11 leaves a lone carriage return bare otherwise.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["sample", *predictions.classes, *predictions.columns])
        rows = np.asarray(predictions.probabilities, np.float64).tolist()
        further = [[str(cell) for cell in column] for column in predictions.columns.values()]
        together = zip(predictions.samples, rows, *further, strict=True)
        writer.writerows([sample, *row, *cells] for sample, row, *cells in together)


def read_predictions(path: str | Path) -> PredictionTable:
    """Read a table that :func:`write_predictions` wrote, name for name and digit for digit.

    Columns whose name begins with :data:`RESERVED` are left out. Tables of other tools are read by
    :func:`medplug.evaluation.foreign.read_predictions`.

    Raises:
        DataError: no such table, a row of another length, or something that is not a number.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8", errors=_BYTES, newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    header = rows[0] if rows else []
    kept = [i for i, name in enumerate(header) if i and not name.startswith(RESERVED)]
    if not kept or header[0] != "sample":
        raise DataError(f"{path}: the first line must be 'sample' and the names of the classes")
    probabilities = np.empty((len(rows) - 1, len(kept)))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number + 1} has {len(row)} cells, the header has {len(header)}")
        try:
            probabilities[number] = [float(row[i]) for i in kept]
        except ValueError as error:
            raise DataError(f"{path}: row {number + 1} ({row[0]}): {error}") from None
    return PredictionTable(
        tuple(row[0] for row in rows[1:]), tuple(header[i] for i in kept), probabilities, source=str(path)
    )
