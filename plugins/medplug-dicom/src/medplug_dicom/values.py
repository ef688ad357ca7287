"""What the stages of the index hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medplug_dicom.header import Header


@dataclass(frozen=True, slots=True)
class File:
    """A DICOM file that holds an image: its path relative to the data folder, with forward slashes, and its header."""

    name: str
    header: Header


@dataclass(frozen=True, slots=True)
class Left:
    """A file that takes no part, under its true path: it is made safe before anybody sees it."""

    name: str
    reason: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A file with its label.

    Attributes:
        label: the class; of several label columns 0, 1 or nan each, with a space between; empty for prediction.
        split: ``train``, ``validation``, ``test`` or empty.
        group: of a column of the table, as it stands there.
    """

    file: File
    label: str = ""
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Labelled:
    """Cases and what is known of their labels.

    Attributes:
        cases: in any order.
        left: files and rows without a label.
        notes: guesses and choices, as sentences.
        columns: the label columns where there are several.
        labelled: false for prediction, where there are no labels.
    """

    cases: Sequence[Case]
    left: Sequence[Left] = ()
    notes: Sequence[str] = ()
    columns: tuple[str, ...] = ()
    labelled: bool = True
