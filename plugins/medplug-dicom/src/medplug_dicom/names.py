"""Names of samples from paths: a part of a path that tells who the patient is is replaced by a salted hash."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable

from medplug_dicom.files import SUFFIXES
from medplug_dicom.salt import Hasher

LEAST = 4  # letters and digits from which on a text is looked for inside others, and not only as a word of its own
_UID = re.compile(r"\d+(?:[._-]\d+){4,}")  # what PS3.5 chapter 9 calls a unique identifier, also with other dots
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")


class Identifiers:
    """Texts that must not be seen, looked up in many others at once.

    Case, accents' encoding and everything but letters and digits do not count. Texts of four letters and digits or
    more are found anywhere, also across folders; shorter ones as a word or number of its own, without leading zeros.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._long: defaultdict[str, set[str]] = defaultdict(set)
        self._short: set[str] = set()
        for text in texts:
            plain = normalised(text)
            if len(plain) >= LEAST:
                self._long[plain[:LEAST]].add(plain)
            elif plain:
                self._short.add(plain.lstrip("0") or plain)

    def parts_in(self, parts: list[str]) -> set[int]:
        """The positions of those parts of a path that hold an identifier, wholly or with their neighbours."""
        plain = [normalised(part) for part in parts]
        owner = [i for i, part in enumerate(plain) for _ in part]
        text = "".join(plain)
        found = {i for i, part in enumerate(parts) if _UID.search(part) or self._short & _words(part)}
        for start in range(len(text) - LEAST + 1):
            for one in self._long.get(text[start : start + LEAST], ()):
                if text.startswith(one, start):
                    found.update(owner[start : start + len(one)])
        return found


def normalised(text: str) -> str:
    """The letters and digits of a text, in one case and one encoding of accents.

    >>> normalised("Müller^Eva-Maria")
    'müllerevamaria'
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def person_texts(name: str, words: bool = True) -> list[str]:
    """What a person's name (``Family^Given^Middle=…``) may look like in a path: all of it, both ways, and its words."""
    texts = []
    for writing in name.split("="):
        found = [word for word in re.split(r"[\^\s,]+", writing) if word]
        texts += ["".join(found), "".join(reversed(found)), *(word for word in found if words and len(word) > 1)]
    return texts


def id_texts(value: str) -> list[str]:
    """A patient's or accession number, and the long runs of digits in it."""
    return [value, *re.findall(r"\d{4,}", value)]


def date_texts(value: str) -> list[str]:
    """A date ``YYYYMMDD`` in the orders in which it is written; nothing where it is none."""
    match = _DATE.match(value)
    if not match:
        return []
    year, month, day = match.groups()
    return [year + month + day, day + month + year, month + day + year, year[2:] + month + day, day + month + year[2:]]


def folders_that_tell(path: str, identifiers: Identifiers) -> set[str]:
    """The folders of a relative path that hold an identifier: each as the path that leads to it."""
    parts = path.split("/")
    return {"/".join(parts[: i + 1]) for i in identifiers.parts_in(parts) if i < len(parts) - 1}


def safe_name(path: str, identifiers: Identifiers, hasher: Hasher, folders: Collection[str] = ()) -> str:
    """A relative path, with forward slashes, whose parts that hold an identifier are hashes; DICOM's extensions stay.

    ``folders`` are paths of folders whose last part becomes a hash too.
    """
    parts = path.split("/")
    bad = identifiers.parts_in(parts) | {i for i in range(len(parts) - 1) if "/".join(parts[: i + 1]) in folders}
    return "/".join(_hashed(part, hasher) if i in bad else part for i, part in enumerate(parts))


def _hashed(part: str, hasher: Hasher) -> str:
    stem, suffix = os.path.splitext(part)
    if suffix.lower() not in SUFFIXES:
        stem, suffix = part, ""
    return hasher("name", stem) + suffix


def _words(part: str) -> set[str]:
    words = re.findall(r"\d+|[^\W\d_]+", unicodedata.normalize("NFKC", part).casefold())
    return {word.lstrip("0") or word for word in words}
