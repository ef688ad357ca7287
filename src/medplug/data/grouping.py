"""Groups guessed from file names, for data that name none: ``person12_bacteria_33.jpeg`` is of ``person12``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medplug.config.settings import SplitSettings
from medplug.data.pause import collector_paused
from medplug.values import SPLITS, Index

COLUMN = "file name"
"""What the column of guessed groups is called."""

_PERSON = "patient|person|subject|subj|sub|participant|individual|volunteer|pat|pt|case"
_PART = "lesion|slide|specimen|examination|exam|study|visit|series|video|vid|scan|volume|vol"
_END = r"(?![^_\-\s./()%])"
_NUMBER = r"(?:[_\-\s]?(?:id|no|nr))?[_\-\s]?[a-z]?\d+"
_RULES = tuple(
    (re.compile(pattern + _END, re.IGNORECASE), words)
    for pattern, words in (
        (r"(?:^|(?<=[_\-\s.]))(tcga-\w\w-\w{4})", ["tcga"]),
        (rf"(?:^|(?<=[_\-\s.]))((?:{_PERSON}){_NUMBER})", _PERSON.split("|")),
        (rf"(?:^|(?<=[_\-\s.]))((?:{_PART}){_NUMBER})", _PART.split("|")),
        (r"^(p[_\-]?\d\d+)", ["\np", "/p"]),
    )
)
"""Words that say what a number counts, the widest first; then ``P001`` at the beginning of a name."""

_DIGIT = re.compile(r"\d")
_TOKEN = re.compile(r"[^_\-\s()\[\]{}%,;+#@~=]+")  # a dot belongs to the token: 2020.03.10 is one number
_EXTENSION = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{1,5}|\.nii\.gz)$")
_SIDES = frozenset("lrodsLRODS")
_SIDE = re.compile(r"(?<=\d)(l|r|od|os)$", re.IGNORECASE)
_FEWEST_NAMED, _FEWEST = 3, 10  # different numbers behind a word; without one: fold1_…, grade3_… are no patients
_LARGEST = 1 / 3  # of all samples: a larger "group" would leave nothing to split
_SIBLINGS = 0.01  # of all samples must share a group with another one, or names only number the files
_SHOWN = 40  # characters of a name in a message


def with_guessed_groups(index: Index, settings: SplitSettings) -> Index:
    """The index with groups guessed from its names, where the data name none and ``split.groups`` is ``respect``.

    The guess is careful, since one that is too coarse costs training images: it takes numbers behind words such as
    patient or case, and numbers that stand before a further number or word (``10253_idx5_x1``, ``27_left``), if there are
    at least ten different ones; nothing is guessed where a group would hold more than a third of the samples, where
    groups would be classes, or where hardly any sample shares a group with another.

    The column is called ``file name``; names that fit no rule have no group. A note tells what was guessed.
    """
    if index.groups or settings.groups != "respect" or settings.method == "aucmedi":
        return index
    with collector_paused():
        groups = guess_groups(index.samples, index.classes)
    found = Counter(group for group in groups if group)
    if not found:
        return index
    rows = [row for row, group in enumerate(groups) if found[group] > 1 and group]
    example = min((index.samples[row], groups[row]) for row in rows)
    rest = sum(not group for group in groups)
    left = f"; {rest:,} names fit no rule" if rest else ""
    note = (
        f"guessed {len(found):,} groups from {len(index):,} names, e.g. {_short(example[0])} → {example[1]}{left} "
        "(split.groups=given switches this off)"
    )
    return replace(index, groups={COLUMN: np.array(groups)}, guessed=(COLUMN,), notes=(*index.notes, note))


def guess_groups(names: Sequence[str], classes: Sequence[str] = ()) -> list[str]:
    """The group that each name seems to tell, N texts; all empty where no sensible grouping is found.

    Args:
        names: of samples, with forward slashes between folders.
        classes: their names are no ids, and folders of these names are passed over.
    """
    guess = _Guess(names, {word.casefold() for word in (*classes, *SPLITS)}, len(classes))
    guess.by_words()
    guess.by_numbers()
    guess.by_others()
    counts = Counter(group for group in guess.groups if group)
    siblings = sum(n for n in counts.values() if n > 1)
    sensible = len(counts) >= _FEWEST_NAMED and siblings > _SIBLINGS * len(names)
    return guess.groups if sensible and max(counts.values()) <= _LARGEST * len(names) else [""] * len(names)


@dataclass(slots=True)
class _Part:
    """One folder's or file's name: its words and numbers, where each ends, and ``9`` or ``a`` for each."""

    text: str
    tokens: list[str]
    ends: list[int]
    shape: str


class _Guess:
    def __init__(self, names: Sequence[str], words: set[str], classes: int) -> None:
        self.words, self.classes = words, classes
        self.paths = [_EXTENSION.sub("", name).split("/") for name in names]
        self.groups = [""] * len(names)
        self._text = "\n".join(["", *names]).casefold()
        self._folders: dict[str, _Part] = {}

    def by_words(self) -> None:
        """Numbers behind words that say what they count."""
        for rule, words in _RULES:
            if not any(word in self._text for word in words):
                continue
            found = {}
            for row, path in enumerate(self.paths):
                if not self.groups[row]:
                    matches = [match[1] for part in path if (match := rule.search(part))]
                    if matches:
                        found[row] = max(matches, key=len)  # p10/p10000032/…: the longer one is the person
            self._accept(found, _FEWEST_NAMED)

    def by_numbers(self) -> None:
        """Of names that are built alike, the first number that can be an id: many values, and something behind it."""
        shapes: dict[str, list[int]] = defaultdict(list)
        parts: dict[int, list[_Part]] = {}
        for row, path in enumerate(self.paths):
            if not self.groups[row]:
                parts[row] = [*map(self._folder, path[:-1]), _cut(path[-1])]
                shapes["/".join([part.shape for part in parts[row]])].append(row)
        accepted: dict[str, tuple[int, int]] = {}  # beginnings of shapes up to the id
        for shape, rows in sorted(shapes.items(), key=lambda item: (-len(item[1]), item[0])):
            place = next(
                (place for start, place in accepted.items() if shape.startswith(start) and shape != start), None
            )
            if place and self._accept(self._ids(rows, parts, *place), 1):
                continue
            place = self._first_id(rows, parts)
            if place:
                i, j = place
                accepted["/".join([*shape.split("/")[:i], shape.split("/")[i][: j + 1]])] = place

    def by_others(self) -> None:
        """``P001.png`` belongs to ``P001_2.png``."""
        known = set(self.groups) - {""}
        for row, path in enumerate(self.paths):
            if not self.groups[row] and path[-1] in known:
                self.groups[row] = path[-1]

    def _first_id(self, rows: Sequence[int], parts: Mapping[int, Sequence[_Part]]) -> tuple[int, int] | None:
        shape = [part.shape for part in parts[rows[0]]]
        places = [(i, j) for i, kinds in enumerate(shape) for j in range(len(kinds))]
        for i, j in places[:-1]:
            if shape[i][j] != "9" or len({parts[row][i].tokens[j] for row in rows}) < _FEWEST:
                continue
            if {text.casefold() for text in {self.paths[row][i] for row in rows}} <= self.words:
                continue  # folders of classes
            if not self._tells_apart(rows, parts, i, j):
                continue
            if self._accept(self._ids(rows, parts, i, j), _FEWEST):
                return i, j
        return None

    def _ids(self, rows: Sequence[int], parts: Mapping[int, Sequence[_Part]], i: int, j: int) -> dict[int, str]:
        found = {}
        for row in rows:
            part = parts[row][i]
            # Behind the name of a class: CNV-1016042-1 and DME-1016042-2 are of one patient.
            start = part.ends[0] + 1 if j and part.tokens[0].casefold() in self.words else 0
            found[row] = part.text[start : part.ends[j]]
        return found

    def _tells_apart(self, rows: Sequence[int], parts: Mapping[int, Sequence[_Part]], i: int, j: int) -> bool:
        """Whether what stands behind an id counts or differs, and not by classes alone: 0001_benign, 0001_malignant."""
        first, counts, means = None, False, False
        for row in rows:
            rest = [*parts[row][i].tokens[j + 1 :], *(token for part in parts[row][i + 1 :] for token in part.tokens)]
            first = first or rest
            counts = counts or rest != first or any(map(_DIGIT.search, rest))
            means = means or any(word.casefold() not in self.words for word in rest)
            if counts and means:
                return True
        return False

    def _accept(self, found: Mapping[int, str], fewest: int) -> bool:
        counts = Counter(found.values())
        few = len(counts) < fewest or (fewest > 1 and len(counts) <= self.classes)
        if few or max(counts.values()) > _LARGEST * len(self.groups):
            return False
        for row, group in found.items():
            self.groups[row] = group
        return True

    def _folder(self, text: str) -> _Part:
        if text not in self._folders:
            self._folders[text] = _cut(text)
        return self._folders[text]


def _cut(text: str) -> _Part:
    tokens = _TOKEN.findall(text)
    if tokens and tokens[-1][-1] in _SIDES and (side := _SIDE.search(tokens[-1])):
        tokens[-1:] = [tokens[-1][: side.start()], side[0]]
    ends, end = [], 0
    for token in tokens:
        end = text.index(token, end) + len(token)
        ends.append(end)
    shape = "".join(["9" if t.isdigit() or not (t.isalpha() or _DIGIT.search(t) is None) else "a" for t in tokens])
    return _Part(text, tokens, ends, shape)


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…"
