"""Readers ``hyperkvasir_upper`` and ``hyperkvasir_lower``: anatomical landmarks of the gastrointestinal tract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from medplug.plugins import About, Index, component, param
from medplug_datasets.files import count
from medplug_datasets.layout import Home, Layout, Row, collect
from medplug_datasets.published import Card, ClassFolders
from medplug_datasets.tables import read_table

FOLDS = "2_fold_split.csv"
_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jpg")
_COLUMNS = ("file-name", "class-name", "split-index")
_FOLDS_PAGE = "https://github.com/simula/hyper-kvasir/tree/master/official_splits"
_ABOUT = {
    "licence": "CC BY 4.0",
    "citation": "Borgli et al., HyperKvasir, Scientific Data 7 (2020) 283",
    "url": "https://datasets.simula.no/hyper-kvasir/",
}


@component
class Landmarks(ClassFolders):
    """The landmarks of one tract. Base of the two readers."""

    split: Literal["official", "none"] = param(
        f"the publisher's two folds, where {FOLDS} lies in the data folder or above; or no given split",
        default="official",
    )
    test_fold: Literal[0, 1] = param("the official fold that is the test part; the other one trains", default=1)
    tract: ClassVar[str]

    def read(self, source: str, drop: Sequence[str] = ()) -> Index:
        """The landmarks that are not dropped, by class and name."""
        home = self.home(source)
        rows, skipped = collect(home, [(name, name, "") for name in home.folders])
        notes = self.compare_folders(home, rows)
        if self.split == "official":
            rows, more = self._with_folds(home, rows)
            notes += more
        skipped = [s for s in skipped if self.split == "none" or s.name.rpartition("/")[2] != FOLDS]
        rows = self.ordered(home, [row for row in rows if row.label not in drop], skipped)
        notes.append("no ids of patients are published: frames of one examination may lie in several parts of a split")
        return self.to_index(home.root, rows, skipped, notes)

    def _with_folds(self, home: Home, rows: list[Row]) -> tuple[list[Row], list[str]]:
        path = _find_folds(home)
        if path is None:
            return rows, [f"no {FOLDS} here, hence no given split; the publisher's two folds are at {_FOLDS_PAGE}"]
        folds = {(row["class-name"], row["file-name"]): row["split-index"] for row in read_table(path, _COLUMNS)}
        parts = {str(self.test_fold): "test", str(1 - self.test_fold): "train"}
        found = [parts.get(folds.get((row.label, row.file), ""), "") for row in rows]
        notes = [f"given split from {path.name}: fold {self.test_fold} is the test part (reader.split=none ignores it)"]
        absent = found.count("")
        if absent:
            notes.append(f"{count(absent, 'image')} not in {path.name}, used for training")
        return [replace(row, split=part or "train") for row, part in zip(rows, found, strict=True)], notes


def _find_folds(home: Home) -> Path | None:
    """The table of folds: in the folder of the classes or up to three above, perhaps in ``official_splits``."""
    for folder in (home.path, *list(home.path.parents)[:3]):
        for path in (folder / FOLDS, folder / "official_splits" / FOLDS):
            if path.is_file():
                return path
    return None


def _through(tract: str) -> tuple[str, ...]:
    inside = f"{tract}/anatomical-landmarks"
    return ("anatomical-landmarks", inside, f"labeled-images/{inside}")


@component
class HyperKvasirUpper(Landmarks):
    """HyperKvasir's landmarks of the upper tract: 2,695 images of three classes: ``hyperkvasir_upper:FOLDER``.

    The folder is that of the class folders ``pylorus``, ``retroflex-stomach`` and ``z-line``, or any above it up to
    the one of ``labeled-images``. The official two folds are a given split where ``2_fold_split.csv`` lies beside
    or above them; the published experiment split all images anew (``split="none"``).

    Frames of one examination look alike, and the publisher tells neither patients nor examinations. The green
    insets of a navigation system and burnt-in text differ from organ to organ.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = HyperKvasirUpper().index(make("hyperkvasir_upper", folder))
        >>> index.classes, len(index), index.splits.tolist().count("test")
        (('pylorus', 'retroflexed stomach', 'Z-line'), 12, 6)
    """

    examples = ({"split": "none"}, {"test_fold": 0, "names": "published"})

    layouts = (Layout({"pylorus": 999, "retroflex-stomach": 764, "z-line": 932}, _NAME),)
    tract = "upper-gi-tract"
    through = _through(tract)
    card = Card(
        about=About(title="HyperKvasir, landmarks of the upper tract", **_ABOUT),
        classes={"pylorus": "pylorus", "retroflex-stomach": "retroflexed stomach", "z-line": "Z-line"},
        expected="labeled-images/upper-gi-tract/anatomical-landmarks with pylorus, retroflex-stomach and z-line",
    )

    def index(self, source: str) -> Index:
        """The images, by class and name.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        return self.read(source)


@component
class HyperKvasirLower(Landmarks):
    """HyperKvasir's landmarks of the lower tract: 1,409 images of three classes: ``hyperkvasir_lower:FOLDER``.

    The folder is that of the class folders ``cecum``, ``ileum`` and ``retroflex-rectum``, or any above it up to the
    one of ``labeled-images``; folds as in ``hyperkvasir_upper``. The ileum has nine images (four and five in
    the official folds): what is said of it is an anecdote. ``ileum="drop"`` leaves the class out.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = HyperKvasirLower(ileum="drop").index(make("hyperkvasir_lower", folder))
        >>> index.classes, len(index)
        (('cecum', 'retroflexed rectum'), 8)
    """

    ileum: Literal["keep", "drop"] = param("the class of nine images", default="keep")
    examples = ({"split": "none", "ileum": "drop"}, {"test_fold": 0})

    layouts = (Layout({"cecum": 1009, "ileum": 9, "retroflex-rectum": 391}, _NAME),)
    tract = "lower-gi-tract"
    through = _through(tract)
    card = Card(
        about=About(title="HyperKvasir, landmarks of the lower tract", **_ABOUT),
        classes={"cecum": "cecum", "ileum": "ileum", "retroflex-rectum": "retroflexed rectum"},
        expected="labeled-images/lower-gi-tract/anatomical-landmarks with cecum, ileum and retroflex-rectum",
    )

    def index(self, source: str) -> Index:
        """The images, by class and name.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        return self.read(source, ["ileum"] if self.ileum == "drop" else [])
