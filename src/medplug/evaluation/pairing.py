"""Which row of a table of labels belongs to which prediction."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from medplug.errors import DataError
from medplug.evaluation.sheets import LabelTable, Table, listed, place
from medplug.evaluation.tables import PredictionTable

_EXTENSION = re.compile(r"(\.nii)?\.[A-Za-z][A-Za-z0-9]{1,4}$")  # "scan.nii.gz" too, but not "patient.7"
_Keyed = dict[str, int]


def label_rows(predictions: PredictionTable, labels: LabelTable) -> tuple[list[int], list[str]]:
    """The row of the labels of each prediction, and how names were compared where they differ."""
    _check_unique(predictions)
    _check_unique(labels)
    fitting, ambiguous = [], ""
    for how, key in _KEYS:
        here, there = _keyed(predictions.samples, key), _keyed(labels.samples, key)
        if isinstance(here, str) or isinstance(there, str):
            both = here if isinstance(here, str) else there
            ambiguous = ambiguous or f"; compared {how} names are ambiguous ({both})"
        else:
            fitting.append((how, here, there))
    how, here, there = max(fitting, key=lambda found: len(found[1].keys() & found[2].keys()))  # of equals the first
    if here.keys() != there.keys():
        raise DataError(_unmatched(predictions, labels, how, here, there) + ambiguous)
    note = f"the names in {predictions.source} and {labels.source} differ: they were matched {how}"
    return [there[name] for name in here], [note] if how else []


def _unmatched(predictions: PredictionTable, labels: LabelTable, how: str, here: _Keyed, there: _Keyed) -> str:
    if not here.keys() & there.keys():
        return (
            f"{predictions.source} and {labels.source} have no sample in common: {listed(predictions.samples)} here, "
            f"{listed(labels.samples)} there; the names must be the same"
        )
    parts = []
    for mine, keys, other, found in ((predictions, here, labels, there), (labels, there, predictions, here)):
        lacking = [mine.samples[row] for key, row in keys.items() if key not in found]
        if lacking:
            count = f"{len(lacking)} of {len(keys)} samples in {mine.source} are not in {other.source}"
            parts.append(f"{count}: {listed(lacking)}")
    compared = f" (names compared {how})" if how else ""
    return "; ".join(parts) + compared + ": both files must have the same samples; add rows, or remove these"


def _file(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


_KEYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", lambda name: name),
    ("without extension", lambda name: _EXTENSION.sub("", name)),
    ("without folders", _file),
    ("without folders and extension", lambda name: _EXTENSION.sub("", _file(name))),
)


def _keyed(samples: Sequence[str], key: Callable[[str], str]) -> dict[str, int] | str:
    """Row by shortened name, or the two names that become the same."""
    rows: dict[str, int] = {}
    for row, name in enumerate(samples):
        if rows.setdefault(key(name), row) != row:
            return f"{samples[rows[key(name)]]!r} and {name!r}"
    return rows


def _check_unique(table: Table) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(table.samples):
        if first.setdefault(name, row) != row:
            raise DataError(
                f"{place(table, row)}: the sample {name!r} is there already ({place(table, first[name], short=True)}); "
                "each sample has one row"
            )
