"""One drawing of lots: from samples, settings and a seed to any of the splits that the settings describe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.data.split.aucmedi import aucmedi_split
from medplug.data.split.files import parts_from_file
from medplug.data.split.options import check_settings, held_out, kept
from medplug.data.split.proof import check_parts, images
from medplug.data.split.stratify import stratify
from medplug.data.split.units import arrange, units_of
from medplug.errors import DataError
from medplug.seeds import child_seed
from medplug.values import SPLITS, Index, Split


class Drawing:
    """Parts of the samples of an index.

    A split is made in two steps: which samples are tested (a given part, a file, a fold, a value of a column, or a
    share), and which of the others choose the weights. Both deal out whole units.
    """

    def __init__(
        self, index: Index, alike: np.ndarray, keys: Sequence[str], settings: SplitSettings, seed: int
    ) -> None:
        check_settings(index, settings)
        if not len(alike) == len(keys) == len(index):
            raise ValueError(f"{len(index)} samples, but {len(alike)} clusters and {len(keys)} keys")
        self.index, self.keys = index, keys
        self.seed = settings.seed if settings.seed is not None else seed
        self.shares = np.array([settings.train, settings.validation, settings.test])
        self.units = units_of(index, alike, settings.groups)
        self._folds: dict[tuple[int, int, bytes], np.ndarray] = {}

    def split(self, settings: SplitSettings) -> Split:
        """The split of one repeat, fold and inner fold.

        Raises:
            DataError: a part would be empty, or training would have one class.
        """
        seed = self.seed if settings.repeat == 1 else child_seed(self.seed, "repeat", settings.repeat)
        if settings.method == "aucmedi":
            train, validation, test = aucmedi_split(self.index, self.shares, seed)
            return check_parts(Split(train, validation, test), self.index)
        part, notes = self._tested(settings, seed)
        notes += self._chosen(part, settings, seed)
        train, validation, test = (np.flatnonzero(part == name) for name in SPLITS)
        split = Split(train, validation, test, tuple(notes))
        drawn = not (self._given(settings) or settings.leave_out)
        return check_parts(split, self.index, _sizes(self.shares, settings) if drawn else None)

    def _given(self, settings: SplitSettings) -> bool:
        return bool(settings.file) or kept(self.index, settings)

    # ------------------------------------------------------------ first: which samples are tested

    def _tested(self, settings: SplitSettings, seed: int) -> tuple[np.ndarray, list[str]]:
        """Part of each sample, ``train`` for what is not decided yet, and notes."""
        if settings.file:
            part, notes = parts_from_file(settings.file, self.index, self.keys)
            return part, [*notes, *self._torn(part)]
        part = np.full(len(self.index), "train", "<U10")  # wide enough for "validation"
        if kept(self.index, settings):
            given = np.asarray(self.index.splits)
            part[given != ""] = given[given != ""]
            notes = self._join_validation(part, settings)  # before leaks into it are looked for: it is training then
            return part, [*notes, *self._without_leaks(part, "given ")]
        if settings.leave_out:
            return self._one_left_out(part, settings)
        everything = np.arange(len(self.index))
        if settings.folds:
            part[self._fold_of(everything, settings.folds, seed) == settings.fold - 1] = "test"
        elif settings.inner_folds:
            part[self._assign(everything, np.array([1 - self.shares[2], self.shares[2]]), seed) == 1] = "test"
        else:
            part[:] = np.array(SPLITS)[self._assign(everything, self.shares, seed)]
        return part, []

    def _one_left_out(self, part: np.ndarray, settings: SplitSettings) -> tuple[np.ndarray, list[str]]:
        name, cells, values = held_out(self.index, str(settings.leave_out))
        value = values[settings.fold - 1]
        part[cells == value] = "test"
        of = f" (fold {settings.fold} of {len(values)})" if len(values) > 1 else ""
        notes = [f"the test part is {images((cells == value).sum())} with {name} {value}{of}"]
        unknown = cells == ""
        if unknown.any():
            part[unknown] = ""
            notes.append(f"{images(unknown.sum())} without a value of {name} take no part")
        return part, notes + self._without_leaks(part, "")

    def _without_leaks(self, part: np.ndarray, given: str) -> list[str]:
        """What shares a unit with the test part leaves training and validation, then training likewise; ``part`` is changed."""
        notes = []
        for name, cleaned in (("test", ("train", "validation")), ("validation", ("train",))):
            leaks = np.isin(part, cleaned) & np.isin(self.units, self.units[part == name])
            if leaks.any():
                found = "/".join(c for c in cleaned if (part[leaks] == c).any())
                notes.append(
                    f"{leaks.sum()} {given}{found} images share a group or a picture with the {given}{name} part and are "
                    "left out"
                )
                part[leaks] = ""
        return notes

    def _torn(self, part: np.ndarray) -> list[str]:
        used = part != ""
        pairs = set(zip(self.units[used].tolist(), part[used].tolist(), strict=True))
        torn = len(pairs) - len({unit for unit, _ in pairs})
        if not torn:
            return []
        what = "patients (or other groups) or pictures that look the same"
        return [f"{torn} {what} are in more than one part of the file's split: the figures may be too good"]

    # ------------------------------------------------------------ second: which of the others choose the weights

    def _chosen(self, part: np.ndarray, settings: SplitSettings, seed: int) -> list[str]:
        """Decide what is missing yet, from what is ``train``; ``part`` is changed."""
        wanted = [] if settings.inner_folds else ["validation"]
        if self._given(settings):
            wanted.append("test")
        elif not (settings.folds or settings.leave_out):
            wanted = []  # shares have decided on all parts at once
        missing = [name for name in wanted if not (part == name).any()]
        if self._given(settings) and settings.repeats > 1 and not (missing or settings.inner_folds):
            raise DataError("split.repeats: nothing is drawn by lot here, since all parts are given; leave it out")
        notes = []
        if missing:
            self._carve(part, missing, seed)
            if self._given(settings):
                source = "the file names" if settings.file else "the data bring"
                notes.append(f"{source} no {' and no '.join(missing)} part; it is carved from training")
        if settings.inner_folds:
            notes += self._join_validation(part, settings)
            rows = self._training(part)
            part[rows[self._fold_of(rows, settings.inner_folds, seed) == settings.inner_fold - 1]] = "validation"
        return notes

    def _join_validation(self, part: np.ndarray, settings: SplitSettings) -> list[str]:
        """With inner folds, a given validation part is training as well; ``part`` is changed."""
        if not (settings.inner_folds and (part == "validation").any()):
            return []
        part[part == "validation"] = "train"
        return ["the given validation part is joined to training, and both are divided into inner folds"]

    def _carve(self, part: np.ndarray, missing: list[str], seed: int) -> None:
        rows = self._training(part)
        shares = np.array([self.shares[SPLITS.index(name)] for name in missing])
        if missing == ["validation"]:
            shares = shares / (1 - self.shares[2])
        assigned = self._assign(rows, np.array([1 - shares.sum(), *shares]), seed)
        for number, name in enumerate(missing, start=1):
            part[rows[assigned == number]] = name

    def _training(self, part: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(part == "train")
        if len(rows) == 0:
            raise DataError("the given split has no training samples; use split.given=pool to split anew")
        return rows

    # ------------------------------------------------------------ lots

    def _assign(self, rows: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
        """``[len(rows)]``: which of the shares each sample goes to."""
        units = arrange(self.index, self.units, rows, self.keys, seed)
        return stratify(units.content, shares)[units.of]

    def _fold_of(self, rows: np.ndarray, folds: int, seed: int) -> np.ndarray:
        """The same of equal shares; kept, since all folds ask for it."""
        place = (seed, folds, rows.tobytes())
        if place not in self._folds:
            self._folds[place] = self._assign(rows, np.full(folds, 1 / folds), seed)
        return self._folds[place]


def _sizes(shares: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """The shares of the parts ``[3]`` that a drawn split should have."""
    test = 1 / settings.folds if settings.folds else shares[2]
    validation = 1 / settings.inner_folds if settings.inner_folds else shares[1] / (shares[0] + shares[1])
    return np.array([(1 - test) * (1 - validation), (1 - test) * validation, test])
